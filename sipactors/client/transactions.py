"""A request of ours as an application holds it: one transaction, however many tries it takes on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.errors import (
    Forbidden,
    InvalidDialogResponse,
    InvalidTransactionState,
    MalformedMessage,
    ResourceNotAvailable,
    SIPError,
)
from sipactors.interfaces import IClientTransactionUser
from sipactors.message import CSeq, cancel_for
from sipactors.transaction.attempt import Attempt

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from sipactors.client.challenges import Answering
    from sipactors.client.connection import Connection
    from sipactors.interfaces import IFlow, IRequestOwner
    from sipactors.locating import Target
    from sipactors.message import URI, Request, Response

CHALLENGES = (401, 407, 494)


@implementer(IClientTransactionUser)
class ClientTransaction:
    """A request of ours. Answers to challenges and further targets are tries of the same transaction."""

    __slots__ = (
        "_attempt",
        "_cancel",
        "_cancels",
        "_finals",
        "_next_hop",
        "_prepare",
        "_sequence",
        "_wait",
        "answering",
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
        self.answering: Answering | None = None
        "What is answered to the challenges of this request, once there are any."
        self._next_hop = next_hop
        self._prepare = prepare
        self._sequence = sequence
        self._attempt: Attempt | None = None
        self._finals: list[Deferred[Response]] = []
        self._wait: IDelayedCall | None = None
        self._cancel: ClientTransaction | None = None
        self._cancels: Attempt | None = None

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
        if not self.finished and (self.tries or (machine and machine.state in ("COMPLETED", TERMINATED))):
            return "PROCEEDING"
        if machine is None:
            return "CALLING" if self.method == "INVITE" else "TRYING"
        return machine.state

    @property
    def challenges(self) -> tuple[str, ...]:
        """The realms whose credentials the request waits for; `Digest.set_credentials` gives them."""
        return () if self.answering is None else self.answering.realms

    @property
    def next_hop(self) -> URI | None:
        """The URI that the request goes to first: that of its first route, or its own."""
        return self._next_hop

    @property
    def finished(self) -> bool:
        """True when the final response is there, or none will come."""
        return self.error is not None or (self.response is not None and self.response.status >= 200)

    @property
    def flow(self) -> IFlow | None:
        """The flow of the last try, None before the first."""
        return None if self._attempt is None else self._attempt.flow

    @property
    def target(self) -> Target | None:
        """Where the last try went, None before the first."""
        return None if self._attempt is None else self._attempt.target

    @property
    def answered(self) -> bool:
        """True once the last target that was tried has sent any response, 100 included."""
        return self._attempt is not None and self._attempt.answered

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
        prepare = self._prepare
        if connection.client.digest is not None and connection.client.security_handling:
            prepare = self._prepare_with_credentials
        target = None if self._attempt is None else self._attempt.target
        attempt = Attempt(connection.dispatcher, connection.access.locator, self.request, self, prepare)
        self._attempt = attempt
        hop = connection.registrations.hop(self._next_hop)
        if target is None and hop is not None:
            target = hop.target
        if target is None:
            attempt.start(self._next_hop)
        elif hop is not None and hop.fixed:
            attempt.start_at(target)
        else:
            # RFC 3263 §4.1: what belongs together goes to one server; that one knows its own nonces.
            attempt.start(self._next_hop, prefer=target)

    def _prepare_with_credentials(self, request: Request, flow: IFlow) -> None:
        if self._prepare is not None:
            self._prepare(request, flow)
        if self.connection.client.digest is not None:
            self.connection.client.digest.put_credentials(self, request)

    def resend(self) -> None:
        """Send the request again as a new one: the next CSeq, a new branch (RFC 3261 §22.2)."""
        self.tries += 1
        request = self.request.copy()
        number = request.cseq.number + 1 if self._sequence is None else self._sequence()
        request.set("CSeq", CSeq(number, request.method))
        self.request = request
        self._reopen()
        self.release()

    def _reopen(self) -> None:
        self.response = self.error = None
        self.connection.adopt(self)

    def redirect(self, uri: URI, routes: Sequence[str], next_hop: URI) -> None:
        """Let the next `resend` go to another Request-URI, by these routes."""
        request = self.request = self.request.copy()
        request.uri = uri
        request.set("Route", list(routes))
        self._next_hop = next_hop

    def wait(self, seconds: float, then: Callable[[], object]) -> None:
        """Have no final response after all: call `then`, which may resend, in so many seconds."""
        self._reopen()
        self._wait = self.connection.dispatcher.timers.later(seconds, self._waited, then)

    def _waited(self, then: Callable[[], object]) -> None:
        self._wait = None
        then()

    def _stop_waiting(self) -> bool:
        wait, self._wait = self._wait, None
        if wait is None:
            return False
        wait.cancel()
        return True

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
        answering = self.answering
        if answering is not None and answering.waiting:
            # Nothing is under way that a CANCEL could end: the challenge was a final response.
            cancel.close()
            error = Forbidden("canceled while credentials were wanted")
            connection.dispatcher.timers.later(0, self.fail_with_response, error, answering.response)
        elif self._stop_waiting():
            cancel.close()
            self.fail(InvalidTransactionState("canceled before it was sent again"))
        elif self._attempt is not None:
            self._cancel = cancel
            cancel._cancels = self._attempt
            connection.adopt(cancel)
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
        status = response.status
        if status == 100:
            return
        if self.finished and not 200 <= status < 300:
            return
        if status in CHALLENGES and self.connection.client.security_handling:
            self.connection.client.challenged(self, response)
            return
        if 200 <= status < 300 and self.answering is not None and not self.answering.confirmed(response):
            # RFC 7616 §3.5: rspauth proves that the server knows the password; a wrong one, that this is
            # somebody else's answer. It is not believed, and a call that it made is ended.
            self.connection.dispatcher.metrics.false_proofs += 1
            if self.method != "INVITE":
                self.fail_with_response(Forbidden("the server does not know the password"), response)
                return
            self.canceled = True
        self.deliver(response)

    def deliver(self, response: Response) -> None:
        """Let the owner have a response."""
        before, self.response = self.response, response
        status = response.status
        if status >= 300 or (status >= 200 and response.cseq.method != "INVITE"):
            self.connection.release(self)
        if self.owner is not None:
            try:
                self.owner.response_received(self)
            except MalformedMessage as error:
                self._refuse(response, before, error)
                return
        # The owner may have begun another try: then this was not the final response.
        if status >= 200 and self.response is response:
            self._fire(response)

    def _refuse(self, response: Response, before: Response | None, error: MalformedMessage) -> None:
        """A header that the owner needs does not read: a final response counts as none."""
        self.connection.dispatcher.metrics.malformed += 1
        self.response = before
        if response.status >= 200 and not self.finished:
            self.fail_with_response(InvalidDialogResponse(str(error)), response)
            # It has ended for its owner: copies of that 2xx must not begin it anew.
            self.owner = None

    def client_transaction_failed(self, error: SIPError, transaction: object) -> None:
        """See IClientTransactionUser."""
        if self._attempt is None or transaction is self._attempt:
            self.fail(error)

    def fail(self, error: SIPError) -> None:
        """There will be no final response; the owner is told why."""
        if not self.finished:
            self._end(error)

    def _end(self, error: SIPError) -> None:
        self.error = error
        if self.answering is not None:
            self.answering.stop_waiting()
        self.connection.release(self)
        self.connection.registrations.request_failed(error, self)
        if self.owner is not None:
            self.owner.transaction_failed(error, self)
        if self.error is error:
            self._fire(error)

    def fail_with_response(self, error: SIPError, response: Response) -> None:
        """A final response came that ends the request as a failure; it stays at hand as `response`."""
        if not self.finished:
            self.response = response
            self._end(error)

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
        self._stop_waiting()
        if self._attempt is not None:
            self._attempt.close()
        if self._cancels is not None:
            self._cancels.stop_cancel()
        if self._cancel is not None:
            self._cancel.close()
            self.connection.release(self._cancel)
        if not self.finished:
            self.error = ResourceNotAvailable("the transaction was closed")
            if self.answering is not None and self.answering.waiting:
                self.error = Forbidden("closed while credentials were wanted")
                self.answering.stop_waiting()
            self._fire(self.error)
