"""The transport layer: which way to a peer, which name for it, and what is told when a way is lost."""

from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sipactors.errors import ArgumentError, TransportFailure
from sipactors.interfaces import IFlow

VIA = "SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1"


def pair(world: Any, *descriptions: str, **limits: Any) -> tuple[Any, Any]:
    alice = world.end("alice", "192.0.2.1", "2001:db8::1", **limits)
    bob = world.end("bob", "192.0.2.2", "2001:db8::2", **limits)
    for end in (alice, bob):
        for description in descriptions or ("tcp:5060", r"tcp:5060:interface=\:\:"):
            end.layer.listen(description)
    return alice, bob


@pytest.mark.accepts("J1")
@pytest.mark.parametrize(
    ("here", "there", "name"),
    [("192.0.2.1", "192.0.2.2", "192.0.2.1:5060"), ("2001:db8::1", "2001:db8::2", "[2001:db8::1]:5060")],
)
def test_a_stream_queues_until_it_is_connected(
    world: Any, write: Any, here: str, there: str, name: str
) -> None:
    """flow_to gives a TCP flow at once; what is sent meanwhile goes when it is connected."""
    alice, bob = pair(world)
    flow = alice.layer.flow_to("TCP", there, 5060)
    verifyObject(IFlow, flow)
    assert (flow.transport, flow.reliable, flow.secure, flow.closed) == ("TCP", True, False, False)
    assert (flow.sent_by, flow.local_uri_host, flow.local) == (name, name, (here, 0))
    flow.send(write.request(f"SIP/2.0/TCP {name};branch=z9hG4bK1"))
    flow.send(write.request(f"SIP/2.0/TCP {name};branch=z9hG4bK2", "INFO"))
    world.clock.advance(1)
    assert [message.method for message in bob.messages] == ["OPTIONS", "INFO"]
    back = bob.layer.response_flow(bob.messages[0], bob.flows[0])
    back.send(write.response(f"SIP/2.0/TCP {name};branch=z9hG4bK1"))
    world.clock.advance(1)
    assert alice.messages[0].status == 200
    assert alice.flows == [flow]
    assert (flow.local[0], flow.peer) == (here, (there, 5060))
    assert flow.local[1] > 0
    assert back.sent_by == name.replace("::1", "::2").replace(".1:", ".2:")


@pytest.mark.accepts("J2")
def test_what_is_supported(world: Any) -> None:
    """A transport is supported for the families it listens in; anything else raises TransportFailure."""
    alice = world.end("alice", "192.0.2.1", "2001:db8::1")
    alice.layer.listen("udp:5060")
    alice.layer.listen(r"tcp:5060:interface=\:\:")
    layer = alice.layer
    asked = [
        (kind, host) for kind in ("UDP", "TCP", "TLS") for host in ("192.0.2.2", "2001:db8::2", "example.com")
    ]
    assert [pair for pair in asked if layer.supports(*pair)] == [("UDP", "192.0.2.2"), ("TCP", "2001:db8::2")]
    for kind, host in asked:
        if not layer.supports(kind, host):
            with pytest.raises(TransportFailure):
                layer.flow_to(kind, host, 5060)
    for port in (0, -1, 65536):
        with pytest.raises(TransportFailure):
            layer.flow_to("UDP", "192.0.2.2", port)


