"""The races of RFC 5407, section by section, and the glare of RFC 3261 §14 and RFC 3311 §5 (D-12, D-13)."""

from __future__ import annotations

import pytest
from call_scenes import ANSWER, HELD, Scene, reply, scripted, sdp

from sipactors.client import InviteUsage
from sipactors.dialog.glare import glare_wait
from sipactors.dice import Dice
from sipactors.errors import InvalidTransactionState, RequestPending


def test_3_1_1_an_invite_repeated_after_the_200_is_absorbed() -> None:
    """RFC 5407 §3.1.1: the callee in the Moratorium state gets the INVITE again; only the 200 is repeated."""
    scene = Scene(on_call="ignore")
    scene.network.drop("SIP/2.0 200", 1)
    held = scene.network.hold("INVITE", 2)
    usage = scene.alice.call(scene.bob)
    scene.wait(0.51)
    first, copy = held.packets
    held.release(first)
    scene.wait(0.01)
    scene.bob.calls.append(InviteUsage.incoming(scene.bob.invitations[-1]))
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    held.release(copy)
    scene.wait(0.01)
    assert not [line for line in scene.ladder() if "200" in line and "dropped" not in line]
    scene.wait(1)
    assert usage.dialog.state == "CONFIRMED"
    assert len(scene.bob.invitations) == 1
    usage.bye()
    scene.nothing_left()


def test_3_1_2_cancel_after_the_200_ends_in_ack_and_bye() -> None:
    """RFC 5407 §3.1.2: the CANCEL is answered 200 and has no effect; the caller sends ACK, then BYE."""
    scene = Scene()
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.ladder()
    ok = scene.network.hold("SIP/2.0 200", 1)
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    usage.transaction.cancel()
    scene.wait(0.01)
    ok.release()
    scene.wait(0.01)
    assert scene.ladder() == [
        "bob -> alice 200 INVITE",
        "alice -> bob CANCEL",
        "bob -> alice 200 CANCEL",
        "alice -> bob ACK",
        "alice -> bob BYE",
        "bob -> alice 200 BYE",
    ]
    scene.nothing_left()


def test_3_1_3_bye_of_an_early_dialog_that_meets_the_200() -> None:
    """RFC 5407 §3.1.3: the callee answers the BYE 200 and ends; the caller acknowledges the 200 to its
    INVITE."""
    scene = Scene()
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.ladder()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    usage.bye()
    scene.wait(0.1)
    assert sorted(scene.ladder()) == sorted(
        [
            "bob -> alice 200 INVITE",
            "alice -> bob BYE",
            "alice -> bob ACK",
            "bob -> alice 200 BYE",
        ]
    )
    assert (usage.dialog.state, scene.bob.calls[-1].dialog.state) == ("TERMINATED", "TERMINATED")
    scene.nothing_left()


def test_3_1_4_reinvite_before_the_ack_with_the_exchange_complete_is_taken() -> None:
    """RFC 5407 §3.1.4: offer in the INVITE and answer in the 200: the callee accepts the re-INVITE though the
    ACK is lost, and goes on sending the first 200 until its ACK comes."""
    scene = Scene(on_call="accept")
    scene.network.drop("ACK", 1)
    alice = scene.alice.call(scene.bob)
    scene.wait(0.1)
    alice.invite(sdp(HELD))
    scene.wait(0.1)
    transaction = scene.on_request("bob")
    assert transaction.method == "INVITE"
    transaction.respond(reply(200, ANSWER))
    scene.wait(1)
    assert alice.transaction.response.status == 200
    acks = [m.cseq.number for m in scene.messages("ACK")]
    assert acks == [1, 2, 1]
    scene.ladder()
    scene.wait(31)
    assert scene.ladder() == []
    assert "usage_failed" not in scene.bob.heard()
    alice.bye()
    scene.nothing_left()


def test_3_1_5_reinvite_before_the_ack_with_the_answer_owed_is_491() -> None:
    """RFC 5407 §3.1.5: the offer was in the 200, the answer is in the ACK: "Bob sends a 491 to the
    re-INVITE",
    and Alice tries again after her time."""
    scene = Scene()
    alice = scene.alice.call(scene.bob, body=b"")
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    acks = scene.network.hold("ACK")
    alice.ack(alice.transaction, sdp())
    alice.invite(sdp(HELD))
    scene.wait()
    assert scene.ladder()[-2:] == ["bob -> alice 491 INVITE", "alice -> bob ACK"]
    acks.release()
    scene.wait(5)
    transaction = scene.on_request("bob")
    assert (transaction.method, transaction.request.body) == ("INVITE", HELD)
    transaction.respond(reply(200, ANSWER))
    scene.wait()
    assert alice.transaction.response.status == 200


