"""What all usages of a dialog have in common (RFC 5057): an owner, an observer, an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sipactors.actor import tell
from sipactors.errors import InvalidDialogState, ResourceNotAvailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.dialog import Dialog
    from sipactors.interfaces import IConnectionObserver, IDialogHost, IFlow, IRequestOwner
    from sipactors.message import Address, MessageElements, Request, Response


class Usage:
    """One purpose that two user agents have a dialog for: a call, a subscription, a transfer."""

    __slots__ = ("_closed", "_given_contact", "_observer", "dialog", "host")

    METHODS: frozenset[str] = frozenset()
    "The methods of the requests within the dialog that this kind of usage takes."

    def __init__(
        self,
        host: IDialogHost,
        dialog: Dialog,
        observer: IConnectionObserver | None = None,
        contact: Address | None = None,
    ) -> None:
        self.host = host
        self.dialog = dialog
        self._observer = observer
        self._given_contact = contact
        self._closed = False
        dialog.add(self)
        host.adopt(self)

    @property
    def observer(self) -> IConnectionObserver:
        """Who hears of this usage: its own observer, or its connection's."""
        return self.host.observer if self._observer is None else self._observer

    @property
    def closed(self) -> bool:
        """True when the usage was given up, by the application or with its connection: it hears nothing more.

        One that ended with its purpose, as a call by BYE, has left `dialog.usages` instead.
        """
        return self._closed

    def tell(self, method: str, *arguments: Any) -> None:
        """Tell the observer, unless the application has closed this usage."""
        if not self._closed:
            tell(self.host.dispatcher.metrics, getattr(self.observer, method), *arguments)

    def check_open(self) -> None:
        """Raise ResourceNotAvailable when closed, TransportFailure when the connection cannot send."""
        if self._closed:
            raise ResourceNotAvailable("the usage is closed")
        self.host.check_active()

    def check_state(self, *states: str) -> None:
        """Raise InvalidDialogState unless the dialog is in one of these states."""
        if self.dialog.state not in states:
            raise InvalidDialogState(f"not while the dialog is {self.dialog.state}")

    def concerns(self, request: Request) -> bool:
        """Whether a request within the dialog is for this usage."""
        return request.method in self.METHODS

    def request_received(self, transaction: ServerTransaction) -> None:
        """Take a request of the peer's that concerns this usage."""
        transaction.usage = self
        self.tell("dialog_request_received", transaction, self.dialog)

    def holds_back(self, response: Response, transaction: ServerTransaction) -> bool:
        """Whether a response must wait; the usage then sends it later by `transaction.send`."""
        return False

    def save(self) -> dict[str, Any]:
        """What a restart needs to make this usage again, as plain values."""
        return {"kind": type(self).__name__}

    def prepare_response(self, response: Response, transaction: ServerTransaction) -> None:
        """Fill in what the usage adds to a response of ours before it goes."""

    def response_sent(self, response: Response, transaction: ServerTransaction) -> None:
        """A response of ours to a request of this usage has gone."""

    def request_canceled(self, transaction: ServerTransaction) -> None:
        """The peer canceled its INVITE."""

    def server_transaction_failed(self, error: Exception, transaction: ServerTransaction) -> None:
        """A request of the peer's was not answered in time, or its answer not acknowledged."""
        self.tell("usage_failed", error, self, transaction)

    # ------------------------------------------------------------------ sending

    def send(
        self,
        method: str,
        elements: MessageElements | None,
        *,
        owner: IRequestOwner | None = None,
        prepare: Callable[[Request, IFlow], object] | None = None,
        hold: bool = False,
        headers: Sequence[tuple[str, object]] = (),
    ) -> ClientTransaction:
        """Send a request within the dialog; its outcome goes to `owner`, by default to this usage."""
        self.host.check_elements(elements)
        request, next_hop = self.dialog.make_request(method)
        if elements is not None:
            elements.apply(request)
        for name, value in headers:
            request.set(name, value)
        return self.host.send(
            request,
            next_hop,
            cast("IRequestOwner", self) if owner is None else owner,
            prepare=prepare,
            sequence=self.dialog.next_sequence,
            hold=hold,
        )

    def put_contact(self, message: Request | Response, flow: IFlow) -> None:
        """Set the Contact by which the peer reaches this usage over that flow."""
        dialog = self.dialog
        contact = self.host.contact(flow, dialog.local, self._given_contact, dialog.secure)
        message.set("Contact", contact)

    # ------------------------------------------------------------------ the end

    def end(self) -> None:
        """The usage is over: leave the dialog, which ends with its last usage."""
        self.host.release(self)
        self.dialog.remove(self)

    def close(self) -> None:
        """Give the usage up at once; nothing is sent and nothing more is told. Idempotent."""
        if not self._closed:
            self._closed = True
            self.end()
