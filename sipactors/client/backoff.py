"""When to try a failed registration again: later each time, never all at once, elsewhere in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.errors import (
    ICMPFailure,
    OutboundProxyNotResponding,
    ResolvingFailure,
    SIPError,
    TransactionTimeout,
    TransportFailure,
)

if TYPE_CHECKING:
    from sipactors.dice import Dice
    from sipactors.locating import Target
    from sipactors.message import Response

FIRST_WAIT = 30.0
"Seconds of the first waiting time, before the dice."
LONGEST_WAIT = 1800.0
"Seconds of the longest."
TRIES = 9
"Failures at one address before the next one is tried."
LONGEST_RETRY_AFTER = 86400.0
"Seconds of Retry-After that are obeyed at most: a stranger must not silence us for ever."

PASSING_ERRORS = (
    TransactionTimeout,
    TransportFailure,
    ICMPFailure,
    ResolvingFailure,
    OutboundProxyNotResponding,
)
PASSING_STATUSES = frozenset((408, 480, 500, 502, 503, 504))
"Failures that may be over when the same request is sent later (RFC 3261 §21.4, §21.5)."


def passes(failure: SIPError | Response) -> bool:
    """Whether the same request may succeed later: the network's failures, a busy server's, Retry-After."""
    if isinstance(failure, SIPError):
        return isinstance(failure, PASSING_ERRORS)
    return failure.status in PASSING_STATUSES or retry_after(failure) is not None


def retry_after(response: Response) -> float | None:
    """The seconds of a readable Retry-After (RFC 3261 §20.33), at most a day; else None."""
    text = (response.get("Retry-After") or "").split(";", 1)[0].split("(", 1)[0].strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    return min(float(text), LONGEST_RETRY_AFTER)


class Backoff:
    """The waiting times of one registration: min(30 * 2**n, 1800) s, of which the dice leave 50 to 99 %."""

    __slots__ = ("_dice", "_failures", "_target", "_tries")

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._failures = 0
        self._target: Target | None = None
        self._tries = 0

    def succeeded(self) -> None:
        """It worked: the next failure is a first one."""
        self._failures = self._tries = 0
        self._target = None

    def failed(self, target: Target | None, asked: float | None = None) -> float:
        """The request failed at this target: gives the seconds to wait; `asked` is what Retry-After says."""
        if target != self._target:
            self._target = target
            self._tries = 0
        self._tries += 1
        wait: float = min(FIRST_WAIT * 2 ** min(self._failures, 10), LONGEST_WAIT)
        self._failures += 1
        wait *= self._dice.uniform(0.5, 0.99)
        return wait if asked is None else max(wait, asked)

    @property
    def exhausted(self) -> Target | None:
        """The target that failed so often in a row that the next one is to be tried; else None."""
        return self._target if self._tries >= TRIES else None
