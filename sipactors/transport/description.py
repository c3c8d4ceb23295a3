"""What to listen on, in the words of Twisted's endpoints: `udp:5060:interface=127.0.0.1`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sipactors.errors import ArgumentError
from sipactors.transport.flow import family_of

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?")

COMMON = ("interface", "advertised")
"Options that every kind of listener has; the first may also stand without its name, after the port."

_STREAM = ("backlog", "listen")
_TLS = ("certFile", "keyFile", "caFile", "certDir", "verify")
_WEBSOCKET = ("path", "ping")

KINDS: dict[str, tuple[str, ...]] = {
    "udp": (),
    "tcp": _STREAM,
    "tls": (*_STREAM, *_TLS),
    "ws": (*_STREAM, *_WEBSOCKET),
    "wss": (*_STREAM, *_TLS, *_WEBSOCKET),
}
"Each kind of listener with the options that it has beyond the common ones."


CHOICES = {"listen": ("yes", "no"), "verify": ("no", "optional", "required")}
"Options that have only these values; the first is that of an option which is missing."


@dataclass(slots=True)
class Description:
    """One listener to be: its kind, the port, the interface, and how others are told to reach it."""

    kind: str
    "'udp', 'tcp', 'tls', 'ws' or 'wss'."
    port: int
    "0 lets the system choose."
    interface: str = "0.0.0.0"
    "A numeric address of ours, without brackets; 0.0.0.0 or :: stands for all of a family."
    advertised: tuple[str, int | None] | None = None
    "The host, and the port when it differs, by which peers reach us through a 1:1 NAT; None: the bound ones."
    options: dict[str, str] = field(default_factory=dict)
    "The options of this kind alone, as they were written."


def parse_description(text: str, kinds: Mapping[str, tuple[str, ...]] = KINDS) -> Description:
    r"""Read `kind:port[:interface=address][:advertised=host[\:port]][:option=value…]`.

    As in twisted.internet.endpoints a backslash takes the next character literally, so that an IPv6
    address is written `tcp:5060:interface=\:\:1`. Raises ArgumentError, in one line, for anything else.
    """
    fields = _split(text)
    kind = fields[0][1].lower()
    if fields[0][0] is not None or kind not in kinds:
        raise ArgumentError(f"{text!r}: listen on one of {', '.join(kinds)}, as in udp:5060")
    if len(fields) < 2:
        raise ArgumentError(f"{text!r}: the port is missing, as in {kind}:5060")
    names = COMMON + kinds[kind]
    options: dict[str, str] = {}
    for position, (name, value) in enumerate(fields[1:]):
        if name is None:
            # Positional, as endpoints have it: kind:port:interface.
            if position > 1:
                hint = " (write the colons of an IPv6 address as \\:)" if ":" in text[len(kind) + 1 :] else ""
                raise ArgumentError(f"{text!r}: {value!r} stands without a name{hint}")
            name = ("port", "interface")[position]
        elif name != "port" and name not in names:
            raise ArgumentError(f"{text!r}: {kind} has no option {name!r}, only {', '.join(names)}")
        if name in options:
            raise ArgumentError(f"{text!r}: {name} stands twice")
        options[name] = value
    port = _port(text, options.pop("port", ""), lowest=0)
    interface = options.pop("interface", "") or "0.0.0.0"
    if family_of(interface) is None:
        raise ArgumentError(f"{text!r}: the interface must be a numeric address, not {interface!r}")
    advertised = options.pop("advertised", None)
    reached = _advertised(text, advertised) if advertised is not None else None
    backlog = options.get("backlog", "1")
    if not (backlog.isascii() and backlog.isdigit() and 0 < len(backlog) < 6):
        raise ArgumentError(f"{text!r}: {backlog!r} is no number of connections")
    for name, values in CHOICES.items():
        if options.get(name, values[0]) not in values:
            raise ArgumentError(f"{text!r}: {name} is one of {', '.join(values)}, not {options[name]!r}")
    if not re.fullmatch(r"[0-9]{1,5}", options.get("ping", "0")):
        raise ArgumentError(f"{text!r}: {options['ping']!r} is no number of seconds")
    if not re.fullmatch(r"/[!-~]*", options.get("path", "/")):
        raise ArgumentError(f"{text!r}: a path begins with / and has no spaces, not {options['path']!r}")
    return Description(kind, port, interface, reached, options)


def _split(text: str) -> list[tuple[str | None, str]]:
    """The fields between colons, each as (name or None, value), with the backslashes taken away."""
    fields: list[tuple[str | None, str]] = []
    name: str | None = None
    current: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "\\":
            literal = next(characters, None)
            if literal is None:
                raise ArgumentError(f"{text!r}: a backslash at the end")
            current.append(literal)
        elif character == ":":
            fields.append((name, "".join(current)))
            name, current = None, []
        elif character == "=" and name is None:
            name, current = "".join(current), []
        else:
            current.append(character)
    fields.append((name, "".join(current)))
    return fields


def _port(text: str, port: str, lowest: int = 1) -> int:
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and lowest <= int(port) <= 65535):
        raise ArgumentError(f"{text!r}: {port!r} is no port")
    return int(port)


def _advertised(text: str, value: str) -> tuple[str, int | None]:
    """host, host:port, an IPv6 address, or [IPv6 address]:port."""
    host, port = value, ""
    if value.startswith("["):
        host, bracket, rest = value[1:].partition("]")
        if not bracket or family_of(host) is None or (rest and not rest.startswith(":")):
            raise ArgumentError(f"{text!r}: {value!r} is no address")
        port = rest[1:]
        if rest and not port:
            raise ArgumentError(f"{text!r}: {value!r} ends where its port should stand")
    elif value.count(":") == 1:
        host, _, port = value.partition(":")
        if not port:
            raise ArgumentError(f"{text!r}: {value!r} ends where its port should stand")
    if family_of(host) is None and not (len(host) <= 253 and _HOST_NAME.fullmatch(host)):
        raise ArgumentError(f"{text!r}: {host!r} is neither an address nor a host name")
    return host, _port(text, port) if port else None
