"""Phones: the ready agents of the test kit."""

from __future__ import annotations

import pytest

from sipactors.errors import ArgumentError
from sipactors.testing import Clock, Network, Phone, Recorder, ladder
from sipactors.testing.agents import ok


@pytest.fixture
def network() -> Network:
    """A network on a clock of its own."""
    return Network(Clock())


def test_two_phones_make_a_call_and_leave_nothing_behind(network: Network) -> None:
    """RFC 3665 §3.1: a session is established, used and ended."""
    happened = Recorder()
    alice = Phone(network, "alice", "10.0.0.1", recorder=happened)
    bob = Phone(network, "bob", "10.0.0.2", recorder=happened)
    usage = alice.call(bob)
    network.clock.advance(1)
    usage.bye()
    network.clock.advance(100)
    assert ladder(network) == [
        "alice -> bob INVITE",
        "bob -> alice 180 INVITE",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK",
        "alice -> bob BYE",
        "bob -> alice 200 BYE",
    ]
    assert bob.heard() == [
        "connection_state_changed",
        "request_received",
        "dialog_request_received",
        "dialog_request_received",
    ]
    assert alice.left_behind() == {}
    assert bob.left_behind() == {}


def test_a_phone_may_refuse_ring_or_leave_calls_to_the_test(network: Network) -> None:
    """RFC 3261 §13.3.1: the UAS may accept, reject or leave an INVITE without an answer for now."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2", on_call=486)
    carol = Phone(network, "carol", "10.0.0.3", on_call="ring")
    alice.call(bob)
    alice.call(carol)
    network.clock.advance(1)
    statuses = [event.args[0].response.status for event in alice.recorder.of("dialog_response_received")]
    assert sorted(statuses) == [180, 180] or 486 in statuses
    carol.accept()
    network.clock.advance(1)
    assert "carol -> alice 200 INVITE" in ladder(network)
    assert "bob -> alice 486 INVITE" in ladder(network)


def test_a_phone_speaks_ipv6_and_tcp(network: Network) -> None:
    """RFC 3261 §18: requests go by the transport that their URI names, over either family."""
    alice = Phone(network, "alice", "fd00::1")
    bob = Phone(network, "bob", "fd00::2")
    alice.send("MESSAGE", f"{bob.uri};transport=tcp", b"hello")
    network.clock.advance(1)
    assert ladder(network) == ["alice -> bob MESSAGE", "bob -> alice 200 MESSAGE"]
    assert {packet.transport for packet in network.capture} == {"TCP"}


def test_messages_that_the_network_lost_are_marked_in_the_ladder(network: Network) -> None:
    """RFC 3261 §17.1.2.2: a request over UDP is sent again until its response comes."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    network.drop("MESSAGE")
    alice.send("MESSAGE", bob, b"hello")
    network.clock.advance(1)
    assert ladder(network) == [
        "alice -> bob MESSAGE (dropped)",
        "alice -> bob MESSAGE",
        "bob -> alice 200 MESSAGE",
    ]


def test_a_phone_without_an_address_is_refused(network: Network) -> None:
    """The caller's mistakes raise at once."""
    with pytest.raises(ArgumentError):
        Phone(network, "alice")


def test_what_is_accepted_can_carry_any_session(network: Network) -> None:
    """RFC 3261 §13.3.1.4: the 2xx carries the answer to the offer."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2", on_call="ignore")
    alice.call(bob)
    network.clock.advance(1)
    assert bob.invitations[0].response_allowed
    assert ok(b"v=0\r\n").body == b"v=0\r\n"
