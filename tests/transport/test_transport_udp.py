"""UDP: what comes in is parsed, marked and handed on; what goes out tells nobody but those who watch."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sipactors.errors import ICMPFailure, TransportFailure
from sipactors.interfaces import IFlow, ITransportLayer

VIA = "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1"


def pair(world: Any, **limits: Any) -> tuple[Any, Any]:
    alice = world.end("alice", "192.0.2.1", "2001:db8::1", **limits)
    bob = world.end("bob", "192.0.2.2", "2001:db8::2", **limits)
    for end in (alice, bob):
        end.layer.listen("udp:5060")
        end.layer.listen(r"udp:5060:interface=\:\:")
    return alice, bob


@pytest.mark.accepts("J1")
@pytest.mark.parametrize(
    ("here", "there", "name"),
    [("192.0.2.1", "192.0.2.2", "192.0.2.1:5060"), ("2001:db8::1", "2001:db8::2", "[2001:db8::1]:5060")],
)
def test_a_message_goes_both_ways(world: Any, write: Any, here: str, there: str, name: str) -> None:
    """A request goes to a peer over IPv4 and IPv6, and its response comes back by the flow it came by."""
    alice, bob = pair(world)
    flow = alice.layer.flow_to("udp", there, 5060)
    verifyObject(IFlow, flow)
    verifyObject(ITransportLayer, alice.layer)
    assert (flow.transport, flow.reliable, flow.secure, flow.closed) == ("UDP", False, False, False)
    assert (flow.sent_by, flow.local_uri_host) == (name, name)
    assert (flow.local, flow.peer) == ((here, 5060), (there, 5060))
    flow.send(write.request(f"SIP/2.0/UDP {name};rport;branch=z9hG4bK1"))
    world.clock.advance(1)
    (message,), (back,) = bob.messages, bob.flows
    assert (message.via.received, message.via.rport) == (here, 5060)
    bob.layer.response_flow(message, back).send(
        write.response(f"SIP/2.0/UDP {name};rport=5060;branch=z9hG4bK1")
    )
    world.clock.advance(1)
    assert alice.messages[0].status == 200
    assert alice.flows[0] == flow
    assert (alice.metrics.messages_sent, alice.metrics.messages_received) == (1, 1)


def test_a_port_of_0_is_resolved(world: Any) -> None:
    """A listener on port 0 says which port it got, in its addresses and its names."""
    alice = world.end("alice", "192.0.2.1")
    listener = alice.layer.listen("udp:0:interface=192.0.2.1")
    assert listener.port > 0
    assert alice.layer.addresses == [("UDP", "192.0.2.1", listener.port)]
    assert alice.layer.flow_to("UDP", "192.0.2.9", 5060).sent_by == f"192.0.2.1:{listener.port}"


def test_a_port_in_use_is_a_transport_failure(world: Any) -> None:
    """A port that the system does not give raises TransportFailure, at once."""
    alice = world.end("alice", "192.0.2.1")
    alice.layer.listen("udp:5060")
    with pytest.raises(TransportFailure, match=r"cannot listen on UDP 0\.0\.0\.0 port 5060"):
        alice.layer.listen("udp:5060")


@pytest.mark.accepts("J4")
@pytest.mark.parametrize(
    "noise", [b"", b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0", b"  \r\n"], ids=lambda noise: repr(noise)
)
def test_a_keep_alive_of_line_breaks_is_no_message(world: Any, noise: bytes) -> None:
    """What only keeps a NAT open is counted, and neither answered nor handed on."""
    alice, bob = pair(world)
    alice.layer.flow_to("UDP", "192.0.2.2", 5060).send(noise)
    world.clock.advance(1)
    assert not bob.events.events
    assert bob.metrics.pings_received == 1


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_a_stun_binding_request_is_answered(world: Any, address: str) -> None:
    """RFC 5626 §8: a Binding request on the SIP port gets the address it came from (RFC 5389 §15.2)."""
    _, bob = pair(world)
    carol = world.network.host("carol", "192.0.2.3", "2001:db8::3")
    raw = world.datagrams(carol, "::" if ":" in address else "0.0.0.0", 32853)
    raw.transport.write(bytes.fromhex("000100002112a442") + b"transaction1", (address, 5060))
    world.clock.advance(1)
    ((answer, _),) = raw.got
    kind = "0001a147e112a643" if ":" not in address else "0002a147"
    expected = {
        "192.0.2.2": "0101000c2112a442" + b"transaction1".hex() + "002000080001" + "a147" + "e112a641",
        "2001:db8::2": "010100182112a442" + b"transaction1".hex() + "002000140002" + "a147",
    }[address]
    assert answer.hex().startswith(expected), kind
    if ":" in address:
        mask = bytes.fromhex("2112a442") + b"transaction1"
        assert bytes(a ^ b for a, b in zip(answer[-16:], mask)).hex() == "20010db8000000000000000000000003"
    assert not bob.events.events


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"\xff" * 60000,
        b"\0\1\0\x08\x21\x12\xa4\x42transaction1",
        b"\0\1\0\0\x21\x12\xa4\x41transaction1",
        b"GET / HTTP/1.1\r\n\r\n",
        b"OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\nVia: nonsense\r\n\r\n",
        b"OPTIONS sip:bob@192.0.2.2 SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"\r\n\r\nINVITE",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_no_datagram_of_a_stranger_ends_a_listener(world: Any, write: Any, data: bytes) -> None:
    """Whatever a datagram holds is told as malformed at most; the next one is read."""
    alice, bob = pair(world)
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5060)
    flow.send(data)
    flow.send(write.request(VIA))
    world.clock.advance(1)
    assert bob.events.names() == ["malformed_received", "message_received"]
    error, back = bob.events.events[0].args
    assert error.status in (400, 505)
    assert back == bob.flows[0]


def test_a_malformed_request_is_marked_as_far_as_it_reads(world: Any, write: Any) -> None:
    """RFC 3261 §18.2.1: received is added before the message is handed on, so that its 400 finds the way."""
    alice, bob = pair(world)
    data = write.request("SIP/2.0/UDP nat.invalid;rport;branch=z9hG4bK1").replace(
        b"Content-Length: 0", b"l: 900"
    )
    alice.layer.flow_to("UDP", "192.0.2.2", 5060).send(data)
    world.clock.advance(1)
    error, flow = bob.events.last("malformed_received").args
    assert (error.status, error.message.via.received, error.message.via.rport) == (400, "192.0.2.1", 5060)
    assert bob.layer.response_flow(error.message, flow) == flow


@pytest.mark.accepts("J5")
@pytest.mark.parametrize(
    ("via", "told"),
    [
        (VIA, True),
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", True),
        ("SIP/2.0/UDP [2001:0DB8::0:1]:5060;branch=z9hG4bK1", True),
        ("SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bK1", False),
        ("SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK1", False),
        ("SIP/2.0/UDP example.com;branch=z9hG4bK1", False),
    ],
)
def test_a_response_for_somebody_else_is_dropped(world: Any, write: Any, via: str, told: bool) -> None:
    """RFC 3261 §18.1.2: when sent-by is not a value that we insert, the response MUST be discarded."""
    alice, bob = pair(world)
    for address in ("192.0.2.2", "2001:db8::2"):
        assert alice.layer.flow_to("UDP", address, 5060).sent_by
    bob.layer.flow_to("UDP", "192.0.2.1", 5060).send(write.response(via))
    world.clock.advance(1)
    assert alice.events.names() == ["message_received"] * told
    assert alice.metrics.foreign_responses == (not told)


def test_an_icmp_error_reaches_those_who_watch_that_peer(world: Any, write: Any) -> None:
    """RFC 3261 §18.4: a port unreachable error informs the transport user of a failure in sending."""
    alice, _ = pair(world)
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5099)
    other = alice.layer.flow_to("UDP", "192.0.2.2", 5060)
    flow.watch(alice.watcher("one"))
    flow.watch(alice.watcher("two"))
    other.watch(alice.watcher("other"))
    flow.send(write.request(VIA))
    assert not alice.lost
    world.clock.advance(1)
    assert alice.lost == [(who, "UDP to 192.0.2.2 port 5099: port unreachable") for who in ("one", "two")]
    told, error = alice.events.last("flow_lost").args
    assert told is flow
    assert isinstance(error, ICMPFailure)
    flow.send(write.request(VIA))
    world.clock.advance(1)
    assert len(alice.lost) == 2, "each is told once"
    assert not flow.closed


def test_who_is_withdrawn_is_not_told(world: Any, write: Any) -> None:
    """An unwatched watcher hears nothing, even when it is withdrawn by what another one does."""
    alice, _ = pair(world)
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5099)
    gone, last = alice.watcher("gone"), alice.watcher("last")
    first = alice.watcher("first", then={"flow_lost": lambda flow, error: flow.unwatch(last)})
    for watcher in (first, gone, last):
        flow.watch(watcher)
    flow.unwatch(gone)
    flow.unwatch(gone)
    flow.send(write.request(VIA))
    world.clock.advance(1)
    assert [who for who, _ in alice.lost] == ["first"]


def test_a_watcher_that_raises_stops_nobody(world: Any, write: Any) -> None:
    """A watcher's exception is counted and contained: the next one is told."""
    alice, _ = pair(world)
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5099)
    flow.watch(alice.watcher("broken", raises=True))
    flow.watch(alice.watcher("sound"))
    flow.send(write.request(VIA))
    world.clock.advance(1)
    assert [who for who, _ in alice.lost] == ["broken", "sound"]
    assert alice.metrics.observer_errors == 1


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
def test_a_full_socket_is_a_counted_loss(world: Any, write: Any, number: int) -> None:
    """A socket without room loses the datagram, as the network may; send does not raise, nobody is told."""
    alice, _ = pair(world)
    listener = alice.layer.listeners[0]

    def refuse(data: bytes, peer: Any) -> None:
        raise OSError(number, "no room")

    listener.sendto = refuse
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5060)
    flow.watch(alice.watcher())
    flow.send(write.request(VIA))
    world.clock.advance(1)
    assert (alice.metrics.messages_lost, alice.metrics.messages_sent) == (1, 0)
    assert not alice.lost


