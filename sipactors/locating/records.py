"""DNS records as RFC 3263 reads them: plain, and without the machinery of any DNS library."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address
from typing import Generic, NamedTuple, TypeVar

Record = TypeVar("Record")


@dataclass(slots=True)
class NAPTR:
    """A service of a domain, and the name under which its SRV records stand (RFC 3403 §4.1)."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(slots=True)
class SRV:
    """A host and port that offer a service (RFC 2782); the target '.' says that nobody does."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(slots=True)
class Answer(Generic[Record]):
    """What DNS says to one question: the records, none when the name has none, and how long that holds."""

    records: list[Record] = field(default_factory=list)
    ttl: float = 0.0
    "Seconds for which the answer may be kept, an empty one too (RFC 2308)."


class Question(NamedTuple):
    """One question to DNS: `kind` is 'NAPTR', 'SRV', 'A' or 'AAAA'."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def is_domain(name: str) -> bool:
    """True when a name can be asked for at all (RFC 1035 §2.3.4: labels to 63 octets, names to 255).

    A dot at the end is fine; underscores are, too, since services have them (RFC 2782).
    """
    name = name[:-1] if name.endswith(".") else name
    # 253 characters are 255 octets on the wire.
    return 0 < len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


@lru_cache(maxsize=4096)
def family_of(host: str) -> int:
    """4 or 6 when the host is a numeric address of that family, without brackets; 0 for a name."""
    # No top level domain begins with a digit, so this settles nearly every name at once.
    if ":" not in host and not host[-1:].isdigit():
        return 0
    try:
        return ip_address(host).version
    except ValueError:
        return 0
