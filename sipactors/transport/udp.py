"""UDP: a listener that parses each datagram as it comes, and the flows to those who sent them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet import defer, error
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from sipactors.errors import ICMPFailure, MalformedMessage, SIPError, TransportFailure
from sipactors.interfaces import IFlow
from sipactors.message import Request, parse
from sipactors.transport import keepalive
from sipactors.transport.flow import Address, Listener, Site, Watchers, reason_of, set_option
from sipactors.transport.marking import mark, mark_what_came, names_us
from sipactors.transport.sockets import MAX_DATAGRAM, DatagramPort

if TYPE_CHECKING:
    from sipactors.interfaces import IFlowWatcher
    from sipactors.transport.description import Description

_NO_ROOM = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR)
_SHORTEST_MESSAGE = 20
"No message is this short: `a sip:b SIP/2.0` and its Via alone are longer."


@implementer(IFlow)
class UDPFlow:
    """The way between one listener of ours and one peer's address. See IFlow.

    Made for each datagram; two flows of one listener to one peer are equal.
    """

    __slots__ = ("_listener", "peer")

    transport = "UDP"
    reliable = False
    secure = False
    peer_identities: tuple[str, ...] = ()

    def __init__(self, listener: UDPListener, peer: Address) -> None:
        self._listener = listener
        self.peer = peer

    @property
    def local(self) -> Address:
        """See IFlow."""
        return self._listener.local_host(self.peer[0]), self._listener.port

    @property
    def closed(self) -> bool:
        """See IFlow: True once the listener has stopped."""
        return self._listener.closed

    @property
    def sent_by(self) -> str:
        """See IFlow."""
        return self._listener.name_towards(self.peer[0])

    @property
    def local_uri_host(self) -> str:
        """See IFlow."""
        return self._listener.name_towards(self.peer[0])

    def send(self, data: bytes) -> None:
        """See IFlow."""
        listener = self._listener
        try:
            listener.sendto(data, self.peer)
        except OSError as problem:
            if not listener.send_again(data, self.peer, problem):
                return
        site = listener.site
        site.metrics.messages_sent += 1
        if site.trace is not None:
            site.trace.sent(self, data)

    def beside(self, peer: Address) -> UDPFlow:
        """The way from the same listener to another numeric address."""
        return UDPFlow(self._listener, peer)

    def watch(self, watcher: IFlowWatcher) -> None:
        """See IFlow."""
        self._listener.watch(watcher, self)

    def unwatch(self, watcher: IFlowWatcher) -> None:
        """See IFlow."""
        self._listener.unwatch(watcher, self.peer)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UDPFlow):
            return NotImplemented
        return self.peer == other.peer and self._listener is other._listener

    def __hash__(self) -> int:
        return hash(self.peer)

    def __repr__(self) -> str:
        return f"<UDPFlow {self._listener.port} to {self.peer}>"


class UDPListener(Listener):
    """A bound UDP port. No datagram and no error of its socket ends it."""

    transport = "UDP"

    def __init__(self, site: Site, description: Description) -> None:
        super().__init__(site, description)
        self.sendto: Callable[[bytes, Address], object] = self._send_nowhere
        self._port: Any = None
        self._real: DatagramPort | None = None
        self._watched: dict[Address, Watchers] = {}

    def start(self) -> None:
        """Bind the port. Raises TransportFailure when the system refuses."""
        reactor, description = self.site.reactor, self.description
        try:
            if IReactorFDSet.providedBy(reactor):
                port: Any = DatagramPort(
                    description.port,
                    _Datagrams(self),
                    self.host,
                    reactor,
                    self.datagram_received,
                    self.unreachable,
                )
                port.startListening()
                self._real = port
                # What udp.Port.write would do, without its checks: our peers' addresses are numeric already.
                self.sendto = port.socket.sendto
            else:
                port = reactor.listenUDP(
                    description.port, _Datagrams(self), interface=self.host, maxPacketSize=MAX_DATAGRAM
                )
                self.sendto = _Writing(port).sendto
                if hasattr(port, "refused"):
                    # Such a port tells by itself which address refused a datagram.
                    port.refused = lambda peer: self.unreachable(peer, "port unreachable")
        except error.CannotListenError as problem:
            raise TransportFailure(
                f"cannot listen on UDP {self.host} port {description.port}: {reason_of(problem)}"
            ) from None
        self._port = port
        self.port = port.getHost().port
        self._settle_name()
        for option in self.site.socket_options:
            self.set_socket_option(option)

    def stop(self) -> defer.Deferred[None]:
        """Close the port; those who watch its flows are told."""
        self.port_closed()
        port, self._port = self._port, None
        return defer.maybeDeferred(port.stopListening) if port is not None else defer.succeed(None)

    def set_socket_option(self, option: tuple[int, int, Any]) -> OSError | None:
        """Set an option of the socket; the system's refusal, if it refuses."""
        return set_option(self._port, option)

    def flow(self, peer: Address) -> UDPFlow:
        """The flow to a numeric address."""
        return UDPFlow(self, peer)

    # In: the hot path.

    def datagram_received(self, data: bytes, address: Address) -> None:
        """A datagram came; whatever is in it, the next one is read too."""
        site = self.site
        flow = UDPFlow(self, address)
        # RFC 5389 §6: the first two bits of a STUN message are zeroes; those of a SIP message never are.
        if (len(data) < _SHORTEST_MESSAGE or data[0] < 64) and self._kept_alive(data, address):
            return
        if site.trace is not None:
            site.trace.received(flow, data)
        try:
            message = parse(data, site.limits)
            if message.__class__ is Request:
                mark(message, address)
            elif not names_us(message, site.names):
                site.metrics.foreign_responses += 1
                return
        except MalformedMessage as problem:
            self._malformed(problem, flow)
            return
        site.metrics.messages_received += 1
        try:
            site.receiver.message_received(message, flow)
        except Exception:
            site.fault(flow)

    def _kept_alive(self, data: bytes, peer: Address) -> bool:
        """Take a keep-alive: RFC 5626 §3.5.2 has STUN over UDP; line breaks need no answer there."""
        answer = keepalive.answer_datagram(data, peer)
        if answer is None and not keepalive.is_keepalive(data):
            return False
        self.site.metrics.pings_received += 1
        if answer is not None:
            try:
                self.sendto(answer, peer)
            except OSError:
                self.site.metrics.messages_lost += 1
        return True

    def _malformed(self, problem: MalformedMessage, flow: UDPFlow) -> None:
        mark_what_came(problem.message, flow.peer)
        try:
            self.site.receiver.malformed_received(problem, flow)
        except Exception:
            self.site.fault(flow)

    # Out, when it is not as easy as that.

    def send_again(self, data: bytes, peer: Address, problem: OSError) -> bool:
        """The socket refused a datagram: True when it took it after all."""
        metrics = self.site.metrics
        if problem.errno not in _NO_ROOM and self._real is not None and not self.closed:
            # The kernel gives an ICMP error of an earlier datagram, to any peer, to the next one who sends.
            self._real.read_errors()
            try:
                self.sendto(data, peer)
                return True
            except OSError as again:
                problem = again
        metrics.messages_lost += 1
        if problem.errno not in _NO_ROOM and problem.errno != errno.ECONNREFUSED and peer in self._watched:
            failure = TransportFailure(f"UDP to {peer[0]} port {peer[1]}: {problem.strerror or problem}")
            self.site.reactor.callLater(0, self._tell, peer, failure)
        return False

    def _send_nowhere(self, data: bytes, peer: Address) -> None:
        raise OSError(errno.EBADF, "the listener is closed")

    # Who wants to hear of losses.

    def watch(self, watcher: IFlowWatcher, flow: UDPFlow) -> None:
        """Tell `watcher` of an ICMP error that answers a datagram to the flow's peer."""
        peer = flow.peer
        watchers = self._watched.get(peer)
        if watchers is None:
            watchers = self._watched[peer] = Watchers()
        watchers.add(watcher, flow)
        if self.closed:
            self.site.reactor.callLater(0, self._tell, peer, TransportFailure("the UDP listener is closed"))

    def unwatch(self, watcher: IFlowWatcher, peer: Address) -> None:
        """Undo watch."""
        watchers = self._watched.get(peer)
        if watchers is not None:
            watchers.discard(watcher)
            if not watchers:
                del self._watched[peer]

    def unreachable(self, peer: Address, what: str) -> None:
        """An ICMP error came back for a datagram to this peer; only those who watch it care."""
        self.site.metrics.icmp_errors += 1
        if peer in self._watched:
            failure = ICMPFailure(f"UDP to {peer[0]} port {peer[1]}: {what}")
            self.site.reactor.callLater(0, self._tell, peer, failure)

    def _tell(self, peer: Address, failure: SIPError) -> None:
        watchers = self._watched.get(peer)
        if watchers is not None:
            watchers.tell(failure, self.site.metrics)
            if not watchers:
                self._watched.pop(peer, None)

    def port_closed(self) -> None:
        """The port is closed, by us or with its reactor; those who watch its flows are told."""
        if self.closed:
            return
        self.closed = True
        self.sendto = self._send_nowhere
        for peer in self._watched:
            self.site.reactor.callLater(0, self._tell, peer, TransportFailure("the UDP listener is closed"))


class _Datagrams(DatagramProtocol):
    """What the reactor calls for a listener."""

    noisy = False

    def __init__(self, listener: UDPListener) -> None:
        self._listener = listener

    def datagramReceived(self, data: bytes, address: Address) -> None:
        """See DatagramProtocol; a DatagramPort calls the listener itself."""
        self._listener.datagram_received(data, address[:2])

    def stopProtocol(self) -> None:
        """See DatagramProtocol."""
        self._listener.port_closed()


class _Writing:
    """A UDP port of some other reactor, whose write raises what it likes."""

    def __init__(self, port: Any) -> None:
        self._write = port.write

    def sendto(self, data: bytes, peer: Address) -> None:
        try:
            self._write(data, peer)
        except error.MessageLengthError:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE)) from None
        except (ValueError, RuntimeError) as problem:
            raise OSError(errno.EINVAL, str(problem)) from None
