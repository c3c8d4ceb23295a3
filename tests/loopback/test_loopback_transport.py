"""The transports over real sockets of the loopback interface, under each kind of reactor."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet import asyncioreactor, epollreactor, pollreactor, selectreactor

from sipactors.errors import ICMPFailure, TransportFailure
from sipactors.interfaces import IFlowWatcher, IMessageReceiver
from sipactors.metrics import Metrics
from sipactors.settings import Limits
from sipactors.testing.recorder import Recorder
from sipactors.transport import TransportLayer

REACTORS: dict[str, Callable[[], Any]] = {
    "epoll": epollreactor.EPollReactor,
    "poll": pollreactor.PollReactor,
    "select": selectreactor.SelectReactor,
    "asyncio": lambda: asyncioreactor.AsyncioSelectorReactor(asyncio.SelectorEventLoop()),
}
BOTH = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])


class Machine:
    """Two transport layers on one reactor, which turns only while a test waits for something."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.layers: list[TransportLayer] = []
        self.sockets: list[socket.socket] = []

    def layer(self, address: str, *kinds: str, **limits: Any) -> Any:
        events = Recorder()
        metrics = Metrics()
        layer: Any = TransportLayer(
            self.reactor, events.observe(IMessageReceiver), limits=Limits(**limits), metrics=metrics
        )
        layer.events, layer.metrics = events, metrics
        for kind in kinds or ("udp", "tcp"):
            layer.listen(f"{kind}:0:interface=" + address.replace(":", r"\:"))
        self.layers.append(layer)
        return layer

    def until(self, done: Callable[[], object], seconds: float = 30.0) -> None:
        """Turn the reactor until something is so."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "it did not happen in time"
            self.reactor.iterate(0.005)

    def turn(self, times: int = 8) -> None:
        """Let happen what is on its way."""
        for _ in range(times):
            self.reactor.iterate(0.002)

    def socket(self, kind: int, address: str) -> socket.socket:
        opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        opened.settimeout(5)
        opened.bind((address, 0))
        self.sockets.append(opened)
        return opened

    def dial(self, address: str, port: int) -> socket.socket:
        opened = self.socket(socket.SOCK_STREAM, address)
        opened.connect((address, port))
        return opened

    def free_port(self, kind: int, address: str) -> int:
        """A port on which nobody listens."""
        opened = self.socket(kind, address)
        port: int = opened.getsockname()[1]
        opened.close()
        return port

    def close(self) -> None:
        for layer in self.layers:
            stopped = layer.stop()
            self.until(lambda stopped=stopped: stopped.called)  # type: ignore[misc]
        for opened in self.sockets:
            opened.close()
        for selectable in self.reactor.removeAll():
            selectable.connectionLost(None)


@pytest.fixture(params=list(REACTORS))
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    machine = Machine(REACTORS[request.param]())
    yield machine
    machine.close()


def request(via: str, method: str = "OPTIONS", body: bytes = b"") -> bytes:
    return (
        f"{method} sip:bob@example.com SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n"
        "From: <sip:a@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1\r\n"
        f"CSeq: 1 {method}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def response(via: str) -> bytes:
    return (
        f"SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: <sip:a@example.com>;tag=a\r\nTo: <sip:bob@example.com>;tag=b"
        "\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()


@pytest.mark.accepts("J1", "J5")
@BOTH
@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_request_and_its_response_go_over_real_sockets(machine: Machine, kind: str, address: str) -> None:
    """UDP and TCP, IPv4 and IPv6: there by flow_to, back by response_flow."""
    alice, bob = machine.layer(address, kind), machine.layer(address, kind)
    ((transport, host, port),) = bob.addresses
    assert host == address
    flow = alice.flow_to(transport, address, port)
    assert alice.supports(transport, address)
    assert not alice.supports(transport, "::1" if address == "127.0.0.1" else "127.0.0.1")
    shown = f"[{address}]" if ":" in address else address
    assert flow.sent_by == f"{shown}:{alice.addresses[0][2]}"
    body = b"x" * 60000
    flow.send(request(f"SIP/2.0/{transport} {flow.sent_by};rport;branch=z9hG4bK1", body=body))
    machine.until(lambda: len(bob.events) == 1)
    message, back = bob.events.last("message_received").args
    assert message.body == body
    assert (message.via.received, message.via.rport) == (address, flow.local[1])
    bob.response_flow(message, back).send(response(message.get("Via")))
    machine.until(lambda: len(alice.events) == 1)
    assert alice.events.last().args[0].status == 200
    assert alice.events.last().args[1] == flow


def test_a_udp_socket_has_a_large_receive_buffer(machine: Machine) -> None:
    """4 MiB of SO_RCVBUF are asked for; what the kernel grants is its own affair."""
    layer = machine.layer("127.0.0.1", "udp")
    plain = machine.socket(socket.SOCK_DGRAM, "127.0.0.1").getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    opened = layer.listeners[0]._port.socket
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= plain


def test_both_families_listen_on_one_port(machine: Machine) -> None:
    """A listener has one family: 0.0.0.0 and :: stand side by side, no peer appears as ::ffff:127.0.0.1."""
    layer = machine.layer("0.0.0.0", "udp", "tcp")
    for transport, _, port in list(layer.addresses):
        layer.listen(rf"{transport.lower()}:{port}:interface=\:\:")
    assert [row[1] for row in layer.addresses] == ["0.0.0.0", "0.0.0.0", "::", "::"]
    udp_port = layer.addresses[0][2]
    for address, sent_by in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
        sender = machine.socket(socket.SOCK_DGRAM, address)
        sender.sendto(request("SIP/2.0/UDP x.invalid;rport;branch=z9hG4bK1"), (address, udp_port))
        machine.until(lambda: len(layer.events))
        message, flow = layer.events.take()[0].args
        assert message.via.received == address
        assert flow.peer[0] == address
        assert flow.sent_by == f"{sent_by}:{udp_port}", "the address that the kernel uses towards that peer"


class TestICMP:
    """RFC 3261 §18.4: ICMP errors inform the transport user; they never end the port."""

    pytestmark = pytest.mark.skipif(not hasattr(socket, "MSG_ERRQUEUE"), reason="the error queue is Linux's")

    @BOTH
    def test_a_port_unreachable_is_told_and_survived(self, machine: Machine, address: str) -> None:
        """Watchers of the peer that is unreachable are told once; the port goes on receiving and sending."""
        alice, bob = machine.layer(address, "udp"), machine.layer(address, "udp")
        closed = machine.free_port(socket.SOCK_DGRAM, address)
        here, there = alice.addresses[0][2], bob.addresses[0][2]
        flow, other = alice.flow_to("UDP", address, closed), alice.flow_to("UDP", address, there)
        for _ in range(3):
            flow.watch(alice.events.observe(IFlowWatcher, "watcher"))
            other.watch(alice.events.observe(IFlowWatcher, "other"))
            flow.send(request(f"SIP/2.0/UDP {flow.sent_by};branch=z9hG4bK1"))
            machine.until(lambda: len(alice.events))
            ((who, _, (told, error), _),) = alice.events.take()
            assert (who, told) == ("watcher", flow)
            assert isinstance(error, ICMPFailure)
            assert str(error) == f"UDP to {address} port {closed}: port unreachable"
            bob.flow_to("UDP", address, here).send(request("SIP/2.0/UDP x.invalid;branch=z9hG4bK1"))
            machine.until(lambda: len(alice.events))
            assert alice.events.take()[0].name == "message_received"
            other.send(request("SIP/2.0/UDP x.invalid;branch=z9hG4bK1"))
            machine.until(lambda: len(bob.events))
            bob.events.take()

    @BOTH
    def test_an_error_without_watchers_is_forgotten(self, machine: Machine, address: str) -> None:
        """An unreachable peer that nobody watches is a count, and takes no other datagram with it."""
        alice, bob = machine.layer(address, "udp"), machine.layer(address, "udp")
        flow = alice.flow_to("UDP", address, machine.free_port(socket.SOCK_DGRAM, address))
        other = alice.flow_to("UDP", address, bob.addresses[0][2])
        # The kernel gives the error of one datagram to whoever sends next: that one must go all the same.
        for number in range(50):
            flow.send(b"lost")
            other.send(request(f"SIP/2.0/UDP x.invalid;branch=z9hG4bK{number}"))
        machine.until(lambda: len(bob.events) == 50)
        machine.until(lambda: alice.metrics.icmp_errors)
        machine.turn()
        assert alice.metrics.messages_sent == 100
        assert alice.metrics.messages_lost == 0
        assert not alice.events.events
        assert not alice.listeners[0].closed

    def test_a_port_with_an_error_stops(self, machine: Machine) -> None:
        """A port that stops while an error waits stays stopped."""
        alice = machine.layer("127.0.0.1", "udp")
        port = alice.addresses[0][2]
        alice.flow_to("UDP", "127.0.0.1", machine.free_port(socket.SOCK_DGRAM, "127.0.0.1")).send(b"lost")
        stopped = alice.stop()
        machine.until(lambda: stopped.called)
        machine.turn()
        alice.listen(f"udp:{port}:interface=127.0.0.1")
        assert alice.addresses == [("UDP", "127.0.0.1", port)]


def test_a_datagram_that_the_kernel_refuses_is_told(machine: Machine) -> None:
    """What the kernel refuses to send is a TransportFailure for the flow's watchers, and a counted loss."""
    alice = machine.layer("127.0.0.1", "udp")
    flow = alice.flow_to("UDP", "127.0.0.1", 5060)
    flow.watch(alice.events.observe(IFlowWatcher))
    flow.send(b"x" * 65530)
    machine.until(lambda: len(alice.events))
    assert isinstance(alice.events.last().args[1], TransportFailure)
    assert "Message too long" in str(alice.events.last().args[1])
    assert alice.metrics.messages_lost == 1


