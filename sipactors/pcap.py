"""A capture file of every message, in clear whatever it went by, for Wireshark, tshark and sngrep."""

from __future__ import annotations

import ipaddress
import os
import stat
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, BinaryIO

from twisted.logger import Logger
from zope.interface import implementer

from sipactors.errors import ArgumentError
from sipactors.interfaces import IFlow, ITrace

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

log = Logger()

Address = tuple[str, int]

MAX_BYTES = 100_000_000
"Bytes of one file; then it is kept as FILE.1, and a new one begins."
MAX_CONVERSATIONS = 10_000
"TCP connections whose sequence numbers are remembered; then the oldest is forgotten."
LARGEST_DATAGRAM = 65_507
"Bytes that one UDP datagram over IPv4 holds."
SEGMENT = 65_000
"Bytes of a message in one TCP segment; nothing in the file asks for smaller ones."

SNAPLEN = 262_144
LINKTYPE_RAW = 101
"Each packet begins with its IPv4 or IPv6 header."
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPLEN, LINKTYPE_RAW)
"Of the file: magic (microseconds), version 2.4, two unused fields, snapshot length, link type."
_MAGICS = (HEADER[:4], HEADER[3::-1])

UDP, TCP = 17, 6
_PSH_ACK = 0x18
_TTL = 64
_DONT_FRAGMENT = 0x4000


@lru_cache(maxsize=4096)
def packed(host: str) -> bytes:
    """The 4 or 16 bytes of a numeric address, which may have a zone. Raises ValueError for anything else."""
    return ipaddress.ip_address(host.partition("%")[0]).packed


def packed_ends(source: str, destination: str) -> tuple[bytes, bytes]:
    """Both addresses in one family: an IPv4 one beside an IPv6 one is mapped (RFC 4291 §2.5.5.2)."""
    here, there = packed(source), packed(destination)
    if len(here) != len(there):
        here, there = (a if len(a) == 16 else bytes(10) + b"\xff\xff" + a for a in (here, there))
    return here, there


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): the complement of the ones' complement sum of all 16-bit words."""
    # That sum is the remainder by 65535 of the whole as one number, which Python reckons in one go; only
    # that of zeroes alone is zero, any other multiple sums to 65535.
    whole = int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big")
    return 0xFFFF - (whole % 0xFFFF or (0xFFFF if whole else 0))


def ip_packet(source: bytes, destination: bytes, protocol: int, content: bytes, number: int) -> bytes:
    """An IPv4 or IPv6 packet, by the length of its addresses; `number` is the identification of IPv4."""
    if len(source) == 16:
        # RFC 8200 §3: the version, the payload's length, what is next, the hop limit.
        start = struct.pack("!IHBB", 0x60000000, len(content), protocol, _TTL)
        return start + source + destination + content
    # RFC 791 §3.1: version 4, five words of header, type of service, length, …
    fields = (0x45, 0, 20 + len(content), number & 0xFFFF, _DONT_FRAGMENT, _TTL, protocol)
    ends = source + destination
    total = checksum(struct.pack("!BBHHHBBH", *fields, 0) + ends)
    return struct.pack("!BBHHHBBH", *fields, total) + ends + content


def _pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    # RFC 768, RFC 8200 §8.1: addresses, protocol and length count in the checksum.
    return source + destination + struct.pack("!II", length, protocol)


def udp_datagram(source: bytes, destination: bytes, ports: tuple[int, int], data: bytes) -> bytes:
    """A UDP header with its checksum, and the data."""
    length = 8 + len(data)
    start = struct.pack("!HHH", *ports, length)
    total = checksum(_pseudo_header(source, destination, UDP, length) + start + b"\0\0" + data)
    # RFC 768: a checksum that is zero is sent as all ones; zero means that there is none.
    return start + struct.pack("!H", total or 0xFFFF) + data


def tcp_segment(
    source: bytes, destination: bytes, ports: tuple[int, int], numbers: tuple[int, int], data: bytes
) -> bytes:
    """A TCP segment (RFC 9293 §3.1) with PSH and ACK; `numbers` are its sequence and acknowledgment."""
    start = struct.pack("!HHIIBBH", *ports, *numbers, 5 << 4, _PSH_ACK, 0xFFFF)
    pseudo = _pseudo_header(source, destination, TCP, 20 + len(data))
    total = checksum(pseudo + start + b"\0\0\0\0" + data)
    return start + struct.pack("!HH", total, 0) + data


def _open(path: str) -> BinaryIO:
    # Not buffered: what is written is there, however this process ends.
    return open(path, "ab+", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))


