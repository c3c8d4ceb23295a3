"""A collector gets every message as a HEP3 packet, and its absence disturbs nobody."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from zope.interface.verify import verifyClass

from sipactors import hep
from sipactors.errors import ArgumentError
from sipactors.hep import HEP
from sipactors.interfaces import ITrace
from sipactors.testing import Clock, Network, Phone

PING = b"OPTIONS sip:b SIP/2.0\r\ni : call-7@x \r\n\r\n"
COLLECTOR = ("192.0.2.9", 9060)


def flow(transport: str = "UDP", local: str = "10.0.0.1", peer: str = "10.0.0.2") -> Any:
    return SimpleNamespace(transport=transport, local=(local, 5060), peer=(peer, 5070))


def chunks(packet: bytes) -> dict[int, bytes]:
    """The chunks of a HEP3 packet by their types; all vendors are 0."""
    assert packet[:4] == b"HEP3"
    assert struct.unpack_from("!H", packet, 4)[0] == len(packet)
    found, place = {}, 6
    while place < len(packet):
        vendor, kind, length = struct.unpack_from("!HHH", packet, place)
        assert vendor == 0
        assert length >= 6
        assert kind not in found
        found[kind] = packet[place + 6 : place + length]
        place += length
    assert place == len(packet)
    return found


class Collector(DatagramProtocol):
    """Keeps what comes."""

    def __init__(self, packets: list[bytes]) -> None:
        self.packets = packets

    def datagramReceived(self, data: bytes, address: Any) -> None:
        self.packets.append(data)


class Scene:
    """A host that traces, and a collector, on one network."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.host = self.network.host("agent", "192.0.2.1", "2001:db8::1")
        self.packets: list[bytes] = []
        there = self.network.host("homer", "192.0.2.9", "2001:db8::9")
        for interface in ("192.0.2.9", "2001:db8::9"):
            there.listenUDP(9060, Collector(self.packets), interface, hep.MAX_PACKET)

    def trace(self, collector: tuple[str, int] = COLLECTOR, **options: Any) -> HEP:
        return HEP(self.host, self.clock, collector, **options)

    def collected(self) -> list[dict[int, bytes]]:
        self.clock.advance(1)
        return [chunks(packet) for packet in self.packets]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_packet_byte_for_byte() -> None:
    """HEP3 specification: the whole packet, written down by hand."""
    packet = hep.packet(
        ("10.0.0.1", 5060),
        ("10.0.0.2", 5070),
        "UDP",
        b"x\r\nCall-ID: c\r\n",
        1_700_000_000.25,
        capture_id=7,
        password=b"pw",
    )
    assert packet == bytes.fromhex(
        "48455033 0081"  # HEP3, 129 bytes
        "0000 0001 0007 02"  # IPv4
        "0000 0002 0007 11"  # UDP
        "0000 0003 000a 0a000001"
        "0000 0004 000a 0a000002"
        "0000 0007 0008 13c4"
        "0000 0008 0008 13ce"
        "0000 0009 000a 6553f100"  # 1700000000 s
        "0000 000a 000a 0003d090"  # 250000 us
        "0000 000b 0007 01"  # SIP
        "0000 000c 000a 00000007"
        "0000 000e 0008 7077"
        "0000 0011 0007 63"
        "0000 000f 0015 780d0a43616c6c2d49443a20630d0a"
    )


def test_each_message_goes_to_the_collector(scene: Scene) -> None:
    """Source and destination are those of the message, whichever way it went."""
    trace = scene.trace(capture_id=2001)
    scene.clock.advance(5)
    trace.sent(flow(), PING)
    trace.received(flow("TLS"), PING)
    one, two = scene.collected()
    assert (one[2], one[3], one[4], one[7], one[8]) == (
        *(b"\x11", b"\x0a\0\0\1", b"\x0a\0\0\2"),
        *(struct.pack("!H", 5060), struct.pack("!H", 5070)),
    )
    assert (two[2], two[3], two[4], two[7], two[8]) == (
        *(b"\x06", b"\x0a\0\0\2", b"\x0a\0\0\1"),
        *(struct.pack("!H", 5070), struct.pack("!H", 5060)),
    )
    for each in (one, two):
        assert each[9] == struct.pack("!I", int(scene.clock.seconds() - 1))
        assert each[12] == struct.pack("!I", 2001)
        assert each[15] == PING
        assert each[17] == b"call-7@x"
        assert 14 not in each


