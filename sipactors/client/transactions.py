"""Transactions as an application holds them: one request, however many tries it takes on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from sipactors.actor import TERMINATED, tell
from sipactors.errors import ArgumentError, InvalidTransactionState, ResourceNotAvailable, SIPError
from sipactors.interfaces import IClientTransactionUser, IServerTransactionUser
from sipactors.message import CSeq, cancel_for, response_to
from sipactors.transaction.attempt import Attempt

if TYPE_CHECKING:
    from sipactors.client.access import Access
    from sipactors.client.connection import Connection
    from sipactors.dialog.dialog import Dialog
    from sipactors.dialog.usage import Usage
    from sipactors.interfaces import IFlow, IRequestOwner
    from sipactors.message import URI, Request, Response, ResponseElements
    from sipactors.transaction.dispatcher import ServerTransaction as Machine

CHALLENGES = (401, 407, 494)

MAKES_DIALOG = frozenset(("INVITE", "SUBSCRIBE", "REFER"))


@implementer(IServerTransactionUser)
class ServerTransaction:
    """A request of a peer's that waits for the application's answer."""

    __slots__ = ("_machine", "access", "cancel", "connection", "flow", "request", "usage")

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
        self.cancel: Request | None = None
        "The CANCEL that ended it, if any; its Reason says why (RFC 3326)."
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
        return self._machine is not None and self._machine.request is not None

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
        if self.response_allowed:
            content_type = "application/sdp" if body else None
            response = response_to(
                self.request, status, None, self.tag, headers, body=body, content_type=content_type
            )
            self._send(response)

    def _send(self, response: Response) -> None:
        machine, usage = self._machine, self.usage
        assert machine is not None
        if usage is not None:
            usage.prepare_response(response, self)
        self.access.complete_response(response, self)
        machine.respond(response)
        if usage is not None:
            usage.response_sent(response, self)

    def repeat(self) -> None:
        """Send a 2xx to INVITE once more, while no ACK has come."""
        if self._machine is not None:
            self._machine.repeat()  # type: ignore[union-attr]

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


@implementer(IClientTransactionUser)
class ClientTransaction:
    """A request of ours. Answers to challenges and further targets are tries of the same transaction."""

    __slots__ = (
        "_attempt",
        "_finals",
        "_next_hop",
        "_prepare",
        "_sequence",
        "canceled",
        "connection",
        "error",
        "owner",
        "refresh",
        "request",
        "response",
        "tries",
    )

    def __init__(
        self,
        connection: Connection,
        request: Request,
        owner: IRequestOwner,
        next_hop: URI | None = None,
        prepare: Callable[[Request, IFlow], object] | None = None,
        sequence: Callable[[], int] | None = None,
    ) -> None:
        self.connection = connection
        self.request = request
        "The request as it was last sent."
        self.owner: IRequestOwner | None = owner
        self.response: Response | None = None
        "The last response, or None."
        self.error: SIPError | None = None
        "Why there is no final response, once that is certain."
        self.refresh: object = None
        "The refresh that sends this request, if one does."
        self.canceled = False
        "True once `cancel` was called."
        self.tries = 0
        "How often the request has been sent anew, for a challenge or another reason."
        self._next_hop = next_hop
        self._prepare = prepare
        self._sequence = sequence
        self._attempt: Attempt | None = None
        self._finals: list[Deferred[Response]] = []

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.request.method

    @property
    def state(self) -> str:
        """The state by RFC 3261 §17.1 and RFC 6026; PROCEEDING while another try is prepared."""
        if self.error is not None:
            return TERMINATED
        machine = self._attempt.transaction if self._attempt is not None else None
        if machine is None:
            return "CALLING" if self.method == "INVITE" else "TRYING"
        if machine.state == TERMINATED and not self.finished:
            return "PROCEEDING"
        return machine.state

    @property
    def finished(self) -> bool:
        """True when the final response is there, or none will come."""
        return self.error is not None or (self.response is not None and self.response.status >= 200)

    @property
    def flow(self) -> IFlow | None:
        """The flow of the last try, None before the first."""
        return None if self._attempt is None else self._attempt.flow

    def final_response(self) -> Deferred[Response]:
        """A Deferred of the final response; it fails with the SIPError when none will come."""
        if self.error is not None:
            return fail(self.error)
        if self.response is not None and self.response.status >= 200:
            return succeed(self.response)
        deferred: Deferred[Response] = Deferred()
        self._finals.append(deferred)
        return deferred

    # ------------------------------------------------------------------ sending

    def release(self) -> None:
        """Send the request now: first, or once more with what has been added to it."""
        connection = self.connection
        attempt = Attempt(connection.dispatcher, connection.access.locator, self.request, self, self._prepare)
        self._attempt = attempt
        attempt.start(self._next_hop)

    def resend(self) -> None:
        """Send the request again as a new one: the next CSeq, a new branch (RFC 3261 §22.2)."""
        self.tries += 1
        request = self.request.copy()
        number = request.cseq.number + 1 if self._sequence is None else self._sequence()
        request.set("CSeq", CSeq(number, request.method))
        self.request = request
        self.response = None
        self.release()

    @property
    def cancel_allowed(self) -> bool:
        """True for an INVITE without a final response that has not been canceled."""
        return self.method == "INVITE" and not self.finished and not self.canceled

    def cancel(self, headers: Iterable[tuple[str, object]] = ()) -> ClientTransaction:
        """Cancel the INVITE; the CANCEL waits for a provisional response (RFC 3261 §9.1).

        `headers` go along, such as Reason (RFC 3326). Gives the transaction of the CANCEL, whose answer
        the connection's observer hears of. Raises InvalidTransactionState unless `cancel_allowed`.
        """
        if not self.cancel_allowed:
            raise InvalidTransactionState("there is nothing to cancel")
        self.canceled = True
        connection = self.connection
        cancel = ClientTransaction(connection, cancel_for(self.request), connection)
        if self._attempt is not None:
            self._attempt.cancel(cancel, cancel.was_made, tuple(headers))
        else:
            self.fail(InvalidTransactionState("canceled before it was sent"))
        return cancel

    def was_made(self, request: Request) -> None:
        """The CANCEL whose transaction this is goes out now, with the branch of the INVITE's last try."""
        self.request = request

    # ------------------------------------------------------------------ what comes back

    def response_received(self, response: Response, transaction: object) -> None:
        """See IClientTransactionUser."""
        if self._attempt is not None and transaction is not self._attempt:
            return
        if len(response.get_all("Via")) > 1 or "," in (response.get("Via") or ""):
            # RFC 3261 §8.1.3.3: "If more than one Via header field value is present in a response, the
            # UAC SHOULD discard the message."
            self.connection.dispatcher.metrics.stray_responses += 1
            return
        status = response.status
        if status == 100:
            return
        if self.finished and not 200 <= status < 300:
            return
        if status in CHALLENGES and self.connection.client.security_handling:
            self.connection.client.challenged(self, response)
            return
        self.deliver(response)

    def deliver(self, response: Response) -> None:
        """Let the owner have a response."""
        self.response = response
        status = response.status
        if status >= 300 or (status >= 200 and response.cseq.method != "INVITE"):
            self.connection.release(self)
        if self.owner is not None:
            self.owner.response_received(self)
        if status >= 200:
            self._fire(response)

    def client_transaction_failed(self, error: SIPError, transaction: object) -> None:
        """See IClientTransactionUser."""
        if self._attempt is None or transaction is self._attempt:
            self.fail(error)

    def fail(self, error: SIPError) -> None:
        """There will be no final response; the owner is told why."""
        if self.finished:
            return
        self.error = error
        self.connection.release(self)
        if self.owner is not None:
            self.owner.transaction_failed(error, self)
        self._fire(error)

    def fail_with_response(self, error: SIPError, response: Response) -> None:
        """A final response came that ends the request as a failure; it stays at hand as `response`."""
        self.response = None
        self.fail(error)
        self.response = response

    def client_transaction_ended(self, transaction: object) -> None:
        """See IClientTransactionUser."""
        self.connection.release(self)
        if self.owner is not None:
            self.owner.transaction_ended(self)

    def _fire(self, outcome: Response | SIPError) -> None:
        if self._finals:
            finals, self._finals = self._finals, []
            for deferred in finals:
                if isinstance(outcome, SIPError):
                    deferred.errback(outcome)
                else:
                    deferred.callback(outcome)

    def close(self) -> None:
        """End the request at once; nothing more is told. Whoever waits for it gets ResourceNotAvailable."""
        self.owner = None
        if self._attempt is not None:
            self._attempt.close()
        if not self.finished:
            self.error = ResourceNotAvailable("the transaction was closed")
            self._fire(self.error)
