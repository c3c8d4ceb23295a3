"""What an offer and its answer come to: for each stream where to send and receive, and in what format."""

from __future__ import annotations

from dataclasses import dataclass

from sipactors.sdp.attributes import Direction, Format
from sipactors.sdp.grammar import positive
from sipactors.sdp.media import MediaDescription
from sipactors.sdp.session import SessionDescription


@dataclass(slots=True)
class NegotiatedFormat:
    """A format that both sides have."""

    format: Format
    "As the peer describes it: its fmtp is what the peer wants to receive."
    send_type: str
    "The payload type number of what we send: the peer's (RFC 3264 §5.1)."
    receive_type: str
    "The payload type number of what comes in: ours."


@dataclass(slots=True)
class NegotiatedStream:
    """One stream in use, as this side sees it."""

    index: int
    "Of its m= line."
    media: str
    protocol: str
    direction: Direction
    "What really flows: what both sides allow, and nothing to an address of 0.0.0.0 or ::."
    formats: list[NegotiatedFormat]
    "The preferred first."
    local_host: str
    local_port: int
    remote_host: str
    remote_port: int
    ptime: float | None
    "Milliseconds of media in a packet that the peer wants."
    held_by_peer: bool
    "True when the peer does not want to hear us."

    @property
    def codec(self) -> NegotiatedFormat | None:
        """The format to send: the first that is not telephone-event or its like, or None."""
        return next((each for each in self.formats if not each.format.auxiliary), None)

    @property
    def telephone_event(self) -> NegotiatedFormat | None:
        """The format for DTMF (RFC 4733), or None."""
        wanted = (each for each in self.formats if each.format.encoding.upper() == "TELEPHONE-EVENT")
        return next(wanted, None)


def negotiate(
    local: SessionDescription, remote: SessionDescription, *, offered: bool
) -> list[NegotiatedStream | None]:
    """What two descriptions come to, one item for each m= line and None for a rejected one.

    `offered` is True when `local` is the offer: the answer's order of formats is the one that counts.
    """
    result: list[NegotiatedStream | None] = []
    for index, (ours, theirs) in enumerate(zip(local.media, remote.media)):
        # RFC 3264 §6: a stream is in use when neither the offer nor the answer gives it port zero.
        if ours.rejected or theirs.rejected:
            result.append(None)
            continue
        here, there = local.connection_of(ours), remote.connection_of(theirs)
        mine, peers = local.direction_of(ours), remote.direction_of(theirs)
        # RFC 3264 §8.4: an address of 0.0.0.0 means that neither RTP nor RTCP should be sent to the peer.
        deaf = there is not None and there.unspecified
        unheard = here is not None and here.unspecified
        ptime = (theirs.attribute("ptime") or "").strip()
        result.append(
            NegotiatedStream(
                index,
                theirs.media,
                theirs.protocol,
                Direction.of(
                    sends=mine.sends and peers.receives and not deaf,
                    receives=mine.receives and peers.sends and not unheard,
                ),
                _formats(ours, theirs, offered),
                "" if here is None else here.address,
                ours.port,
                "" if there is None else there.address,
                theirs.port,
                float(ptime) if positive(ptime) else None,
                deaf or not peers.receives,
            )
        )
    return result


def _formats(ours: MediaDescription, theirs: MediaDescription, offered: bool) -> list[NegotiatedFormat]:
    mine, peers = ours.described_formats(), theirs.described_formats()
    pairs = []
    if offered:
        for wanted in peers:
            pairs += [(own, wanted) for own in mine if own.matches(wanted)][:1]
    else:
        for own in mine:
            pairs += [(own, wanted) for wanted in peers if wanted.matches(own)][:1]
    return [
        NegotiatedFormat(wanted, wanted.payload_type or "", own.payload_type or "") for own, wanted in pairs
    ]
