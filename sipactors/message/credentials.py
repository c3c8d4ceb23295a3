"""Challenges, credentials and Authentication-Info, as text: no arithmetic (RFC 3261 §20.44, RFC 7616)."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.values import (
    QUOTED,
    TOKEN,
    Parameters,
    ParametersLike,
    check_token,
    is_token,
    quote,
)

_scheme = re.compile(rf"({TOKEN})(?:[ \t]+|\Z)")
_param = re.compile(rf"({TOKEN})[ \t]*=[ \t]*({QUOTED}|{TOKEN})")
_comma = re.compile(r"[ \t]*,[ \t]*")
# RFC 7235 §2.1: token68, which RFC 8898 and Basic put where others have parameters.
_token68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z")


class AuthParameters(Parameters):
    """Parameters that stand behind a scheme, separated by commas; each has a value.

    Values are quoted where the grammar of Digest wants quotes (realm, nonce, uri, response, …), and where
    they are no token.
    """

    __slots__ = ()

    # RFC 7616 §3.3, §3.4: these MUST be quoted; stale, algorithm, nc, and qop in credentials MUST NOT be.
    _quoted: ClassVar[frozenset[str]] = frozenset(
        [
            "realm",
            "domain",
            "nonce",
            "opaque",
            "username",
            "uri",
            "response",
            "cnonce",
            "nextnonce",
            "rspauth",
            "auts",
            "ik",
            "ck",
        ]
    )

    @classmethod
    def parse(cls, text: str) -> AuthParameters:
        """Read 'name="value", name=value'; MalformedMessage(400) when that is not what it is."""
        params = cls()
        rows = params._rows
        text = text.strip(" \t")
        at, size = 0, len(text)
        while at < size:
            found = _param.match(text, at)
            if found is None:
                raise MalformedMessage(400, "parameters that do not parse")
            name, value = found.groups()
            key = name.lower()
            # RFC 7616 §3.3: a parameter must not appear more than once.
            if key in rows:
                raise MalformedMessage(400, f"parameter {name} appears twice")
            rows[key] = (name, value)
            at = found.end()
            if at < size:
                comma = _comma.match(text, at)
                if comma is None or comma.end() == size:
                    raise MalformedMessage(400, "parameters that do not parse")
                at = comma.end()
        if not rows:
            raise MalformedMessage(400, "no parameters")
        return params

    def __setitem__(self, name: str, value: object) -> None:
        if value is None:
            raise ArgumentError(f"parameter {name}: no value")
        Parameters.__setitem__(self, name, value)

    def _encode(self, name: str, value: str) -> str:
        return value if name.lower() not in self._quoted and is_token(value) else quote(value)

    def __str__(self) -> str:
        return ", ".join([f"{name}={raw}" for name, raw in self._rows.values()])


class ChallengeParameters(AuthParameters):
    """The parameters of a challenge, where qop is quoted as well."""

    __slots__ = ()

    # RFC 7616 §3.3: qop in a challenge is a quoted string with one or more tokens.
    _quoted = AuthParameters._quoted | {"qop"}


class _Authentication:
    """A scheme with parameters, or with a token68; compared without case but for quoted strings."""

    __slots__ = ("params", "scheme", "token")

    _parameters: ClassVar[type[AuthParameters]] = AuthParameters

    scheme: str
    params: AuthParameters
    token: str | None

    def __init__(self, scheme: str, params: ParametersLike = None, token: str | None = None) -> None:
        self.scheme = check_token(scheme, "authentication scheme")
        self.params = self._parameters(params)
        if token is not None and (self.params or not _token68.match(token)):
            raise ArgumentError("credentials: parameters, or one token68")
        self.token = token

    @classmethod
    def parse(cls, text: str) -> Any:
        """Read one header value; MalformedMessage(400) when it is none."""
        text = text.strip(" \t")
        found = _scheme.match(text)
        if found is None:
            raise MalformedMessage(400, "no authentication scheme")
        rest = text[found.end() :]
        value = object.__new__(cls)
        value.scheme = found[1]
        value.token = None
        if not rest or (found[1].lower() != "digest" and _token68.match(rest)):
            # RFC 7235 §2.1: a scheme may stand alone, or with a token68 instead of parameters.
            if not rest and found[1].lower() == "digest":
                raise MalformedMessage(400, "Digest without parameters")
            value.token = rest or None
            value.params = cls._parameters()
        else:
            value.params = cls._parameters.parse(rest)
        return value

    @property
    def realm(self) -> str | None:
        """The realm, without its quotes."""
        return self.params.get("realm")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, _Authentication)
        return (
            self.scheme.lower() == other.scheme.lower()
            and self.token == other.token
            and self.params == other.params
        )

    def __str__(self) -> str:
        rest = self.token or str(self.params)
        return f"{self.scheme} {rest}" if rest else self.scheme

    def __repr__(self) -> str:
        # Responses and tokens are secrets of a kind: they stay out of logs.
        return f"<{type(self).__name__} {self.scheme} realm={self.realm!r}>"


class Challenge(_Authentication):
    """WWW-Authenticate or Proxy-Authenticate: `Challenge("Digest", {"realm": "…", "nonce": "…"})`."""

    __slots__ = ()

    _parameters = ChallengeParameters


class Credentials(_Authentication):
    """Authorization or Proxy-Authorization: `Credentials("Digest", {"username": "…", …})`."""

    __slots__ = ()


class AuthenticationInfo:
    """Authentication-Info of a 2xx: nextnonce, qop, rspauth, cnonce, nc (RFC 7616 §3.5)."""

    __slots__ = ("params",)

    def __init__(self, params: ParametersLike = None) -> None:
        self.params = AuthParameters(params)

    @classmethod
    def parse(cls, text: str) -> AuthenticationInfo:
        """Read the header's value; MalformedMessage(400) when it is none."""
        info: AuthenticationInfo = object.__new__(cls)
        info.params = AuthParameters.parse(text)
        return info

    def __eq__(self, other: object) -> bool:
        return self.params == other.params if isinstance(other, AuthenticationInfo) else NotImplemented

    def __str__(self) -> str:
        return str(self.params)

    def __repr__(self) -> str:
        return f"AuthenticationInfo({self.params.items()!r})"
