"""Event and Subscription-State: what a subscription is about, and how it stands (RFC 6665 §8.2)."""

from __future__ import annotations

from sipactors.errors import MalformedMessage
from sipactors.message.grammar import read_number
from sipactors.message.parameterized import Parameterized


class Event(Parameterized):
    """An event package with the id of a subscription: `Event("presence", {"id": "1"})`."""

    __slots__ = ()

    @property
    def package(self) -> str:
        """The event type with its templates: "presence.winfo"."""
        return self.value

    @property
    def id(self) -> str | None:
        """What tells two subscriptions to one package apart in one dialog, or None."""
        return self.params.get("id")

    def __eq__(self, other: object) -> bool:
        # RFC 6665 §8.2.1: the event type is compared byte-by-byte, and so is "id"; when one has an id, both
        # must. No other parameter is considered.
        if not isinstance(other, Event):
            return NotImplemented
        return self.value == other.value and self.id == other.id

    def __hash__(self) -> int:
        return hash((self.value, self.id))


class SubscriptionState(Parameterized):
    """Where a subscription stands: `SubscriptionState("active", {"expires": 600})` (RFC 6665 §8.2.3)."""

    __slots__ = ()

    @property
    def state(self) -> str:
        """active, pending, terminated or an extension, in lower case."""
        return self.value.lower()

    @property
    def reason(self) -> str | None:
        """Why it ended, in lower case: deactivated, probation, rejected, timeout, giveup, noresource, …"""
        reason = self.params.get("reason")
        return None if reason is None else reason.lower()

    @property
    def expires(self) -> int | None:
        """Seconds that remain, or None when the notifier did not say."""
        return _seconds(self.params.get("expires"))

    @property
    def retry_after(self) -> int | None:
        """Seconds after which to subscribe again, or None."""
        return _seconds(self.params.get("retry-after"))

    def _check(self) -> None:
        Parameterized._check(self)
        # RFC 6665 §8.4: "expires" EQUAL delta-seconds, "retry-after" EQUAL delta-seconds.
        for name in ("expires", "retry-after"):
            if name in self.params:
                read_number(self.params.get(name) or "")


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return read_number(text)
    except MalformedMessage:
        return None
