"""A call, as a person has one: ring, answer, hold, transfer, hang up. InviteUsage does the SIP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed

from sipactors.actor import TERMINATED
from sipactors.client import InviteUsage, MessageElements, ResponseElements
from sipactors.dialog.dialog import CONFIRMED
from sipactors.errors import (
    ArgumentError,
    InvalidDialogState,
    InvalidTransactionState,
    RequestPending,
    SIPError,
)
from sipactors.message import Address, as_uri
from sipactors.ua.dtmf import check_digits, digit_elements
from sipactors.ua.media import SDP_TYPE, CallMedia, Description, session_of
from sipactors.ua.progress import CallProgress, Ending
from sipactors.ua.transfer import Transferring
from sipactors.ua.waiting import Once

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sipactors.client import ClientTransaction, ServerTransaction
    from sipactors.message import URI
    from sipactors.ua.agent import UserAgent

DIGIT_DURATION = 160
"Milliseconds for which a digit is pressed."


class Call(CallProgress):
    """One call, in either direction. `UserAgent` makes them.

    Set `observer` (an ICallObserver) to hear of it, or wait with `answered()` and `ended()`. What needs an
    answer of the peer's returns a Deferred, to be awaited or not; what cannot be done now raises at once.
    """

    # ------------------------------------------------------------------ what it is

    def __repr__(self) -> str:
        return f"<Call {self.state} {self.remote_uri}>"

    @property
    def incoming(self) -> bool:
        """True when the peer called."""
        return self.invitation is not None

    @property
    def state(self) -> str:
        """INIT, EARLY (it rings), CONFIRMED or TERMINATED: the state of its dialog."""
        return TERMINATED if self.ending is not None else self.usage.dialog.state

    @property
    def remote_uri(self) -> URI:
        """The peer, as From or To names it."""
        return self.usage.dialog.remote_uri

    @property
    def remote(self) -> Address:
        """The peer with the name that is shown: `call.remote.display_name`."""
        return Address.parse(self.usage.dialog.remote)

    @property
    def offer(self) -> bytes | None:
        """The session description of an incoming INVITE, or None."""
        return None if self.invitation is None else session_of(self.invitation.request)

    @property
    def held_by_peer(self) -> bool:
        """True while the peer does not want to hear us."""
        return self.media.held_by_peer

    @property
    def on_hold(self) -> bool:
        """True while we have the call on hold."""
        streams = [each for each in self.media.engine.streams if each is not None]
        return bool(streams) and all(each.held for each in streams)

    def answered(self) -> Deferred[Call]:
        """A Deferred of this call once it is established; fails with CallRejected, or why it never was."""
        return self._answered.wait()

    def ended(self) -> Deferred[Ending]:
        """A Deferred of how the call ended."""
        return self._ended.wait()

    # ------------------------------------------------------------------ an outgoing call

    def begin(
        self,
        uri: URI | str,
        offer: Description | None,
        headers: Iterable[tuple[str, object]],
        context: Any,
        from_: Any,
    ) -> None:
        """Send the INVITE. Raises ArgumentError, ResourceNotAvailable, TransportFailure."""
        body = self.media.offer(offer) if offer is not None or self.media.can_offer else b""
        self.usage = InviteUsage.outgoing(
            self.agent.connection, as_uri(uri), context=context, from_=from_, observer=self
        )
        self.usage.follow_redirects = self.agent.follow_redirects
        try:
            self.usage.invite(MessageElements(list(headers), body, SDP_TYPE if body else None))
        except SIPError:
            self.usage.close()
            self.media.stop()
            raise

    # ------------------------------------------------------------------ an incoming call

    def arrive(self, invitation: ServerTransaction) -> None:
        """Take an INVITE as the beginning of this call."""
        self.invitation = invitation
        self.usage = InviteUsage.incoming(invitation, observer=self)
        # Reliable where the peer demands it; by our own wish with early media only.
        self.usage.reliable = False

    def _unanswered(self) -> ServerTransaction:
        if self.invitation is None:
            raise InvalidDialogState("the peer is to answer this call")
        self.invitation.check_response_allowed()
        return self.invitation

    def ring(self) -> None:
        """Let the caller hear that it rings: 180. Raises InvalidTransactionState when it is too late."""
        self._unanswered().respond(ResponseElements(180))

    def early_media(self, sdp: Description | None = None, status: int = 183) -> None:
        """Begin with media before the call is answered; `accept` then needs no SDP any more.

        Raises as `accept` does, and ArgumentError when the INVITE brought no offer.
        """
        invitation = self._unanswered()
        offer = self.offer
        if offer is None:
            raise ArgumentError("the INVITE brought no offer that early media could answer")
        body = self.media.answer(offer, self._host(invitation.flow), sdp)
        self.usage.reliable = "100rel" in self.agent.client.capabilities.supported
        invitation.respond(ResponseElements(status, body=body, content_type=SDP_TYPE))

    def accept(self, sdp: Description | None = None) -> Deferred[Call]:
        """Answer the call; the Deferred is of this call once the caller has acknowledged that.

        `sdp` is the answer to the caller's offer, or the offer when there was none. Without it the media
        session writes it; without one the call is signalling only. Raises InvalidTransactionState when it
        was canceled or answered, ArgumentError for an SDP that does not fit, UnacceptableOffer and
        MalformedMessage for an offer that does not: the call is then still to be answered.
        """
        invitation = self._unanswered()
        offer = self.offer
        if self.media.settled:
            assert self.media.engine.local is not None
            body = self.media.engine.local.render()
        elif offer is not None:
            body = self.media.answer(offer, self._host(invitation.flow), sdp)
        elif sdp is not None or self.media.can_offer:
            body = self.media.offer(sdp)
        else:
            body = self.media.discarding(self._host(invitation.flow))
        invitation.respond(ResponseElements(200, body=body, content_type=SDP_TYPE))
        return self.answered()

    def reject(self, status: int = 486, reason: str | None = None, *, retry_after: int | None = None) -> None:
        """Refuse the call: 486 busy, 480 not there, 603 declined everywhere.

        Raises ArgumentError for a status below 300, InvalidTransactionState when it is too late.
        """
        if not 300 <= status <= 699:
            raise ArgumentError(f"a call is refused with 300 to 699, not {status}")
        headers = [] if retry_after is None else [("Retry-After", str(retry_after))]
        self._refuse(ResponseElements(status, reason, headers))

    def redirect(self, *targets: Address | URI | str, status: int = 302) -> None:
        """Send the caller elsewhere: 302 for now, 301 for good. Raises as `reject` does."""
        if not targets or not 300 <= status < 400:
            raise ArgumentError("a redirection has a status of 3xx and somewhere to go")
        contacts = [
            ("Contact", str(each if isinstance(each, Address) else Address(as_uri(each)))) for each in targets
        ]
        self._refuse(ResponseElements(status, headers=contacts))

    def _refuse(self, elements: ResponseElements) -> None:
        invitation = self._unanswered()
        invitation.respond(elements)
        self._finish(Ending(False, elements.status, elements.reason or ""))

    # ------------------------------------------------------------------ during the call

    def hold(self) -> Deferred[Call]:
        """Hear nothing for a while (RFC 3264 §8.4); the Deferred is of the call once the peer has agreed.

        It fails with RequestRejected when the peer does not. Raises RequestPending while another change
        is under way, InvalidDialogState unless the call is established.
        """
        return self._hold(True)

    def resume(self) -> Deferred[Call]:
        """Hear again; see `hold`."""
        return self._hold(False)

    def _hold(self, held: bool) -> Deferred[Call]:
        before = self.on_hold
        self._check_change()
        self.media.hold(held)

        def agreed(call: Call) -> Call:
            self.media.tell_hold(held)
            return call

        return self._reinvite(None, lambda: self.media.hold(before)).addCallback(agreed)

    def change(self, sdp: Description) -> Deferred[Call]:
        """Offer another session, by a description with at least as many m= lines as before; see `hold`."""
        self._check_change()
        return self._reinvite(sdp, lambda: None)

    def _check_change(self) -> None:
        if self.state != CONFIRMED or not self._answered.done:
            raise InvalidDialogState("the call is not established")
        if self._change is not None:
            raise RequestPending("another change of this call is under way")

    def _reinvite(self, sdp: Description | None, undo: Callable[[], object]) -> Deferred[Call]:
        body = b""
        try:
            body = self.media.offer(sdp)
            transaction: ClientTransaction = self.usage.invite(
                MessageElements(body=body, content_type=SDP_TYPE)
            )
        except SIPError:
            if body:
                self.media.refused()
            undo()
            raise
        waiting: Once[Call] = Once()
        self._change = (transaction, waiting, undo)
        return waiting.wait()

    def dtmf(self, digits: str, duration: int = DIGIT_DURATION) -> Deferred[None]:
        """Press digits by INFO, one after the other, each for so many milliseconds.

        The Deferred fires when the peer has taken the last one, and fails with RequestRejected when it
        refuses one. Raises ArgumentError for what is no digit.
        """
        return self._press(check_digits(digits), duration)

    @inlineCallbacks
    def _press(self, digits: str, duration: int) -> Generator[Deferred[Any], Any, None]:
        for digit in digits:
            transaction = self.usage.send_request("INFO", digit_elements(digit, duration))
            self.agent.check((yield transaction.final_response()))

    def next_digit(self) -> Deferred[str]:
        """A Deferred of the next digit that the peer presses; fails when the call ends before."""
        if self.ending is not None:
            raise InvalidDialogState("the call has ended")
        deferred = self._digits.get()
        self._digits_wanted.append(deferred)

        def pressed(result: Any) -> Any:
            self._digits_wanted.remove(deferred)
            return result

        return deferred.addBoth(pressed)

    # ------------------------------------------------------------------ transfer

    def transfer(self, target: Call | Address | URI | str) -> Deferred[None]:
        """Let the peer call `target` in our place; our call is hung up once that one is answered.

        With another established call of ours as the target, the two peers are connected with each other
        (attended transfer). The Deferred fails with RequestRejected when the peer refuses, or its call is
        refused: ours then goes on. Raises InvalidDialogState unless the call is established.
        """
        if self.state != CONFIRMED:
            raise InvalidDialogState("the call is not established")
        to = target.usage.dialog if isinstance(target, Call) else target
        transferring = Transferring(self.usage.dialog, to, str(self.usage.dialog.local_uri))
        return transferring.done.wait().addCallback(lambda _: self.hangup())

    def was_transferred(self, other: Call) -> None:
        """The peer has transferred us: `other` is the new call."""
        self._tell("transferred", other)

    def was_replaced(self, other: Call) -> None:
        """Another call takes the place of this one."""
        self._tell("replaced", other)

    # ------------------------------------------------------------------ the end

    def hangup(self, reason: str | None = None) -> Deferred[None]:
        """End the call whatever its state: BYE, CANCEL or a refusal; the Deferred fires when that is done.

        It never fails: a call whose peer is gone has ended too. `reason` is what Reason says (RFC 3326),
        as `SIP;cause=200;text="Call completed elsewhere"`.
        """
        headers = [] if reason is None else [("Reason", reason)]
        if self.ending is not None:
            return succeed(None)
        usage = self.usage
        if self.incoming and self.state != CONFIRMED:
            try:
                self._refuse(ResponseElements(603, headers=headers))
            except InvalidTransactionState:
                self._finish(Ending(False))
            return succeed(None)
        try:
            if self._answered.done or self.incoming:
                done = usage.bye(MessageElements(headers)).final_response()
                self._finish(Ending(False, reason=reason or ""))
            elif usage.transaction is not None and usage.transaction.cancel_allowed:
                usage.transaction.cancel(headers)
                done = usage.transaction.final_response()
            else:
                return self.ended().addCallback(lambda _: None)
        except SIPError as error:
            usage.close()
            self._finish(Ending(False, error=error))
            return succeed(None)
        return done.addBoth(lambda _: None)


def new_media(agent: UserAgent, session: Any, like: Call | None) -> CallMedia:
    """The session of a new call, with an id that was never used before."""
    return CallMedia(agent.stack.dice.below(2**48), session, None if like is None else like.media)
