"""What this side is ready to do on one stream, and the m= lines that say so in an offer or an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sipactors.errors import ArgumentError
from sipactors.sdp.attributes import REPEATED, STATIC_FORMATS, Direction, Format, fmtp_parameters
from sipactors.sdp.fields import Bandwidth, Connection
from sipactors.sdp.grammar import positive
from sipactors.sdp.media import MediaDescription
from sipactors.sdp.session import SessionDescription

Preference = Literal["offer", "answer"]
"""Whose order of formats an answer follows."""

_STATIC_NUMBERS = {name.upper(): number for number, name in STATIC_FORMATS.items()}
_WRITTEN_ELSEWHERE = ("rtpmap", "fmtp", "rtcp-fb", "ptime", *(direction.value for direction in Direction))


@dataclass(slots=True)
class LocalMedia:
    """One stream that this side can do: its port, its formats, and the rest of its description."""

    port: int
    "Where we receive."
    formats: Sequence[Format | str] = ("PCMU/8000", "PCMA/8000", "telephone-event/8000")
    "The preferred first; names as `opus/48000/2` are read into Formats."
    media: str = "audio"
    protocol: str = "RTP/AVP"
    direction: Direction = Direction.SENDRECV
    "What this side wants when the stream is not held."
    held: bool = False
    "True while this side has the stream on hold."
    host: str | None = None
    "Where we receive, when not at the session's own host."
    ptime: str | None = None
    "Milliseconds of media in a packet that we want; None repeats what is offered."
    attributes: Sequence[tuple[str, str | None]] = ()
    "Further a= lines, written untouched: ICE, DTLS, rtcp-mux, mid."
    bandwidths: Sequence[Bandwidth] = ()
    "The b= lines."

    def __post_init__(self) -> None:
        if not 0 < self.port <= 65535:
            raise ArgumentError(f"SDP m= line: no such port: {self.port}")
        self.formats = [Format.of(wanted) for wanted in self.formats]
        if not self.formats:
            raise ArgumentError("SDP m= line: a stream wants a format")

    @classmethod
    def of(cls, session: SessionDescription, media: MediaDescription) -> LocalMedia | None:
        """What a description of our own says; None for a rejected stream."""
        formats = media.described_formats()
        if media.rejected or not formats:
            return None
        own = media.connection
        return cls(
            media.port,
            formats,
            media.media,
            media.protocol,
            session.direction_of(media),
            host=None if own is None else own.address,
            ptime=media.attribute("ptime"),
            attributes=[
                (attribute.name, attribute.value)
                for attribute in media.attributes
                if attribute.name not in _WRITTEN_ELSEWHERE
            ],
            bandwidths=media.bandwidths,
        )

    @property
    def known_formats(self) -> list[Format]:
        """The formats, each with its payload type as soon as an offer or an answer gave it one."""
        return [wanted for wanted in self.formats if isinstance(wanted, Format)]

    @property
    def current_direction(self) -> Direction:
        """What this side wants now: when it holds, the stream without what comes from the peer."""
        # RFC 3264 §8.4: sendrecv becomes sendonly, recvonly becomes inactive.
        return self.direction.within(Direction.SENDONLY) if self.held else self.direction


def serves(local: LocalMedia, offered: MediaDescription, theirs: list[Format] | None = None) -> bool:
    """True when `local` could answer this stream: same media, same protocol, a format in common.

    `theirs` are the described formats of the stream, for a caller that has them already.
    """
    if local.media.lower() != offered.media.lower() or local.protocol.upper() != offered.protocol.upper():
        return False
    theirs = offered.described_formats() if theirs is None else theirs
    mine = local.known_formats
    for wanted in theirs:
        if not wanted.auxiliary and any(ours.matches(wanted) for ours in mine):
            return True
    return bool(_common(theirs, mine))


def _common(
    theirs: list[Format], mine: list[Format], prefer: Preference = "offer", single: bool = False
) -> list[tuple[Format, Format]]:
    """The formats of both sides, as the peer and as we say them.

    Empty when only telephone-event, comfort noise or their like are in common while a codec is wanted.
    `single` keeps the first codec only, and what goes along with it.
    """
    pairs: list[tuple[Format, Format]] = []
    if prefer == "offer":
        # RFC 3264 §6.1: it is RECOMMENDED that the formats be in the same relative order as in the offer.
        for wanted in theirs:
            for ours in mine:
                if ours.matches(wanted):
                    pairs.append((wanted, ours))
                    break
    else:
        for ours in mine:
            pairs += [(wanted, ours) for wanted in theirs if wanted.matches(ours)]
    codecs = [pair for pair in pairs if not pair[0].auxiliary]
    if not codecs:
        # Tones and noise need a codec beside them, unless a stream of nothing else is what one side has.
        alone = all(format.auxiliary for format in theirs) or all(format.auxiliary for format in mine)
        if not alone:
            return []
    elif single:
        rates = codecs[0][0].clock_rate
        extra = [pair for pair in pairs if pair[0].auxiliary]
        # RFC 4733 §2.1: events go with a codec of the same clock rate; without one, with any.
        pairs = [codecs[0], *([pair for pair in extra if pair[0].clock_rate == rates] or extra)]
    # RFC 4588 §8.6: apt names the payload type that is retransmitted; without that one rtx is nothing.
    kept = {wanted.payload_type for wanted, _ in pairs}
    return [pair for pair in pairs if pair[0].encoding.upper() != "RTX" or _apt(pair[0]) in kept]


def _answered(wanted: Format, ours: Format) -> Format:
    """A format that both sides have, as the answer says it."""
    fmtp = wanted.fmtp if ours.fmtp is None and wanted.encoding.upper() in REPEATED else ours.fmtp
    feedback = [entry for entry in ours.feedback if entry in wanted.feedback]
    return Format(wanted.encoding, wanted.clock_rate, wanted.channels, wanted.payload_type, fmtp, feedback)


def _apt(format: Format) -> str | None:
    return fmtp_parameters(format.fmtp or "").get("apt")


def offer_media(local: LocalMedia, *, direction: Direction | None = None) -> MediaDescription:
    """The m= line, and what stands under it, by which we offer a stream (RFC 3264 §5.1)."""
    result = MediaDescription([], local.media, local.port, local.protocol)
    if local.host is not None:
        result.connection = Connection.to(local.host)
    result.bandwidths = list(local.bandwidths)
    taken = {format.payload_type for format in local.known_formats}
    for format in local.known_formats:
        # RFC 3264 §8.3.2: the mapping from a payload type number to a codec MUST NOT change; so it is kept.
        if format.payload_type is None or format.payload_type in result.formats:
            format.payload_type = _free_number(format, taken) if result.rtp else format.encoding
            taken.add(format.payload_type)
        result.add_format(format)
    if local.ptime is not None:
        result.add_attribute("ptime", local.ptime)
    for name, value in local.attributes:
        result.add_attribute(name, value)
    wanted = local.current_direction if direction is None else direction
    if wanted is not Direction.SENDRECV:
        result.direction = wanted
    return result


def _free_number(format: Format, taken: set[str | None]) -> str:
    static = _STATIC_NUMBERS.get(format.name.upper())
    if static is not None and static not in taken:
        return static
    # RFC 3551 §3: 96 to 127 are for dynamic assignment; 101 is where every phone looks for events.
    choices = [101, *range(96, 128)] if format.auxiliary else [*range(96, 101), *range(102, 128), 101]
    for choice in choices:
        if str(choice) not in taken:
            return str(choice)
    raise ArgumentError("SDP m= line: no payload type number is left")


def answer_media(
    session: SessionDescription,
    offered: MediaDescription,
    local: LocalMedia,
    *,
    prefer: Preference = "offer",
    single: bool = False,
    theirs: list[Format] | None = None,
) -> MediaDescription:
    """The m= line, and what stands under it, by which we accept an offered stream (RFC 3264 §6.1).

    `theirs` are the described formats of the stream, for a caller that has them already.
    """
    connection = session.connection_of(offered)
    result = MediaDescription([], offered.media, local.port, offered.protocol)
    said = offered.direction
    way = said or session.direction or Direction.SENDRECV
    direction = local.current_direction.within(way.reversed)
    if connection is not None and connection.multicast:
        # RFC 3264 §6.2: for multicast, address, port and directionality MUST equal those of the offer.
        result.port, result.port_count = offered.port, offered.port_count
        result.lines += [line for line in offered.lines if line.startswith("c=")] or [f"c={connection}"]
        direction = way
    elif local.host is not None:
        result.connection = Connection.to(local.host)
    if local.bandwidths:
        result.bandwidths = list(local.bandwidths)
    theirs = offered.described_formats() if theirs is None else theirs
    pairs = _common(theirs, local.known_formats, prefer, single)
    for wanted, ours in reversed(pairs):
        # RFC 3264 §6.1: a codec referenced by a payload type number in the offer SHOULD keep that number.
        ours.payload_type = wanted.payload_type
    for wanted, ours in pairs:
        result.add_format(_answered(wanted, ours))
    ptime = local.ptime or (offered.attribute("ptime") or "").strip()
    if ptime and positive(ptime):
        result.add_attribute("ptime", ptime)
    names = {name for name, _ in local.attributes}
    mid = offered.attribute("mid")
    if mid and "mid" not in names:
        # RFC 5888 §9.1 and RFC 9143 §7.3: the answer's stream carries the mid of the offer's.
        result.add_attribute("mid", mid)
    for name, value in local.attributes:
        result.add_attribute(name, value)
    if said is not None or direction is not Direction.SENDRECV:
        result.direction = direction
    return result


def reject_media(offered: MediaDescription) -> MediaDescription:
    """The m= line by which we refuse an offered stream (RFC 3264 §6)."""
    result = offered.copy()
    result.reject()
    return result
