"""RFC 8866 §9, line by line: what a strict reader refuses, and what an application may write."""

from __future__ import annotations

import re
from collections.abc import Callable

from sipactors.sdp.attributes import DIRECTIONS, Format, split_format
from sipactors.sdp.fields import (
    TOKEN,
    Bandwidth,
    Connection,
    Origin,
    Repeat,
    TimeDescription,
    malformed,
    number,
    parse_zones,
    quoted,
)

SESSION_ORDER = "vosiuepcbtrzka"
"The letters of the session section, in the order of RFC 8866 §5."
MEDIA_ORDER = "icbka"
"The letters behind an m= line."
ONCE = frozenset("vosiuk")
"Letters that a section has at most once; c= too in the session section."

_BROKEN = re.compile(r"[\0\r\n]")
_TOKEN = r"[!#-'*+\-.0-9A-Z^-~]+"
# The usual lines in one match; a line that does not match is read piece by piece, and is judged there.
_usual = re.compile(
    r"o=[!-~]+ [0-9]{1,40} [0-9]{1,40} IN IP[46] [!-~]+|s=[ -~]+|t=0 0|"
    r"c=IN IP(?:4 (?!22|23|ff)[0-9A-Za-z.\-]+|6 [0-9A-Fa-f:.]+)|"
    rf"m={_TOKEN} [0-9]{{1,4}} {_TOKEN}(?:/{_TOKEN})*(?: {_TOKEN})+|"
    rf"a=rtpmap:[0-9]+ {_TOKEN}/[0-9]{{1,10}}|a=fmtp:[0-9]+ [!-~][ -~]*|"
    r"a=(?:sendrecv|sendonly|recvonly|inactive)"
).fullmatch
_media_line = re.compile(
    rf"({_TOKEN}) ([0-9]{{1,4}}|[1-5][0-9]{{4}}) ({_TOKEN}(?:/{_TOKEN})*)((?: {_TOKEN})+)"
).fullmatch
_PHONE = re.compile(r"\+?[0-9][0-9 \-]*")
_KEY = re.compile(r"prompt|(?:clear|base64|uri):.*", re.DOTALL)
_REAL = re.compile(r"(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?")


def is_usual(line: str) -> bool:
    """True for a line of one of the forms that most lines have, all of which strict reading takes."""
    return _usual(line) is not None


def check_line(line: str) -> None:
    """Raise MalformedMessage unless this line, `x=…` without its end, is one of RFC 8866 §9."""
    if is_usual(line):
        return
    if line[1:2] != "=":
        raise malformed("line", f"no x= in front of {quoted(line)}")
    letter, value = line[0], line[2:]
    if _BROKEN.search(value):
        raise malformed(letter, "NUL, CR or LF in it")
    check = _CHECKS.get(letter)
    if check is None:
        # RFC 8866 §5: a parser MUST completely ignore a description with a type letter it does not know.
        raise malformed("line", f"no such type letter: {quoted(letter)}")
    check(value)


def parse_media_line(value: str, *, strict: bool) -> tuple[str, int, int | None, str, list[str]]:
    """Read what stands behind `m=`: media, port, how many ports, protocol, formats."""
    usual = _media_line(value)
    if usual is not None:
        return usual[1], int(usual[2]), None, usual[3], usual[4][1:].split(" ")
    parts = value.split(" ") if strict else value.split()
    # A rejected stream without formats is met in the field; RFC 8866 §9 wants one at least.
    if len(parts) < (4 if strict else 3):
        raise malformed("m", f"media, port, protocol and formats wanted, got {quoted(value)}")
    media, ports, protocol, *formats = parts
    port, slash, count = ports.partition("/")
    first = number(port, "m", "the port")
    if first > 65535:
        raise malformed("m", f"no such port: {quoted(port)}")
    ports_wanted = number(count, "m", "the number of ports") if slash else None
    if ports_wanted == 0:
        raise malformed("m", "the number of ports is 0")
    for token in (media, *protocol.split("/"), *formats):
        if not TOKEN.fullmatch(token):
            raise malformed("m", f"not a token: {quoted(token)}")
    return media, first, ports_wanted, protocol, formats


def positive(text: str) -> bool:
    """True for a number above 0, whole or with a fraction (RFC 8866 §9: non-zero-int-or-real)."""
    return _REAL.fullmatch(text) is not None and bool(text.strip("0."))


def _version(value: str) -> None:
    # RFC 8866 §5.1: the "v=" line gives the version of SDP, which is 0; there is no minor version.
    if value != "0":
        raise malformed("v", f"not version 0: {quoted(value)}")


def _text(letter: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        # RFC 8866 §5.3: the "s=" line MUST NOT be empty; nor may any other text be.
        if not value:
            raise malformed(letter, "nothing in it")

    return check


def _uri(value: str) -> None:
    if not value or " " in value or "\t" in value:
        raise malformed("u", f"not a URI: {quoted(value)}")


def _bare(value: str) -> str:
    """An address or number without the name that may stand around it (RFC 8866 §5.6)."""
    if value.endswith(">") and "<" in value:
        return value[value.rindex("<") + 1 : -1]
    if value.endswith(")") and "(" in value:
        return value[: value.index("(")].rstrip(" ")
    return value


def _email(value: str) -> None:
    local, at, domain = _bare(value).rpartition("@")
    if not (local and at and domain) or " " in domain:
        raise malformed("e", f"not an address: {quoted(value)}")


def _phone(value: str) -> None:
    if not _PHONE.fullmatch(_bare(value)):
        raise malformed("p", f"not a number: {quoted(value)}")


def _key(value: str) -> None:
    if not _KEY.fullmatch(value):
        raise malformed("k", f"not a key: {quoted(value)}")


def _media(value: str) -> None:
    parse_media_line(value, strict=True)


def _attribute(value: str) -> None:
    name, colon, rest = value.partition(":")
    if not TOKEN.fullmatch(name):
        raise malformed("a", f"the name is not a token: {quoted(name)}")
    if colon and not rest:
        raise malformed("a", f"no value behind {quoted(name)}:")
    if name in DIRECTIONS and colon:
        raise malformed("a", f"{name} has a value")
    if name in ("ptime", "maxptime", "framerate") and not positive(rest):
        # RFC 8866 §6.4: ptime-value = non-zero-int-or-real.
        raise malformed(f"a={name} line", f"not a number above 0: {quoted(rest)}")
    if name == "rtpmap":
        token, encoding = split_format(rest)
        # RFC 8866 §6.6: rtpmap-value = payload-type SP encoding-name "/" clock-rate ["/" encoding-params].
        if not token.isascii() or not token.isdigit() or Format.parse(encoding).clock_rate is None:
            raise malformed("a=rtpmap line", f"number, name and rate wanted, got {quoted(rest)}")
    if name == "fmtp" and not split_format(rest)[1]:
        # RFC 8866 §6.15: fmtp-value = fmt SP format-specific-params.
        raise malformed("a=fmtp line", f"format and parameters wanted, got {quoted(rest)}")


_CHECKS: dict[str, Callable[[str], object]] = {
    "v": _version,
    "o": lambda value: Origin.parse(value, strict=True),
    "s": _text("s"),
    "i": _text("i"),
    "u": _uri,
    "e": _email,
    "p": _phone,
    "c": lambda value: Connection.parse(value, strict=True),
    "b": lambda value: Bandwidth.parse(value, strict=True),
    "t": lambda value: TimeDescription.parse(value, strict=True),
    "r": lambda value: Repeat.parse(value, strict=True),
    "z": lambda value: parse_zones(value, strict=True),
    "k": _key,
    "a": _attribute,
    "m": _media,
}
