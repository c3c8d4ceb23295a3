"""Via at the transport: received and rport, and the way back of responses."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol

VIAS = [
    ("192.0.2.1:5060", "", "", "sent-by is where it came from"),
    ("192.0.2.1", "", "", "likewise, without its port"),
    ("192.0.2.9:5060", "", ";received=192.0.2.1", "another address"),
    ("alice.example.com:5060", "", ";received=192.0.2.1", "a domain name"),
    ("192.0.2.1:5060", ";rport", ";rport=6000;received=192.0.2.1", "rport asked: received even if equal"),
    ("10.0.0.1:5060", ";rport", ";rport=6000;received=192.0.2.1", "behind a NAT"),
    ("192.0.2.1:5060", ";received=198.51.100.9", ";received=192.0.2.1", "received of the sender's own"),
    ("192.0.2.1:5060", ";rport=1;received=198.51.100.9", ";rport=6000;received=192.0.2.1", "rport likewise"),
]


def arrive(world: Any, write: Any, kind: str, via: str, source: str = "192.0.2.1") -> tuple[Any, Any, Any]:
    """A request with this Via comes from port 6000 of a raw peer."""
    bob = world.end("bob", "192.0.2.2", "2001:db8::2")
    there = "2001:db8::2" if ":" in source else "192.0.2.2"
    for interface in (r"\:\:", "0.0.0.0"):
        bob.layer.listen(f"{kind}:5060:interface={interface}")
    host = world.network.host("peer", source)
    data = write.request(via)
    if kind == "udp":
        peer = world.datagrams(host, "::" if ":" in source else "0.0.0.0", 6000)
        peer.transport.write(data, (there, 5060))
    else:
        peer = world.connect(host, there, local_port=6000)
        peer.transport.write(data)
    world.clock.advance(1)
    return bob, host, peer


@pytest.mark.accepts("J5")
@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize(("sent_by", "params", "added", "why"), VIAS, ids=[row[3] for row in VIAS])
def test_a_request_is_marked(
    world: Any, write: Any, kind: str, sent_by: str, params: str, added: str, why: str
) -> None:
    """RFC 3261 §18.2.1, RFC 3581 §4: received tells the source address, rport the source port."""
    start = f"SIP/2.0/{kind.upper()} {sent_by}"
    bob, _, _ = arrive(
        world, write, kind, f"{start}{params};branch=z9hG4bK1, SIP/2.0/UDP 203.0.113.1;branch=z9hG4bK0"
    )
    (message,) = bob.messages
    via = message.via
    wanted = {"branch": "z9hG4bK1"} | dict(part.split("=") for part in added.split(";") if part)
    assert {name: via.params[name] for name in via.params} == wanted
    assert via.sent_by == sent_by
    assert len(message.vias) == 2
    assert message.vias[1].branch == "z9hG4bK0"
    assert f";received={wanted['received']}" in str(via) if added else "received" not in message.get("Via")
    assert message.vias[0] == via, "what is rendered is what was marked"


@pytest.mark.accepts("J5")
@pytest.mark.parametrize(
    ("sent_by", "params", "received"),
    [
        ("[2001:db8::1]:6000", "", None),
        ("[2001:0DB8:0::1]:6000", "", None),
        ("[2001:db8::7]:6000", "", "2001:db8::1"),
        ("192.0.2.1:6000", "", "2001:db8::1"),
        ("[2001:db8::1]:6000", ";rport", "2001:db8::1"),
    ],
)
def test_a_request_by_ipv6_is_marked(
    world: Any, write: Any, sent_by: str, params: str, received: str | None
) -> None:
    """RFC 3261 §25.1: via-received = "received" EQUAL (IPv4address / IPv6address): no brackets (D-28)."""
    bob, _, _ = arrive(world, write, "udp", f"SIP/2.0/UDP {sent_by}{params};branch=z9hG4bK1", "2001:db8::1")
    (message,) = bob.messages
    assert message.via.received == received
    assert (f"received={received}" in message.get("Via")) == (received is not None)


RESPONSES = [
    (";rport", "192.0.2.1", 6000, "RFC 3581 §4: to received and rport"),
    ("", "192.0.2.1", 5070, "RFC 3261 §18.2.2: to received, and the port of sent-by"),
    (";maddr=192.0.2.3", "192.0.2.3", 5070, "to maddr, and the port of sent-by"),
    (";maddr=192.0.2.3;rport", "192.0.2.3", 5070, "maddr goes before rport"),
    (";maddr=239.255.0.1", "192.0.2.1", 5070, "a multicast maddr is passed over"),
    (";maddr=host.example.com", "192.0.2.1", 5070, "a name in maddr likewise"),
]


@pytest.mark.accepts("J5")
@pytest.mark.parametrize(("params", "host", "port", "why"), RESPONSES, ids=[row[3] for row in RESPONSES])
def test_a_response_by_udp_finds_its_way(
    world: Any, write: Any, params: str, host: str, port: int, why: str
) -> None:
    """RFC 3261 §18.2.2 and RFC 3581 §4: where a response goes, and from the port that the request came to."""
    bob, _, _ = arrive(world, write, "udp", f"SIP/2.0/UDP 10.0.0.1:5070{params};branch=z9hG4bK1")
    flow = bob.layer.response_flow(bob.messages[0], bob.flows[0])
    assert flow.peer == (host, port)
    flow.send(b"answer")
    packet = world.network.capture[-1]
    assert (packet.source, packet.destination) == (("192.0.2.2", 5060), (host, port))


def test_a_response_without_a_port_in_sent_by_goes_to_5060(world: Any, write: Any) -> None:
    """RFC 3261 §18.2.2: to the port of sent-by, or 5060 if there is none."""
    bob, _, _ = arrive(world, write, "udp", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
    assert bob.layer.response_flow(bob.messages[0], bob.flows[0]).peer == ("192.0.2.1", 5060)


def test_a_response_to_an_ipv6_maddr_leaves_by_ipv6(world: Any, write: Any) -> None:
    """D-28: a Via may lead from IPv4 to IPv6; the response goes from a listener of that family."""
    world.network.host("other", "2001:db8::9")
    bob, _, _ = arrive(world, write, "udp", "SIP/2.0/UDP 192.0.2.1;maddr=[2001:db8::9];branch=z9hG4bK1")
    flow = bob.layer.response_flow(bob.messages[0], bob.flows[0])
    assert (flow.peer, flow.local) == (("2001:db8::9", 5060), ("2001:db8::2", 5060))


@pytest.mark.accepts("J5")
def test_a_response_by_tcp_uses_the_connection_of_its_request(world: Any, write: Any) -> None:
    """RFC 3261 §18.2.2: over a reliable transport the response goes by the existing connection (D-25)."""
    bob, _, _ = arrive(world, write, "tcp", "SIP/2.0/TCP 10.0.0.1:5070;maddr=192.0.2.3;branch=z9hG4bK1")
    assert bob.layer.response_flow(bob.messages[0], bob.flows[0]) is bob.flows[0]
    assert len(bob.layer.connections) == 1


@pytest.mark.accepts("J5")
def test_a_response_by_tcp_opens_a_connection_when_the_old_one_is_gone(world: Any, write: Any) -> None:
    """RFC 3261 §18.2.2: if it is no longer open, one to received and the port of sent-by is opened."""
    bob, host, peer = arrive(world, write, "tcp", "SIP/2.0/TCP alice.example.com:5070;branch=z9hG4bK1")
    got: list[bytes] = []

    class Keeping(Protocol):
        def dataReceived(self, data: bytes) -> None:
            got.append(data)

    host.listenTCP(5070, Factory.forProtocol(Keeping))
    peer.transport.loseConnection()
    world.clock.advance(1)
    assert bob.flows[0].closed
    flow = bob.layer.response_flow(bob.messages[0], bob.flows[0])
    assert flow.peer == ("192.0.2.1", 5070)
    flow.send(b"answer")
    world.clock.advance(1)
    assert got == [b"answer"]


def test_a_response_that_has_no_way_is_a_loss_not_an_exception(world: Any, write: Any) -> None:
    """Where nothing can be opened, the old flow is given back: what is sent on it is a counted loss."""
    bob, _, peer = arrive(world, write, "tcp", "SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1")
    for listener in bob.layer.listeners:
        listener.stop()
    peer.transport.loseConnection()
    world.clock.advance(1)
    flow = bob.layer.response_flow(bob.messages[0], bob.flows[0])
    assert flow is bob.flows[0]
    flow.send(b"answer")
    assert bob.metrics.messages_lost == 1
