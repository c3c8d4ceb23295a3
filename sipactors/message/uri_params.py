"""The parameters of a URI, and what all URIs have in common (RFC 3261 §19.1, §25.1)."""

from __future__ import annotations

import re

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import grammar
from sipactors.message.values import Parameters

# RFC 3261 §25.1: uri-parameters, with "%" for the escapes.
URI_PARAMS = r"(?:;[A-Za-z0-9\-_.!~*'()%\[\]/:&+$]+(?:=[A-Za-z0-9\-_.!~*'()%\[\]/:&+$]+|))*"
_uri_params = re.compile(rf"{URI_PARAMS}\Z")
_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})")

PARAM_SAFE = "!*'()[]/:&+$"
"What stands unescaped in a parameter, besides letters, digits and _.-~"


def check_escapes(text: str) -> None:
    """MalformedMessage(400) when a % in `text` is not followed by two hexadecimal digits."""
    if "%" in text and _bad_escape.search(text):
        raise MalformedMessage(400, "URI: % that starts no escape")


class URIParameters(Parameters):
    """The parameters of a URI: as Parameters, with %HH instead of quotes around what cannot stand plain."""

    __slots__ = ()

    _safe = PARAM_SAFE

    @classmethod
    def parse(cls, text: str) -> URIParameters:
        """Read ";name=value;flag"; MalformedMessage(400) when that is not what it is."""
        if not _uri_params.match(text):
            raise MalformedMessage(400, "URI: parameters that do not parse")
        check_escapes(text)
        return cls.split(text)

    @classmethod
    def split(cls, text: str) -> URIParameters:
        """See Parameters.split; escapes in names are read."""
        params: URIParameters = super().split(text)
        if "%" in text:
            rows = {grammar.unescape(key).lower(): row for key, row in params._rows.items()}
            # RFC 3261 §19.1.1: any given parameter-name MUST NOT appear more than once.
            if len(rows) != len(params._rows):
                raise MalformedMessage(400, "URI: a parameter that appears twice")
            params._rows = rows
        return params

    def _decode(self, raw: str) -> str:
        return grammar.unescape(raw)

    def _encode(self, name: str, value: str) -> str:
        if not value:
            raise ArgumentError(f"URI parameter {name}: an empty value")
        return grammar.escape(value, self._safe)

    def _check_name(self, name: str) -> str:
        if not name:
            raise ArgumentError("a URI parameter without a name")
        return grammar.escape(name, self._safe)

    def set_raw(self, name: str, raw: str) -> None:
        """Set a value in its escaped form; ArgumentError when it is not one."""
        if not raw or not _uri_params.match(f";x={raw}") or _bad_escape.search(raw):
            raise ArgumentError(f"URI parameter {name}: {raw!r}")
        self._rows[self._key(name)] = (self._check_name(name), raw)

    def _same_value(self, one: str | None, other: str | None) -> bool:
        if one == other:
            return True
        if one is None or other is None:
            return False
        return grammar.normal_escapes(one).lower() == grammar.normal_escapes(other).lower()