def test_3_1_6_bye_before_the_ack() -> None:
    """RFC 5407 §3.1.6: a BYE in the Moratorium state is answered 200, and the 200 to INVITE is not
    repeated."""
    scene = Scene(on_call="accept")
    scene.network.drop("ACK", 1)
    usage = scene.alice.call(scene.bob)
    scene.wait(0.1)
    scene.ladder()
    usage.bye()
    scene.wait(40)
    assert scene.ladder() == ["alice -> bob BYE", "bob -> alice 200 BYE"]
    assert "usage_failed" not in scene.bob.heard()
    scene.nothing_left()


def test_3_2_1_bye_crossing_bye() -> None:
    """RFC 5407 §3.2.1: both sides in the Mortal state answer the other's BYE with 200."""
    scene = Scene()
    alice, bob = scene.established()
    alice.bye()
    bob.bye()
    scene.wait()
    assert sorted(scene.ladder()) == [
        "alice -> bob 200 BYE",
        "alice -> bob BYE",
        "bob -> alice 200 BYE",
        "bob -> alice BYE",
    ]
    scene.nothing_left()


def test_3_2_2_d12_reinvite_crossing_bye() -> None:
    """D-12; RFC 5407 §3.2.2: a re-INVITE that meets a BYE is answered 481 in the Mortal state, and the other
    side answers the BYE with 200; neither calls that a failure."""
    scene = Scene()
    alice, bob = scene.established()
    alice.bye()
    bob.invite(sdp(HELD))
    scene.wait()
    assert sorted(scene.ladder()) == sorted(
        [
            "alice -> bob BYE",
            "bob -> alice INVITE",
            "bob -> alice 200 BYE",
            "alice -> bob 481 INVITE",
            "bob -> alice ACK",
        ]
    )
    assert (alice.dialog.state, bob.dialog.state) == ("TERMINATED", "TERMINATED")
    assert "usage_failed" not in scene.bob.heard()
    assert bob.transaction.response.status == 481
    scene.nothing_left()


def test_3_2_3_a_200_to_the_reinvite_in_the_mortal_state_gets_its_ack() -> None:
    """RFC 5407 §3.2.3: the 200 to a re-INVITE that comes after our BYE is acknowledged all the same."""
    scene = Scene()
    alice, _ = scene.established()
    alice.invite(sdp(HELD))
    scene.wait(0.01)
    scene.ladder()
    scene.on_request("bob").respond(reply(200, ANSWER))
    alice.bye()
    scene.wait(0.1)
    assert sorted(scene.ladder()) == sorted(
        [
            "bob -> alice 200 INVITE",
            "alice -> bob BYE",
            "alice -> bob ACK",
            "bob -> alice 200 BYE",
        ]
    )
    scene.nothing_left()


def test_3_2_4_an_ack_in_the_mortal_state_is_ignored() -> None:
    """RFC 5407 §3.2.4: the ACK that comes after the BYE finds no call; nothing is sent and nothing fails."""
    scene = Scene(on_call="accept")
    acks = scene.network.hold("ACK")
    usage = scene.alice.call(scene.bob)
    scene.wait(0.1)
    usage.bye()
    scene.wait(0.1)
    scene.ladder()
    acks.release()
    scene.wait(1)
    assert scene.ladder() == []
    assert scene.bob.stack.metrics.stray_acks == 1
    scene.nothing_left()


