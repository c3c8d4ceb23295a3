"""Streams over the in-memory network: what Twisted's own TCP transport does over a socket."""

from __future__ import annotations

import datetime
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import endpoints, error, ssl
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sipactors.testing import Clock, Network


class End(Protocol):
    """Keeps what happens to it; `act` is called when the connection is made."""

    act: Callable[[End], object] | None = None

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.ended: Any = None

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    def connectionMade(self) -> None:
        if self.act is not None:
            self.act()

    def dataReceived(self, data: bytes) -> None:
        assert self.ended is None
        self.chunks.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        assert self.ended is None
        self.ended = reason.type


class Ends(ClientFactory):
    """Builds Ends; keeps them, and the failures of a client."""

    noisy = False

    def __init__(self, protocol: type[Protocol] = End) -> None:
        self.protocol = protocol
        self.built: list[Any] = []
        self.failures: list[Any] = []
        self.lost: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        protocol: Any = super().buildProtocol(addr)
        self.built.append(protocol)
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self.failures.append(reason.type)

    def clientConnectionLost(self, connector: Any, reason: Any) -> None:
        self.lost.append(reason.type)


class Pair:
    """Two hosts, and a connection between them."""

    def __init__(self, **conditions: Any) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, seed=1)
        self.network.impair(**conditions)
        self.alice = self.network.host("alice", "10.0.0.1", "fd00::1")
        self.bob = self.network.host("bob", "10.0.0.2", "fd00::2")
        self.clients, self.servers = Ends(), Ends()

    def connect(self, address: str = "10.0.0.2", interface: str = "") -> tuple[Any, Any]:
        self.port = self.bob.listenTCP(5060, self.servers, interface=interface)
        self.connector = self.alice.connectTCP(address, 5060, self.clients)
        self.clock.advance(1)
        return self.clients.built[0], self.servers.built[0]


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_a_connection_takes_a_round_trip_and_carries_both_ways(pair: Pair) -> None:
    pair.bob.listenTCP(5060, pair.servers)
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients)
    pair.clock.advance(0.0019)
    assert pair.clients.built == []
    pair.clock.advance(0.0001)
    client, server = pair.clients.built[0], pair.servers.built[0]
    verifyObject(ITCPTransport, client.transport)
    assert client.transport.getPeer() == IPv4Address("TCP", "10.0.0.2", 5060)
    assert server.transport.getPeer() == client.transport.getHost()
    client.transport.writeSequence([b"hel", b"lo"])
    server.transport.write(b"welcome")
    assert server.chunks == []
    pair.clock.advance(0.001)
    assert (client.chunks, server.chunks) == ([b"welcome"], [b"hello"])


def test_the_server_may_speak_first(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(End, "act", lambda self: self.transport.write(b"hi"))
    client, server = pair.connect()
    assert (client.data, server.data) == (b"hi", b"hi")


def test_ipv6_works_alike(pair: Pair) -> None:
    client, server = pair.connect("fd00:0::2", "::")
    assert client.transport.getPeer() == IPv6Address("TCP", "fd00::2", 5060)
    assert server.transport.getPeer().host == "fd00::1"


def test_nobody_listening_is_refused(pair: Pair) -> None:
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients)
    pair.clock.advance(1)
    assert pair.clients.failures == [error.ConnectionRefusedError]
    assert pair.alice.streams == []


def test_an_address_that_nobody_has_cannot_be_reached(pair: Pair) -> None:
    pair.alice.connectTCP("10.9.9.9", 5060, pair.clients)
    assert pair.clients.failures == []
    pair.clock.advance(1)
    pair.alice.connectTCP("nobody.example.com", 5060, pair.clients)
    pair.clock.advance(1)
    assert pair.clients.failures == [error.NoRouteError, error.DNSLookupError]


def test_a_host_that_is_down_times_out(pair: Pair) -> None:
    pair.bob.listenTCP(5060, pair.servers)
    pair.bob.go_down()
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients, timeout=7)
    pair.clock.advance(6.9)
    assert pair.clients.failures == []
    pair.clock.advance(0.1)
    assert pair.clients.failures == [error.TimeoutError]
    assert pair.clock.advance_to_idle(100)


def test_a_connection_attempt_is_repeated_until_the_way_opens(pair: Pair) -> None:
    pair.bob.listenTCP(5060, pair.servers)
    pair.network.partition(pair.bob)
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients)
    pair.clock.advance(5)
    pair.network.heal()
    pair.clock.advance(5)
    assert len(pair.clients.built) == len(pair.servers.built) == 1


