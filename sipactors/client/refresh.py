"""A refresh: the clock of whatever must be renewed at a peer before the peer forgets it.

    INACTIVE ---first 2xx--> ACTIVE ---0 granted, 300-699, an error, or the end--> TERMINATED

It knows when, its owner (a registration, a subscription, a stand-alone request) knows what to send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from zope.interface import implementer

from sipactors.actor import TERMINATED, Machine, Table
from sipactors.errors import (
    AlreadyExists,
    ArgumentError,
    InvalidTransactionState,
    MalformedMessage,
    ResourceNotAvailable,
    SIPError,
)
from sipactors.interfaces import IRefresh, IRefreshOwner

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from sipactors.client.transactions import ClientTransaction
    from sipactors.message import MessageElements

INACTIVE = "INACTIVE"
ACTIVE = "ACTIVE"

DEFAULT_EXPIRES = 3600.0
"What counts when neither the request nor its 2xx says how long, in seconds (RFC 3261 §10.2.1.1)."
EARLY = 600.0
"Seconds before its end that something long is refreshed."
LONG = 1200.0
"Seconds above which an expiry is long; half of a shorter one is waited for."


class StandAlone(Protocol):
    """A request of its own, which a refresh updates and ends for the application."""

    def update(self, elements: MessageElements | None) -> ClientTransaction:
        """See Refresh.update."""

    def terminate(self, elements: MessageElements | None) -> ClientTransaction:
        """See Refresh.terminate."""

    def close(self) -> None:
        """Send nothing more, tell nothing more."""


@implementer(IRefresh)
class Refresh(Machine):
    """Keeps a registration, a subscription, a publication or any other request alive; given once.

    It fires 600 s before the granted expiry when that is over 1200 s, else after half of it; `interval`,
    in seconds, is used instead where the grant is longer than that. Its own 2xx are silent. When it
    ends, the observer is told, and `transaction.response` is the response that ended it, if one did.
    """

    INITIAL = INACTIVE

    def __init__(self, interval: float | None = None) -> None:
        """Raises ArgumentError for an interval that is not above 0."""
        super().__init__()
        if interval is not None and not interval > 0:
            raise ArgumentError(f"an interval is a number of seconds above 0, not {interval!r}")
        self.interval = interval
        "Seconds between two refreshes, or None: by what is granted."
        self.transaction: ClientTransaction | None = None
        "The last request that the refresh sent, or that ended it."
        self.error: SIPError | None = None
        "Why it is TERMINATED, if not at the application's wish."
        self.granted_seconds: float | None = None
        "What the last 2xx granted, cut to what was asked for."
        self._owner: IRefreshOwner | None = None
        self._alone: StandAlone | None = None
        self._call: IDelayedCall | None = None

    def __repr__(self) -> str:
        return f"<Refresh {self.state}>"

    def stray(self, event: str) -> None:
        """See Machine."""
        if self._owner is not None:
            self._owner.host.dispatcher.stray(self, event)

    @property
    def challenges(self) -> tuple[str, ...]:
        """The realms that its request waits for credentials of; `Digest.set_credentials` gives them."""
        return () if self.transaction is None else self.transaction.challenges

    @property
    def due_in(self) -> float | None:
        """Seconds until the next request goes; None when none is planned."""
        call, owner = self._call, self._owner
        if call is None or owner is None or not call.active():
            return None
        now = cast("float", owner.host.dispatcher.timers.clock.seconds())
        return max(call.getTime() - now, 0.0)

    # ------------------------------------------------------------------ what its owner calls

    def check_free(self) -> None:
        """Raise AlreadyExists when the refresh has been given to somebody, or has ended."""
        if self._owner is not None or self.state != INACTIVE:
            raise AlreadyExists("a refresh is given once: make another one")

    def bind(self, owner: IRefreshOwner, *, alone: StandAlone | None = None) -> None:
        """See IRefresh. With `alone` the application updates and ends it by this object."""
        self.check_free()
        self._owner = owner
        self._alone = alone

    def granted(self, requested: float | None, granted: float | None) -> float:
        """See IRefresh."""
        if granted is not None and granted <= 0:
            error = MalformedMessage(400, "Expires: a 2xx that grants no time")
            self.end(error)
            if self._owner is not None:
                self._owner.refresh_failed(error)
            return 0.0
        # RFC 3261 §10.2.1.1, RFC 6665 §4.1.2.1: a peer may shorten what was asked for, never lengthen it.
        seconds = granted if granted is not None else requested
        if seconds is None:
            seconds = DEFAULT_EXPIRES
        if requested is not None:
            seconds = min(seconds, requested)
        self.feed("GRANTED", seconds)
        return seconds

    def again(self, seconds: float) -> None:
        """See IRefresh."""
        self.feed("AGAIN", seconds)

    def end(self, error: SIPError | None = None, transaction: ClientTransaction | None = None) -> None:
        """See IRefresh."""
        if self.state != TERMINATED:
            self.error = error
            if transaction is not None:
                self.sent_by(transaction)
            self.feed("ENDED")

    def sent_by(self, transaction: ClientTransaction) -> None:
        """This is the last request for which the refresh is there."""
        self.transaction = transaction
        transaction.refresh = self

    # ------------------------------------------------------------------ what the application calls

    def update(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Send a stand-alone request once more now, with these headers and this body in place of the old.

        Raises ArgumentError for a refresh that belongs to a registration or a subscription (which have
        an `update` of their own), InvalidTransactionState unless it is ACTIVE, RequestPending,
        ResourceNotAvailable, TransportFailure.
        """
        return self._stand_alone("update").update(elements)

    def terminate(self, elements: MessageElements | None = None) -> ClientTransaction:
        """End a stand-alone refresh: its request goes once more, with Expires 0. Raises as `update` does."""
        return self._stand_alone("terminate").terminate(elements)

    def _stand_alone(self, what: str) -> StandAlone:
        if self._alone is None:
            if self._owner is None:
                raise InvalidTransactionState("the refresh has been given to no request yet")
            raise ArgumentError(f"not {what}() of the refresh: use the methods of {self._owner!r}")
        if self.error is not None and isinstance(self.error, ResourceNotAvailable):
            raise self.error
        if self.state != ACTIVE:
            raise InvalidTransactionState(f"the refresh is {self.state}")
        return self._alone

    def close(self) -> None:
        """Refresh no more; nothing is sent and nothing is told. Idempotent."""
        if self._alone is not None:
            self._alone.close()
        self.end(ResourceNotAvailable("the refresh was closed"))

    # ------------------------------------------------------------------ actions

    def _plan(self, seconds: float) -> None:
        self.granted_seconds = seconds
        wait = seconds - EARLY if seconds > LONG else seconds / 2
        if self.interval is not None and self.interval < seconds:
            wait = self.interval
        self._wait(wait)

    def _wait(self, seconds: float) -> None:
        self._stop()
        assert self._owner is not None
        timers = self._owner.host.dispatcher.timers
        self._call = timers.later(seconds, self.feed, "DUE")

    def _send(self, _: object) -> None:
        self._call = None
        owner = self._owner
        assert owner is not None
        try:
            self.sent_by(owner.refresh_due())
        except SIPError as error:
            owner.refresh_failed(error)

    def _stop(self, _: object = None) -> None:
        if self._call is not None:
            if self._call.active():
                self._call.cancel()
            self._call = None

    TABLE: ClassVar[Table] = {
        INACTIVE: {
            "GRANTED": (ACTIVE, _plan),
            "AGAIN": (INACTIVE, _wait),
            "DUE": (INACTIVE, _send),
            "ENDED": (TERMINATED, _stop),
        },
        ACTIVE: {
            "GRANTED": (ACTIVE, _plan),
            "AGAIN": (ACTIVE, _wait),
            "DUE": (ACTIVE, _send),
            "ENDED": (TERMINATED, _stop),
        },
        TERMINATED: {},
    }