@pytest.mark.accepts("G6")
def test_3_3_1_d13_reinvites_that_cross_are_both_491_and_both_come_again() -> None:
    """D-13; RFC 3261 §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other 0 to 2 s, and the retry
    really happens; RFC 5407 §3.3.1."""
    scene = Scene()
    alice, bob = scene.established()
    first, second = alice.invite(sdp(HELD)), bob.invite(sdp(ANSWER))
    scene.wait()
    assert sorted(scene.ladder()) == sorted(
        [
            "alice -> bob INVITE",
            "bob -> alice INVITE",
            "alice -> bob 491 INVITE",
            "bob -> alice 491 INVITE",
            "alice -> bob ACK",
            "bob -> alice ACK",
        ]
    )
    assert scene.recorder.events == []
    assert (first.state, second.state) == ("PROCEEDING", "PROCEEDING")
    with pytest.raises(RequestPending):
        alice.invite(sdp())
    start = scene.clock.seconds()
    scene.wait(2.01)
    (again,) = scene.messages("INVITE")
    assert again.from_tag == bob.dialog.local_tag
    assert scene.network.capture[0].time - start <= 2.0
    transaction = scene.on_request("alice")
    scene.wait(2.5)  # Alice's time is over, but Bob's INVITE is under way.
    assert len(scene.messages("INVITE")) == 1
    transaction.respond(reply(200, sdp().body))
    scene.wait(4.1)
    assert scene.on_request("bob").request.body == HELD
    scene.on_request("bob").respond(reply(200, ANSWER))
    scene.wait()
    assert (first.response.status, second.response.status) == (200, 200)
    alice.bye()
    scene.nothing_left()


def test_the_waiting_times_are_those_of_rfc_3261() -> None:
    """RFC 3261 §14.1: "between 2.1 and 4 seconds in units of 10 ms", "between 0 and 2 seconds in units of 10
    ms"."""
    dice = Dice()
    for owner, low, high in ((True, 210, 400), (False, 0, 200)):
        times = [round(glare_wait(owner, dice) * 100, 6) for _ in range(2000)]
        assert all(time == int(time) and low <= time <= high for time in times)
        assert min(times) < low + 10
        assert max(times) > high - 10


@pytest.mark.accepts("G6")
def test_d13_an_overlapping_invite_of_the_same_side_is_500_with_retry_after() -> None:
    """RFC 3261 §14.2: "A UAS that receives a second INVITE before it sends the final response to a first
    INVITE … MUST return a 500 … and MUST include a Retry-After header field … between 0 and 10 seconds"."""
    clock, _, alice, peer = scripted()
    alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.answer(invite, 200, body=ANSWER)
    clock.advance(0.01)
    peer.ask("INVITE", invite, body=ANSWER)
    peer.ask("INVITE", invite, body=ANSWER)
    clock.advance(0.01)
    (refused,) = [m for m in peer.got if getattr(m, "status", 0) == 500]
    assert 0 <= int(refused.get("Retry-After") or "") <= 10
    assert alice.heard() == ["dialog_response_received", "dialog_request_received"]


def test_d13_a_500_with_retry_after_is_obeyed() -> None:
    """RFC 3261 §14.2, §20.33: the INVITE refused for an overlap comes again after the seconds named."""
    clock, _, alice, peer = scripted()
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    peer.answer(peer.requests("INVITE")[0], 200, body=ANSWER)
    clock.advance(0.01)
    transaction = usage.invite(sdp(HELD))
    clock.advance(0.01)
    peer.answer(peer.requests("INVITE")[1], 500, Retry_After="7")
    clock.advance(6.9)
    assert len(peer.requests("INVITE")) == 2
    clock.advance(0.2)
    assert [r.cseq.number for r in peer.requests("INVITE")] == [1, 2, 3]
    peer.answer(peer.requests("INVITE")[2], 200, body=ANSWER)
    clock.advance(0.01)
    assert transaction.response is not None
    assert transaction.response.status == 200
    assert len(peer.requests("ACK")) == 3


def test_glare_without_end_is_ended_and_the_policy_can_be_off() -> None:
    """RFC 3261 §14.1 sets no bound: after eight tries the 491 is believed; without the policy, at once."""
    clock, _, alice, peer = scripted()
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    peer.answer(peer.requests("INVITE")[0], 200, body=ANSWER)
    clock.advance(0.01)
    peer.on_request = lambda r: r.method == "INVITE" and peer.answer(r, 491)
    transaction = usage.invite(sdp(HELD))
    results: list[int] = []
    transaction.final_response().addCallback(lambda response: results.append(response.status))
    clock.advance(60)
    assert len(peer.requests("INVITE")) == 10
    assert results == [491]
    usage.glare = False
    usage.invite(sdp(HELD))
    clock.advance(0.01)
    assert usage.transaction is not None
    assert usage.transaction.response.status == 491
    assert usage.dialog.state == "CONFIRMED"


