"""TLS and WebSocket over real sockets with peers that are slow, cut off, or in pieces."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from OpenSSL import SSL
from test_loopback_transport import REACTORS, Machine, request
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request, TextMessage

from sipactors.interfaces import IFlowWatcher
from sipactors.testing.certificates import Authority

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=list(REACTORS))
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    machine = Machine(REACTORS[request.param]())
    yield machine
    for opened in machine.sockets:
        # No peer here answers a Close frame.
        opened.close()
    machine.close()


class Peer:
    """A TLS client without a reactor: what it gets and gives passes through its hands."""

    def __init__(self, machine: Machine, bob: Any) -> None:
        self.machine = machine
        self.socket = machine.dial(HOST, bob.addresses[0][2])
        self.socket.setblocking(False)
        self.tls = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
        self.tls.set_connect_state()
        self.data = b""

    def pump(self, piece: int = 65536) -> None:
        """Send what TLS has to send, in pieces, and take what came."""
        try:
            out = self.tls.bio_read(1 << 20)
        except SSL.WantReadError:
            out = b""
        for start in range(0, len(out), piece):
            self.socket.sendall(out[start : start + piece])
            self.machine.reactor.iterate(0)
        self.machine.turn(2)
        try:
            self.tls.bio_write(self.socket.recv(65536))
        except BlockingIOError:
            pass

    def shake(self, piece: int = 65536) -> Peer:
        for _ in range(1000):
            try:
                self.tls.do_handshake()
                self.pump(piece)
                return self
            except SSL.WantReadError:
                self.pump(piece)
        raise AssertionError("no handshake")

    def send(self, data: bytes, piece: int = 65536) -> None:
        self.tls.send(data)
        self.pump(piece)


def bob_on(machine: Machine, authority: Authority, kind: str = "tls", **limits: Any) -> Any:
    bob = machine.layer(HOST, "tcp", **limits)
    bob.listeners.pop().stop()
    bob.listen(f"{kind}:0:interface={HOST}:certFile={authority.issue('bob', 'example.com')}")
    return bob


@pytest.mark.accepts("J3", "J4")
def test_tls_in_pieces_is_put_together(machine: Machine, authority: Authority) -> None:
    """Handshake and messages cut into segments anywhere (D-24)."""
    bob = bob_on(machine, authority)
    peer = Peer(machine, bob).shake(piece=41)
    message = request("SIP/2.0/TLS x.invalid;branch=z9hG4bK1", body=b"12345\r\n\r\n")
    peer.send(message * 2 + b"\r\n\r\n" + message, piece=17)
    machine.until(lambda: len(bob.events) == 3)
    assert {event.args[0].body for event in bob.events} == {b"12345\r\n\r\n"}


def test_a_reset_in_a_handshake_is_survived(machine: Machine, authority: Authority) -> None:
    """D-9: connections that are reset in or before the handshake leave nothing."""
    bob = bob_on(machine, authority)
    for begun in (False, True):
        peer = Peer(machine, bob)
        if begun:
            with pytest.raises(SSL.WantReadError):
                peer.tls.do_handshake()
            peer.pump()
        machine.until(lambda: len(bob.connections) == 1)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.socket.close()
        machine.until(lambda: len(bob.connections) == 0)
    assert bob.metrics.handshakes_failed == 2
    assert bob.metrics.faults == 0


@pytest.mark.parametrize("kind", ["tls", "wss"])
def test_a_slow_reader_is_closed_and_blocks_nobody(machine: Machine, authority: Authority, kind: str) -> None:
    """D-30: what waits for a slow reader is bounded, within TLS and WebSocket too."""
    bob = bob_on(machine, authority, kind, max_write_buffer=100_000)
    message = request(f"SIP/2.0/{kind.upper()} x.invalid;branch=z9hG4bK1")
    for _ in range(2):
        peer = Peer(machine, bob).shake()
        if kind == "wss":
            websocket = WSConnection(ConnectionType.CLIENT)
            peer.send(websocket.send(Request(host="x", target="/", subprotocols=["sip"])))
            for _ in range(20):
                peer.pump()
            websocket.receive_data(peer.tls.recv(65536))
            list(websocket.events())
            peer.send(websocket.send(TextMessage(message.decode())))
        else:
            peer.send(message)
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
    machine.turn(4)
    peer.pump()
    assert b"y" * 1000 in peer.tls.recv(65536)
    machine.until(lambda: len(bob.connections) == 1)


def test_a_dscp_is_set_within_tls(machine: Machine, authority: Authority) -> None:
    """Socket options reach the socket under TLS."""
    bob = bob_on(machine, authority)
    Peer(machine, bob).shake()
    (flow,) = bob.connections
    machine.until(lambda: flow.state == "OPEN")
    bob.set_socket_option(socket.IPPROTO_IP, socket.IP_TOS, 0x88)
    assert flow.wire.transport.getHandle().getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x88
