"""Via: the way a request came, which its responses go back (RFC 3261 §20.42, RFC 3581)."""

from __future__ import annotations

import re

from sipactors.errors import MalformedMessage
from sipactors.message.grammar import (
    bracketed,
    check_host,
    check_number,
    check_port,
    host_key,
    is_host,
    is_ipv6,
    read_host_port,
    read_number,
)
from sipactors.message.values import TOKEN, Parameters, ParametersLike, check_token, read_parameters

# The usual form in one match: branch with rport before or after it, then other parameters without quotes.
# What does not match is read piece by piece, and is judged there.
_usual = re.compile(
    rf"SIP/2\.0/([A-Z]+) ([A-Za-z0-9.\-]+)(?::([1-5][0-9]{{4}}|[1-9][0-9]{{0,3}})|)"
    rf"(;branch={TOKEN}(?:;rport|)|;rport;branch={TOKEN}|)(\Z|(?:;{TOKEN}(?:={TOKEN}|))+\Z)"
).match
_start = re.compile(
    rf"({TOKEN})[ \t]*/[ \t]*({TOKEN})[ \t]*/[ \t]*({TOKEN})[ \t]+"
    r"((?:\[[0-9A-Fa-f:.]*\]|[A-Za-z0-9._\-]+)(?:[ \t]*:[ \t]*[0-9]+)?)"
)
_new = object.__new__


