"""Things that happen once and that several may wait for, and functions of the application's, async or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed

T = TypeVar("T")


class Once(Generic[T]):
    """Something that happens once, or fails: whoever asks, before or after, gets a Deferred of it."""

    __slots__ = ("_error", "_value", "_waiting", "done")

    def __init__(self) -> None:
        self.done = False
        "True once it has happened or failed."
        self._value: Any = None
        self._error: Exception | None = None
        self._waiting: list[Deferred[T]] = []

    def wait(self, canceled: Callable[[], object] | None = None) -> Deferred[T]:
        """A Deferred of it; cancelling that one calls `canceled`."""
        if self.done:
            return succeed(self._value) if self._error is None else fail(self._error)

        def cancel(deferred: Deferred[T]) -> None:
            if deferred in self._waiting:
                self._waiting.remove(deferred)
            if canceled is not None:
                canceled()

        deferred: Deferred[T] = Deferred(cancel)
        self._waiting.append(deferred)
        return deferred

    def fire(self, value: T) -> None:
        """It has happened; nothing when it was over already."""
        if not self.done:
            self.done, self._value = True, value
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(value)

    def fail(self, error: Exception) -> None:
        """It will not happen; nothing when it was over already."""
        if not self.done:
            self.done, self._error = True, error
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.errback(error)


def run(function: Callable[..., object], *arguments: Any) -> Deferred[Any]:
    """Call a function of the application's, which may be a coroutine's, or give a Deferred or a Future."""
    return maybeDeferred(_call, function, *arguments)


def _call(function: Callable[..., object], *arguments: Any) -> Any:
    result = function(*arguments)
    return Deferred.fromFuture(result) if asyncio.isfuture(result) else result