def test_a_datagram_that_is_too_large_is_told_to_those_who_watch(world: Any) -> None:
    """What cannot be sent at all is a TransportFailure for the flow's watchers, told after send returned."""
    alice, _ = pair(world)
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5060)
    flow.watch(alice.watcher())
    flow.send(b"x" * 70000)
    assert not alice.lost
    world.clock.advance(0)
    assert alice.lost == [("watcher", "UDP to 192.0.2.2 port 5060: Message too long")]
    assert isinstance(alice.events.last().args[1], TransportFailure)


@pytest.mark.accepts("D8")
def test_a_listener_that_stops_loses_its_flows(world: Any, write: Any) -> None:
    """Whoever waits on a listener that stops is told once; what is sent after that is a counted loss."""
    alice, bob = pair(world)
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5060)
    flow.watch(alice.watcher())
    stopped = alice.layer.stop()
    assert flow.closed
    flow.send(write.request(VIA))
    flow.watch(alice.watcher("late"))
    world.clock.advance(1)
    assert stopped.called
    assert [who for who, _ in alice.lost] == ["watcher", "late"]
    assert alice.metrics.messages_lost == 1
    assert not bob.events.events
    with pytest.raises(TransportFailure):
        alice.layer.flow_to("UDP", "192.0.2.2", 5060)
    alice.layer.listen("udp:5060")
    assert alice.layer.flow_to("UDP", "192.0.2.2", 5060) != flow


def test_an_exception_of_the_receiver_is_a_fault_that_stops_nothing(world: Any, write: Any) -> None:
    """A bug above the transport is logged and counted; the next datagram is read."""

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    alice = world.end("alice", "192.0.2.1")
    bob = world.end("bob", "192.0.2.2", then={"message_received": broken, "malformed_received": broken})
    for end in (alice, bob):
        end.layer.listen("udp:5060")
    flow = alice.layer.flow_to("UDP", "192.0.2.2", 5060)
    flow.send(write.request(VIA))
    flow.send(b"nonsense")
    flow.send(write.request(VIA))
    world.clock.advance(1)
    assert len(bob.events) == 3
    assert bob.metrics.faults == 3
