"""The session description: bytes to a document that keeps every line, and back (RFC 8866)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from sipactors.errors import ArgumentError
from sipactors.sdp.attributes import Direction
from sipactors.sdp.fields import Connection, Origin, Repeat, TimeDescription, malformed, parse_zones
from sipactors.sdp.grammar import SESSION_ORDER
from sipactors.sdp.media import MediaDescription
from sipactors.sdp.reading import read
from sipactors.sdp.section import Section, written


@dataclass(slots=True)
class SessionDescription(Section):
    """A whole SDP document; `lines` holds the session section, `media` the streams in order."""

    media: list[MediaDescription] = field(default_factory=list)

    _order: ClassVar[str] = SESSION_ORDER

    @classmethod
    def parse(
        cls,
        data: bytes | str,
        *,
        strict: bool = False,
        max_size: int = 65_536,
        max_media: int = 64,
    ) -> SessionDescription:
        """Read a document that a stranger sent.

        Strict reading refuses whatever RFC 8866 does not allow. Lenient reading wants v=, o=, c= and m=
        lines that can be understood, and keeps all else as it is, unknown lines too; it takes LF for
        CRLF and any order of lines. Raises MalformedMessage, which names the line; its status is 413
        above `max_size` bytes, 400 otherwise.
        """
        return cls(*read(data, strict=strict, max_size=max_size, max_media=max_media))

    @classmethod
    def create(
        cls,
        origin: Origin,
        *,
        name: str = "-",
        connection: Connection | None = None,
        times: Iterable[TimeDescription] = (TimeDescription(),),
        media: Iterable[MediaDescription] = (),
    ) -> SessionDescription:
        """A new document. Raises ArgumentError when a value cannot be written."""
        lines = ["v=0", written(f"o={origin}"), written(f"s={name}")]
        if connection is not None:
            lines.append(written(f"c={connection}"))
        periods = [line for value in times for line in value.lines()]
        if not periods:
            raise ArgumentError("SDP t= line: one at least is wanted")
        lines += [written(line) for line in periods]
        return cls(lines, list(media))

    def render(self) -> bytes:
        """The document for the wire, each line ended by CRLF. Raises ArgumentError for what breaks it."""
        lines = list(self.lines)
        for media in self.media:
            lines += media.render_lines()
        together = "".join(lines)
        if "\r" in together or "\n" in together or "\0" in together:
            raise ArgumentError("SDP line: NUL, CR or LF in it")
        lines.append("")
        try:
            return "\r\n".join(lines).encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise ArgumentError("SDP text: not Unicode") from None

    def __str__(self) -> str:
        return self.render().decode("utf-8", "replace")

    def copy(self) -> SessionDescription:
        """A document that can be changed without changing this one."""
        return SessionDescription(list(self.lines), [media.copy() for media in self.media])

    @property
    def origin(self) -> Origin:
        """The o= line. Raises MalformedMessage when a document put together by hand has none."""
        value = self.first("o")
        if value is None:
            raise malformed("o", "missing")
        return Origin.parse(value)

    @origin.setter
    def origin(self, value: Origin) -> None:
        self.put("o", (str(value),))

    @property
    def name(self) -> str:
        """The s= line, "" when lenient reading found none."""
        return self.first("s") or ""

    @name.setter
    def name(self, value: str) -> None:
        self.put("s", (value,))

    @property
    def uri(self) -> str | None:
        """Where to read more (u=, RFC 8866 §5.5)."""
        return self.first("u")

    @uri.setter
    def uri(self, value: str | None) -> None:
        self.put("u", () if value is None else (value,))

    @property
    def emails(self) -> list[str]:
        """Every e= line."""
        return [line[2:] for line in self.lines if line.startswith("e=")]

    @emails.setter
    def emails(self, values: Iterable[str]) -> None:
        self.put("e", values)

    @property
    def phones(self) -> list[str]:
        """Every p= line."""
        return [line[2:] for line in self.lines if line.startswith("p=")]

    @phones.setter
    def phones(self, values: Iterable[str]) -> None:
        self.put("p", values)

    @property
    def times(self) -> list[TimeDescription]:
        """Every t= line with the r= and z= lines behind it.

        Raises MalformedMessage for one that only lenient reading let pass.
        """
        result: list[TimeDescription] = []
        for line in self.lines:
            if line.startswith("t="):
                result.append(TimeDescription.parse(line[2:]))
            elif line.startswith("r=") and result:
                result[-1].repeats.append(Repeat.parse(line[2:]))
            elif line.startswith("z=") and result:
                result[-1].zones += parse_zones(line[2:])
        return result

    @times.setter
    def times(self, values: Iterable[TimeDescription]) -> None:
        lines = [line for value in values for line in value.lines()]
        if not lines:
            raise ArgumentError("SDP t= line: one at least is wanted")
        self.put("r", ())
        self.put("z", ())
        self.put("t", ("0 0",))
        place = self.lines.index("t=0 0")
        self.lines[place : place + 1] = lines

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """Where a stream is received: its own c= line, or else the session's (RFC 8866 §5.7)."""
        own = media.connection
        return self.connection if own is None else own

    def direction_of(self, media: MediaDescription) -> Direction:
        """Which way a stream flows: its own attribute, or the session's, or sendrecv (RFC 8866 §6.7)."""
        return media.direction or self.direction or Direction.SENDRECV

    def same_but_version(self, other: SessionDescription) -> bool:
        """True when both would be one body, were it not for the version in o=."""
        mine, theirs = self.origin, other.origin
        if not mine.same_session(theirs) or self.media != other.media:
            return False
        mine_without, theirs_without = (
            [line for line in description.lines if not line.startswith("o=")] for description in (self, other)
        )
        return mine_without == theirs_without

    def follows(self, previous: SessionDescription) -> bool:
        """True when this differs from `previous`. Raises MalformedMessage for a broken version rule.

        RFC 3264 §8: if the version does not increment, the SDP MUST be identical to the one before.
        """
        if self.same_but_version(previous):
            return False
        before, now = previous.origin, self.origin
        if now.same_session(before) and now.version <= before.version:
            raise malformed("o", "the body changed, the version did not")
        return True
