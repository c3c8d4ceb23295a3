"""A request of a peer's as an application holds it: what came, and the way to answer it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zope.interface import implementer

from sipactors.actor import TERMINATED, tell
from sipactors.dialog.replaces import end_replaced
from sipactors.errors import (
    ArgumentError,
    InvalidTransactionState,
    ResourceNotAvailable,
    SIPError,
)
from sipactors.interfaces import IServerTransactionUser
from sipactors.message import response_to

if TYPE_CHECKING:
    from sipactors.auth import Accepted
    from sipactors.client.access import Access
    from sipactors.client.connection import Connection
    from sipactors.dialog.dialog import Dialog
    from sipactors.dialog.usage import Usage
    from sipactors.interfaces import IFlow
    from sipactors.message import Request, Response, ResponseElements
    from sipactors.transaction.dispatcher import ServerTransaction as Machine

MAKES_DIALOG = frozenset(("INVITE", "SUBSCRIBE", "REFER"))


@implementer(IServerTransactionUser)
class ServerTransaction:
    """A request of a peer's that waits for the application's answer."""

    __slots__ = (
        *("_machine", "access", "cancel", "connection", "flow"),
        *("held", "proof", "replaces", "request", "usage"),
    )

    def __init__(self, access: Access, machine: Machine | None, request: Request, flow: IFlow) -> None:
        self.access = access
        self._machine = machine
        self.request = request
        self.flow = flow
        "The flow that the request came by."
        self.connection: Connection | None = None
        "The connection that it belongs to; None until one has taken it up."
        self.usage: Usage | None = None
        "The usage that answers it, if any."
        self.proof: Accepted | None = None
        "What the 2xx tells its sender of our knowing the password, once a ProtectionDomain has admitted it."
        self.cancel: Request | None = None
        "The CANCEL that ended it, if any; its Reason says why (RFC 3326)."
        self.replaces: Dialog | None = None
        """The dialog that this INVITE replaces (RFC 3891): its call ends with our 2xx to the INVITE, unless
        the application sets this to None."""
        self.held = False
        "True while a 2xx of the application's waits for a PRACK (RFC 3262 §3)."
        if machine is not None:
            machine.user = self

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.request.method

    @property
    def state(self) -> str:
        """The state by RFC 3261 §17.2 and RFC 6026."""
        return TERMINATED if self._machine is None else self._machine.state

    @property
    def response_allowed(self) -> bool:
        """False for an ACK, after a final response, and when the time for one has passed."""
        return self._machine is not None and self._machine.request is not None and not self.held

    @property
    def tag(self) -> str:
        """The To tag of our responses."""
        assert self._machine is not None
        return self._machine.tag

    def check_response_allowed(self) -> None:
        """Raise InvalidTransactionState when no response can be sent any more."""
        if not self.response_allowed:
            raise InvalidTransactionState(f"no response to this {self.method} can be sent any more")

    def taken_up(self) -> Connection:
        """The connection; ResourceNotAvailable while there is none, or when it is closed."""
        if self.connection is None or self.connection.closed:
            raise ResourceNotAvailable("the request belongs to no open connection")
        return self.connection

    def respond(self, elements: ResponseElements) -> None:
        """Send a response.

        Raises InvalidTransactionState after a final response, ArgumentError for a response that would
        make a dialog when no usage was made for the request, ResourceNotAvailable when the connection
        is closed.
        """
        self.check_response_allowed()
        status = elements.status
        request = self.request
        if self.connection is not None and self.connection.closed:
            raise ResourceNotAvailable("the connection is closed")
        dialog = status < 300 and request.method in MAKES_DIALOG
        if dialog and self.usage is None:
            raise ArgumentError(f"a {status} to {request.method} needs a usage to answer for the dialog")
        response = response_to(request, status, elements.reason, self.tag, record_route=dialog)
        elements.apply(response)
        self._send(response)

    def answer(self, status: int, headers: Iterable[tuple[str, object]] = (), body: bytes = b"") -> None:
        """Send one of the stack's own responses; nothing happens when it comes too late."""
        if self.response_allowed or self.held:
            content_type = "application/sdp" if body else None
            response = response_to(
                self.request, status, None, self.tag, headers, body=body, content_type=content_type
            )
            self._send(response)

    def _send(self, response: Response) -> None:
        if self.usage is None or not self.usage.holds_back(response, self):
            self.send(response)

    def send(self, response: Response) -> None:
        """Let a response go, completed with what usage and client add to it."""
        machine, usage = self._machine, self.usage
        assert machine is not None
        self.access.complete_response(response, self)
        if usage is not None:
            usage.prepare_response(response, self)
        if self.proof is not None and 200 <= response.status < 300:
            # RFC 7616 §3.5: with auth-int the proof covers the body, so it is made when all else is there.
            info = self.proof.authentication_info(response.body)
            if info.params:
                response.set("Authentication-Info", info)
        machine.respond(response)
        if usage is not None:
            usage.response_sent(response, self)
        if self.replaces is not None and 200 <= response.status < 300:
            replaced, self.replaces = self.replaces, None
            end_replaced(replaced)

    def repeat(self) -> None:
        """Send a 2xx to INVITE once more, while no ACK has come."""
        if self._machine is not None:
            self._machine.repeat()  # type: ignore[union-attr]

    def send_again(self, wire: bytes) -> None:
        """Send a reliable provisional response once more, while no PRACK has come (RFC 3262 §3)."""
        if self._machine is not None:
            self.access.metrics.retransmissions_sent += 1
            self._machine.flow.send(wire)

    def offer(self, dialog: Dialog) -> None:
        """Give a request within a dialog that belongs to no usage to the connection's observer."""
        connection = self.connection
        if connection is None or connection.closed:
            self.answer(481)
        else:
            tell(self.access.metrics, connection.observer.dialog_request_received, self, dialog)

    def canceled(self, cancel: Request) -> None:
        """See IServerTransactionUser."""
        self.cancel = cancel
        # RFC 3261 §9.2: the UAS "SHOULD immediately respond to the INVITE with a 487".
        self.answer(487)
        self.tell_canceled()

    def tell_canceled(self) -> None:
        """Let the usage, or the connection's observer, hear that the peer canceled its INVITE."""
        if self.usage is not None:
            self.usage.request_canceled(self)
        elif self.connection is not None:
            tell(self.access.metrics, self.connection.observer.invite_canceled, self)

    def acknowledged(self) -> None:
        """See IServerTransactionUser."""

    def server_transaction_failed(self, error: SIPError) -> None:
        """See IServerTransactionUser."""
        if self.usage is not None:
            self.usage.server_transaction_failed(error, self)
        elif self.connection is not None:
            tell(self.access.metrics, self.connection.observer.transaction_failed, error, self)

    def close(self) -> None:
        """Forget the request: nothing is answered and nothing is told any more. Idempotent."""
        if self._machine is not None:
            machine, self._machine = self._machine, None
            machine.close()
