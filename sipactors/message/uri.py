"""SIP, SIPS, tel and other URIs: read, written and compared as RFC 3261 §19.1 and RFC 3966 say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Union

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import grammar
from sipactors.message.values import Parameters, ParametersLike, is_token

_bad_escape = re.compile(r"%(?![0-9A-Fa-f]{2})")
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
# RFC 3261 §25.1, each with "%" for the escapes, which are looked at once for the whole URI.
_user = re.compile(r"[A-Za-z0-9\-_.!~*'()%&=+$,;?/]+\Z")
_password = re.compile(r"[A-Za-z0-9\-_.!~*'()%&=+$,]*\Z")
_uri_params = re.compile(r"(?:;[A-Za-z0-9\-_.!~*'()%\[\]/:&+$]+(?:=[A-Za-z0-9\-_.!~*'()%\[\]/:&+$]+)?)*\Z")
_uri_header = re.compile(r"[A-Za-z0-9\-_.!~*'()%\[\]/?:+$]+=[A-Za-z0-9\-_.!~*'()%\[\]/?:+$]*\Z")
# RFC 2396 §2: reserved, unreserved and escaped characters; "#" starts no fragment here.
_other = re.compile(r"[A-Za-z0-9\-_.!~*'()%;/?:@&=+$,\[\]]+\Z")
_telephone = re.compile(r"(?:\+[0-9\-.()]*[0-9][0-9\-.()]*|[0-9A-Fa-f*#\-.()]*[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*)\Z")
_global_number = re.compile(r"\+[0-9\-.()]*[0-9][0-9\-.()]*\Z")
_separators = str.maketrans("", "", "-.()")

_USER_SAFE = "!*'()&=+$,;?/"
_PASSWORD_SAFE = "!*'()&=+$,"
_PARAM_SAFE = "!*'()[]/:&+$"
_HEADER_SAFE = "!*'()[]/?:+$"

HeadersLike = Union[Mapping[str, str], Iterable[tuple[str, str]], None]


class URIParameters(Parameters):
    """The parameters of a URI: as Parameters, with %HH instead of quotes around what cannot stand plain."""

    __slots__ = ()

    _safe = _PARAM_SAFE

    @classmethod
    def parse(cls, text: str) -> URIParameters:
        """Read ";name=value;flag"; MalformedMessage(400) when that is not what it is."""
        if not _uri_params.match(text) or _bad_escape.search(text):
            raise MalformedMessage(400, "URI parameters that do not parse")
        params = cls()
        rows = params._rows
        for part in text.split(";")[1:]:
            name, equal, value = part.partition("=")
            key = grammar.unescape(name).lower()
            # RFC 3261 §19.1.1: any given parameter-name MUST NOT appear more than once.
            if key in rows:
                raise MalformedMessage(400, f"URI parameter {name} appears twice")
            rows[key] = (name, value if equal else None)
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
        uri = parse_uri(text)
        if not isinstance(uri, cls):
            raise MalformedMessage(400, "URI: neither sip nor sips")
        return uri

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
        """A URI like this one but for the given parts: user, host, port, password, params, headers, scheme."""
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


_new = object.__new__


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


class TelURI:
    """A telephone number as a URI (RFC 3966): global ("+49-30-1234") or local with its phone-context.

    Two are equal by RFC 3966 §4: without separators and without case, with the same parameters on both.
    Raises ArgumentError for a text that is no number, and for a local number without phone-context.
    """

    __slots__ = ("number", "params")

    scheme = "tel"

    def __init__(self, number: str, params: ParametersLike = None) -> None:
        self.number = number
        self.params = URIParameters(params)
        try:
            self._check()
        except MalformedMessage as error:
            raise ArgumentError(error.what) from None

    @classmethod
    def parse(cls, text: str) -> TelURI:
        """Read a tel: URI; MalformedMessage(400) when it is not one."""
        uri = parse_uri(text)
        if not isinstance(uri, cls):
            raise MalformedMessage(400, "URI: not tel")
        return uri

    @property
    def is_global(self) -> bool:
        """Whether the number is valid worldwide: it starts with "+"."""
        return self.number[:1] == "+"

    @property
    def digits(self) -> str:
        """The number without its visual separators."""
        return self.number.translate(_separators)

    @property
    def phone_context(self) -> str | None:
        """Where a local number is valid: a domain, or the first digits of a global number."""
        return self.params.get("phone-context")

    @property
    def extension(self) -> str | None:
        """The extension behind a private exchange (";ext="), or None."""
        return self.params.get("ext")

    def with_params(self, items: ParametersLike = None, **params: object) -> TelURI:
        """A URI like this one with these parameters added or set."""
        changed = self.params.copy()
        changed.update(items)
        changed.update(params)
        return TelURI(self.number, changed)

    def _check(self) -> None:
        if not _telephone.match(self.number):
            raise MalformedMessage(400, "URI: not a telephone number")
        context = self.params.get("phone-context")
        # RFC 3966 §5.1.5: local numbers MUST have a 'phone-context' parameter.
        if context is None:
            if not self.is_global:
                raise MalformedMessage(400, "URI: a local number without phone-context")
        elif not (_global_number.match(context) or (":" not in context and _is_domain(context))):
            raise MalformedMessage(400, "URI: phone-context is neither a domain nor a global number")
        for name in ("ext", "isub"):
            if name in self.params and not self.params.get(name):
                raise MalformedMessage(400, f"URI: {name} without a value")
        extension = self.params.get("ext")
        if extension is not None and not _extension.match(extension):
            raise MalformedMessage(400, "URI: ext is not a telephone number")
        if "isub" in self.params and "ext" in self.params:
            # RFC 3966 §3: 'isdn-subaddress' or 'extension' MUST NOT appear together.
            raise MalformedMessage(400, "URI: isub and ext together")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TelURI):
            return NotImplemented
        # RFC 3966 §4: the digits must be equal after removing all visual separators; if one URI has a
        # parameter name not found in the other, the two are not equal; comparisons are case-insensitive.
        if self.digits.lower() != other.digits.lower():
            return False
        mine, theirs = self.params, other.params
        if mine._rows.keys() != theirs._rows.keys():
            return False
        return all(
            _tel_value(name, mine.raw(name)) == _tel_value(name, theirs.raw(name)) for name in mine._rows
        )

    def __hash__(self) -> int:
        return hash((self.digits.lower(), frozenset(self.params._rows)))

    def __str__(self) -> str:
        return f"tel:{self.number}{self.params}"

    def __repr__(self) -> str:
        return f"<TelURI {self}>"


_extension = re.compile(r"[0-9\-.()]*[0-9][0-9\-.()]*\Z")
_domain = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.?\Z")


def _is_domain(text: str) -> bool:
    return len(text) <= 255 and _domain.match(text) is not None


def _tel_value(name: str, raw: str | None) -> str | None:
    if raw is None:
        return None
    value = grammar.normal_escapes(raw).lower()
    if name == "ext" or (name == "phone-context" and value[:1] == "+"):
        return value.translate(_separators)
    return value


class OtherURI:
    """A URI of any other scheme (http, urn, im, pres, …): `rest` is all that follows the colon.

    Two are equal when their schemes are, without case, and the rest is but for needless escapes.
    """

    __slots__ = ("rest", "scheme")

    def __init__(self, scheme: str, rest: str) -> None:
        if not _scheme.match(scheme):
            raise ArgumentError(f"URI: not a scheme: {scheme!r}")
        if scheme.lower() in ("sip", "sips", "tel"):
            raise ArgumentError(f"URI: {scheme} has a class of its own")
        if not _other.match(rest) or _bad_escape.search(rest):
            raise ArgumentError(f"URI: {rest!r} needs escapes, or is empty")
        self.scheme = scheme.lower()
        self.rest = rest

    @classmethod
    def parse(cls, text: str) -> OtherURI:
        """Read a URI that is neither sip, sips nor tel; MalformedMessage(400) when it is not one."""
        uri = parse_uri(text)
        if not isinstance(uri, cls):
            raise MalformedMessage(400, f"URI: {uri.scheme} has a class of its own")
        return uri

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OtherURI):
            return NotImplemented
        return self.scheme == other.scheme and _plain(self.rest) == _plain(other.rest)

    def __hash__(self) -> int:
        return hash((self.scheme, _plain(self.rest)))

    def __str__(self) -> str:
        return f"{self.scheme}:{self.rest}"

    def __repr__(self) -> str:
        return f"<OtherURI {self}>"


URI = Union[SIPURI, TelURI, OtherURI]


def parse_uri(text: str) -> URI:
    """Read any URI; MalformedMessage(400, "URI: …") when it breaks the grammar of its scheme."""
    scheme, colon, rest = text.partition(":")
    if scheme not in ("sip", "sips"):
        if not colon or not _scheme.match(scheme):
            raise MalformedMessage(400, f"URI: no scheme in {text[:80]!r}")
        scheme = scheme.lower()
    if "%" in rest and _bad_escape.search(rest):
        raise MalformedMessage(400, "URI: % that starts no escape")
    if scheme == "sip" or scheme == "sips":
        return _parse_sip(scheme, rest)
    if scheme == "tel":
        number, semicolon, params = rest.partition(";")
        tel: TelURI = _new(TelURI)
        tel.number = number
        tel.params = URIParameters.parse(semicolon + params)
        tel._check()
        return tel
    if not _other.match(rest):
        raise MalformedMessage(400, "URI: characters that need escapes")
    other: OtherURI = _new(OtherURI)
    other.scheme = scheme
    other.rest = rest
    return other


def _parse_sip(scheme: str, rest: str) -> SIPURI:
    uri: SIPURI = _new(SIPURI)
    uri.scheme = scheme
    # RFC 3261 §25.1: an "@" stands nowhere in a SIP URI but after the userinfo.
    userinfo, at, rest = rest.rpartition("@")
    if at:
        user, colon, password = userinfo.partition(":")
        if not _user.match(user):
            raise MalformedMessage(400, "URI: not a user part")
        if not _password.match(password):
            raise MalformedMessage(400, "URI: not a password")
        uri._user = user
        uri._password = password if colon else None
    else:
        uri._user = uri._password = None
    rest, question, headers = rest.partition("?")
    rest, semicolon, params = rest.partition(";")
    if ":" not in rest and grammar.is_host(rest):
        uri.host, uri.port = rest, None
    elif " " in rest or "\t" in rest:
        raise MalformedMessage(400, "URI: white space")
    else:
        try:
            uri.host, uri.port = grammar.read_host_port(rest)
        except MalformedMessage as error:
            raise MalformedMessage(400, f"URI: {error.what}") from None
    uri.params = URIParameters.parse(f";{params}") if semicolon else URIParameters()
    uri._headers = _parse_headers(headers) if question else ()
    return uri


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in text.split("&"):
        if not _uri_header.match(part):
            raise MalformedMessage(400, "URI: headers that do not parse")
        name, _, value = part.partition("=")
        pairs.append((name, value))
    return tuple(pairs)
