"""A UDP port of a host on the in-memory network."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet import defer
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, ISystemHandle, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from sipactors.testing.capture import Address, Packet
from sipactors.testing.sockets import FakeSocket

if TYPE_CHECKING:
    from sipactors.testing.faults import Link
    from sipactors.testing.hosts import Host

RECEIVE_BUFFER = 212_992
"Bytes that a port keeps while its protocol pauses; what comes above is lost, as in a kernel."


@implementer(IUDPTransport, IListeningPort, ISystemHandle)
class DatagramPort:
    """What `host.listenUDP` returns, and the transport of its DatagramProtocol; see IUDPTransport."""

    def __init__(
        self, host: Host, port: int, protocol: DatagramProtocol, interface: str, max_packet_size: int
    ) -> None:
        self.host = host
        self.port = port
        self.interface = interface
        self.protocol = protocol
        self.maxPacketSize = max_packet_size
        self.connected = False
        self.refused: Callable[[Address], None] | None = None
        """Called with the (host, port) that refused a datagram (ICMP port unreachable).

        A connected port's protocol gets connectionRefused, as over a socket; this hook is for the others.
        """
        self._network = host.network
        self._connected_to: Address | None = None
        self._routes: dict[str, tuple[Link | None, Address, str]] = {}
        self._broadcast = False
        self._paused: deque[Packet] | None = None
        self._paused_bytes = 0
        self._stopped: defer.Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<DatagramPort {self.interface} port {self.port} of {self.host.name}>"

    def startListening(self) -> None:
        """Take the port and start the protocol. Raises CannotListenError when the port is not free."""
        try:
            self.interface, self.port = self.host.bind(
                self, self.host.datagram_ports, self.interface, self.port
            )
        except OSError as error:
            raise CannotListenError(self.interface, self.port, error) from None
        family = socket.AF_INET6 if ":" in self.interface else socket.AF_INET
        self.socket = FakeSocket(family, socket.SOCK_DGRAM, (self.interface, self.port))
        self.connected = True
        self.protocol.makeConnection(self)

    def stopListening(self) -> defer.Deferred[None] | None:
        """Receive nothing more at once, free the port at the next step of the clock; see IListeningPort."""
        if not self.connected:
            return self._stopped
        self.connected = False
        self._stopped = defer.Deferred()
        self.host.callLater(0, self._stop)
        return self._stopped

    loseConnection = stopListening

    def _stop(self) -> None:
        self.host.datagram_ports.pop((self.interface, self.port), None)
        self.socket.closed = True
        self.protocol.doStop()
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped.callback(None)

    def write(self, packet: bytes, addr: Address | None = None) -> None:
        """Send one datagram; see IUDPTransport. Raises MessageLengthError above 65,507 bytes."""
        destination = self._connected_to or addr
        if destination is None:
            raise ValueError("a port that is not connected needs an address for each datagram")
        network = self._network
        if len(packet) > network.largest_datagram:
            raise MessageLengthError("message too long")
        if not self.connected:
            return
        route = self._routes.get(destination[0])
        if route is None:
            route = self._route(destination[0])
        link, source, host = route
        datagram = Packet(network.clock.seconds(), source, (host, destination[1]), bytes(packet), "UDP")
        network.record(datagram)
        if link is None:
            datagram.fate = "lost"
            return
        arrive = link.destination.datagram_arrived
        if network.rules and network.scripted(datagram, lambda held: network.soon(arrive, held)):
            return
        link.carry(datagram, arrive)

    def _route(self, host: str) -> tuple[Link | None, Address, str]:
        """The way to a numeric address, the source address that is used for it, and its normal form."""
        try:
            address = self._network.normal(host)
        except ValueError:
            raise InvalidAddressError(host, "write() only accepts IP addresses, not hostnames") from None
        if (":" in address) != (":" in self.interface):
            raise InvalidAddressError(host, "the port is bound to the other IP version")
        link, source = self._network.way(self.host, address, self.interface)
        route = self._routes[host] = link, (source, self.port), address
        return route

    def forget_routes(self) -> None:
        """Addresses have changed: look each way up anew."""
        self._routes.clear()

    def received(self, packet: Packet) -> None:
        """A datagram has arrived at this port."""
        if self._connected_to is not None and packet.source != self._connected_to:
            packet.fate = "lost"
            return
        if self._paused is not None:
            self._paused_bytes += len(packet.data)
            if self._paused_bytes > RECEIVE_BUFFER:
                self._paused_bytes -= len(packet.data)
                packet.fate = "lost"
            else:
                self._paused.append(packet)
            return
        packet.fate = "delivered"
        data = packet.data
        if len(data) > self.maxPacketSize:
            # As recvfrom: what does not fit the buffer is cut off.
            data = data[: self.maxPacketSize]
        self.protocol.datagramReceived(data, packet.source)

    def was_refused(self, packet: Packet) -> None:
        """An ICMP error has come back for a datagram of this port."""
        if self._connected_to is not None:
            self.protocol.connectionRefused()
        elif self.refused is not None:
            self.refused(packet.destination)

    def connect(self, host: str, port: int) -> None:
        """Send to, and receive from, one address only; see IUDPTransport."""
        if self._connected_to is not None:
            raise RuntimeError("already connected, reconnecting is not currently supported")
        self._connected_to = (self._route(host)[2], port)

    def getHost(self) -> IPv4Address | IPv6Address:
        """The address that the port is bound to."""
        kind = IPv6Address if ":" in self.interface else IPv4Address
        return kind("UDP", self.interface, self.port)

    def getHandle(self) -> FakeSocket:
        """A socket that records the options set on it."""
        return self.socket

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Remember it; the in-memory network has no broadcast addresses."""
        self._broadcast = bool(enabled)

    def getBroadcastAllowed(self) -> bool:
        """What was set."""
        return self._broadcast

    def pauseProducing(self) -> None:
        """Keep what comes (up to 212,992 bytes of it) until resumeProducing."""
        if self._paused is None:
            self._paused = deque()
            self._paused_bytes = 0

    def resumeProducing(self) -> None:
        """Receive what was kept, at the clock's next step, then what comes."""
        kept, self._paused = self._paused, None
        for packet in kept or ():
            self._network.soon(self.host.datagram_arrived, packet)
