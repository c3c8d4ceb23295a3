"""What an application may answer, and when it is too late."""

from __future__ import annotations

import pytest

from sipactors.client import ResponseElements
from sipactors.errors import ArgumentError, InvalidTransactionState
from sipactors.testing import Clock, Network, Phone, ladder
from sipactors.testing.agents import ok


@pytest.mark.accepts("D4")
def test_one_final_response_and_no_100_of_the_applications() -> None:
    """RFC 3261 §17.2.1: other final responses that the TU passes in this state are discarded."""
    network = Network(Clock())
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2", on_call="ring")
    usage = alice.call(bob)
    network.clock.advance(1)
    transaction = bob.invitations[0]
    with pytest.raises(ArgumentError):
        ResponseElements(100)
    assert transaction.response_allowed
    transaction.respond(ResponseElements(183))
    transaction.respond(ok())
    allowed = transaction.response_allowed
    assert not allowed
    with pytest.raises(InvalidTransactionState):
        transaction.respond(ok())
    with pytest.raises(InvalidTransactionState):
        transaction.respond(ResponseElements(486))
    network.clock.advance(1)
    assert usage.dialog.state == "CONFIRMED"
    assert ladder(network)[-1] == "alice -> bob ACK"


@pytest.mark.accepts("D4")
def test_an_ack_is_never_answered() -> None:
    """RFC 3261 §17.1.1.3: a UAS never responds to an ACK."""
    network = Network(Clock())
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    alice.call(bob)
    network.clock.advance(1)
    ack = bob.recorder.last("dialog_request_received").args[0]
    assert ack.method == "ACK"
    assert not ack.response_allowed
    with pytest.raises(InvalidTransactionState):
        ack.respond(ResponseElements(200))


@pytest.mark.accepts("D4")
def test_a_request_that_waited_too_long_cannot_be_answered() -> None:
    """RFC 4320 §4.2: nothing is sent to a non-INVITE request after its client has given up."""
    network = Network(Clock())
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2", then={"request_received": lambda transaction: None})
    alice.send("MESSAGE", bob)
    network.clock.advance(40)
    transaction = bob.recorder.last("request_received").args[0]
    assert not transaction.response_allowed
    with pytest.raises(InvalidTransactionState):
        transaction.respond(ResponseElements(200))
    assert bob.heard()[-1] == "transaction_failed"
