"""One end of a stream connection over the in-memory network."""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from sipactors.testing.capture import Address
from sipactors.testing.sockets import FakeSocket
from sipactors.testing.stream_writing import Segment, WritingSide

if TYPE_CHECKING:
    from sipactors.testing.faults import Link
    from sipactors.testing.hosts import Host


@implementer(ITCPTransport, IConsumer, IPushProducer, ISystemHandle)
class Stream(WritingSide):
    """The transport of a connected Protocol; see ITCPTransport. It behaves as Twisted's own over a socket."""

    def __init__(self, host: Host, link: Link, local: Address, peer: Address) -> None:
        super().__init__(host, link, local, peer)
        family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        self.socket = FakeSocket(family, socket.SOCK_STREAM, local, peer)
        self._incoming: deque[Segment] = deque()
        self._stalled: list[Segment] = []
        self._reading = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.local} -> {self.peer} of {self.host.name}>"

    # Reading.

    def _arrived(self, segment: Segment) -> None:
        """A segment from the far end is here (called by the clock)."""
        far_end = self.far_end
        assert far_end is not None
        if not far_end.link.open:
            self._stalled.append(segment)
            return
        if self.disconnected:
            if segment.packet is not None:
                # RFC 9293 §3.10.7.1: a segment for a connection that does not exist is answered by a reset.
                segment.packet.fate = "lost"
                self._schedule(far_end._reset_arrived)
            return
        segment.arrived = True
        self._read()

    def thaw(self) -> None:
        """The way to this end is open again: what stood still comes now (TCP sends it again)."""
        assert self.far_end is not None
        stalled, self._stalled = self._stalled, []
        for segment in stalled:
            self.far_end._schedule(self._arrived, segment)

    def _read(self) -> None:
        """Hand what has arrived, in order, to the protocol, unless it pauses."""
        incoming = self._incoming
        while incoming and incoming[0].arrived and self._reading and self.connected:
            packet = incoming.popleft().packet
            if packet is None:
                self._end_arrived()
                return
            data = packet.data
            if packet.fate == "dropped":
                self.far_end._was_read(len(data))
                continue
            packet.fate = "delivered"
            if self.far_end.link.coalesce:
                data = self._join(data)
            self.far_end._was_read(len(data))
            try:
                self.protocol.dataReceived(data)
            except BaseException:
                # As a reactor does it; the clock's advance shows the error to the test.
                self._send_end()
                self._lost(Failure())
                raise

    def _join(self, data: bytes) -> bytes:
        incoming = self._incoming
        parts = [data]
        while incoming and incoming[0].arrived and (packet := incoming[0].packet) is not None:
            if packet.fate == "dropped":
                break
            packet.fate = "delivered"
            parts.append(packet.data)
            incoming.popleft()
        return b"".join(parts)

    def _end_arrived(self) -> None:
        """The far end has closed its side."""
        if not IHalfCloseableProtocol.providedBy(self.protocol):
            self._send_end()
            self._lost(Failure(ConnectionDone()))
            return
        try:
            self.protocol.readConnectionLost()
        except BaseException:
            self._send_end()
            self._lost(Failure())
            raise

    def pauseProducing(self) -> None:
        """Read nothing more: the far end's writes fill the window, then its buffer."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Read again, from the clock's next step on."""
        if self.connected and not self.disconnecting:
            self._reading = True
            self._callLater(0, self._read)

    def stopProducing(self) -> None:
        """Close the connection."""
        self.loseConnection()

    # The end.

    def loseConnection(self) -> None:
        """Send what is written, then close; see ITransport."""
        if not self.connected or self.disconnecting:
            return
        self._reading = False
        self.disconnecting = True
        if self._end_sent:
            self._callLater(0, self._lost, Failure(ConnectionDone()))
        else:
            self._flush_soon()

    def loseWriteConnection(self) -> None:
        """Send what is written, then close our side; see ITCPTransport."""
        self._write_closing = True
        self._flush_soon()

    def abortConnection(self) -> None:
        """Close at once, with a reset for the far end; see ITCPTransport."""
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        self._reading = False
        self._callLater(0, self._abort)

    def _abort(self) -> None:
        if self.connected:
            self.send_reset()
            self._lost(Failure(ConnectionAborted()))

    def kill(self) -> None:
        """Let both ends see, at the clock's next step, that the connection was reset."""
        self.kill_this_end()
        if self.far_end is not None:
            self.far_end.kill_this_end()

    def kill_this_end(self) -> None:
        """Let only this end see, at the clock's next step, that the connection was reset."""
        self._callLater(0, self._lost, Failure(ConnectionLost("killed by the test")))

    def send_reset(self) -> None:
        """Tell the far end that this connection is no more."""
        if self.far_end is not None and not self.far_end.disconnected:
            self._schedule(self.far_end._reset_arrived)

    def _reset_arrived(self) -> None:
        # What is lost on a way that is closed is not sent again: nobody is left to do it.
        if self.far_end is not None and self.far_end.link.open:
            self._lost(Failure(ConnectionLost("reset by peer")))

    def _lost(self, reason: Failure) -> None:
        if not self.connected or self.disconnected:
            return
        self.connected = False
        self.disconnected = True
        self._reading = False
        self.host.stream_ended(self)
        self.socket.closed = True
        for segment in self._incoming:
            if segment.packet is not None and segment.arrived:
                segment.packet.fate = "lost"
        self._incoming.clear()
        super()._lost(reason)
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(reason)

    # What the connection is.

    def getHost(self) -> IPv4Address | IPv6Address:
        """This end's address."""
        return tcp_address(self.local)

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The far end's address."""
        return tcp_address(self.peer)

    def getHandle(self) -> FakeSocket:
        """A socket that records the options set on it."""
        return self.socket

    def getTcpNoDelay(self) -> bool:
        """See ITCPTransport."""
        return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See ITCPTransport."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(enabled))

    def getTcpKeepAlive(self) -> bool:
        """See ITCPTransport."""
        return bool(self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See ITCPTransport."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(enabled))


def tcp_address(address: Address) -> IPv4Address | IPv6Address:
    """(host, port) as Twisted's address object."""
    kind = IPv6Address if ":" in address[0] else IPv4Address
    return kind("TCP", *address)
