"""Headers that tell why: Reason and Warning (RFC 3326, RFC 3261 §20.43)."""

from __future__ import annotations

import re

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.grammar import read_host_port
from sipactors.message.parameterized import Parameterized
from sipactors.message.values import QUOTED, is_token, quote, unquote

_warning = re.compile(rf"([0-9]{{3}})[ \t]+([^ \t\",;]+)[ \t]+({QUOTED})\Z")
_number = re.compile(r"[0-9]{1,10}\Z")
_new = object.__new__


class Reason(Parameterized):
    """Why a request was sent: `Reason("SIP", {"cause": 200, "text": "Call completed elsewhere"})`."""

    __slots__ = ()

    @property
    def protocol(self) -> str:
        """What the cause is a number of: SIP, Q.850, …"""
        return self.value

    @property
    def cause(self) -> int | None:
        """The cause, such as a status code of SIP, or None."""
        text = self.params.get("cause")
        return int(text) if text is not None and _number.match(text) else None

    @property
    def text(self) -> str | None:
        """The cause in words, without quotes, or None."""
        return self.params.get("text")

    def _check(self) -> None:
        Parameterized._check(self)
        # RFC 3326 §2: protocol-cause = "cause" EQUAL cause; cause = 1*DIGIT
        if "cause" in self.params and self.cause is None:
            raise MalformedMessage(400, "cause is not a number")
        # RFC 3326 §2: reason-text = "text" EQUAL quoted-string. Written so; read as a token as well.
        text = self.params.get("text")
        if text is not None and (self.params.raw("text") or "")[:1] != '"':
            self.params.set_raw("text", quote(text))


class Warning:
    """Something about the status: `Warning(370, "example.com", "Choose a bigger pipe")`."""

    __slots__ = ("agent", "code", "text")

    code: int
    "Three digits; 3xx are SIP's (RFC 3261 §20.43)."
    agent: str
    "Who warns: host, host:port or a pseudonym."
    text: str
    "What is said, without quotes."

    def __init__(self, code: int, agent: str, text: str) -> None:
        if isinstance(code, bool) or not isinstance(code, int) or not 100 <= code <= 999:
            raise ArgumentError(f"Warning: not a code of three digits: {code!r}")
        if not _is_agent(agent):
            raise ArgumentError(f"Warning: neither a host nor a pseudonym: {agent!r}")
        quote(text)
        self.code = code
        self.agent = agent
        self.text = text

    @classmethod
    def parse(cls, text: str) -> Warning:
        """Read '370 example.com "Choose a bigger pipe"'; MalformedMessage(400) when it is not that."""
        found = _warning.match(text.strip(" \t"))
        if found is None or not _is_agent(found[2]):
            raise MalformedMessage(400, f"not a warning: {text[:80]!r}")
        warning: Warning = _new(cls)
        warning.code = int(found[1])
        warning.agent = found[2]
        warning.text = unquote(found[3])
        return warning

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Warning):
            return NotImplemented
        return (
            self.code == other.code and self.agent.lower() == other.agent.lower() and self.text == other.text
        )

    def __hash__(self) -> int:
        return hash((self.code, self.agent.lower(), self.text))

    def __str__(self) -> str:
        return f"{self.code} {self.agent} {quote(self.text)}"

    def __repr__(self) -> str:
        return f"<Warning {self}>"


def _is_agent(text: str) -> bool:
    if is_token(text):
        return True
    try:
        read_host_port(text)
    except MalformedMessage:
        return False
    return " " not in text and "\t" not in text
