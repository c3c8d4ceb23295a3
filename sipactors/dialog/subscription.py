"""How a subscription stands, as its subscriber and its notifier each know it (RFC 6665 §4.1.2, §4.2.1).

Subscriber:  INIT --SUBSCRIBE--> NOTIFY_WAIT --NOTIFY--> PENDING <-> ACTIVE ---> TERMINATED
Notifier:    RESP_WAIT --2xx--> PENDING <-> ACTIVE ---> TERMINATED
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sipactors.actor import TERMINATED, Machine, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from sipactors.message import Response
    from sipactors.transaction.dispatcher import Dispatcher

INIT = "INIT"
NOTIFY_WAIT = "NOTIFY_WAIT"
RESP_WAIT = "RESP_WAIT"
PENDING = "PENDING"
ACTIVE = "ACTIVE"

ENDING_STATUSES = frozenset((404, 405, 408, 410, 416, *range(480, 486), 489, 501, 604))
"""Answers to SUBSCRIBE and NOTIFY that end the subscription (RFC 6665 §4.1.2.2, §4.2.2), and 408 with them,
which RFC 3261 §12.2.1.2 treats like 481."""


def seconds_in(response: Response, name: str) -> int | None:
    """The seconds that a header of a stranger's response says; None when it is not there or does not read."""
    text = response.get(name)
    if text is None:
        return None
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else None


class Lifetime(Machine):
    """What both sides of a subscription have: a state, and a time at which it runs out."""

    __slots__ = ("_call", "_dispatcher", "_ran_out", "expires_at")

    def __init__(self, dispatcher: Dispatcher, ran_out: Callable[[], object]) -> None:
        super().__init__()
        self._dispatcher = dispatcher
        self._ran_out = ran_out
        self._call: IDelayedCall | None = None
        self.expires_at: float | None = None
        "When the subscription runs out unless it is refreshed, in seconds of the clock; None: not known."

    def stray(self, event: str) -> None:
        """See Machine."""
        self._dispatcher.stray(self, event)

    @property
    def left(self) -> float | None:
        """Seconds until it runs out, or None when that is not known."""
        if self.expires_at is None:
            return None
        return max(self.expires_at - self._dispatcher.timers.clock.seconds(), 0.0)

    def expire_in(self, seconds: float, grace: float = 0.0) -> None:
        """Run out in so many seconds, instead of what was said before; noticed `grace` seconds later."""
        self.expires_at = self._dispatcher.timers.clock.seconds() + seconds
        self._start(seconds + grace)

    def _start(self, seconds: float) -> None:
        self.stop()
        if self.state != TERMINATED:
            self._call = self._dispatcher.timers.later(seconds, self._due)

    def _due(self) -> None:
        self._call = None
        self._ran_out()

    def stop(self, _: object = None) -> None:
        """Run no timer any more."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()


class Subscription(Lifetime):
    """A subscription of ours."""

    __slots__ = ()

    INITIAL = INIT

    def notify_within(self, seconds: float) -> None:
        """Run out in so many seconds unless a NOTIFY comes before (Timer N)."""
        self._start(seconds)

    TABLE: ClassVar[Table] = {
        INIT: {
            "SUBSCRIBE": (NOTIFY_WAIT, None),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
        NOTIFY_WAIT: {
            "pending": (PENDING, None),
            "active": (ACTIVE, None),
            "terminated": (TERMINATED, Lifetime.stop),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
        PENDING: {
            "pending": (PENDING, None),
            "active": (ACTIVE, None),
            "terminated": (TERMINATED, Lifetime.stop),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
        ACTIVE: {
            "pending": (PENDING, None),
            "active": (ACTIVE, None),
            "terminated": (TERMINATED, Lifetime.stop),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
        TERMINATED: {
            # A NOTIFY that is challenged has said nothing yet (RFC 3261 §22.1).
            "CHALLENGED": (ACTIVE, None),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
    }


class Grant(Lifetime):
    """A subscription of a peer's, which we notify."""

    __slots__ = ()

    INITIAL = RESP_WAIT

    TABLE: ClassVar[Table] = {
        RESP_WAIT: {
            "pending": (PENDING, None),
            "active": (ACTIVE, None),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
        PENDING: {
            "pending": (PENDING, None),
            "active": (ACTIVE, None),
            "terminated": (TERMINATED, Lifetime.stop),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
        ACTIVE: {
            "pending": (PENDING, None),
            "active": (ACTIVE, None),
            "terminated": (TERMINATED, Lifetime.stop),
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
        TERMINATED: {
            "CLOSED": (TERMINATED, Lifetime.stop),
        },
    }
