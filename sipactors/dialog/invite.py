"""A call, as far as one dialog carries it: INVITE, ACK, BYE and what goes on between (RFC 3261 §13-§15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.dialog.acceptance import Acceptance
from sipactors.dialog.dialog import CONFIRMED, EARLY, INIT, Dialog
from sipactors.dialog.inviting import Inviting
from sipactors.dialog.making import answer_dialog, make_dialog
from sipactors.dialog.usage import Usage
from sipactors.errors import (
    ArgumentError,
    InvalidDialogState,
    NoAckReceived,
    RequestPending,
    SIPError,
    TerminatedWithResponse,
)
from sipactors.interfaces import IRequestOwner
from sipactors.message import as_address

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from sipactors.client.transactions import ClientTransaction, ServerTransaction
    from sipactors.interfaces import IConnectionObserver, IDialogHost, IFlow
    from sipactors.message import URI, Address, MessageElements, Request, Response

OWN_METHODS = frozenset(
    ["REGISTER", "INVITE", "BYE", "CANCEL", "SUBSCRIBE", "NOTIFY", "UPDATE", "PRACK", "REFER", "ACK"]
)
"Methods that `send_request` refuses: each has a call of its own."


@implementer(IRequestOwner)
class InviteUsage(Usage):
    """The session between two user agents, from the first INVITE to the BYE.

    Make one with `outgoing` or `incoming`. Policies are plain attributes: `auto_ack` acknowledges a 2xx
    by itself (unless the 2xx carries the offer, which the application must answer in `ack`);
    `auto_bye` answers a BYE with 200 when the application has not; `bye_after_cancel` ends a call whose
    200 crossed our CANCEL.
    """

    __slots__ = (
        "_acceptance",
        "_ack",
        "_ending",
        "_held_bye",
        "_invitation",
        "_inviting",
        "auto_ack",
        "auto_bye",
        "bye_after_cancel",
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
        self.auto_ack = True
        self.auto_bye = True
        self.bye_after_cancel = True
        self._inviting: Inviting | None = None
        self._invitation: ServerTransaction | None = None
        self._acceptance: Acceptance | None = None
        self._ack: tuple[int, IFlow | None, bytes] | None = None
        self._held_bye: ClientTransaction | None = None
        self._ending = False

    # ------------------------------------------------------------------ how one is made

    @classmethod
    def outgoing(
        cls,
        connection: Any,
        remote_uri: URI | str,
        *,
        context: Any = None,
        from_: Address | URI | str | None = None,
        to: Address | URI | str | None = None,
        contact: Address | str | None = None,
        observer: IConnectionObserver | None = None,
    ) -> InviteUsage:
        """A call that we make; nothing is sent before `invite`.

        `context` is an active registration, which gives From and the route; else `from_` is required.
        Raises ArgumentError, ResourceNotAvailable.
        """
        dialog = make_dialog(connection, remote_uri, context=context, from_=from_, to=to)
        return cls(connection, dialog, observer, None if contact is None else as_address(contact, "Contact"))

    @classmethod
    def incoming(
        cls,
        transaction: ServerTransaction,
        context: Any = None,
        *,
        contact: Address | str | None = None,
        observer: IConnectionObserver | None = None,
    ) -> InviteUsage:
        """The call that an INVITE of the peer's asks for; its responses go by `transaction.respond`.

        Raises ArgumentError unless it is the first INVITE of a call, InvalidTransactionState when it is
        answered already.
        """
        dialog = answer_dialog(transaction, "INVITE")
        given = None if contact is None else as_address(contact, "Contact")
        usage = cls(dialog.host, dialog, observer, given)
        usage._invitation = transaction
        transaction.usage = usage
        return usage

    @classmethod
    def in_dialog(cls, dialog: Dialog, *, observer: IConnectionObserver | None = None) -> InviteUsage:
        """A call within a dialog that another usage made, or that is used again after `reuse()`."""
        return cls(dialog.host, dialog, observer)

    def fork(self) -> InviteUsage:
        """The usage of another dialog that the same INVITE made; the application owns it."""
        usage = type(self)(self.host, self.dialog.fork(self.host), self._observer, self._given_contact)
        usage.auto_ack, usage.auto_bye = self.auto_ack, self.auto_bye
        usage.bye_after_cancel = self.bye_after_cancel
        usage._closed = self._closed
        return usage

    # ------------------------------------------------------------------ requests of ours

    def invite(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Send the INVITE that begins the call, or one that changes it (RFC 3261 §13.2, §14.1).

        Raises RequestPending while another INVITE of either side waits, InvalidDialogState when the
        dialog is neither new nor confirmed, ResourceNotAvailable, TransportFailure.
        """
        self.check_open()
        # RFC 3261 §14.1: "a UAC MUST NOT initiate a new INVITE transaction within a dialog while
        # another INVITE transaction is in progress in either direction."
        if self._inviting is not None or self._invitation is not None:
            raise RequestPending("another INVITE of this call is pending")
        self.check_state(INIT, CONFIRMED)
        if self._ending:
            raise InvalidDialogState("the call is ending")
        inviting = Inviting(self, elements is None or not elements.body)
        self._inviting = inviting
        try:
            inviting.transaction = self.send("INVITE", elements, prepare=self._prepare, owner=inviting)
        except BaseException:
            self._inviting = None
            raise
        return inviting.transaction

    def ack(self, transaction: ClientTransaction, elements: MessageElements | None = None) -> None:
        """Acknowledge the 2xx of an INVITE; repeated 2xxs are then acknowledged by themselves.

        Raises InvalidDialogState when there is no 2xx to acknowledge.
        """
        self.host.check_elements(elements)
        sequence = transaction.request.cseq.number
        if self.dialog.remote_target is None or (self._ack is not None and self._ack[0] == sequence):
            raise InvalidDialogState("there is no 2xx to acknowledge")
        # RFC 3261 §13.2.2.4: "The sequence number of the CSeq header field MUST be the same as the
        # INVITE being acknowledged".
        request, next_hop = self.dialog.make_request("ACK", sequence)
        if elements is not None:
            elements.apply(request)
        self._ack = (sequence, None, b"")
        self.host.send_ack(request, next_hop, self._ack_sent, transaction)

    def bye(self, elements: MessageElements | None = None) -> ClientTransaction:
        """End the call (RFC 3261 §15.1.1). Before the ACK of our 2xx came, the BYE waits for it.

        Raises InvalidDialogState unless the dialog is confirmed, or early on the calling side.
        """
        self.check_open()
        if self._ending:
            raise InvalidDialogState("the call is ending")
        # RFC 3261 §15: "The caller's UA MAY send a BYE for either confirmed or early dialogs, and the
        # callee's UA MAY send a BYE on confirmed dialogs, but MUST NOT send a BYE on early dialogs."
        self.check_state(CONFIRMED, *([EARLY] if self.dialog.initiator else []))
        # RFC 3261 §15: "the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received
        # an ACK for its 2xx response or until the server transaction times out."
        wait = self._acceptance is not None
        transaction = self.send("BYE", elements, hold=wait)
        self._ending = True
        if wait:
            self._held_bye = transaction
        return transaction

    def update(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Change the session without an INVITE (RFC 3311); raises InvalidDialogState before a dialog is."""
        self.check_open()
        self.check_state(EARLY, CONFIRMED)
        return self.send("UPDATE", elements, prepare=self._prepare)

    def send_request(self, method: str, elements: MessageElements | None = None) -> ClientTransaction:
        """Send INFO or another request that has no call of its own.

        Raises ArgumentError for a method that has one.
        """
        if method in OWN_METHODS:
            raise ArgumentError(f"{method} has a call of its own")
        self.check_open()
        self.check_state(EARLY, CONFIRMED)
        return self.send(method, elements)

    def _prepare(self, request: Request, flow: IFlow) -> None:
        self.put_contact(request, flow)

    # ------------------------------------------------------------------ responses to ours

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        response = transaction.response
        assert response is not None
        method = transaction.method
        if response.status >= 200:
            if method == "BYE":
                # RFC 3261 §15.1.1: the session is over with the BYE, whatever answers it; but a challenge
                # that the application is to answer has not let it in.
                if response.status in (401, 407, 494):
                    self._ending = False
                else:
                    self._over()
            elif response.status in (408, 481):
                self._peer_gone(transaction, response)
                return
            elif method == "UPDATE" and response.status < 300:
                self.dialog.refresh_target(response)
        self.tell("dialog_response_received", transaction, self)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        if transaction.method == "BYE":
            self._over()
        self.tell("usage_failed", error, self, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    def _peer_gone(self, transaction: ClientTransaction, response: Response) -> None:
        # RFC 3261 §12.2.1.2: "If the response for a request within a dialog is a 481 … or a 408 … the
        # UAC SHOULD terminate the dialog."
        if response.status == 408 and self.dialog.state == CONFIRMED and not self._ending:
            self._ending = True
            self.send("BYE", None)
        else:
            self._over()
        self.tell("usage_failed", TerminatedWithResponse(f"{response.status}"), self, transaction)

    def provisional_received(
        self, transaction: ClientTransaction, response: Response, told: bool = False
    ) -> None:
        """A provisional response to an INVITE of this usage."""
        if not told:
            self.tell("dialog_response_received", transaction, self)

    def accepted(self, transaction: ClientTransaction, response: Response, inviting: Inviting) -> None:
        """A 2xx came for the first time: acknowledge it when it is the stack's to do so."""
        if self._closed or (self.auto_ack and not (inviting.bodiless and response.body)):
            self.ack(transaction)

    def answer_told(self, transaction: ClientTransaction) -> None:
        """End a call that nobody wants any more, after the observer has heard of its 2xx."""
        # RFC 3261 §15: a CANCEL that crossed the 200 had no effect; the BYE ends the call instead.
        unwanted = self._closed or (transaction.canceled and self.bye_after_cancel)
        if not unwanted or self._ending or self.dialog.state != CONFIRMED:
            return
        if self._ack is None:
            self.ack(transaction)
        self._ending = True
        self.send("BYE", None)

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

    def invite_answered(self) -> None:
        """Our INVITE has its final response, or will have none."""
        self._inviting = None

    def modification_refused(self, transaction: ClientTransaction, response: Response) -> None:
        """A further INVITE was refused: the session stays as it was (RFC 3261 §14.1)."""
        if response.status in (408, 481):
            self._peer_gone(transaction, response)
            return
        self.tell("dialog_response_received", transaction, self)

    def modification_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """A further INVITE got no answer: RFC 3261 §14.1 ends the call."""
        if self.dialog.state == CONFIRMED and not self._ending:
            self._ending = True
            self.send("BYE", None)
        self.tell("usage_failed", error, self, transaction)

    # ------------------------------------------------------------------ requests of the peer's

    def request_received(self, transaction: ServerTransaction) -> None:
        """Take a request of the peer's within the call."""
        method = transaction.request.method
        if method == "ACK":
            self._acknowledged(transaction)
            return
        transaction.usage = self
        if method == "BYE":
            self._bye_received(transaction)
            return
        if self._ending:
            # RFC 5407 §3.1.5: a request that crossed our BYE finds no call any more.
            transaction.answer(481)
            return
        if method == "INVITE":
            if self._inviting is not None:
                # RFC 3261 §14.2: "A UAS that receives an INVITE on a dialog while an INVITE it had sent
                # on that dialog is in progress MUST return a 491 (Request Pending)".
                transaction.answer(491)
                return
            if self._invitation is not None or self._acceptance is not None:
                # RFC 3261 §14.2: a second INVITE before the final response to the first: 500 with a
                # Retry-After "of between 0 and 10 seconds".
                transaction.answer(500, [("Retry-After", str(self.host.dispatcher.dice.below(11)))])
                return
            self._invitation = transaction
        self.tell("dialog_request_received", transaction, self.dialog)

    def _acknowledged(self, transaction: ServerTransaction) -> None:
        acceptance = self._acceptance
        if acceptance is None or acceptance.sequence != transaction.request.cseq.number:
            return
        acceptance.feed("ACK")
        self._acceptance = None
        transaction.usage = self
        self.tell("dialog_request_received", transaction, self.dialog)
        self._release_bye()

    def not_acknowledged(self, transaction: ServerTransaction) -> None:
        """No ACK in 64*T1: the application is told, and may still send BYE (RFC 3261 §13.3.1.4)."""
        self._acceptance = None
        self.tell("usage_failed", NoAckReceived("the 2xx was never acknowledged"), self, transaction)
        self._release_bye()

    def _release_bye(self) -> None:
        if self._held_bye is not None:
            held, self._held_bye = self._held_bye, None
            held.release()

    def _bye_received(self, transaction: ServerTransaction) -> None:
        if self._acceptance is not None:
            # RFC 3261 §15: a BYE before the ACK is accepted; the 200 need not be sent any more.
            self._acceptance.feed("CLOSED")
            self._acceptance = None
        if self._invitation is not None:
            # RFC 3261 §15.1.2: pending requests of the dialog are answered, with a 487 recommended.
            invitation, self._invitation = self._invitation, None
            invitation.answer(487)
        self.tell("dialog_request_received", transaction, self.dialog)
        if transaction.response_allowed and (self.auto_bye or self._closed):
            transaction.answer(200)

    # ------------------------------------------------------------------ responses of ours

    def prepare_response(self, response: Response, transaction: ServerTransaction) -> None:
        """See Usage."""
        if transaction.request.method in ("INVITE", "UPDATE") and response.status < 300:
            # RFC 3261 §12.1.1: a response that makes a dialog has a Contact, also one to UPDATE.
            self.put_contact(response, transaction.flow)

    def response_sent(self, response: Response, transaction: ServerTransaction) -> None:
        """See Usage."""
        status = response.status
        method = transaction.request.method
        if method == "INVITE":
            if status < 200:
                self.dialog.feed("1xx")
                return
            if transaction is self._invitation:
                self._invitation = None
            if status < 300:
                self.dialog.feed("2xx")
                self._acceptance = Acceptance(self, transaction)
            elif self.dialog.state != CONFIRMED:
                self.end()
        elif method == "BYE" and status >= 200 and status not in (401, 407):
            # RFC 3261 §22.1: a BYE that is challenged is not let in yet; it will come again.
            self._over()

    def request_canceled(self, transaction: ServerTransaction) -> None:
        """See Usage."""
        self.tell("invite_canceled", transaction)

    def server_transaction_failed(self, error: Exception, transaction: ServerTransaction) -> None:
        """See Usage."""
        if transaction.request.method == "BYE":
            self._over()
        super().server_transaction_failed(error, transaction)

    # ------------------------------------------------------------------ the end

    def shutdown(self) -> Deferred[Any] | None:
        """End the call as its state allows: BYE, CANCEL or 503; gives the Deferred of the answer, or None."""
        if self._invitation is not None and self.dialog.state != CONFIRMED:
            self._invitation.answer(503)
            return None
        if self._inviting is not None and self._inviting.transaction.cancel_allowed:
            self._inviting.transaction.cancel()
            return self._inviting.transaction.final_response()
        if self.dialog.state == CONFIRMED and not self._ending:
            return self.bye().final_response()
        return None

    def _over(self) -> None:
        self._ending = True
        if self._acceptance is not None:
            self._acceptance.feed("CLOSED")
            self._acceptance = None
        self.end()

    def close(self) -> None:
        """Give the call up without sending anything; a 2xx that still comes is ACKed and ended with BYE."""
        if self._acceptance is not None:
            self._acceptance.feed("CLOSED")
            self._acceptance = None
        super().close()