class TestReuse:
    """A connection is used again where RFC 3261 §18 and RFC 5923 allow it (D-25)."""

    def test_a_connection_of_ours_is_used_again(self, world: Any, write: Any) -> None:
        """One connection for each target, while it opens and when it is open."""
        alice, bob = pair(world)
        flow = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
        assert alice.layer.flow_to("tcp", "192.0.2.2", 5060, "example.com") is flow, "no certificate, no name"
        assert alice.layer.flow_to("TCP", "192.0.2.2", 5061) is not flow
        assert alice.layer.flow_to("TCP", "2001:db8::2", 5060) is not flow
        world.clock.advance(1)
        assert alice.layer.flow_to("TCP", "192.0.2.2", 5060) is flow
        assert bob.metrics.connections_opened == 2

    def test_a_connection_of_the_peers_is_used_for_the_very_port_it_came_from(
        self, world: Any, write: Any
    ) -> None:
        """RFC 3261 §18: connections are indexed by address, port and transport at the far end."""
        alice, bob = pair(world)
        alice.layer.flow_to("TCP", "192.0.2.2", 5060).send(write.request(VIA))
        world.clock.advance(1)
        (accepted,) = bob.flows
        assert bob.layer.flow_to("TCP", *accepted.peer) is accepted
        assert bob.layer.flow_to("TCP", "192.0.2.1", 5060) is not accepted

    def test_a_dead_connection_is_not_used_again(self, world: Any) -> None:
        """A connection that is closing or gone is replaced at once."""
        alice, _ = pair(world)
        flow = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
        world.clock.advance(1)
        world.network.kill(alice.host)
        world.clock.advance(1)
        assert flow.closed
        again = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
        assert again is not flow
        again.feed("closed", "for this test")
        assert alice.layer.flow_to("TCP", "192.0.2.2", 5060) is not again


class TestLoss:
    """Whoever depends on a connection is told once, promptly, and never from inside send or flow_to."""

    @pytest.mark.accepts("D8")
    def test_a_connection_that_dies_is_told_at_once(self, world: Any, write: Any) -> None:
        """D-9: those who wait on a connection hear of its death at once, not after a timer of theirs."""
        alice, bob = pair(world)
        flow = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
        one, two = alice.watcher("one"), alice.watcher("two")
        flow.watch(one)
        flow.watch(two)
        flow.watch(gone := alice.watcher("gone"))
        flow.unwatch(gone)
        flow.send(write.request(VIA))
        world.clock.advance(1)
        bob.flows[0].watch(bob.watcher("bob's"))
        world.network.kill(alice.host)
        world.clock.advance(0.01)
        assert [who for who, _ in alice.lost] == ["one", "two"]
        assert [who for who, _ in bob.lost] == ["bob's"]
        assert all(isinstance(event.args[1], TransportFailure) for event in alice.events.of("flow_lost"))
        assert "TCP to 192.0.2.2 port 5060: " in alice.lost[0][1]
        flow.send(write.request(VIA))
        world.clock.advance(1)
        assert len(alice.lost) == 2
        assert alice.metrics.messages_lost == 1
        assert (len(alice.layer.connections), len(bob.layer.connections)) == (0, 0)

    def test_a_refused_connection_is_told(self, world: Any, write: Any) -> None:
        """D-26: where nobody listens, the watchers hear it, and may go back to UDP."""
        alice, _ = pair(world)
        flow = alice.layer.flow_to("TCP", "192.0.2.2", 5099)
        flow.watch(alice.watcher())
        flow.send(write.request(VIA))
        assert not alice.lost
        world.clock.advance(0.1)
        ((_, why),) = alice.lost
        assert "refused" in why
        assert flow.closed
        flow.watch(alice.watcher("late"))
        world.clock.advance(0.1)
        assert [who for who, _ in alice.lost] == ["watcher", "late"]

    def test_an_address_without_a_way_is_told(self, world: Any) -> None:
        """A connection that cannot even begin fails like any other: later, to its watchers."""
        alice, _ = pair(world)
        flow = alice.layer.flow_to("TCP", "198.51.100.1", 5060)
        flow.watch(alice.watcher())
        world.clock.advance(0.1)
        assert len(alice.lost) == 1

    def test_a_connection_that_is_not_answered_times_out(self, world: Any) -> None:
        """A peer that does not answer is given up after handshake_timeout."""
        alice, bob = pair(world)
        bob.host.go_down()
        flow = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
        flow.watch(alice.watcher())
        world.clock.advance(9.9)
        assert not alice.lost
        world.clock.advance(0.2)
        assert len(alice.lost) == 1
        assert len(alice.layer.connections) == 0

    def test_what_waits_for_a_connection_is_bounded(self, world: Any, write: Any) -> None:
        """A connection that does not come up holds max_write_buffer at most (D-40)."""
        alice, bob = pair(world, max_write_buffer=10_000)
        bob.host.go_down()
        flow = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
        flow.watch(alice.watcher())
        for _ in range(11):
            flow.send(b"x" * 1000)
        assert flow.closed
        assert not alice.lost
        world.clock.advance(0)
        assert len(alice.lost) == 1
        assert alice.metrics.slow_readers_closed == 1
        bob.host.go_up()
        world.clock.advance(10)
        assert not bob.host.streams

    def test_a_connection_that_closes_is_told_before_the_peer_has_read_all(
        self, world: Any, write: Any
    ) -> None:
        """Nothing more can be sent or come on a connection that closes: waiting for its end would be idle."""
        alice, bob = pair(world)
        flow = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
        world.clock.advance(1)
        bob.host.streams[0].pauseProducing()
        for _ in range(20):
            flow.send(b"x" * 10_000)
        flow.watch(alice.watcher())
        flow.feed("closed", "for this test")
        flow.watch(alice.watcher("late"))
        world.clock.advance(0.1)
        assert [who for who, _ in alice.lost] == ["watcher", "late"]
        world.clock.advance(11)
        assert len(alice.lost) == 2
        assert len(alice.layer.connections) == 0

    def test_a_layer_that_stops_tells_all(self, world: Any, write: Any) -> None:
        """stop closes every connection, opening ones too; its Deferred fires when they are gone."""
        alice, bob = pair(world)
        flows = [alice.layer.flow_to("TCP", "192.0.2.2", port) for port in (5060, 5099)]
        flows.append(alice.layer.flow_to("TCP", "2001:db8::2", 5060))
        flows[0].send(write.request(VIA))
        world.clock.advance(0.0015)
        for number, flow in enumerate(flows):
            flow.watch(alice.watcher(str(number)))
        stopped = alice.layer.stop()
        world.clock.advance(1)
        assert stopped.called
        assert sorted(who for who, _ in alice.lost) == ["0", "1", "2"]
        assert not alice.host.streams
        assert not bob.host.streams
        assert alice.layer.addresses == []
        alice.layer.listen("tcp:5060")
        assert not alice.layer.flow_to("TCP", "192.0.2.2", 5060).closed

    def test_an_idle_layer_leaves_no_timer_behind(self, world: Any, write: Any) -> None:
        """With its last connection a layer's timers end too."""
        alice, bob = pair(world)
        alice.layer.flow_to("TCP", "192.0.2.2", 5060).send(write.request(VIA))
        world.clock.advance(1)
        world.network.kill(alice.host)
        world.clock.advance(11)
        assert world.clock.getDelayedCalls() == []
        assert len(bob.messages) == 1


