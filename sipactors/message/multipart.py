"""Bodies of several parts: multipart/mixed, multipart/alternative and the like (RFC 2046 §5.1, RFC 5621)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import quopri
import re
from collections.abc import Iterable, Sequence
from typing import Any

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.headers import TOKEN, HeaderItems, Headers, header_items
from sipactors.message.media import MediaType
from sipactors.message.message import Message
from sipactors.message.registry import canonical

# RFC 2046 §5.1.1: boundary := 0*69<bchars> bcharsnospace
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,\-./:=? ]{0,69}[A-Za-z0-9'()+_,\-./:=?]")
_FOLD = re.compile(r"\r\n[ \t]+")

MAX_PARTS = 100
"How many parts one body may have."
MAX_DEPTH = 4
"How deep parts may be nested in each other."


class Part(Headers):
    """One part of a body: MIME header fields, and a body of its own."""

    __slots__ = ("body",)

    body: bytes
    "The body as it stands on the wire; `content` is without its transfer encoding."

    def __init__(self, body: bytes = b"", content_type: object = None, headers: HeaderItems = ()) -> None:
        """Raises ArgumentError for a header with a line break in it, and for a body that is not bytes."""
        if not isinstance(body, bytes):
            raise ArgumentError(f"a body is bytes, not {type(body).__name__}")
        self._rows = {}
        self._spelled = None
        self._typed = {}
        self.body = body
        if content_type is not None:
            self.set("Content-Type", content_type)
        for name, value in header_items(headers):
            self.add(name, value)

    @property
    def content_type(self) -> MediaType:
        """What the part is. RFC 2046 §5.1: text/plain in US-ASCII when it does not say."""
        return self.typed("Content-Type") or MediaType("text", "plain", {"charset": "us-ascii"})

    @property
    def disposition(self) -> Any:
        """Content-Disposition (value "session", "render" …, parameter "handling"), or None."""
        return self.typed("Content-Disposition")

    @property
    def content_id(self) -> str | None:
        """Content-ID without its brackets, by which a cid: URI names the part (RFC 2392), or None."""
        text = self.get("Content-ID")
        return None if text is None else text.strip(" \t<>")

    @property
    def content(self) -> bytes:
        """The body without its transfer encoding. Raises MalformedMessage(415) for one that is unknown."""
        encoding = (self.get("Content-Transfer-Encoding") or "binary").lower()
        if encoding in ("binary", "8bit", "7bit"):
            return self.body
        if encoding == "base64":
            try:
                return base64.b64decode(self.body)
            except binascii.Error:
                raise MalformedMessage(400, "a part that is not base64") from None
        if encoding == "quoted-printable":
            return quopri.decodestring(self.body)
        raise MalformedMessage(415, f"Content-Transfer-Encoding: {encoding[:40]}")

    def render(self) -> bytes:
        """Header fields, the empty line and the body."""
        rows = "".join([f"{name}: {value}\r\n" for name, value in self.rows()])
        return f"{rows}\r\n".encode("utf-8", "surrogateescape") + self.body

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Part):
            return NotImplemented
        return self._rows == other._rows and self.body == other.body

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Part {self.get('Content-Type')} of {len(self.body)} bytes>"


def read_parts(body: bytes, content_type: MediaType) -> list[Part]:
    """The parts of a multipart body, in order; what stands before the first and after the last is dropped.

    Raises MalformedMessage(400) without a boundary, a part or an end, and over MAX_PARTS parts.
    """
    boundary = content_type.params.get("boundary")
    if not boundary or not _BOUNDARY.fullmatch(boundary):
        raise MalformedMessage(400, "Content-Type: multipart without a boundary")
    # RFC 2046 §5.1.1: the CRLF before a boundary delimiter line belongs to the delimiter.
    line = re.compile(rb"\r\n--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    body = b"\r\n" + body
    parts: list[Part] = []
    begin = None
    for found in line.finditer(body):
        if begin is not None:
            if len(parts) == MAX_PARTS:
                raise MalformedMessage(400, f"a body of more than {MAX_PARTS} parts")
            parts.append(_read_part(body[begin : max(begin, found.start())]))
        if found[1]:
            if not parts:
                break
            return parts
        begin = found.end() + 2
    raise MalformedMessage(
        400, "a multipart body without its end" if parts else "a multipart body without parts"
    )


def _read_part(data: bytes) -> Part:
    part = Part()
    if data.startswith(b"\r\n"):
        part.body = data[2:]
        return part
    head, _, part.body = data.partition(b"\r\n\r\n")
    text = head.decode("utf-8", "surrogateescape")
    lines = _FOLD.sub(" ", text).split("\r\n") if text else []
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not TOKEN.fullmatch(name) or "\r" in value or "\n" in value or "\0" in value:
            raise MalformedMessage(400, f"not a header field of a part: {line[:60]!r}")
        if name in part:
            # RFC 2045 §3: each of the MIME header fields stands once; the first one counts.
            continue
        part.add(name, value)
    return part


def write_parts(
    parts: Sequence[Part], subtype: str = "mixed", boundary: str | None = None
) -> tuple[MediaType, bytes]:
    """The Content-Type and the body that carry these parts.

    Without a `boundary`, one is made of the parts' digest. Raises ArgumentError for no parts, and for a
    boundary that stands in one of them.
    """
    if not parts:
        raise ArgumentError("a multipart body needs a part")
    rendered = [part.render() for part in parts]
    if boundary is None:
        boundary = hashlib.sha256(b"\0".join(rendered)).hexdigest()[:32]
    if not _BOUNDARY.fullmatch(boundary):
        raise ArgumentError(f"not a boundary: {boundary[:80]!r}")
    delimiter = b"--" + boundary.encode()
    # RFC 2046 §5.1: the boundary delimiter MUST NOT appear inside any of the encapsulated parts.
    if any(delimiter in part for part in rendered):
        raise ArgumentError(f"the boundary {boundary!r} stands in a part")
    body = b"".join([delimiter + b"\r\n" + part + b"\r\n" for part in rendered]) + delimiter + b"--\r\n"
    return MediaType("multipart", subtype, {"boundary": boundary}), body


def parts_of(message: Message) -> list[Part]:
    """The body of a message as parts: those of a multipart, else the one that it is; none without a body.

    Parts that are multipart themselves are given as they are: see `find_part`.
    """
    media = message.content_type
    if media is not None and media.type.lower() == "multipart":
        return read_parts(message.body, media)
    if not message.body:
        return []
    headers = [row for row in message.rows() if canonical(row[0]) in _OF_THE_BODY]
    return [Part(message.body, headers=headers)]


_OF_THE_BODY = frozenset(
    {"Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language", "content-id"}
    | {"content-transfer-encoding"}
)


def find_part(message: Message, essence: str) -> Part | None:
    """The part of a message that is of a media type, as "application/sdp", wherever it is nested.

    RFC 2046 §5.1.4: of a multipart/alternative, the last one is the best. Raises MalformedMessage when a
    multipart does not read, or is nested deeper than MAX_DEPTH.
    """
    media = message.content_type
    last = media is not None and media.essence == "multipart/alternative"
    return _find(parts_of(message), essence.lower(), last, 1)


def _find(parts: Iterable[Part], essence: str, last: bool, depth: int) -> Part | None:
    if depth > MAX_DEPTH:
        raise MalformedMessage(400, f"parts nested deeper than {MAX_DEPTH}")
    best = None
    for part in parts:
        media = part.content_type
        found: Part | None = None
        if media.essence == essence:
            found = part
        elif media.type.lower() == "multipart":
            inner = media.essence == "multipart/alternative"
            found = _find(read_parts(part.body, media), essence, inner, depth + 1)
        if found is not None:
            if not last:
                return found
            best = found
    return best
