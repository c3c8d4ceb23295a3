"""The values of SDP's single-letter lines: o=, c=, b=, t= with its r=, z= and k= (RFC 8866 §5)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from sipactors.errors import MalformedMessage

TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]+")
"""RFC 8866 §9: token-char = %x21 / %x23-27 / %x2A-2B / %x2D-2E / %x30-39 / %x41-5A / %x5E-7E."""
NUMBER = re.compile(r"[0-9]{1,40}")
_unicast = re.compile(r"IN IP([46]) ([0-9A-Za-z.:\-]+)").fullmatch
_TYPED_TIME = re.compile(r"-?[0-9]{1,20}[dhms]?")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def malformed(where: str, why: str) -> MalformedMessage:
    """The error for a stranger's SDP; `where` is the line's letter, or a longer name of the place."""
    place = f"SDP {where}= line" if len(where) == 1 else f"SDP {where}"
    return MalformedMessage(400, f"{place}: {why}")


def quoted(text: str) -> str:
    """A stranger's text as an error may show it: short, and without control characters."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def number(text: str, where: str, what: str) -> int:
    """A run of at most forty ASCII digits as an int. Raises MalformedMessage otherwise."""
    if not NUMBER.fullmatch(text):
        raise malformed(where, f"{what} is not a number: {quoted(text)}")
    return int(text)


def _token(text: str, where: str, what: str) -> None:
    if not TOKEN.fullmatch(text):
        raise malformed(where, f"{what} is not a token: {quoted(text)}")


def address_type(host: str) -> str:
    """'IP6' for a numeric IPv6 address, 'IP4' for anything else, names included."""
    return "IP6" if ":" in host else "IP4"


@dataclass(slots=True)
class Origin:
    """Who describes which session, and for the how-manieth time (o=, RFC 8866 §5.2)."""

    username: str
    session_id: str
    "Digits; a string because its length has no bound and leading zeros are kept."
    version: int
    "Counts up by one with each change of the description (RFC 3264 §8)."
    address: str
    address_type: str = "IP4"
    network_type: str = "IN"

    @classmethod
    def parse(cls, value: str, *, strict: bool = False) -> Origin:
        """Read what stands behind `o=`. Raises MalformedMessage."""
        # A name with spaces in it is met in the field; the five parts behind it have none.
        parts = value.split(" ") if strict else value.rsplit(None, 5)
        if len(parts) != 6 or not all(parts):
            raise malformed("o", f"six parts wanted, got {quoted(value)}")
        username, session_id, version, network, address, host = parts
        if strict:
            number(session_id, "o", "the session id")
            _token(network, "o", "the network type")
            _token(address, "o", "the address type")
        return cls(username, session_id, number(version, "o", "the version"), host, address, network)

    def same_session(self, other: Origin) -> bool:
        """True when both name one session, whatever their versions (RFC 8866 §5.2)."""
        return (
            self.username == other.username
            and self.session_id == other.session_id
            and self.address == other.address
            and self.address_type == other.address_type
            and self.network_type == other.network_type
        )

    def __str__(self) -> str:
        return (
            f"{self.username} {self.session_id} {self.version} "
            f"{self.network_type} {self.address_type} {self.address}"
        )


@dataclass(slots=True)
class Connection:
    """Where media is received (c=, RFC 8866 §5.7)."""

    address: str
    "A numeric address or a name, without brackets."
    ttl: int | None = None
    "Of an IPv4 multicast address; None otherwise."
    count: int | None = None
    "How many multicast addresses follow each other from `address` on; None when not said."
    address_type: str = "IP4"
    network_type: str = "IN"

    @classmethod
    def to(cls, host: str) -> Connection:
        """The connection to a unicast host, its address type told from its look."""
        return cls(host, address_type=address_type(host))

    @classmethod
    def parse(cls, value: str, *, strict: bool = False) -> Connection:
        """Read what stands behind `c=`. Raises MalformedMessage."""
        usual = None if strict else _unicast(value)
        if usual is not None:
            return cls(usual[2], address_type=f"IP{usual[1]}")
        parts = value.split(" ") if strict else value.split()
        if len(parts) != 3 or not all(parts):
            raise malformed("c", f"three parts wanted, got {quoted(value)}")
        network, kind, address = parts
        if strict:
            _token(network, "c", "the network type")
            _token(kind, "c", "the address type")
        address, *suffixes = address.split("/")
        numbers = [number(suffix, "c", "the TTL or count") for suffix in suffixes]
        if not address or len(numbers) > (1 if kind.upper() == "IP6" else 2):
            raise malformed("c", f"not an address: {quoted(parts[2])}")
        if kind.upper() == "IP6":
            # RFC 8866 §5.7: IPv6 multicast does not use TTL scoping.
            result = cls(address, None, numbers[0] if numbers else None, kind, network)
        else:
            ttl = numbers[0] if numbers else None
            result = cls(address, ttl, numbers[1] if len(numbers) > 1 else None, kind, network)
        if strict and kind == "IP4":
            # RFC 8866 §5.7: Sessions using an IPv4 multicast connection address MUST also have a TTL value.
            if result.multicast and (result.ttl is None or result.ttl > 255):
                raise malformed("c", "an IPv4 multicast address wants a TTL of 0 to 255")
            if not result.multicast and numbers:
                raise malformed("c", "a TTL without a multicast address")
        return result

    @property
    def multicast(self) -> bool:
        """True for a numeric multicast address."""
        # 224.0.0.0/4 and ff00::/8: most addresses are told apart by how they begin.
        if self.address[:2].lower() not in ("22", "23", "ff"):
            return False
        try:
            return ipaddress.ip_address(self.address).is_multicast
        except ValueError:
            return False

    @property
    def unspecified(self) -> bool:
        """True for 0.0.0.0 and ::, which say that nothing is to be sent (RFC 3264 §8.4)."""
        try:
            return ipaddress.ip_address(self.address).is_unspecified
        except ValueError:
            return False

    def __str__(self) -> str:
        suffixes = "".join(f"/{part}" for part in (self.ttl, self.count) if part is not None)
        return f"{self.network_type} {self.address_type} {self.address}{suffixes}"


