"""Event packages (RFC 6665 §5) as plug-ins: what a name in Event says of bodies, durations and readers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sipactors.errors import ArgumentError
from sipactors.message.values import is_token

DEFAULT_EXPIRES = 3600
"Seconds that a subscription is asked for when its package is unknown."


@dataclass(slots=True)
class EventPackage:
    """What subscribers and notifiers must know of one event package."""

    name: str
    "The event type as it stands in Event, templates included: `presence`, `presence.winfo`."
    accept: tuple[str, ...] = ()
    "Types of the bodies of its NOTIFYs, the preferred one first."
    expires: int = DEFAULT_EXPIRES
    "Seconds that a SUBSCRIBE without Expires means (RFC 6665 §5.4.4)."
    read: Callable[[bytes], Any] | None = None
    "Makes a value of a NOTIFY's body of the first type; raises MalformedMessage."
    write: Callable[[Any], bytes] | None = None
    "Makes a body of the first type of such a value."
    first_body: bytes = b""
    "The body of the NOTIFY that must go before the state is known (RFC 6665 §4.2.1.2)."

    def __post_init__(self) -> None:
        if not is_token(self.name):
            raise ArgumentError(f"not an event type: {self.name!r}")


PACKAGES: dict[str, EventPackage] = {}
"Every package that is known, by name."


def register(package: EventPackage) -> EventPackage:
    """Make a package known to subscriptions, in place of one of that name; gives it."""
    PACKAGES[package.name] = package
    return package


def package_of(name: str) -> EventPackage:
    """The package of a name; one that says nothing when none is known."""
    found = PACKAGES.get(name)
    return EventPackage(name) if found is None else found
