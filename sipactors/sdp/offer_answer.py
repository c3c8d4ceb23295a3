"""A session's offers and answers: whose turn it is, what was agreed, and what this side wants (RFC 3264)."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from sipactors.errors import ArgumentError, MalformedMessage, OfferPending, UnacceptableOffer
from sipactors.sdp.answering import answer, assign, new_origin, offer
from sipactors.sdp.attributes import Direction
from sipactors.sdp.fields import Connection, malformed
from sipactors.sdp.media import MediaDescription
from sipactors.sdp.negotiated import NegotiatedStream, negotiate
from sipactors.sdp.session import SessionDescription
from sipactors.sdp.streams import LocalMedia, Preference, offer_media


class OfferAnswerState(enum.Enum):
    """Whose offer waits for an answer."""

    IDLE = "idle"
    "Nothing agreed, nothing offered."
    LOCAL_OFFER = "local offer"
    "Ours waits."
    REMOTE_OFFER = "remote offer"
    "The peer's waits."
    STABLE = "stable"
    "There is an agreed session, and no offer waits."


class OfferAnswer:
    """One session's descriptions on this side: offers made and received, answers, hold, added streams.

    Give it what this side can do, as LocalMedia, and it writes the descriptions; or hand it descriptions
    of your own. It counts the versions in o=, keeps every m= line in its place, and sends nothing.

    What is asked for by hold, resume, add and remove, or changed in a LocalMedia (its port, its
    direction), goes into the next offer or answer, and stays asked for when an offer is rejected.
    """

    def __init__(
        self,
        host: str,
        media: Sequence[LocalMedia] = (),
        *,
        session_id: int,
        username: str = "-",
        name: str = "-",
        attributes: Sequence[tuple[str, str | None]] = (),
        prefer: Preference = "offer",
        single: bool = False,
        strict: bool = False,
    ) -> None:
        """`session_id` is a number that this host never used before, at random or by the clock.

        `attributes` are a= lines of the session section; `prefer` and `single` are those of answer();
        `strict` reads the peer by the letter. Raises ArgumentError.
        """
        self.host = host
        "Where media is received; a new value goes into the next offer or answer."
        self.media = list(media)
        "What this side can do, for initial offers and for the streams that a peer offers."
        self.state = OfferAnswerState.IDLE
        self.local: SessionDescription | None = None
        "Our side of what was agreed last."
        self.remote: SessionDescription | None = None
        "The peer's side of it."
        self.pending: SessionDescription | None = None
        "The offer that waits for its answer, ours or the peer's."
        self.remote_changed = False
        "False when the peer's last description repeated the one before, as session refreshes do."
        self.streams: list[LocalMedia | None] = []
        "Our side of each m= line; None where the stream is rejected or removed."
        self._origin = new_origin(host, session_id, username=username)
        self._name = name
        self._attributes = list(attributes)
        self._prefer: Preference = prefer
        self._single = single
        self._strict = strict
        self._added: list[LocalMedia] = []
        self._slots: list[LocalMedia | None] = []  # of the pending offer of ours
        self._sent: SessionDescription | None = None  # whose version was counted last
        self._we_offered = False

    @property
    def negotiated(self) -> list[NegotiatedStream | None]:
        """What was agreed last, one item for each m= line and None for a rejected one; [] before."""
        if self.local is None or self.remote is None:
            return []
        return negotiate(self.local, self.remote, offered=self._we_offered)

    # What this side wants.

    def hold(self, index: int | None = None) -> None:
        """Want to hear nothing on a stream, or on all, until resume (RFC 3264 §8.4)."""
        for local in self._chosen(index):
            local.held = True

    def resume(self, index: int | None = None) -> None:
        """Undo hold."""
        for local in self._chosen(index):
            local.held = False

    def add(self, local: LocalMedia) -> None:
        """Want one stream more: in the slot of a rejected one, or below all (RFC 3264 §8.1)."""
        self.media.append(local)
        self._added.append(local)

    def remove(self, stream: int | LocalMedia) -> None:
        """Want a stream no more: its m= line, if it has one, stays with port 0 (RFC 3264 §8.2).

        `stream` is the index of its m= line, or what was given to add(), which may have been refused.
        Raises ArgumentError when it is not ours.
        """
        local = self._chosen(stream)[0] if isinstance(stream, int) else stream
        if not any(local is other for other in (*self.media, *self.streams)):
            raise ArgumentError("no stream of ours")
        self.media = [other for other in self.media if other is not local]
        self._added = [other for other in self._added if other is not local]
        self.streams = [None if other is local else other for other in self.streams]
        # An answer that still comes to our offer does not bring it back.
        self._slots = [None if other is local else other for other in self._slots]

    def _chosen(self, index: int | None) -> list[LocalMedia]:
        if index is None:
            everything = [*self.media, *(local for local in self.streams if local is not None)]
            return list({id(local): local for local in everything}.values())
        local = self.streams[index] if 0 <= index < len(self.streams) else None
        if local is None:
            raise ArgumentError(f"no stream of ours at m= line {index}")
        return [local]

    # Offers of ours.

    def offer(
        self, description: SessionDescription | None = None, *, full: bool = False
    ) -> SessionDescription:
        """The next offer: what was agreed, with what this side wants changed, or `description`.

        `full` offers again every format that we can do, as an INVITE without an offer asks for
        (RFC 3261 §14.2). Raises OfferPending while another offer waits, ArgumentError for a description
        that drops or lacks m= lines.
        """
        self._nothing_pending("an offer of ours")
        slots = list(self.streams)
        if description is None:
            description = self._composed(slots, full)
        else:
            description = description.copy()
            if self.local is not None and len(description.media) < len(self.local.media):
                # RFC 3264 §8: there MUST be at least as many m= lines as in the SDP before.
                raise ArgumentError("SDP offer: fewer m= lines than before")
            slots = self._adopted(description)
        self._stamp(description)
        self._slots = slots
        self.pending, self.state = description, OfferAnswerState.LOCAL_OFFER
        return description.copy()

    def _composed(self, slots: list[LocalMedia | None], full: bool) -> SessionDescription:
        if self.local is None:
            slots[:] = self.media
            return offer(
                self._origin, self.media, host=self.host, name=self._name, attributes=self._attributes
            )
        result = self.local.copy()
        if result.connection is not None and result.connection.address != self.host:
            result.connection = Connection.to(self.host)
        for index, local in enumerate(slots):
            stream = result.media[index]
            if local is None:
                stream.reject()
            elif full:
                result.media[index] = offer_media(local)
                if (mid := stream.attribute("mid")) and result.media[index].attribute("mid") is None:
                    result.media[index].add_attribute("mid", mid)
            else:
                self._update(result, stream, local)
        for local in self._added:
            if None in slots:
                # RFC 3264 §8.1: a new stream may take the slot of one that was disabled.
                index = slots.index(None)
                slots[index] = local
                result.media[index] = offer_media(local)
            else:
                slots.append(local)
                result.media.append(offer_media(local))
        _ungroup(result)
        return result

    def _update(self, result: SessionDescription, stream: MediaDescription, local: LocalMedia) -> None:
        """Write into a stream's description what may have changed in `local`; all else stays untouched."""
        there = result.connection_of(stream)
        if there is None or not there.multicast:
            stream.port = local.port
            if local.host is not None and (there is None or there.address != local.host):
                stream.connection = Connection.to(local.host)
        if result.direction_of(stream) is not local.current_direction:
            stream.direction = local.current_direction

    def answer_received(self, data: bytes | str | SessionDescription) -> SessionDescription:
        """Take the peer's answer to our offer. Raises MalformedMessage, and then still waits for one.

        Raises ArgumentError when no offer of ours waits.
        """
        pending = self._waiting(OfferAnswerState.LOCAL_OFFER, "no offer of ours waits for an answer")
        answered = self._parse(data)
        # RFC 3264 §6: the answer MUST contain exactly the same number of m= lines as the offer.
        if len(answered.media) != len(pending.media):
            raise malformed("answer", f"{len(answered.media)} m= lines for {len(pending.media)}")
        for index, (ours, theirs) in enumerate(zip(pending.media, answered.media)):
            if ours.media.lower() != theirs.media.lower():
                raise malformed("answer", f"m= line {index} is {theirs.media}, not {ours.media}")
            if ours.rejected and not theirs.rejected:
                # RFC 3264 §6: a stream that is offered with port zero MUST be answered with port zero.
                raise malformed("answer", f"m= line {index} was not offered")
        self.streams = [
            None if stream.rejected else local for local, stream in zip(self._slots, answered.media)
        ]
        self._placed(self._slots)
        self._compare(answered)
        self._agreed(pending, answered, we_offered=True)
        return answered

    def offer_rejected(self) -> None:
        """Our offer was refused (488, 491 …): what was agreed before holds on (RFC 3261 §14.1)."""
        self._waiting(OfferAnswerState.LOCAL_OFFER, "no offer of ours waits for an answer")
        self._back()

    # Offers of the peer's.

    def offer_received(self, data: bytes | str | SessionDescription) -> SessionDescription:
        """Take the peer's offer; answer() or reject_offer() comes next.

        Raises OfferPending, with the status to answer, while another offer waits: 491 when it is ours,
        500 when it is the peer's (RFC 3311 §5.2). Raises MalformedMessage.
        """
        self._nothing_pending("an offer of the peer's")
        offered = self._parse(data)
        before = self.remote
        if before is not None and offered.origin.same_session(before.origin):
            if self._strict:
                offered.follows(before)
            if len(offered.media) < len(before.media):
                # RFC 3264 §8: there MUST be at least as many m= lines as in the SDP before.
                raise malformed("offer", f"{len(offered.media)} m= lines, {len(before.media)} before")
        self._compare(offered)
        self.pending, self.state = offered, OfferAnswerState.REMOTE_OFFER
        return offered

    def answer(self, description: SessionDescription | None = None) -> SessionDescription:
        """Our answer to the peer's offer: from what this side can do and wants, or `description`.

        Raises UnacceptableOffer (488) when no stream has a format in common; the offer is rejected then.
        Raises ArgumentError when no offer of the peer's waits, or `description` does not answer it.
        """
        offered = self._waiting(OfferAnswerState.REMOTE_OFFER, "no offer of the peer's waits for an answer")
        if description is None:
            try:
                # The same choice as answer() makes, kept for the exchanges to come.
                slots = assign(offered, self.media, self.streams)
                result = answer(
                    offered,
                    self.media,
                    self._origin,
                    slots=self.streams,
                    prefer=self._prefer,
                    single=self._single,
                    host=self.host,
                    name=self._name,
                    attributes=self._attributes,
                )
            except UnacceptableOffer:
                self._back()
                raise
            _ungroup(result)
        else:
            result = description.copy()
            _check_answer(offered, result)
            slots = self._adopted(result, offered)
        self._stamp(result)
        self.streams = slots
        self._placed(slots)
        self._agreed(result, offered, we_offered=False)
        return result.copy()

    def reject_offer(self) -> None:
        """Refuse the peer's offer as a whole: what was agreed before holds on."""
        self._waiting(OfferAnswerState.REMOTE_OFFER, "no offer of the peer's waits for an answer")
        self._back()

    # What both ways share.

    def _parse(self, data: bytes | str | SessionDescription) -> SessionDescription:
        if isinstance(data, SessionDescription):
            return data.copy()
        return SessionDescription.parse(data, strict=self._strict)

    def _nothing_pending(self, what: str) -> None:
        # RFC 3264 §4: at no time may an offer be made or accepted while another waits for its answer.
        if self.state is OfferAnswerState.LOCAL_OFFER:
            raise OfferPending(491, f"{what}, while our own offer waits for its answer")
        if self.state is OfferAnswerState.REMOTE_OFFER:
            raise OfferPending(500, f"{what}, while the peer's offer waits for its answer")

    def _waiting(self, state: OfferAnswerState, otherwise: str) -> SessionDescription:
        if self.state is not state or self.pending is None:
            raise ArgumentError(otherwise)
        return self.pending

    def _placed(self, slots: Sequence[LocalMedia | None]) -> None:
        """Forget of the streams to be added those that have their m= line now."""
        self._added = [local for local in self._added if not any(local is placed for placed in slots)]

    def _compare(self, received: SessionDescription) -> None:
        self.remote_changed = self.remote is None or not received.same_but_version(self.remote)

    def _back(self) -> None:
        self.pending = None
        self.state = OfferAnswerState.IDLE if self.local is None else OfferAnswerState.STABLE

    def _agreed(self, local: SessionDescription, remote: SessionDescription, *, we_offered: bool) -> None:
        self.local, self.remote, self._we_offered = local, remote, we_offered
        self._back()

    def _stamp(self, description: SessionDescription) -> None:
        """Give a description of ours its o= line, one version up when it differs from the one before."""
        if self._sent is None:
            try:
                self._origin = description.origin
            except MalformedMessage as error:
                raise ArgumentError(error.what) from None
        else:
            # RFC 3264 §8: the o= line MUST be identical to that in the previous SDP, except that the
            # version MUST increment by one; if it does not, the SDP MUST be identical.
            description.origin = self._origin
            if not description.same_but_version(self._sent):
                self._origin.version += 1
                description.origin = self._origin
        self._sent = description.copy()

    def _adopted(
        self, description: SessionDescription, offered: SessionDescription | None = None
    ) -> list[LocalMedia | None]:
        """Our streams as a description says that the application wrote."""
        if (connection := description.connection) is not None:
            self.host = connection.address
        self._attributes = [(each.name, each.value) for each in description.attributes]
        slots = []
        for index, stream in enumerate(description.media):
            try:
                local = LocalMedia.of(description, stream)
            except MalformedMessage as error:
                raise ArgumentError(error.what) from None
            before = self.streams[index] if index < len(self.streams) else None
            if local is not None and offered is not None:
                # What the offer forbade says nothing of what this side wants later.
                limit = offered.direction_of(offered.media[index]).reversed
                if before is not None:
                    local.direction, local.held = before.direction, before.held
                else:
                    local.direction = Direction.of(
                        sends=local.direction.sends or not limit.sends,
                        receives=local.direction.receives or not limit.receives,
                    )
            slots.append(local)
        return slots