@dataclass(slots=True)
class Bandwidth:
    """What a session or a stream may use (b=, RFC 8866 §5.8): AS and CT in kbit/s, TIAS in bit/s."""

    type: str
    value: int

    @classmethod
    def parse(cls, value: str, *, strict: bool = False) -> Bandwidth:
        """Read what stands behind `b=`. Raises MalformedMessage."""
        kind, colon, amount = value.partition(":")
        if not colon:
            raise malformed("b", f"no colon in {quoted(value)}")
        if not strict:
            kind, amount = kind.strip(), amount.strip()
        _token(kind, "b", "the type")
        return cls(kind, number(amount, "b", "the bandwidth"))

    def __str__(self) -> str:
        return f"{self.type}:{self.value}"


def typed_time(text: str, where: str) -> int:
    """Seconds of a time that may end in d, h, m or s (RFC 8866 §5.10). Raises MalformedMessage."""
    if not _TYPED_TIME.fullmatch(text):
        raise malformed(where, f"not a time: {quoted(text)}")
    unit = _SECONDS.get(text[-1])
    return int(text) if unit is None else int(text[:-1]) * unit


@dataclass(slots=True)
class Repeat:
    """When a session repeats (r=, RFC 8866 §5.10); all values in seconds."""

    interval: int
    duration: int
    offsets: list[int]

    @classmethod
    def parse(cls, value: str, *, strict: bool = False) -> Repeat:
        """Read what stands behind `r=`. Raises MalformedMessage."""
        parts = value.split(" ") if strict else value.split()
        if len(parts) < 3:
            raise malformed("r", f"three parts or more wanted, got {quoted(value)}")
        interval, duration, *offsets = (typed_time(part, "r") for part in parts)
        if strict and (interval <= 0 or duration < 0 or min(offsets) < 0):
            raise malformed("r", "an interval above 0 and no negative times wanted")
        return cls(interval, duration, offsets)

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.interval, self.duration, *self.offsets))


@dataclass(slots=True)
class ZoneAdjustment:
    """One pair of z=: from `time` (NTP seconds) on, the base time is off by `offset` seconds (§5.11)."""

    time: int
    offset: int


@dataclass(slots=True)
class TimeDescription:
    """When a session is active (t=, r= and z=, RFC 8866 §5.9); NTP seconds, 0 for no bound."""

    start: int = 0
    stop: int = 0
    repeats: list[Repeat] = field(default_factory=list)
    zones: list[ZoneAdjustment] = field(default_factory=list)

    @classmethod
    def parse(cls, value: str, *, strict: bool = False) -> TimeDescription:
        """Read what stands behind `t=`. Raises MalformedMessage."""
        parts = value.split(" ") if strict else value.split()
        if len(parts) != 2:
            raise malformed("t", f"two times wanted, got {quoted(value)}")
        start, stop = parts
        if strict:
            # RFC 8866 §9: time = POS-DIGIT 9*DIGIT.
            for part in parts:
                if part != "0" and (len(part) < 10 or part[0] == "0"):
                    raise malformed("t", f"0 or ten digits and more wanted, got {quoted(part)}")
        return cls(number(start, "t", "the start time"), number(stop, "t", "the stop time"))

    def lines(self) -> list[str]:
        """The t= line with the r= lines and the z= line that belong to it."""
        result = [f"t={self.start} {self.stop}", *(f"r={repeat}" for repeat in self.repeats)]
        if self.zones:
            result.append("z=" + " ".join(f"{zone.time} {zone.offset}" for zone in self.zones))
        return result


def parse_zones(value: str, *, strict: bool = False) -> list[ZoneAdjustment]:
    """Read what stands behind `z=` (RFC 8866 §5.11). Raises MalformedMessage."""
    parts = value.split(" ") if strict else value.split()
    if not parts or len(parts) % 2:
        raise malformed("z", f"pairs of time and offset wanted, got {quoted(value)}")
    pairs = zip(parts[::2], parts[1::2])
    return [ZoneAdjustment(number(time, "z", "the time"), typed_time(off, "z")) for time, off in pairs]
