"""The stack that all clients of a process share: access points, timers, limits, and the order of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.internet.defer import DeferredList, maybeDeferred

from sipactors.client.access import Access, AccessPoint
from sipactors.client.routing import Router
from sipactors.dice import Dice
from sipactors.errors import AlreadyExists, ResourceNotAvailable
from sipactors.locating import CachingResolver, DNSResolver
from sipactors.metrics import Metrics
from sipactors.settings import Limits, Timing
from sipactors.timers import Timers

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from sipactors.client.client import SIPClient
    from sipactors.interfaces import IResolver, ITrace


class Stack(MultiService):
    """One SIP stack, as a Twisted service: it listens while it runs, and ends calls properly when it stops.

    `resolver` looks names up (RFC 3263), `trace` watches every message, `dice` is the source of chance.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        timing: Timing | None = None,
        limits: Limits | None = None,
        resolver: IResolver | None = None,
        trace: ITrace | None = None,
        dice: Dice | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reactor = reactor
        self.timing = Timing() if timing is None else timing
        self.limits = Limits() if limits is None else limits
        self.dice = Dice() if dice is None else dice
        self.metrics = Metrics()
        self.trace = trace
        self.timers = Timers(reactor)
        self.resolver = CachingResolver(DNSResolver(reactor) if resolver is None else resolver, reactor)
        self.router = Router(self)
        self.compressor: object | None = None
        "The plug-in for SigComp (RFC 3320); without one nothing is compressed."
        self.clients: list[SIPClient] = []
        self.draining = False
        "True while the stack stops: requests outside of dialogs are answered 503."
        self.closed = False
        self._access: dict[str, Access] = {}

    def add_access_point(self, point: AccessPoint) -> None:
        """Add a way into the network; it listens at once if the stack runs, else when it starts.

        Raises AlreadyExists, ResourceNotAvailable, ArgumentError, CannotListenError.
        """
        if self.closed:
            raise ResourceNotAvailable("the stack is closed")
        if point.name in self._access:
            raise AlreadyExists(f"there is an access point {point.name!r} already")
        access = Access(self, point)
        self._access[point.name] = access
        if self.running:
            access.start()

    def access(self, name: str) -> Access | None:
        """What the stack keeps for an access point, or None."""
        return self._access.get(name)

    @property
    def access_points(self) -> list[Access]:
        """All access points."""
        return list(self._access.values())

    def startService(self) -> None:
        """Listen on every access point. Raises CannotListenError with the address that failed."""
        self.draining = False
        for access in self.access_points:
            access.start()
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[Any]:
        """Refuse new work with 503, end calls with BYE, then close; done within 32 s, less when idle."""
        return self.shutdown().addCallback(self._stop_children)

    def _stop_children(self, _: object) -> Any:
        return super().stopService()  # type: ignore[no-untyped-call]

    def shutdown(self) -> Deferred[Any]:
        """End everything properly, with a deadline, and stop listening; the stack may be started again."""
        self.draining = True
        endings = [
            connection.shutdown() for client in list(self.clients) for connection in client.connections
        ]
        return DeferredList(endings, consumeErrors=True).addCallback(lambda _: self._stop_listening())

    def _stop_listening(self) -> Deferred[Any]:
        stopping = [maybeDeferred(access.stop) for access in self.access_points]
        return DeferredList(stopping, consumeErrors=True)

    def close(self) -> Deferred[Any]:
        """End everything at once and silently; gives the Deferred of the listeners' end. Idempotent."""
        self.closed = True
        for client in list(self.clients):
            client.close()
        self.timers.stop()
        # Streams have time to close; what watched over that goes last.
        return self._stop_listening().addCallback(lambda _: self.timers.stop())
