"""The call as the peer's responses meet it: what the answers to our INVITE, UPDATE, PRACK and BYE do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.dialog.answering import AnsweringUsage
from sipactors.dialog.dialog import CONFIRMED
from sipactors.dialog.glare import MAX_TRIES, glare_wait, waiting_time
from sipactors.dialog.offers import OURS, THEIRS, carries_session
from sipactors.dialog.prack import UNHEARD, follows, is_reliable, rack_for
from sipactors.errors import InvalidDialogState, TerminatedWithResponse, TransactionTimeout
from sipactors.interfaces import IRequestOwner

if TYPE_CHECKING:
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.inviting import Inviting
    from sipactors.errors import SIPError
    from sipactors.interfaces import IFlow
    from sipactors.message import MessageElements, Response

CHALLENGES = (401, 407, 494)

SURVIVED = ("PRACK", "CANCEL")
"Requests whose 408 or 481 says nothing of the call."


@implementer(IRequestOwner)
class CallingUsage(AnsweringUsage):
    """The asking half of a call: it owns the requests within the dialog, and hears what comes of them."""

    __slots__ = ()

    # ------------------------------------------------------------------ any request but INVITE

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        response = transaction.response
        assert response is not None
        method = transaction.method
        status = response.status
        if status >= 200:
            if method == "BYE":
                # RFC 3261 §15.1.1: the session is over with the BYE, whatever answers it; but a challenge
                # that the application is to answer has not let it in.
                if status in CHALLENGES:
                    self._ending = False
                else:
                    self._over()
            elif method == "UPDATE":
                if self._update_answered(transaction, response):
                    return
            elif method == "PRACK":
                self._offers.response(THEIRS)
            if status in (408, 481) and method != "BYE" and method not in SURVIVED:
                self._peer_gone(transaction, response)
                return
        self.tell("dialog_response_received", transaction, self)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        method = transaction.method
        if method == "BYE":
            self._over()
        elif method == "PRACK":
            self._offers.response(THEIRS)
        else:
            if transaction is self._updating:
                self._updating = None
                self._offers.response(THEIRS)
            self._give_up(error)
        self._tell_failed(error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    def _tell_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        silent = transaction is self._refreshing
        if silent:
            self._refreshing = None
            if self._timer is not None:
                self._timer.try_again(None)
        self.tell("usage_failed", error, self, None if silent else transaction)

    def _give_up(self, error: SIPError) -> None:
        # RFC 3261 §12.2.1.2: "if no response at all is received for the request (the client transaction
        # would inform the TU about the timeout), the UAC SHOULD terminate the dialog".
        if isinstance(error, TransactionTimeout) and self.dialog.state == CONFIRMED and not self._ending:
            self._send_bye()

    def _peer_gone(self, transaction: ClientTransaction, response: Response) -> None:
        if self._ending:
            self.tell("dialog_response_received", transaction, self)
            return
        # RFC 3261 §12.2.1.2: "If the response for a request within a dialog is a 481 … or a 408 … the
        # UAC SHOULD terminate the dialog."
        if response.status == 408 and self.dialog.state == CONFIRMED:
            self._send_bye()
        else:
            self._over()
        self._tell_failed(TerminatedWithResponse(f"{response.status}"), transaction)

    def _send_bye(self) -> None:
        self._ending = True
        if self._timer is not None and self._timer.state != TERMINATED:
            self._timer.feed("ENDED")
        self._drop_retry()
        hold = bool(self._acceptances)
        transaction = self.send("BYE", None, hold=hold)
        if hold:
            self._held_bye = transaction

    # ------------------------------------------------------------------ UPDATE

    def _update_answered(self, transaction: ClientTransaction, response: Response) -> bool:
        """Take the final answer to an UPDATE; gives whether the application need not hear of it."""
        self._updating = None
        self._offers.response(THEIRS)
        silent = transaction is self._refreshing
        if response.status < 300:
            self.dialog.refresh_target(response)
            if self.session_timer:
                self.timer.answered(response)
            if silent:
                self._refreshing = None
            return silent
        if self._retries(transaction, response):
            return True
        if silent and response.status not in (408, 481):
            self._refreshing = None
            self.timer.try_again(None)
        return silent and response.status not in (408, 481)

    def _retries(self, transaction: ClientTransaction, response: Response) -> bool:
        """Send a refused UPDATE again, now or later, if that makes sense."""
        if self._ending or self._closed or transaction.tries >= MAX_TRIES:
            return False
        if self.session_timer and response.status == 422 and self.timer.refused(response):
            self._update_again(transaction)
            return True
        seconds = self.wait_for_glare(transaction, response)
        if seconds is None:
            return False
        self._retrying = transaction
        transaction.wait(seconds, lambda: self._update_waited(transaction))
        return True

    def wait_for_glare(self, transaction: ClientTransaction, response: Response) -> float | None:
        """Seconds after which a request that met the peer's own goes again, or None."""
        if not self.glare and transaction is not self._refreshing:
            return None
        return waiting_time(response, self.dialog.initiator, self.host.dispatcher.dice)

    def _update_waited(self, transaction: ClientTransaction) -> None:
        if self._update is not None or (carries_session(transaction.request) and self._offers.pending):
            again = glare_wait(self.dialog.initiator, self.host.dispatcher.dice)
            transaction.wait(again, lambda: self._update_waited(transaction))
        else:
            self._retrying = None
            self._update_again(transaction)

    def _update_again(self, transaction: ClientTransaction) -> None:
        self._updating = transaction
        self._offers.request(OURS, carries_session(transaction.request))
        transaction.redirect(*self.dialog.address())
        transaction.resend()

    # ------------------------------------------------------------------ INVITE

    def begin_inviting(self, inviting: Inviting, transaction: ClientTransaction) -> None:
        """An INVITE of ours goes out, for the first time or again."""
        self._inviting = inviting
        self._retrying = None
        self._rseq = self._unpracked = None
        self._offers.invite(OURS, carries_session(transaction.request))

    def invite_answered(self) -> None:
        """Our INVITE has its final response, or will have none."""
        self._inviting = None

    def invite_waits(self, transaction: ClientTransaction) -> None:
        """Our INVITE was refused by a glare and waits to be sent again; the peer's may come meanwhile."""
        self._inviting = None
        self._offers.refused()
        self._retrying = transaction

    @property
    def may_invite(self) -> bool:
        """Whether an INVITE that has waited may go now: none is under way in either direction."""
        return self._invitation is None and not self._acceptances and self._offers.pending is None

    def provisional_received(self, transaction: ClientTransaction, response: Response, forked: bool) -> None:
        """A provisional response to an INVITE of this usage."""
        reliable = is_reliable(response)
        offered = False
        if reliable:
            if not follows(response, self._rseq):
                self.host.dispatcher.metrics.retransmissions_received += 1
                return
            self._rseq = response.cseq.number, response.typed("RSeq")
            self._unpracked = transaction, response
            offered = self._offers.reliable_response(THEIRS, carries_session(response))
        if transaction is not self._refreshing:
            self.tell("dialog_forked" if forked else "dialog_response_received", transaction, self)
        if reliable and self.reliable and not offered:
            self._prack_at_once(response)

    def _prack_at_once(self, response: Response) -> None:
        # Unless the observer has sent it, or has ended the call.
        if self._unpracked is None or self._unpracked[1] is not response or self._ending:
            return
        self._unpracked = None
        try:
            self.send("PRACK", None, headers=[("RAck", rack_for(response))], owner=UNHEARD)
        except InvalidDialogState:
            return  # Without a Contact there is nowhere to send it.

    def accepted(self, transaction: ClientTransaction, response: Response) -> None:
        """A 2xx came for the first time: acknowledge it when it is the stack's to do so."""
        self.dialog.accept_response(response)
        self.invite_answered()
        offered = self._offers.reliable_response(THEIRS, carries_session(response))
        if not offered and self._offers.pending == OURS:
            self._offers.refused()
        if self.session_timer:
            self.timer.answered(response)
        if self._closed or (self.auto_ack and not offered) or transaction is self._refreshing:
            self.ack(transaction)

    def answer_told(self, transaction: ClientTransaction) -> None:
        """End a call that nobody wants any more, after the observer has heard of its 2xx."""
        # RFC 3261 §15: a CANCEL that crossed the 200 had no effect; the BYE ends the call instead.
        unwanted = self._closed or (transaction.canceled and self.bye_after_cancel)
        if not unwanted or self._ending or self.dialog.state != CONFIRMED:
            return
        if self._ack is None:
            self.ack(transaction)
        self._send_bye()

    def ack(self, transaction: ClientTransaction, elements: MessageElements | None = None) -> None:
        """Acknowledge the 2xx of an INVITE; repeated 2xxs are then acknowledged by themselves.

        Raises InvalidDialogState when there is no 2xx to acknowledge.
        """
        self.host.check_elements(elements)
        sequence = transaction.request.cseq.number
        response = transaction.response
        answered = response is not None and 200 <= response.status < 300
        if not answered or (self._ack is not None and self._ack[0] == sequence):
            raise InvalidDialogState("there is no 2xx to acknowledge")
        # RFC 3261 §13.2.2.4: "The sequence number of the CSeq header field MUST be the same as the
        # INVITE being acknowledged".
        request, next_hop = self.dialog.make_request("ACK", sequence)
        if elements is not None:
            elements.apply(request)
        self._remember(request)
        self._offers.acknowledged()
        self._ack = (sequence, None, b"")
        self.host.send_ack(request, next_hop, self._ack_sent, transaction)

    def repeat_ack(self, response: Response) -> bool:
        """Send the ACK again if this 2xx has had one; gives whether it had."""
        if self._ack is None or self._ack[0] != response.cseq.number:
            return False
        _, flow, wire = self._ack
        if flow is not None:
            self.host.dispatcher.metrics.retransmissions_sent += 1
            flow.send(wire)
        return True

    def _ack_sent(self, flow: IFlow, wire: bytes) -> None:
        if self._ack is not None:
            self._ack = (self._ack[0], flow, wire)

    def modification_refused(self, transaction: ClientTransaction, response: Response) -> None:
        """A further INVITE was refused: the session stays as it was (RFC 3261 §14.1)."""
        self._offers.refused()
        if response.status in (408, 481):
            self._peer_gone(transaction, response)
        elif transaction is self._refreshing:
            self._refreshing = None
            self.timer.try_again(None)
        else:
            self.tell("dialog_response_received", transaction, self)

    def modification_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """A further INVITE got no answer: RFC 3261 §14.1 ends the call after a timeout."""
        self._offers.refused()
        self._give_up(error)
        self._tell_failed(error, transaction)

    def refresh_accepted(self, transaction: ClientTransaction) -> bool:
        """Whether a 2xx was for a silent refresh of the session, which is done now."""
        if transaction is not self._refreshing:
            return False
        self._refreshing = None
        return True
