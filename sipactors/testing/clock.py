"""A clock that stands still until a test advances it, and then steps through every due time in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

_WAITING, _CALLED, _CANCELLED = range(3)

_TOLERANCE = 1e-9
"Ten steps of 0.1 s reach a call that is due after 1 s, whatever the sum of ten floats is."

_Entry = tuple[float, int, "DelayedCall"]


def _nothing() -> None:
    """What a delayed call holds in place of its function once it needs it no more."""


@implementer(IDelayedCall)
class DelayedCall:
    """One call that a `Clock` will make; see twisted.internet.interfaces.IDelayedCall."""

    __slots__ = ("_args", "_clock", "_function", "_kwargs", "_number", "_state", "_time")

    def __init__(
        self,
        clock: Clock,
        time: float,
        number: int,
        function: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> None:
        self._clock = clock
        self._time = time
        self._number = number
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._state = _WAITING

    def getTime(self) -> float:
        """When the call is due, in seconds of the clock."""
        return self._time

    def cancel(self) -> None:
        """Never make the call. Raises AlreadyCalled or AlreadyCancelled when it is too late for that."""
        self._check()
        self._state = _CANCELLED
        # Its place in the heap stays until its time has come; what it refers to goes now.
        self._number = -1
        self._function = _nothing
        self._args = ()
        self._kwargs = None
        self._clock._entry_abandoned()

    def reset(self, secondsFromNow: float) -> None:
        """Make the call `secondsFromNow` seconds from now instead."""
        self._check()
        self._clock._move(self, self._clock.seconds() + secondsFromNow)

    def delay(self, secondsLater: float) -> None:
        """Make the call `secondsLater` seconds later than it was due."""
        self._check()
        self._clock._move(self, self._time + secondsLater)

    def active(self) -> bool:
        """True while the call still waits."""
        return self._state == _WAITING

    def _check(self) -> None:
        if self._state == _CALLED:
            raise AlreadyCalled
        if self._state == _CANCELLED:
            raise AlreadyCancelled

    def __repr__(self) -> str:
        state = ("waiting", "called", "cancelled")[self._state]
        name = getattr(self._function, "__qualname__", repr(self._function))
        return f"<DelayedCall {name} at {self._time:g} s, {state}>"


@implementer(IReactorTime)
class Clock:
    """A reactor's time for tests: it moves only when told, and misses nothing on its way.

    `advance(32)` makes each call that falls due at the very time it is due at, calls that were made
    meanwhile included, in the order of their times, those of one time in the order they were made in.
    An exception of a call comes out of `advance`: the clock then stands at that call's time, and
    advancing again goes on with the next.
    """

    calls_at_once = 1_000_000
    "How many calls may follow each other without time moving on, before `advance` raises RuntimeError."

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._heap: list[_Entry] = []
        self._number = 0
        self._abandoned = 0

    def __repr__(self) -> str:
        return f"<Clock at {self._now:g} s, {len(self._heap) - self._abandoned} calls waiting>"

    def seconds(self) -> float:
        """The time now, in seconds since the clock's start (plus `start`)."""
        return self._now

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> DelayedCall:
        """Call `callable` in `delay` seconds; see IReactorTime."""
        if delay < 0:
            raise ValueError(f"{delay} is in the past")
        self._number = number = self._number + 1
        time = self._now + delay
        call = DelayedCall(self, time, number, callable, args, kwargs or None)
        heapq.heappush(self._heap, (time, number, call))
        return call

    def getDelayedCalls(self) -> Sequence[DelayedCall]:
        """Every call that still waits, the next one first."""
        return [call for _, number, call in sorted(self._heap, key=_order) if call._number == number]

    @property
    def next_due(self) -> float | None:
        """The time of the next call, in seconds of this clock; None when nothing waits."""
        heap = self._heap
        while heap and heap[0][2]._number != heap[0][1]:
            heapq.heappop(heap)
            self._abandoned -= 1
        return heap[0][0] if heap else None

    def advance(self, amount: float) -> None:
        """Let `amount` seconds pass. Raises what a call raises, and ValueError for negative amounts."""
        if amount < 0:
            raise ValueError(f"time does not run backwards: {amount}")
        until = self._now + amount
        self._run(until)
        if self._now < until:
            self._now = until

    def advance_to_idle(self, limit: float) -> bool:
        """Let time pass until no call waits, for at most `limit` seconds; True when none is left.

        The clock then stands at the last call's time; when calls still wait, `limit` seconds later.
        """
        if limit < 0:
            raise ValueError(f"time does not run backwards: {limit}")
        until = self._now + limit
        self._run(until)
        if self.next_due is None:
            return True
        if self._now < until:
            self._now = until
        return False

    def pump(self, timings: Iterable[float]) -> None:
        """Advance by each of `timings` in turn."""
        for amount in timings:
            self.advance(amount)

    def _run(self, until: float) -> None:
        """Make every call due by `until`, each at its own time."""
        heap = self._heap
        pop = heapq.heappop
        until += _TOLERANCE
        patience = self.calls_at_once
        while heap and heap[0][0] <= until:
            time, number, call = pop(heap)
            if call._number != number:
                self._abandoned -= 1
                continue
            if time > self._now:
                self._now = time
                patience = self.calls_at_once
            else:
                patience -= 1
                if not patience:
                    heapq.heappush(heap, (time, number, call))
                    raise RuntimeError(f"time stands still at {time} s: {call!r} and others repeat for ever")
            function, args, kwargs = call._function, call._args, call._kwargs
            call._number = -1
            call._state = _CALLED
            call._function, call._args, call._kwargs = _nothing, (), None
            if kwargs is None:
                function(*args)
            else:
                function(*args, **kwargs)

    def _move(self, call: DelayedCall, time: float) -> None:
        """Give a waiting call another time."""
        self._number = call._number = self._number + 1
        call._time = time
        heapq.heappush(self._heap, (time, call._number, call))
        self._entry_abandoned()

    def _entry_abandoned(self) -> None:
        """An entry of the heap serves nobody any more; when most are like that, tidy up."""
        self._abandoned += 1
        heap = self._heap
        if self._abandoned > 1000 and self._abandoned * 2 > len(heap):
            # In place: _run holds on to this list.
            heap[:] = [entry for entry in heap if entry[2]._number == entry[1]]
            heapq.heapify(heap)
            self._abandoned = 0


def _order(entry: _Entry) -> tuple[float, int]:
    return entry[0], entry[1]
