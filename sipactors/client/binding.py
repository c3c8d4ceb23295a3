"""A registration as a machine: what the registrar keeps of us, as far as we know.

Theory of operation. The states say what the registrar keeps:

    UNREGISTERED --valid 2xx--> REGISTERED --lost--> RETRYING --valid 2xx--> REGISTERED
         ^------------- ended, or any answer to the de-registration --------------'

The context (From and the route for other requests) is active in REGISTERED only. One REGISTER at most is
under way, a `Registering`; its outcome changes the state. A registration that was lost (its time, flow or
proxy is gone) while its refresh runs is RETRYING: it is tried again by the waiting times of `Backoff`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from zope.interface import implementer

from sipactors.actor import TERMINATED, Machine, Table, tell
from sipactors.client.backoff import Backoff, retry_after
from sipactors.client.refresh import DEFAULT_EXPIRES
from sipactors.client.registering import ContactMaker, Registering
from sipactors.client.registrations import Hop, hop_key
from sipactors.errors import (
    ICMPFailure,
    OutboundProxyNotResponding,
    RegistrationExpired,
    ResourceNotAvailable,
    SIPError,
)
from sipactors.interfaces import IFlowWatcher

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from sipactors.client.connection import Connection
    from sipactors.client.refresh import Refresh
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver, IFlow
    from sipactors.message import SIPURI, Address, MessageElements, Response

UNREGISTERED = "UNREGISTERED"
REGISTERED = "REGISTERED"
RETRYING = "RETRYING"
DEREGISTERING = "DEREGISTERING"


@implementer(IFlowWatcher)
class Binding(Machine):
    """The states of a registration, what it holds, and how it is lost."""

    INITIAL = UNREGISTERED

    def __init__(
        self,
        connection: Connection,
        aor: Address,
        registrar: SIPURI,
        outbound_proxy: SIPURI | None,
        contacts: ContactMaker,
    ) -> None:
        super().__init__()
        self.host = connection
        self.aor = aor
        "The address-of-record that is registered."
        self.registrar = registrar
        "The Request-URI of its REGISTERs."
        self.outbound_proxy = outbound_proxy
        "The proxy that requests of this registration go to first, or None."
        self.registered_contact: Address | None = None
        "Our Contact as the registrar lists it, host and expires filled in; None when it is not registered."
        self.service_route: list[Address] = []
        "The Service-Route of the last 2xx (RFC 3608), which requests of this context pass."
        self.associated_uris: list[Address] = []
        "The P-Associated-URI of the last 2xx (RFC 7315): identities of ours, the default one first."
        self.expires_at: float | None = None
        "When the registration ends, in seconds of the stack's clock; None when it is not registered."
        self._contacts = contacts
        self._expires: float | None = DEFAULT_EXPIRES
        self._former: Address | None = None
        "The Contact that the registrar may still have, without expires."
        self._backoff = Backoff(connection.dispatcher.dice)
        self._pending: Registering | None = None
        self._refresh: Refresh | None = None
        self._observer: IConnectionObserver | None = None
        self._expiry: IDelayedCall | None = None
        self._flow: IFlow | None = None
        self._hop: tuple[str, Hop] | None = None
        self._key: object = self
        self._from = f"{aor};tag={connection.dispatcher.dice.token()}"
        self._elements: MessageElements | None = None
        self._send_expires = True
        self._in_contact = False
        "The Contact was given with its expires."
        self._cache = False

    def stray(self, event: str) -> None:
        """See Machine."""
        self.host.dispatcher.stray(self, event)

    def _tell(self, method: str, *arguments: Any) -> None:
        if self.state != TERMINATED:
            observer = self.host.observer if self._observer is None else self._observer
            tell(self.host.dispatcher.metrics, getattr(observer, method), *arguments)

    def _take_place(self) -> None:
        self.host.registrations.bindings[self._key] = self
        self.host.adopt(self)

    def resumed(self) -> None:
        """The connection can send again: what waits is tried now, and the registrar hears where we are."""
        refresh = self._refreshing
        if refresh is not None and self._pending is None and self.state in (REGISTERED, RETRYING):
            refresh.again(0)

    @property
    def _refreshing(self) -> Refresh | None:
        """The refresh, while it has not ended."""
        refresh = self._refresh
        return refresh if refresh is not None and refresh.state != TERMINATED else None

    def _done(self, pending: Registering) -> None:
        """That REGISTER has its outcome: the next one of this address-of-record may go."""
        self._pending = None
        self.host.registrations.registrar(self.registrar).done(self.aor.uri, pending)

    # ------------------------------------------------------------------ losses

    def flow_lost(self, flow: IFlow, error: SIPError) -> None:
        """See IFlowWatcher."""
        if flow is self._flow:
            self._flow = None
            if self.outbound_proxy is not None and isinstance(error, ICMPFailure):
                error = OutboundProxyNotResponding(str(error))
            self._lost(error, self._wait(None, error))

    def proxy_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """A request through the outbound proxy showed that it does not respond."""
        pending = self._pending
        if self.outbound_proxy is None or (pending is not None and pending.transaction is transaction):
            return
        if self.state == REGISTERED:
            self._lost(OutboundProxyNotResponding(str(error)), self._wait(None, error))

    def _expired(self) -> None:
        self._expiry = None
        refresh = self._refreshing
        planned = refresh is None or refresh.due_in is not None
        error = RegistrationExpired("the registrar's time is over")
        self._lost(error, None if planned else self._wait(None, error))

    def _lost(self, error: SIPError, wait: float | None = None) -> None:
        """The registration cannot be relied on any more; with a refresh it is tried again after `wait`."""
        before, refresh = self.state, self._refreshing
        if refresh is None:
            self.feed("ENDED")
        else:
            self.feed("LOST")
            if wait is not None and self._pending is None:
                refresh.again(wait)
        if before == REGISTERED or (before == RETRYING and self.state == UNREGISTERED):
            self._tell("registration_failed", error, self, None)

    def _wait(self, transaction: ClientTransaction | None, failure: SIPError | Response) -> float:
        """The seconds until the next try; after nine at one address another one is tried."""
        asked = None if isinstance(failure, SIPError) else retry_after(failure)
        seconds = self._backoff.failed(None if transaction is None else transaction.target, asked)
        trace = self.host.dispatcher.trace
        if trace is not None and self._refreshing is not None:
            trace.note(self, f"{failure}: tried again in {seconds:.0f} s")
        target = self._backoff.exhausted
        if target is not None:
            self.host.access.locator.failed(target, seconds + 60)
            if self._hop is not None:
                self._hop[1].forget(target)
        return seconds

    # ------------------------------------------------------------------ actions

    def _hold(self, transaction: ClientTransaction) -> None:
        """The registration holds: hear of its flow, its hop and its end."""
        self._let_go(None)
        assert self.expires_at is not None
        timers = self.host.dispatcher.timers
        self._expiry = timers.later(self.expires_at - timers.clock.seconds(), self._expired)
        flow = self._flow = transaction.flow
        if flow is not None:
            flow.watch(self)
        key = hop_key(transaction.next_hop or self.registrar)
        hop = self.host.registrations.hops.setdefault(key, Hop())
        self._hop = (key, hop)
        hop.bindings[self] = None
        hop.target = transaction.target
        hop.fixed = hop.fixed or (self._cache and self.outbound_proxy is not None)

    def _let_go(self, _: object) -> None:
        if self._expiry is not None:
            if self._expiry.active():
                self._expiry.cancel()
            self._expiry = None
        if self._flow is not None:
            self._flow.unwatch(self)
            self._flow = None

    def _lose(self, _: object) -> None:
        self._let_go(None)
        self.registered_contact = self.expires_at = None

    def _leave(self, _: object) -> None:
        self._lose(None)
        if self._hop is not None:
            (key, hop), self._hop = self._hop, None
            hop.bindings.pop(self, None)
            if not hop.bindings:
                self.host.registrations.hops.pop(key, None)
        if self.host.registrations.bindings.get(self._key) is self:
            del self.host.registrations.bindings[self._key]
        self.host.release(self)

    def _end(self, _: object) -> None:
        if self._pending is not None:
            pending = self._pending
            self._done(pending)
            if pending.transaction is not None:
                self.host.release(pending.transaction)
                pending.transaction.close()
        if self._refresh is not None:
            self._refresh.end(ResourceNotAvailable("the registration was closed"))
        self._leave(None)

    TABLE: ClassVar[Table] = {
        UNREGISTERED: {
            "CONFIRMED": (REGISTERED, _hold),
            "LOST": (RETRYING, None),
            "ENDED": (UNREGISTERED, _leave),
            "CLOSE": (TERMINATED, _end),
        },
        REGISTERED: {
            "CONFIRMED": (REGISTERED, _hold),
            "LOST": (RETRYING, _lose),
            "LEAVE": (DEREGISTERING, _lose),
            "ENDED": (UNREGISTERED, _leave),
            "CLOSE": (TERMINATED, _end),
        },
        RETRYING: {
            "CONFIRMED": (REGISTERED, _hold),
            "LOST": (RETRYING, None),
            "LEAVE": (DEREGISTERING, _lose),
            "ENDED": (UNREGISTERED, _leave),
            "CLOSE": (TERMINATED, _end),
        },
        DEREGISTERING: {
            "ENDED": (UNREGISTERED, _leave),
            "CLOSE": (TERMINATED, _end),
        },
        TERMINATED: {},
    }
