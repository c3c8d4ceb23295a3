"""A capture file holds every message as a packet that its readers take for what it was."""

from __future__ import annotations

import os
import pathlib
import struct
from types import SimpleNamespace
from typing import Any

import pytest
from zope.interface.verify import verifyClass

from sipactors import pcap
from sipactors.errors import ArgumentError
from sipactors.interfaces import ITrace
from sipactors.pcap import Pcap, checksum
from sipactors.testing import Clock, Network, Phone

PING = b"OPTIONS sip:b SIP/2.0\r\n\r\n"


def flow(transport: str = "UDP", local: str = "10.0.0.1", peer: str = "10.0.0.2", port: int = 5070) -> Any:
    return SimpleNamespace(transport=transport, local=(local, 5060), peer=(peer, port))


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "calls.pcap"


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Packet:
    """One record of a capture, taken apart by the formats' own figures."""

    def __init__(self, record: bytes, raw: bytes) -> None:
        self.seconds, self.micros, kept, whole = struct.unpack("<IIII", record)
        assert kept == whole == len(raw)
        self.raw = raw
        if raw[0] >> 4 == 4:
            assert raw[0] == 0x45
            assert struct.unpack_from("!H", raw, 2)[0] == len(raw)
            assert checksum(raw[:20]) == 0
            self.protocol, addresses, self.content = raw[9], raw[12:20], raw[20:]
        else:
            assert raw[:4] == b"\x60\0\0\0"
            assert struct.unpack_from("!H", raw, 4)[0] == len(raw) - 40
            self.protocol, addresses, self.content = raw[6], raw[8:40], raw[40:]
        # RFC 768, RFC 9293: the checksum covers the pseudo header, so that the sum of it all is zero.
        pseudo = addresses + struct.pack("!II", len(self.content), self.protocol)
        assert checksum(pseudo + self.content) == 0
        self.ports = struct.unpack_from("!HH", self.content)
        if self.protocol == 17:
            assert struct.unpack_from("!H", self.content, 4)[0] == len(self.content)
            self.data = self.content[8:]
        else:
            self.number, self.acknowledged, words, self.flags = struct.unpack_from("!IIBB", self.content, 4)
            assert words == 0x50
            self.data = self.content[20:]


def packets(path: pathlib.Path) -> list[Packet]:
    data = path.read_bytes()
    assert data[:24] == pcap.HEADER
    found, place = [], 24
    while place < len(data):
        length = struct.unpack_from("<I", data, place + 8)[0]
        found.append(Packet(data[place : place + 16], data[place + 16 : place + 16 + length]))
        place += 16 + length
    assert place == len(data)
    return found


def test_a_datagram_of_ipv4_byte_for_byte(path: pathlib.Path) -> None:
    """pcap-savefile(5), LINKTYPE_RAW, RFC 791 §3.1, RFC 768: the whole file, reckoned by hand."""
    now: Any = SimpleNamespace(seconds=lambda: 1_700_000_000.25)
    Pcap(path, now).sent(flow(), b"SIP!")
    assert path.read_bytes() == bytes.fromhex(
        # magic, version 2.4, zeroes, snapshot length 262144, link type 101
        "d4c3b2a1 0200 0400 00000000 00000000 00000400 65000000"
        # 1700000000 s, 250000 us, twice 32 bytes
        "00f15365 90d00300 20000000 20000000"
        # version and words, length 32, number 1, do not fragment, 64 hops, UDP, checksum, addresses
        "45 00 0020 0001 4000 40 11 26ca 0a000001 0a000002"
        # ports 5060 and 5070, length 12, checksum, data
        "13c4 13ce 000c 20d7 53495021"
    )


def test_a_datagram_of_ipv6(path: pathlib.Path, clock: Clock) -> None:
    """RFC 8200 §3 and §8.1: a header of 40 bytes, and a checksum of UDP that is not zero."""
    trace = Pcap(path, clock)
    trace.received(flow(local="2001:db8::1", peer="fe80::2%eth0"), PING)
    (packet,) = packets(path)
    assert packet.raw[8:40].hex() == "fe80" + "0" * 27 + "2" + "20010db8" + "0" * 23 + "1"
    assert (packet.protocol, packet.ports, packet.data) == (17, (5070, 5060), PING)


def test_the_clock_gives_the_times(path: pathlib.Path, clock: Clock) -> None:
    """Seconds and microseconds of the clock that was handed in."""
    trace = Pcap(path, clock)
    clock.advance(61.5)
    trace.sent(flow(), PING)
    (packet,) = packets(path)
    assert (packet.seconds, packet.micros) == divmod(round(clock.seconds() * 1e6), 1_000_000)


def test_a_tcp_connection_has_sequence_numbers_that_go_on(path: pathlib.Path, clock: Clock) -> None:
    """RFC 9293 §3.4: each byte has its number, and each side acknowledges what the other has sent."""
    trace = Pcap(path, clock)
    for _ in range(2):
        trace.sent(flow("TCP"), PING)
        trace.received(flow("TCP"), b"abc")
    start = packets(path)[0].number
    size = len(PING)
    assert [(p.ports[0], p.number - start, p.acknowledged - start, p.data) for p in packets(path)] == [
        (5060, 0, 0, PING),
        (5070, 0, size, b"abc"),
        (5060, size, 3, PING),
        (5070, 3, 2 * size, b"abc"),
    ]
    assert {(p.protocol, p.flags) for p in packets(path)} == {(6, 0x18)}


