"""Calls as an application holds them: legality, ACK, BYE, CANCEL, late offers, redirects, limits (G1-G16)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from call_scenes import ANSWER, HELD, Peer, Scene, reply, scripted, sdp

from sipactors.client import InviteUsage, Limits, MessageElements
from sipactors.errors import (
    ArgumentError,
    InvalidDialogState,
    InvalidTransactionState,
    NoAckReceived,
    RequestPending,
    ResourceNotAvailable,
    TransactionTimeout,
)
from sipactors.message import request
from sipactors.testing.agents import Phone

Call = Callable[[InviteUsage], Any]

REQUESTS: dict[str, Call] = {
    "invite": lambda usage: usage.invite(sdp()),
    "ack": lambda usage: usage.ack(usage.transaction),  # type: ignore[arg-type]
    "prack": lambda usage: usage.prack(usage.transaction),  # type: ignore[arg-type]
    "update": lambda usage: usage.update(),
    "info": lambda usage: usage.send_request("INFO"),
    "bye": lambda usage: usage.bye(),
    "reuse": lambda usage: usage.dialog.reuse(),
}
LEGAL = {
    ("INIT", "caller"): {"invite"},
    ("EARLY", "caller"): {"update", "info", "bye"},
    ("EARLY", "callee"): {"update", "info"},
    ("CONFIRMED", "caller"): {"invite", "update", "info", "bye"},
    ("CONFIRMED", "callee"): {"invite", "update", "info", "bye"},
    ("TERMINATED", "caller"): {"reuse"},
    ("TERMINATED", "callee"): set(),
}


def in_state(state: str, side: str) -> InviteUsage:
    """One side of a call whose dialog is in that state."""
    scene = Scene()
    if state == "INIT":
        return InviteUsage.outgoing(scene.alice.connection, scene.bob.uri, from_=scene.alice.uri)
    usage = scene.alice.call(scene.bob)
    scene.wait()
    if state == "CONFIRMED":
        scene.bob.invitations[-1].respond(reply(200, ANSWER))
    elif state == "TERMINATED":
        scene.bob.invitations[-1].respond(reply(486))
    scene.wait()
    found = usage if side == "caller" else scene.bob.calls[-1]
    assert found.dialog.state == state
    return found


@pytest.mark.accepts("G1")
@pytest.mark.parametrize("what", REQUESTS)
@pytest.mark.parametrize(("state", "side"), LEGAL)
def test_what_each_state_of_the_dialog_allows(state: str, side: str, what: str) -> None:
    """RFC 3261 §12, §15 and row G1: each state allows its requests; the rest raises, with nothing sent."""
    usage = in_state(state, side)
    if what in LEGAL[state, side]:
        REQUESTS[what](usage)
        return
    sent = usage.host.dispatcher.metrics.messages_sent
    refusals = (InvalidDialogState, RequestPending, InvalidTransactionState)
    with pytest.raises((*refusals, AttributeError) if usage.transaction is None else refusals):
        REQUESTS[what](usage)
    assert usage.host.dispatcher.metrics.messages_sent == sent


@pytest.mark.accepts("G4")
def test_send_request_refuses_methods_with_a_call_of_their_own() -> None:
    """Row G4: REGISTER, INVITE, BYE, CANCEL, SUBSCRIBE, NOTIFY, UPDATE, PRACK, REFER and ACK are refused."""
    usage = in_state("CONFIRMED", "caller")
    for method in "REGISTER INVITE BYE CANCEL SUBSCRIBE NOTIFY UPDATE PRACK REFER ACK".split():
        with pytest.raises(ArgumentError):
            usage.send_request(method)
    assert usage.send_request("INFO").method == "INFO"


@pytest.mark.accepts("G3")
def test_a_dialog_that_ended_is_used_again_with_the_next_cseq() -> None:
    """Row G3: after a 3xx, 401 or 421 `reuse()` keeps Call-ID and From tag; RFC 3261 §8.1.3.5: CSeq + 1."""
    scene = Scene(on_call=302)
    usage = scene.alice.call(scene.bob)
    scene.wait()
    assert usage.dialog.state == "TERMINATED"
    with pytest.raises(InvalidDialogState):
        InviteUsage.in_dialog(usage.dialog)
    scene.bob.on_call = "accept"
    again = InviteUsage.in_dialog(usage.dialog.reuse())
    again.invite(sdp())
    scene.wait()
    first, second = scene.messages("INVITE")
    assert (first.call_id, first.from_tag, first.uri_text) == (
        second.call_id,
        second.from_tag,
        second.uri_text,
    )
    assert second.cseq.number == first.cseq.number + 1
    assert second.to_tag is None
    assert again.dialog.state == "CONFIRMED"
    with pytest.raises(InvalidDialogState):
        again.dialog.reuse()


# ------------------------------------------------------------------ ACK


@pytest.mark.accepts("G7")
def test_every_repeated_2xx_gets_its_ack_again() -> None:
    """RFC 3261 §13.2.2.4: the ACK "MUST be passed to the client transport every time a retransmission of the
    2xx final response that triggered the ACK arrives"."""
    scene = Scene(on_call="accept")
    scene.network.drop("ACK", 2)
    scene.alice.call(scene.bob)
    scene.wait(3)
    assert [line for line in scene.ladder() if "180" not in line] == [
        "alice -> bob INVITE",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK (dropped)",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK (dropped)",
        "bob -> alice 200 INVITE",
        "alice -> bob ACK",
    ]
    # D-5: an ACK that came ends the 200s for good.
    scene.wait(30)
    assert scene.ladder() == []


