"""How a stream connection over the in-memory network begins: listening ports, connectors."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.base import BaseConnector
from twisted.internet.error import (
    BindError,
    CannotListenError,
    ConnectBindError,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
)
from twisted.internet.interfaces import IConnector, IListeningPort
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from sipactors.testing.capture import Address
from sipactors.testing.sockets import FakeSocket
from sipactors.testing.streams import Stream, tcp_address

if TYPE_CHECKING:
    from sipactors.testing.faults import Link
    from sipactors.testing.hosts import Host

FIRST_RETRY = 1.0
"Seconds until an unanswered SYN is sent again; each further wait is twice as long."


@implementer(IListeningPort)
class StreamPort:
    """What `host.listenTCP` returns; see IListeningPort."""

    def __init__(self, host: Host, port: int, factory: ServerFactory, interface: str) -> None:
        self.host = host
        self.port = port
        self.interface = interface
        self.factory = factory
        self.connected = False
        self._stopped: defer.Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<StreamPort {self.interface} port {self.port} of {self.host.name}>"

    def startListening(self) -> None:
        """Take the port. Raises CannotListenError when it is not free."""
        try:
            self.interface, self.port = self.host.bind(
                self, self.host.stream_ports, self.interface, self.port
            )
        except OSError as error:
            raise CannotListenError(self.interface, self.port, error) from None
        family = socket.AF_INET6 if ":" in self.interface else socket.AF_INET
        self.socket = FakeSocket(family, socket.SOCK_STREAM, (self.interface, self.port))
        self.connected = True
        self.factory.doStart()

    def stopListening(self) -> defer.Deferred[None] | None:
        """Accept nothing more at once, free the port at the next step of the clock; see IListeningPort."""
        if not self.connected:
            return self._stopped
        self.connected = False
        self._stopped = defer.Deferred()
        self.host.callLater(0, self._stop)
        return self._stopped

    loseConnection = stopListening

    def _stop(self) -> None:
        self.host.stream_ports.pop((self.interface, self.port), None)
        self.socket.closed = True
        self.factory.doStop()
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)

    def getHost(self) -> IPv4Address | IPv6Address:
        """The address that the port is bound to."""
        return tcp_address((self.interface, self.port))

    def getHandle(self) -> FakeSocket:
        """A socket that records the options set on it; accepted connections inherit them."""
        return self.socket

    def accept(self, client: ClientStream) -> None:
        """A connection was asked for: make this end of it."""
        server = Stream(self.host, self.host.network.link(self.host, client.host), client.peer, client.local)
        server.socket.options.update(self.socket.options)
        server.far_end = client
        client.far_end = server
        # The answer is on its way before anything that the protocol writes.
        server._schedule(client.established)
        server.connected = True
        self.host.stream_began(server)
        protocol = self.factory.buildProtocol(server.getPeer())
        if protocol is None:
            server.loseConnection()
            return
        server.protocol = protocol
        protocol.makeConnection(server)


class ClientStream(Stream):
    """The end of a connection that asked for it."""

    def __init__(self, connector: Connector, host: Host, link: Link, local: Address, peer: Address) -> None:
        super().__init__(host, link, local, peer)
        self.connector: Connector | None = connector

    def ask(self, attempt: int = 0) -> None:
        """Send the SYN, and again while no answer comes."""
        if self.connected or self.disconnected:
            return
        self._callLater(self.link.segment_delay(), self._asked)
        self._callLater(FIRST_RETRY * 2**attempt, self.ask, attempt + 1)

    def _asked(self) -> None:
        """The SYN is at the other host."""
        if self.disconnected or self.far_end is not None or not self.link.open:
            return
        other = self.link.destination
        port = other.stream_port(self.peer)
        if port is not None:
            port.accept(self)
        elif other.refuses:
            back = self.host.network.link(other, self.host)
            self._callLater(back.segment_delay(), self._refused, back)

    def _refused(self, back: Link) -> None:
        if back.open:
            self.failIfNotConnected(ConnectionRefusedError())

    def established(self) -> None:
        """The server's answer is here."""
        if self.connected or self.disconnected:
            return
        assert self.far_end is not None
        if not self.far_end.link.open:
            self._callLater(FIRST_RETRY, self.established)
            return
        assert self.connector is not None
        self.connected = True
        self.protocol = self.connector.buildProtocol(self.getPeer())
        if self.protocol is None:
            self.loseConnection()
            return
        self.protocol.makeConnection(self)
        self._read()

    def failIfNotConnected(self, error: BaseException) -> None:
        """Give the attempt up; the factory's clientConnectionFailed gets `error`."""
        if self.connected or self.disconnected:
            return
        self.disconnected = True
        self.host.stream_ended(self)
        if self.far_end is not None:
            self.send_reset()
        connector, self.connector = self.connector, None
        if connector is not None:
            connector.connectionFailed(Failure(error))

    def _abort(self) -> None:
        if not self.connected:
            self.failIfNotConnected(NoRouteError())
        super()._abort()

    def _lost(self, reason: Failure) -> None:
        if not self.connected:
            return
        super()._lost(reason)
        connector, self.connector = self.connector, None
        if connector is not None:
            connector.connectionLost(reason)


class NoStream:
    """The transport of an attempt that cannot even begin: it fails at the clock's next step."""

    def __init__(self, connector: Connector, host: Host, error: BaseException) -> None:
        self._connector: Connector | None = connector
        host.callLater(0, self.failIfNotConnected, error)

    def failIfNotConnected(self, error: BaseException) -> None:
        """See ClientStream."""
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.connectionFailed(Failure(error))


@implementer(IConnector)
class Connector(BaseConnector):
    """What `host.connectTCP` returns; see IConnector."""

    def __init__(
        self,
        host: Host,
        name: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float | None,
        bind_address: Address | None,
    ) -> None:
        super().__init__(factory, timeout, host)  # type: ignore[arg-type]
        self._host = host
        self._name = name
        self._port = port
        self._bind_address = bind_address

    def _makeTransport(self) -> Any:
        host, network = self._host, self._host.network
        address = network.look_up(self._name)
        if address is None:
            return NoStream(self, host, DNSLookupError(f"no host is called {self._name}"))
        interface, port = self._bind_address or ("", 0)
        try:
            link, source = network.way(host, address, interface or ("::" if ":" in address else "0.0.0.0"))
            local = (source, host.free_stream_port(source, port))
        except OSError as error:
            return NoStream(self, host, ConnectBindError(error.errno, error.strerror))
        except BindError as error:
            return NoStream(self, host, error)
        if link is None:
            return NoStream(self, host, NoRouteError())
        stream = ClientStream(self, host, link, local, (address, self._port))
        host.stream_began(stream)
        host.callLater(0, stream.ask)
        return stream

    def getDestination(self) -> IPv4Address | IPv6Address:
        """Where the connection goes."""
        return tcp_address((self._name, self._port))
