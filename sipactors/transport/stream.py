"""A stream connection: framing messages on any ITransport, sending without ever holding too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import implementer

from sipactors.actor import TERMINATED, Machine, Table
from sipactors.errors import MalformedMessage, TransportFailure
from sipactors.interfaces import IFlow
from sipactors.message import PING, PONG, Framer, Request
from sipactors.transport import keepalive
from sipactors.transport.flow import Address, Listener, Watchers, set_option
from sipactors.transport.marking import mark, mark_what_came, names_us
from sipactors.transport.named import SUFFIX

if TYPE_CHECKING:
    from sipactors.interfaces import IFlowWatcher
    from sipactors.timers import Timer

CONNECTING, OPEN, CLOSING = "CONNECTING", "OPEN", "CLOSING"


@implementer(IFlow, IPushProducer)
class StreamFlow(Machine):
    """A stream connection to one peer, ours or accepted. See IFlow.

    Theory of operation. CONNECTING until the system (and TLS, where there is some) has made the
    connection; what is sent meanwhile waits, bounded. OPEN carries messages both ways. CLOSING sends
    nothing more and hears nothing more, but lets the peer read what is on its way. Whatever ends the
    connection leads to TERMINATED, where it leaves its pool. Everybody who watches it is told as soon
    as nothing can be sent any more, once, and from a turn of the reactor of their own. A `late` comes
    from the lane of Limits.handshake_timeout: a peer that does not begin or finish a message, or does
    not read what we sent before we closed.
    """

    INITIAL: ClassVar[str] = CONNECTING

    reliable = True

    def __init__(
        self,
        listener: Listener,
        peer: Address,
        ended: Callable[[StreamFlow], None],
        name: str | None = None,
        accepted: bool = False,
    ) -> None:
        super().__init__()
        self.listener = listener
        self.transport = listener.transport
        self.secure = listener.secure
        self.peer = peer
        self.name = name
        "The domain that was asked for, None when any peer at the address will do."
        self.accepted = accepted
        "True when the peer opened the connection."
        self.error: TransportFailure | None = None
        "Why the connection ended."
        self.used = True
        "Something was carried since the pool looked last."
        self.abandon: Callable[[], object] | None = None
        "Ends the attempt to connect."
        self.wire: Any = None
        "The ITransport, while there is one."
        self._ended = ended
        self._framer = Framer(listener.site.limits)
        # For a trace alone: the bytes that the framer holds, as they came.
        self._raw = bytearray()
        self._watchers = Watchers()
        self._queued: list[bytes] = []
        self._unsent = 0
        self._paused = False
        self._late: Timer | None = None
        self.peer_identities: tuple[str, ...] = ()

    # What IFlow tells.

    @property
    def local(self) -> Address:
        """See IFlow; the port is 0 until connected."""
        if self.wire is not None:
            here = self.wire.getHost()
            return here.host, here.port
        return self.listener.local_host(self.peer[0]), 0

    @property
    def closed(self) -> bool:
        """See IFlow."""
        return self.state is CLOSING or self.state is TERMINATED

    @property
    def sent_by(self) -> str:
        """See IFlow: the listener's, for a response that comes by a new connection (RFC 3261 §18.2.2)."""
        return self.listener.name_towards(self.peer[0])

    @property
    def local_uri_host(self) -> str:
        """See IFlow."""
        return self.listener.name_towards(self.peer[0])

    @property
    def writable(self) -> bool:
        """True when what is sent goes out at once: connected, and the peer reads."""
        return self.state is OPEN and not self._paused

    @property
    def watched(self) -> bool:
        """True while somebody's work depends on this connection."""
        return len(self._watchers) > 0

    def watch(self, watcher: IFlowWatcher) -> None:
        """See IFlow."""
        self._watchers.add(watcher, self)
        if self.closed:
            self._tell_soon()

    def unwatch(self, watcher: IFlowWatcher) -> None:
        """See IFlow."""
        self._watchers.discard(watcher)

    # Out.

    def send(self, data: bytes) -> None:
        """See IFlow."""
        site = self.listener.site
        if self.state is OPEN and not self._paused:
            self.wire.write(data)
        elif self.state is OPEN or self.state is CONNECTING:
            self._unsent += len(data)
            if self._unsent > site.limits.max_write_buffer:
                site.metrics.messages_lost += 1
                site.metrics.slow_readers_closed += 1
                self.feed("overflowed", "the peer does not read what it is sent")
                return
            if self.state is OPEN:
                self.wire.write(data)
            else:
                self._queued.append(data)
        else:
            site.metrics.messages_lost += 1
            return
        self.used = True
        site.metrics.messages_sent += 1
        if site.trace is not None:
            site.trace.sent(self, data)

    def _write(self, data: bytes) -> None:
        """Write what is no message, and is not worth waiting with."""
        if self.writable:
            self.used = True
            self.wire.write(data)

    def pauseProducing(self) -> None:
        """See IPushProducer: the system takes no more for now, what is sent is counted."""
        self._paused = True

    def resumeProducing(self) -> None:
        """See IPushProducer: the peer has read it all."""
        self._paused = False
        self._unsent = 0

    def stopProducing(self) -> None:
        """See IPushProducer: the connection is being lost, which connectionLost will say."""

    # In.

    def data_received(self, data: bytes) -> None:
        """Bytes came, cut anywhere."""
        if self.state is not OPEN:
            return
        self.used = True
        framer = self._framer
        if self.listener.site.trace is not None:
            self._keep_raw(data)
        elif self._raw:
            self._raw.clear()
        whole = False
        try:
            for item in framer.feed(data):
                whole = True
                if item is PING:
                    self.listener.site.metrics.pings_received += 1
                    # RFC 5626 §3.5.1: a double CRLF is answered with a single CRLF.
                    self._write(keepalive.PONG)
                elif item is not PONG:
                    self.message_received(item)
                if self.state is TERMINATED:
                    return
        except MalformedMessage as fault:
            self.broken(fault)
            return
        if not framer.pending:
            if self._late is not None and whole:
                self._stop_late()
        elif whole or self._late is None:
            # One deadline for each message, from its first byte on: a slow trickle does not extend it.
            self.start_late()

    def message_received(self, message: Any) -> None:
        """A whole message came."""
        site = self.listener.site
        if site.trace is not None:
            site.trace.received(self, self._take_raw() or message.render())
        try:
            if message.__class__ is Request:
                mark(message, self.peer)
            elif not names_us(message, site.names):
                site.metrics.foreign_responses += 1
                return
        except MalformedMessage as problem:
            self._malformed(problem)
            return
        site.metrics.messages_received += 1
        if self.accepted:
            contact = message.get("Contact")
            if contact is not None and SUFFIX in contact:
                site.named.learn(message, self)
        try:
            site.receiver.message_received(message, self)
        except Exception:
            site.fault(self)

    def broken(self, fault: MalformedMessage) -> None:
        """The end of a message cannot be told: let it be answered, then close this connection alone."""
        site = self.listener.site
        site.metrics.framing_errors += 1
        if site.trace is not None and self._raw:
            site.trace.received(self, bytes(self._raw))
        self._malformed(fault)
        self.feed("closed", f"framing error: {fault.what}")

    def _malformed(self, problem: MalformedMessage) -> None:
        mark_what_came(problem.message, self.peer)
        site = self.listener.site
        try:
            site.receiver.malformed_received(problem, self)
        except Exception:
            site.fault(self)

    def _keep_raw(self, data: bytes) -> None:
        """Keep what came for the trace, unless the beginning of its message came before there was a trace."""
        surplus = len(self._raw) - self._framer.pending
        if surplus >= 0:
            # What the framer holds no more, and what was no message: line breaks, pings.
            del self._raw[:surplus]
            self._raw += data

    def _take_raw(self) -> bytes:
        """The bytes of the message that the framer has just cut off; none when they were not kept."""
        size = len(self._raw) - self._framer.pending
        data = bytes(self._raw[:size]) if size > 0 else b""
        del self._raw[: max(size, 0)]
        return data.lstrip(b"\r\n")

    def start_late(self) -> None:
        """Give the peer so much time for what it has to do next."""
        self._stop_late()
        site = self.listener.site
        self._late = site.timers.start(site.limits.handshake_timeout, self, "late")

    def _stop_late(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    # The rows of the table.

    def _connected(self, wire: Any) -> None:
        self.wire = wire
        self.abandon = None
        if not self.accepted:
            # The handshakes are done in time.
            self._stop_late()
        site = self.listener.site
        site.metrics.connections_opened += 1
        if ITCPTransport.providedBy(wire):
            wire.setTcpNoDelay(True)
            wire.setTcpKeepAlive(True)
        for option in site.socket_options:
            self.set_socket_option(option)
        wire.registerProducer(self, True)
        queued, self._queued, self._unsent = self._queued, [], 0
        if queued:
            # Not joined: to some transports each write is one message.
            wire.writeSequence(queued)

    def _refused(self, refused: tuple[Any, str]) -> None:
        """The handshake failed: what was said about it may still be read by the peer."""
        self.wire, why = refused
        self.abandon = None
        self._queued = []
        self._close(why)

    def _close(self, why: str) -> None:
        self.error = TransportFailure(f"{self.transport} to {self.peer[0]} port {self.peer[1]}: {why}")
        self.start_late()
        self.wire.unregisterProducer()
        self.wire.loseConnection()
        self._tell_soon()

    def _abort(self, why: str) -> None:
        self._lost(why)
        if self.wire is not None:
            self.wire.unregisterProducer()
            self.wire.abortConnection()
        elif self.abandon is not None:
            self.abandon()
        self.wire = self.abandon = None

    def _late_row(self, _: None) -> None:
        self.listener.site.metrics.slow_senders_closed += 1
        self._abort("the peer took too long")

    def _lost(self, why: object) -> None:
        self._stop_late()
        if self.error is None:
            text = why.getErrorMessage() if isinstance(why, Failure) else str(why)
            self.error = TransportFailure(f"{self.transport} to {self.peer[0]} port {self.peer[1]}: {text}")
        self._queued = []
        if self.accepted:
            self.listener.site.named.forget(self)
        self._ended(self)
        self._tell_soon()

    def _tell_soon(self) -> None:
        # Never from inside a call of a watcher's own, such as send.
        if self._watchers:
            self.listener.site.reactor.callLater(0, self._tell)

    def _tell(self) -> None:
        assert self.error is not None
        self._watchers.tell(self.error, self.listener.site.metrics)

    def set_socket_option(self, option: tuple[int, int, Any]) -> OSError | None:
        """Set an option of the socket; the system's refusal, if it refuses."""
        wire = self.wire
        while isinstance(wire, ProtocolWrapper):
            # TLS and WebSocket have no socket of their own.
            wire = wire.transport
        return set_option(wire, option)

    TABLE: ClassVar[Table] = {
        CONNECTING: {
            "connected": (OPEN, _connected),
            "refused": (CLOSING, _refused),
            "lost": (TERMINATED, _lost),
            "closed": (TERMINATED, _abort),
            "overflowed": (TERMINATED, _abort),
            "late": (TERMINATED, _late_row),
        },
        OPEN: {
            "closed": (CLOSING, _close),
            "overflowed": (TERMINATED, _abort),
            "late": (TERMINATED, _late_row),
            "lost": (TERMINATED, _lost),
        },
        CLOSING: {
            "overflowed": (TERMINATED, _abort),
            "late": (TERMINATED, _late_row),
            "lost": (TERMINATED, _lost),
        },
        TERMINATED: {},
    }


@implementer(IHalfCloseableProtocol)
class StreamProtocol(Protocol):
    """What Twisted calls for one connection."""

    def __init__(self, flow: StreamFlow) -> None:
        self.flow = flow

    def connectionMade(self) -> None:
        """See IProtocol."""
        self.flow.feed("connected", self.transport)
        if self.flow.state is TERMINATED:
            # It was given up in the moment in which it came about.
            cast(Any, self.transport).abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self.flow.data_received(data)

    def readConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: a peer that sends no more still hears what was answered already."""
        cast(Any, self.transport).loseConnection()

    def writeConnectionLost(self) -> None:
        """See IHalfCloseableProtocol: we never close our half alone."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        self.flow.feed("lost", reason)
