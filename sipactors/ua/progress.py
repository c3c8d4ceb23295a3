"""What becomes of a call: all that its InviteUsage tells, brought to observers and to those who wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, DeferredQueue

from sipactors.actor import TERMINATED, tell
from sipactors.client import ConnectionObserver, MessageElements, ResponseElements
from sipactors.errors import (
    CallRejected,
    InvalidDialogResponse,
    InvalidDialogState,
    MalformedMessage,
    NoAckReceived,
    OfferPending,
    RequestRejected,
    SIPError,
)
from sipactors.ua.dtmf import read_digits
from sipactors.ua.media import SDP_TYPE, CallMedia, session_of
from sipactors.ua.observers import CallObserver, Ending
from sipactors.ua.waiting import Once

if TYPE_CHECKING:
    from sipactors.client import ClientTransaction, InviteUsage, ServerTransaction
    from sipactors.interfaces import ICallObserver
    from sipactors.message import Request, Response
    from sipactors.ua.agent import UserAgent
    from sipactors.ua.call import Call


class CallProgress(ConnectionObserver):
    """The hearing half of a call; its state is that of its dialog."""

    usage: InviteUsage

    def __init__(self, agent: UserAgent, media: CallMedia, observer: ICallObserver | None) -> None:
        self.agent = agent
        self.media = media
        "The session: `media.streams` is what was agreed."
        self.observer: ICallObserver = CallObserver() if observer is None else observer
        self.invitation: ServerTransaction | None = None
        "The INVITE of an incoming call, or None."
        self.ending: Ending | None = None
        "How the call ended, or None before."
        self._answered: Once[Call] = Once()
        self._ended: Once[Ending] = Once()
        self._medias: dict[InviteUsage, CallMedia] = {}
        self._change: tuple[ClientTransaction, Once[Call], Callable[[], object]] | None = None
        self._digits: DeferredQueue[str] = DeferredQueue()
        self._digits_wanted: list[Deferred[str]] = []

    @property
    def _call(self) -> Call:
        return cast("Call", self)

    def _tell(self, event: str, *arguments: Any) -> None:
        tell(self.agent.stack.metrics, getattr(self.observer, event), self, *arguments)

    # ------------------------------------------------------------------ answers to our INVITEs

    def dialog_response_received(self, transaction: ClientTransaction, usage: InviteUsage) -> None:
        """See IConnectionObserver."""
        response = transaction.response
        assert response is not None
        if transaction.method == "INVITE" and self.ending is None:
            if self._change is not None and transaction is self._change[0]:
                self._change_answered(response)
            else:
                self._invite_answered(transaction, usage, response)
        self._look_for_the_end(None)

    def dialog_forked(self, transaction: ClientTransaction, usage: InviteUsage) -> None:
        """See IConnectionObserver."""
        if self.ending is None:
            assert transaction.response is not None
            self._invite_answered(transaction, usage, transaction.response)

    def _media_of(self, usage: InviteUsage) -> CallMedia:
        if usage not in self._medias:
            # Each dialog of a forked INVITE has the one offer, and an answer of its own.
            self._medias[usage] = self.media.fork()
        return self._medias[usage]

    def _invite_answered(
        self, transaction: ClientTransaction, usage: InviteUsage, response: Response
    ) -> None:
        if response.status >= 300:
            error = CallRejected(response.status, response.reason, response)
            by_peer = not transaction.canceled
            self._finish(Ending(by_peer, response.status, response.reason, error))
        elif self._answered.done:
            if usage is not self.usage and not usage.ending:
                # RFC 3261 §13.2.2.4: of the calls that forks answered only one is wanted: BYE to the others.
                usage.bye()
        elif response.status < 200:
            self._progressed(usage, response)
        elif not transaction.canceled:
            self._accepted(transaction, usage, response)
        else:
            # RFC 3261 §9.1: the CANCEL came too late; the usage acknowledges the 200 and sends BYE.
            error = CallRejected(487, "Request Terminated")
            self._finish(Ending(False, 487, error.reason, error))

    def _progressed(self, usage: InviteUsage, response: Response) -> None:
        try:
            body = session_of(response)
            if body is not None:
                self._media_of(usage).preview(body)
        except MalformedMessage:
            pass  # A preview that does not read is none; the answer is still to come.
        self._tell("progressed", response)

    def _accepted(self, transaction: ClientTransaction, usage: InviteUsage, response: Response) -> None:
        media = self._media_of(usage)
        self.usage, self.media = usage, media
        self._medias.clear()
        try:
            body = session_of(response)
            if media.offered:
                media.take_answer(body)
            elif body is not None and not usage.acknowledged:
                answer = media.answer(body, self._host(transaction.flow))
                usage.ack(transaction, MessageElements(body=answer, content_type=SDP_TYPE))
        except (SIPError, OfferPending) as error:
            self._unusable(transaction, InvalidDialogResponse(str(error)))
            return
        self._answered.fire(self._call)
        self._tell("answered")

    def _unusable(self, transaction: ClientTransaction, error: SIPError) -> None:
        # RFC 3261 §13.2.2.4: a 2xx whose offer cannot be accepted is acknowledged all the same, then BYE.
        if not self.usage.acknowledged:
            self.usage.ack(transaction)
        self.usage.bye()
        self._finish(Ending(False, error=error))

    def _change_answered(self, response: Response) -> None:
        if response.status < 200 or self._change is None:
            return
        (_, waiting, undo), self._change = self._change, None
        if response.status >= 300:
            self.media.refused()
            undo()
            waiting.fail(RequestRejected(response.status, response.reason, response))
            return
        try:
            self.media.take_answer(session_of(response))
        except SIPError as error:
            self.media.refused()
            undo()
            waiting.fail(InvalidDialogResponse(str(error)))
            return
        waiting.fire(self._call)
        self._tell("changed")

    # ------------------------------------------------------------------ requests of the peer's

    def dialog_request_received(self, transaction: ServerTransaction, dialog: Any) -> None:
        """See IConnectionObserver."""
        method = transaction.method
        if method == "BYE":
            self._finish(Ending(True, reason=_reason(transaction.request)))
        elif method == "ACK":
            self._acknowledged(transaction)
        elif method == "INFO":
            self._info_received(transaction)
        elif method in ("INVITE", "UPDATE", "PRACK"):
            self._offer_received(transaction)

    def _acknowledged(self, transaction: ServerTransaction) -> None:
        if self.media.offered:
            try:
                self.media.take_answer(session_of(transaction.request))
            except SIPError as error:
                self.usage.bye()
                self._finish(Ending(False, error=error))
                return
            if self._answered.done:
                self._tell("changed")
        if not self._answered.done:
            self._answered.fire(self._call)
            self._tell("answered")

    def _offer_received(self, transaction: ServerTransaction) -> None:
        before = self.media.held_by_peer, self.media.streams
        try:
            offer = session_of(transaction.request)
            body = b""
            if offer is not None and self.media.offered and transaction.method == "PRACK":
                self.media.take_answer(offer)
            elif offer is not None:
                body = self.media.answer(offer, self._host(transaction.flow))
            elif transaction.method == "INVITE":
                # RFC 3261 §14.2: the 2xx to a re-INVITE without an offer has one: all that we can do.
                body = self.media.offer(full=True)
        except (MalformedMessage, OfferPending) as error:
            transaction.answer(error.status)
            return
        except SIPError:
            transaction.answer(488)
            return
        if transaction.response_allowed:
            transaction.respond(ResponseElements(200, body=body, content_type=SDP_TYPE if body else None))
        if before != (self.media.held_by_peer, self.media.streams):
            self._tell("changed")

    def _info_received(self, transaction: ServerTransaction) -> None:
        try:
            digits = read_digits(transaction.request)
        except MalformedMessage as error:
            transaction.answer(error.status)
            return
        if digits is None and transaction.request.body:
            transaction.answer(415, [("Accept", "application/dtmf-relay, application/dtmf")])
            return
        transaction.answer(200)
        for digit in digits or ():
            self._digits.put(digit)
            self._tell("digit_received", digit)

    def invite_canceled(self, transaction: ServerTransaction) -> None:
        """See IConnectionObserver."""
        if transaction is self.invitation:
            reason = "" if transaction.cancel is None else _reason(transaction.cancel)
            self._finish(Ending(True, 487, reason or "Request Terminated"))

    # ------------------------------------------------------------------ failures, and the end

    def usage_failed(self, error: SIPError, usage: InviteUsage, transaction: Any) -> None:
        """See IConnectionObserver."""
        if self._change is not None and transaction is self._change[0]:
            (_, waiting, undo), self._change = self._change, None
            self.media.refused()
            undo()
            waiting.fail(error)
        if isinstance(error, NoAckReceived) and usage is self.usage and not usage.ending:
            # RFC 3261 §13.3.1.4: without an ACK "the UAS SHOULD terminate the session" by BYE.
            usage.bye()
        self._look_for_the_end(error)

    def _look_for_the_end(self, error: SIPError | None) -> None:
        if self.usage.ending or self.usage.closed or self.usage.dialog.state == TERMINATED:
            self._finish(Ending(False, error=error))

    def _finish(self, ending: Ending) -> None:
        if self.ending is not None:
            return
        self.ending = ending
        self.media.stop()
        self.agent.call_ended(self._call)
        error = ending.error or InvalidDialogState("the call has ended")
        self._answered.fail(error)
        if self._change is not None:
            (_, waiting, _undo), self._change = self._change, None
            waiting.fail(error)
        for deferred in self._digits_wanted[:]:
            if not deferred.called:
                deferred.errback(error)
        self._ended.fire(ending)
        self._tell("ended", ending)

    def connection_lost(self, error: SIPError) -> None:
        """The connection has closed the usage: nothing more is told by that."""
        self._finish(Ending(False, error=error))

    def _host(self, flow: Any) -> str:
        name: str = flow.local_uri_host
        return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]


def _reason(request: Request) -> str:
    """What Reason says in words, or its whole value (RFC 3326)."""
    return request.get("Reason") or ""