def test_ipv6_has_chunks_of_its_own(scene: Scene) -> None:
    """HEP3 specification: family 10, addresses in the chunks 5 and 6; the collector may be IPv6, too."""
    trace = scene.trace(("2001:db8::9", 9060), password="")
    trace.sent(flow(local="2001:db8::1", peer="fe80::2%eth0"), b"no Call-ID")
    (packet,) = scene.collected()
    assert (packet[1], packet[5].hex(), packet[6].hex()) == (
        *(b"\x0a", "20010db8000000000000000000000001"),
        "fe800000000000000000000000000002",
    )
    assert packet[14] == b""
    assert not {3, 4, 17} & set(packet)


def test_a_message_without_room_loses_its_end(scene: Scene) -> None:
    """A packet is one datagram: a message that fills one by itself arrives without its last bytes."""
    trace = scene.trace()
    trace.sent(flow("TCP"), PING + bytes(65_500))
    (packet,) = scene.collected()
    assert len(scene.packets[0]) == hep.MAX_PACKET
    assert packet[15].startswith(PING)
    assert trace.lost == 0


def test_a_call_goes_on_without_its_collector(scene: Scene) -> None:
    """An unreachable collector never disturbs the stack: refused, silent, or without a way to it."""
    clock, network = scene.clock, scene.network
    for number, place in enumerate([("192.0.2.9", 9), ("198.51.100.1", 9060), ("2001:db8::9", 9060)]):
        host = network.host(f"tracer{number}", f"192.0.2.{100 + number}")
        phone = Phone(network, f"alice{number}", f"192.0.2.{20 + number}", trace=HEP(host, clock, place))
        bob = Phone(network, f"bob{number}", f"192.0.2.{40 + number}")
        phone.call(bob)
        clock.advance(2)
        assert len(bob.calls) == 1
        assert "dialog_response_received" in phone.heard()


def test_a_reactor_that_gives_no_port_costs_the_packets_alone(scene: Scene) -> None:
    """No port, no network: counted, said once in the log, and tried again with the next message."""
    raised: list[Exception] = [CannotListenError("", 0, OSError("none")), OSError(101, "unreachable")]

    class Reactor:
        """Refuses a port at first, and then one packet."""

        def listenUDP(self, *arguments: Any) -> Any:
            if len(raised) == 2:
                raise raised.pop(0)
            return self

        def write(self, data: bytes, address: Any) -> None:
            if raised:
                raise raised.pop()
            scene.packets.append(data)

    trace = HEP(Reactor(), scene.clock, COLLECTOR)  # type: ignore[arg-type]
    for _ in range(3):
        trace.sent(flow(), PING)
    assert (trace.lost, len(scene.packets)) == (2, 1)
    trace.sent(flow(peer="somewhere"), PING)
    assert trace.lost == 3


def test_closing_gives_the_port_back(scene: Scene) -> None:
    """Nothing goes out after close, and nothing is left open."""
    trace = scene.trace()
    assert not scene.host.datagram_ports
    trace.note(trace, "no packet")
    trace.sent(flow(), PING)
    assert scene.host.datagram_ports
    done: list[object] = []
    trace.close().addCallback(done.append)
    scene.clock.advance(0)
    assert done == [None]
    assert not scene.host.datagram_ports
    trace.sent(flow(), PING)
    assert (trace.lost, len(scene.collected())) == (1, 1)


@pytest.mark.parametrize(
    ("collector", "options", "what"),
    [
        (("homer.example.com", 9060), {}, "numeric"),
        (("192.0.2.9", 0), {}, "port"),
        (("192.0.2.9", 65536), {}, "port"),
        (COLLECTOR, {"capture_id": 2**32}, "capture_id"),
        (COLLECTOR, {"capture_id": -1}, "capture_id"),
        (COLLECTOR, {"password": "x" * 1025}, "password"),
    ],
)
def test_what_no_packet_can_carry_is_told_at_once(
    scene: Scene, collector: Any, options: Any, what: str
) -> None:
    """The caller's mistakes raise at the caller."""
    with pytest.raises(ArgumentError, match=what):
        scene.trace(collector, **options)


def test_a_call_is_collected(scene: Scene) -> None:
    """Every message of a call arrives, all with the Call-ID as their correlation."""
    verifyClass(ITrace, HEP)
    alice = Phone(scene.network, "alice", "192.0.2.20", trace=scene.trace())
    alice.call(Phone(scene.network, "bob", "192.0.2.21"))
    scene.clock.advance(1)
    messages = [packet.data for packet in scene.network.capture if not packet.data.startswith(b"HEP3")]
    collected = scene.collected()
    assert [packet[15] for packet in collected] == messages
    assert len(messages) >= 3
    assert len({packet[17] for packet in collected}) == 1