class TestNames:
    """Via and Contact name the address by which the peer can reach us."""

    def test_a_wildcard_listener_is_named_by_the_address_the_peer_sees(self, world: Any) -> None:
        """Of several addresses, sent-by names the one from which the peer is reached."""
        alice = world.end("alice", "192.0.2.1", "2001:db8::1")
        world.network.host("bob", "192.0.2.2", "2001:db8::2")
        for description in ("udp:5060", r"udp:5060:interface=\:\:"):
            alice.layer.listen(description)
        layer = alice.layer
        assert layer.flow_to("UDP", "192.0.2.2", 5060).sent_by == "192.0.2.1:5060"
        assert layer.flow_to("UDP", "2001:db8::2", 5060).sent_by == "[2001:db8::1]:5060"
        assert layer.flow_to("UDP", "127.0.0.1", 5062).sent_by == "127.0.0.1:5060"

    def test_the_name_follows_the_network(self, world: Any) -> None:
        """D-32: after network_changed the new address is named."""
        alice = world.end("alice", "192.0.2.1")
        world.network.host("bob", "192.0.2.2")
        alice.layer.listen("udp:5060")
        flow = alice.layer.flow_to("UDP", "192.0.2.2", 5060)
        assert flow.sent_by == "192.0.2.1:5060"
        alice.host.remove_address("192.0.2.1")
        alice.host.add_address("192.0.2.11")
        alice.layer.network_changed()
        assert flow.sent_by == "192.0.2.11:5060"
        alice.host.remove_address("192.0.2.11")
        alice.host.add_address("192.0.2.12")
        world.clock.advance(31)
        assert flow.sent_by == "192.0.2.12:5060", "it is asked anew after a while, told or not"

    @pytest.mark.parametrize("kind", ["udp", "tcp"])
    def test_an_advertised_address_is_named_instead(self, world: Any, write: Any, kind: str) -> None:
        """D-36: behind a 1:1 NAT, Via and Contact name what the NAT maps to us; responses to it are ours."""
        alice, bob = pair(world, rf"{kind}:5060:advertised=SIP.example.com\:5070")
        flow = alice.layer.flow_to(kind, "192.0.2.2", 5060)
        assert (flow.sent_by, flow.local_uri_host) == ("SIP.example.com:5070", "SIP.example.com:5070")
        assert flow.local[0] == "192.0.2.1"
        flow.send(write.request(f"SIP/2.0/{kind.upper()} {flow.sent_by};rport;branch=z9hG4bK1"))
        world.clock.advance(1)
        back = bob.layer.response_flow(bob.messages[0], bob.flows[0])
        back.send(write.response(bob.messages[0].get("Via")))
        world.clock.advance(1)
        assert len(alice.messages) == 1
        alice.layer.listeners[0].advertised = ("203.0.113.7", None)
        assert flow.sent_by == "203.0.113.7:5060"
        alice.layer.listeners[0].advertised = None
        assert flow.sent_by == "192.0.2.1:5060"

    def test_of_several_listeners_the_one_on_the_way_is_used(self, world: Any) -> None:
        """A machine with two networks sends from the listener of the network that the peer is on."""
        routes = {"192.0.2.2": "192.0.2.1", "198.51.100.2": "198.51.100.1", "203.0.113.1": "203.0.113.9"}
        alice = world.end("alice", "192.0.2.1", "198.51.100.1", "203.0.113.9")
        layer = type(alice.layer)(alice.host, alice.layer.site.receiver, local_address=routes.get)
        layer.listen("udp:5060:interface=192.0.2.1")
        layer.listen("udp:5060:interface=198.51.100.1")
        assert layer.flow_to("UDP", "192.0.2.2", 5060).local == ("192.0.2.1", 5060)
        assert layer.flow_to("UDP", "198.51.100.2", 5060).local == ("198.51.100.1", 5060)
        layer.listen("udp:5062")
        assert layer.flow_to("UDP", "198.51.100.2", 5060).local == ("198.51.100.1", 5060)
        assert layer.flow_to("UDP", "203.0.113.1", 5060).local == ("203.0.113.9", 5062)

    def test_a_connection_leaves_from_the_address_of_its_listener(self, world: Any, write: Any) -> None:
        """A TCP listener that is bound to one address connects from that one."""
        alice = world.end("alice", "192.0.2.1", "192.0.2.11")
        bob = world.end("bob", "192.0.2.2")
        bob.layer.listen("tcp:5060")
        alice.layer.listen("tcp:5060:interface=192.0.2.11")
        alice.layer.flow_to("TCP", "192.0.2.2", 5060).send(write.request(VIA))
        world.clock.advance(1)
        assert bob.flows[0].peer[0] == "192.0.2.11"


