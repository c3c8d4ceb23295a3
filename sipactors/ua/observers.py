"""Observers of calls and subscriptions that do nothing, and how a call ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.interfaces import ICallObserver, ISubscriptionObserver

if TYPE_CHECKING:
    from collections.abc import Callable

    from sipactors.errors import SIPError


@dataclass(slots=True)
class Ending:
    """How a call ended."""

    by_peer: bool
    "True when the peer hung up, canceled or refused it."
    status: int | None = None
    "The final status of the INVITE when it was not answered, else None."
    reason: str = ""
    "In words: the reason phrase, or what Reason said (RFC 3326)."
    error: SIPError | None = None
    "What went wrong, if anything did."


@implementer(ICallObserver)
class CallObserver:
    """An observer of calls that does nothing: derive from it and override what you want to hear."""

    def progressed(self, call: Any, response: Any) -> None:
        """See ICallObserver."""

    def answered(self, call: Any) -> None:
        """See ICallObserver."""

    def changed(self, call: Any) -> None:
        """See ICallObserver."""

    def digit_received(self, call: Any, digit: str) -> None:
        """See ICallObserver."""

    def transferred(self, call: Any, other: Any) -> None:
        """See ICallObserver."""

    def replaced(self, call: Any, other: Any) -> None:
        """See ICallObserver."""

    def ended(self, call: Any, ending: Any) -> None:
        """See ICallObserver."""


@implementer(ISubscriptionObserver)
class SubscriptionObserver:
    """An observer that calls a function with each state, or does nothing; derive from it for more."""

    def __init__(self, function: Callable[[Any], object] | None = None) -> None:
        self._function = function

    def state_received(self, subscription: Any, value: Any) -> None:
        """See ISubscriptionObserver."""
        if self._function is not None:
            self._function(value)

    def subscription_ended(self, subscription: Any, error: Any) -> None:
        """See ISubscriptionObserver."""
