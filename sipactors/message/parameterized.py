"""A value with parameters behind it: what most headers that are no address consist of (RFC 3261 §25.1)."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.values import QUOTED, TOKEN, Parameters, ParametersLike, read_parameters

# A text that holds commas or semicolons only in quotes; the pattern of each class then judges it.
_value = re.compile(rf"{QUOTED}|[^ \t;,\"]+")
_token = re.compile(rf"{TOKEN}\Z")
_q = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
_new = object.__new__


def read_q(text: str | None) -> float | None:
    """A qvalue (RFC 3261 §25.1) of 0 to 1 with three digits at most, or None when it is no such."""
    return float(text) if text is not None and _q.match(text) else None


class Parameterized:
    """A value and its parameters, compared without case but for quoted strings."""

    __slots__ = ("params", "value")

    _start: ClassVar[re.Pattern[str]] = _value
    _pattern: ClassVar[re.Pattern[str]] = _token
    _what: ClassVar[str] = "a token"

    value: str
    params: Parameters

    def __init__(self, value: str, params: ParametersLike = None) -> None:
        self.value = value
        self.params = Parameters(params)
        try:
            self._check()
        except MalformedMessage as error:
            raise ArgumentError(f"{type(self).__name__}: {error.what}") from None

    @classmethod
    def parse(cls, text: str) -> Any:
        """Read one value; MalformedMessage(400) when it is none."""
        text = text.strip(" \t")
        found = cls._start.match(text)
        if found is None:
            raise MalformedMessage(400, f"not {cls._what}: {text[:80]!r}")
        value = _new(cls)
        value.value = found[0]
        value.params = read_parameters(text, found.end()) if found.end() < len(text) else Parameters()
        value._check()
        return value

    def _check(self) -> None:
        if not self._pattern.match(self.value):
            raise MalformedMessage(400, f"not {self._what}: {self.value[:80]!r}")

    def _key(self) -> str:
        return self.value.lower()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Parameterized)
        return self._key() == other._key() and self.params == other.params

    def __str__(self) -> str:
        return f"{self.value}{self.params}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class ParameterizedToken(Parameterized):
    """A token with parameters: Content-Disposition, Accept-Encoding, Security-Client and many others."""

    __slots__ = ()

    @property
    def q(self) -> float | None:
        """The preference of 0 to 1; None when it is absent or no such number."""
        return read_q(self.params.get("q"))


class FeatureSet(ParameterizedToken):
    """One set of features of Accept-Contact or Reject-Contact: "*" with feature tags (RFC 3841 §9.2)."""

    __slots__ = ()

    _pattern = re.compile(r"\*\Z")
    _what = '"*"'

    @property
    def require(self) -> bool:
        """Whether contacts that do not match are left out."""
        return "require" in self.params

    @property
    def explicit(self) -> bool:
        """Whether a feature that a contact does not mention counts against it."""
        return "explicit" in self.params


class LanguageRange(ParameterizedToken):
    """A language of Accept-Language, or "*" (RFC 3261 §20.3)."""

    __slots__ = ()

    _pattern = re.compile(r"(?:[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\Z")
    _what = "a language"


class NetworkName(Parameterized):
    """A token or quoted string with parameters, as P-Visited-Network-ID has it (RFC 7315)."""

    __slots__ = ()

    _pattern = re.compile(rf"(?:{TOKEN}|{QUOTED})\Z")
    _what = "a token or quoted string"

    def _key(self) -> str:
        return self.value if self.value[:1] == '"' else self.value.lower()
