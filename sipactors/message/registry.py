"""The headers that sipactors knows: their names, compact forms, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sipactors.message.address import Address, read_address
from sipactors.message.fields import CSeq, RAck, read_number, read_text, read_token
from sipactors.message.via import Via


@dataclass(slots=True)
class HeaderType:
    """What is known of one header."""

    name: str
    "The name as it is written."
    parse: Callable[[str], Any]
    "Reads one value, not a whole comma list; raises MalformedMessage(400) without the header's name."
    multiple: bool = False
    "Whether it may stand several times: its typed value is then a list."
    comma: bool = False
    "Whether several values may stand in one row, separated by commas."
    empty: bool = False
    "Whether a row without any value is allowed, as Supported is (RFC 3261 §25.1)."
    compact: str | None = None
    "The compact form of the name (RFC 3261 §7.3.3), or None."


def _read_max_forwards(text: str) -> int:
    # RFC 3261 §20.22: the Max-Forwards value is an integer in the range 0-255.
    return read_number(text, 255)


HEADERS: dict[str, HeaderType] = {}


def _add(name: str, parse: Callable[[str], Any], flags: str = "", compact: str | None = None) -> None:
    HEADERS[name] = HeaderType(
        name, parse, "," in flags or "+" in flags, "," in flags, "0" in flags, compact
    )


_add("Via", Via.parse, ",", "v")
_add("Route", read_address, ",")
_add("Record-Route", read_address, ",")
_add("Proxy-Require", read_token, ",")
_add("Max-Forwards", _read_max_forwards)
_add("From", read_address, "", "f")
_add("To", read_address, "", "t")
_add("Call-ID", read_text, "", "i")
_add("CSeq", CSeq.parse)
_add("Contact", Address.parse, ",", "m")
_add("Require", read_token, ",")
_add("Supported", read_token, ",0", "k")
_add("Unsupported", read_token, ",")
_add("Allow", read_token, ",0")
_add("Expires", read_number)
_add("RAck", RAck.parse)
_add("Content-Type", read_text, "", "c")
_add("Content-Length", read_number, "", "l")

KEYS: dict[str, str] = {}
"Spelled name -> canonical name: a memo for the parser. It is bounded; use canonical() for any name."

MAX_KEYS = 4096

_lower: dict[str, str] = {}


def canonical(name: str) -> str:
    """The name under which a message keeps a header: "Via" for "v" and "VIA", lower case if it is unknown."""
    key = KEYS.get(name)
    if key is None:
        lower = name.lower()
        key = _lower.get(lower, lower)
        # A stranger's names must not fill our memory: the memo has a limit, in number and in length.
        if len(KEYS) < MAX_KEYS and len(name) <= 64:
            KEYS[name] = key
    return key


def _fill() -> None:
    for name, header in HEADERS.items():
        _lower[name.lower()] = name
        if header.compact:
            _lower[header.compact] = name
    for lower, name in _lower.items():
        for spelled in (lower, lower.upper(), name):
            KEYS[spelled] = name


_fill()
