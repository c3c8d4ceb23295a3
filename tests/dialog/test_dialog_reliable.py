"""Reliable provisional responses on both sides (RFC 3262)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from call_scenes import ANSWER, HELD, Scene, reply, scripted, sdp

from sipactors.client import Capabilities, InviteUsage, MessageElements
from sipactors.errors import InvalidTransactionState, OfferPending, TransactionTimeout
from sipactors.message import Request

pytestmark = pytest.mark.accepts("G18")


def ringing(scene: Scene, status: int = 180, body: bytes = b"", **headers: str) -> Any:
    """A call on whose INVITE Bob has sent one provisional response."""
    scene.bob.on_call = "ignore"
    usage = scene.alice.call(scene.bob)
    scene.wait(0.0015)
    scene.bob.calls.append(InviteUsage.incoming(scene.bob.invitations[-1]))
    scene.bob.invitations[-1].respond(reply(status, body, **headers))
    return usage


def test_supported_names_100rel_only_while_the_policy_is_on() -> None:
    """RFC 3262 §4: the UAC says Supported: 100rel when it is willing to get reliable responses."""
    scene = Scene()
    scene.alice.call(scene.bob)
    assert "Supported" not in scene.messages("INVITE")[0]
    scene = Scene(("100rel", "path"))
    usage = scene.alice.call(scene.bob)
    assert scene.messages("INVITE")[0].supported == ["100rel", "path"]
    usage = InviteUsage.outgoing(scene.alice.connection, scene.bob.uri, from_=scene.alice.uri)
    usage.reliable = False
    usage.invite(sdp())
    assert scene.messages("INVITE")[1].supported == ["path"]


def test_a_reliable_180_is_acknowledged_by_prack_without_the_application() -> None:
    """RFC 3262 §3: the response "MUST contain a Require header field containing the option tag 100rel, and
    MUST include an RSeq header field"."""
    scene = Scene(("100rel",))
    ringing(scene)
    scene.wait()
    (ringing_response,) = scene.messages("SIP/2.0 180")
    assert ringing_response.require == ["100rel"]
    rseq = ringing_response.typed("RSeq")
    assert 1 <= rseq < 2**31
    (prack,) = scene.messages("PRACK")
    assert prack.get("RAck") == f"{rseq} 1 INVITE"
    assert scene.ladder() == [
        "alice -> bob INVITE",
        "bob -> alice 180 INVITE",
        "alice -> bob PRACK",
        "bob -> alice 200 PRACK",
    ]
    # The PRACK is the stack's own: only its receiver hears of it.
    assert scene.alice.heard() == ["dialog_response_received"]


def test_without_prack_the_response_is_sent_again_doubling_and_at_last_refused() -> None:
    """RFC 3262 §3: an interval "that starts at T1 seconds and doubles"; after 64*T1 "the UAS SHOULD reject
    the original request with a 5xx response"."""
    scene = Scene(("100rel",))
    scene.network.drop("PRACK", None)
    ringing(scene)
    scene.wait(40)
    times = [p.time for p in scene.network.capture if p.first_line.startswith("SIP/2.0 180")]
    gaps = [round(after - before, 3) for before, after in itertools.pairwise(times)]
    assert gaps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
    (error, usage, _) = scene.heard("bob", "usage_failed")[0]
    assert isinstance(error, TransactionTimeout)
    assert usage.dialog.state == "TERMINATED"
    assert scene.recorder.last("dialog_response_received", "alice").args[0].response.status == 504


def test_a_second_reliable_response_waits_for_the_prack_of_the_first() -> None:
    """RFC 3262 §3: "The UAS MUST NOT send a second reliable provisional response until the first is
    acknowledged"."""
    scene = Scene(("100rel",))
    pracks = scene.network.hold("PRACK")
    ringing(scene)
    scene.bob.invitations[-1].respond(reply(183))
    scene.wait(0.2)
    assert not scene.messages("SIP/2.0 183")
    pracks.release()
    scene.wait()
    first, second = scene.messages("SIP/2.0 180")[0], scene.messages("SIP/2.0 183")[0]
    assert second.typed("RSeq") == first.typed("RSeq") + 1
    assert [p.get("RAck") for p in scene.messages("PRACK")] == [
        f"{first.typed('RSeq')} 1 INVITE",
        f"{second.typed('RSeq')} 1 INVITE",
    ]


def test_a_2xx_waits_while_a_session_description_is_unacknowledged() -> None:
    """RFC 3262 §3: "In that case, it MUST NOT send a final response until those provisional responses are
    acknowledged"; §5: the answer is in the reliable response."""
    scene = Scene(("100rel",))
    pracks = scene.network.hold("PRACK")
    usage = ringing(scene, 183, ANSWER)
    invitation = scene.bob.invitations[-1]
    invitation.respond(reply(200))
    assert not invitation.response_allowed
    with pytest.raises(InvalidTransactionState):
        invitation.respond(reply(486))
    scene.wait(0.1)
    assert not scene.messages("SIP/2.0 200")
    pracks.release()
    scene.wait()
    assert scene.ladder()[2:] == [
        "alice -> bob PRACK",
        "bob -> alice 200 PRACK",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK",
    ]
    assert usage.dialog.state == "CONFIRMED"
    scene.bob.calls[-1].bye()
    scene.nothing_left()


