"""Tokens, quoted strings, comma lists and parameters: what SIP header values are made of (RFC 3261 §25.1).

Every reader here takes time in proportion to the length of its text, whatever a stranger put into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from sipactors.errors import ArgumentError, MalformedMessage

ParametersLike: TypeAlias = "Parameters | Mapping[str, Any] | Iterable[tuple[str, Any]] | None"

# RFC 3261 §25.1: token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~")
TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
# RFC 3261 §25.1: quoted-string = SWS DQUOTE *(qdtext / quoted-pair) DQUOTE. The loop is unrolled so that
# there is one way only to match a text, and a missing end is found in one pass.
QUOTED = r'"[^"\\\x00-\x08\x0A-\x1F\x7F]*(?:\\[^\r\n\x80-\U0010FFFF][^"\\\x00-\x08\x0A-\x1F\x7F]*)*"'
# gen-value = token / host / quoted-string; the first form is an IPv6 address without its brackets, as
# "received" has it (RFC 3261 §20.42).
_VALUE = rf"[0-9A-Fa-f]{{0,4}}:[0-9A-Fa-f:.]+|{TOKEN}|{QUOTED}|\[[0-9A-Fa-f:.]+\]"

_token = re.compile(rf"{TOKEN}\Z")
_quoted = re.compile(rf"{QUOTED}\Z")
_value = re.compile(rf"(?:{_VALUE})\Z")
_unsafe = re.compile(r"[\r\n\x00]")
_new = object.__new__
_escaped = re.compile(r"\\(.)", re.DOTALL)
_parameter = re.compile(rf"[ \t]*;[ \t]*({TOKEN})(?:[ \t]*=[ \t]*({_VALUE}))?")
_piece = re.compile(rf"[^\",<]+|{QUOTED}|<[^<>\"]*>|(,)")


def is_token(text: str) -> bool:
    """Whether `text` is a token: letters, digits and -.!%*_+`'~, at least one."""
    return _token.match(text) is not None


def check_text(text: str, what: str) -> str:
    """Give `text` back; ArgumentError when it could break out of its header row (CR, LF or NUL)."""
    if _unsafe.search(text):
        raise ArgumentError(f"{what}: CR, LF and NUL cannot stand in a header")
    return text


def check_token(text: str, what: str) -> str:
    """Give `text` back; ArgumentError when it is not a token."""
    if not _token.match(text):
        raise ArgumentError(f"{what}: not a token: {text!r}")
    return text


def quote(text: str) -> str:
    """Write `text` as a quoted-string; ArgumentError when CR, LF or NUL stands in it."""
    check_text(text, "quoted string")
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_control.sub(_escape_control, text)}"'


_control = re.compile(r"[\x01-\x08\x0B\x0C\x0E-\x1F\x7F]")


def _escape_control(match: re.Match[str]) -> str:
    return "\\" + match[0]


def unquote(text: str) -> str:
    """The text that a quoted-string stands for; a text without quotes is given back as it is."""
    if text[:1] != '"':
        return text
    text = text[1:-1]
    return _escaped.sub(r"\1", text) if "\\" in text else text


def is_quoted(text: str) -> bool:
    """Whether `text` is one whole quoted-string."""
    return _quoted.match(text) is not None


def split_commas(text: str) -> list[str]:
    """The elements of a comma list, stripped; commas in quoted strings and in <> do not separate.

    Raises MalformedMessage(400) for a quote or bracket that is not closed, and for an empty element.
    """
    if '"' not in text and "<" not in text:
        elements = [element.strip() for element in text.split(",")]
    else:
        elements = []
        begin = at = 0
        size = len(text)
        while at < size:
            piece = _piece.match(text, at)
            if piece is None:
                raise MalformedMessage(400, "a quote or < that is not closed")
            at = piece.end()
            if piece[1]:
                elements.append(text[begin : at - 1].strip())
                begin = at
        elements.append(text[begin:].strip())
    if "" in elements:
        raise MalformedMessage(400, "an empty element in a comma list")
    return elements


def same_value(one: str | None, other: str | None) -> bool:
    """Whether two parameter values, as on the wire, mean the same.

    RFC 3261 §7.3.1: values are case-insensitive, those expressed as quoted strings are case-sensitive.
    """
    if one == other:
        return True
    if one is None or other is None:
        return False
    if one[:1] == '"' or other[:1] == '"':
        return unquote(one) == unquote(other)
    return one.lower() == other.lower()


class Parameters:
    """The parameters of a header value: an ordered mapping whose names compare without case.

    `params["q"]` is the value without its quotes, None for a parameter that is a flag. The wire form is
    kept: what was read quoted is written quoted. A new value is quoted when it has to be. Setting a name
    that is no token, or a value with CR, LF or NUL, raises ArgumentError.
    """

    __slots__ = ("_rows",)

    _separator = ";"

    def __init__(self, items: ParametersLike = None) -> None:
        self._rows: dict[str, tuple[str, str | None]] = {}
        if items is not None:
            self.update(items)

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """Read ";name=value;flag"; MalformedMessage(400) when that is not what it is."""
        params = cls()
        if params._read(text, 0) != len(text):
            raise MalformedMessage(400, "parameters that do not parse")
        return params

    @classmethod
    def split(cls, text: str) -> Any:
        """The parameters of a text that is known to be of the form ";name=value;flag", without quotes.

        A short way for readers whose own pattern has seen to that. MalformedMessage(400) for a name that
        appears twice.
        """
        params = _new(cls)
        # RFC 3261 §7.3.1: any given parameter-name MUST NOT appear more than once.
        rows: dict[str, tuple[str, str | None]] = {}
        params._rows = rows
        if text:
            for part in text[1:].split(";"):
                name, equal, value = part.partition("=")
                key = name.lower()
                if key in rows:
                    raise MalformedMessage(400, f"parameter {name} appears twice")
                rows[key] = (name, value if equal else None)
        return params

    def _read(self, text: str, at: int) -> int:
        """Read parameters of `text` from `at` on and return where they end."""
        rows = self._rows
        match = _parameter.match
        found = match(text, at)
        while found is not None:
            name, value = found.groups()
            key = name.lower()
            # RFC 3261 §7.3.1: any given parameter-name MUST NOT appear more than once.
            if key in rows:
                raise MalformedMessage(400, f"parameter {name} appears twice")
            rows[key] = (name, value)
            at = found.end()
            found = match(text, at)
        return at

    # The two ways between a value and its wire form; URI parameters have others.

    def _decode(self, raw: str) -> str:
        return unquote(raw)

    def _encode(self, name: str, value: str) -> str:
        return value if _value.match(value) and value[:1] != '"' else quote(value)

    def _check_name(self, name: str) -> str:
        return check_token(name, "parameter name")

    def _key(self, name: str) -> str:
        return name.lower()

    def __getitem__(self, name: str) -> str | None:
        raw = self._rows[self._key(name)][1]
        return None if raw is None else self._decode(raw)

    def __setitem__(self, name: str, value: object) -> None:
        wire = None if value is None else self._encode(name, str(value))
        key = self._key(name)
        old = self._rows.get(key)
        self._rows[key] = (old[0] if old else self._check_name(name), wire)

    def __delitem__(self, name: str) -> None:
        del self._rows[self._key(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._key(name) in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._rows.values()])

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value without its quotes, or `default` when the parameter is absent or a flag."""
        row = self._rows.get(self._key(name))
        if row is None or row[1] is None:
            return default
        return self._decode(row[1])

    def raw(self, name: str) -> str | None:
        """The value as it stands on the wire, quotes and escapes included."""
        row = self._rows.get(self._key(name))
        return None if row is None else row[1]

    def set_raw(self, name: str, raw: str) -> None:
        """Set a value in its wire form, as '"auth,auth-int"'; ArgumentError when it is not one."""
        if not _value.match(raw):
            raise ArgumentError(f"parameter {name}: not a token, host or quoted string: {raw!r}")
        self._rows[self._key(name)] = (self._check_name(name), raw)

    def keys(self) -> list[str]:
        """The names, as they are spelled, in order."""
        return [name for name, _ in self._rows.values()]

    def items(self) -> list[tuple[str, str | None]]:
        """(name, value) in order, values without quotes, None for a flag."""
        decode = self._decode
        return [(name, None if raw is None else decode(raw)) for name, raw in self._rows.values()]

    def pop(self, name: str, default: str | None = None) -> str | None:
        """Take a parameter out and return its value; `default` when it is absent."""
        row = self._rows.pop(self._key(name), None)
        if row is None:
            return default
        return None if row[1] is None else self._decode(row[1])

    def update(self, items: ParametersLike) -> None:
        """Set every (name, value) of a mapping, of pairs, or of other parameters."""
        if isinstance(items, Parameters):
            if type(items) is type(self):
                self._rows.update(items._rows)
                return
            items = items.items()
        elif isinstance(items, Mapping):
            items = items.items()
        for name, value in items or ():
            self[name] = value

    def copy(self) -> Any:
        """Parameters of their own with the same rows."""
        other = type(self)()
        other._rows = self._rows.copy()
        return other

    def same(self, name: str, other: Parameters) -> bool:
        """Whether parameter `name` is absent from both, or in both with values that mean the same."""
        key = self._key(name)
        one, two = self._rows.get(key), other._rows.get(key)
        if one is None or two is None:
            return one is two
        return self._same_value(one[1], two[1])

    def common_match(self, other: Parameters) -> bool:
        """Whether every parameter that stands in both means the same in both."""
        rows = other._rows
        return all(self._same_value(row[1], rows[key][1]) for key, row in self._rows.items() if key in rows)

    def _same_value(self, one: str | None, other: str | None) -> bool:
        return same_value(one, other)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameters):
            return NotImplemented
        return self._rows.keys() == other._rows.keys() and self.common_match(other)

    def __str__(self) -> str:
        parts = []
        for name, raw in self._rows.values():
            parts.append(f";{name}" if raw is None else f";{name}={raw}")
        return "".join(parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.items()!r})"


def read_parameters(text: str, at: int = 0) -> Parameters:
    """The parameters from `at` to the end of `text`; MalformedMessage(400) when anything else is there."""
    params = Parameters()
    end = params._read(text, at)
    if end != len(text) and text[end:].strip(" \t"):
        raise MalformedMessage(400, "parameters that do not parse")
    return params