@pytest.mark.accepts("G7")
def test_the_application_acknowledges_itself_with_a_late_answer() -> None:
    """D-18; RFC 3261 §13.2.2.4: "If the 2xx contains an offer …, the ACK MUST carry an answer in its
    body"."""
    scene = Scene()
    usage = scene.alice.call(scene.bob, body=b"")
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    assert not scene.messages("ACK")
    usage.ack(usage.transaction, sdp())
    with pytest.raises(InvalidDialogState):
        usage.ack(usage.transaction)
    scene.wait()
    assert scene.on_request("bob").request.body == sdp().body
    scene.wait(2)
    usage.bye()
    scene.nothing_left()


@pytest.mark.accepts("G12")
def test_no_ack_is_told_and_the_call_can_still_be_ended() -> None:
    """RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without receiving an
    ACK, the dialog is confirmed, but the session SHOULD be terminated. This is accomplished with a BYE"."""
    scene = Scene(on_call="accept")
    scene.network.drop("ACK", None)
    scene.alice.call(scene.bob)
    scene.wait(1)
    bob = scene.bob.calls[-1]
    held = bob.bye()  # RFC 3261 §15: it waits for the ACK, or until the transaction times out.
    assert not scene.messages("BYE")
    scene.wait(31.5)
    ((error, usage, transaction),) = scene.heard("bob", "usage_failed")
    assert isinstance(error, NoAckReceived)
    assert (usage, transaction) == (bob, scene.bob.invitations[-1])
    scene.wait(1)
    assert held.response.status == 200
    scene.nothing_left()


@pytest.mark.accepts("G10")
def test_invite_completed_comes_64_t1_after_the_first_2xx_only() -> None:
    """RFC 3261 §13.2.2.4: "The UAC core considers the INVITE transaction completed 64*T1 seconds after the
    reception of the first 2xx response"."""
    scene = Scene(on_call="accept")
    usage = scene.alice.call(scene.bob)
    scene.wait(31.9)
    assert "invite_completed" not in scene.alice.heard()
    scene.wait(0.2)
    assert scene.heard("alice", "invite_completed") == [(usage.transaction,)]
    scene.recorder.take()
    scene.bob.on_call = 486
    scene.alice.call(scene.bob)
    scene.wait(100)
    assert "invite_completed" not in scene.alice.heard()


