"""The header fields of one message: raw rows as they stood on the wire, typed values on first read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.registry import HEADERS, canonical

HeaderItems: TypeAlias = "Iterable[tuple[str, object]] | Mapping[str, object]"
"What the builders take as further headers: pairs, or a mapping; a list as a value makes several rows."

TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
UNQUOTED_NUL = re.compile(r"(?<!\\)\0")
_SEVERAL = (list, tuple)
"What makes several rows, given as a value."


def clean(value: object) -> str:
    """The text of a header value that an application gave, safe to put on the wire.

    Raises ArgumentError when it would end the row: no CR, LF or NUL of an application's reaches the wire.
    """
    text = value if type(value) is str else str(value)
    if "\n" in text or "\r" in text:
        raise ArgumentError(f"a header value cannot hold a line break: {text[:80]!r}")
    # RFC 3261 §25.1: quoted-pair = "\\" (%x00-09 / ...): a NUL stands behind a backslash, or not at all.
    if "\0" in text and UNQUOTED_NUL.search(text):
        raise ArgumentError(f"a header value cannot hold a NUL: {text[:80]!r}")
    return text.strip(" \t")


def header_items(headers: HeaderItems) -> Iterator[tuple[str, object]]:
    """The (name, value) pairs of what a caller gave as headers; a list makes one pair an element."""
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        if isinstance(value, _SEVERAL):
            for one in value:
                yield name, one
        else:
            yield name, value


class CheckedRows:
    """Rows of known headers, checked once to go into many responses; gives (name, value) pairs."""

    __slots__ = ("rows",)

    def __init__(self, headers: HeaderItems) -> None:
        """Raises ArgumentError as Headers.set does, and for a header that sipactors does not know."""
        self.rows: dict[str, str] = {}
        for name, value in header_items(headers):
            key = canonical(name)
            if key not in HEADERS or key in self.rows:
                raise ArgumentError(f"not a known header, or there twice: {name[:80]!r}")
            self.rows[key] = clean(value)

    def __iter__(self) -> Iterator[tuple[str, object]]:
        return iter(self.rows.items())


class Headers:
    """The rows of one message by header name.

    Names are taken in any case and in their compact forms (RFC 3261 §7.3.1, §7.3.3). Headers that
    sipactors does not know are kept like the others and rendered as they were spelled.
    A typed value is the message's own copy: to change the message, put the changed value back.
    """

    __slots__ = ("_rows", "_spelled", "_typed")

    # The rows of one name are one text, with "\n" between them: no row can hold that. It keeps a message
    # of twelve rows at one dict and twelve strings, which is cheap to make, to copy and to collect.
    _rows: dict[str, str]
    _spelled: dict[str, str] | None
    _typed: dict[str, Any]

    def get(self, name: str) -> str | None:
        """The first raw row of a header, or None."""
        text = self._rows.get(name)
        if text is None and name not in HEADERS:
            text = self._rows.get(canonical(name))
        return text if text is None or "\n" not in text else text.partition("\n")[0]

    def get_all(self, name: str) -> list[str]:
        """Every raw row of a header, in order; empty when there is none."""
        text = self._rows.get(name)
        if text is None:
            text = self._rows.get(canonical(name))
        return [] if text is None else text.split("\n")

    def __contains__(self, name: str) -> bool:
        return name in self._rows or (name not in HEADERS and canonical(name) in self._rows)

    def names(self) -> list[str]:
        """The header names, each once, in the order of their first rows, as they are spelled."""
        if self._spelled is None:
            return list(self._rows)
        return [self._spelled.get(key, key) for key in self._rows]

    def rows(self) -> Iterator[tuple[str, str]]:
        """Every row as (name, raw value); the rows of one name stand together."""
        for name, text in zip(self.names(), self._rows.values(), strict=True):
            for value in text.split("\n"):
                yield name, value

    def set(self, name: str, value: object) -> None:
        """Replace all rows of a header by one row, or by one row for each element of a list.

        Raises ArgumentError for a name that is no token and a value with CR, LF or NUL in it.
        """
        text = "\n".join(map(clean, value)) if isinstance(value, _SEVERAL) else clean(value)
        key = name if name in HEADERS else self._key(name)
        if value or not isinstance(value, _SEVERAL):
            self._rows[key] = text
        else:
            self._rows.pop(key, None)
        if self._typed:
            self._forget(key)

    def add(self, name: str, value: object) -> None:
        """Append one row to a header. Raises ArgumentError as `set` does."""
        text = clean(value)
        key = name if name in HEADERS else self._key(name)
        rows = self._rows
        rows[key] = f"{rows[key]}\n{text}" if key in rows else text
        if self._typed:
            self._forget(key)

    def prepend(self, name: str, value: object) -> None:
        """Put one row before the others of its header, as for Via. Raises ArgumentError as `set` does."""
        text = clean(value)
        key = self._key(name)
        rows = self._rows
        rows[key] = f"{text}\n{rows[key]}" if key in rows else text
        self._forget(key)

    def remove(self, name: str) -> None:
        """Remove all rows of a header; no error when there is none."""
        key = canonical(name)
        self._rows.pop(key, None)
        self._forget(key)

    def replace_first(self, name: str, value: object) -> None:
        """Put `value` in the place of the first value of a list header (not of its whole first row)."""
        text = clean(value)
        key = self._key(name)
        if key in self._rows:
            _, rest = _cut_first(key, self._rows[key])
            text = text if rest is None else f"{text}\n{rest}"
        self._rows[key] = text
        self._forget(key)

    def remove_first(self, name: str) -> str | None:
        """Take the first value off a list header, as a proxy does with Via and Route; None if empty."""
        key = canonical(name)
        if key not in self._rows:
            return None
        first, rest = _cut_first(key, self._rows[key])
        if rest is None:
            del self._rows[key]
        else:
            self._rows[key] = rest
        self._forget(key)
        return first

    def typed(self, name: str) -> Any:
        """The typed value of a header: a list over all rows for a list header, else one value or None.

        Read on first use and kept. Raises MalformedMessage when it does not read, and when a header
        that may stand once stands twice.
        """
        typed = self._typed
        if name in typed:
            return typed[name]
        key = name if name in HEADERS else canonical(name)
        return typed[key] if key in typed else self._read(key)

    def _read(self, key: str) -> Any:
        """Read the rows of a header and keep what they say."""
        text = self._rows.get(key)
        header = HEADERS.get(key)
        if header is None:
            return [] if text is None else text.split("\n")
        if text is None:
            return [] if header.multiple else None
        value: Any
        try:
            if not header.multiple:
                # RFC 3261 §7.3.1: several rows of a name only if its value is a comma-separated list.
                if "\n" in text:
                    raise MalformedMessage(400, "stands more than once")
                value = header.parse(text)
            elif "\n" not in text and "," not in text:
                value = [header.parse(text)] if text or not header.empty else []
            else:
                value = []
                for row in text.split("\n"):
                    if header.comma and "," in row:
                        value += map(header.parse, header.split(row))
                    elif row or not header.empty:
                        value.append(header.parse(row))
        except MalformedMessage as error:
            raise MalformedMessage(error.status, f"{key}: {error.what}", self) from None
        self._typed[key] = value
        return value

    def _key(self, name: str) -> str:
        """The storage key of a name that a caller gave; ArgumentError if it cannot be a header name."""
        key = canonical(name)
        if key in HEADERS:
            return key
        if not TOKEN.fullmatch(name):
            raise ArgumentError(f"not a header name: {name[:80]!r}")
        if self._spelled is None:
            self._spelled = {}
        self._spelled.setdefault(key, name)
        return key

    def _forget(self, key: str) -> None:
        """Drop what was read of a header whose rows have changed."""
        self._typed.pop(key, None)
        if key == "Via":
            self._typed.pop(TOP_VIA, None)


TOP_VIA = "Via, topmost"
"Where the topmost Via is kept among the typed values; no header name, since it holds a comma."


def _cut_first(key: str, text: str) -> tuple[str, str | None]:
    """The first value in the rows of a header, and the rows without it; None if that was all."""
    row, line_break, rest = text.partition("\n")
    header = HEADERS.get(key)
    if "," in row and header is not None and header.comma:
        row, *others = header.split(row)
        if others:
            return row, ", ".join(others) + line_break + rest
    return row, rest if line_break else None
