"""Transfers: blind, attended by Replaces, refused, decided by the application; calls that replace others."""

from __future__ import annotations

from typing import Any

import pytest
from ua_scene import Town, result_of, sdp

from sipactors.errors import InvalidDialogState, RequestRejected
from sipactors.message import parse
from sipactors.ua import Call, CallRejected, Transfer, UserAgent

BOB, CAROL = "sip:bob@10.0.0.2", "sip:carol@10.0.0.3"


@pytest.fixture
def town() -> Town:
    return Town()


def phone(town: Town, name: str, address: str) -> UserAgent:
    """An agent that takes every call, whose observers go to the town's recorder."""
    agent = town.agent(name, address)

    @agent.on_call
    async def answer(call: Call) -> None:
        call.observer = town.observer(name)
        await call.accept(sdp(address))

    return agent


def requests(town: Town, method: str) -> list[Any]:
    messages = [parse(packet.data) for packet in town.network.capture]
    return [each for each in messages if getattr(each, "method", None) == method]


@pytest.mark.accepts("N2")
def test_a_blind_transfer(town: Town) -> None:
    """RFC 5589 §6.1: the transferee calls the target, tells how that went, and the transferor hangs up."""
    alice, bob, carol = (phone(town, n, f"10.0.0.{i}") for i, n in enumerate(("alice", "bob", "carol"), 1))
    call = town.wait(alice.call(BOB, sdp("10.0.0.1")))
    assert town.wait(call.transfer(CAROL)) is None
    assert call.state == "TERMINATED"
    (bobs,) = bob.calls
    (carols,) = carol.calls
    assert bobs.state == carols.state == "CONFIRMED"
    assert str(bobs.remote_uri) == CAROL
    assert [stream.remote_host for stream in bobs.media.streams if stream] == ["10.0.0.3"]
    assert requests(town, "INVITE")[-1].typed("Referred-By").uri.user == "alice"
    assert [event.args[1] for event in town.recorder.of("transferred", "bob")] == [bobs]
    town.wait(bobs.hangup())
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_an_attended_transfer(town: Town) -> None:
    """RFC 5589 §7.1: the transferee calls the target with Replaces, which ends the consultation call."""
    alice, bob, carol = (phone(town, n, f"10.0.0.{i}") for i, n in enumerate(("alice", "bob", "carol"), 1))
    call = town.wait(alice.call(BOB, sdp("10.0.0.1")))
    town.wait(call.hold())
    consultation = town.wait(alice.call(CAROL, sdp("10.0.0.1", 6000)))
    town.wait(call.transfer(consultation))
    assert alice.calls == []
    (bobs,) = bob.calls
    (carols,) = carol.calls
    assert bobs.state == carols.state == "CONFIRMED"
    assert not bobs.on_hold
    assert [stream.remote_host for stream in carols.media.streams if stream] == ["10.0.0.2"]
    assert town.recorder.of("replaced", "carol")[0].args[1] is carols
    town.wait(carols.hangup())
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_a_transfer_whose_target_refuses_leaves_the_call(town: Town) -> None:
    """RFC 5589 §6.2: after a failed transfer the original call goes on."""
    alice, bob = phone(town, "alice", "10.0.0.1"), phone(town, "bob", "10.0.0.2")
    carol = town.agent("carol", "10.0.0.3")
    carol.on_call(lambda call: call.reject(486))
    call = town.wait(alice.call(BOB, sdp("10.0.0.1")))
    with pytest.raises(RequestRejected, match="486"):
        town.wait(call.transfer(CAROL))
    assert call.state == "CONFIRMED"
    assert len(bob.calls) == 1
    town.wait(call.hangup())
    with pytest.raises(InvalidDialogState):
        call.transfer(CAROL)
    assert town.left_behind() == {}


def test_an_application_decides_on_transfers(town: Town) -> None:
    """`on_transfer` gets each REFER, with what it asks for."""
    alice, bob = phone(town, "alice", "10.0.0.1"), phone(town, "bob", "10.0.0.2")
    carol = phone(town, "carol", "10.0.0.3")
    asked: list[str] = []

    @bob.on_transfer
    async def decide(transfer: Transfer) -> None:
        asked.append(str(transfer.target))
        if len(asked) == 1:
            transfer.reject(480)
        else:
            await transfer.accept(sdp("10.0.0.2", 7000))

    call = town.wait(alice.call(BOB, sdp("10.0.0.1")))
    with pytest.raises(RequestRejected, match="480"):
        town.wait(call.transfer(CAROL))
    town.wait(call.transfer(CAROL))
    assert asked == [CAROL, CAROL]
    assert [stream.remote_port for stream in carol.calls[0].media.streams if stream] == [7000]


def test_strangers_transfer_nobody(town: Town) -> None:
    """A REFER outside of calls is refused by itself; in one as `follow_transfers` says."""
    alice, bob = phone(town, "alice", "10.0.0.1"), phone(town, "bob", "10.0.0.2")
    bob.follow_transfers = False
    call = town.wait(alice.call(BOB, sdp("10.0.0.1")))
    with pytest.raises(RequestRejected, match="603"):
        town.wait(call.transfer(CAROL))
    from sipactors.client import ConnectionObserver, ReferUsage

    statuses: list[int] = []

    class Watching(ConnectionObserver):
        def dialog_response_received(self, transaction: Any, usage: Any) -> None:
            statuses.append(transaction.response.status)

    usage = ReferUsage.outgoing(alice.connection, BOB, CAROL, from_=alice.account.aor, observer=Watching())
    usage.refer()
    town.clock.advance(1)
    assert statuses == [403]


def test_a_replaces_that_names_no_call_is_481(town: Town) -> None:
    """RFC 3891 §3: an INVITE whose Replaces matches no dialog is answered 481."""
    alice, _bob = phone(town, "alice", "10.0.0.1"), phone(town, "bob", "10.0.0.2")
    headers = [("Replaces", "nobody@nowhere;to-tag=1;from-tag=2")]
    with pytest.raises(CallRejected, match="481"):
        town.wait(alice.call(BOB, sdp("10.0.0.1"), headers=headers))


def test_a_target_that_is_gone_is_told(town: Town) -> None:
    """What cannot be called is told as a failure: the call goes on."""
    alice, bob = phone(town, "alice", "10.0.0.1"), phone(town, "bob", "10.0.0.2")
    call = town.wait(alice.call(BOB, sdp("10.0.0.1")))
    transferring = result_of(call.transfer("sip:x@10.0.0.99;transport=tcp"))
    town.clock.advance(120)
    assert isinstance(transferring[0], RequestRejected)
    assert call.state == "CONFIRMED"
    assert len(bob.calls) == 1
