"""The writing side of a stream: what is on its way, what waits for the far end to read, who produces it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProducer
from twisted.python.failure import Failure

from sipactors.testing.capture import Address, Packet

if TYPE_CHECKING:
    from sipactors.testing.faults import Link
    from sipactors.testing.hosts import Host

WINDOW = 65536
"Bytes on their way or unread at the far end; what is written beyond waits in the writer's buffer."
BUFFER = 65536
"Bytes in the writer's buffer above which its producer is paused (as Twisted's FileDescriptor.bufferSize)."


class Segment:
    """A piece of a stream on its way; without a packet it is the end of the stream (FIN)."""

    __slots__ = ("arrived", "packet")

    def __init__(self, packet: Packet | None) -> None:
        self.packet = packet
        self.arrived = False


class WritingSide:
    """What a stream does with the bytes that its protocol writes."""

    connected = False
    disconnected = False
    disconnecting = False

    def __init__(self, host: Host, link: Link, local: Address, peer: Address) -> None:
        self.host = host
        self.protocol: Any = None
        self.far_end: Any = None
        "The Stream at the other end of the connection."
        self.local = local
        self.peer = peer
        self.link = link
        "The way to the other end."
        self._network = host.network
        self._callLater = host.network.clock.callLater
        self._last_due = 0.0
        self._unsent: deque[bytes] = deque()
        self._unsent_size = 0
        self._unread = 0  # bytes that were sent and that the far end's protocol has not got
        self._flushing = False
        self._write_closing = False
        self._end_sent = False
        self._aborting = False
        self._producer: Any = None
        self._streaming = False
        self._producer_paused = False

    def write(self, data: bytes) -> None:
        """Send bytes; see ITransport. What is written after the connection's end is forgotten."""
        if not self.connected or self._end_sent or not data:
            return
        data = b"".join((data,))  # raises TypeError for str, as Twisted's own
        if self._unsent or self._unread + len(data) > WINDOW:
            self._unsent.append(data)
            self._unsent_size += len(data)
            self._send_unsent()
        else:
            self._transmit(data)
        if self._producer is not None:
            if not self._streaming:
                self._flush_soon()
            elif self._unsent_size > BUFFER:
                self._producer_paused = True
                self._producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send these bytes as one; see ITransport."""
        self.write(b"".join(data))

    def _send_unsent(self) -> None:
        unsent = self._unsent
        while unsent and self._unread < WINDOW:
            data = unsent.popleft()
            room = WINDOW - self._unread
            if len(data) > room:
                unsent.appendleft(data[room:])
                data = data[:room]
            self._unsent_size -= len(data)
            self._transmit(data)

    def _transmit(self, data: bytes) -> None:
        link = self.link
        if link.segment is None and not link.random_segments:
            self._transmit_piece(data)
            return
        for piece in link.pieces(data):
            self._transmit_piece(piece)

    def _transmit_piece(self, data: bytes) -> None:
        network = self._network
        packet = Packet(network.clock.seconds(), self.local, self.peer, data, "TCP")
        network.record(packet)
        far_end = self.far_end
        segment = Segment(packet)
        if network.rules and network.scripted(packet, lambda held: network.soon(far_end._arrived, segment)):
            if packet.fate == "dropped":
                return
            # Whatever comes behind a segment that is held back waits for it: this is a stream.
        else:
            self._schedule(far_end._arrived, segment)
        self._unread += len(packet.data)
        far_end._incoming.append(segment)

    def _schedule(self, function: Any, *arguments: Any) -> None:
        """Call a method of the far end when what is sent now gets there, in the order of sending."""
        now = self._network.clock.seconds()
        due = now + self.link.segment_delay()
        if due < self._last_due:
            due = self._last_due
        self._last_due = due
        self._callLater(due - now, function, *arguments)

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self._callLater(0, self._flush)

    def _flush(self) -> None:
        """Send what may be sent; when nothing is left, ask for more, or close as was ordered."""
        self._flushing = False
        if not self.connected or self._aborting:
            return
        self._send_unsent()
        if self._unsent:
            return
        if self._producer is not None and (not self._streaming or self._producer_paused):
            self._producer_paused = False
            self._producer.resumeProducing()
        elif self.disconnecting:
            self._send_end()
            self._lost(Failure(ConnectionDone()))
        elif self._write_closing and not self._end_sent:
            self._send_end()
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.protocol.writeConnectionLost()

    def _was_read(self, size: int) -> None:
        """The far end's protocol has got so many bytes: more may be sent."""
        self._unread -= size
        if self._unsent or self._producer_paused:
            self._flush_soon()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer."""
        if self._producer is not None:
            raise RuntimeError(f"{self!r} has a producer already: {self._producer!r}")
        if self.disconnected:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        if not streaming:
            self._producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self._producer = None
        self._producer_paused = False
        if self.connected and (self.disconnecting or self._write_closing):
            self._flush_soon()

    def _send_end(self) -> None:
        """Nothing follows what is written (FIN)."""
        far_end = self.far_end
        if far_end is not None and not self._end_sent:
            self._end_sent = True
            segment = Segment(None)
            far_end._incoming.append(segment)
            self._schedule(far_end._arrived, segment)

    def _lost(self, reason: Failure) -> None:
        """The connection is gone; what waits to be written goes with it."""
        self._unsent.clear()
        self._unsent_size = 0
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