# ------------------------------------------------------------------ BYE


@pytest.mark.accepts("G14")
def test_bye_ends_the_usage_and_the_dialog_with_its_last_usage() -> None:
    """Row G14, RFC 5057 §4: the BYE ends the usage; the dialog ends with the last of its usages."""
    scene = Scene()
    alice, bob = scene.established()
    other = InviteUsage.in_dialog(bob.dialog)
    alice.bye(MessageElements([("Reason", 'SIP;cause=200;text="Call completed elsewhere"')]))
    scene.wait()
    # D-4: the Reason header is carried.
    assert scene.on_request("bob").request.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert alice.dialog.state == "TERMINATED"
    assert bob.dialog.usages == [other]
    assert bob.dialog.state == "CONFIRMED"
    other.close()
    assert bob.dialog.state == "TERMINATED"


def test_d7_a_bye_between_200_and_ack_is_accepted() -> None:
    """D-7; RFC 3261 §15: the caller may send BYE on a confirmed dialog, and the 200 is then not repeated."""
    scene = Scene(on_call="accept")
    scene.network.drop("ACK", None)
    usage = scene.alice.call(scene.bob)
    scene.wait(0.1)
    usage.bye()
    scene.wait(0.1)
    scene.ladder()
    scene.wait(40)
    assert scene.ladder() == []
    assert "usage_failed" not in scene.bob.heard()
    scene.nothing_left()


@pytest.mark.accepts("G16")
@pytest.mark.parametrize("route", ["<sip:10.0.0.9;lr>", "<sip:10.0.0.9>"])
def test_d6_ack_and_bye_follow_the_route_set_strict_and_loose(route: str) -> None:
    """D-6; RFC 3261 §12.2.1.1: with lr the target is in the Request-URI; without, "the UAC MUST place the
    first URI from the route set into the Request-URI … and … the remote target URI … as the last value"."""
    clock, _, alice, peer = scripted()
    alice.stack.access_points[0].point.outbound_proxy = "sip:10.0.0.9:5060;lr;preloaded"
    usage = alice.call("sip:bob@elsewhere.invalid")
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    assert "preloaded" in invite.get("Route")
    peer.answer(invite, 200, body=ANSWER, Record_Route=f"<sip:p2;lr>, {route}")
    clock.advance(0.01)
    usage.bye()
    clock.advance(0.01)
    for sent in (*peer.requests("ACK"), *peer.requests("BYE")):
        routes = ", ".join(sent.get_all("Route"))
        if ";lr" in route:
            assert (sent.uri_text, routes) == ("sip:t1@10.0.0.9", f"{route}, <sip:p2;lr>")
        else:
            assert (sent.uri_text, routes) == (
                "sip:10.0.0.9",
                "<sip:p2;lr>, <sip:t1@10.0.0.9>",
            )
    assert len(peer.requests("ACK")) == 1
    assert len(peer.requests("BYE")) == 1


@pytest.mark.accepts("G16")
def test_target_refresh_and_the_order_of_cseq() -> None:
    """RFC 3261 §12.2.2: a target refresh's Contact replaces the remote target; a lower CSeq "is out of order
    and MUST be rejected with a 500"."""
    clock, _, alice, peer = scripted()
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.answer(invite, 200, body=ANSWER)
    clock.advance(0.01)
    peer.ask("INFO", invite, tag="t1", cseq=50)
    clock.advance(0.01)
    assert str(usage.dialog.remote_target) == "sip:t1@10.0.0.9"
    made = request(
        "UPDATE",
        str(invite.contacts[0].uri),
        via="SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKrefresh",
        from_=f"{invite.get('To')};tag=t1",
        to=invite.get("From"),
        call_id=invite.call_id,
        cseq=51,
        contact="<sip:moved@10.0.0.9>",
    )
    peer.send(made)
    peer.ask("INFO", invite, cseq=49)
    clock.advance(0.01)
    assert str(usage.dialog.remote_target) == "sip:moved@10.0.0.9"
    (refused,) = [m for m in peer.got if getattr(m, "status", 0) == 500]
    assert 0 <= int(refused.get("Retry-After") or "") <= 10