def _check_answer(offered: SessionDescription, result: SessionDescription) -> None:
    """Raise ArgumentError unless an application's answer fits the offer (RFC 3264 §6)."""
    if len(result.media) != len(offered.media):
        raise ArgumentError(f"SDP answer: {len(result.media)} m= lines for {len(offered.media)}")
    for index, (ours, theirs) in enumerate(zip(result.media, offered.media)):
        if ours.media.lower() != theirs.media.lower():
            raise ArgumentError(f"SDP answer: m= line {index} is {ours.media}, not {theirs.media}")
        if ours.protocol.upper() != theirs.protocol.upper() and not ours.rejected:
            raise ArgumentError(f"SDP answer: m= line {index} is {ours.protocol}, not {theirs.protocol}")
        if theirs.rejected and not ours.rejected:
            raise ArgumentError(f"SDP answer: m= line {index} was offered with port 0")
        limit = offered.direction_of(theirs).reversed
        direction = result.direction_of(ours)
        there = offered.connection_of(theirs)
        if there is not None and there.multicast:
            continue
        # RFC 3264 §6.1: sendonly is answered by recvonly or inactive, recvonly by sendonly or inactive,
        # inactive by inactive.
        if not ours.rejected and direction.within(limit) is not direction:
            raise ArgumentError(f"SDP answer: m= line {index} is {direction.value}, at most {limit.value}")


def _ungroup(description: SessionDescription) -> None:
    """Take the mids of rejected streams out of a=group (RFC 9143 §7.5.3)."""
    gone = {stream.attribute("mid") for stream in description.media if stream.rejected} - {None}
    if gone:
        description.lines = [
            " ".join(part for part in line.split(" ") if part not in gone)
            if line.startswith("a=group:")
            else line
            for line in description.lines
        ]
