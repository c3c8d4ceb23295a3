"""A test's rules for packets on their way: the races of D-1 to D-12 can be forced in any order."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol

from sipactors.testing import Clock, Network
from sipactors.testing.capture import Packet


class Mailbox(DatagramProtocol):
    def __init__(self) -> None:
        self.received: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append(datagram)


class End(Protocol):
    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        self.chunks.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True


class Pair:
    def __init__(self, capture: int | None = None) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, capture=capture)
        self.alice = self.network.host("alice", "10.0.0.1")
        self.bob = self.network.host("bob", "10.0.0.2")
        self.caller, self.called = Mailbox(), Mailbox()
        self.alice.listenUDP(5060, self.caller)
        self.bob.listenUDP(5060, self.called)

    def call(self, *messages: bytes) -> None:
        for message in messages:
            self.caller.transport.write(message, ("10.0.0.2", 5060))
        self.clock.advance(1)

    def answer(self, *messages: bytes) -> None:
        for message in messages:
            self.called.transport.write(message, ("10.0.0.1", 5060))
        self.clock.advance(1)

    def connect(self) -> tuple[Any, Any]:
        servers, ends = Factory.forProtocol(End), []
        servers.buildProtocol = lambda addr: ends.append(End()) or ends[-1]  # type: ignore
        clients = ClientFactory()
        clients.buildProtocol = servers.buildProtocol  # type: ignore[method-assign]
        self.bob.listenTCP(5060, servers)
        self.alice.connectTCP("10.0.0.2", 5060, clients)
        self.clock.advance(1)
        return ends[1], ends[0]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_the_next_one_is_dropped_and_no_other(pair: Pair) -> None:
    dropped = pair.network.drop("INVITE ")
    pair.call(b"INVITE 1", b"OPTIONS 2", b"INVITE 3")
    assert pair.called.received == [b"OPTIONS 2", b"INVITE 3"]
    assert [packet.data for packet in dropped.packets] == [b"INVITE 1"]
    assert [packet.fate for packet in pair.network.capture] == ["dropped", "delivered", "delivered"]
    assert pair.network.rules == []


def test_what_is_wanted_may_be_a_start_a_part_or_a_function(pair: Pair) -> None:
    pair.network.drop("SIP/2.0 200")
    pair.network.drop(b"CSeq: 2")
    pair.network.drop(lambda packet: packet.transport == "UDP" and len(packet.data) == 3)
    pair.call(b"SIP/2.0 200 OK", b"X\r\nCSeq: 2 BYE", b"abc", b"abcd")
    assert pair.called.received == [b"abcd"]


def test_all_may_be_dropped_until_the_rule_ends(pair: Pair) -> None:
    rule = pair.network.drop("", times=None)
    pair.call(b"1", b"2")
    rule.end()
    pair.call(b"3")
    assert pair.called.received == [b"3"]


def test_a_rule_may_be_for_one_direction(pair: Pair) -> None:
    pair.network.drop("x", source=pair.bob)
    pair.network.drop("y", destination=pair.bob)
    pair.call(b"x")
    pair.answer(b"x", b"y")
    pair.call(b"y")
    assert pair.called.received == [b"x"]
    assert pair.caller.received == [b"y"]


def test_a_cancel_and_a_200_can_be_made_to_cross(pair: Pair) -> None:
    """D-1: CANCEL crossing the 200."""
    cancel = pair.network.hold("CANCEL ")
    ok = pair.network.hold("SIP/2.0 200")
    pair.call(b"CANCEL sip:bob@example.com SIP/2.0")
    pair.answer(b"SIP/2.0 180 Ringing", b"SIP/2.0 200 OK")
    assert pair.called.received == []
    assert pair.caller.received == [b"SIP/2.0 180 Ringing"]
    assert [packet.fate for packet in pair.network.capture] == ["held", "delivered", "held"]
    ok.release()
    cancel.release()
    assert len(pair.caller.received) == 1
    pair.clock.advance(0)
    assert len(pair.caller.received) == 2
    assert len(pair.called.received) == 1
    pair.answer(b"SIP/2.0 200 OK again")
    assert len(pair.caller.received) == 3


def test_what_is_held_is_released_in_any_order(pair: Pair) -> None:
    held = pair.network.hold("")
    pair.call(b"1", b"2", b"2", b"3")
    one, two, again, three = held.packets
    held.release(three, one)
    pair.clock.advance(0)
    assert pair.called.received == [b"3", b"1"]
    held.discard(two)
    with pytest.raises(ValueError, match="not held"):
        held.release(two)
    assert held.packets == [again]
    pair.call(b"4")
    held.release()
    pair.clock.advance(0)
    assert pair.called.received == [b"3", b"1", b"2", b"4"]
    pair.call(b"5")
    assert pair.called.received[-1] == b"5"


def test_bytes_may_change_on_their_way(pair: Pair) -> None:
    """D-3: a NAT changed the sent-by."""
    pair.network.alter("INVITE ", lambda data: data.replace(b"10.0.0.1", b"192.0.2.1"), times=1)
    pair.call(b"INVITE Via: 10.0.0.1", b"INVITE Via: 10.0.0.1")
    assert pair.called.received == [b"INVITE Via: 192.0.2.1", b"INVITE Via: 10.0.0.1"]


def test_rules_of_different_kinds_go_together(pair: Pair) -> None:
    pair.network.alter("a", bytes.upper)
    held = pair.network.hold("A")
    pair.call(b"abc")
    assert [packet.data for packet in held.packets] == [b"ABC"]


def test_a_held_piece_of_a_stream_holds_up_what_comes_behind_it(pair: Pair) -> None:
    client, server = pair.connect()
    held = pair.network.hold("BYE ")
    client.transport.write(b"first")
    client.transport.write(b"BYE ")
    client.transport.write(b"behind")
    client.transport.loseConnection()
    pair.clock.advance(1)
    assert server.chunks == [b"first"]
    held.release()
    pair.clock.advance(1)
    assert server.chunks == [b"first", b"BYE ", b"behind"]
    assert server.ended


def test_a_piece_of_a_stream_may_be_dropped_or_discarded(pair: Pair) -> None:
    client, server = pair.connect()
    pair.network.drop("1")
    held = pair.network.hold("2")
    for data in (b"1", b"2", b"3"):
        client.transport.write(data)
    pair.clock.advance(1)
    assert server.chunks == []
    held.discard()
    pair.clock.advance(1)
    assert server.chunks == [b"3"]


def test_everything_is_captured_with_its_time(pair: Pair) -> None:
    client, _ = pair.connect()
    pair.call(b"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: x\r\n\r\n")
    client.transport.write(b"hello")
    datagram, chunk = pair.network.capture
    assert datagram.time == 1
    assert datagram.source == ("10.0.0.1", 5060)
    assert chunk.destination == ("10.0.0.2", 5060)
    assert (datagram.transport, chunk.transport) == ("UDP", "TCP")
    assert str(pair.network.capture).splitlines() == [
        "1.000 UDP 10.0.0.1:5060 -> 10.0.0.2:5060 OPTIONS sip:bob@example.com SIP/2.0",
        "2.000 TCP 10.0.0.1:49152 -> 10.0.0.2:5060 hello",
    ]
    assert pair.network.capture.first_lines() == ["OPTIONS sip:bob@example.com SIP/2.0", "hello"]
    assert list(pair.network.capture[1:]) == [chunk]
    assert pair.network.capture[-1] is chunk
    assert len(pair.network.capture.take()) == 2
    assert len(pair.network.capture) == 0
    pair.call(b"more")
    assert pair.network.capture.first_lines() == ["more"]


def test_a_capture_may_be_bounded_or_off() -> None:
    bounded, off = Pair(capture=2), Pair(capture=0)
    for pair in (bounded, off):
        pair.call(b"1", b"2", b"3")
        assert len(pair.called.received) == 3
    assert bounded.network.capture.first_lines() == ["2", "3"]
    assert list(off.network.capture) == []


def test_a_packet_shows_bytes_that_are_no_text() -> None:
    packet = Packet(0.25, ("fd00::1", 5060), ("fd00::2", 5061), b"\xff\x00", "UDP")
    packet.fate = "lost"
    assert repr(packet) == "0.250 UDP [fd00::1]:5060 -> [fd00::2]:5061 \\xff\x00 (lost)"
