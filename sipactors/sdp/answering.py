"""Offers and answers as plain functions: from what we can do, and from what the peer offered (RFC 3264)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from sipactors.errors import ArgumentError, UnacceptableOffer
from sipactors.sdp.attributes import Format
from sipactors.sdp.fields import Connection, Origin, address_type
from sipactors.sdp.media import MediaDescription
from sipactors.sdp.session import SessionDescription
from sipactors.sdp.streams import (
    LocalMedia,
    Preference,
    answer_media,
    offer_media,
    reject_media,
    serves,
)

AUDIO = ("PCMU/8000", "PCMA/8000", "telephone-event/8000")
"""The formats that every telephone understands."""


def new_origin(host: str, session_id: int, *, username: str = "-") -> Origin:
    """The o= line of a new session. Raises ArgumentError for an id beyond 2**62-2."""
    # RFC 3264 §5: the session id and version MUST be representable with a 64 bit signed integer, and the
    # initial version MUST be less than (2**62)-1.
    if not 0 <= session_id < 2**62 - 1:
        raise ArgumentError(f"SDP o= line: not a session id: {session_id}")
    if host.startswith("["):
        raise ArgumentError(f"SDP o= line: an address has no brackets: {host}")
    return Origin(username, str(session_id), session_id, host, address_type(host))


def offer(
    origin: Origin,
    media: Sequence[LocalMedia],
    *,
    host: str | None = None,
    name: str = "-",
    attributes: Sequence[tuple[str, str | None]] = (),
) -> SessionDescription:
    """An initial offer of these streams (RFC 3264 §5).

    Media is received at `host`, or else at the address of `origin`; `attributes` are further a= lines of
    the session section, as `group`. Raises ArgumentError when something in it cannot be written.
    """
    streams = [offer_media(local) for local in media]
    result = SessionDescription.create(
        origin, name=name, connection=Connection.to(host or origin.address), media=streams
    )
    for attribute, value in attributes:
        result.add_attribute(attribute, value)
    return result


def assign(
    offered: SessionDescription,
    media: Sequence[LocalMedia],
    slots: Sequence[LocalMedia | None] = (),
    described: Sequence[list[Format] | None] | None = None,
) -> list[LocalMedia | None]:
    """Which of our streams answers which offered one; None where none does.

    `slots` are those of the last exchange: a stream keeps its place as long as it fits there. The others
    go, in our order, each to the first offered stream that it serves.
    `described` are the formats of each offered stream, for a caller that has them already.
    """
    spare = [local for local in media if not any(local is slot for slot in slots)] if slots else list(media)
    result: list[LocalMedia | None] = []
    for index, stream in enumerate(offered.media):
        before = slots[index] if index < len(slots) else None
        theirs = None if described is None else described[index]
        if stream.rejected:
            result.append(None)
        elif before is not None and serves(before, stream, theirs):
            result.append(before)
        else:
            found = next((local for local in spare if serves(local, stream, theirs)), None)
            if found is not None:
                spare = [local for local in spare if local is not found]
            result.append(found)
    return result


def answer(
    offered: SessionDescription,
    media: Sequence[LocalMedia],
    origin: Origin,
    *,
    slots: Sequence[LocalMedia | None] = (),
    prefer: Preference = "offer",
    single: bool = False,
    host: str | None = None,
    name: str = "-",
    attributes: Sequence[tuple[str, str | None]] = (),
) -> SessionDescription:
    """The answer to an offer (RFC 3264 §6): as many m= lines, in the same order, with what we have in common.

    Formats stand in the offer's order, or in ours with `prefer="answer"`; `single` takes one codec only.
    An offer without streams, or with removed ones only, is answered likewise. Raises UnacceptableOffer,
    whose status is 488, when there are streams and none of them can be accepted.
    """
    described = [None if stream.rejected else stream.described_formats() for stream in offered.media]
    chosen = assign(offered, media, slots, described)
    if not any(chosen) and not all(stream.rejected for stream in offered.media):
        raise UnacceptableOffer("SDP offer: no stream has a format in common with ours")
    streams: list[MediaDescription] = []
    for stream, local, theirs in zip(offered.media, chosen, described):
        if local is None:
            streams.append(reject_media(stream))
        else:
            streams.append(answer_media(offered, stream, local, prefer=prefer, single=single, theirs=theirs))
    result = SessionDescription.create(
        origin, name=name, connection=Connection.to(host or origin.address), media=streams
    )
    # RFC 3264 §6: The "t=" line in the answer MUST equal that of the offer.
    times = [line for line in offered.lines if line.startswith(("t=", "r=", "z="))]
    if times:
        place = result.lines.index("t=0 0")
        result.lines[place : place + 1] = times
    for attribute, value in attributes:
        result.add_attribute(attribute, value)
    return result


def answer_to(
    offered: bytes | str | SessionDescription,
    host: str,
    port: int,
    *,
    formats: Sequence[Format | str] = AUDIO,
    session_id: int | None = None,
) -> SessionDescription:
    """The answer to an offer by one audio stream at host and port; further streams are rejected.

    Without a `session_id` it follows from the offer and the address, so that one offer has one answer.
    Raises MalformedMessage: status 400 or 413 for what is no SDP, and, as UnacceptableOffer, 488 for an
    offer without an audio stream that has one of these formats.
    """
    description = offered if isinstance(offered, SessionDescription) else SessionDescription.parse(offered)
    origin = new_origin(host, _session_id(session_id, _seed(offered), host, port))
    audio = LocalMedia(port, formats)
    # RTP/AVPF is RTP/AVP with earlier feedback (RFC 4585), which is a right and no duty.
    able = [
        stream
        for stream in description.media
        if stream.protocol.upper() in ("RTP/AVP", "RTP/AVPF") and not stream.rejected
    ]
    for stream in able:
        audio.protocol = stream.protocol
        if len(able) == 1 or serves(audio, stream):
            break
    return answer(description, [audio], origin)


def audio_offer(
    host: str, port: int, formats: Sequence[Format | str] = AUDIO, *, session_id: int | None = None
) -> SessionDescription:
    """An offer of one audio stream, received at host and port.

    Without a `session_id` it follows from the other arguments. Raises ArgumentError.
    """
    local = LocalMedia(port, formats)
    names = " ".join(format.name for format in local.known_formats)
    return offer(new_origin(host, _session_id(session_id, names.encode(), host, port)), [local])


def _seed(offered: bytes | str | SessionDescription) -> bytes:
    if isinstance(offered, SessionDescription):
        return offered.render()
    return offered if isinstance(offered, bytes) else offered.encode("utf-8", "surrogatepass")


def _session_id(given: int | None, seed: bytes, host: str, port: int) -> int:
    if given is not None:
        return given
    text = b"%s %d %s" % (host.encode("utf-8", "replace"), port, seed)
    # 53 bits, because some peers count in doubles.
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 11
