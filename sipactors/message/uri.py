"""URIs of every scheme (RFC 3261 §19.1, RFC 3966, RFC 2396)."""

from __future__ import annotations

import re
from typing import TypeAlias

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import grammar
from sipactors.message.sip_uri import SIPURI, read_sip_uri
from sipactors.message.tel_uri import TelURI
from sipactors.message.uri_params import URIParameters, check_escapes

_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
# RFC 2396 §2: reserved, unreserved and escaped characters; "#" starts no fragment here.
_rest = re.compile(r"[A-Za-z0-9\-_.!~*'()%;/?:@&=+$,\[\]]+\Z")
_new = object.__new__


class OtherURI:
    """A URI of any other scheme (http, urn, im, pres, …): `rest` is all that follows the colon.

    Two are equal when their schemes are, without case, and the rest is but for needless escapes.
    """

    __slots__ = ("rest", "scheme")

    scheme: str
    "The scheme in lower case."
    rest: str

    def __init__(self, scheme: str, rest: str) -> None:
        if not _scheme.match(scheme):
            raise ArgumentError(f"URI: not a scheme: {scheme!r}")
        if scheme.lower() in ("sip", "sips", "tel"):
            raise ArgumentError(f"URI: {scheme} has a class of its own")
        try:
            uri = OtherURI.parse(f"{scheme}:{rest}")
        except MalformedMessage as error:
            raise ArgumentError(error.what) from None
        self.scheme = uri.scheme
        self.rest = uri.rest

    @classmethod
    def parse(cls, text: str) -> OtherURI:
        """Read a URI that is neither sip, sips nor tel; MalformedMessage(400) when it is not one."""
        scheme, colon, rest = text.partition(":")
        if not colon or not _scheme.match(scheme):
            raise MalformedMessage(400, f"URI: no scheme in {text[:80]!r}")
        if not _rest.match(rest):
            raise MalformedMessage(400, "URI: characters that need escapes, or none at all")
        check_escapes(rest)
        uri: OtherURI = _new(cls)
        uri.scheme = scheme.lower()
        uri.rest = rest
        return uri

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OtherURI):
            return NotImplemented
        return self.scheme == other.scheme and grammar.normal_escapes(self.rest) == grammar.normal_escapes(
            other.rest
        )

    def __hash__(self) -> int:
        return hash((self.scheme, grammar.normal_escapes(self.rest)))

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"

    def __repr__(self) -> str:
        return f"<OtherURI {self}>"


URI: TypeAlias = "SIPURI | TelURI | OtherURI"


def parse_uri(text: str) -> SIPURI | TelURI | OtherURI:
    """Read any URI; MalformedMessage(400, "URI: …") when it breaks the grammar of its scheme."""
    scheme, _, rest = text.partition(":")
    if scheme == "sip" or scheme == "sips":
        return read_sip_uri(scheme, rest)
    scheme = scheme.lower()
    if scheme == "sip" or scheme == "sips":
        return read_sip_uri(scheme, rest)
    if scheme == "tel":
        return TelURI.parse(text)
    return OtherURI.parse(text)


__all__ = ["SIPURI", "URI", "OtherURI", "TelURI", "URIParameters", "parse_uri"]
