"""What a call has agreed with its peer: offers, answers and hold (RFC 3264), for a media session."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sipactors.errors import ArgumentError, MalformedMessage, SIPError
from sipactors.message.multipart import find_part
from sipactors.sdp import OfferAnswer, OfferAnswerState, SessionDescription, answer_to, audio_offer, negotiate

if TYPE_CHECKING:
    from sipactors.interfaces import IMediaSession
    from sipactors.message import Message
    from sipactors.sdp import LocalMedia, NegotiatedStream

SDP_TYPE = "application/sdp"

DISCARD = 9
"The port of a call that is signalling only: nothing listens there, what is sent to it is lost (RFC 863)."

Description = bytes | str | SessionDescription


def session_of(message: Message) -> bytes | None:
    """The session description that a message carries, also within a multipart; None when it has none."""
    if not message.body:
        return None
    part = find_part(message, SDP_TYPE)
    return None if part is None else part.content


class CallMedia:
    """The session of one dialog of a call. `media` may be None: then the application writes the SDP.

    Where it has not, the session is signalling only: audio at the discard port.
    """

    def __init__(self, session_id: int, like: CallMedia | None = None) -> None:
        streams: list[LocalMedia] = []
        host = "0.0.0.0"
        if like is not None:
            streams = [replace(each, held=False) for each in like.engine.streams if each is not None]
            host = like.engine.host
        self.engine: OfferAnswer = OfferAnswer(host, streams, session_id=session_id)
        "The offer/answer engine, with `local`, `remote` and `negotiated`."
        self.media: IMediaSession | None = None
        "What the session is for, when there is something in the box."
        self._composed = bool(streams)
        self._sent: SessionDescription | None = None
        self._preview: bytes | None = None

    def fork(self) -> CallMedia:
        """The session of another dialog that the same offer of ours may make."""
        other = CallMedia(0)
        other.media = self.media
        other.engine = deepcopy(self.engine)
        other._composed, other._sent = self._composed, self._sent
        return other

    @property
    def settled(self) -> bool:
        """True once an offer was answered."""
        return self.engine.local is not None

    @property
    def offered(self) -> bool:
        """True while an offer of ours waits for its answer."""
        return self.engine.state is OfferAnswerState.LOCAL_OFFER

    @property
    def can_offer(self) -> bool:
        """Whether there is something to offer without the application's SDP."""
        return self.settled or self.media is not None or self._composed

    @property
    def streams(self) -> list[NegotiatedStream | None]:
        """What was agreed last, one item for each m= line."""
        return self.engine.negotiated

    @property
    def held_by_peer(self) -> bool:
        """True when the peer wants to hear us on no stream."""
        used = [each for each in self.streams if each is not None]
        return bool(used) and all(each.held_by_peer for each in used)

    # ------------------------------------------------------------------ offers of ours

    def offer(self, description: Description | None = None, *, full: bool = False) -> bytes:
        """The next offer. Raises OfferPending, ArgumentError for an SDP that is none."""
        if description is None and not self.settled and self.media is not None:
            description = self.media.offer()  # type: ignore[assignment]
        self._sent = self.engine.offer(_own(description), full=full)
        return self._sent.render()

    def discarding(self, host: str) -> bytes:
        """An offer for a call that is signalling only, reached at `host`."""
        return self.offer(audio_offer(host, DISCARD))

    def preview(self, body: bytes) -> None:
        """An unreliable provisional response shows what the answer will be: early media (RFC 6337 §3.1.1)."""
        self._preview = body
        if self._sent is not None and self.media is not None:
            remote = SessionDescription.parse(body)
            if len(remote.media) == len(self._sent.media):
                self.media.start(negotiate(self._sent, remote, offered=True))

    def take_answer(self, body: bytes | None) -> None:
        """The answer to our offer; None takes what was previewed. Raises MalformedMessage."""
        body = self._preview if body is None else body
        if body is None:
            raise MalformedMessage(400, "no answer to our offer")
        if self.engine.state is not OfferAnswerState.LOCAL_OFFER:
            # It was withdrawn for the peer's, and sent again after the glare.
            self.engine.offer(self._sent)
        self.engine.answer_received(body)
        self._start()

    def refused(self) -> None:
        """Our offer was refused: what was agreed before holds on (RFC 3261 §14.1)."""
        if self.engine.state is OfferAnswerState.LOCAL_OFFER:
            self.engine.offer_rejected()

    # ------------------------------------------------------------------ offers of the peer's

    def answer(self, body: bytes, host: str, description: Description | None = None) -> bytes:
        """Our answer to an offer: `description`, the media session's, or by what is there.

        `host` is where we are reached when nothing else says so. Raises MalformedMessage for an offer that
        does not read, or (488) that nothing of ours fits, OfferPending, ArgumentError.
        """
        self.refused()
        offered = self.engine.offer_received(body)
        try:
            if description is None and not self.settled and not self._composed:
                if self.media is not None:
                    description = self.media.answer(offered)  # type: ignore[assignment]
                else:
                    description = answer_to(offered, host, DISCARD)
            result = self.engine.answer(_own(description)).render()
        except (SIPError, ArgumentError):
            if self.engine.state is OfferAnswerState.REMOTE_OFFER:
                self.engine.reject_offer()
            raise
        self._start()
        return result

    # ------------------------------------------------------------------ the media session

    def hold(self, held: bool) -> None:
        """Want to hear nothing, or to hear again; the next offer says so."""
        if held:
            self.engine.hold()
        else:
            self.engine.resume()

    def _start(self) -> None:
        if self.media is not None:
            self.media.start(self.streams)

    def tell_hold(self, held: bool) -> None:
        """The peer has agreed to our hold, or resuming."""
        if self.media is not None:
            self.media.hold(held)
            self.media.start(self.streams)

    def stop(self) -> None:
        """The call is over."""
        media, self.media = self.media, None
        if media is not None:
            media.stop()


def _own(description: Any) -> SessionDescription | None:
    if description is None or isinstance(description, SessionDescription):
        return description
    try:
        return SessionDescription.parse(description)
    except MalformedMessage as error:
        raise ArgumentError(error.what) from None
