"""The call as the peer's requests meet it: INVITE, ACK, BYE, UPDATE, PRACK, and our answers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sipactors.actor import TERMINATED
from sipactors.dialog.acceptance import Acceptance
from sipactors.dialog.dialog import CONFIRMED
from sipactors.dialog.offers import OURS, THEIRS, Offers, carries_session
from sipactors.dialog.reliable import Reliability, wants_reliable
from sipactors.dialog.session_timer import SessionTimer
from sipactors.dialog.usage import Usage
from sipactors.errors import MalformedMessage, NoAckReceived, TransactionTimeout

if TYPE_CHECKING:
    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.dialog import Dialog
    from sipactors.dialog.invite import InviteUsage
    from sipactors.dialog.inviting import Inviting
    from sipactors.interfaces import IConnectionObserver, IDialogHost, IFlow
    from sipactors.message import Address, Message, Request, Response


class AnsweringUsage(Usage):
    """The answering half of a call: both sides of one have it, for each may be asked by the other."""

    __slots__ = (
        "_acceptances",
        "_ack",
        "_description",
        "_ending",
        "_held_bye",
        "_invitation",
        "_inviting",
        "_offers",
        "_refreshing",
        "_reliability",
        "_retrying",
        "_rseq",
        "_timer",
        "_unpracked",
        "_update",
        "_updating",
        "auto_ack",
        "auto_bye",
        "bye_after_cancel",
        "follow_redirects",
        "glare",
        "reliable",
        "session_expires",
        "session_timer",
        "transaction",
    )

    METHODS = frozenset(("INVITE", "ACK", "BYE", "UPDATE", "PRACK", "INFO"))

    def __init__(
        self,
        host: IDialogHost,
        dialog: Dialog,
        observer: IConnectionObserver | None = None,
        contact: Address | None = None,
    ) -> None:
        super().__init__(host, dialog, observer, contact)
        supported = host.supported
        self.auto_ack = True
        self.auto_bye = True
        self.bye_after_cancel = True
        self.follow_redirects = False
        self.glare = True
        self.reliable = "100rel" in supported
        self.session_timer = "timer" in supported
        self.session_expires = 1800
        self._offers = Offers()
        self._inviting: Inviting | None = None
        self._retrying: ClientTransaction | None = None
        self._updating: ClientTransaction | None = None
        self._refreshing: ClientTransaction | None = None
        self._invitation: ServerTransaction | None = None
        self._update: ServerTransaction | None = None
        self._acceptances: dict[int, Acceptance] = {}
        self._reliability: Reliability | None = None
        self._timer: SessionTimer | None = None
        self._description: tuple[bytes, str | None] | None = None
        self._rseq: tuple[int, int] | None = None
        self._unpracked: tuple[ClientTransaction, Response] | None = None
        self._ack: tuple[int, IFlow | None, bytes] | None = None
        self._held_bye: ClientTransaction | None = None
        self._ending = False
        self.transaction: ClientTransaction | None = None
        "Our last INVITE, or None."

    # ------------------------------------------------------------------ requests of the peer's

    def concerns(self, request: Request) -> bool:
        """See Usage. While the last usage ends, it takes all requests, to refuse them."""
        return request.method in self.METHODS or (self._ending and len(self.dialog.usages) == 1)

    def request_received(self, transaction: ServerTransaction) -> None:
        """Take a request of the peer's within the call."""
        method = transaction.request.method
        if method == "ACK":
            self._ack_received(transaction)
            return
        transaction.usage = self
        if method == "BYE":
            self._bye_received(transaction)
        elif self._ending:
            # RFC 5407 §3.2.2, §3.3.3: a request that crossed our BYE finds no call any more.
            transaction.answer(481)
        elif method == "INVITE":
            self._invite_received(transaction)
        elif method == "UPDATE":
            self._update_received(transaction)
        elif method == "PRACK":
            self._prack_received(transaction)
        else:
            self.tell("dialog_request_received", transaction, self.dialog)

    def _overlaps(self, transaction: ServerTransaction) -> None:
        # RFC 3261 §14.2, RFC 3311 §5.2: "MUST include a Retry-After header field with a randomly chosen
        # value of between 0 and 10 seconds".
        transaction.answer(500, [("Retry-After", str(self.host.dispatcher.dice.below(11)))])

    def begin_invitation(self, transaction: ServerTransaction) -> None:
        """An INVITE of the peer's waits for our answer from now on."""
        self._invitation = transaction
        self._reliability = None
        self._offers.invite(THEIRS, carries_session(transaction.request))

    def _invite_received(self, transaction: ServerTransaction) -> None:
        pending = self._offers.pending
        if self._inviting is not None or pending == OURS:
            # RFC 3261 §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that
            # dialog is in progress MUST return a 491 (Request Pending)"; RFC 5407 §3.1.5 and §3.3.2: also
            # while an offer of ours in a 2xx, a PRACK or an UPDATE waits for its answer.
            transaction.answer(491)
        elif self._invitation is not None or pending == THEIRS:
            # RFC 3261 §14.2: "A UAS that receives a second INVITE before it sends the final response to a
            # first INVITE … MUST return a 500".
            self._overlaps(transaction)
        else:
            self.begin_invitation(transaction)
            self.tell("dialog_request_received", transaction, self.dialog)

    def _ack_received(self, transaction: ServerTransaction) -> None:
        acceptance = self._acceptances.pop(transaction.request.cseq.number, None)
        if acceptance is None:
            self.host.dispatcher.metrics.stray_acks += 1
            return
        acceptance.feed("ACK")
        self._offers.acknowledged()
        transaction.usage = self
        self.tell("dialog_request_received", transaction, self.dialog)
        self._release_bye()

    def not_acknowledged(self, transaction: ServerTransaction) -> None:
        """No ACK in 64*T1: the application is told, and may still send BYE (RFC 3261 §13.3.1.4)."""
        self._acceptances.pop(transaction.request.cseq.number, None)
        self._offers.acknowledged()
        self.tell("usage_failed", NoAckReceived("the 2xx was never acknowledged"), self, transaction)
        self._release_bye()

    def _release_bye(self) -> None:
        if self._held_bye is not None and not self._acceptances:
            held, self._held_bye = self._held_bye, None
            held.release()

    def _bye_received(self, transaction: ServerTransaction) -> None:
        # RFC 5407 §3.1.3, §3.1.6: a BYE before the ACK ends the call; the 2xx need not be sent any more.
        self._forget_acceptances()
        self.tell("dialog_request_received", transaction, self.dialog)
        if transaction.response_allowed and (self.auto_bye or self._closed):
            transaction.answer(200)

    def _end_invitation(self) -> None:
        if self._invitation is not None:
            # RFC 3261 §15.1.2: pending requests of the dialog are answered, with a 487 recommended.
            invitation, self._invitation = self._invitation, None
            invitation.answer(487)
        if self._update is not None:
            update, self._update = self._update, None
            update.answer(487)

    def _update_received(self, transaction: ServerTransaction) -> None:
        carries = carries_session(transaction.request)
        pending = self._offers.pending
        if self._update is not None or (carries and pending == THEIRS):
            # RFC 3311 §5.2: an UPDATE "before it has generated a final response to a previous UPDATE", or
            # one with an offer while an offer waits for our answer: 500.
            self._overlaps(transaction)
            return
        if carries and pending == OURS:
            # RFC 3311 §5.2: "the UAS MUST reject the UPDATE with a 491 response".
            transaction.answer(491)
            return
        self._offers.request(THEIRS, carries)
        self._update = transaction
        if self._timer is not None and self.session_timer and not transaction.request.body:
            # A refresh of the session that changes nothing is none of the application's business.
            transaction.answer(200)
            return
        self.tell("dialog_request_received", transaction, self.dialog)

    # ------------------------------------------------------------------ PRACK

    def _prack_received(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        rack = request.typed("RAck")
        if rack is None:
            raise MalformedMessage(400, "RAck: missing", request)
        reliability = self._reliability
        if reliability is None or not reliability.matches(rack):
            # RFC 3262 §3: a PRACK "that does not match any unacknowledged reliable provisional response":
            # "the UAS MUST respond to the PRACK with a 481".
            transaction.answer(481)
            return
        carries = carries_session(request)
        if carries and self._offers.pending == OURS and not reliability.owes_session:
            transaction.answer(491)
            return
        reliability.feed("PRACK")
        reliability.answering = True
        offers = self._offers.request(THEIRS, carries)
        self.tell("dialog_request_received", transaction, self.dialog)
        if transaction.response_allowed and not (offers and not self._closed):
            transaction.answer(200)

    def not_pracked(self, transaction: ServerTransaction) -> None:
        """No PRACK in 64*T1: the INVITE is refused, as RFC 3262 §3 says, with a 5xx."""
        self._reliability = None
        transaction.answer(504)
        error = TransactionTimeout("a reliable provisional response was never acknowledged")
        self.tell("usage_failed", error, self, transaction)

    # ------------------------------------------------------------------ responses of ours

    def holds_back(self, response: Response, transaction: ServerTransaction) -> bool:
        """See Usage."""
        if transaction is not self._invitation:
            return False
        reliability = self._reliability
        if reliability is None:
            # RFC 3262 §3: reliability is decided by the first provisional response.
            if response.status >= 200 or not wants_reliable(transaction.request, self.reliable):
                return False
            self._reliability = Reliability(self, transaction)
            return False
        return reliability.holds_back(response)

    def prepare_response(self, response: Response, transaction: ServerTransaction) -> None:
        """See Usage."""
        status = response.status
        if status >= 300:
            return
        method = transaction.request.method
        if method not in ("INVITE", "UPDATE"):
            return
        # RFC 3261 §12.1.1: a response that makes a dialog has a Contact, also one to UPDATE.
        self.put_contact(response, transaction.flow)
        if status < 200:
            if self._reliability is not None and transaction is self._invitation:
                self._reliability.prepare(response)
        elif self.session_timer:
            self.timer.put_response(response, transaction.request)

    @property
    def timer(self) -> SessionTimer:
        """The session timer, made on first use."""
        if self._timer is None:
            self._timer = SessionTimer(cast("InviteUsage", self))
        return self._timer

    def response_sent(self, response: Response, transaction: ServerTransaction) -> None:
        """See Usage."""
        status = response.status
        method = transaction.request.method
        if method == "INVITE":
            self._invite_response_sent(response, transaction, status)
        elif status < 200:
            return
        elif method == "UPDATE":
            self._update_response_sent(response, transaction)
        elif method == "PRACK":
            self._offers.response(OURS)
            if self._reliability is not None:
                self._reliability.go_on()
        elif method == "BYE" and status not in (401, 407):
            # RFC 3261 §22.1: a BYE that is challenged is not let in yet; it will come again.
            self._over()

    def _invite_response_sent(self, response: Response, transaction: ServerTransaction, status: int) -> None:
        if transaction is not self._invitation:
            return
        reliability = self._reliability
        if status < 200:
            self.dialog.feed("1xx")
            if reliability is not None:
                self._offers.reliable_response(OURS, carries_session(response))
                self._remember(response)
                reliability.sent(response)
            return
        self._invitation = None
        if reliability is not None:
            reliability.sent(response)
        if status < 300:
            carries = carries_session(response)
            if not self._offers.reliable_response(OURS, carries) and self._offers.pending == THEIRS:
                self._offers.refused()
            self._remember(response)
            self.dialog.feed("2xx")
            if self.session_timer:
                self.timer.granted(response, transaction.request)
            acceptance = Acceptance(self, transaction)
            self._acceptances[acceptance.sequence] = acceptance
            return
        self._offers.refused()
        if self.dialog.state != CONFIRMED:
            self._over()

    def _update_response_sent(self, response: Response, transaction: ServerTransaction) -> None:
        if transaction is self._update:
            self._update = None
            self._offers.response(OURS)
            if response.status < 300:
                self._remember(response)
                if self.session_timer:
                    self.timer.granted(response, transaction.request)

    def _remember(self, message: Message) -> None:
        """Keep what we last said of our session, for a refresh by INVITE (RFC 4028 §7.4)."""
        if self.session_timer and carries_session(message):
            self._description = (message.body, message.get("Content-Type"))

    def request_canceled(self, transaction: ServerTransaction) -> None:
        """See Usage."""
        self.tell("invite_canceled", transaction)

    def server_transaction_failed(self, error: Exception, transaction: ServerTransaction) -> None:
        """See Usage."""
        if transaction.request.method == "BYE":
            self._over()
        if transaction is self._update:
            self._update = None
            self._offers.response(OURS)
        super().server_transaction_failed(error, transaction)

    # ------------------------------------------------------------------ the end

    def _forget_acceptances(self) -> None:
        while self._acceptances:
            self._acceptances.popitem()[1].feed("CLOSED")

    def _stop(self) -> None:
        """Let no timer of this call run any more."""
        self._forget_acceptances()
        if self._reliability is not None:
            self._reliability.feed("CLOSED")
            self._reliability = None
        if self._timer is not None and self._timer.state != TERMINATED:
            self._timer.feed("ENDED")
        self._drop_retry()

    def _drop_retry(self) -> None:
        """Never send what waits after a glare."""
        if self._retrying is not None:
            retrying, self._retrying = self._retrying, None
            self.host.release(retrying)
            retrying.close()

    def _over(self) -> None:
        self._ending = True
        self._end_invitation()
        self._stop()
        self.end()

    def close(self) -> None:
        """Give the call up without sending anything; a 2xx that still comes is ACKed and ended with BYE."""
        self._stop()
        super().close()