def test_a_cancel_takes_back_a_2xx_that_waits() -> None:
    """RFC 3261 §9.2: the UAS that "has not issued a final response" answers 487, also when one waits."""
    scene = Scene(("100rel",))
    scene.network.drop("PRACK", None)
    usage = ringing(scene, 183, ANSWER)
    scene.bob.invitations[-1].respond(reply(200))
    scene.wait(0.1)
    usage.transaction.cancel()
    scene.wait()
    assert usage.transaction.response.status == 487
    assert scene.heard("bob", "invite_canceled")
    scene.nothing_left()


def test_a_2xx_need_not_wait_for_the_prack_of_mere_ringing() -> None:
    """RFC 3262 §3: a 2xx may come before the PRACK of a response without a session description, which is
    then not sent again; "it MUST be prepared to process PRACK requests for those"."""
    scene = Scene(("100rel",))
    pracks = scene.network.hold("PRACK")
    ringing(scene)
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait(3)
    assert len(scene.messages("SIP/2.0 180")) == 1
    pracks.release()
    scene.wait()
    assert "bob -> alice 200 PRACK" in scene.ladder()


def test_require_makes_the_callee_reliable_whatever_its_policy() -> None:
    """RFC 3262 §3: "The UAS MUST send any non-100 provisional response reliably if the initial request
    contained a Require header field with the option tag 100rel"."""
    scene = Scene(("100rel",))

    def ring(transaction: Any) -> None:
        usage = InviteUsage.incoming(transaction)
        usage.reliable = False
        transaction.respond(reply(180))

    scene.bob.on_call = ring
    usage = InviteUsage.outgoing(scene.alice.connection, scene.bob.uri, from_=scene.alice.uri)
    usage.invite(sdp(Require="100rel"))
    scene.wait()
    assert "RSeq" in scene.messages("SIP/2.0 180")[0]


def test_an_extension_that_the_callee_lacks_is_420() -> None:
    """RFC 3262 §3: a UAS that does not want reliable responses "MUST reject … with a 420 (Bad Extension) and
    add an Unsupported header field containing the option tag 100rel"."""
    scene = Scene()
    usage = InviteUsage.outgoing(scene.alice.connection, scene.bob.uri, from_=scene.alice.uri)
    usage.invite(sdp(Require="100rel"))
    scene.wait()
    response = usage.transaction.response
    assert (response.status, response.get("Unsupported")) == (420, "100rel")


def test_a_caller_without_100rel_can_be_told_so_with_421() -> None:
    """RFC 3261 §21.4.15: 421 names in Require what the UAS needs and the request did not support."""
    scene = Scene(on_call="ignore")
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(421, Require="100rel"))
    scene.wait()
    assert usage.transaction.response.status == 421
    # G3: the same dialog again, this time with the extension.
    again = InviteUsage.in_dialog(usage.dialog.reuse())
    again.reliable = True
    again.invite(sdp())
    first, second = scene.messages("INVITE")
    assert (first.call_id, first.from_tag) == (second.call_id, second.from_tag)
    assert second.cseq.number == first.cseq.number + 1
    assert second.supported == ["100rel"]


def test_a_prack_that_matches_nothing_is_481() -> None:
    """RFC 3262 §3: "If a PRACK request is received by the UA core that does not match any unacknowledged
    reliable provisional response, the UAS MUST respond to the PRACK with a 481 response"."""
    clock, _, alice, peer = scripted()
    alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.answer(invite, 200, body=ANSWER)
    clock.advance(0.01)
    peer.ask("PRACK", invite, RAck="1 1 INVITE")
    peer.ask("PRACK", invite)
    clock.advance(0.01)
    assert peer.responses("PRACK") == [481, 400]


def test_out_of_order_and_repeated_reliable_responses_are_not_acknowledged() -> None:
    """RFC 3262 §4: one "whose RSeq value is not one higher …, that response MUST NOT be acknowledged with a
    PRACK, and MUST NOT be processed further by the UAC"."""
    clock, _, alice, peer = scripted()
    alice.client.capabilities = Capabilities(supported=("100rel",))
    alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.on_request = lambda r: r.method == "PRACK" and peer.answer(r, 200)
    for status, rseq in ((180, 7), (180, 7), (183, 9), (183, 8), (182, 9), (180, 7)):
        peer.answer(invite, status, Require="100rel", RSeq=rseq)
        clock.advance(0.01)
    assert [p.get("RAck") for p in peer.requests("PRACK")] == ["7 1 INVITE", "8 1 INVITE", "9 1 INVITE"]
    assert len(alice.recorder.of("dialog_response_received")) == 3