def test_d8_the_ack_of_a_reinvite_has_its_cseq() -> None:
    """D-8; RFC 3261 §13.2.2.4: "The sequence number of the CSeq header field MUST be the same as the INVITE
    being acknowledged"."""
    scene = Scene()
    alice, _ = scene.established()
    alice.update()
    scene.wait()
    scene.on_request("bob").respond(reply(200))
    scene.wait()
    alice.invite(sdp())
    scene.wait()
    scene.on_request("bob").respond(reply(200, ANSWER))
    scene.wait()
    assert scene.messages("INVITE")[0].cseq.number == scene.messages("ACK")[0].cseq.number == 3


def test_d17_a_2xx_without_to_tag_is_tolerated() -> None:
    """D-17; RFC 3261 §12.1.2: "A UAC MUST be prepared to receive a response without a tag in the To field, in
    which case the tag is considered to have a value of null"."""
    clock, _, alice, peer = scripted()
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.answer(invite, 200, None, body=ANSWER)
    peer.answer(invite, 200, None, body=ANSWER)
    clock.advance(0.01)
    assert usage.dialog.state == "CONFIRMED"
    assert len(peer.requests("ACK")) == 2
    bye = usage.bye()
    clock.advance(0.01)
    peer.answer(peer.requests("BYE")[0], 200, None)
    clock.advance(0.01)
    assert bye.response.status == 200


@pytest.mark.parametrize("method", ["BYE", "UPDATE", "PRACK", "INFO", "INVITE"])
def test_d44_a_request_without_the_right_tags_is_481(method: str) -> None:
    """D-44; RFC 3261 §12.2.2: a request with a To tag that matches no dialog is answered 481."""
    clock, _, alice, peer = scripted()
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    peer.answer(invite, 200, body=ANSWER)
    clock.advance(0.01)
    peer.ask(method, invite, tag="wrong")
    clock.advance(0.01)
    assert peer.responses(method) == [481]
    assert usage.dialog.state == "CONFIRMED"
    assert "dialog_request_received" not in alice.heard()
    if method in ("BYE", "UPDATE", "PRACK"):
        untagged = peer.ask(method, invite, tag="t1")
        untagged.set("To", "<sip:alice@10.0.0.1>")
        untagged.set("Via", "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKuntagged")
        peer.send(untagged)
        clock.advance(0.01)
        assert peer.responses(method)[-1] == 481


@pytest.mark.accepts("G15")
@pytest.mark.parametrize("contacts", [[], ["<sip:a@10.0.0.9>", "<sip:b@10.0.0.9>"]])
def test_a_first_request_without_exactly_one_contact_is_400(contacts: list[str]) -> None:
    """RFC 3261 §8.1.1.8: "The Contact header field MUST be present and contain exactly one SIP or SIPS URI in
    any request that can result in the establishment of a dialog"."""
    clock, _, alice, peer = scripted()
    made = request(
        "INVITE",
        alice.uri,
        via="SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKfirst",
        from_="<sip:p@10.0.0.9>;tag=1",
        to="<sip:alice@10.0.0.1>",
        call_id="first",
        cseq=1,
        contact=contacts or None,
    )
    peer.send(made)
    clock.advance(0.01)
    assert peer.responses("INVITE") == [400]


# ------------------------------------------------------------------ CANCEL


