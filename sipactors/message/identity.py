"""Identity and Privacy: who signs for the caller, and what is to stay hidden (RFC 8224, RFC 3323)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.uri import URI, parse_uri
from sipactors.message.values import (
    QUOTED,
    TOKEN,
    Parameters,
    ParametersLike,
    check_token,
    is_token,
    read_parameters,
    unquote,
)

# RFC 8224 §4: signed-identity-digest = 1*(base64-char / "."); RFC 4474 had it in quotes.
_digest = re.compile(rf"([A-Za-z0-9+/=.\-_]+|{QUOTED})")
_info = re.compile(
    rf"[ \t]*;[ \t]*(?:info[ \t]*=[ \t]*<([^<>\"]*)>|{TOKEN}(?:[ \t]*=[ \t]*(?:{QUOTED}|{TOKEN}))?)",
    re.IGNORECASE,
)
_signature = re.compile(r"[A-Za-z0-9+/=.\-_]+\Z")
_new = object.__new__


class Identity:
    """A signature over who calls: `Identity("eyJ…", "https://a.example/c.cer", {"alg": "ES256"})`."""

    __slots__ = ("_quoted", "digest", "info", "params")

    digest: str
    "The signature: a PASSporT, full or compact, or plain base64."
    info: URI | None
    "Where the certificate is; None in the older form, which has Identity-Info."
    params: Parameters
    "alg, ppt and others."

    def __init__(self, digest: str, info: URI | str | None = None, params: ParametersLike = None) -> None:
        if not _signature.match(digest):
            raise ArgumentError(f"Identity: not a signature: {digest[:80]!r}")
        self.digest = digest
        self._quoted = False
        if isinstance(info, str):
            try:
                info = parse_uri(info)
            except MalformedMessage as error:
                raise ArgumentError(f"Identity: {error.what}") from None
        self.info = info
        self.params = Parameters(params)
        if "info" in self.params:
            raise ArgumentError("Identity: info is an argument of its own")

    @classmethod
    def parse(cls, text: str) -> Identity:
        """Read a signature with info and parameters; MalformedMessage(400) when it is none."""
        text = text.strip(" \t")
        found = _digest.match(text)
        if found is None or not _signature.match(unquote(found[0])):
            raise MalformedMessage(400, "not a signature")
        identity: Identity = _new(cls)
        identity.digest = unquote(found[0])
        # RFC 4474 §9 put the signature in quotes; it goes on as it came.
        identity._quoted = found[0][:1] == '"'
        identity.info = None
        others = []
        at = found.end()
        while at < len(text):
            part = _info.match(text, at)
            if part is None:
                raise MalformedMessage(400, "parameters that do not parse")
            at = part.end()
            if part[1] is None:
                others.append(part[0])
            elif identity.info is not None:
                raise MalformedMessage(400, "parameter info appears twice")
            else:
                identity.info = parse_uri(part[1])
        identity.params = read_parameters("".join(others))
        if "info" in identity.params:
            raise MalformedMessage(400, "info is not a URI in <>")
        return identity

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return NotImplemented
        return (self.digest, self.info, self.params) == (other.digest, other.info, other.params)

    def __str__(self) -> str:
        info = "" if self.info is None else f";info=<{self.info}>"
        digest = f'"{self.digest}"' if self._quoted else self.digest
        return f"{digest}{info}{self.params}"

    def __repr__(self) -> str:
        return f"<Identity {self.info} {self.params}>"


class Privacy:
    """What the sender wants hidden: `Privacy(["id", "critical"])` (RFC 3323 §4.2)."""

    __slots__ = ("values",)

    values: list[str]
    "header, session, user, none, critical, id, history, …"

    def __init__(self, values: Iterable[str]) -> None:
        self.values = [check_token(value, "Privacy") for value in values]
        if not self.values:
            raise ArgumentError("Privacy: no value")

    @classmethod
    def parse(cls, text: str) -> Privacy:
        """Read "id;critical"; MalformedMessage(400) when a value is no token."""
        privacy: Privacy = _new(cls)
        privacy.values = [value.strip(" \t") for value in text.split(";")]
        for value in privacy.values:
            if not is_token(value):
                raise MalformedMessage(400, f"not a token: {value[:80]!r}")
        return privacy

    def __contains__(self, value: str) -> bool:
        return value.lower() in {each.lower() for each in self.values}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Privacy):
            return NotImplemented
        return {value.lower() for value in self.values} == {value.lower() for value in other.values}

    def __str__(self) -> str:
        return ";".join(self.values)

    def __repr__(self) -> str:
        return f"Privacy({self.values!r})"
