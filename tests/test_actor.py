"""The table machine: one row for everything that changes the state, run to completion, never an exception."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from sipactors.actor import TERMINATED, Machine, Table, tell
from sipactors.metrics import Metrics


class Lamp(Machine):
    """OFF ---press--> ON ---press--> OFF; blow ends it."""

    INITIAL = "OFF"

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self.strays: list[str] = []

    def _note(self, argument: Any) -> None:
        self.seen.append((self.state, argument))

    def _twice(self, argument: Any) -> None:
        self.feed("press", "inner 1")
        self.feed("blow", "inner 2")
        self.feed("press", "inner 3")
        self.seen.append((self.state, argument))

    def _fail(self, argument: Any) -> None:
        self.feed("press", "lost")
        raise ZeroDivisionError

    def stray(self, event: str) -> None:
        self.strays.append(f"{event} in {self.state}")

    TABLE: ClassVar[Table] = {
        "OFF": {
            "press": ("ON", _note),
            "twice": ("ON", _twice),
            "fail": ("ON", _fail),
            "still": ("ON", None),
        },
        "ON": {"press": ("OFF", _note), "blow": (TERMINATED, _note)},
        TERMINATED: {},
    }


def test_the_next_state_is_there_before_the_action_runs() -> None:
    """`feed` sets the next state, then runs the action: observers are told when all is final."""
    lamp = Lamp()
    assert lamp.state == "OFF"
    lamp.feed("press", 1)
    lamp.feed("press")
    assert lamp.seen == [("ON", 1), ("OFF", None)]


def test_a_row_without_an_action_only_changes_the_state() -> None:
    """A row may have nothing to do."""
    lamp = Lamp()
    lamp.feed("still", 1)
    assert (lamp.state, lamp.seen) == ("ON", [])


def test_an_event_that_is_fed_meanwhile_waits_its_turn() -> None:
    """Run to completion: events fed by an action come after it, in their order."""
    lamp = Lamp()
    lamp.feed("twice", "outer")
    assert lamp.seen == [("ON", "outer"), ("OFF", "inner 1"), ("ON", "inner 3")]
    assert lamp.strays == ["blow in OFF"]


def test_a_stray_event_is_normal() -> None:
    """An event that the state has no row for is ignored, and `stray` hears of it."""
    lamp = Lamp()
    lamp.feed("blow")
    lamp.feed("press")
    lamp.feed("blow", "end")
    lamp.feed("press")
    assert lamp.strays == ["blow in OFF", f"press in {TERMINATED}"]
    assert lamp.seen[-1] == (TERMINATED, "end")


def test_a_machine_whose_action_raised_goes_on() -> None:
    """What an action raises comes out of `feed`; the next event is taken as if nothing had happened."""
    lamp = Lamp()
    with pytest.raises(ZeroDivisionError):
        lamp.feed("fail")
    assert lamp.state == "ON"
    lamp.feed("press", "next")
    assert lamp.seen == [("OFF", "next")]


def test_a_hundred_thousand_events_need_no_deep_stack() -> None:
    """An event fed inside an action is queued, not called: no recursion however long the chain."""

    class Chain(Machine):
        INITIAL = "GOING"

        def _go(self, left: int) -> None:
            if left:
                self.feed("go", left - 1)

        TABLE: ClassVar[Table] = {"GOING": {"go": ("GOING", _go)}}

    Chain().feed("go", 100_000)


def test_a_machine_without_a_stray_of_its_own_ignores_in_silence() -> None:
    """The base class does nothing about strays."""

    class Plain(Machine):
        INITIAL = "ONE"
        TABLE: ClassVar[Table] = {"ONE": {}}

    machine = Plain()
    machine.feed("anything")
    assert machine.state == "ONE"


def test_an_observers_exception_stops_nothing() -> None:
    """An observer's exception is logged, counted and contained."""
    metrics = Metrics()
    told: list[Any] = []

    def broken(*arguments: Any) -> None:
        told.append(arguments)
        raise ValueError

    tell(metrics, broken, 1, 2)
    tell(metrics, told.append, 3)
    assert told == [(1, 2), 3]
    assert metrics.observer_errors == 1
    assert metrics.snapshot()["observer_errors"] == 1


def test_what_must_not_be_contained_is_not() -> None:
    """KeyboardInterrupt and SystemExit are nobody's bug."""

    def stop() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        tell(Metrics(), stop)
