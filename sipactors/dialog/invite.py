"""A call, as far as one dialog carries it: INVITE, ACK, BYE and what goes on between (RFC 3261 §13-§15)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.dialog.calling import CallingUsage
from sipactors.dialog.dialog import CONFIRMED, EARLY, INIT, Dialog
from sipactors.dialog.inviting import Inviting
from sipactors.dialog.making import answer_dialog, make_dialog
from sipactors.dialog.offers import OURS, Offers, carries_session, is_session
from sipactors.dialog.prack import rack_for
from sipactors.dialog.reliable import REL
from sipactors.dialog.session_timer import TIMER
from sipactors.errors import (
    ArgumentError,
    InvalidDialogState,
    InvalidTransactionState,
    OfferPending,
    RequestPending,
    SIPError,
    TransactionTimeout,
)
from sipactors.interfaces import IRequestOwner
from sipactors.message import MessageElements, as_address

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver, IFlow
    from sipactors.message import URI, Address, Request

OWN_METHODS = frozenset(
    ["REGISTER", "INVITE", "BYE", "CANCEL", "SUBSCRIBE", "NOTIFY", "UPDATE", "PRACK", "REFER", "ACK"]
)
"Methods that `send_request` refuses: each has a call of its own."

POLICIES = (
    *("auto_ack", "auto_bye", "bye_after_cancel", "follow_redirects", "glare"),
    *("reliable", "session_timer", "session_expires"),
)
"The policies that forks inherit and a restart keeps."


@implementer(IRequestOwner)
class InviteUsage(CallingUsage):
    """The session between two user agents, from the first INVITE to the BYE.

    Make one with `outgoing` or `incoming`. Policies are plain attributes, each on or off:

    - `auto_ack` acknowledges a 2xx by itself, unless the 2xx carries the offer, which `ack` must answer;
    - `auto_bye` answers a BYE with 200 when the application has not;
    - `bye_after_cancel` ends a call whose 200 crossed our CANCEL;
    - `reliable` sends provisional responses reliably and answers the peer's with PRACK (RFC 3262); on
      from the start when the client's capabilities support `100rel`;
    - `session_timer` keeps the session alive and ends a dead one (RFC 4028); on from the start when they
      support `timer`; `session_expires` is the interval asked for, in seconds;
    - `glare` sends an INVITE or UPDATE that met the peer's own again after the time of RFC 3261 §14.1;
    - `follow_redirects` tries the contacts of a 3xx (RFC 3261 §8.1.3.4); off from the start.
    """

    __slots__ = ()

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
        usage.begin_invitation(transaction)
        transaction.usage = usage
        return usage

    @classmethod
    def in_dialog(cls, dialog: Dialog, *, observer: IConnectionObserver | None = None) -> InviteUsage:
        """A call within a dialog that another usage made, or that is used again after `reuse()`.

        Raises InvalidDialogState when the dialog has ended, ResourceNotAvailable, TransportFailure.
        """
        dialog.host.check_active()
        if dialog.state == TERMINATED:
            raise InvalidDialogState("the dialog has ended")
        return cls(dialog.host, dialog, observer)

    @classmethod
    def restore(
        cls, connection: Any, saved: Mapping[str, Any], *, observer: IConnectionObserver | None = None
    ) -> InviteUsage:
        """The call that `dialog.save()` described, on a new connection after a restart.

        The session timer goes on; what was pending between the two sides then is lost. Raises
        ArgumentError when `saved` describes no call, ResourceNotAvailable, TransportFailure.
        """
        connection.check_active()
        usages = [usage for usage in saved.get("usages", ()) if usage.get("kind") == "InviteUsage"]
        if len(usages) != 1:
            raise ArgumentError("no call was saved")
        state = usages[0]
        dialog = Dialog.restore(connection, saved)
        contact = state.get("contact")
        usage = cls(connection, dialog, observer, None if contact is None else as_address(contact, "Contact"))
        for name in POLICIES:
            setattr(usage, name, state.get(name, getattr(usage, name)))
        if state.get("description") is not None:
            body, content_type = state["description"]
            usage._description = body.encode("utf-8", "surrogateescape"), content_type
        if state.get("timer") is not None:
            usage.timer.restore(state["timer"])
        return usage

    def save(self) -> dict[str, Any]:
        """See Usage."""
        description = None
        if self._description is not None:
            body, content_type = self._description
            description = [body.decode("utf-8", "surrogateescape"), content_type]
        return {
            "kind": "InviteUsage",
            **{name: getattr(self, name) for name in POLICIES},
            "contact": None if self._given_contact is None else str(self._given_contact),
            "description": description,
            "timer": None if self._timer is None else self._timer.save(),
        }

    def fork(self, transaction: ClientTransaction) -> InviteUsage:
        """The usage of another dialog that the same INVITE made; the application owns it."""
        usage = type(self)(self.host, self.dialog.fork(self.host), self._observer, self._given_contact)
        for name in POLICIES:
            setattr(usage, name, getattr(self, name))
        usage._offers = Offers(OURS if carries_session(transaction.request) else None)
        usage.transaction = transaction
        usage._description = self._description
        usage._closed = self._closed
        return usage

    @property
    def contact(self) -> Address | None:
        """The Contact that the application gave; None: it is made from the flow of each message.

        Set it before an INVITE or UPDATE to be reached elsewhere from then on.
        """
        return self._given_contact

    @contact.setter
    def contact(self, contact: Address | str | None) -> None:
        self._given_contact = None if contact is None else as_address(contact, "Contact")

    @property
    def ending(self) -> bool:
        """True once a BYE of ours has been sent, or the call is over."""
        return self._ending

    @property
    def acknowledged(self) -> bool:
        """True once a 2xx of the peer's has had its ACK."""
        return self._ack is not None

    # ------------------------------------------------------------------ requests of ours

    def invite(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Send the INVITE that begins the call, or one that changes it (RFC 3261 §13.2, §14.1).

        Without a body it asks the peer for the offer, which `ack` then answers. Raises RequestPending
        while another INVITE of either side waits (OfferPending while an offer does), InvalidDialogState
        when the dialog is neither new nor confirmed, ResourceNotAvailable, TransportFailure.
        """
        self.check_open()
        # RFC 3261 §14.1: "a UAC MUST NOT initiate a new INVITE transaction within a dialog while
        # another INVITE transaction is in progress in either direction."
        if self._inviting is not None or self._invitation is not None or self._acceptances:
            raise RequestPending("another INVITE of this call is pending")
        if self._retrying is not None:
            raise RequestPending("a request waits to be sent again after a glare")
        self.check_state(INIT, CONFIRMED)
        if self._ending:
            raise InvalidDialogState("the call is ending")
        self._check_no_offer()
        inviting = Inviting(self)
        transaction = self.send("INVITE", elements, prepare=self._prepare, owner=inviting)
        inviting.transaction = self.transaction = transaction
        self._remember(transaction.request)
        self.begin_inviting(inviting, transaction)
        return transaction

    def _check_no_offer(self) -> None:
        pending = self._offers.pending
        if pending is not None:
            # RFC 3264 §4: no new offer before the last one is answered.
            raise OfferPending(491 if pending == OURS else 500, "an offer waits for its answer")

    def bye(self, elements: MessageElements | None = None) -> ClientTransaction:
        """End the call (RFC 3261 §15.1.1). Before the ACK of our 2xx came, the BYE waits for it.

        `elements` may bring a Reason (RFC 3326). Raises InvalidDialogState unless the dialog is
        confirmed, or early on the calling side.
        """
        self.check_open()
        if self._ending:
            raise InvalidDialogState("the call is ending")
        # RFC 3261 §15: "The caller's UA MAY send a BYE for either confirmed or early dialogs, and the
        # callee's UA MAY send a BYE on confirmed dialogs, but MUST NOT send a BYE on early dialogs."
        self.check_state(CONFIRMED, *([EARLY] if self.dialog.initiator else []))
        # RFC 3261 §15: "the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received
        # an ACK for its 2xx response or until the server transaction times out."
        wait = bool(self._acceptances)
        transaction = self.send("BYE", elements, hold=wait)
        self._ending = True
        if wait:
            self._held_bye = transaction
        if self._timer is not None and self._timer.state != TERMINATED:
            self._timer.feed("ENDED")
        self._drop_retry()
        return transaction

    def update(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Change the session without an INVITE, also before it is answered (RFC 3311).

        Raises RequestPending while another UPDATE of ours waits, OfferPending for an offer while another
        waits, InvalidDialogState unless the dialog is early or confirmed.
        """
        self.check_open()
        self.check_state(EARLY, CONFIRMED)
        if self._ending:
            raise InvalidDialogState("the call is ending")
        if self._updating is not None or self._retrying is not None:
            raise RequestPending("another UPDATE of this call is pending")
        if elements is not None and is_session(elements.body, elements.content_type):
            self._check_no_offer()
            if self._reliability is not None and self._reliability.owes_session:
                # RFC 3311 §5.1: the callee must have had the PRACK for its answer.
                raise OfferPending(500, "the PRACK for the answer has not come")
        transaction = self._updating = self.send("UPDATE", elements, prepare=self._prepare)
        self._remember(transaction.request)
        self._offers.request(OURS, carries_session(transaction.request))
        return transaction

    def prack(
        self, transaction: ClientTransaction, elements: MessageElements | None = None
    ) -> ClientTransaction:
        """Acknowledge the reliable provisional response of our INVITE's `transaction` (RFC 3262 §4).

        The policy `reliable` does so by itself unless the response carries an offer, whose answer goes
        here; an observer may do it first to send an offer. Raises InvalidTransactionState when there is
        nothing to acknowledge in this dialog, OfferPending, InvalidDialogState.
        """
        self.check_open()
        self.check_state(EARLY, CONFIRMED)
        if self._unpracked is None or self._unpracked[0] is not transaction:
            raise InvalidTransactionState("no reliable provisional response waits for a PRACK")
        offers = elements is not None and is_session(elements.body, elements.content_type)
        if offers and self._offers.pending == OURS:
            raise OfferPending(491, "an offer of ours waits for its answer")
        rack = rack_for(self._unpracked[1])
        sent = self.send("PRACK", elements, headers=[("RAck", rack)])
        self._unpracked = None
        self._remember(sent.request)
        self._offers.request(OURS, carries_session(sent.request))
        return sent

    def send_request(self, method: str, elements: MessageElements | None = None) -> ClientTransaction:
        """Send INFO or another request that has no call of its own.

        Raises ArgumentError for a method that has one, InvalidDialogState before the dialog is early.
        """
        if method in OWN_METHODS:
            raise ArgumentError(f"{method} has a call of its own")
        self.check_open()
        self.check_state(EARLY, CONFIRMED)
        if self._ending:
            raise InvalidDialogState("the call is ending")
        return self.send(method, elements)

    def _prepare(self, request: Request, flow: IFlow) -> None:
        self.put_contact(request, flow)
        if self.reliable or self.session_timer or self.host.supported:
            self._put_tags(request)
            if self.session_timer:
                self.timer.put_request(request)

    def _put_tags(self, request: Request) -> None:
        # RFC 3262 §4, RFC 4028 §7.1: an option is in Supported when, and only when, its policy is on.
        tags = request.supported
        off = {REL: not self.reliable, TIMER: not self.session_timer}
        wanted = [tag for tag in tags if not off.get(tag) or tag not in self.host.supported]
        if self.reliable and request.method == "INVITE" and REL not in wanted:
            wanted.append(REL)
        if self.session_timer and TIMER not in wanted:
            wanted.append(TIMER)
        if wanted != tags:
            request.set("Supported", ", ".join(wanted))

    # ------------------------------------------------------------------ the session timer

    def refresh(self) -> bool:
        """Refresh the session, silently (RFC 4028 §7.4); gives whether that can be done now."""
        busy = self._inviting or self._invitation or self._acceptances or self._updating or self._retrying
        if busy or self._ending or self._closed or self._offers.pending is not None:
            return False
        try:
            # RFC 4028 §7.4: "If a UAC knows that its peer supports the UPDATE method, it is RECOMMENDED
            # that UPDATE be used instead of a re-INVITE", without an offer; a re-INVITE has one.
            if self.timer.peer_updates or self._description is None:
                self._refreshing = self.update()
            else:
                body, content_type = self._description
                self._refreshing = self.invite(MessageElements(body=body, content_type=content_type))
        except SIPError:
            return False
        return True

    def session_ran_out(self) -> None:
        """The session was not refreshed in time: it is ended with BYE (RFC 4028 §10)."""
        try:
            self.bye(MessageElements([("Reason", 'SIP;cause=408;text="Session expired"')]))
        except SIPError:
            self._over()
        self.tell("usage_failed", TransactionTimeout("the session was not refreshed in time"), self, None)

    # ------------------------------------------------------------------ the end

    def shutdown(self) -> Deferred[Any] | None:
        """End the call as its state allows: BYE, CANCEL or 503; gives the Deferred of the answer, or None."""
        if self._invitation is not None and self.dialog.state != CONFIRMED:
            self._invitation.answer(503)
            return None
        if self._inviting is not None and self._inviting.transaction.cancel_allowed:
            transaction = self._inviting.transaction
            transaction.cancel()
            if self.dialog.state != CONFIRMED:
                return transaction.final_response()
        if self.dialog.state == CONFIRMED and not self._ending:
            return self.bye().final_response()
        return None