@pytest.mark.parametrize("end", ["cancel", "bye", "peer's bye", "close"])
def test_what_waits_after_a_glare_ends_with_the_call(end: str) -> None:
    """D-13: a retry that nobody wants any more does not happen."""
    scene = Scene()
    alice, bob = scene.established()
    scene.network.alter("SIP/2.0 500", lambda data: data)
    transaction = alice.invite(sdp(HELD))
    bob.invite(sdp(ANSWER))
    bob.glare = False
    scene.wait()
    scene.ladder()
    if end == "cancel":
        transaction.cancel()
        assert isinstance(transaction.error, InvalidTransactionState)
    elif end == "bye":
        alice.bye()
    elif end == "peer's bye":
        bob.bye()
    else:
        alice.close()
    scene.wait(60)
    assert "alice -> bob INVITE" not in scene.ladder()
    if end == "cancel":
        assert alice.dialog.state == "CONFIRMED"
        alice.bye()
    scene.clock.advance(100)
    assert scene.alice.left_behind() == {}


def test_3_3_2_update_crossing_reinvite() -> None:
    """RFC 5407 §3.3.2: an UPDATE with an offer and a re-INVITE that cross are both answered 491."""
    scene = Scene()
    alice, bob = scene.established()
    alice.invite(sdp(HELD))
    bob.update(sdp(ANSWER))
    scene.wait()
    assert sorted(line for line in scene.ladder() if "491" in line) == [
        "alice -> bob 491 UPDATE",
        "bob -> alice 491 INVITE",
    ]
    for _ in range(4):
        scene.wait(2)
        for who in ("alice", "bob"):
            for event in scene.recorder.of("dialog_request_received", who):
                if event.args[0].response_allowed:
                    event.args[0].respond(reply(200, ANSWER))
    assert alice.transaction.response.status == 200
    assert scene.recorder.last("dialog_response_received", "bob").args[0].method == "UPDATE"
    alice.bye()
    scene.nothing_left()


def test_updates_that_overlap_by_rfc_3311() -> None:
    """RFC 3311 §5.2: before the final response to a previous UPDATE: 500 with Retry-After; with an offer
    while
    our offer waits: 491; while theirs waits for our answer: 500."""
    clock, _, alice, peer = scripted()
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.answer(invite, 200, body=ANSWER)
    clock.advance(0.01)
    peer.ask("UPDATE", invite)
    clock.advance(0.01)
    transaction = alice.recorder.last("dialog_request_received").args[0]
    peer.ask("UPDATE", invite)
    clock.advance(0.01)
    (refused,) = [m for m in peer.got if getattr(m, "status", 0) == 500]
    assert 0 <= int(refused.get("Retry-After") or "") <= 10
    transaction.respond(reply(200))
    usage.update(sdp())
    with pytest.raises(RequestPending):
        usage.update()
    peer.ask("UPDATE", invite, body=ANSWER)
    clock.advance(0.01)
    assert peer.responses("UPDATE") == [500, 200, 491]
    peer.answer(peer.requests("UPDATE")[0], 200, body=ANSWER)
    clock.advance(0.01)
    peer.ask("INVITE", invite, body=ANSWER)
    clock.advance(0.01)
    peer.ask("UPDATE", invite, body=ANSWER)
    clock.advance(0.01)
    assert peer.responses("UPDATE") == [500, 200, 491, 500]


def test_3_3_3_a_refer_in_the_mortal_state_is_481() -> None:
    """RFC 5407 §3.3.3: a REFER that meets our BYE finds no dialog that it could be in."""
    clock, _, alice, peer = scripted()
    alice.client.capabilities.methods += ("REFER",)
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.answer(invite, 200, body=ANSWER)
    clock.advance(0.01)
    usage.bye()
    peer.ask("REFER", invite, Refer_To="<sip:carol@10.0.0.3>")
    clock.advance(0.01)
    peer.answer(peer.requests("BYE")[0], 200)
    clock.advance(0.01)
    peer.ask("REFER", invite, Refer_To="<sip:carol@10.0.0.3>")
    clock.advance(0.01)
    assert peer.responses("REFER") == [481, 481]
    assert "dialog_request_received" not in alice.heard()