def test_stop_connecting_gives_up(pair: Pair) -> None:
    pair.bob.listenTCP(5060, pair.servers)
    connector = pair.alice.connectTCP("10.0.0.2", 5060, pair.clients)
    pair.clock.advance(0.001)
    connector.stopConnecting()
    pair.clock.advance(1)
    assert pair.clients.failures == [error.UserError]
    assert pair.servers.built[0].ended is error.ConnectionLost
    assert (pair.alice.streams, pair.bob.streams) == ([], [])


def test_a_bind_address_is_used(pair: Pair) -> None:
    pair.bob.listenTCP(5060, pair.servers)
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients, bindAddress=("10.0.0.1", 5061))
    pair.clock.advance(1)
    assert pair.servers.built[0].transport.getPeer() == IPv4Address("TCP", "10.0.0.1", 5061)
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients, bindAddress=("10.0.0.1", 5061))
    pair.clock.advance(1)
    assert pair.clients.failures == [error.ConnectBindError]


def test_a_server_factory_without_a_protocol_closes_the_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair.servers, "buildProtocol", lambda addr: None)
    pair.bob.listenTCP(5060, pair.servers)
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients)
    pair.clock.advance(1)
    assert pair.clients.built[0].ended is error.ConnectionDone
    assert pair.bob.streams == []


def test_a_port_in_use_cannot_be_listened_on(pair: Pair) -> None:
    port = pair.bob.listenTCP(0, pair.servers)
    with pytest.raises(error.CannotListenError) as caught:
        pair.bob.listenTCP(port.getHost().port, pair.servers, interface="10.0.0.2")
    assert caught.value.socketError.errno == errno.EADDRINUSE
    port.stopListening()
    pair.clock.advance(0)
    pair.bob.listenTCP(port.port, pair.servers, interface="10.0.0.2")


def test_lose_connection_sends_what_was_written_first(pair: Pair) -> None:
    client, server = pair.connect()
    data = bytes(range(256)) * 1000
    client.transport.write(data)
    client.transport.loseConnection()
    client.transport.write(b"too, for it was not yet sent")
    assert client.ended is None
    pair.clock.advance(1)
    assert server.data == data + b"too, for it was not yet sent"
    assert client.ended is server.ended is error.ConnectionDone
    assert pair.clients.lost == [error.ConnectionDone]
    client.transport.write(b"nobody reads this")
    assert (pair.alice.streams, pair.bob.streams) == ([], [])
    assert pair.clock.advance_to_idle(1)


def test_abort_forgets_what_was_written_and_resets_the_peer(pair: Pair) -> None:
    client, server = pair.connect()
    client.transport.write(bytes(200_000))
    client.transport.abortConnection()
    assert client.ended is None
    pair.clock.advance(1)
    assert client.ended is error.ConnectionAborted
    assert server.ended is error.ConnectionLost
    assert len(server.data) < 200_000


def test_half_close_lets_the_other_side_go_on(pair: Pair) -> None:
    happened: list[str] = []

    @implementer(IHalfCloseableProtocol)
    class HalfEnd(End):
        def readConnectionLost(self) -> None:
            happened.append("read")

        def writeConnectionLost(self) -> None:
            happened.append("write")

    pair.clients.protocol = pair.servers.protocol = HalfEnd
    client, server = pair.connect()
    client.transport.write(b"last words")
    client.transport.loseWriteConnection()
    pair.clock.advance(1)
    assert happened == ["write", "read"]
    assert server.data == b"last words"
    server.transport.write(b"answer")
    server.transport.loseConnection()
    pair.clock.advance(1)
    assert client.data == b"answer"
    assert happened == ["write", "read", "read"]
    assert client.ended is None
    client.transport.loseConnection()
    pair.clock.advance(1)
    assert client.ended is error.ConnectionDone


def test_writing_to_a_closed_connection_is_answered_by_a_reset(pair: Pair) -> None:
    client, server = pair.connect()
    server.transport.pauseProducing()  # does not see the end of the stream
    client.transport.loseConnection()
    pair.clock.advance(1)
    assert server.ended is None
    server.transport.write(b"still there?")
    pair.clock.advance(1)
    assert server.ended is error.ConnectionLost


