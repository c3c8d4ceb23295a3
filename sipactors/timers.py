"""SIP's timers on an injected clock: one first-in-first-out lane for each duration."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from sipactors.actor import Machine

log = Logger()

MAX_LANES = 64
"Durations that get a lane of their own; a further one is a plain callLater."
MAX_EXPIRIES = 500
"Timers that one turn of the reactor runs in a lane, so that a burst does not hold up the network."


class Timer:
    """A running timer; it feeds its event to its machine when it is due, unless it is cancelled."""

    __slots__ = ("due", "event", "machine")

    def __init__(self, due: float, machine: Machine, event: str) -> None:
        self.due = due
        self.machine: Machine | None = machine
        self.event = event

    def cancel(self) -> None:
        """Never fire; no error when it has fired or was cancelled before."""
        self.machine = None


class Lane:
    """All timers of one duration: the first that was started is the first that is due."""

    __slots__ = ("__weakref__", "_call", "_clock", "_seconds", "_timers")

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._timers: deque[Timer] = deque()
        self._call: IDelayedCall | None = None

    def __len__(self) -> int:
        return sum(timer.machine is not None for timer in self._timers)

    def start(self, machine: Machine, event: str) -> Timer:
        """Feed `event` to `machine` after this lane's duration."""
        timer = Timer(self._clock.seconds() + self._seconds, machine, event)
        self._timers.append(timer)
        if self._call is None:
            self._call = self._clock.callLater(self._seconds, self._run)
        return timer

    def stop(self) -> None:
        """Forget every timer of the lane."""
        for timer in self._timers:
            timer.machine = None
        self._timers.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _run(self) -> None:
        self._call = None
        timers = self._timers
        now = self._clock.seconds()
        left = MAX_EXPIRIES
        while timers:
            timer = timers[0]
            machine = timer.machine
            if machine is not None:
                if timer.due > now or not left:
                    break
                left -= 1
                timer.machine = None
                timers.popleft()
                try:
                    machine.feed(timer.event)
                except Exception:
                    log.failure("{event} of {machine!r} failed", event=timer.event, machine=machine)
            else:
                timers.popleft()
        if timers and self._call is None:
            self._call = self._clock.callLater(max(timers[0].due - now, 0.0), self._run)


class Timers:
    """The timers of one stack: about ten durations with a lane each; long ones go to the clock itself."""

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._lanes: dict[float, Lane] = {}
        # A lane of a rare duration lives for as long as the clock has a call for it.
        self._rare: WeakSet[Lane] = WeakSet()

    def __len__(self) -> int:
        return sum(map(len, [*self._lanes.values(), *self._rare]))

    def lane(self, seconds: float) -> Lane:
        """The lane of one duration; a user of the same duration shares it."""
        lane = self._lanes.get(seconds)
        if lane is None:
            lane = Lane(self.clock, seconds)
            if len(self._lanes) < MAX_LANES:
                self._lanes[seconds] = lane
            else:
                self._rare.add(lane)
        return lane

    def start(self, seconds: float, machine: Machine, event: str) -> Timer:
        """Feed `event` to `machine` in so many seconds, unless the timer is cancelled before."""
        lane = self._lanes.get(seconds)
        if lane is None:
            lane = self.lane(seconds)
        return lane.start(machine, event)

    def later(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> IDelayedCall:
        """Call a function after one of the few long times: an expiry, a back-off."""
        return self.clock.callLater(seconds, function, *arguments)

    def stop(self) -> None:
        """Forget all timers: nothing fires any more."""
        for lane in [*self._lanes.values(), *self._rare]:
            lane.stop()
        self._lanes.clear()
