"""Calls of the easy face: ring, accept, refuse, hold, hang up in every state; with await and observers."""

from __future__ import annotations

from typing import Any

import pytest
from ua_scene import Town, result_of, sdp

from sipactors.errors import (
    ArgumentError,
    InvalidDialogState,
    InvalidTransactionState,
    NoAckReceived,
    RequestPending,
    TransactionTimeout,
)
from sipactors.ua import Call, CallRejected, RequestRejected, UserAgent

ALICE_SDP = sdp("10.0.0.1")
BOB_SDP = sdp("10.0.0.2", 5000)
BOB = "sip:bob@10.0.0.2"


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def alice(town: Town) -> UserAgent:
    return town.agent("alice", "10.0.0.1")


@pytest.fixture
def bob(town: Town) -> UserAgent:
    return town.agent("bob", "10.0.0.2")


def accepting(bob: UserAgent) -> list[Call]:
    """Bob takes every call."""
    calls: list[Call] = []

    @bob.on_call
    async def answer(call: Call) -> None:
        calls.append(call)
        call.ring()
        await call.accept(BOB_SDP)

    return calls


@pytest.mark.accepts("N2", "N4")
def test_a_call_rings_is_answered_and_hung_up(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """The Call once it is answered; `await call.hangup()` ends it with BYE."""
    calls = accepting(bob)
    call = town.wait(alice.call(BOB, offer=ALICE_SDP))
    assert call.state == calls[0].state == "CONFIRMED"
    assert [stream.remote_port for stream in call.media.streams] == [5000]
    assert [stream.remote_port for stream in calls[0].media.streams] == [4000]
    assert town.wait(call.hangup()) is None
    assert call.state == calls[0].state == "TERMINATED"
    assert (call.ending.by_peer, calls[0].ending.by_peer) == (False, True)
    assert town.ladder() == [
        "alice -> bob INVITE",
        "bob -> alice 180 INVITE",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK",
        "alice -> bob BYE",
        "bob -> alice 200 BYE",
    ]
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_the_observers_hear_the_call(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """Awaitables and observers both."""

    @bob.on_call
    def answer(call: Call) -> None:
        call.observer = town.observer("bob")
        call.ring()
        call.accept(BOB_SDP)

    call = alice.dial(BOB, ALICE_SDP, observer=town.observer("alice"))
    town.clock.advance(1)
    (bobs,) = bob.calls
    bobs.hangup()
    town.clock.advance(1)
    assert town.recorder.names("alice") == ["progressed", "answered", "ended"]
    assert town.recorder.names("bob") == ["answered", "ended"]
    assert town.recorder.last("ended", "alice").args == (call, call.ending)


@pytest.mark.accepts("N2")
def test_a_refused_call_raises_its_status(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """Raises CallRejected(status)."""
    bob.on_call(lambda call: call.reject(486, "Busy Here"))
    with pytest.raises(CallRejected) as caught:
        town.wait(alice.call(BOB, ALICE_SDP))
    assert (caught.value.status, caught.value.reason) == (486, "Busy Here")
    assert town.left_behind() == {}


def test_nobody_takes_calls_without_a_function(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §21.4.18: the callee is "currently unavailable"."""
    with pytest.raises(CallRejected, match="480"):
        town.wait(alice.call(BOB, ALICE_SDP))


def test_a_function_that_fails_refuses_the_call(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §21.5.1: "an unexpected condition that prevented it from fulfilling the request"."""

    @bob.on_call
    async def answer(call: Call) -> None:
        raise KeyError("a bug")

    with pytest.raises(CallRejected, match="500"):
        town.wait(alice.call(BOB, ALICE_SDP))
    assert bob.calls == []


@pytest.mark.accepts("N2")
def test_a_call_is_redirected(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §8.1.3.4: the client SHOULD use the URI of the Contact for one or more new requests."""
    carol = town.agent("carol", "10.0.0.3")
    accepting(carol)
    bob.on_call(lambda call: call.redirect("sip:carol@10.0.0.3"))
    call = town.wait(alice.call(BOB, ALICE_SDP))
    assert call.state == "CONFIRMED"
    town.wait(call.hangup())
    alice.follow_redirects = False
    with pytest.raises(CallRejected) as caught:
        town.wait(alice.call(BOB, ALICE_SDP))
    assert caught.value.response.contacts[0].uri.user == "carol"
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_hanging_up_before_the_answer_cancels(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """Hang up in every state: CANCEL while it rings; the callee's functions hear of it."""
    failures: list[Any] = []

    @bob.on_call
    async def answer(call: Call) -> None:
        call.ring()
        ending = await call.ended()
        failures.append((ending.by_peer, ending.status))
        with pytest.raises(InvalidTransactionState):
            call.accept(BOB_SDP)

    calling = alice.call(BOB, ALICE_SDP)
    outcome = result_of(calling)
    town.clock.advance(1)
    (call,) = alice.calls
    assert call.state == "EARLY"
    hanging = result_of(call.hangup())
    town.clock.advance(1)
    assert isinstance(outcome[0], CallRejected)
    assert outcome[0].status == 487
    assert hanging == [None]
    assert failures == [(True, 487)]
    assert town.left_behind() == {}


def test_cancelling_the_deferred_cancels_the_call(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """Cancelling the Deferred of `call` ends the call."""
    bob.on_call(lambda call: call.ring())
    calling = alice.call(BOB, ALICE_SDP)
    outcome = result_of(calling)
    town.clock.advance(1)
    calling.cancel()
    town.clock.advance(1)
    assert len(outcome) == 1
    assert "alice -> bob CANCEL" in town.ladder()
    assert town.left_behind() == {}


def test_a_cancel_that_crosses_the_answer_ends_in_bye(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §9.1: the UAC MUST be ready for a 2xx that crossed its CANCEL; ACK and BYE end it."""
    bob.on_call(lambda call: call.ring())
    calling = result_of(alice.call(BOB, ALICE_SDP))
    town.clock.advance(1)
    (call,) = alice.calls
    (bobs,) = bob.calls
    accepted = result_of(bobs.accept(BOB_SDP))
    call.hangup()
    town.clock.advance(5)
    assert isinstance(calling[0], CallRejected)
    assert bobs.state == "TERMINATED"
    assert accepted
    assert town.left_behind() == {}


def test_the_callee_hangs_up_before_it_answers(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """Hang up in every state: a refusal before the answer."""
    bob.on_call(lambda call: call.hangup())
    with pytest.raises(CallRejected, match="603"):
        town.wait(alice.call(BOB, ALICE_SDP))
    assert town.left_behind() == {}


def test_the_callee_hangs_up_before_the_ack(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §15: the BYE waits for the ACK."""

    @bob.on_call
    def answer(call: Call) -> None:
        call.accept(BOB_SDP).addErrback(lambda _: None)
        call.hangup()

    result_of(alice.call(BOB, ALICE_SDP))
    town.clock.advance(1)
    assert town.ladder() == [
        "alice -> bob INVITE",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK",
        "bob -> alice BYE",
        "alice -> bob 200 BYE",
    ]
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_hold_and_resume(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3264 §8.4: a held stream is offered as sendonly and answered by recvonly."""
    calls = accepting(bob)
    call = town.wait(alice.call(BOB, ALICE_SDP))
    calls[0].observer = town.observer("bob")
    assert town.wait(call.hold()) is call
    assert call.on_hold
    assert calls[0].held_by_peer
    assert not call.held_by_peer
    assert [stream.direction.value for stream in call.media.streams] == ["sendonly"]
    assert town.wait(call.resume()) is call
    assert not calls[0].held_by_peer
    assert town.recorder.names("bob") == ["changed", "changed"]
    assert town.wait(calls[0].hold()) is calls[0]
    assert call.held_by_peer
    town.wait(call.hangup())
    with pytest.raises(InvalidDialogState):
        call.hold()
    assert town.left_behind() == {}


def test_a_hold_that_is_refused_leaves_the_call_as_it_was(
    town: Town, alice: UserAgent, bob: UserAgent
) -> None:
    """RFC 3261 §14.1: the session parameters MUST remain unchanged, as if no re-INVITE had been issued."""
    calls = accepting(bob)
    call = town.wait(alice.call(BOB, ALICE_SDP))
    calls[0]._offer_received = lambda transaction: transaction.answer(488)  # type: ignore[method-assign]
    holding = result_of(call.hold())
    with pytest.raises(RequestPending):
        call.resume()
    town.clock.advance(1)
    assert isinstance(holding[0], RequestRejected)
    assert holding[0].status == 488
    assert not call.on_hold
    assert call.state == "CONFIRMED"


def test_two_holds_that_meet_are_both_made(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §14.1: after a 491 the re-INVITE is sent again, the owner of the Call-ID later."""
    calls = accepting(bob)
    call = town.wait(alice.call(BOB, ALICE_SDP))
    first, second = result_of(call.hold()), result_of(calls[0].hold())
    town.clock.advance(30)
    assert (first, second) == ([call], [calls[0]])
    assert call.held_by_peer
    assert calls[0].held_by_peer
    assert [stream.direction.value for stream in call.media.streams] == ["inactive"]
    town.wait(call.hangup())
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_early_media_comes_before_the_answer(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3262: the 183 with the answer is sent reliably; the 200 needs no SDP of its own."""

    @bob.on_call
    def answer(call: Call) -> None:
        call.early_media(BOB_SDP)

    call = alice.dial(BOB, ALICE_SDP, observer=town.observer("alice"))
    town.clock.advance(1)
    assert call.state == "EARLY"
    assert town.recorder.last("progressed").args[1].status == 183
    bob.calls[0].accept()
    town.clock.advance(1)
    assert call.state == "CONFIRMED"
    assert [stream.remote_port for stream in call.media.streams] == [5000]
    assert "alice -> bob PRACK" in town.ladder()
    town.wait(call.hangup())
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_digits_are_pressed_one_after_the_other(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """DTMF by INFO: application/dtmf-relay, Signal and Duration."""
    heard: list[str] = []

    @bob.on_call
    async def answer(call: Call) -> None:
        await call.accept(BOB_SDP)
        while True:
            heard.append(await call.next_digit())

    async def caller() -> None:
        call = await alice.call(BOB, ALICE_SDP)
        await call.dtmf("12#d")
        await call.hangup()

    town.wait(caller())
    assert heard == ["1", "2", "#", "D"]
    assert [line for line in town.ladder() if "INFO" in line] == [
        "alice -> bob INFO",
        "bob -> alice 200 INFO",
    ] * 4
    assert town.left_behind() == {}


def test_what_is_no_digit_is_refused_at_once(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """The caller's mistakes raise at once, at the caller."""
    accepting(bob)
    call = town.wait(alice.call(BOB, ALICE_SDP))
    town.ladder()
    with pytest.raises(ArgumentError):
        call.dtmf("1x")
    with pytest.raises(ArgumentError):
        alice.call(BOB, b"no sdp")
    town.clock.advance(1)
    assert town.ladder() == []


def test_a_call_without_sdp_is_signalling_only(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """Without an offer the peer is asked for one; the ACK has the answer (RFC 3261 §13.2.1)."""
    bob.on_call(lambda call: call.accept())
    call = town.wait(alice.call(BOB))
    assert [stream.remote_port for stream in call.media.streams] == [9]
    assert [stream.local_host for stream in bob.calls[0].media.streams] == ["10.0.0.2"]
    town.wait(call.hold())
    assert bob.calls[0].held_by_peer
    town.wait(bob.calls[0].hangup())
    assert town.left_behind() == {}


def test_an_offer_that_does_not_fit_is_refused_with_488(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §13.3.1.3: a session description that is not acceptable is refused with a 488."""
    bob.on_call(lambda call: call.accept())
    video = ALICE_SDP.replace(b"m=audio", b"m=video")
    with pytest.raises(CallRejected, match="488"):
        town.wait(alice.call(BOB, video))


def test_nobody_there_is_told(town: Town, alice: UserAgent) -> None:
    """What went wrong is raised when there is no answer at all."""
    town.network.host("void", "10.0.0.7").listenUDP(5060, _Silent())
    with pytest.raises(TransactionTimeout):
        town.wait(alice.call("sip:x@10.0.0.7", ALICE_SDP), 40)
    assert alice.calls == []


class _Silent:
    def makeConnection(self, transport: Any) -> None: ...

    def datagramReceived(self, data: bytes, address: Any) -> None: ...

    def doStop(self) -> None: ...


def test_a_call_that_is_never_acknowledged_is_ended(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """RFC 3261 §13.3.1.4: without an ACK "the UAS SHOULD terminate the session" by BYE."""
    answered: list[Any] = []

    @bob.on_call
    async def answer(call: Call) -> None:
        answered.append(call)
        with pytest.raises(NoAckReceived):
            await call.accept(BOB_SDP)

    town.network.drop("ACK", None)
    call = town.wait(alice.call(BOB, ALICE_SDP))
    town.clock.advance(40)
    assert answered[0].state == call.state == "TERMINATED"
    assert isinstance(answered[0].ending.error, NoAckReceived)
    assert town.left_behind() == {}


def test_sessions_are_kept_alive(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """Session timers on by default (RFC 4028): a peer that vanished is noticed, the call ended."""
    accepting(bob)
    call = town.wait(alice.call(BOB, ALICE_SDP))
    town.clock.advance(1000)
    assert any("UPDATE" in line for line in town.ladder())
    assert call.state == "CONFIRMED"
    town.network.hosts["bob"].go_down()
    town.clock.advance(2000)
    assert call.state == "TERMINATED"
    assert call.ending.error is not None


def test_stopping_the_service_ends_its_calls(town: Town, alice: UserAgent, bob: UserAgent) -> None:
    """`stopService` hangs up: BYE to those that were answered, CANCEL to those that ring."""
    accepting(bob)
    carol = town.agent("carol", "10.0.0.3")
    carol.on_call(lambda call: call.ring())
    call = town.wait(alice.call(BOB, ALICE_SDP))
    ringing = result_of(alice.call("sip:carol@10.0.0.3", ALICE_SDP))
    town.clock.advance(1)
    town.ladder()
    town.wait(alice.stopService())
    lines = town.ladder()
    assert "alice -> bob BYE" in lines
    assert "alice -> carol CANCEL" in lines
    assert call.state == "TERMINATED"
    assert isinstance(ringing[0], CallRejected)
    assert bob.calls == carol.calls == []
