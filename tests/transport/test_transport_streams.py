"""Stream connections: framing however a stream is cut, keep-alives, and an end for every kind of abuse."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.testing import StringTransport

from sipactors.errors import TransportFailure
from sipactors.transport.description import Description
from sipactors.transport.flow import Listener
from sipactors.transport.stream import StreamFlow, StreamProtocol

VIA = "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1"


@pytest.fixture
def bob(world: Any) -> Any:
    end = world.end("bob", "192.0.2.2", "2001:db8::2")
    end.layer.listen("tcp:5060")
    return end


@pytest.fixture
def host(world: Any) -> Any:
    return world.network.host("peer", "192.0.2.1", "2001:db8::1")


def over_string_transport(end: Any) -> tuple[StreamFlow, StreamProtocol, StringTransport]:
    """A connection on nothing but an ITransport."""
    listener = Listener(end.layer.site, Description("tcp", 5060))
    listener.transport = "TCP"
    flow = StreamFlow(listener, ("192.0.2.1", 40000), lambda flow: None)
    protocol = StreamProtocol(flow)
    wire = StringTransport()
    protocol.makeConnection(wire)
    return flow, protocol, wire


@pytest.mark.accepts("J4")
def test_messages_are_found_however_the_stream_is_cut(world: Any, write: Any) -> None:
    """RFC 3261 §18.3: Content-Length tells where a message ends; where segments end tells nothing (D-24)."""
    end = world.end("bob", "192.0.2.2")
    body = b"v=0\r\n\r\nINVITE sip:x SIP/2.0\r\n"
    stream = (
        b"\r\n\r\n" + write.request(VIA, "MESSAGE", body) + b"\r\n" + write.request(VIA, "INFO", b"\r\n\r\n")
    ) + write.request(VIA)
    for cut in range(len(stream) + 1):
        flow, protocol, wire = over_string_transport(end)
        protocol.dataReceived(stream[:cut])
        if cut < len(stream):
            protocol.dataReceived(stream[cut:])
        assert [(m.method, m.body) for m in end.messages] == [
            ("MESSAGE", body),
            ("INFO", b"\r\n\r\n"),
            ("OPTIONS", b""),
        ]
        assert wire.value().count(b"\r\n") == 1, cut
        assert not flow.closed
        end.events.take()


@pytest.mark.accepts("J4")
def test_messages_are_found_byte_by_byte(world: Any, write: Any) -> None:
    """One byte a segment is a stream too."""
    end = world.end("bob", "192.0.2.2")
    _, protocol, _ = over_string_transport(end)
    for byte in write.request(VIA, body=b"12345") * 3:
        protocol.dataReceived(bytes((byte,)))
    assert [m.body for m in end.messages] == [b"12345"] * 3
    assert end.metrics.messages_received == 3


@pytest.mark.accepts("J4")
def test_a_ping_is_answered(world: Any, bob: Any, host: Any) -> None:
    """RFC 5626 §3.5.1: a double CRLF between messages is answered with a single CRLF."""
    raw = world.connect(host, "192.0.2.2")
    raw.transport.write(b"\r\n\r\n")
    world.clock.advance(1)
    assert raw.data == b"\r\n"
    raw.transport.write(b"\r\n")
    world.clock.advance(60)
    assert raw.data == b"\r\n"
    assert (bob.metrics.pings_received, bob.events.events) == (1, [])
    assert not raw.ended


@pytest.mark.accepts("J4")
@pytest.mark.parametrize(
    ("junk", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\nVia: " + VIA.encode() + b"\r\n\r\n", 400),
        (b"OPTIONS sip:b SIP/2.0\r\nVia: " + VIA.encode() + b"\r\nContent-Length: 99999999\r\n\r\n", 513),
        (b"\x16\x03\x01" + b"x" * 70000, 513),
    ],
    ids=["http", "no Content-Length", "large", "endless"],
)
def test_a_framing_error_is_answered_and_ends_its_connection_only(
    world: Any, write: Any, host: Any, junk: bytes, status: int
) -> None:
    """RFC 3261 §18.3: where a message ends must be known; else it is told, and the connection closed."""
    answer = b"SIP/2.0 400 Bad Request\r\n\r\n"
    bob = world.end("bob", "192.0.2.2", then={"malformed_received": lambda error, flow: flow.send(answer)})
    bob.layer.listen("tcp:5060")
    good, bad = world.connect(host, "192.0.2.2"), world.connect(host, "192.0.2.2")
    bad.transport.write(write.request(VIA) + junk)
    bad.transport.write(write.request(VIA))
    world.clock.advance(1)
    assert bob.events.names() == ["message_received", "malformed_received"]
    assert bob.events.last().args[0].status == status
    assert bad.data == answer, "what the receiver answered went out before the end"
    assert bad.ended
    assert not good.ended
    good.transport.write(write.request(VIA))
    world.clock.advance(1)
    assert len(bob.messages) == 2
    assert (bob.metrics.framing_errors, len(bob.layer.connections)) == (1, 1)


def test_a_framed_message_without_a_via_leaves_the_connection_open(world: Any, bob: Any, host: Any) -> None:
    """A message that is whole but wrong is malformed; the stream goes on behind it."""
    raw = world.connect(host, "192.0.2.2")
    raw.transport.write(b"OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\nl: 0\r\n\r\n")
    world.clock.advance(1)
    assert bob.events.names() == ["malformed_received"]
    assert not raw.ended


def test_a_broken_receiver_does_not_break_the_connection(world: Any, write: Any, host: Any) -> None:
    """A bug above the transport is counted; what comes behind that message is read."""

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    bob = world.end("bob", "192.0.2.2", then={"message_received": broken, "malformed_received": broken})
    bob.layer.listen("tcp:5060")
    raw = world.connect(host, "192.0.2.2")
    raw.transport.write(write.request(VIA) * 2 + b"nonsense\r\n\r\n")
    world.clock.advance(1)
    assert bob.metrics.faults == 3
    assert raw.ended, "for its framing, not for the bug"


class TestAbuse:
    """Limits are checked before anything is allocated, and each is counted (D-30, D-40)."""

    def test_a_connection_that_says_nothing_is_closed(self, world: Any, bob: Any, host: Any) -> None:
        """A peer has handshake_timeout for its first message or ping."""
        silent, pinging = world.connect(host, "192.0.2.2"), world.connect(host, "192.0.2.2")
        pinging.transport.write(b"\r\n\r\n")
        world.clock.advance(9.5)
        assert not silent.ended
        world.clock.advance(1)
        assert silent.ended
        assert not pinging.ended
        assert bob.metrics.slow_senders_closed == 1
        assert len(bob.layer.connections) == 1

    def test_a_message_that_trickles_is_cut_off(self, world: Any, write: Any, bob: Any, host: Any) -> None:
        """A byte a second keeps no connection: the deadline runs from the first byte of a message."""
        raw = world.connect(host, "192.0.2.2")
        raw.transport.write(write.request(VIA))
        world.clock.advance(60)
        assert not raw.ended, "between messages there is no hurry"
        for byte in write.request(VIA)[:9]:
            raw.transport.write(bytes((byte,)))
            world.clock.advance(1)
        assert not raw.ended
        world.clock.advance(2)
        assert raw.ended
        assert bob.metrics.slow_senders_closed == 1

    def test_each_message_has_its_own_deadline(self, world: Any, write: Any, bob: Any, host: Any) -> None:
        """A busy connection on which a message is always half read is no slow one."""
        raw = world.connect(host, "192.0.2.2")
        message = write.request(VIA)
        raw.transport.write(message[:100])
        for _ in range(20):
            world.clock.advance(6)
            raw.transport.write(message[100:] + message[:100])
        world.clock.advance(1)
        assert len(bob.messages) == 20
        assert not raw.ended

    def test_a_peer_that_does_not_read_is_closed(self, world: Any, write: Any, host: Any) -> None:
        """What waits for a slow reader is bounded by max_write_buffer; its watchers are told, once."""
        bob = world.end("bob", "192.0.2.2", max_write_buffer=200_000)
        bob.layer.listen("tcp:5060")
        slow, quick = world.connect(host, "192.0.2.2"), world.connect(host, "192.0.2.2")
        for raw in (slow, quick):
            raw.transport.write(write.request(VIA))
        world.clock.advance(1)
        flow, other = bob.flows
        flow.watch(bob.watcher())
        slow.transport.pauseProducing()
        sent = 0
        while not flow.closed:
            flow.send(b"x" * 1000)
            sent += 1
            assert sent < 1000
            if sent % 10 == 0:
                world.clock.advance(0.01)
        assert not bob.lost, "never from inside send"
        other.send(b"y" * 1000)
        world.clock.advance(1)
        assert bob.lost == [
            ("watcher", f"TCP to 192.0.2.1 port {flow.peer[1]}: the peer does not read what it is sent")
        ]
        assert len(quick.data) == 1000
        assert (bob.metrics.slow_readers_closed, bob.metrics.messages_lost) == (1, 1)
        assert len(bob.layer.connections) == 1

    def test_a_peer_that_reads_in_time_is_kept(self, world: Any, write: Any, host: Any) -> None:
        """What was read is not counted any more."""
        bob = world.end("bob", "192.0.2.2", max_write_buffer=200_000)
        bob.layer.listen("tcp:5060")
        raw = world.connect(host, "192.0.2.2")
        raw.transport.write(write.request(VIA))
        world.clock.advance(1)
        (flow,) = bob.flows
        for _ in range(10):
            raw.transport.pauseProducing()
            for _ in range(250):
                flow.send(b"x" * 1000)
            raw.transport.resumeProducing()
            world.clock.advance(1)
        assert not flow.closed
        assert len(raw.data) == 2_500_000

    def test_connections_of_one_source_are_limited(self, world: Any, write: Any, host: Any) -> None:
        """max_connections_per_source counts what one address has open; others come in."""
        bob = world.end("bob", "192.0.2.2", max_connections_per_source=2)
        bob.layer.listen("tcp:5060")
        carol = world.network.host("carol", "192.0.2.3")
        first, second, third = (world.connect(host, "192.0.2.2") for _ in range(3))
        assert [raw.ended for raw in (first, second, third)] == [False, False, True]
        assert not world.connect(carol, "192.0.2.2").ended
        assert bob.metrics.connections_refused == 1
        first.transport.loseConnection()
        world.clock.advance(1)
        assert not world.connect(host, "192.0.2.2").ended

    def test_all_connections_are_limited(self, world: Any, host: Any) -> None:
        """max_connections counts both directions; one more raises TransportFailure or is refused."""
        bob = world.end("bob", "192.0.2.2", max_connections=2)
        bob.layer.listen("tcp:5060")
        assert not world.connect(host, "192.0.2.2").ended
        bob.layer.flow_to("TCP", "192.0.2.1", 5060)
        with pytest.raises(TransportFailure, match="may be no more"):
            bob.layer.flow_to("TCP", "192.0.2.1", 5061)
        assert bob.layer.flow_to("TCP", "192.0.2.1", 5060), "one that is there may be used"
        assert world.connect(host, "192.0.2.2").ended
        assert bob.metrics.connections_refused == 2

    def test_a_connection_that_carries_nothing_is_closed(self, world: Any, write: Any, host: Any) -> None:
        """idle_timeout closes what nobody uses and nobody waits on."""
        bob = world.end("bob", "192.0.2.2", idle_timeout=100.0)
        bob.layer.listen("tcp:5060")
        idle, busy, watched = (world.connect(host, "192.0.2.2") for _ in range(3))
        for raw in (idle, busy, watched):
            raw.transport.write(write.request(VIA))
        world.clock.advance(1)
        bob.flows[2].watch(watcher := bob.watcher())
        for _ in range(10):
            world.clock.advance(9.5)
            busy.transport.write(b"\r\n\r\n")
        assert not idle.ended
        world.clock.advance(20)
        assert [raw.ended for raw in (idle, busy, watched)] == [True, False, False]
        assert bob.metrics.idle_closed == 1
        bob.flows[2].unwatch(watcher)
        world.clock.advance(120)
        assert watched.ended
        assert not bob.lost

    def test_a_peer_that_does_not_take_the_end_is_aborted(self, world: Any, write: Any, host: Any) -> None:
        """A connection that we close is gone after handshake_timeout, read or not."""
        bob = world.end("bob", "192.0.2.2")
        bob.layer.listen("tcp:5060")
        raw = world.connect(host, "192.0.2.2")
        raw.transport.write(write.request(VIA))
        world.clock.advance(1)
        raw.transport.pauseProducing()
        for _ in range(20):
            bob.flows[0].send(b"x" * 10_000)
        stopped = bob.layer.stop()
        world.clock.advance(9)
        assert not stopped.called
        world.clock.advance(2)
        assert stopped.called
