"""One section of a description, the session's or a stream's: its lines in order, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.sdp.attributes import DIRECTIONS, Attribute, Direction
from sipactors.sdp.fields import Bandwidth, Connection
from sipactors.sdp.grammar import check_line


def written(line: str) -> str:
    """The line that an application wants to write, if RFC 8866 allows it. Raises ArgumentError."""
    try:
        check_line(line)
    except MalformedMessage as error:
        raise ArgumentError(error.what) from None
    return line


@dataclass(slots=True)
class Section:
    """Lines as `a=ptime:20`, all of them and in the order in which they came; the rest is a view."""

    lines: list[str] = field(default_factory=list)

    _order: ClassVar[str] = "icbka"

    def first(self, letter: str) -> str | None:
        """What stands behind `=` in the first line of this letter, or None."""
        start = letter + "="
        for line in self.lines:
            if line.startswith(start):
                return line[2:]
        return None

    def put(self, letter: str, values: Iterable[str]) -> None:
        """Replace all lines of a letter; no values remove them. Raises ArgumentError.

        They stand where the first of them stood, or else where RFC 8866 §5 wants this letter.
        """
        new = [written(f"{letter}={value}") for value in values]
        start = letter + "="
        place = next((at for at, line in enumerate(self.lines) if line.startswith(start)), None)
        kept = [line for line in self.lines if not line.startswith(start)]
        if place is None:
            rank = self._order.index(letter)
            place = len(kept)
            while place and self._order.find(kept[place - 1][0]) > rank:
                place -= 1
        kept[place:place] = new
        self.lines = kept

    @property
    def information(self) -> str | None:
        """The title for people (i=, RFC 8866 §5.4)."""
        return self.first("i")

    @information.setter
    def information(self, value: str | None) -> None:
        self.put("i", () if value is None else (value,))

    @property
    def connection(self) -> Connection | None:
        """The c= line of this section alone; the session has `connection_of` for what holds.

        Raises MalformedMessage for one that only lenient reading let pass.
        """
        value = self.first("c")
        return None if value is None else Connection.parse(value)

    @connection.setter
    def connection(self, value: Connection | None) -> None:
        self.put("c", () if value is None else (str(value),))

    @property
    def bandwidths(self) -> list[Bandwidth]:
        """Every b= line. Raises MalformedMessage for one that only lenient reading let pass."""
        return [Bandwidth.parse(line[2:]) for line in self.lines if line.startswith("b=")]

    @bandwidths.setter
    def bandwidths(self, values: Iterable[Bandwidth]) -> None:
        self.put("b", [str(value) for value in values])

    @property
    def key(self) -> str | None:
        """The k= line, obsolete and to be ignored, but kept (RFC 8866 §5.12)."""
        return self.first("k")

    @property
    def attributes(self) -> list[Attribute]:
        """Every a= line in order: a new list, so change them by the methods below."""
        return [Attribute.parse(line[2:]) for line in self.lines if line.startswith("a=")]

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of this name: "" for a property, None when there is none."""
        flag, start = f"a={name}", f"a={name}:"
        for line in self.lines:
            if line.startswith(start):
                return line[len(start) :]
            if line == flag:
                return ""
        return None

    def values(self, name: str) -> list[str]:
        """The values of all attributes of this name, in order."""
        start = f"a={name}:"
        return [line[len(start) :] for line in self.lines if line.startswith(start)]

    def add_attribute(self, name: str, value: str | None = None) -> None:
        """Append an a= line. Raises ArgumentError."""
        self.lines.append(written(f"a={Attribute(name, value)}"))

    def set_attribute(self, name: str, value: str | None = None) -> None:
        """Put one a= line of this name in place of all of them, or append it. Raises ArgumentError."""
        new = written(f"a={Attribute(name, value)}")
        place = next((at for at, line in enumerate(self.lines) if _named(line, name)), None)
        kept = [line for line in self.lines if not _named(line, name)]
        kept.insert(len(kept) if place is None else place, new)
        self.lines = kept

    def remove_attribute(self, name: str) -> None:
        """Remove all a= lines of this name; no error when there is none."""
        self.keep_lines(lambda line: not _named(line, name))

    def keep_lines(self, wanted: Callable[[str], bool]) -> None:
        """Keep the lines for which `wanted` is true."""
        self.lines = [line for line in self.lines if wanted(line)]

    @property
    def direction(self) -> Direction | None:
        """What this section says of the direction, or None; the session has `direction_of`."""
        for line in self.lines:
            if line.startswith("a="):
                direction = DIRECTIONS.get(line[2:].strip())
                if direction is not None:
                    return direction
        return None

    @direction.setter
    def direction(self, value: Direction | None) -> None:
        def says(line: str) -> bool:
            return line.startswith("a=") and line[2:].strip() in DIRECTIONS

        place = next((at for at, line in enumerate(self.lines) if says(line)), len(self.lines))
        kept = [line for line in self.lines if not says(line)]
        if value is not None:
            kept.insert(place, f"a={value.value}")
        self.lines = kept


def _named(line: str, name: str) -> bool:
    return line.startswith(f"a={name}") and (len(line) == len(name) + 2 or line[len(name) + 2] == ":")
