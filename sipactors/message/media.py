"""Media types: what a body is (Content-Type) and what may be sent (Accept) (RFC 3261 §20.1, §20.15)."""

from __future__ import annotations

import re

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.parameterized import read_q
from sipactors.message.values import TOKEN, Parameters, ParametersLike, is_token, read_parameters

_media = re.compile(rf"({TOKEN})[ \t]*/[ \t]*({TOKEN})")
_new = object.__new__


class MediaType:
    """A media type, or in Accept a range such as `text/*`: `MediaType("application", "sdp")`.

    Compared without case but for quoted parameters (RFC 3261 §7.3.1).
    """

    __slots__ = ("params", "subtype", "type")

    type: str
    subtype: str
    params: Parameters

    def __init__(self, type: str, subtype: str, params: ParametersLike = None) -> None:
        if not is_token(type) or not is_token(subtype):
            raise ArgumentError(f"not a media type: {type}/{subtype}")
        self.type = type
        self.subtype = subtype
        self.params = Parameters(params)

    @classmethod
    def parse(cls, text: str) -> MediaType:
        """Read "application/sdp;charset=utf-8"; MalformedMessage(400) when it is none."""
        text = text.strip(" \t")
        found = _media.match(text)
        if found is None:
            raise MalformedMessage(400, f"not a media type: {text[:80]!r}")
        media: MediaType = _new(cls)
        media.type, media.subtype = found.groups()
        media.params = read_parameters(text, found.end()) if found.end() < len(text) else Parameters()
        return media

    @property
    def essence(self) -> str:
        """Type and subtype in lower case, without parameters: "application/sdp"."""
        return f"{self.type}/{self.subtype}".lower()

    @property
    def q(self) -> float | None:
        """The preference of a range in Accept, 0 to 1; None when it is absent or no such number."""
        return read_q(self.params.get("q"))

    def includes(self, other: MediaType) -> bool:
        """Whether `other` lies in this range, and has the same value for each parameter that is named here.

        RFC 3261 §20.1 takes the rules of HTTP: q and what follows it belong to Accept, not to the type.
        """
        if self.type != "*" and self.type.lower() != other.type.lower():
            return False
        if self.subtype != "*" and self.subtype.lower() != other.subtype.lower():
            return False
        for name in self.params:
            if name.lower() == "q":
                break
            if not self.params.same(name, other.params):
                return False
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MediaType):
            return NotImplemented
        return self.essence == other.essence and self.params == other.params

    def __str__(self) -> str:
        return f"{self.type}/{self.subtype}{self.params}"

    def __repr__(self) -> str:
        return f"<MediaType {self}>"
