"""DTMF digits in INFO requests: application/dtmf-relay, which all phones write, and application/dtmf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.errors import ArgumentError
from sipactors.message import MessageElements

if TYPE_CHECKING:
    from sipactors.message import Request

DIGITS = "0123456789*#ABCD"
RELAY = "application/dtmf-relay"
PLAIN = "application/dtmf"

_NUMBERS = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}


def check_digits(digits: str) -> str:
    """The digits in capitals; ArgumentError when one of them is none."""
    digits = digits.upper()
    for digit in digits:
        if digit not in DIGITS:
            raise ArgumentError(f"{digit!r} is no DTMF digit: {DIGITS}")
    return digits


def digit_elements(digit: str, duration: int) -> MessageElements:
    """The body of the INFO that presses one digit for so many milliseconds."""
    body = f"Signal={digit}\r\nDuration={duration}\r\n".encode()
    return MessageElements(body=body, content_type=RELAY)


def read_digits(request: Request) -> str | None:
    """The digits that an INFO presses; None when it is not about digits."""
    content_type = request.content_type
    if content_type is None:
        return None
    kind = f"{content_type.type}/{content_type.subtype}".lower()
    text = request.body[:1000].decode("ascii", "replace")
    if kind == PLAIN:
        return _digit(text)
    if kind != RELAY:
        return None
    for line in text.splitlines():
        name, _, value = line.partition("=")
        if name.strip().lower() == "signal":
            return _digit(value)
    return ""


def _digit(text: str) -> str:
    text = text.strip().upper()
    text = _NUMBERS.get(text, text)
    return text if len(text) == 1 and text in DIGITS else ""
