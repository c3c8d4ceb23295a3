"""A call, as a person has one: ring, answer, hold, transfer, hang up. InviteUsage does the SIP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from sipactors.client import InviteUsage, MessageElements, ResponseElements
from sipactors.dialog.dialog import CONFIRMED
from sipactors.errors import ArgumentError, InvalidDialogState, InvalidTransactionState, SIPError
from sipactors.message import Address, as_uri
from sipactors.ua.media import SDP_TYPE, CallMedia, Description, session_of
from sipactors.ua.observers import Ending
from sipactors.ua.talking import Talking

if TYPE_CHECKING:
    from sipactors.client import ServerTransaction
    from sipactors.interfaces import ICallObserver
    from sipactors.message import URI
    from sipactors.ua.agent import UserAgent


class Call(Talking):
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
        try:
            body = self.media.offer(offer) if offer is not None or self.media.can_offer else b""
            elements = MessageElements(headers, body, SDP_TYPE if body else None)
            self.usage = InviteUsage.outgoing(
                self.agent.connection, as_uri(uri), context=context, from_=from_, observer=self
            )
        except BaseException:
            self.media.stop()
            raise
        self.usage.follow_redirects = self.agent.follow_redirects
        try:
            self.usage.invite(elements)
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


def new_call(
    agent: UserAgent, observer: ICallObserver | None, like: Call | None, *, with_media: bool = True
) -> Call:
    """A call with a session of its own; without a media session it has the media of the call `like`."""
    with_media = with_media and agent.media is not None
    # A number for o= that was never used before (RFC 3264 §5).
    session_id = agent.stack.dice.below(2**48)
    call = Call(agent, CallMedia(session_id, None if like is None or with_media else like.media), observer)
    if with_media and agent.media is not None:
        call.media.media = agent.media(call)
    return call
