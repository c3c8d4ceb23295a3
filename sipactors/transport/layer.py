"""The transports of one access point: listening, flows to where we send, the way back of responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from zope.interface import implementer

from sipactors.dice import Dice
from sipactors.errors import ArgumentError, MalformedMessage, TransportFailure
from sipactors.interfaces import ITransportLayer
from sipactors.metrics import Metrics
from sipactors.settings import Limits
from sipactors.timers import Timers
from sipactors.transport.connections import Connections, StreamListener
from sipactors.transport.description import parse_description
from sipactors.transport.flow import Routes, Site, family_of, kernel_address
from sipactors.transport.kinds import stream_listener
from sipactors.transport.marking import came_from_sent_by, response_address
from sipactors.transport.named import is_nameless
from sipactors.transport.udp import UDPFlow, UDPListener

if TYPE_CHECKING:
    from sipactors.interfaces import IFlow, IMessageReceiver, ITrace
    from sipactors.message import Request, Response


@implementer(ITransportLayer)
class TransportLayer:
    """The transports of one access point. See ITransportLayer.

    `local_address` says from which address of ours a numeric host is reached (None: from none); it is the
    reactor's own `local_address` where that has one, else the kernel's choice.
    """

    def __init__(
        self,
        reactor: Any,
        receiver: IMessageReceiver,
        *,
        limits: Limits | None = None,
        trace: ITrace | None = None,
        metrics: Metrics | None = None,
        timers: Timers | None = None,
        dice: Dice | None = None,
        local_address: Callable[[str], str | None] | None = None,
    ) -> None:
        probe = local_address or getattr(reactor, "local_address", None) or kernel_address
        self.site = Site(
            reactor,
            receiver,
            limits or Limits(),
            metrics if metrics is not None else Metrics(),
            timers if timers is not None else Timers(reactor),
            Routes(reactor.seconds, probe),
            trace,
            dice=dice or Dice(),
        )
        self.connections = Connections(self.site)
        self.listeners: list[UDPListener | StreamListener] = []
        "Those that are bound; each has `transport`, `host`, `port`, `advertised` (may be set) and `stop()`."

    # Listening.

    def listen(self, description: str) -> UDPListener | StreamListener:
        r"""Bind one port: `udp:5060:interface=127.0.0.1`, `tcp:0:interface=\:\:1:advertised=192.0.2.7`.

        Returns the listener, whose `port` is the bound one. Raises ArgumentError for a description that
        does not read or names files that cannot be used, NotSupported for TLS or WebSocket without their
        extras, TransportFailure when the system does not give the port.
        """
        parsed = parse_description(description)
        listener: UDPListener | StreamListener
        if parsed.kind == "udp":
            listener = UDPListener(self.site, parsed)
        else:
            listener = stream_listener(self.site, parsed, self.connections)
        listener.start()
        self.listeners.append(listener)
        return listener

    @property
    def addresses(self) -> list[tuple[str, str, int]]:
        """(transport, host, port) of every listener, with the bound port; 0.0.0.0 and :: as they are."""
        return [(each.transport, each.host, each.port) for each in self._bound()]

    def stop(self) -> defer.Deferred[None]:
        """Close all ports and connections; fires when they are closed. Then `listen` may be called again."""
        listeners, self.listeners = self.listeners, []
        waiting = [listener.stop() for listener in listeners]
        waiting.append(self.connections.stop())
        self.site.routes.forget()
        return defer.gatherResults(waiting, consumeErrors=True).addCallback(lambda _: None)

    def network_changed(self) -> None:
        """The addresses of this machine have changed: ask the kernel anew which one a peer sees."""
        self.site.routes.forget()

    def set_socket_option(self, level: int, name: int, value: int | bytes) -> None:
        """Set an option on every open socket that takes it, and on those to come.

        Raises ArgumentError when there are sockets and not one takes it.
        """
        option = (level, name, value)
        outcomes = [each.set_socket_option(option) for each in (*self._bound(), *self.connections)]
        if outcomes and None not in outcomes:
            raise ArgumentError(f"no socket takes the option: {outcomes[0]}")
        self.site.socket_options = [old for old in self.site.socket_options if old[:2] != option[:2]]
        self.site.socket_options.append(option)

    def _bound(self) -> list[UDPListener | StreamListener]:
        return [each for each in self.listeners if not each.closed]

    # Sending.

    def supports(self, transport: str, host: str) -> bool:
        """See ITransportLayer."""
        return self._listener(transport, host) is not None

    def flow_to(self, transport: str, host: str, port: int, name: str | None = None) -> IFlow:
        """See ITransportLayer."""
        transport = transport.upper()
        listener = self._listener(transport, host)
        if listener is None:
            raise TransportFailure(f"this access point has no {transport} for {host}")
        if not 0 < port < 65536:
            raise TransportFailure(f"{port} is no port")
        if isinstance(listener, UDPListener):
            return listener.flow((host, port))
        if not listener.secure:
            # Only a certificate makes one name of an address different from another.
            name = None
        return self.connections.find(transport, (host, port), name) or self.connections.open(
            listener, (host, port), name
        )

    def flow_named(self, host: str) -> IFlow | None:
        """See ITransportLayer."""
        return self.site.named.find(host) if is_nameless(host) else None

    def _listener(self, transport: str, host: str) -> UDPListener | StreamListener | None:
        """The listener to send from: of this family, if possible bound to the address the kernel takes."""
        family = family_of(host)
        fitting = [
            each
            for each in self.listeners
            if each.family == family and each.transport == transport.upper() and not each.closed
        ]
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        source = self.site.routes.local_address(host)
        for each in fitting:
            if each.host == source:
                return each
        return next((each for each in fitting if each.wildcard), fitting[0])

    # The way back of responses.

    def response_flow(self, message: Request | Response, flow: IFlow) -> IFlow:
        """See ITransportLayer."""
        try:
            via = message.via
            if flow.reliable:
                # RFC 3261 §18.2.2: over a reliable transport the response goes by the connection of its
                # request if that is still open; else one is opened to received and the port of sent-by.
                if not flow.closed:
                    return flow
            elif via.maddr is None and (via.rport is not None or came_from_sent_by(via, flow)):
                # RFC 3581 §4: the response goes to received and rport, from where the request came to.
                return flow
            address = response_address(via, flow)
            if address is None:
                return flow
            if isinstance(flow, UDPFlow) and (":" in address[0]) == (":" in flow.peer[0]):
                # From the same port, as RFC 3581 §4 has it: firewalls want that without rport too.
                return flow.beside(address)
            if is_nameless(via.host):
                return self.flow_named(via.host) or flow
            # By TLS the name that Via gives has to be proved, whatever the address.
            return self.flow_to(flow.transport, *address, name=via.host)
        except (MalformedMessage, TransportFailure):
            return flow
