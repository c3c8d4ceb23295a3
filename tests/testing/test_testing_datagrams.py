"""UDP over the in-memory network: what Twisted's own port does over a socket."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError, InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime, IReactorUDP, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from zope.interface.verify import verifyObject

from sipactors.errors import ArgumentError
from sipactors.testing import Clock, Network


class Mailbox(DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.refusals = 0
        self.stopped = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append((datagram, addr))

    def connectionRefused(self) -> None:
        self.refusals += 1

    def stopProtocol(self) -> None:
        self.stopped = True


@pytest.fixture
def network() -> Network:
    return Network(Clock())


@pytest.fixture
def alice(network: Network) -> Any:
    return network.host("alice", "10.0.0.1", "fd00::1")


@pytest.fixture
def bob(network: Network) -> Any:
    return network.host("bob", "10.0.0.2", "fd00::2")


def test_a_host_is_a_reactor(alice: Any) -> None:
    verifyObject(IReactorTime, alice)
    verifyObject(IReactorUDP, alice)
    verifyObject(IReactorTCP, alice)
    port = alice.listenUDP(5060, Mailbox())
    verifyObject(IUDPTransport, port)
    verifyObject(IListeningPort, port)


def test_a_datagram_arrives_after_the_latency_and_never_within_write(
    network: Network, alice: Any, bob: Any
) -> None:
    here, there = Mailbox(), Mailbox()
    alice.listenUDP(5060, here)
    bob.listenUDP(5060, there, interface="10.0.0.2")
    here.transport.write(b"hello", ("10.0.0.2", 5060))
    network.clock.advance(0.0009)
    assert there.received == []
    network.clock.advance(0.0001)
    assert there.received == [(b"hello", ("10.0.0.1", 5060))]


def test_a_latency_of_zero_still_waits_for_the_clock(network: Network, alice: Any, bob: Any) -> None:
    network.impair(latency=0)
    here, there = Mailbox(), Mailbox()
    alice.listenUDP(5060, here)
    bob.listenUDP(5060, there)
    here.transport.write(b"hello", ("10.0.0.2", 5060))
    assert there.received == []
    network.clock.advance(0)
    assert len(there.received) == 1


def test_ipv6_has_ports_of_its_own(network: Network, alice: Any, bob: Any) -> None:
    four, six, there = Mailbox(), Mailbox(), Mailbox()
    alice.listenUDP(5060, four)
    port = alice.listenUDP(5060, six, interface="::")
    bob.listenUDP(5060, there, interface="FD00:0::2")
    assert port.getHost() == IPv6Address("UDP", "::", 5060)
    assert there.transport.getHost() == IPv6Address("UDP", "fd00::2", 5060)
    six.transport.write(b"6", ("fd00:0:0::2", 5060))
    network.clock.advance(1)
    assert there.received == [(b"6", ("fd00::1", 5060))]
    with pytest.raises(InvalidAddressError):
        six.transport.write(b"6", ("10.0.0.2", 5060))
    with pytest.raises(InvalidAddressError):
        four.transport.write(b"4", ("bob", 5060))


def test_port_zero_is_any_free_port(alice: Any) -> None:
    ports = {alice.listenUDP(0, Mailbox()).getHost().port for _ in range(100)}
    assert len(ports) == 100
    assert min(ports) >= 49152


@pytest.mark.parametrize(
    ("first", "second", "free"),
    [
        ("", "", False),
        ("", "10.0.0.1", False),
        ("10.0.0.1", "", False),
        ("10.0.0.1", "127.0.0.1", True),
        ("", "::", True),
        ("fd00::1", "::", False),
        ("fd00::1", "", True),
    ],
)
def test_a_port_in_use_cannot_be_listened_on(alice: Any, first: str, second: str, free: bool) -> None:
    alice.listenUDP(5060, Mailbox(), interface=first)
    if free:
        alice.listenUDP(5060, Mailbox(), interface=second)
        return
    with pytest.raises(CannotListenError) as caught:
        alice.listenUDP(5060, Mailbox(), interface=second)
    assert caught.value.socketError.errno == errno.EADDRINUSE


def test_an_address_of_another_host_cannot_be_listened_on(alice: Any, bob: Any) -> None:
    with pytest.raises(CannotListenError) as caught:
        alice.listenUDP(5060, Mailbox(), interface="10.0.0.2")
    assert caught.value.socketError.errno == errno.EADDRNOTAVAIL


def test_stop_listening_frees_the_port_and_stops_the_protocol(network: Network, alice: Any) -> None:
    protocol = Mailbox()
    port = alice.listenUDP(5060, protocol)
    done: list[None] = []
    port.stopListening().addCallback(done.append)
    assert not protocol.stopped
    network.clock.advance(0)
    assert done == [None]
    assert protocol.stopped
    alice.listenUDP(5060, Mailbox())
    assert port.stopListening() is None


def test_what_arrives_for_a_stopped_port_is_not_delivered(network: Network, alice: Any, bob: Any) -> None:
    here, there = Mailbox(), Mailbox()
    alice.listenUDP(5060, here)
    port = bob.listenUDP(5060, there)
    here.transport.write(b"late", ("10.0.0.2", 5060))
    port.stopListening()
    network.clock.advance(1)
    assert there.received == []
    assert network.capture[0].fate == "refused"


def test_a_closed_port_is_reported_to_a_connected_port_and_to_the_hook(
    network: Network, alice: Any, bob: Any
) -> None:
    connected, plain = Mailbox(), Mailbox()
    alice.listenUDP(0, connected).connect("10.0.0.2", 9)
    port = alice.listenUDP(0, plain)
    refused: list[Any] = []
    port.refused = refused.append
    connected.transport.write(b"?")
    plain.transport.write(b"?", ("10.0.0.2", 9))
    network.clock.advance(0.0015)
    assert connected.refusals == 0
    network.clock.advance(1)
    assert connected.refusals == 1
    assert refused == [("10.0.0.2", 9)]
    bob.refuses = False
    connected.transport.write(b"?")
    network.clock.advance(1)
    assert connected.refusals == 1
    assert [packet.fate for packet in network.capture] == ["refused", "refused", "lost"]


def test_a_connected_port_hears_its_peer_only(network: Network, alice: Any, bob: Any) -> None:
    carol = network.host("carol", "10.0.0.3")
    here, peer, stranger = Mailbox(), Mailbox(), Mailbox()
    alice.listenUDP(5060, here).connect("10.0.0.2", 5060)
    bob.listenUDP(5060, peer)
    carol.listenUDP(5060, stranger)
    peer.transport.write(b"peer", ("10.0.0.1", 5060))
    stranger.transport.write(b"stranger", ("10.0.0.1", 5060))
    network.clock.advance(1)
    assert here.received == [(b"peer", ("10.0.0.2", 5060))]


def test_sizes_are_those_of_udp(network: Network, alice: Any, bob: Any) -> None:
    here, there = Mailbox(), Mailbox()
    alice.listenUDP(5060, here)
    bob.listenUDP(5060, there)
    with pytest.raises(MessageLengthError):
        here.transport.write(bytes(65508), ("10.0.0.2", 5060))
    here.transport.write(bytes(65507), ("10.0.0.2", 5060))
    network.clock.advance(1)
    # Twisted's default maxPacketSize truncates.
    assert [len(data) for data, _ in there.received] == [8192]


def test_loopback_stays_on_the_host(network: Network, alice: Any, bob: Any) -> None:
    one, other, elsewhere = Mailbox(), Mailbox(), Mailbox()
    alice.listenUDP(5060, one, interface="127.0.0.1")
    alice.listenUDP(5070, other)
    bob.listenUDP(5070, elsewhere)
    one.transport.write(b"here", ("127.0.0.1", 5070))
    one.transport.write(b"nowhere", ("10.0.0.2", 5070))
    network.clock.advance(1)
    assert other.received == [(b"here", ("127.0.0.1", 5060))]
    assert elsewhere.received == []


def test_a_pausing_port_keeps_what_comes(network: Network, alice: Any, bob: Any) -> None:
    here, there = Mailbox(), Mailbox()
    alice.listenUDP(5060, here)
    port = bob.listenUDP(5060, there)
    port.pauseProducing()
    for number in range(3):
        here.transport.write(b"%d" % number, ("10.0.0.2", 5060))
    network.clock.advance(1)
    assert there.received == []
    port.resumeProducing()
    network.clock.advance(0)
    assert [data for data, _ in there.received] == [b"0", b"1", b"2"]


def test_a_protocol_that_raises_is_seen_by_the_test(network: Network, alice: Any, bob: Any) -> None:
    class Bad(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            raise ZeroDivisionError

    here = Mailbox()
    alice.listenUDP(5060, here)
    bob.listenUDP(5060, Bad())
    here.transport.write(b"!", ("10.0.0.2", 5060))
    with pytest.raises(ZeroDivisionError):
        network.clock.advance(1)


def test_socket_options_are_remembered(alice: Any) -> None:
    handle = alice.listenUDP(5060, Mailbox()).getHandle()
    handle.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x60)
    assert handle.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x60
    assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 0
    assert handle.options == {(socket.IPPROTO_IP, socket.IP_TOS): 0x60}
    assert handle.getsockname() == ("0.0.0.0", 5060)


def test_addresses_come_and_go(network: Network, alice: Any, bob: Any) -> None:
    here, there = Mailbox(), Mailbox()
    alice.listenUDP(5060, here)
    bob.listenUDP(5060, there)
    there.transport.write(b"1", ("10.0.0.1", 5060))
    network.clock.advance(1)
    alice.remove_address("10.0.0.1")
    alice.add_address("10.0.0.9")
    there.transport.write(b"2", ("10.0.0.1", 5060))
    there.transport.write(b"3", ("10.0.0.9", 5060))
    here.transport.write(b"4", ("10.0.0.2", 5060))
    network.clock.advance(1)
    assert [data for data, _ in here.received] == [b"1", b"3"]
    assert there.received == [(b"4", ("10.0.0.9", 5060))]
    with pytest.raises(ArgumentError):
        alice.add_address("10.0.0.2")
    with pytest.raises(ArgumentError):
        alice.add_address("alice.example.com")
    with pytest.raises(ArgumentError):
        alice.remove_address("10.0.0.1")
    with pytest.raises(ArgumentError):
        network.host("alice", "10.0.0.44")


def test_getHost_names_the_wildcard(alice: Any) -> None:
    assert alice.listenUDP(5060, Mailbox()).getHost() == IPv4Address("UDP", "0.0.0.0", 5060)