def test_no_datagram_ends_a_port(machine: Machine) -> None:
    """Empty ones, keep-alives and nonsense are survived, and so is a receiver that raises."""
    bob = machine.layer("127.0.0.1", "udp")
    sender = machine.socket(socket.SOCK_DGRAM, "127.0.0.1")
    there = ("127.0.0.1", bob.addresses[0][2])

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    bob.listeners[0]._port._received = broken
    sender.sendto(b"x", there)
    machine.turn()
    bob.listeners[0]._port._received = bob.listeners[0].datagram_received
    for data in [b""] * 1000 + [b"\r\n\r\n", b"\0" * 20, b"nonsense", b"\xff" * 65000]:
        sender.sendto(data, there)
    sender.sendto(request("SIP/2.0/UDP x.invalid;branch=z9hG4bK1"), there)
    machine.until(lambda: bob.events.of("message_received"))


@pytest.mark.accepts("J4")
@BOTH
def test_a_stream_cut_into_pieces_is_put_together(machine: Machine, address: str) -> None:
    """Segments of any size, pings between messages, several messages a segment (D-24)."""
    bob = machine.layer(address, "tcp")
    peer = machine.dial(address, bob.addresses[0][2])
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    message = request("SIP/2.0/TCP x.invalid;branch=z9hG4bK1", body=b"12345\r\n\r\n")
    stream = message * 3 + b"\r\n\r\n" + message
    for start in range(0, len(stream), 97):
        peer.sendall(stream[start : start + 97])
        machine.reactor.iterate(0)
    machine.until(lambda: len(bob.events) == 4)
    machine.until(lambda: bob.metrics.pings_received)
    machine.turn(2)
    assert peer.recv(100) == b"\r\n"
    assert {event.args[0].body for event in bob.events} == {b"12345\r\n\r\n"}