class Via:
    """One hop of a request: transport, sent-by and parameters.

    `Via("UDP", "192.0.2.1", 5060, {"branch": "z9hG4bK1", "rport": None})`; the host of an IPv6 address is
    without brackets. Two are equal as RFC 3261 §20.42 says: same protocol and sent-by, the same set of
    parameters, and all values equal. Parts that cannot stand in a header raise ArgumentError.
    """

    __slots__ = ("_params", "_params_text", "host", "port", "protocol", "transport")

    transport: str
    "The transport in capitals: UDP, TCP, TLS, WS, WSS or another."
    host: str
    port: int | None
    protocol: str
    'Name and version, "SIP/2.0".'
    _params: Parameters | None
    _params_text: str

    def __init__(
        self, transport: str, host: str, port: int | None = None, params: ParametersLike = None
    ) -> None:
        self.protocol = "SIP/2.0"
        self.transport = check_token(transport, "Via transport").upper()
        self.host = check_host(host)
        self.port = check_port(port)
        self._params = Parameters(params)
        self._params_text = ""

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one Via value; MalformedMessage(400) when it is none."""
        via: Via = _new(cls)
        found = _usual(text)
        if found is not None:
            via.transport, host, port, via._params_text, more = found.groups()
            if is_host(host):
                via.host = host
                via.protocol = "SIP/2.0"
                via.port = int(port) if port else None
                via._params = None
                if more:
                    via._params = Parameters.split(via._params_text + more)
                    via._check(via._params)
                return via
        via._read(text)
        return via

    def _read(self, text: str) -> None:
        text = text.strip(" \t")
        found = _start.match(text)
        if found is None:
            raise MalformedMessage(400, "protocol or sent-by that does not parse")
        name, version, transport, sent_by = found.groups()
        self.protocol = f"{name.upper()}/{version}"
        self.transport = transport.upper()
        self.host, self.port = read_host_port(sent_by)
        self._params_text = ""
        params = self._params = read_parameters(text, found.end())
        self._check(params)

    def _check(self, params: Parameters) -> None:
        if "branch" in params and not params.get("branch"):
            raise MalformedMessage(400, "branch without a value")
        if "received" in params and not _is_address(params.get("received")):
            raise MalformedMessage(400, "received is not an address")
        if "ttl" in params:
            # RFC 3261 §25.1: ttl = 1*3DIGIT ; 0 to 255
            read_number(params.get("ttl") or "", 255)
        if "maddr" in params and not _is_address(params.get("maddr")):
            raise MalformedMessage(400, "maddr is not a host")
        port = params.raw("rport")
        if port is not None:
            read_number(port, 65535)

    @property
    def params(self) -> Parameters:
        """The parameters, to be read and changed."""
        params = self._params
        if params is None:
            params = self._params = read_parameters(self._params_text)
        return params

    @property
    def branch(self) -> str | None:
        """The transaction's id, or None (RFC 2543)."""
        return self._params.get("branch") if self._params is not None else self._in_text(";branch=")

    @property
    def received(self) -> str | None:
        """The address the request came from, without brackets, or None when the sent-by told it."""
        return self._address("received")

    @received.setter
    def received(self, address: str | None) -> None:
        if address is None:
            self.params.pop("received")
        else:
            self.params["received"] = check_host(address)

    @property
    def rport(self) -> int | bool | None:
        """RFC 3581: the port the request came from, True when it is asked for, None when it is not."""
        if self._params is None:
            if ";rport" not in self._params_text:
                return None
            value = self._in_text(";rport=")
        elif "rport" in self._params:
            value = self._params.get("rport")
        else:
            return None
        return True if value is None else int(value)

    @rport.setter
    def rport(self, port: int | bool | None) -> None:
        if port is None or port is False:
            self.params.pop("rport")
        else:
            self.params["rport"] = None if port is True else check_port(port)

    @property
    def maddr(self) -> str | None:
        """The address to answer to instead, without brackets, or None."""
        return self._address("maddr")

    def mark(self, received: str, rport: int | None = None) -> None:
        """Note where the request came from, and by which port when that was asked (RFC 3581 §4).

        As every change it reaches the message when the Via is put back: `request.via = via`.
        """
        text = self._params_text
        if self._params is not None or ":" in received or ";received=" in text:
            self.params.set_raw("received", received)
            if rport is not None:
                self.rport = rport
            return
        if rport is not None:
            # In its place, as Parameters would do it.
            text = text.replace(";rport", f";rport={rport}") if ";rport" in text else f"{text};rport={rport}"
        self._params_text = f"{text};received={received}"

    def _in_text(self, start: str) -> str | None:
        """What follows `;name=` in the usual form, where no value holds a semicolon."""
        text = self._params_text
        if start not in text:
            return None
        return text[text.index(start) + len(start) :].partition(";")[0]

    @property
    def ttl(self) -> int | None:
        """The time-to-live of a multicast request, or None."""
        value = self.params.get("ttl") if self._params is not None else None
        return None if value is None else int(value)

    @ttl.setter
    def ttl(self, ttl: int | None) -> None:
        if ttl is None:
            self.params.pop("ttl")
        else:
            self.params["ttl"] = check_number(ttl, "Via ttl", 255)

    def _address(self, name: str) -> str | None:
        value = self._in_text(f";{name}=") if self._params is None else self._params.get(name)
        return value[1:-1] if value is not None and value[:1] == "[" else value

    @property
    def sent_by(self) -> str:
        """host or host:port, the host in lower case, an IPv6 address in brackets."""
        host = bracketed(self.host.lower())
        return host if self.port is None else f"{host}:{self.port}"

    def copy(self) -> Via:
        """A Via of its own with the same parts."""
        other: Via = _new(type(self))
        other.protocol = self.protocol
        other.transport = self.transport
        other.host = self.host
        other.port = self.port
        other._params = None if self._params is None else self._params.copy()
        other._params_text = self._params_text
        return other

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Via):
            return NotImplemented
        return (
            self.transport == other.transport
            and self.port == other.port
            and host_key(self.host) == host_key(other.host)
            and self.protocol == other.protocol
            and self.params == other.params
        )

    def __str__(self) -> str:
        host = bracketed(self.host)
        sent_by = host if self.port is None else f"{host}:{self.port}"
        params = self._params_text if self._params is None else str(self._params)
        return f"{self.protocol}/{self.transport} {sent_by}{params}"

    def __repr__(self) -> str:
        return f"<Via {self}>"


def _is_address(text: str | None) -> bool:
    if not text:
        return False
    return is_ipv6(text[1:-1]) if text[:1] == "[" else is_host(text)