def test_d15_prack_goes_to_the_branch_it_belongs_to() -> None:
    """D-15; RFC 3262 §4: the PRACK "is sent within the dialog associated with the provisional response": its
    Contact, To tag and route set, with an RSeq order of its own."""
    clock, _, alice, peer = scripted()
    alice.client.capabilities = Capabilities(supported=("100rel",))
    alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    for tag, rseq in (("one", 50), ("two", 9000)):
        route = f"<sip:10.0.0.9;lr;branch={tag}>"
        peer.answer(invite, 183, tag, Require="100rel", RSeq=rseq, Record_Route=route)
        clock.advance(0.01)
    one, two = peer.requests("PRACK")
    assert (one.to_tag, one.uri_text, one.get("RAck")) == ("one", "sip:one@10.0.0.9", "50 1 INVITE")
    assert (two.to_tag, two.uri_text, two.get("RAck")) == ("two", "sip:two@10.0.0.9", "9000 1 INVITE")
    assert [p.get("Route") for p in (one, two)] == [f"<sip:10.0.0.9;lr;branch={t}>" for t in ("one", "two")]
    assert [e.name for e in alice.recorder.events] == ["dialog_response_received", "dialog_forked"]


def test_d16_an_offer_in_a_reliable_response_is_answered_in_the_prack() -> None:
    """D-16; RFC 3262 §5: "If the INVITE did not contain an offer, the UAS's first reliable response has it,
    and the UAC MUST generate an answer in the PRACK"."""
    scene = Scene(("100rel",), on_call="ignore")
    usage = scene.alice.call(scene.bob, body=b"")
    scene.wait(0.0015)
    scene.bob.calls.append(InviteUsage.incoming(scene.bob.invitations[-1]))
    scene.bob.invitations[-1].respond(reply(183, ANSWER))
    scene.wait()
    assert not scene.messages("PRACK")  # The answer is the application's.
    usage.prack(usage.transaction, sdp())
    with pytest.raises(InvalidTransactionState):
        usage.prack(usage.transaction)
    scene.wait()
    assert scene.on_request("bob").request.body == sdp().body
    scene.bob.invitations[-1].respond(reply(200))
    scene.wait()
    assert scene.ladder()[1:] == [
        "bob -> alice 183 INVITE",
        "alice -> bob PRACK",
        "bob -> alice 200 PRACK",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK",
    ]


def test_d16_an_offer_in_the_prack_holds_the_2xx_until_it_is_answered() -> None:
    """D-16; RFC 3262 §5: "If the PRACK contains an offer, the UAS MUST place the answer in the 2xx to the
    PRACK"; the 2xx to the INVITE comes after it."""
    scene = Scene(("100rel",))
    usage = ringing(scene, 183, ANSWER)
    scene.alice.connection.observer.dialog_response_received = lambda t, u: (
        t.response.status == 183 and u.prack(t, sdp(HELD))
    )
    scene.wait(0.01)
    scene.bob.invitations[-1].respond(reply(200))
    scene.wait(0.1)
    assert not [r for r in scene.messages("SIP/2.0 200") if r.cseq.method == "INVITE"]
    scene.on_request("bob").respond(reply(200, ANSWER))
    scene.wait()
    assert scene.ladder()[2:] == [
        "alice -> bob PRACK",
        "bob -> alice 200 PRACK",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK",
    ]
    assert usage.dialog.state == "CONFIRMED"


def test_d16_update_in_an_early_dialog_by_the_rules_of_offer_and_answer() -> None:
    """D-16; RFC 3311 §5.1: before the INVITE is answered an UPDATE may carry an offer only when the first
    exchange is over, by a reliable response and its PRACK."""
    scene = Scene(("100rel",))
    pracks = scene.network.hold("PRACK")
    usage = ringing(scene)
    with pytest.raises(OfferPending):
        scene.bob.calls[-1].update(sdp(ANSWER))
    scene.wait(0.01)
    with pytest.raises(OfferPending):
        usage.update(sdp(HELD))
    scene.bob.invitations[-1].respond(reply(183, ANSWER))
    pracks.release()
    scene.wait(0.01)
    usage.update(sdp(HELD))
    scene.wait(0.01)
    transaction = scene.on_request("bob")
    assert (transaction.method, transaction.request.body) == ("UPDATE", HELD)
    transaction.respond(reply(200, ANSWER))
    scene.wait()
    assert usage.dialog.state == "EARLY"
    scene.bob.invitations[-1].respond(reply(200))
    scene.wait()
    assert usage.dialog.state == "CONFIRMED"
    assert isinstance(scene.messages("UPDATE")[0], Request)


def test_the_application_may_send_prack_itself_with_elements() -> None:
    """RFC 3262 §4: "PRACK requests MAY contain bodies, which are interpreted according to their type"."""
    scene = Scene(("100rel",))
    usage = ringing(scene)
    usage.reliable = False
    scene.wait(0.1)
    prack = usage.prack(usage.transaction, MessageElements([("X-Why", "because")]))
    scene.wait()
    assert scene.messages("PRACK")[0].get("X-Why") == "because"
    assert prack.response.status == 200