def test_a_reader_that_pauses_makes_the_writers_producer_pause(pair: Pair) -> None:
    client, server = pair.connect()

    @implementer(IPushProducer)
    class Producer:
        calls: list[str] = []

        def pauseProducing(self) -> None:
            self.calls.append("pause")

        def resumeProducing(self) -> None:
            self.calls.append("resume")

        def stopProducing(self) -> None:
            self.calls.append("stop")

    producer = Producer()
    server.transport.pauseProducing()
    client.transport.registerProducer(producer, True)
    with pytest.raises(RuntimeError):
        client.transport.registerProducer(producer, True)
    for _ in range(20):
        client.transport.write(bytes(10_000))
        pair.clock.advance(0.01)
    assert producer.calls[0] == "pause"
    assert "resume" not in producer.calls
    assert server.data == b""
    server.transport.resumeProducing()
    pair.clock.advance(1)
    assert producer.calls[-1] == "resume"
    assert len(server.data) == 200_000
    server.transport.loseConnection()
    pair.clock.advance(1)
    assert producer.calls[-1] == "stop"


def test_a_pull_producer_is_asked_for_more_until_it_has_none(pair: Pair) -> None:
    client, server = pair.connect()

    class Producer:
        left = 10

        def resumeProducing(self) -> None:
            if self.left:
                self.left -= 1
                client.transport.write(bytes(1000))
            else:
                client.transport.unregisterProducer()
                client.transport.loseConnection()

        def stopProducing(self) -> None:
            raise AssertionError

    client.transport.registerProducer(Producer(), False)
    pair.clock.advance(1)
    assert len(server.data) == 10_000
    assert server.ended is error.ConnectionDone


def test_a_protocol_that_raises_loses_its_connection_and_the_test_sees_it(pair: Pair) -> None:
    client, server = pair.connect()
    server.dataReceived = lambda data: 1 / 0
    client.transport.write(b"!")
    with pytest.raises(ZeroDivisionError):
        pair.clock.advance(1)
    assert server.ended is ZeroDivisionError


def test_socket_options_are_remembered_and_inherited(pair: Pair) -> None:
    pair.connect()
    pair.port.getHandle().setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x60)
    pair.alice.connectTCP("10.0.0.2", 5060, pair.clients)
    pair.clock.advance(1)
    client, server = pair.clients.built[1].transport, pair.servers.built[1].transport
    assert server.getHandle().getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x60
    assert not client.getTcpNoDelay()
    client.setTcpNoDelay(True)
    client.setTcpKeepAlive(True)
    assert client.getTcpNoDelay()
    assert client.getTcpKeepAlive()
    assert client.getHandle().getpeername() == ("10.0.0.2", 5060)


@pytest.mark.parametrize("host", ["10.0.0.2", "fd00::2", "bob"])
def test_endpoints_work(pair: Pair, host: str) -> None:
    endpoints.TCP4ServerEndpoint(pair.bob, 5060).listen(pair.servers)
    endpoints.serverFromString(pair.bob, r"tcp:5060:interface=\:\:").listen(pair.servers)
    made: list[Any] = []
    endpoints.HostnameEndpoint(pair.alice, host, 5060).connect(Factory.forProtocol(End)).addCallback(
        made.append
    )
    if ":" not in host:
        endpoints.TCP4ClientEndpoint(pair.alice, host, 5060).connect(Factory.forProtocol(End)).addCallback(
            made.append
        )
    pair.clock.advance(1)
    assert made
    made[0].transport.write(b"hello")
    pair.clock.advance(1)
    assert any(server.data == b"hello" for server in pair.servers.built)


def certificate() -> ssl.PrivateCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bob")])
    start = datetime.datetime(2020, 1, 1)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ssl.PrivateCertificate.loadPEM(private + signed.public_bytes(pem))


def test_tls_runs_on_top(pair: Pair) -> None:
    server_options = certificate().options()
    pair.network.impair(random_segments=True, segment=700)
    servers = TLSMemoryBIOFactory(server_options, False, pair.servers)
    clients = TLSMemoryBIOFactory(ssl.CertificateOptions(), True, pair.clients)
    pair.bob.listenTCP(5061, servers)
    pair.alice.connectTCP("10.0.0.2", 5061, clients)
    pair.clock.advance(1)
    client, server = pair.clients.built[0], pair.servers.built[0]
    client.transport.write(b"secret" * 50_000)
    client.transport.loseConnection()
    pair.clock.advance(10)
    assert server.data == b"secret" * 50_000
    assert client.ended is server.ended is error.ConnectionDone
    assert not any(b"secret" in packet.data for packet in pair.network.capture)