@pytest.mark.accepts("A12")
def test_a_socket_option_is_set_on_all_sockets(world: Any, write: Any) -> None:
    """set_socket_option reaches open listeners and connections, and those to come (DSCP, say)."""
    alice, _ = pair(world, "udp:5060", "tcp:5060")
    layer = alice.layer
    old = layer.flow_to("TCP", "192.0.2.2", 5060)
    world.clock.advance(1)
    layer.set_socket_option(0, 1, 0xB8)
    layer.set_socket_option(0, 1, 0x88)
    new = layer.flow_to("TCP", "192.0.2.2", 5060)
    late = layer.listen(r"udp:5060:interface=\:\:")
    other = layer.flow_to("TCP", "192.0.2.2", 5060)
    world.clock.advance(1)
    assert new is old is other
    world.network.kill(alice.host)
    world.clock.advance(1)
    again = layer.flow_to("TCP", "192.0.2.2", 5060)
    world.clock.advance(1)
    sockets = [port.socket for port in alice.host.datagram_ports.values()]
    sockets += [port.socket for port in alice.host.stream_ports.values()]
    sockets.append(again.wire.getHandle())
    assert late.port == 5060
    assert [one.getsockopt(0, 1) for one in sockets] == [0x88] * 4
    assert layer.site.socket_options == [(0, 1, 0x88)]