def test_a_long_message_by_tcp_has_several_segments(path: pathlib.Path, clock: Clock) -> None:
    """RFC 791 §3.1: no packet is longer than 65,535 bytes; the segments follow one another."""
    data = bytes(range(256)) * 1000
    Pcap(path, clock).sent(flow("TCP"), data)
    found = packets(path)
    assert b"".join(packet.data for packet in found) == data
    assert [p.number for p in found[1:]] == [p.number + len(p.data) for p in found[:-1]]


def test_forgotten_connections_go_on_with_numbers_not_used_before(
    path: pathlib.Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of connections is bounded; a repeated number would make a reader drop a message."""
    monkeypatch.setattr(pcap, "MAX_CONVERSATIONS", 2)
    trace = Pcap(path, clock)
    for port in (1, 2, 3, 1):
        trace.sent(flow("TCP", port=port), PING)
    assert len(trace._next) == 4
    first, _, _, again = packets(path)
    assert again.number >= first.number + len(PING)


@pytest.mark.parametrize("transport", ["TLS", "WS", "WSS"])
def test_what_went_by_tls_or_websocket_is_a_datagram_in_clear(
    path: pathlib.Path, clock: Clock, transport: str
) -> None:
    """D-46: TLS traffic in clear; only what no datagram can hold is TCP."""
    trace = Pcap(path, clock)
    trace.sent(flow(transport), PING)
    trace.sent(flow(transport), bytes(65_507))
    trace.sent(flow(transport), bytes(65_508))
    assert [packet.protocol for packet in packets(path)] == [17, 17, 6, 6]
    assert packets(path)[0].data == PING


def test_a_full_file_is_kept_beside_the_new_one(path: pathlib.Path, clock: Clock) -> None:
    """The size is bounded: one file and the one before it."""
    trace = Pcap(path, clock, max_bytes=300)
    for number in range(10):
        trace.sent(flow(), PING + bytes([number]))
    kept = path.with_name("calls.pcap.1")
    assert [packet.data[-1] for packet in packets(kept) + packets(path)] == [6, 7, 8, 9]
    assert max(kept.stat().st_size, path.stat().st_size) <= 300
    trace.close()


def test_the_capture_of_an_earlier_run_is_kept(path: pathlib.Path, clock: Clock) -> None:
    """A restart does not destroy what was captured before it."""
    first = Pcap(path, clock)
    first.sent(flow(), PING)
    first.close()
    Pcap(path, clock)
    assert packets(path) == []
    assert len(packets(path.with_name("calls.pcap.1"))) == 1


def test_a_file_that_is_no_capture_is_left_alone(path: pathlib.Path, clock: Clock) -> None:
    """A mistyped name does not cost anybody a file."""
    path.write_text("my thesis")
    with pytest.raises(ArgumentError, match="no capture file"):
        Pcap(path, clock)
    assert path.read_text() == "my thesis"
    os.mkfifo(path.with_name("pipe"))
    with pytest.raises(ArgumentError, match="no regular file"):
        Pcap(path.with_name("pipe"), clock)
    with pytest.raises(OSError, match="No such file"):
        Pcap(path.parent / "none" / "calls.pcap", clock)


def test_only_we_may_read_it(path: pathlib.Path, clock: Clock) -> None:
    """What TLS was to hide is not shown to every user of the machine."""
    Pcap(path, clock)
    assert path.stat().st_mode & 0o077 == 0


def test_every_message_is_in_the_file_at_once(path: pathlib.Path, clock: Clock) -> None:
    """What was captured is there, however the process ends."""
    trace = Pcap(path, clock)
    trace.sent(flow(), PING)
    assert len(packets(path)) == 1
    trace.note(trace, "no packet")
    assert len(packets(path)) == 1


def test_a_full_disk_ends_the_capture_alone(
    path: pathlib.Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack goes on; the file ends with a whole packet."""
    trace = Pcap(path, clock)
    trace.sent(flow(), PING)

    class Full:
        """A file on a disk that takes ten more bytes."""

        def __init__(self, file: Any) -> None:
            self.file, self.room = file, 10
            self.fileno, self.close = file.fileno, file.close

        def write(self, data: memoryview) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            self.room, size = 0, self.room
            return int(self.file.write(data[:size]))

    trace._file = Full(trace._file)  # type: ignore[assignment]
    trace.sent(flow(), PING)
    trace.sent(flow(), PING)
    assert trace.lost == 2
    assert len(packets(path)) == 1


def test_an_address_that_is_none_costs_one_message(path: pathlib.Path, clock: Clock) -> None:
    """A transport of somebody else's may name its peers as it likes."""
    trace = Pcap(path, clock)
    trace.sent(flow(peer="somewhere"), PING)
    trace.sent(flow(local="::1"), PING)
    assert trace.lost == 1
    assert packets(path)[0].raw[24:40] == bytes(10) + b"\xff\xff\x0a\0\0\x02"


@pytest.mark.parametrize(
    ("data", "total"),
    [(b"", 0xFFFF), (bytes.fromhex("0001f203f4f5f6f7"), 0xFFFF - 0xDDF2), (b"\xff\xff", 0), (b"\1", 0xFEFF)],
)
def test_the_checksum(data: bytes, total: int) -> None:
    """RFC 1071 §3: its own example sums to ddf2."""
    assert checksum(data) == total


def test_a_call_is_captured(path: pathlib.Path, clock: Clock) -> None:
    """Two phones on one network: each message that one of them sends or receives is one packet."""
    verifyClass(ITrace, Pcap)
    network = Network(clock)
    trace = Pcap(path, clock)
    alice = Phone(network, "alice", "192.0.2.1", trace=trace)
    Phone(network, "bob", "192.0.2.2")
    alice.call("sip:bob@192.0.2.2")
    clock.advance(1)
    sent = [packet.data for packet in network.capture]
    assert [packet.data for packet in packets(path)] == sent
    assert len(sent) >= 3
