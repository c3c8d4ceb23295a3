"""Name and address: From, To, Contact, Route and all else that is a URI with parameters (RFC 3261 §20)."""

from __future__ import annotations

import re
from typing import Final

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.grammar import check_number, is_host, read_number
from sipactors.message.sip_uri import USUAL_URI, is_usual
from sipactors.message.uri import SIPURI, URI, OtherURI, TelURI, parse_uri
from sipactors.message.values import (
    QUOTED,
    TOKEN,
    Parameters,
    ParametersLike,
    check_text,
    check_token,
    is_token,
    quote,
    read_parameters,
    unquote,
)

# The usual form in one match: a plain or quoted display name, <sip:user@host:port> with at most one URI
# parameter and at most one header parameter, none of them escaped or quoted. What does not match is read
# piece by piece, and is judged there. An alternative without text ("|)") costs a third of a "?" here.
_usual = re.compile(
    r"""(?:("[^"\\\x00-\x1F\x7F]*"|[A-Za-z0-9\-.!%*_+`'~]+) ?|)"""
    rf"""<({USUAL_URI})>"""
    r"""(;[A-Za-z0-9\-.!%*_+`'~]+(?:=[A-Za-z0-9\-.!%*_+`'~]+|)|)\Z"""
).match
_name = re.compile(rf"({QUOTED}|{TOKEN}(?:[ \t]+{TOKEN})*|)[ \t]*<([^<>]*)>")
_plain_name = re.compile(rf"{TOKEN}(?:[ ]{TOKEN})*\Z")
_q = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
_new = object.__new__


