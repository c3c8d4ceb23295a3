"""Waiting for several endings at once, but no longer than a deadline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed


def within(endings: list[Deferred[Any]], seconds: float, later: Callable[..., Any]) -> Deferred[Any]:
    """A Deferred of all of them, or of the deadline, whichever comes first."""
    if not endings:
        return succeed(None)
    done: Deferred[None] = Deferred()
    deadline = later(seconds, done.callback, None)

    def all_ended(_: object) -> None:
        if not done.called:
            deadline.cancel()
            done.callback(None)

    DeferredList(endings, consumeErrors=True).addCallback(all_ended)
    return done
