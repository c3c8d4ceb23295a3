"""The timer lanes: one queue for each duration on an injected clock, cheap to start and to cancel."""

from __future__ import annotations

from typing import Any, ClassVar

from sipactors.actor import Machine, Table
from sipactors.testing import Clock
from sipactors.timers import MAX_EXPIRIES, MAX_LANES, Timers


class Bell(Machine):
    """Notes when it rings."""

    INITIAL = "UP"

    def __init__(self, clock: Clock, then: Any = None) -> None:
        super().__init__()
        self.clock = clock
        self.rung: list[tuple[str, float]] = []
        self.then = then

    def _ring(self, _: object) -> None:
        self.rung.append(("ring", self.clock.seconds()))
        if self.then is not None:
            self.then()

    TABLE: ClassVar[Table] = {"UP": {"ring": ("UP", _ring)}}


def test_a_timer_fires_at_its_time_and_once() -> None:
    """start(seconds, machine, event) feeds the event in so many seconds."""
    clock = Clock()
    timers, bell = Timers(clock), Bell(clock)
    for at, seconds in ((0.0, 4.0), (1.0, 0.5), (1.0, 4.0), (2.0, 0.5)):
        clock.advance(at - clock.seconds())
        timers.start(seconds, bell, "ring")
    assert len(timers) == 3, "that of 1.0 + 0.5 has rung"
    clock.advance(100)
    assert [time for _, time in bell.rung] == [1.5, 2.5, 4.0, 5.0]
    assert len(timers) == 0
    assert clock.getDelayedCalls() == []


def test_a_cancelled_timer_never_fires() -> None:
    """cancel() is no error when the timer has fired or was cancelled before."""
    clock = Clock()
    timers, bell = Timers(clock), Bell(clock)
    kept, gone = timers.start(1, bell, "ring"), timers.start(1, bell, "ring")
    gone.cancel()
    assert len(timers) == 1
    clock.advance(2)
    gone.cancel()
    kept.cancel()
    assert len(bell.rung) == 1
    assert clock.getDelayedCalls() == []


def test_cancelling_the_first_does_not_hold_up_the_second() -> None:
    """The lane goes on with the next one that is due."""
    clock = Clock()
    timers, bell = Timers(clock), Bell(clock)
    first = timers.start(1, bell, "ring")
    clock.advance(0.5)
    timers.start(1, bell, "ring")
    first.cancel()
    clock.advance(5)
    assert bell.rung == [("ring", 1.5)]


def test_a_timer_may_start_another_of_its_own_lane() -> None:
    """Timer E starts itself again with T2."""
    clock = Clock()
    timers = Timers(clock)
    bell = Bell(clock, lambda: timers.start(0.5, bell, "ring") if len(bell.rung) < 3 else None)
    timers.start(0.5, bell, "ring")
    clock.advance(10)
    assert [time for _, time in bell.rung] == [0.5, 1.0, 1.5]
    assert len(timers) == 0


def test_a_machine_that_raises_does_not_stop_its_lane() -> None:
    """A bug of one actor is logged, and the others have their timers all the same."""
    clock = Clock()
    timers = Timers(clock)

    def fail() -> None:
        raise ZeroDivisionError

    broken, bell = Bell(clock, fail), Bell(clock)
    timers.start(1, broken, "ring")
    timers.start(1, bell, "ring")
    clock.advance(1)
    assert (len(broken.rung), len(bell.rung)) == (1, 1)


def test_a_burst_gives_the_network_a_turn_in_between() -> None:
    """At most MAX_EXPIRIES timers of a lane run in one turn of the reactor."""
    clock = Clock()
    timers, bell = Timers(clock), Bell(clock)
    for _ in range(3 * MAX_EXPIRIES):
        timers.start(1, bell, "ring")
    seen: list[int] = []
    clock.advance(0.5)
    clock.callLater(0.5, lambda: seen.append(len(bell.rung)))
    clock.advance(0.5)
    assert seen == [MAX_EXPIRIES]
    assert len(bell.rung) == 3 * MAX_EXPIRIES


def test_one_call_of_the_clock_serves_a_whole_lane() -> None:
    """A lane costs the reactor one delayed call, however many timers run."""
    clock = Clock()
    timers, bell = Timers(clock), Bell(clock)
    for _ in range(1000):
        timers.start(32, bell, "ring")
    assert len(clock.getDelayedCalls()) == 1


def test_more_durations_than_lanes_work_as_well() -> None:
    """A further duration is a plain call of the clock: counted, fired and stopped like the others."""
    clock = Clock()
    timers, bell = Timers(clock), Bell(clock)
    for number in range(MAX_LANES + 20):
        timers.start(1 + number / 100, bell, "ring")
    assert len(timers) == MAX_LANES + 20
    clock.advance(1.5)
    assert len(bell.rung) == 51
    assert len(timers) == MAX_LANES + 20 - 51
    timers.stop()
    assert len(timers) == 0
    clock.advance(10)
    assert len(bell.rung) == 51
    assert clock.getDelayedCalls() == []


def test_after_stop_nothing_fires_and_starting_works_again() -> None:
    """stop() forgets all timers; whoever starts one afterwards gets it."""
    clock = Clock()
    timers, bell = Timers(clock), Bell(clock)
    lane = timers.lane(1)
    lane.start(bell, "ring")
    timers.start(2, bell, "ring")
    timers.stop()
    clock.advance(5)
    assert bell.rung == []
    timers.start(1, bell, "ring")
    lane.start(bell, "ring")
    clock.advance(5)
    assert len(bell.rung) == 2


def test_later_is_the_clocks_own_call() -> None:
    """later(seconds, function, …) serves the few long times: an expiry, a back-off."""
    clock = Clock()
    timers = Timers(clock)
    seen: list[int] = []
    call = timers.later(10, seen.append, 1)
    timers.later(5, seen.append, 2)
    call.cancel()
    clock.advance(20)
    assert seen == [2]