@pytest.mark.accepts("D3")
def test_cancel_before_a_provisional_response_waits_for_one() -> None:
    """RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent"."""
    scene = Scene(on_call="ignore")
    usage = scene.alice.call(scene.bob)
    cancel = usage.transaction.cancel([("Reason", 'SIP;cause=200;text="Call completed elsewhere"')])
    with pytest.raises(InvalidTransactionState):
        usage.transaction.cancel()
    scene.wait(0.1)
    assert not scene.messages("CANCEL")
    scene.wait(0.3)  # The stack's own 100 comes after 200 ms.
    # D-4: the Reason header is carried.
    assert scene.messages("CANCEL")[0].get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert cancel.response.status == 200
    assert usage.transaction.response.status == 487
    assert usage.dialog.state == "TERMINATED"
    assert scene.heard("bob", "invite_canceled") == [(scene.bob.invitations[-1],)]
    assert scene.bob.invitations[-1].cancel.get("Reason") is not None
    scene.nothing_left()


@pytest.mark.accepts("D3")
def test_d1_a_cancel_that_crosses_the_200_ends_in_ack_and_bye() -> None:
    """D-1; RFC 3261 §9.1, §15: the CANCEL of an answered INVITE has no effect; a BYE ends the call."""
    scene = Scene()
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.ladder()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    usage.transaction.cancel()
    scene.wait()
    assert sorted(scene.ladder()) == sorted(
        [
            "alice -> bob CANCEL",
            "bob -> alice 200 INVITE",
            "alice -> bob ACK",
            "alice -> bob BYE",
            "bob -> alice 200 CANCEL",
            "bob -> alice 200 BYE",
        ]
    )
    assert "invite_canceled" not in scene.bob.heard()
    scene.nothing_left()


@pytest.mark.accepts("D3")
def test_a_cancel_that_crosses_a_failure_changes_nothing() -> None:
    """RFC 3261 §9.2: a CANCEL for a request with a final response "has no effect on the processing of the
    original request"."""
    scene = Scene()
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(486))
    cancel = usage.transaction.cancel()
    scene.wait()
    assert (usage.transaction.response.status, cancel.response.status) == (486, 200)
    with pytest.raises(InvalidTransactionState):
        usage.transaction.cancel()
    scene.nothing_left()


@pytest.mark.accepts("D3")
def test_a_canceled_reinvite_leaves_the_call_as_it_was() -> None:
    """RFC 3261 §14.1: after a non-2xx to a re-INVITE "the session parameters MUST remain unchanged"."""
    scene = Scene()
    alice, bob = scene.established()
    alice.invite(sdp(HELD))
    scene.wait(0.3)
    alice.transaction.cancel()
    scene.wait()
    assert alice.transaction.response.status == 487
    assert (alice.dialog.state, bob.dialog.state) == ("CONFIRMED", "CONFIRMED")
    bob.invite(sdp(ANSWER))
    scene.wait()
    scene.on_request("alice").respond(reply(200, sdp().body))
    scene.wait()
    assert bob.transaction.response.status == 200
    alice.bye()
    scene.nothing_left()


# ------------------------------------------------------------------ changing the session


def test_d18_hold_resume_and_reinvite_without_offer() -> None:
    """D-18; RFC 3261 §14.1: a re-INVITE may carry an offer, or none, in which case the 2xx has it."""
    scene = Scene()
    alice, bob = scene.established()
    for body in (HELD, sdp().body):
        alice.invite(sdp(body))
        scene.wait()
        assert scene.on_request("bob").request.body == body
        scene.on_request("bob").respond(reply(200, ANSWER))
        scene.wait()
        assert scene.on_request("bob").method == "ACK"
    bob.invite()
    scene.wait()
    scene.on_request("alice").respond(reply(200, HELD))
    scene.wait()
    with pytest.raises(RequestPending):  # The answer is still owed.
        bob.update(sdp(ANSWER))
    bob.ack(bob.transaction, sdp(ANSWER))
    scene.wait()
    assert scene.on_request("alice").request.body == ANSWER
    bob.update(sdp(ANSWER))
    alice.bye()
    scene.nothing_left()


