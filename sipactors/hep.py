"""Every message goes to a collector such as Homer, in clear whatever it went by: HEP version 3 over UDP."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from sipactors.errors import ArgumentError
from sipactors.interfaces import IFlow, ITrace
from sipactors.pcap import TCP, UDP, Address, packed, packed_ends
from sipactors.trace import call_id

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime, IReactorUDP

log = Logger()

MAX_PACKET = 65_507
"Bytes of one packet, which is one UDP datagram; the end of a message that has no room is left out."
PORT = 9060
"Where collectors listen by custom."

# Generic chunks have the vendor 0; these are their types, as the HEP3 specification numbers them.
FAMILY, PROTOCOL = 0x0001, 0x0002
IPV4_SOURCE, IPV4_DESTINATION, IPV6_SOURCE, IPV6_DESTINATION = 0x0003, 0x0004, 0x0005, 0x0006
SOURCE_PORT, DESTINATION_PORT = 0x0007, 0x0008
SECONDS, MICROSECONDS = 0x0009, 0x000A
KIND, CAPTURE_ID = 0x000B, 0x000C
PASSWORD, PAYLOAD, CORRELATION_ID = 0x000E, 0x000F, 0x0011

_IPV4, _IPV6 = 2, 10
_SIP = 1
_CHUNK = struct.Struct("!HHH")


def chunk(kind: int, value: bytes) -> bytes:
    """One generic chunk: the vendor 0, the type, the length with this header, the value."""
    return _CHUNK.pack(0, kind, _CHUNK.size + len(value)) + value


def packet(
    source: Address,
    destination: Address,
    transport: str,
    data: bytes,
    seconds: float,
    *,
    capture_id: int = 0,
    password: bytes | None = None,
) -> bytes:
    """One message as a HEP3 packet. Raises ValueError for an address that is not numeric."""
    here, there = packed_ends(source[0], destination[0])
    version_6 = len(here) == 16
    whole, fraction = divmod(round(seconds * 1_000_000), 1_000_000)
    chunks = [
        chunk(FAMILY, bytes([_IPV6 if version_6 else _IPV4])),
        chunk(PROTOCOL, bytes([UDP if transport == "UDP" else TCP])),
        chunk(IPV6_SOURCE if version_6 else IPV4_SOURCE, here),
        chunk(IPV6_DESTINATION if version_6 else IPV4_DESTINATION, there),
        chunk(SOURCE_PORT, struct.pack("!H", source[1] & 0xFFFF)),
        chunk(DESTINATION_PORT, struct.pack("!H", destination[1] & 0xFFFF)),
        chunk(SECONDS, struct.pack("!I", whole & 0xFFFFFFFF)),
        chunk(MICROSECONDS, struct.pack("!I", fraction)),
        chunk(KIND, bytes([_SIP])),
        chunk(CAPTURE_ID, struct.pack("!I", capture_id)),
    ]
    if password is not None:
        chunks.append(chunk(PASSWORD, password))
    known = call_id(data)
    if known:
        chunks.append(chunk(CORRELATION_ID, known))
    start = b"".join(chunks)
    room = MAX_PACKET - 6 - len(start) - _CHUNK.size
    body = start + chunk(PAYLOAD, data[:room])
    # The length counts all of it, "HEP3" included.
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


@implementer(ITrace)
class HEP:
    """Sends each message to a collector as one HEP3 packet over UDP.

    `collector` is its numeric (host, port), `capture_id` tells it which of its senders this is, and
    `password` is what it may ask for. Its port of ours opens with the first message. A collector that
    cannot be reached, or is slow, loses packets, and nobody else notices; the log says so once.

    Raises ArgumentError for what no packet can carry.
    """

    def __init__(
        self,
        reactor: IReactorUDP,
        clock: IReactorTime,
        collector: Address,
        *,
        capture_id: int = 0,
        password: str | None = None,
    ) -> None:
        host, port = collector
        try:
            version_6 = len(packed(host)) == 16
        except ValueError:
            raise ArgumentError(f"collector: a numeric address, not {host!r}") from None
        if not 0 < port < 65536:
            raise ArgumentError(f"collector: a port from 1 to 65535, not {port}")
        if not 0 <= capture_id < 2**32:
            raise ArgumentError(f"capture_id: 0 to 4294967295, not {capture_id}")
        secret = None if password is None else password.encode("utf-8", "surrogateescape")
        if secret is not None and len(secret) > 1024:
            raise ArgumentError("password: at most 1024 bytes")
        self.collector = collector
        self.lost = 0
        "Messages that were not sent."
        self._reactor = reactor
        self._clock = clock
        self._interface = "::" if version_6 else ""
        self._capture_id = capture_id
        self._password = secret
        self._port: Any = None
        self._closed = False
        self._told = False

    def received(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        self._message(flow, flow.peer, flow.local, data)

    def sent(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        self._message(flow, flow.local, flow.peer, data)

    def note(self, actor: object, text: str) -> None:
        """See ITrace: what is no message has no addresses to be found by."""

    def close(self) -> defer.Deferred[None]:
        """Send nothing more; done once the port is closed."""
        self._closed = True
        port, self._port = self._port, None
        return defer.maybeDeferred(port.stopListening) if port is not None else defer.succeed(None)

    def _message(self, flow: IFlow, source: Address, destination: Address, data: bytes) -> None:
        if self._closed:
            self.lost += 1
            return
        try:
            self._send(
                packet(
                    source,
                    destination,
                    flow.transport,
                    data,
                    self._clock.seconds(),
                    capture_id=self._capture_id,
                    password=self._password,
                )
            )
        except Exception as problem:
            # Reactors raise many things when a network is down; none of them is the stack's business.
            self.lost += 1
            if not self._told:
                self._told = True
                host, port = self.collector
                log.warn(
                    "messages to the collector at {host} port {port} are lost: {problem}",
                    host=host,
                    port=port,
                    problem=problem,
                )

    def _send(self, data: bytes) -> None:
        if self._port is None:
            self._port = self._reactor.listenUDP(0, _Silent(), self._interface, 8192)
        self._port.write(data, self.collector)


class _Silent(DatagramProtocol):
    """A collector says nothing that we would want to hear."""

    noisy = False