def test_a_socket_option_that_nobody_takes_is_refused(world: Any) -> None:
    """An option that no socket takes raises ArgumentError and is not kept."""
    alice, _ = pair(world, "udp:5060")

    def refuse(option: Any) -> OSError:
        return OSError(92, "Protocol not available")

    alice.layer.listeners[0].set_socket_option = refuse
    with pytest.raises(ArgumentError, match="Protocol not available"):
        alice.layer.set_socket_option(0, 1, 0xB8)
    assert alice.layer.site.socket_options == []


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_trace_sees_every_message_both_ways(world: Any, write: Any, kind: str) -> None:
    """A trace gets the bytes of each message, with its flow, and no keep-alives (D-46)."""
    seen: list[tuple[str, str, bytes]] = []

    class Trace:
        def __init__(self, who: str) -> None:
            self.who = who

        def sent(self, flow: Any, data: bytes) -> None:
            seen.append((self.who, "sent", data))

        def received(self, flow: Any, data: bytes) -> None:
            seen.append((self.who, "received", data))

    alice, bob = pair(world, f"{kind}:5060")
    alice.layer.site.trace, bob.layer.site.trace = Trace("alice"), Trace("bob")
    flow = alice.layer.flow_to(kind, "192.0.2.2", 5060)
    data = write.request(VIA).replace(b"\r\nFrom", b"\r\nX-odd  :  as it came\r\nfrom")
    flow.send(data)
    flow.send(data.replace(b"1@example.com", b"2@example.com"))
    world.clock.advance(1)
    assert [(who, what) for who, what, _ in seen] == [("alice", "sent")] * 2 + [("bob", "received")] * 2
    assert [row[2] for row in seen[:2]] == [row[2] for row in seen[2:]]


def test_a_trace_sees_each_message_of_a_stream_as_it_came(world: Any, write: Any) -> None:
    """However a stream is cut, a trace gets the bytes of one message at a time, broken ones too (D-46)."""
    seen: list[bytes] = []

    class Trace:
        def received(self, flow: Any, data: bytes) -> None:
            seen.append(data)

    bob = world.end("bob", "192.0.2.2")
    bob.layer.listen("tcp:5060")
    raw = world.connect(world.network.host("peer", "192.0.2.1"), "192.0.2.2")
    message = write.request(VIA, body=b"12345").replace(b"\r\nFrom", b"\r\nX-odd  :  as it came\r\nfrom")
    raw.transport.write(message[:50])
    world.clock.advance(0.1)
    bob.layer.site.trace = Trace()
    raw.transport.write(message[50:])
    world.clock.advance(0.1)
    stream = b"\r\n\r\n" + message + b"\r\n" + message + message
    for start in range(0, len(stream), 11):
        raw.transport.write(stream[start : start + 11])
        world.clock.advance(0.1)
    assert len(bob.messages) == 4
    assert seen[1:] == [message] * 3
    assert seen[0].startswith(b"OPTIONS"), "its beginning came before there was a trace"
    bob.layer.site.trace = None
    raw.transport.write(message[:50])
    world.clock.advance(0.1)
    raw.transport.write(message[50:])
    world.clock.advance(0.1)
    bob.layer.site.trace = Trace()
    raw.transport.write(message + b"nonsense\r\n\r\n")
    world.clock.advance(0.1)
    assert seen[4:] == [message, b"nonsense\r\n\r\n"]


def test_a_connection_that_comes_about_when_it_is_given_up_is_aborted(world: Any) -> None:
    """What nobody waits for any more is not left open."""
    alice, bob = pair(world)
    flow = alice.layer.flow_to("TCP", "192.0.2.2", 5060)
    flow.abandon = lambda: None
    flow.feed("closed", "for this test")
    world.clock.advance(1)
    assert not alice.host.streams
    assert len(bob.layer.connections) == 0
