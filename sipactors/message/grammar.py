"""Hosts, ports, numbers and escapes, as RFC 3261 §25.1 spells them."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import quote as _percent_quote
from urllib.parse import unquote as _percent_unquote

from sipactors.errors import ArgumentError, MalformedMessage

# hostname = *(domainlabel ".") toplabel ["."], where toplabel starts with a letter. "_" is in no RFC's
# hostname but in many a container's name, and it is harmless.
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?"
_hostname = re.compile(rf"(?:{_LABEL}\.)*[A-Za-z_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?\.?\Z")
_ipv4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}\Z")
_number = re.compile(r"[0-9]+\Z")
_escape = re.compile(r"%([0-9A-Fa-f]{2})")
_host_port = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._\-]{1,255})(?:[ \t]*:[ \t]*([0-9]{1,10}))?\Z")
# RFC 3261 §25.1: unreserved = alphanum / mark
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")

MAX_NUMBER = 2**32 - 1
"The largest delta-seconds, and the largest number that any SIP header may carry (RFC 3261 §20.19)."


@lru_cache(maxsize=4096)
def is_host(text: str) -> bool:
    """Whether `text` is a hostname, an IPv4 address, or an IPv6 address (here without brackets)."""
    if ":" in text:
        return is_ipv6(text)
    if len(text) > 255:
        return False
    if _ipv4.match(text):
        return all(int(octet) < 256 for octet in text.split("."))
    return _hostname.match(text) is not None


def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address without brackets and without a zone."""
    if len(text) > 45 or "%" in text:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def host_key(host: str) -> str:
    """A text that is the same for two hosts that are the same.

    RFC 5954 §4.2: IPv6 addresses are compared as the addresses they are, not as text.
    """
    if ":" not in host:
        return host.lower()
    return str(ipaddress.IPv6Address(host))


def bracketed(host: str) -> str:
    """The host as it is written before a port: an IPv6 address gets its brackets."""
    return f"[{host}]" if ":" in host else host


def read_host(text: str) -> str:
    """The host without its brackets; MalformedMessage(400) when it is none."""
    if text[:1] == "[" and text[-1:] == "]" and is_ipv6(text[1:-1]):
        return text[1:-1]
    if ":" not in text and is_host(text):
        return text
    raise MalformedMessage(400, f"not a host: {text[:80]!r}")


def read_host_port(text: str) -> tuple[str, int | None]:
    """(host without brackets, port or None) of "host[:port]"; MalformedMessage(400) when it is not that."""
    found = _host_port.match(text)
    if found is None:
        raise MalformedMessage(400, f"not a host and port: {text[:80]!r}")
    host, port = found.groups()
    return read_host(host), None if port is None else read_port(port)


def read_port(text: str) -> int:
    """A port number; MalformedMessage(400) when it is not one of 1..65535 (0 is taken for what it is)."""
    if len(text) > 10 or not _number.match(text) or int(text) > 65535:
        raise MalformedMessage(400, "port out of range")
    return int(text)


def read_number(text: str, limit: int = MAX_NUMBER) -> int:
    """A decimal number of 0..limit; MalformedMessage(400) for anything else, signs and blanks included."""
    if not _number.match(text):
        raise MalformedMessage(400, f"not a number: {text[:80]!r}")
    text = text.lstrip("0") or "0"
    if len(text) > 20 or int(text) > limit:
        raise MalformedMessage(400, "number out of range")
    return int(text)


def check_host(host: str) -> str:
    """The host without brackets; ArgumentError when it is none."""
    if host[:1] == "[" and host[-1:] == "]":
        host = host[1:-1]
        if not is_ipv6(host):
            raise ArgumentError(f"not an IPv6 address: {host!r}")
    if not is_host(host):
        raise ArgumentError(f"not a host: {host!r}")
    return host


def check_port(port: int | None) -> int | None:
    """The port; ArgumentError when it is no number of 0..65535."""
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535):
        raise ArgumentError(f"not a port: {port!r}")
    return port


def check_number(value: int, what: str, limit: int = MAX_NUMBER) -> int:
    """The number; ArgumentError when it is no int of 0..limit."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise ArgumentError(f"{what}: not a number of 0..{limit}: {value!r}")
    return value


def unescape(text: str) -> str:
    """The text with every %HH replaced by its octet, read as UTF-8."""
    return _percent_unquote(text, errors="surrogateescape") if "%" in text else text


def escape(text: str, safe: str) -> str:
    """The text with all but letters, digits, "_.-~" and `safe` written as %HH."""
    return _percent_quote(text, safe=safe, errors="surrogateescape")


def normal_escapes(text: str) -> str:
    """One spelling for texts that differ in needless escapes only.

    RFC 3261 §19.1.4: characters other than those in the "reserved" set are equivalent to their %HH
    encoding. So unreserved characters lose their escape, and all others keep it.
    """
    return _escape.sub(_normal_escape, text) if "%" in text else text


def _normal_escape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()