@pytest.mark.parametrize(("status", "state", "byes"), [(488, "CONFIRMED", 0), (481, "TERMINATED", 0)])
def test_a_refused_reinvite(status: int, state: str, byes: int) -> None:
    """RFC 3261 §14.1: a refused re-INVITE changes nothing, "if the non-2xx final response is a 481 …, the
    UAC will terminate the dialog"."""
    scene = Scene()
    alice, _ = scene.established()
    alice.invite(sdp(HELD))
    scene.wait()
    scene.on_request("bob").respond(reply(status))
    scene.wait()
    assert (alice.dialog.state, len(scene.messages("BYE"))) == (state, byes)


def test_a_reinvite_without_answer_ends_the_call() -> None:
    """RFC 3261 §14.1: "or no response at all is received for the re-INVITE (that is, a timeout is returned
    …),
    the UAC will terminate the dialog"."""
    scene = Scene()
    alice, _ = scene.established()
    scene.network.drop("INVITE", None)
    alice.invite(sdp(HELD))
    scene.wait(33)
    ((error, _, transaction),) = scene.heard("alice", "usage_failed")
    assert isinstance(error, TransactionTimeout)
    assert transaction is alice.transaction
    assert scene.ladder()[-2:] == ["alice -> bob BYE", "bob -> alice 200 BYE"]
    scene.nothing_left()


# ------------------------------------------------------------------ redirects


def redirecting(*contacts: str) -> tuple[Any, Any, Phone, Peer]:
    """Alice, and a peer that sends every caller on to these contacts."""
    clock, network, alice, peer = scripted()

    def answer(r: Any) -> None:
        if r.method == "INVITE":
            peer.answer(r, 302, Contact=", ".join(contacts))

    peer.on_request = answer
    return clock, network, alice, peer


def test_redirects_are_followed_by_q_each_contact_once() -> None:
    """RFC 3261 §8.1.3.4: the contacts are tried in order of q; "the client MUST NOT add that URI … again"."""
    contacts = "<sip:bob@10.0.0.7>;q=0.2", "<sip:bob@10.0.0.8>;q=0.9", "<sip:peer@10.0.0.9>"
    clock, network, alice, peer = redirecting(*contacts)
    low, high = (Peer(network, name, address) for name, address in (("l", "10.0.0.7"), ("h", "10.0.0.8")))
    high.on_request = lambda r: r.method == "INVITE" and high.answer(r, 486, "h")
    low.on_request = lambda r: r.method == "INVITE" and low.answer(r, 200, "l", ANSWER)
    usage = InviteUsage.outgoing(alice.connection, peer.uri, from_=alice.uri)
    usage.follow_redirects = True
    usage.invite(sdp())
    clock.advance(1)
    assert [len(p.requests("INVITE")) for p in (peer, high, low)] == [1, 1, 1]
    assert [p.requests("INVITE")[0].cseq.number for p in (peer, high, low)] == [1, 2, 3]
    assert low.requests("INVITE")[0].uri_text == "sip:bob@10.0.0.7"
    assert usage.dialog.state == "CONFIRMED"
    assert alice.heard() == ["dialog_response_received"]
    assert len(low.requests("ACK")) == 1


def test_redirects_are_left_to_the_application_unless_it_wants_them_followed() -> None:
    """RFC 3261 §8.1.3.4: following is the client's choice."""
    clock, _, alice, peer = redirecting("<sip:bob@10.0.0.7>")
    usage = alice.call(peer.uri)
    clock.advance(1)
    assert usage.transaction.response.status == 302
    assert len(peer.requests("INVITE")) == 1


def test_redirects_without_end_are_ended() -> None:
    """RFC 3261 §8.1.3.4 has no bound for recursion; ours is ten contacts."""
    clock, _, alice, peer = scripted()
    count = iter(range(1000))

    def answer(r: Any) -> None:
        if r.method == "INVITE":
            peer.answer(r, 302, Contact=f"<sip:next{next(count)}@10.0.0.9>")

    peer.on_request = answer
    usage = InviteUsage.outgoing(alice.connection, peer.uri, from_=alice.uri)
    usage.follow_redirects = True
    usage.invite(sdp())
    clock.advance(5)
    assert len(peer.requests("INVITE")) == 11
    assert (usage.transaction.response.status, usage.dialog.state) == (302, "TERMINATED")


