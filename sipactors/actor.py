"""What every actor is made of: a machine that is one table, and a safe way to tell its observers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from twisted.logger import Logger

Action: TypeAlias = "Callable[[Any, Any], None] | None"
Table: TypeAlias = Mapping[str, Mapping[str, tuple[str, Action]]]

TERMINATED = "TERMINATED"

_NONE: tuple[tuple[str, Any], ...] = ()

log = Logger()


class Machine:
    """A state machine that is one table: `{STATE: {EVENT: (NEXT, action)}}`.

    `feed(event, argument)` sets the next state and then runs the action with the argument. It runs to
    completion: an event fed while an action runs waits its turn. An event that the state has no row
    for is normal in a network and ignored; `stray` hears of it.
    """

    __slots__ = ("_waiting", "state")

    INITIAL: ClassVar[str]
    "The state in which a new machine starts."
    TABLE: ClassVar[Table]
    "Every state with the events it knows; everything that changes the state is a row of it."

    def __init__(self) -> None:
        self.state = self.INITIAL
        self._waiting: tuple[tuple[str, Any], ...] | None = None

    def feed(self, event: str, argument: Any = None) -> None:
        """Take one event: to the next state first, then the row's action."""
        waiting = self._waiting
        if waiting is not None:
            self._waiting = (*waiting, (event, argument))
            return
        row = self.TABLE[self.state].get(event)
        if row is None:
            self.stray(event)
            return
        self.state, action = row
        if action is None:
            return
        self._waiting = _NONE
        try:
            action(self, argument)
            if self._waiting:
                self._catch_up()
        finally:
            self._waiting = None

    def _catch_up(self) -> None:
        # What these actions feed comes after what waited before.
        while self._waiting:
            (event, argument), *waiting = self._waiting
            self._waiting = tuple(waiting)
            row = self.TABLE[self.state].get(event)
            if row is None:
                self.stray(event)
                continue
            self.state, action = row
            if action is not None:
                action(self, argument)

    def stray(self, event: str) -> None:
        """Hear of an event that the state has no row for; nothing needs to be done."""


def tell(metrics: Any, method: Callable[..., Any], *arguments: Any) -> bool:
    """Call an observer's method; whatever it raises is logged and counted, and stops nothing.

    Gives whether it went through.
    """
    try:
        method(*arguments)
        return True
    except Exception:
        metrics.observer_errors += 1
        log.failure("an observer raised in {method}", method=getattr(method, "__qualname__", repr(method)))
        return False