@implementer(ITrace)
class Pcap:
    """Writes each message as a packet to a capture file.

    What went by UDP or TCP is written as such, with the sequence numbers of a connection that carries
    nothing else. What went by TLS or WebSocket is written as UDP between the same addresses and ports: in
    clear it is neither TLS nor WebSocket, and programs that go by the port would take it for that. (Only a
    message too long for a datagram is TCP.)

    Every message is in the file at once. At `max_bytes` the file is renamed to FILE.1, in place of the one
    before, and a new one begins; so is a capture that is there at the start. When nothing can be written
    any more, as with a full disk, the log says so once, and the stack goes on without its capture. Only the
    user whose process this is may read the file: it shows what TLS was to hide.

    Times are the clock's, which for a reactor is the time of day. Raises ArgumentError for a file that is
    no capture, and OSError for one that cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], clock: IReactorTime, max_bytes: int = MAX_BYTES) -> None:
        self.path = os.fspath(path)
        self.lost = 0
        "Messages that could not be written."
        self._clock = clock
        self._max_bytes = max_bytes
        self._packets = 0
        # All that was sent in segments so far: a new connection begins where no earlier one can have been.
        self._sent = 1
        # The next sequence number of each direction.
        self._next: dict[tuple[Address, Address], int] = {}
        self._file: BinaryIO | None = None
        self._size = 0
        self._begin()

    def received(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        self._message(flow, flow.peer, flow.local, data)

    def sent(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        self._message(flow, flow.local, flow.peer, data)

    def note(self, actor: object, text: str) -> None:
        """See ITrace: what is no message is no packet."""

    def close(self) -> None:
        """Write nothing more."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                # All that could be written is written.
                pass

    # The packets of a message.

    def _message(self, flow: IFlow, source: Address, destination: Address, data: bytes) -> None:
        if self._file is None:
            self.lost += 1
            return
        try:
            ends = packed_ends(source[0], destination[0])
        except ValueError:
            self.lost += 1
            return
        ports = source[1] & 0xFFFF, destination[1] & 0xFFFF
        if flow.transport != "TCP" and len(data) <= LARGEST_DATAGRAM:
            contents = [udp_datagram(*ends, ports, data)]
            protocol = UDP
        else:
            contents = self._segments(source, destination, ends, ports, data)
            protocol = TCP
        micros = round(self._clock.seconds() * 1_000_000)
        self._write(b"".join(self._record(micros, ends, protocol, content) for content in contents))

    def _segments(
        self,
        source: Address,
        destination: Address,
        ends: tuple[bytes, bytes],
        ports: tuple[int, int],
        data: bytes,
    ) -> list[bytes]:
        way, back = (source, destination), (destination, source)
        if way not in self._next:
            self._open(way, back)
        number, acknowledged = self._next[way], self._next[back]
        segments = []
        for start in range(0, len(data), SEGMENT):
            part = data[start : start + SEGMENT]
            segments.append(tcp_segment(*ends, ports, (number, acknowledged), part))
            number = (number + len(part)) & 0xFFFFFFFF
        self._next[way] = number
        self._sent = (self._sent + len(data)) & 0xFFFFFFFF
        return segments

    def _open(self, way: tuple[Address, Address], back: tuple[Address, Address]) -> None:
        if len(self._next) >= 2 * MAX_CONVERSATIONS:
            oldest = next(iter(self._next))
            del self._next[oldest]
            self._next.pop((oldest[1], oldest[0]), None)
        self._next[way] = self._next[back] = self._sent

    def _record(self, micros: int, ends: tuple[bytes, bytes], protocol: int, content: bytes) -> bytes:
        self._packets += 1
        packet = ip_packet(*ends, protocol, content, self._packets)
        seconds, fraction = divmod(micros, 1_000_000)
        return struct.pack("<IIII", seconds & 0xFFFFFFFF, fraction, len(packet), len(packet)) + packet

    # The file.

    def _begin(self) -> None:
        """Open the file and write its header; a capture that is there is kept as FILE.1."""
        file = _open(self.path)
        try:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                # A pipe that nobody reads would stop the stack.
                raise ArgumentError(f"{self.path} is no regular file")
            if file.seek(0, os.SEEK_END):
                file.seek(0)
                if file.read(4) not in _MAGICS:
                    raise ArgumentError(f"{self.path} is there and is no capture file")
                file.close()
                os.replace(self.path, self.path + ".1")
                file = _open(self.path)
            self._file, self._size = file, 0
            self._put(HEADER)
        except BaseException:
            self._file = None
            file.close()
            raise

    def _write(self, records: bytes) -> None:
        try:
            if self._size + len(records) > self._max_bytes and self._size > len(HEADER):
                self.close()
                self._begin()
            self._put(records)
        except (OSError, ArgumentError) as problem:
            self.lost += 1
            log.warn("no more messages go to {path}: {problem}", path=self.path, problem=problem)
            self.close()

    def _put(self, data: bytes) -> None:
        """Write all of it, or leave the file as it was and raise OSError."""
        assert self._file is not None
        view, done = memoryview(data), 0
        try:
            while done < len(data):
                done += self._file.write(view[done:])
        except OSError:
            if done:
                os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(data)
