"""The attributes that offer and answer turn on: directions, and formats with rtpmap, fmtp and rtcp-fb."""

from __future__ import annotations

import enum
import functools
import re
from dataclasses import dataclass, field

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.sdp.fields import TOKEN, malformed, quoted


@dataclass(slots=True)
class Attribute:
    """One a= line: a property (value None) or a value attribute (RFC 8866 §5.13)."""

    name: str
    value: str | None = None

    @classmethod
    def parse(cls, value: str) -> Attribute:
        """Read what stands behind `a=`; anything can be read."""
        name, colon, rest = value.partition(":")
        return cls(name, rest if colon else None)

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}:{self.value}"


class Direction(enum.Enum):
    """Which way a stream flows, as the side that says so sees it (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> Direction:
        """The direction of a side that sends, receives, both or neither."""
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE

    @property
    def sends(self) -> bool:
        """True when the side that says this sends media."""
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        """True when the side that says this receives media."""
        return self is Direction.SENDRECV or self is Direction.RECVONLY

    @property
    def reversed(self) -> Direction:
        """The same stream as the other side sees it."""
        if self is Direction.SENDRECV:
            return self
        return Direction.of(sends=self.receives, receives=self.sends)

    def within(self, other: Direction) -> Direction:
        """What is left of this direction when `other` is the most that is allowed."""
        if self is other:
            return self
        return Direction.of(sends=self.sends and other.sends, receives=self.receives and other.receives)


DIRECTIONS = {direction.value: direction for direction in Direction}
"""Every direction by its attribute's name."""

STATIC_FORMATS = {
    "0": "PCMU/8000",
    "3": "GSM/8000",
    "4": "G723/8000",
    "5": "DVI4/8000",
    "6": "DVI4/16000",
    "7": "LPC/8000",
    "8": "PCMA/8000",
    "9": "G722/8000",
    "10": "L16/44100/2",
    "11": "L16/44100",
    "12": "QCELP/8000",
    "13": "CN/8000",
    "14": "MPA/90000",
    "15": "G728/8000",
    "16": "DVI4/11025",
    "17": "DVI4/22050",
    "18": "G729/8000",
    "25": "CelB/90000",
    "26": "JPEG/90000",
    "28": "nv/90000",
    "31": "H261/90000",
    "32": "MPV/90000",
    "33": "MP2T/90000",
    "34": "H263/90000",
}
"""The payload types that mean a codec without an rtpmap (RFC 3551 §6)."""

AUXILIARY = frozenset({"TELEPHONE-EVENT", "CN", "RED", "TONE", "RTX", "ULPFEC", "FLEXFEC-03"})
"""Encodings that go along with a codec, and make no stream by themselves."""

# Parameters that make two formats of one name different ones, with the value that absence means.
_IDENTITY: dict[str, dict[str, str]] = {
    "H264": {"packetization-mode": "0", "profile-level-id": "420010"},  # RFC 6184 §8.2.2
    "H265": {"profile-id": "1", "tier-flag": "0"},  # RFC 7798 §7.2.2
    "VP9": {"profile-id": "0"},  # RFC 9628 §7
    "AMR": {"octet-align": "0", "crc": "0", "interleaving": ""},  # RFC 4867 §8.3.1
    "AMR-WB": {"octet-align": "0", "crc": "0", "interleaving": ""},
    "G7221": {"bitrate": ""},  # RFC 5577 §5
}
# Encodings whose offered parameters the answer repeats when we have none of our own: they tell which
# format it is, or, as annexb=no of G.729 (RFC 7261 §3.1) and apt of rtx (RFC 4588 §8.6), bind both sides.
REPEATED = frozenset({*_IDENTITY, "G729", "RED", "RTX"})
_RTPMAP = re.compile(r"([!#-'*+\-.0-9A-Z^-~]+)/([0-9]{1,10})(?:/([!#-'*+\-.0-9A-Z^-~]+))?")