# ------------------------------------------------------------------ limits, handles, restarts


def test_endless_forks_and_provisionals_are_bounded() -> None:
    """A stranger may not make this process keep more than a limit with a name: max_forks,
    max_provisionals."""
    clock, network, _, peer = scripted()
    limits = Limits(max_forks=3, max_provisionals=10)
    carol = Phone(network, "carol", "10.0.0.3", transports=("udp",), limits=limits)
    carol.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    for number in range(50):
        peer.answer(invite, 183, f"fork{number}")
        clock.advance(0.01)
    assert len(carol.stack.access_points[0].dialogs) == 4
    assert carol.heard().count("dialog_forked") == 3
    for number in range(50):
        peer.answer(invite, 200, f"late{number}", body=ANSWER)
    clock.advance(0.01)
    assert len(carol.stack.access_points[0].dialogs) == 4
    peer.answer(invite, 200, "fork0", body=ANSWER)
    clock.advance(0.01)
    assert "dialog_response_received" in carol.heard()


@pytest.mark.accepts("D5")
def test_a_dropped_handle_is_acknowledged_and_ended() -> None:
    """Row D5: the application closes its usage while it rings; what is then answered gets ACK and BYE."""
    for rings in (True, False):
        scene = Scene(on_call="ring" if rings else "ignore")
        usage = scene.alice.call(scene.bob)
        scene.wait(0.1)
        usage.close()
        with pytest.raises(ResourceNotAvailable):
            usage.bye()
        if not rings:
            scene.bob.calls.append(InviteUsage.incoming(scene.bob.invitations[-1]))
        scene.ladder()
        scene.recorder.take()
        scene.bob.invitations[-1].respond(reply(200, ANSWER))
        scene.wait()
        assert scene.ladder() == [
            "bob -> alice 200 INVITE",
            "alice -> bob ACK",
            "alice -> bob BYE",
            "bob -> alice 200 BYE",
        ]
        assert scene.alice.heard() == []
        scene.nothing_left()


def test_d47_a_confirmed_call_is_saved_and_goes_on_after_a_restart() -> None:
    """D-47: the snapshot is plain JSON; the restored side sends and takes requests in the same dialog."""
    import json

    scene = Scene()
    alice, bob = scene.established()
    alice.auto_bye = False
    saved = json.loads(json.dumps(alice.dialog.save()))
    alice.close()
    restored = InviteUsage.restore(scene.alice.connection, saved)
    assert not restored.auto_bye
    restored.invite(sdp(HELD))
    scene.wait()
    scene.on_request("bob").respond(reply(200, ANSWER))
    scene.wait()
    assert restored.transaction.response.status == 200
    bob.bye()
    scene.wait()
    scene.on_request("alice").respond(reply(200))
    scene.wait()
    assert restored.dialog.state == "TERMINATED"
    with pytest.raises(InvalidDialogState):
        restored.dialog.save()
    for broken in ({}, {"usages": [{"kind": "InviteUsage"}]}, {**saved, "routes": ["<"]}):
        with pytest.raises(ArgumentError):
            InviteUsage.restore(scene.alice.connection, broken)
    scene.nothing_left()


def test_an_observer_that_raises_leaves_the_call_right() -> None:
    """Row A18: what an observer raises is contained; INVITE, ACK and BYE go their way."""
    scene = Scene(on_call="accept")

    def fail(*_: Any) -> None:
        raise RuntimeError("an application's fault")

    for phone in (scene.alice, scene.bob):
        for name in ("dialog_response_received", "dialog_request_received", "invite_completed"):
            setattr(phone.observer, name, fail)
    usage = scene.alice.call(scene.bob)
    scene.wait()
    assert usage.dialog.state == "CONFIRMED"
    usage.bye()
    scene.wait()
    assert scene.bob.calls[-1].dialog.state == "TERMINATED"
    scene.nothing_left()