@pytest.mark.accepts("D8")
def test_a_connection_that_is_reset_is_told(machine: Machine) -> None:
    """D-9: a reset reaches the watchers of the connection at once."""
    bob = machine.layer("127.0.0.1", "tcp")
    peer = machine.dial("127.0.0.1", bob.addresses[0][2])
    peer.sendall(request("SIP/2.0/TCP x.invalid;branch=z9hG4bK1"))
    machine.until(lambda: len(bob.events))
    flow = bob.events.take()[0].args[1]
    flow.watch(bob.events.observe(IFlowWatcher))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    machine.until(lambda: len(bob.events))
    assert isinstance(bob.events.last("flow_lost").args[1], TransportFailure)
    assert flow.closed
    flow.send(b"lost")


def test_a_refused_connection_is_told(machine: Machine) -> None:
    """D-26: where nobody listens by TCP, the flow's watchers hear it."""
    alice = machine.layer("127.0.0.1", "tcp")
    flow = alice.flow_to("TCP", "127.0.0.1", machine.free_port(socket.SOCK_STREAM, "127.0.0.1"))
    flow.send(b"lost")
    flow.watch(alice.events.observe(IFlowWatcher))
    machine.until(lambda: len(alice.events))
    assert "refused" in str(alice.events.last("flow_lost").args[1])


