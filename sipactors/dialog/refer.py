"""A transfer that we ask for: REFER, and the NOTIFYs that tell how it goes (RFC 3515, RFC 4488, RFC 5589)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipactors.dialog.dialog import CONFIRMED, INIT, Dialog
from sipactors.dialog.making import make_dialog
from sipactors.dialog.referral import replacing
from sipactors.dialog.subscribe import SubscribeUsage
from sipactors.dialog.subscription import INIT as UNSUBSCRIBED
from sipactors.errors import InvalidDialogState, MalformedMessage, RequestPending
from sipactors.events import Progress, read_sipfrag
from sipactors.message import Address, Event, as_address

if TYPE_CHECKING:
    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver, IDialogHost
    from sipactors.message import URI, MessageElements, Request, Response


class ReferUsage(SubscribeUsage):
    """A REFER with its implicit subscription.

    Each NOTIFY reaches the observer by `dialog_request_received`; `progress` is then how far the
    referred request has come. With `implicit_subscription` off the REFER asks for no NOTIFYs (RFC 4488),
    and the usage ends with its 2xx if the peer agrees.
    """

    __slots__ = ("_number", "implicit_subscription", "progress", "refer_to")

    FIXED = ("Event", "Refer-To", "Refer-Sub")

    def __init__(
        self,
        host: IDialogHost,
        dialog: Dialog,
        refer_to: Address,
        observer: IConnectionObserver | None = None,
        contact: Address | None = None,
    ) -> None:
        super().__init__(host, dialog, Event("refer"), observer, contact)
        self.refer_to = refer_to
        "Where the peer is to send its request."
        self.implicit_subscription = True
        "Ask to be told how it goes; set it to False before `refer` for the extension norefersub."
        self._number: str | None = None
        self.progress: Progress | None = None
        "What the last NOTIFY told of the referred request; None before the first."

    # ------------------------------------------------------------------ how one is made

    @classmethod
    def outgoing(  # type: ignore[override]
        cls,
        connection: Any,
        remote_uri: URI | str,
        refer_to: Address | URI | Dialog | str,
        *,
        context: Any = None,
        from_: Address | URI | str | None = None,
        to: Address | URI | str | None = None,
        contact: Address | str | None = None,
        observer: IConnectionObserver | None = None,
    ) -> ReferUsage:
        """A REFER that makes its own dialog; nothing is sent before `refer`.

        `refer_to` is where the peer is to call, or a dialog of ours whose peer it is to call in our place
        (attended transfer, RFC 5589 §7). Raises ArgumentError, InvalidDialogState, ResourceNotAvailable.
        """
        given = None if contact is None else as_address(contact, "Contact")
        target = as_refer_to(refer_to)
        dialog = make_dialog(connection, remote_uri, context=context, from_=from_, to=to)
        return cls(connection, dialog, target, observer, given)

    @classmethod
    def in_dialog(  # type: ignore[override]
        cls,
        dialog: Dialog,
        refer_to: Address | URI | Dialog | str,
        *,
        observer: IConnectionObserver | None = None,
    ) -> ReferUsage:
        """A REFER within the dialog of a call, which is thereby transferred (RFC 5589 §6).

        The usage outlives the call: the dialog stays until the last NOTIFY. Raises ArgumentError,
        InvalidDialogState, ResourceNotAvailable, TransportFailure.
        """
        dialog.host.check_active()
        if dialog.state not in (INIT, CONFIRMED):
            raise InvalidDialogState(f"not while the dialog is {dialog.state}")
        return cls(dialog.host, dialog, as_refer_to(refer_to), observer)

    def fork(self) -> ReferUsage:
        """The usage of another dialog that the same REFER made; the application owns it."""
        dialog = self.dialog.fork(self.host)
        fork = ReferUsage(self.host, dialog, self.refer_to, self._observer, self._given_contact)
        fork._number = self._number or str(self._pending and self._pending.request.cseq.number)
        return self._inherit(fork)

    # ------------------------------------------------------------------ the request

    def refer(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Send the REFER; `elements` may hold Referred-By and others, not Refer-To.

        Raises RequestPending or InvalidDialogState when it has been sent already, ArgumentError,
        ResourceNotAvailable, TransportFailure.
        """
        self._check(elements)
        self.check_state(INIT, CONFIRMED)
        if self._pending is not None:
            raise RequestPending("the REFER waits for its answer")
        if self.subscription.state != UNSUBSCRIBED:
            raise InvalidDialogState("the REFER has been sent already")
        headers: list[tuple[str, object]] = [("Refer-To", self.refer_to)]
        if not self.implicit_subscription:
            # RFC 4488 §4: the REFER-Issuer asks by "Refer-Sub: false" that no subscription be made.
            headers += [("Refer-Sub", "false"), ("Supported", "norefersub")]
        return self._begin("REFER", elements, headers)

    def _granted(self, transaction: ClientTransaction, response: Response) -> None:
        if transaction.method == "REFER":
            if _says_false(response):
                # RFC 4488 §4: "Refer-Sub: false" in the 2xx: there is no implicit subscription.
                self._over()
                return
            self._number = str(transaction.request.cseq.number)
        super()._granted(transaction, response)

    # ------------------------------------------------------------------ NOTIFYs

    def concerns(self, request: Request) -> bool:
        """See Usage."""
        if request.method != "NOTIFY":
            return False
        event: Event | None = request.typed("Event")
        if event is None or event.package != "refer":
            return False
        # RFC 3515 §2.4.6: NOTIFYs for the second and later REFERs of a dialog have an id, which is the
        # CSeq number of their REFER; those for the first may have it.
        if event.id is None or event.id == self._number:
            return True
        return self._first is not None and event.id == str(self._first.request.cseq.number)

    def request_received(self, transaction: ServerTransaction) -> None:
        """Take a NOTIFY."""
        # A SUBSCRIBE that goes on with it must name it as the notifier does.
        self._event = transaction.request.typed("Event")
        body = transaction.request.body
        if body:
            try:
                self.progress = read_sipfrag(body)
            except MalformedMessage:
                # It tells nothing, but its Subscription-State counts.
                pass
        super().request_received(transaction)


def as_refer_to(target: Address | URI | Dialog | str) -> Address:
    """The value of Refer-To for a URI, an address, or a dialog whose other side is to be called."""
    if isinstance(target, Dialog):
        return Address(replacing(target))
    return as_address(target, "Refer-To")


def _says_false(response: Response) -> bool:
    return (response.get("Refer-Sub") or "").partition(";")[0].strip().lower() == "false"
