"""What the in-memory network does to packets when it is told to be a bad one."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import error
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol

from sipactors.errors import ArgumentError
from sipactors.testing import Clock, Network


class Mailbox(DatagramProtocol):
    def __init__(self) -> None:
        self.received: list[bytes] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append(datagram)


class End(Protocol):
    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.chunks.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = reason.type


class Pair:
    """Alice and bob, with a UDP port each and a connection from alice to bob."""

    def __init__(self, seed: int = 0) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, seed)
        self.alice = self.network.host("alice", "10.0.0.1")
        self.bob = self.network.host("bob", "10.0.0.2")
        self.here, self.there = Mailbox(), Mailbox()
        self.alice.listenUDP(5060, self.here)
        self.bob.listenUDP(5060, self.there)
        self.client, self.server = End(), End()
        listening = Factory()
        listening.buildProtocol = lambda addr: self.server  # type: ignore[method-assign,assignment,return-value]
        connecting = ClientFactory()
        connecting.buildProtocol = lambda addr: self.client  # type: ignore[method-assign,assignment,return-value]
        self.bob.listenTCP(5060, listening)
        self.alice.connectTCP("10.0.0.2", 5060, connecting)
        self.clock.advance(1)

    def send(self, count: int, gap: float = 0.0) -> None:
        for number in range(count):
            self.here.transport.write(b"%d" % number, ("10.0.0.2", 5060))
            self.clock.advance(gap)


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_loss_is_as_likely_as_it_is_set_and_the_same_each_time() -> None:
    def received(seed: int) -> list[bytes]:
        pair = Pair(seed)
        pair.network.impair(loss=0.3)
        pair.send(1000)
        pair.clock.advance(1)
        fates = [packet.fate for packet in pair.network.capture]
        assert fates.count("delivered") == len(pair.there.received)
        assert fates.count("lost") == 1000 - len(pair.there.received)
        return pair.there.received

    assert 600 < len(received(1)) < 800
    assert received(1) == received(1)
    assert received(1) != received(2)


def test_loss_may_be_in_one_direction_only(pair: Pair) -> None:
    pair.network.link(pair.alice, pair.bob).loss = 1.0
    pair.send(5)
    pair.there.transport.write(b"back", ("10.0.0.1", 5060))
    pair.clock.advance(1)
    assert pair.there.received == []
    assert pair.here.received == [b"back"]


def test_every_datagram_may_come_twice(pair: Pair) -> None:
    pair.network.impair(pair.alice, pair.bob, duplication=1.0)
    pair.send(2)
    pair.clock.advance(1)
    assert pair.there.received == [b"0", b"0", b"1", b"1"]


def test_latency_and_jitter(pair: Pair) -> None:
    pair.network.impair(latency=1.0, jitter=0.5)
    pair.send(50)
    pair.clock.advance(0.99)
    assert pair.there.received == []
    pair.clock.advance(0.51)
    assert len(pair.there.received) == 50
    assert pair.there.received != sorted(pair.there.received, key=int)


def test_reordering_lets_later_datagrams_overtake(pair: Pair) -> None:
    pair.network.impair(reordering=0.3)
    pair.send(100, gap=0.01)
    pair.clock.advance(1)
    numbers = [int(data) for data in pair.there.received]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(100))


def test_large_datagrams_may_vanish(pair: Pair) -> None:
    """RFC 3261 §18.1.1: a request near the path MTU goes by a congestion controlled transport."""
    pair.network.impair(largest_datagram=1472)
    pair.here.transport.write(bytes(1473), ("10.0.0.2", 5060))
    pair.here.transport.write(bytes(1472), ("10.0.0.2", 5060))
    pair.clock.advance(1)
    assert [len(data) for data in pair.there.received] == [1472]


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_streams_come_in_pieces_of_a_size(pair: Pair, size: int) -> None:
    pair.network.link(pair.alice, pair.bob).segment = size
    data = bytes(range(100))
    pair.client.transport.write(data)
    pair.clock.advance(1)
    assert pair.server.chunks == [data[start : start + size] for start in range(0, 100, size)]


def test_streams_come_in_pieces_of_random_sizes(pair: Pair) -> None:
    pair.network.impair(random_segments=True, segment=20)
    data = bytes(range(256)) * 10
    pair.client.transport.write(data)
    pair.clock.advance(1)
    assert b"".join(pair.server.chunks) == data
    assert {len(chunk) for chunk in pair.server.chunks} >= {1, 2, 3, 19, 20}


def test_two_writes_may_arrive_as_one(pair: Pair) -> None:
    pair.network.impair(coalesce=True)
    pair.server.transport.pauseProducing()
    pair.client.transport.write(b"one")
    pair.client.transport.write(b"two")
    pair.clock.advance(1)
    pair.server.transport.resumeProducing()
    pair.clock.advance(1)
    assert pair.server.chunks == [b"onetwo"]


def test_loss_jitter_and_reordering_leave_a_stream_in_order(pair: Pair) -> None:
    pair.network.impair(loss=0.3, jitter=0.5, reordering=0.5, duplication=0.5, random_segments=True)
    data = bytes(range(256)) * 100
    for start in range(0, len(data), 100):
        pair.client.transport.write(data[start : start + 100])
        pair.clock.advance(0.01)
    pair.clock.advance(100)
    assert b"".join(pair.server.chunks) == data


def test_a_partition_is_silent_and_heals(pair: Pair) -> None:
    pair.network.partition(pair.bob)
    pair.send(1)
    pair.client.transport.write(b"late")
    pair.clock.advance(10)
    assert (pair.there.received, pair.server.chunks, pair.client.ended) == ([], [], None)
    pair.network.heal(pair.bob)
    pair.send(1)
    pair.clock.advance(1)
    assert pair.there.received == [b"0"]
    assert pair.server.chunks == [b"late"]


def test_a_black_hole_swallows_one_direction(pair: Pair) -> None:
    pair.network.black_hole(pair.alice, pair.bob)
    pair.client.transport.write(b"lost")
    pair.client.transport.loseConnection()
    pair.server.transport.write(b"heard")
    pair.clock.advance(10)
    assert pair.server.chunks == []
    assert pair.server.ended is None
    assert pair.client.ended is error.ConnectionDone
    pair.network.heal()
    pair.clock.advance(1)
    # TCP of the closed end goes on sending what it was given.
    assert pair.server.chunks == [b"lost"]
    assert pair.server.ended is error.ConnectionDone


def test_a_host_that_goes_down_and_up_again(pair: Pair) -> None:
    pair.bob.go_down()
    pair.send(2)
    pair.client.transport.write(b"1")
    pair.there.transport.write(b"out", ("10.0.0.1", 5060))
    pair.clock.advance(5)
    assert (pair.there.received, pair.here.received, pair.server.chunks) == ([], [], [])
    pair.bob.go_up()
    pair.client.transport.write(b"2")
    pair.clock.advance(1)
    assert b"".join(pair.server.chunks) == b"12"


def test_connections_over_a_removed_address_die(pair: Pair) -> None:
    """D-32: the network changes."""
    pair.alice.remove_address("10.0.0.1")
    assert pair.client.ended is None
    pair.clock.advance(0)
    assert pair.client.ended is pair.server.ended is error.ConnectionLost


def test_a_removed_address_may_leave_the_far_end_in_its_belief(pair: Pair) -> None:
    pair.alice.remove_address("10.0.0.1", silent=True)
    pair.clock.advance(1)
    assert pair.client.ended is error.ConnectionLost
    assert pair.server.ended is None


def test_a_connection_can_be_killed(pair: Pair) -> None:
    """D-9: pending transactions fail at once when their connection dies."""
    assert pair.network.kill(pair.bob, pair.alice) == 1
    assert pair.client.ended is None
    pair.clock.advance(0)
    assert pair.client.ended is pair.server.ended is error.ConnectionLost
    assert pair.network.kill(pair.alice) == 0


def test_an_unknown_condition_is_refused(pair: Pair) -> None:
    with pytest.raises(ArgumentError, match="latency"):
        pair.network.impair(lag=1)
