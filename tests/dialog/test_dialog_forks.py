"""Forked INVITEs at the caller: several early dialogs, several 2xx (RFC 3261 §13.2.2.4, rows G9, D5)."""

from __future__ import annotations

from typing import Any

import pytest
from call_scenes import ANSWER, Peer, scripted, sdp

from sipactors.client import InviteUsage
from sipactors.errors import OfferPending

pytestmark = pytest.mark.accepts("G9")


def called() -> tuple[Any, Any, Peer, InviteUsage, Any]:
    """Alice has sent an INVITE to the peer, who may now answer it from as many branches as a test likes."""
    clock, _, alice, peer = scripted()
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    peer.on_request = lambda r: r.method in ("BYE", "INFO") and peer.answer(r, 200, r.to_tag)
    return clock, alice, peer, usage, peer.requests("INVITE")[0]


def test_each_further_early_dialog_is_a_fork_that_the_application_owns() -> None:
    """RFC 3261 §12.1: "Dialogs are created through the generation of non-failure responses to requests with
    specific methods"; the second and third tags make further ones."""
    clock, alice, peer, usage, invite = called()
    for tag in ("one", "two", "two", "three", "one"):
        peer.answer(invite, 180, tag)
    clock.advance(0.01)
    assert [event.name for event in alice.recorder.events] == [
        "dialog_response_received",
        "dialog_forked",
        "dialog_response_received",
        "dialog_forked",
        "dialog_response_received",
    ]
    forks = [event.args[1] for event in alice.recorder.of("dialog_forked")]
    assert [fork.dialog.remote_tag for fork in (usage, *forks)] == ["one", "two", "three"]
    assert len({id(u.dialog) for u in (usage, *forks)}) == 3
    # Each is a usage like any other: a request goes to its own branch.
    forks[1].send_request("INFO")
    clock.advance(0.01)
    assert peer.requests("INFO")[0].to_tag == "three"


def test_all_early_dialogs_end_with_a_final_failure() -> None:
    """RFC 3261 §13.2.2.3: "All early dialogs are considered terminated upon reception of the non-2xx final
    response"."""
    clock, alice, peer, usage, invite = called()
    for tag in ("one", "two"):
        peer.answer(invite, 180, tag)
    peer.answer(invite, 486, "two")
    clock.advance(0.01)
    (fork,) = [event.args[1] for event in alice.recorder.of("dialog_forked")]
    assert (usage.dialog.state, fork.dialog.state) == ("TERMINATED", "TERMINATED")
    assert usage.transaction.response.status == 486
    clock.advance(40)
    assert alice.left_behind() == {}


def test_d14_the_second_2xx_is_acknowledged_and_can_be_ended_by_bye() -> None:
    """D-14; RFC 3261 §13.2.2.4: "the UAC core MUST generate an ACK request for each 2xx"; if it does not want
    a dialog, "the UAC MUST terminate the dialog by sending a BYE"."""
    clock, alice, peer, usage, invite = called()
    peer.answer(invite, 180, "one")
    peer.answer(invite, 200, "one", ANSWER)
    for _ in range(2):
        peer.answer(invite, 200, "two", ANSWER)
        clock.advance(0.01)
    assert [ack.to_tag for ack in peer.requests("ACK")] == ["one", "two", "two"]
    (_, fork), *more = [event.args for event in alice.recorder.of("dialog_forked")]
    assert not more
    assert (usage.dialog.state, fork.dialog.state) == ("CONFIRMED", "CONFIRMED")
    fork.bye()
    clock.advance(0.01)
    assert (peer.requests("BYE")[0].to_tag, peer.requests("BYE")[0].uri_text) == ("two", "sip:two@10.0.0.9")
    assert (usage.dialog.state, fork.dialog.state) == ("CONFIRMED", "TERMINATED")


