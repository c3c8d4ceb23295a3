"""The stepping clock: nothing that falls due is missed, and each call sees its own time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from zope.interface.verify import verifyObject

from sipactors.testing import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_provides_what_a_reactor_does(clock: Clock) -> None:
    verifyObject(IReactorTime, clock)
    verifyObject(IDelayedCall, clock.callLater(1, int))


def test_every_call_is_made_at_its_own_time(clock: Clock) -> None:
    """Timer A fires after T1, and the timer is doubled each time (RFC 3261 §17.1.1.2)."""
    fired: list[float] = []

    def resend(interval: float) -> None:
        fired.append(clock.seconds())
        clock.callLater(interval * 2, resend, interval * 2)

    clock.callLater(0.5, resend, 0.5)
    clock.advance(32)
    assert fired == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert clock.seconds() == 32


def test_calls_of_one_time_are_made_in_the_order_they_were_asked_for(clock: Clock) -> None:
    made: list[int] = []
    for number in range(20):
        clock.callLater(1, made.append, number)
    clock.advance(1)
    assert made == list(range(20))


def test_a_call_made_for_now_by_a_call_is_made_within_the_same_advance(clock: Clock) -> None:
    made: list[float] = []
    clock.callLater(1, lambda: clock.callLater(0, lambda: made.append(clock.seconds())))
    clock.advance(5)
    assert made == [1]


def test_ten_steps_of_a_tenth_reach_one_second(clock: Clock) -> None:
    made: list[float] = []
    clock.callLater(1.0, lambda: made.append(clock.seconds()))
    clock.pump([0.1] * 10)
    assert made == [1.0]
    assert clock.seconds() >= 1.0


def test_arguments_arrive(clock: Clock) -> None:
    seen: list[Any] = []
    clock.callLater(1, lambda *args, **kwargs: seen.append((args, kwargs)), 1, b=2)
    clock.advance(1)
    assert seen == [((1,), {"b": 2})]


def test_a_cancelled_call_is_not_made_and_lets_go_of_everything(clock: Clock) -> None:
    class Thing:
        pass

    import gc
    import weakref

    thing = Thing()
    gone = weakref.ref(thing)
    call = clock.callLater(1, repr, thing)
    del thing
    call.cancel()
    gc.collect()
    assert gone() is None
    assert not call.active()
    assert clock.next_due is None
    with pytest.raises(AlreadyCancelled):
        call.cancel()
    with pytest.raises(AlreadyCancelled):
        call.delay(1)


def test_a_call_that_was_made_cannot_be_changed(clock: Clock) -> None:
    call = clock.callLater(1, int)
    clock.advance(1)
    assert not call.active()
    for change in (call.cancel, lambda: call.reset(1), lambda: call.delay(1)):
        with pytest.raises(AlreadyCalled):
            change()


def test_delay_and_reset_move_a_call(clock: Clock) -> None:
    made: list[str] = []
    delayed = clock.callLater(1, made.append, "delayed")
    reset = clock.callLater(1, made.append, "reset")
    clock.advance(0.5)
    delayed.delay(2)
    reset.reset(1)
    assert (delayed.getTime(), reset.getTime()) == (3, 1.5)
    assert clock.getDelayedCalls() == [reset, delayed]
    clock.advance(1)
    assert made == ["reset"]
    clock.advance(1.5)
    assert made == ["reset", "delayed"]


def test_reset_may_bring_a_call_forward(clock: Clock) -> None:
    made: list[float] = []
    call = clock.callLater(10, lambda: made.append(clock.seconds()))
    call.reset(1)
    clock.advance(20)
    assert made == [1]


def test_the_past_is_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="past"):
        clock.callLater(-1, int)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance_to_idle(-1)


def test_an_error_comes_out_and_the_clock_can_go_on(clock: Clock) -> None:
    made: list[float] = []
    clock.callLater(1, lambda: 1 / 0)
    clock.callLater(1, lambda: made.append(clock.seconds()))
    with pytest.raises(ZeroDivisionError):
        clock.advance(5)
    assert clock.seconds() == 1
    assert made == []
    clock.advance(4)
    assert made == [1]
    assert clock.seconds() == 5


def test_idle_is_reached_at_the_last_call(clock: Clock) -> None:
    clock.callLater(3, int)
    assert clock.next_due == 3
    assert clock.advance_to_idle(100)
    assert clock.seconds() == 3
    assert clock.next_due is None


def test_idle_is_not_reached_while_something_repeats(clock: Clock) -> None:
    loop = LoopingCall(int)
    loop.clock = clock
    loop.start(1)
    assert not clock.advance_to_idle(10)
    assert clock.seconds() == 10
    loop.stop()
    assert clock.advance_to_idle(10)


def test_time_that_stands_still_is_noticed(clock: Clock) -> None:
    clock.calls_at_once = 1000

    def again() -> None:
        clock.callLater(0, again)

    again()
    with pytest.raises(RuntimeError, match="stands still"):
        clock.advance(1)


def test_twisteds_own_helpers_run_on_it(clock: Clock) -> None:
    done: list[str] = []
    deferLater(clock, 2, lambda: "done").addCallback(done.append)
    clock.advance(2)
    assert done == ["done"]


def test_a_hundred_thousand_cancelled_calls_leave_nothing(clock: Clock) -> None:
    keep = clock.callLater(1, int)
    for _ in range(100_000):
        clock.callLater(32, int).cancel()
    assert len(clock._heap) < 5000
    assert clock.getDelayedCalls() == [keep]


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(["keep", "cancel", "delay", "reset"])), max_size=60
    )
)
def test_any_mixture_runs_in_the_order_of_due_times(mixture: list[tuple[int, str]]) -> None:
    clock = Clock()
    made: list[float] = []
    due: list[float] = []
    for delay, what in mixture:
        call = clock.callLater(delay, lambda: made.append(clock.seconds()))
        if what == "cancel":
            call.cancel()
        elif what == "delay":
            call.delay(7)
        elif what == "reset":
            call.reset(3)
        if what != "cancel":
            due.append(call.getTime())
    clock.pump([3, 0, 4, 100])
    assert made == sorted(due)
    assert clock.next_due is None