@dataclass(slots=True)
class Format:
    """A media format, as `PCMU/8000`, `opus/48000/2`, or, outside RTP, a bare name as `t38`."""

    encoding: str
    clock_rate: int | None = None
    "In Hz; None for a format that is not carried by RTP."
    channels: str | None = None
    "The encoding parameters of rtpmap: for audio, how many channels when not one."
    payload_type: str | None = None
    "The format's token on the m= line; None lets the offer choose one."
    fmtp: str | None = None
    "The format's parameters, what stands behind the number in a=fmtp."
    feedback: list[str] = field(default_factory=list)
    "What stands behind the number in each a=rtcp-fb (RFC 4585 §4.2)."

    @classmethod
    def parse(cls, text: str, *, payload_type: str | None = None, fmtp: str | None = None) -> Format:
        """Read `name/rate[/channels]` or a bare name. Raises MalformedMessage."""
        if "/" not in text and TOKEN.fullmatch(text):
            return cls(text, payload_type=payload_type, fmtp=fmtp)
        parts = read_rtpmap(text)
        if parts is None:
            raise malformed("a=rtpmap line", f"not name/rate: {quoted(text)}")
        return cls(*parts, payload_type, fmtp)

    @classmethod
    def of(cls, text: str | Format) -> Format:
        """The format that an application names, or a copy of the one it gives. Raises ArgumentError."""
        if isinstance(text, Format):
            return text.copy()
        try:
            return _named(text).copy()
        except MalformedMessage as error:
            raise ArgumentError(error.what) from None

    def copy(self) -> Format:
        """A format that can be changed without changing this one."""
        return Format(
            self.encoding,
            self.clock_rate,
            self.channels,
            self.payload_type,
            self.fmtp,
            list(self.feedback),
        )

    @property
    def name(self) -> str:
        """The format as rtpmap says it: `opus/48000/2`."""
        if self.clock_rate is None:
            return self.encoding
        return f"{self.encoding}/{self.clock_rate}" + (f"/{self.channels}" if self.channels else "")

    @property
    def auxiliary(self) -> bool:
        """True for telephone-event, comfort noise and their like, which make no stream alone."""
        return self.encoding.upper() in AUXILIARY

    def matches(self, other: Format) -> bool:
        """True when both are one format: name, rate, channels, and the parameters that tell such apart.

        A format whose `fmtp` is None stands for any of its name.
        """
        # RFC 8866 §6.6 by way of RFC 4855 §3: encoding names are compared without regard to case.
        if self.clock_rate != other.clock_rate or self.encoding.upper() != other.encoding.upper():
            return False
        if self.channels != other.channels and (self.channels or "1") != (other.channels or "1"):
            return False
        if self.fmtp is None or other.fmtp is None:
            return True
        identity = _IDENTITY.get(self.encoding.upper())
        if identity is None:
            return True
        mine, theirs = fmtp_parameters(self.fmtp), fmtp_parameters(other.fmtp)
        for name, default in identity.items():
            left, right = mine.get(name, default).lower(), theirs.get(name, default).lower()
            if name == "profile-level-id":
                # RFC 6184 §8.2.2: the profile must be the same on both sides, the level need not be.
                left, right = left[:2], right[:2]
            if left != right:
                return False
        return True


@functools.lru_cache(maxsize=64)
def _named(text: str) -> Format:
    """The format that an application names, read once; copied before it is given away."""
    result = Format.parse(text)
    if result.encoding.upper() == "TELEPHONE-EVENT":
        # RFC 4733 §2.4.1: the events 0-15, the DTMF digits, are what absence means; saying so helps.
        result.fmtp = "0-15"
    return result


def read_rtpmap(text: str) -> tuple[str, int, str | None] | None:
    """Encoding, clock rate and channels of `name/rate[/channels]`; None when it is not that."""
    found = _RTPMAP.fullmatch(text)
    return None if found is None else (found[1], int(found[2]), found[3])


STATIC_PARTS = {number: read_rtpmap(name) for number, name in STATIC_FORMATS.items()}
"""The same as read_rtpmap gives them."""


def fmtp_parameters(text: str) -> dict[str, str]:
    """The `name=value;` pairs of a=fmtp, names in lower case; one without `=` has an empty value."""
    result: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        if name.strip():
            result.setdefault(name.strip().lower(), value.strip())
    return result


def split_format(value: str) -> tuple[str, str]:
    """The format token and the rest of an rtpmap, fmtp or rtcp-fb value."""
    parts = value.split(None, 1)
    return (parts[0] if parts else ""), (parts[1] if len(parts) > 1 else "")