def test_early_dialogs_that_no_2xx_confirms_end_when_the_invite_is_complete() -> None:
    """RFC 3261 §13.2.2.4: after 64*T1 "all the early dialogs that have not transitioned to established
    dialogs
    are terminated. Once the INVITE transaction is considered completed …, no more new 2xx"."""
    clock, alice, peer, usage, invite = called()
    for tag in ("one", "two"):
        peer.answer(invite, 180, tag)
    peer.answer(invite, 200, "two", ANSWER)
    clock.advance(31.9)
    (fork,) = [event.args[1] for event in alice.recorder.of("dialog_forked")]
    assert (usage.dialog.state, fork.dialog.state) == ("EARLY", "CONFIRMED")
    clock.advance(0.2)
    assert (usage.dialog.state, fork.dialog.state) == ("TERMINATED", "CONFIRMED")
    assert alice.recorder.last().name == "invite_completed"
    peer.answer(invite, 200, "late", ANSWER)
    clock.advance(0.01)
    assert [ack.to_tag for ack in peer.requests("ACK")] == ["two"]


@pytest.mark.accepts("D5")
def test_forks_after_the_handle_was_dropped_are_acknowledged_and_ended() -> None:
    """Row D5: the machine goes on when the application drops its handle; later forks get ACK, then BYE."""
    clock, alice, peer, usage, invite = called()
    peer.answer(invite, 200, "one", ANSWER)
    clock.advance(0.01)
    usage.close()
    alice.recorder.take()
    peer.answer(invite, 200, "one", ANSWER)
    peer.answer(invite, 200, "two", ANSWER)
    clock.advance(0.01)
    assert [ack.to_tag for ack in peer.requests("ACK")] == ["one", "one", "two"]
    assert [bye.to_tag for bye in peer.requests("BYE")] == ["two"]
    assert alice.recorder.events == []
    clock.advance(40)
    assert alice.left_behind() == {}


@pytest.mark.accepts("D5")
def test_a_canceled_call_answered_on_two_branches_gets_two_byes() -> None:
    """RFC 3261 §15: a CANCEL that crossed the 2xx of each branch: each dialog is ended by BYE."""
    clock, alice, peer, usage, invite = called()
    for tag in ("one", "two"):
        peer.answer(invite, 180, tag)
    clock.advance(0.01)
    usage.transaction.cancel()
    for tag in ("one", "two"):
        peer.answer(invite, 200, tag, ANSWER)
    clock.advance(0.01)
    assert sorted(bye.to_tag for bye in peer.requests("BYE")) == ["one", "two"]
    clock.advance(40)
    assert alice.left_behind() == {}


def test_an_early_dialog_is_ended_by_bye_and_the_others_go_on() -> None:
    """RFC 3261 §15: "The caller's UA MAY send a BYE for either confirmed or early dialogs": only that one."""
    clock, alice, peer, usage, invite = called()
    for tag in ("one", "two"):
        peer.answer(invite, 180, tag)
    clock.advance(0.01)
    (fork,) = [event.args[1] for event in alice.recorder.of("dialog_forked")]
    usage.bye()
    clock.advance(0.01)
    assert [bye.to_tag for bye in peer.requests("BYE")] == ["one"]
    assert (usage.dialog.state, fork.dialog.state) == ("TERMINATED", "EARLY")
    peer.answer(invite, 200, "two", ANSWER)
    clock.advance(0.01)
    assert fork.dialog.state == "CONFIRMED"


def test_early_media_of_each_branch_is_at_hand() -> None:
    """RFC 3960 §2, row G18: 183 with a session description, of each branch that sends one."""
    clock, alice, peer, _, invite = called()
    for tag in ("one", "two"):
        peer.answer(invite, 183, tag, ANSWER + f"a=label:{tag}\r\n".encode())
        clock.advance(0.01)
        event = alice.recorder.last()
        assert event.args[0].response.body.endswith(f"{tag}\r\n".encode())
        assert event.args[1].dialog.remote_tag == tag


def test_a_fork_knows_the_offer_of_the_invite() -> None:
    """RFC 3264 §4: the offer in the INVITE is one to each branch, so none may be made there before its
    answer."""
    clock, alice, peer, _, invite = called()
    for tag in ("one", "two"):
        peer.answer(invite, 180, tag)
    clock.advance(0.01)
    (fork,) = [event.args[1] for event in alice.recorder.of("dialog_forked")]
    with pytest.raises(OfferPending):
        fork.update(sdp())