class Address:
    """A URI with a display name and parameters, or the "*" of a Contact that removes all bindings.

    `Address("sip:bob@example.com", "Bob", {"tag": "x"})`. Two are equal as RFC 3261 §20.20 says of From:
    their URIs match, and their parameters match; extension parameters in one only are ignored, and so
    are the display names. Parts that cannot stand in a header raise ArgumentError.
    """

    __slots__ = ("_name", "_params", "_params_text", "_uri", "_uri_text")

    _name: str | None
    _uri: URI | None
    _uri_text: str
    _params: Parameters | None
    _params_text: str

    def __init__(
        self, uri: URI | str, display_name: str | None = None, params: ParametersLike = None
    ) -> None:
        self.uri = uri
        self.display_name = display_name
        self._params = Parameters(params)
        self._params_text = ""
        if self.is_star and (display_name is not None or self._params):
            raise ArgumentError("Contact: * stands alone")

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read name-addr or addr-spec with parameters; MalformedMessage(400) when it is neither."""
        return read_any(text)

    def _read(self, text: str) -> None:
        self._params_text = ""
        text = text.strip(" \t")
        if text == "*":
            self._name = self._uri = None
            self._uri_text = "*"
            self._params = Parameters()
            return
        found = _name.match(text)
        if found is not None:
            self._name, uri = found[1] or None, found[2]
            at = found.end()
        elif text[:1] == '"' or "<" in text.partition('"')[0]:
            raise MalformedMessage(400, "a display name or <> that does not parse")
        else:
            self._name = None
            # RFC 3261 §20: if the URI is not enclosed in angle brackets, any semicolon-delimited parameters
            # are header-parameters, not URI parameters.
            uri, semicolon, _ = text.partition(";")
            uri = uri.rstrip(" \t")
            at = text.index(";") if semicolon else len(text)
            # RFC 3261 §20.10: when the URI contains a comma, question mark or semicolon, it MUST be
            # enclosed in angle brackets.
            if "," in uri or "?" in uri:
                raise MalformedMessage(400, "a URI with , or ? that is not enclosed in <>")
        self._uri = None if is_usual(uri) else parse_uri(uri)
        self._uri_text = uri
        self._params = read_parameters(text, at)

    @property
    def uri(self) -> URI:
        """The URI. Raises ValueError for the "*" of a Contact: look at `is_star` first."""
        uri = self._uri
        if uri is None:
            if self._uri_text == "*":
                raise ValueError('the "*" of a Contact has no URI')
            uri = self._uri = parse_uri(self._uri_text)
        return uri

    @uri.setter
    def uri(self, uri: URI | str) -> None:
        if isinstance(uri, str):
            if uri != "*":
                try:
                    uri = parse_uri(uri)
                except MalformedMessage as error:
                    raise ArgumentError(error.what) from None
            else:
                self._uri, self._uri_text = None, "*"
                return
        elif not isinstance(uri, SIPURI | TelURI | OtherURI):
            raise ArgumentError(f"not a URI: {uri!r}")
        self._uri = uri
        self._uri_text = ""

    @property
    def uri_text(self) -> str:
        """The URI as it is written, which need not be read for it; "*" for that of a Contact."""
        return self._uri_text if self._uri is None else str(self._uri)

    @property
    def is_sip(self) -> bool:
        """Whether the URI is a SIP or SIPS one."""
        # One that has not been read has the usual form, or is "*".
        return self._uri_text != "*" if self._uri is None else isinstance(self._uri, SIPURI)

    @property
    def is_star(self) -> bool:
        """Whether this is the "*" of a Contact (RFC 3261 §10.2.2)."""
        return self._uri is None and self._uri_text == "*"

    @property
    def display_name(self) -> str | None:
        """The display name without quotes, or None."""
        return None if self._name is None else unquote(self._name)

    @display_name.setter
    def display_name(self, name: str | None) -> None:
        if name is None:
            self._name = None
        elif _plain_name.match(name):
            self._name = name
        else:
            self._name = quote(check_text(name, "display name"))

    @property
    def params(self) -> Parameters:
        """The header parameters, to be read and changed; those of the URI are at `uri.params`."""
        params = self._params
        if params is None:
            params = self._params = read_parameters(self._params_text)
        return params

    @property
    def tag(self) -> str | None:
        """The tag of From and To, or None."""
        if self._params is None:
            # One parameter at most, without quotes.
            text = self._params_text
            if text[:5] == ";tag=":
                return text[5:]
            if not text:
                return None
        return self.params.get("tag")

    @tag.setter
    def tag(self, tag: str | None) -> None:
        # RFC 3261 §25.1: tag-param = "tag" EQUAL token
        self._set("tag", None if tag is None else check_token(tag, "tag"))

    @property
    def expires(self) -> int | None:
        """The expires parameter of a Contact in seconds, or None.

        RFC 3261 §10.3: malformed values should be treated as equivalent to 3600.
        """
        text = self.params.get("expires")
        if text is None:
            return None
        try:
            return read_number(text)
        except MalformedMessage:
            return 3600

    @expires.setter
    def expires(self, seconds: int | None) -> None:
        self._set("expires", None if seconds is None else str(check_number(seconds, "expires")))

    @property
    def q(self) -> float | None:
        """The preference of a Contact, 0 to 1; None when it is absent or no such number."""
        text = self.params.get("q")
        return float(text) if text is not None and _q.match(text) else None

    @q.setter
    def q(self, q: float | None) -> None:
        if q is not None and not 0 <= q <= 1:
            raise ArgumentError(f"q: not a number of 0 to 1: {q!r}")
        self._set("q", None if q is None else f"{q:.3f}".rstrip("0").rstrip("."))

    def _set(self, name: str, value: str | None) -> None:
        if value is None:
            self.params.pop(name)
        else:
            self.params[name] = value

    def copy(self) -> Address:
        """An address of its own with the same parts."""
        other: Address = _new(type(self))
        other._name = self._name
        other._uri = self._uri
        other._uri_text = self._uri_text
        other._params = None if self._params is None else self._params.copy()
        other._params_text = self._params_text
        return other

    def without_tag(self) -> Address:
        """A copy without the tag parameter."""
        other = self.copy()
        other.params.pop("tag")
        return other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Address):
            return NotImplemented
        if self.is_star or other.is_star:
            return self.is_star and other.is_star
        # RFC 3261 §20.20: equivalent if their URIs match, and their parameters match; extension parameters
        # in one header field, not present in the other, are ignored for the purposes of comparison.
        mine, theirs = self.params, other.params
        return (
            self.uri == other.uri
            and all(mine.same(name, theirs) for name in ("tag", "q", "expires"))
            and mine.common_match(theirs)
        )

    def __str__(self) -> str:
        uri = self._uri_text if self._uri is None else str(self._uri)
        params = self._params_text if self._params is None else str(self._params)
        if self._name is None:
            return "*" if uri == "*" else f"<{uri}>{params}"
        return f"{self._name} <{uri}>{params}"

    def __repr__(self) -> str:
        return f"<Address {self}>"


STAR: Final = Address("*")
"The Contact that removes all bindings of an address-of-record; not to be changed."


def read_any(text: str) -> Address:
    """See Address.parse."""
    address: Address = _new(Address)
    found = _usual(text)
    if found is not None:
        address._name, address._uri_text, host, address._params_text = found.groups()
        if is_host(host):
            address._uri = address._params = None
            return address
    address._read(text)
    return address


def read_address(text: str) -> Address:
    """See Address.parse; refuses the "*" that only Contact may hold."""
    address = read_any(text)
    if address._uri_text == "*" and address.is_star:
        raise MalformedMessage(400, "* stands in Contact only")
    return address


def read_party(text: str) -> Address:
    """The address of From or To, whose tag is a token when there is one (RFC 3261 §19.3)."""
    address = read_any(text)
    params = address._params
    if params is None:
        if address._params_text.lower() == ";tag":
            raise MalformedMessage(400, "tag is not a token")
    elif address.is_star:
        raise MalformedMessage(400, "* stands in Contact only")
    elif "tag" in params:
        tag = params.raw("tag")
        if tag is None or not is_token(tag):
            raise MalformedMessage(400, "tag is not a token")
    return address


def read_contact(text: str) -> Address:
    """One Contact, whose q is a qvalue when there is one (RFC 3261 §20.10)."""
    address = read_any(text)
    if (address._params or address._params_text) and "q" in address.params and address.q is None:
        raise MalformedMessage(400, "q is not a number of 0 to 1")
    return address


def read_name_addr(text: str) -> Address:
    """An address that has to stand in <>, as in Route, Record-Route and Path (RFC 3261 §20.34)."""
    address = read_address(text)
    if "<" not in text:
        raise MalformedMessage(400, "a URI that is not enclosed in <>")
    return address
