"""The sockets of real reactors: ports of one address family, and a UDP port that no ICMP error stops."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, udp
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

log = Logger()

MAX_DATAGRAM = 65535
"The largest datagram there is (RFC 3261 §18.1.1: implementations MUST be able to handle that size)."
RECEIVE_BUFFER = 4 * 1024 * 1024
"Bytes asked for as SO_RCVBUF; the kernel may grant less."
DATAGRAMS_A_TURN = 256
"Datagrams read before timers and other sockets get their turn."

# Linux's <linux/in.h>, <linux/in6.h> and <linux/errqueue.h>; Python's socket module does not name them.
_IP_RECVERR = 11
_IPV6_RECVERR = 25
_ORIGIN_ICMP = 2
_ORIGIN_ICMP6 = 3
_EXTENDED_ERROR = struct.Struct("=IBBBBII")

# RFC 3261 §18.4: host, network, port or protocol unreachable errors, or parameter problem errors, inform
# the transport user; source quench and TTL exceeded are ignored.
_ICMP_FAILURES = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 9): "network prohibited",
    (3, 10): "host prohibited",
    (3, 13): "communication prohibited",
    (12, 0): "parameter problem",
}
_ICMP6_FAILURES = {
    (1, 0): "no route to host",
    (1, 1): "communication prohibited",
    (1, 3): "host unreachable",
    (1, 4): "port unreachable",
    (4, 0): "parameter problem",
    (4, 1): "parameter problem",
    (4, 2): "parameter problem",
}
_NOTHING_TO_READ = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


def _one_family(opened: socket.socket) -> socket.socket:
    # An IPv6 socket of ours takes IPv6 alone: otherwise an IPv4 peer would appear as ::ffff:192.0.2.1,
    # which no Via or Contact may name, and 0.0.0.0 and :: could not be bound side by side.
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return opened


class StreamPort(tcp.Port):
    """A listening TCP port of one address family."""

    def createInternetSocket(self) -> socket.socket:
        """See tcp.Port."""
        return _one_family(super().createInternetSocket())  # type: ignore[no-untyped-call]

    def getHandle(self) -> socket.socket:
        """The listening socket; a tcp.Port alone does not show it."""
        return self.socket


@implementer(IHalfCloseableDescriptor)
class DatagramPort(udp.Port):
    """A UDP port that survives every error of its socket, and tells which peers cannot be reached.

    On Linux the kernel keeps the ICMP errors that answer our datagrams (IP_RECVERR in ip(7)); each is
    given to `unreachable(address, what)`. Elsewhere nothing is told.
    """

    def __init__(
        self,
        port: int,
        protocol: Any,
        interface: str,
        reactor: Any,
        received: Callable[[bytes, tuple[str, int]], None],
        unreachable: Callable[[tuple[str, int], str], None],
    ) -> None:
        super().__init__(port, protocol, interface, MAX_DATAGRAM, reactor)  # type: ignore[no-untyped-call]
        self._received = received
        self._unreachable = unreachable
        self._keeps_errors = False
        self._stopping = False

    def createInternetSocket(self) -> socket.socket:
        """See udp.Port."""
        opened = _one_family(super().createInternetSocket())
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        except OSError as refused:
            log.info("SO_RCVBUF stays as it is: {refused}", refused=refused)
        if sys.platform == "linux":
            try:
                if opened.family == socket.AF_INET6:
                    opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                else:
                    opened.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
                self._keeps_errors = True
            except OSError as refused:
                log.info("ICMP errors will not be heard: {refused}", refused=refused)
        return opened

    def doRead(self) -> None:
        """Read what has come, up to a bound; no error of the socket is fatal."""
        receive = self.socket.recvfrom
        received = self._received
        ipv6 = self.addressFamily == socket.AF_INET6
        for count in range(DATAGRAMS_A_TURN):
            try:
                data, address = receive(MAX_DATAGRAM)
            except OSError as problem:
                # An error of an earlier datagram comes up here once. And when there was nothing at all
                # to read, the kernel woke us for its error queue (select and asyncio report it so).
                if count == 0 or problem.errno not in _NOTHING_TO_READ:
                    self.read_errors()
                return
            if ipv6:
                # A link-local peer is reached only through its zone (RFC 4007 §11).
                zone = address[3]
                address = (f"{address[0].partition('%')[0]}%{zone}", address[1]) if zone else address[:2]
            try:
                received(data, address)
            except Exception:
                log.failure("a datagram from {address} broke its receiver", address=address)
            if self._stopping:
                return

    def read_errors(self) -> None:
        """Take the ICMP errors that the kernel keeps, and tell of those that mean a failure to send."""
        if not self._keeps_errors:
            return
        for _ in range(DATAGRAMS_A_TURN):
            try:
                _, ancillary, _, address = self.socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            what = _failure_in(ancillary)
            if what is not None and address:
                host, port = address[:2]
                if len(address) == 4 and address[3]:
                    host = f"{host.partition('%')[0]}%{address[3]}"
                self._unreachable((host, port), what)

    def stopListening(self) -> Any:
        """See udp.Port; not one datagram more is read."""
        self._stopping = True
        return super().stopListening()  # type: ignore[no-untyped-call]

    def readConnectionLost(self, reason: Failure) -> None:
        """See IHalfCloseableDescriptor: poll and epoll reactors call it for an error without a datagram."""
        self.read_errors()
        if not self._stopping:
            # The reactor has just taken us off its readers.
            self.startReading()  # type: ignore[no-untyped-call]

    def writeConnectionLost(self, reason: Failure) -> None:
        """See IHalfCloseableDescriptor; a UDP port never waits to write."""


def _failure_in(ancillary: list[tuple[int, int, bytes]]) -> str | None:
    """What an ICMP error says, when it is one that RFC 3261 §18.4 tells the transport user of."""
    for _, _, data in ancillary:
        if len(data) < _EXTENDED_ERROR.size:
            continue
        _, origin, kind, code, _, _, _ = _EXTENDED_ERROR.unpack_from(data)
        if origin == _ORIGIN_ICMP:
            return _ICMP_FAILURES.get((kind, code))
        if origin == _ORIGIN_ICMP6:
            return _ICMP6_FAILURES.get((kind, code))
    return None
