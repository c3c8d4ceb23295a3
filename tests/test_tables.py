"""Every machine is one table: each state can be reached, and each has a way to TERMINATED."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from everything import classes
from sipactors.actor import TERMINATED, Machine

MACHINES = [cls for cls in classes() if issubclass(cls, Machine) and "TABLE" in vars(cls)]


def reached(start: str, steps: Mapping[str, set[str]]) -> set[str]:
    """Every state that some path of steps leads to."""
    found = {start}
    left = [start]
    while left:
        for state in steps.get(left.pop(), set()) - found:
            found.add(state)
            left.append(state)
    return found


def faults(machine: type[Machine]) -> Iterator[str]:
    """What is wrong with the table of one machine."""
    table: Mapping[str, Mapping[str, tuple[str, Any]]] = machine.TABLE
    forwards: dict[str, set[str]] = {state: set() for state in table}
    backwards: dict[str, set[str]] = {state: set() for state in table}
    if machine.INITIAL not in table:
        yield f"the initial state {machine.INITIAL} has no line"
    if TERMINATED not in table:
        yield "TERMINATED has no line"
    for state, rows in table.items():
        for event, (following, action) in rows.items():
            if following not in table:
                yield f"{state}, {event}: {following} is no state"
                continue
            if action is not None and not callable(action):
                yield f"{state}, {event}: {action!r} is no action"
            forwards[state].add(following)
            backwards[following].add(state)
    for state in table.keys() - reached(machine.INITIAL, forwards):
        yield f"{state} is never reached"
    for state in table.keys() - reached(TERMINATED, backwards):
        yield f"{state} has no way to TERMINATED"


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__qualname__)
def test_each_state_is_reached_and_has_a_way_to_its_end(machine: type[Machine]) -> None:
    """Each state of a machine is reachable from the initial one, and each has a way to TERMINATED."""
    assert not list(faults(machine))


def test_a_broken_table_is_found() -> None:
    """States nobody reaches, without an end or not there, and an action that is none: all found."""

    class Broken(Machine):
        INITIAL = "CALLING"
        TABLE = {
            "CALLING": {
                "response": ("PROCEEDING", None),
                "timer_b": ("GONE", None),
                "timer_a": ("CALLING", 1),
            },
            "PROCEEDING": {"response": ("PROCEEDING", None)},
            "COMPLETED": {"timer_d": ("TERMINATED", None)},
            "TERMINATED": {},
        }

    assert set(faults(Broken)) == {
        "CALLING, timer_b: GONE is no state",
        "CALLING, timer_a: 1 is no action",
        "COMPLETED is never reached",
        "TERMINATED is never reached",
        "CALLING has no way to TERMINATED",
        "PROCEEDING has no way to TERMINATED",
    }
