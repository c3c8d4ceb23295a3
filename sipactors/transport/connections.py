"""The stream connections of one layer: accepted and opened, found again, counted, closed when idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, error
from twisted.internet.interfaces import IDelayedCall, IReactorFDSet
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.python.failure import Failure

from sipactors.errors import TransportFailure
from sipactors.transport.flow import Address, Listener, Site, reason_of, set_option
from sipactors.transport.named import SUFFIX
from sipactors.transport.sockets import StreamPort
from sipactors.transport.stream import StreamFlow, StreamProtocol

if TYPE_CHECKING:
    from sipactors.transport.description import Description

Target = tuple[str, str, int, "str | None"]
"Transport, numeric host, port, and the domain that a certificate must prove."

IDLE_LOOKS = 10
"How often in Limits.idle_timeout the pool looks for idle connections."


class Connections:
    """All stream connections of one layer."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._flows: dict[StreamFlow, int] = {}
        self._opened: dict[Target, StreamFlow] = {}
        self._accepted: dict[tuple[str, str, int], StreamFlow] = {}
        self._per_source: dict[str, int] = {}
        self._look: IDelayedCall | None = None
        self._emptied: list[defer.Deferred[None]] = []
        self._listeners: list[StreamListener] = []

    def __len__(self) -> int:
        return len(self._flows)

    def __iter__(self) -> Iterator[StreamFlow]:
        return iter(list(self._flows))

    def is_full(self) -> bool:
        """True when no connection more may be made."""
        return len(self._flows) >= self._site.limits.max_connections

    def find(self, transport: str, peer: Address, name: str | None) -> StreamFlow | None:
        """A connection that is open, or opening, to this target; None when there is none."""
        flow = self._opened.get((transport, *peer, name))
        if flow is None and name is None:
            # RFC 3261 §18: connections are indexed by the far end's address, port and transport, so that
            # a request to the very port that the peer connected from uses its connection.
            flow = self._accepted.get((transport, *peer))
        return flow if flow is not None and not flow.closed else None

    def open(self, listener: StreamListener, peer: Address, name: str | None) -> StreamFlow:
        """Connect to a target. Raises TransportFailure when there are too many connections."""
        if self.is_full():
            self._site.metrics.connections_refused += 1
            raise TransportFailure(f"{len(self._flows)} connections are open, there may be no more")
        target = (listener.transport, *peer, name)
        flow = self._opened[target] = listener.flow_class(listener, peer, self._ended, name)
        if name is not None:
            # Whoever asks for the very address, as the Contact of a dialog does, gets a connection there
            # whose certificate proved a name (RFC 3261 §18: connections are indexed by address).
            self._opened.setdefault((*target[:3], peer[0]), flow)
        self._add(flow)
        flow.abandon = listener.connect(flow)
        return flow

    def accept(self, listener: StreamListener, peer: Address) -> StreamFlow | None:
        """Take a connection from a peer; None when that would be one too many."""
        site = self._site
        count = self._per_source.get(peer[0], 0)
        if self.is_full() or count >= site.limits.max_connections_per_source:
            site.metrics.connections_refused += 1
            return None
        flow = listener.flow_class(listener, peer, self._ended, accepted=True)
        self._per_source[peer[0]] = count + 1
        source = (listener.transport, *peer)
        self._accepted[source] = flow
        self._add(flow)
        # A connection is for messages: the first one has to come, or at least a ping.
        flow.start_late()
        if self.is_full():
            for each in self._listeners:
                each.pause()
        return flow

    def listens(self, listener: StreamListener) -> None:
        """Pause this listener while there are too many connections."""
        self._listeners.append(listener)

    def listens_no_more(self, listener: StreamListener) -> None:
        """Undo listens."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def stop(self) -> defer.Deferred[None]:
        """Close every connection; fires when the last one is gone."""
        emptied: defer.Deferred[None] = defer.Deferred()
        self._emptied.append(emptied)
        for flow in list(self._flows):
            flow.feed("closed", "the transport was stopped")
        self._tell_when_empty()
        return emptied

    def _add(self, flow: StreamFlow) -> None:
        self._flows[flow] = 0
        if self._look is None:
            self._look_later()

    def _ended(self, flow: StreamFlow) -> None:
        """A connection is gone: its place is free."""
        if self._flows.pop(flow, None) is None:
            return
        source = (flow.transport, *flow.peer)
        if flow.accepted:
            if self._accepted.get(source) is flow:
                del self._accepted[source]
            count = self._per_source.pop(flow.peer[0]) - 1
            if count:
                self._per_source[flow.peer[0]] = count
        else:
            for name in (flow.name, flow.peer[0]):
                target = (*source, name)
                if self._opened.get(target) is flow:
                    del self._opened[target]
        for each in self._listeners:
            each.resume()
        self._tell_when_empty()

    def _tell_when_empty(self) -> None:
        if self._flows:
            return
        if self._look is not None:
            self._look.cancel()
            self._look = None
        emptied, self._emptied = self._emptied, []
        for each in emptied:
            each.callback(None)

    def _look_later(self) -> None:
        site = self._site
        self._look = site.reactor.callLater(site.limits.idle_timeout / IDLE_LOOKS, self._look_for_idle)

    def _look_for_idle(self) -> None:
        """Close what has carried nothing for the whole of Limits.idle_timeout, and nobody waits on."""
        self._look_later()
        for flow, looks in list(self._flows.items()):
            if flow.used or flow.watched:
                flow.used = False
                self._flows[flow] = 0
            elif looks + 1 < IDLE_LOOKS:
                self._flows[flow] = looks + 1
            else:
                self._site.metrics.idle_closed += 1
                flow.feed("closed", "nothing was carried for long")


class StreamListener(Listener):
    """A listening TCP port, and where connections of ours to its address family come from."""

    transport = "TCP"
    flow_class: type[StreamFlow] = StreamFlow

    def __init__(self, site: Site, description: Description, connections: Connections) -> None:
        super().__init__(site, description)
        self._connections = connections
        self._port: Any = None
        self._paused = False
        self.listens = description.options.get("listen") != "no"
        "False when connections are only opened, never accepted."

    def start(self) -> None:
        """Bind the port and listen. Raises TransportFailure when the system refuses."""
        reactor, description = self.site.reactor, self.description
        if not self.listens:
            self._be_named()
            return
        backlog = int(description.options.get("backlog", "50"))
        factory = self.server_factory(_Accepting(self._connections, self))
        try:
            if IReactorFDSet.providedBy(reactor):
                port: Any = StreamPort(description.port, factory, backlog, self.host, reactor)
                port.startListening()
            else:
                port = reactor.listenTCP(description.port, factory, backlog, self.host)
        except error.CannotListenError as problem:
            raise TransportFailure(
                f"cannot listen on {self.transport} {self.host} port {self.port}: {reason_of(problem)}"
            ) from None
        self._port = port
        self.port = port.getHost().port
        self._settle_name()
        self._connections.listens(self)
        for option in self.site.socket_options:
            self.set_socket_option(option)

    def _be_named(self) -> None:
        """Take a name by which nobody can connect to us."""
        if self._advertised is not None:
            self._settle_name()
            return
        # RFC 7118 §5: a client that has no address of its own puts a random name under .invalid into the
        # sent-by of Via and into Contact.
        self._name = self.site.dice.token() + SUFFIX
        self.site.names.add(self._name)

    def stop(self) -> defer.Deferred[None]:
        """Listen no more; the connections that were accepted stay."""
        self.closed = True
        self._connections.listens_no_more(self)
        port, self._port = self._port, None
        return defer.maybeDeferred(port.stopListening) if port is not None else defer.succeed(None)

    def server_factory(self, accepting: ServerFactory) -> ServerFactory:
        """What the port calls for each connection that comes."""
        return accepting

    def connect(self, flow: StreamFlow) -> Callable[[], object]:
        """Begin to connect a flow to its peer; returns what gives the attempt up."""
        # From the address that we listen on, so that the peer sees it come from where it reaches us.
        source = None if self.wildcard else (self.host, 0)
        host, port = flow.peer
        timeout = self.site.limits.handshake_timeout
        factory = self.client_factory(_Opening(flow), flow)
        connector = self.site.reactor.connectTCP(host, port, factory, timeout=timeout, bindAddress=source)
        disconnect: Callable[[], object] = connector.disconnect
        return disconnect

    def client_factory(self, opening: ClientFactory, flow: StreamFlow) -> ClientFactory:
        """What the reactor calls for a connection of ours."""
        return opening

    def set_socket_option(self, option: tuple[int, int, Any]) -> OSError | None:
        """Set an option of the listening socket; the system's refusal, if it refuses."""
        return set_option(self._port, option)

    def pause(self) -> None:
        """Accept nothing: who connects now waits in the system's backlog."""
        if not self._paused and isinstance(self._port, StreamPort):
            self._paused = True
            self._port.stopReading()  # type: ignore[no-untyped-call]

    def resume(self) -> None:
        """Accept again."""
        if self._paused and self._port is not None:
            self._paused = False
            self._port.startReading()


class _Accepting(ServerFactory):
    """What a listening port calls for each connection."""

    noisy = False

    def __init__(self, connections: Connections, listener: StreamListener) -> None:
        self._connections = connections
        self._listener = listener

    def buildProtocol(self, addr: Any) -> Protocol | None:
        """See IProtocolFactory: None closes the connection at once."""
        flow = self._connections.accept(self._listener, (addr.host, addr.port))
        return StreamProtocol(flow) if flow is not None else None


class _Opening(ClientFactory):
    """What the reactor calls for one connection of ours."""

    noisy = False

    def __init__(self, flow: StreamFlow) -> None:
        self._flow = flow

    def buildProtocol(self, addr: Any) -> Protocol:
        """See IProtocolFactory."""
        return StreamProtocol(self._flow)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """See ClientFactory."""
        self._flow.feed("lost", reason)