def test_who_comes_when_all_places_are_taken_waits(machine: Machine) -> None:
    """At max_connections nothing more is accepted: the next one waits in the backlog for a free place."""
    bob = machine.layer("127.0.0.1", "tcp", max_connections=2)
    port = bob.addresses[0][2]
    first, second = machine.dial("127.0.0.1", port), machine.dial("127.0.0.1", port)
    machine.until(lambda: len(bob.connections) == 2)
    third = machine.dial("127.0.0.1", port)
    third.sendall(request("SIP/2.0/TCP x.invalid;branch=z9hG4bK1"))
    machine.turn()
    assert not bob.events.events
    assert len(bob.connections) == 2
    first.close()
    machine.until(lambda: len(bob.events) == 1)
    assert len(bob.connections) == 2
    assert bob.metrics.connections_refused == 0
    second.close()


def test_connections_of_one_source_are_limited(machine: Machine) -> None:
    """One too many of one address is closed at once."""
    bob = machine.layer("127.0.0.1", "tcp", max_connections_per_source=1)
    port = bob.addresses[0][2]
    machine.dial("127.0.0.1", port)
    machine.until(lambda: len(bob.connections) == 1)
    refused = machine.dial("127.0.0.1", port)
    machine.until(lambda: bob.metrics.connections_refused == 1)
    assert refused.recv(1) == b""


def test_a_slow_reader_is_closed_and_blocks_nobody(machine: Machine) -> None:
    """D-30: what waits for a slow reader is bounded; others are served meanwhile."""
    bob = machine.layer("127.0.0.1", "tcp", max_write_buffer=100_000)
    port = bob.addresses[0][2]
    slow, quick = machine.dial("127.0.0.1", port), machine.dial("127.0.0.1", port)
    slow.sendall(request("SIP/2.0/TCP x.invalid;branch=z9hG4bK1"))
    machine.until(lambda: len(bob.events) == 1)
    quick.sendall(request("SIP/2.0/TCP x.invalid;branch=z9hG4bK1"))
    machine.until(lambda: len(bob.events) == 2)
    flow, other = (event.args[1] for event in bob.events.take())
    flow.watch(bob.events.observe(IFlowWatcher))
    for _ in range(2000):
        flow.send(b"x" * 10_000)
        machine.reactor.iterate(0)
        if flow.closed:
            break
    machine.until(lambda: len(bob.events))
    assert "does not read" in str(bob.events.last("flow_lost").args[1])
    assert bob.metrics.slow_readers_closed == 1
    other.send(b"y" * 1000)
    machine.turn(2)
    assert quick.recv(2000) == b"y" * 1000


@pytest.mark.accepts("A12")
def test_a_dscp_is_set_on_real_sockets(machine: Machine) -> None:
    """set_socket_option marks what is open and what comes; an option that no socket takes is refused."""
    alice, bob = machine.layer("127.0.0.1"), machine.layer("127.0.0.1", "tcp")
    alice.set_socket_option(socket.IPPROTO_IP, socket.IP_TOS, 0x88)
    flow = alice.flow_to("TCP", "127.0.0.1", bob.addresses[0][2])
    machine.until(lambda: flow.wire is not None)
    handles = [listener._port.socket for listener in alice.listeners] + [flow.wire.getHandle()]
    assert [one.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) for one in handles] == [0x88] * 3
    with pytest.raises(ValueError, match="no socket takes the option"):
        alice.set_socket_option(socket.IPPROTO_IP, 9999, 1)


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_port_in_use_is_refused(machine: Machine, kind: str) -> None:
    """A port that another one has raises TransportFailure, in a line that says which."""
    layer = machine.layer("127.0.0.1", kind)
    port = layer.addresses[0][2]
    with pytest.raises(TransportFailure, match=rf"cannot listen on {kind.upper()} 127\.0\.0\.1 port {port}"):
        layer.listen(f"{kind}:{port}:interface=127.0.0.1")


def test_a_layer_that_stops_frees_its_ports(machine: Machine) -> None:
    """After stop the ports can be bound again, and connections are gone at both ends."""
    alice, bob = machine.layer("127.0.0.1"), machine.layer("127.0.0.1")
    flow = alice.flow_to("TCP", "127.0.0.1", bob.addresses[1][2])
    flow.send(request(f"SIP/2.0/TCP {flow.sent_by};branch=z9hG4bK1"))
    machine.until(lambda: len(bob.events))
    addresses = bob.addresses
    stopped = bob.stop()
    machine.until(lambda: stopped.called and flow.closed)
    for transport, host, port in addresses:
        bob.listen(f"{transport.lower()}:{port}:interface={host}")
    assert bob.addresses == addresses
