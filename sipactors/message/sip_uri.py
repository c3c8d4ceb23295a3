"""SIP and SIPS URIs: read, written and compared as RFC 3261 §19.1 says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import grammar
from sipactors.message.uri_params import URI_PARAMS, URIParameters, check_escapes
from sipactors.message.values import ParametersLike, is_token

# RFC 3261 §25.1, each with "%" for the escapes, which are looked at once for the whole URI.
_USER = r"[A-Za-z0-9\-_.!~*'()%&=+$,;?/]+"
_PASSWORD = r"[A-Za-z0-9\-_.!~*'()%&=+$,]*"
_whole = re.compile(
    rf"(?:({_USER})(?::({_PASSWORD})|)@|)([A-Za-z0-9._\-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{1,10}})|)"
    rf"({URI_PARAMS})(?:\?(.*)|)\Z",
    re.DOTALL,
).match
# The usual form, to be judged in one match: no escapes, no password, no headers, one parameter at most.
USUAL_URI = (
    r"sips?:(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]+@|)([A-Za-z0-9.\-]+)(?::(?:[1-5][0-9]{4}|[1-9][0-9]{0,3})|)"
    r"(?:;[A-Za-z0-9\-_.!~*'+]+(?:=[A-Za-z0-9\-_.!~*'+]+|)|)"
)
_usual = re.compile(rf"{USUAL_URI}\Z").match
_user = re.compile(rf"{_USER}\Z")
_password = re.compile(rf"{_PASSWORD}\Z")
_params = re.compile(rf"{URI_PARAMS}\Z")
_header = re.compile(r"[A-Za-z0-9\-_.!~*'()%\[\]/?:+$]+=[A-Za-z0-9\-_.!~*'()%\[\]/?:+$]*\Z")

_USER_SAFE = "!*'()&=+$,;?/"
_PASSWORD_SAFE = "!*'()&=+$,"
_HEADER_SAFE = "!*'()[]/?:+$"

HeadersLike: TypeAlias = "Mapping[str, str] | Iterable[tuple[str, str]] | None"

_new = object.__new__


def _same_text(name: str, one: str, other: str) -> bool:
    return one == other


class SIPURI:
    """A SIP or SIPS URI (RFC 3261 §19.1).

    A value: make a changed one with replace() or with_params(). Two are equal, and hash alike, by the
    rules of RFC 3261 §19.1.4, which are not transitive: both ";a=1" and ";b=1" equal a URI without them.
    `user` and `password` are without escapes; their wire form is kept, and written as it was read.
    `host` is without the brackets of an IPv6 address. Raises ArgumentError for parts that no URI can hold.
    """

    __slots__ = ("_headers", "_password", "_user", "host", "params", "port", "scheme")

    compare_header: Callable[[str, str, str], bool] = staticmethod(_same_text)
    "How two values of one header are compared; the table of headers puts its own rule here."

    def __init__(
        self,
        user: str | None,
        host: str,
        port: int | None = None,
        password: str | None = None,
        params: ParametersLike = None,
        headers: HeadersLike = None,
        scheme: str = "sip",
    ) -> None:
        if scheme not in ("sip", "sips"):
            raise ArgumentError(f"URI: scheme sip or sips, not {scheme!r}")
        if user == "" or (user is None and password is not None):
            raise ArgumentError("URI: a password or an @ without a user")
        self.scheme = scheme
        self._user = None if user is None else grammar.escape(user, _USER_SAFE)
        self._password = None if password is None else grammar.escape(password, _PASSWORD_SAFE)
        self.host = grammar.check_host(host)
        self.port = grammar.check_port(port)
        self.params = URIParameters(params)
        self._headers = _escape_headers(headers)

    @classmethod
    def parse(cls, text: str) -> SIPURI:
        """Read a sip: or sips: URI; MalformedMessage(400) when it is not one."""
        scheme, _, rest = text.partition(":")
        if scheme.lower() not in ("sip", "sips"):
            raise MalformedMessage(400, "URI: neither sip nor sips")
        return read_sip_uri(scheme.lower(), rest)

    @property
    def user(self) -> str | None:
        """The user part without escapes, or None."""
        return None if self._user is None else grammar.unescape(self._user)

    @property
    def password(self) -> str | None:
        """The password without escapes, or None; "" when there is only its colon."""
        return None if self._password is None else grammar.unescape(self._password)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The (name, value) pairs after "?", without escapes."""
        return [(grammar.unescape(name), grammar.unescape(value)) for name, value in self._headers]

    @property
    def secure(self) -> bool:
        """Whether this is a sips: URI."""
        return self.scheme == "sips"

    @property
    def host_port(self) -> str:
        """host or host:port as it stands in the URI, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case, or None."""
        value = self.params.get("transport")
        return None if value is None else value.lower()

    @property
    def lr(self) -> bool:
        """Whether the element named here is a loose router (RFC 3261 §16.12)."""
        return "lr" in self.params

    @property
    def maddr(self) -> str | None:
        """The address to send to instead of the host, without brackets, or None."""
        value = self.params.get("maddr")
        return value[1:-1] if value is not None and value[:1] == "[" else value

    @property
    def gr(self) -> str | bool | None:
        """The GRUU parameter (RFC 5627): its value, True when it has none, None when it is absent."""
        return self.params.get("gr") or ("gr" in self.params or None)

    @property
    def ob(self) -> bool:
        """Whether the flow of the registration is to be used (RFC 5626 §4.3)."""
        return "ob" in self.params

    def replace(self, **changes: Any) -> SIPURI:
        """A URI like this one with other user, host, port, password, params, headers or scheme."""
        other = self._copy()
        parts: dict[str, Any] = {"user": "", "password": None, "host": "localhost"}
        for name, value in changes.items():
            if name not in ("user", "host", "port", "password", "params", "headers", "scheme"):
                raise ArgumentError(f"URI: no part is called {name!r}")
            parts[name] = value
        checked = SIPURI(
            "x" if "user" not in changes else parts["user"],
            parts["host"],
            parts.get("port"),
            None if parts["user"] is None else parts["password"],
            parts.get("params"),
            parts.get("headers"),
            parts.get("scheme", "sip"),
        )
        for name in changes:
            slot = {"user": "_user", "password": "_password", "headers": "_headers"}.get(name, name)
            setattr(other, slot, getattr(checked, slot))
        if other._user is None:
            other._password = None
        return other

    def with_params(self, items: ParametersLike = None, **params: object) -> SIPURI:
        """A URI like this one with these parameters added or set; None makes a flag (";lr")."""
        other = self._copy()
        other.params.update(items)
        other.params.update(params)
        return other

    def without_params(self, *names: str) -> SIPURI:
        """A URI like this one without the named parameters; without any when none is named."""
        other = self._copy()
        for name in names or other.params.keys():
            other.params.pop(name)
        return other

    def without_headers(self) -> SIPURI:
        """A URI like this one with nothing after "?"."""
        other = self._copy()
        other._headers = ()
        return other

    def address_of_record(self) -> SIPURI:
        """The canonical form under which a registrar keeps bindings.

        RFC 3261 §10.3: all URI parameters MUST be removed, and any escaped characters MUST be converted to
        their unescaped form; password and headers go too, and the host is written in lower case.
        """
        other = SIPURI(self.user, grammar.host_key(self.host), self.port)
        other.scheme = self.scheme
        return other

    def _copy(self) -> SIPURI:
        other = _new(SIPURI)
        other.scheme = self.scheme
        other._user = self._user
        other._password = self._password
        other.host = self.host
        other.port = self.port
        other.params = self.params.copy()
        other._headers = self._headers
        return other

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, SIPURI):
            return NotImplemented
        # RFC 3261 §19.1.4: a SIP and SIPS URI are never equivalent; comparison of the userinfo is
        # case-sensitive; the user, password, host and port components must match.
        if self.scheme != other.scheme or self.port != other.port:
            return False
        if _plain(self._user) != _plain(other._user) or _plain(self._password) != _plain(other._password):
            return False
        if self.host != other.host and grammar.host_key(self.host) != grammar.host_key(other.host):
            return False
        mine, theirs = self.params, other.params
        if mine._rows or theirs._rows:
            # RFC 3261 §19.1.4: these never match when they appear in one URI only, even with the default
            # value; all other uri-parameters appearing in only one URI are ignored.
            for name in ("user", "ttl", "method", "maddr", "transport"):
                if (name in mine._rows) != (name in theirs._rows):
                    return False
            # RFC 3261 §19.1.4: any uri-parameter appearing in both URIs must match.
            if not mine.common_match(theirs):
                return False
        # RFC 3261 §19.1.4: URI header components are never ignored.
        return self._headers == other._headers or self._same_headers(other)

    def _same_headers(self, other: SIPURI) -> bool:
        if len(self._headers) != len(other._headers):
            return False
        left: dict[str, list[str]] = {}
        for name, value in other.headers:
            left.setdefault(name.lower(), []).append(value)
        for name, value in self.headers:
            values = left.get(name.lower())
            if not values or not SIPURI.compare_header(name, value, values.pop(0)):
                return False
        return True

    def __hash__(self) -> int:
        return hash((self.scheme, _plain(self._user), grammar.host_key(self.host), self.port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self._user is None:
            text = f"{self.scheme}:{host}"
        elif self._password is None:
            text = f"{self.scheme}:{self._user}@{host}"
        else:
            text = f"{self.scheme}:{self._user}:{self._password}@{host}"
        if self.port is not None:
            text = f"{text}:{self.port}"
        if self.params._rows:
            text += str(self.params)
        if self._headers:
            text += "?" + "&".join([f"{name}={value}" for name, value in self._headers])
        return text

    def __repr__(self) -> str:
        return f"<SIPURI {self}>"


def is_usual(text: str) -> bool:
    """Whether a text is a SIP URI of the usual form, that will read and has no headers."""
    found = _usual(text)
    return found is not None and grammar.is_host(found[1])


def _plain(text: str | None) -> str | None:
    return grammar.normal_escapes(text) if text is not None and "%" in text else text


def _escape_headers(headers: HeadersLike) -> tuple[tuple[str, str], ...]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    escaped = []
    for name, value in pairs:
        if not is_token(name):
            raise ArgumentError(f"URI: not a header name: {name!r}")
        escaped.append((grammar.escape(name, _HEADER_SAFE), grammar.escape(value, _HEADER_SAFE)))
    return tuple(escaped)


def read_sip_uri(scheme: str, rest: str) -> SIPURI:
    """The URI of scheme "sip" or "sips" whose text after the colon is `rest`; see SIPURI.parse."""
    if "%" in rest:
        check_escapes(rest)
    found = _whole(rest)
    if found is None:
        raise MalformedMessage(400, f"URI: {_fault(rest)}")
    uri: SIPURI = _new(SIPURI)
    uri.scheme = scheme
    uri._user, uri._password, host, port, params, headers = found.groups()
    if host[0] == "[":
        host = host[1:-1]
        if not grammar.is_ipv6(host):
            raise MalformedMessage(400, "URI: not an IPv6 address")
    elif not grammar.is_host(host):
        raise MalformedMessage(400, f"URI: not a host: {host[:80]!r}")
    uri.host = host
    if port is None:
        uri.port = None
    else:
        uri.port = int(port)
        if uri.port > 65535:
            raise MalformedMessage(400, "URI: port out of range")
    uri.params = URIParameters.split(params)
    uri._headers = () if headers is None else _parse_headers(headers)
    return uri


def _fault(rest: str) -> str:
    """What is wrong with a URI that does not match as a whole."""
    # RFC 3261 §25.1: an "@" stands nowhere in a SIP URI but after the userinfo.
    userinfo, at, rest = rest.rpartition("@")
    user, _, password = userinfo.partition(":")
    if at and not _user.match(user):
        return "not a user part"
    if at and not _password.match(password):
        return "not a password"
    rest = rest.partition("?")[0]
    if " " in rest or "\t" in rest:
        return "white space"
    host, semicolon, params = rest.partition(";")
    if semicolon and not _params.match(semicolon + params):
        return "parameters that do not parse"
    return f"not a host and port: {host[:80]!r}"


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in text.split("&"):
        if not _header.match(part):
            raise MalformedMessage(400, "URI: headers that do not parse")
        name, _, value = part.partition("=")
        pairs.append((name, value))
    return tuple(pairs)
