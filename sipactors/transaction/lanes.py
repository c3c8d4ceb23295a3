"""The timer lanes that all transactions of one access point share, with the durations of its timing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipactors.settings import Timing
    from sipactors.timers import Timers

# RFC 3261 §17.1.1.2: Timers B, F, H and, with RFC 6026, L and M are 64*T1.
GIVE_UP = 64


class Lanes:
    """One lane for each duration that RFC 3261 §17 names."""

    __slots__ = ("first_100", "give_up", "t1", "t2", "t4", "timer_d", "timer_expired", "trying")

    def __init__(self, timers: Timers, timing: Timing) -> None:
        self.t1 = timers.lane(timing.t1)
        self.t2 = timers.lane(timing.t2)
        self.t4 = timers.lane(timing.t4)
        self.give_up = timers.lane(GIVE_UP * timing.t1)
        self.timer_d = timers.lane(timing.timer_d)
        self.trying = timers.lane(timing.trying)
        silent = silence_before_100(timing)
        self.first_100 = timers.lane(silent)
        self.timer_expired = timers.lane(max(GIVE_UP * timing.t1 - silent, 0.0))


def silence_before_100(timing: Timing) -> float:
    """Seconds after which a non-INVITE request may be answered 100 over UDP."""
    # RFC 4320 §4.1: not "before the amount of time it takes a client transaction's Timer E to be
    # reset to T2", which is 3.5 s with the default T1 and T2.
    elapsed = 0.0
    interval = timing.t1
    while interval < timing.t2:
        elapsed += interval
        interval *= 2
    return elapsed
