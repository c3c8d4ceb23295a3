"""Session timers on both sides (RFC 4028)."""

from __future__ import annotations

from typing import Any

import pytest
from call_scenes import ANSWER, Scene, reply, scripted, sdp

from sipactors.client import Capabilities, InviteUsage, Policies
from sipactors.client.capabilities import METHODS
from sipactors.errors import TerminatedWithResponse, TransactionTimeout

pytestmark = pytest.mark.accepts("G18")

TIMER = Capabilities(supported=("timer",))


def expires(message: Any) -> str | None:
    """What Session-Expires says."""
    value: str | None = message.get("Session-Expires")
    return value


def test_the_callers_wish_is_granted_and_the_caller_refreshes_by_update() -> None:
    """RFC 4028 §10: "it is RECOMMENDED that this refresh be sent once half the session interval has
    elapsed"; §7.4: by UPDATE, when the peer is known to take it."""
    scene = Scene(("timer",))
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    (invite,) = scene.messages("INVITE")
    (ok,) = scene.messages("SIP/2.0 200")
    assert invite.supported == ["timer"]
    assert expires(invite) == "1800"
    assert (expires(ok), ok.require) == ("1800;refresher=uac", ["timer"])
    scene.ladder()
    scene.wait(899)
    assert scene.ladder() == []
    scene.recorder.take()
    scene.wait(2)
    (update,) = scene.messages("UPDATE")
    assert (expires(update), update.body) == ("1800;refresher=uac", b"")
    assert scene.ladder() == ["alice -> bob UPDATE", "bob -> alice 200 UPDATE"]
    assert scene.recorder.events == []  # Silent while it works, on both sides.
    scene.wait(10_000)
    assert usage.dialog.state == "CONFIRMED"
    usage.bye()
    scene.nothing_left()


def test_d19_the_role_is_kept_and_always_said_whoever_sends_the_refresh() -> None:
    """D-19; RFC 4028 §7.4: refresher "be set to uac if the element sending the request is currently
    performing refreshes, and to uas if its peer is performing the refreshes"."""
    scene = Scene(("timer",))
    alice, bob = scene.established()
    bob.update()
    scene.wait()
    (update,), (ok,) = scene.messages("UPDATE"), scene.messages("SIP/2.0 200")
    assert (expires(update), expires(ok)) == ("1800;refresher=uas", "1800;refresher=uas")
    bob.invite(sdp(ANSWER))
    scene.wait()
    scene.on_request("alice").respond(reply(200, sdp().body))
    scene.wait()
    assert [expires(m) for m in scene.messages("INVITE")] == ["1800;refresher=uas"]
    scene.network.capture.clear()
    scene.wait(901)
    assert scene.ladder()[0] == "alice -> bob UPDATE"
    assert alice.dialog.state == "CONFIRMED"


def test_a_refresh_by_invite_repeats_the_session_description_as_it_is() -> None:
    """RFC 4028 §7.4: "a re-INVITE SHOULD contain one [offer], even if the details of the session have not
    changed. In that case, the offer MUST indicate that it has not changed"."""
    methods = tuple(method for method in METHODS if method != "UPDATE")
    scene = Scene(capabilities=Capabilities(methods=methods, supported=("timer",)))
    scene.alice.client.capabilities = TIMER
    scene.established()
    scene.wait(900.5)
    (invite,) = scene.messages("INVITE")
    assert (invite.body, expires(invite)) == (sdp().body, "1800;refresher=uac")
    scene.on_request("bob").respond(reply(200, ANSWER))
    scene.wait()
    assert "dialog_response_received" not in scene.alice.heard()
    assert "alice -> bob ACK" in scene.ladder()
    scene.wait(900)
    assert scene.messages("INVITE")


def test_422_is_answered_with_the_wanted_interval() -> None:
    """RFC 4028 §7.3: after a 422 the UAC "retries with a Session-Expires of at least" its Min-SE, and "MUST
    include a Min-SE header field"."""
    scene = Scene(("timer",), policies=Policies(min_session_expires=4000))
    usage = scene.alice.call(scene.bob)
    scene.wait()
    first, second = scene.messages("INVITE")
    assert [expires(m) for m in (first, second)] == ["1800", "4000"]
    assert (second.get("Min-SE"), second.call_id == first.call_id, second.cseq.number) == ("4000", True, 2)
    assert scene.messages("SIP/2.0 422")[0].get("Min-SE") == "4000"
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    assert usage.dialog.state == "CONFIRMED"
    assert len(scene.recorder.of("dialog_response_received", "alice")) == 2  # 180 and 200


def test_a_peer_that_always_says_422_is_believed_after_some_tries() -> None:
    """RFC 4028 §7.3 sets no bound, this stack does: a Min-SE that never grows, or grows for ever, ends it."""
    clock, _, alice, peer = scripted()
    alice.client.capabilities = TIMER
    peer.on_request = lambda r: r.method == "INVITE" and peer.answer(r, 422, Min_SE=2000 + r.cseq.number)
    usage = alice.call(peer.uri)
    clock.advance(60)
    assert len(peer.requests("INVITE")) == 9
    assert usage.transaction.response.status == 422
    peer.got.clear()
    peer.on_request = lambda r: r.method == "INVITE" and peer.answer(r, 422, Min_SE=100_000)
    alice.call(peer.uri)
    clock.advance(60)
    assert len(peer.requests("INVITE")) == 2


def test_the_side_that_watches_ends_a_session_nobody_refreshed() -> None:
    """RFC 4028 §10: it "SHOULD send a BYE … slightly before the session expiration. The minimum of 32
    seconds and one third of the session interval is RECOMMENDED"."""
    scene = Scene(("timer",))
    _, bob = scene.established()
    scene.network.drop("UPDATE", None)
    scene.network.drop("BYE", None, source=scene.alice.host)
    scene.wait(1767)
    assert not [p for p in scene.network.capture if p.source[0] == "10.0.0.2"]
    scene.wait(1.1)
    bye = next(m for m in scene.messages("BYE") if m.from_tag == bob.dialog.local_tag)
    assert bye.get("Reason") == 'SIP;cause=408;text="Session expired"'
    ((error, usage, transaction),) = scene.heard("bob", "usage_failed")
    assert isinstance(error, TransactionTimeout)
    assert (usage, transaction) == (bob, None)
    scene.nothing_left()


def test_a_refresh_without_answer_ends_the_call() -> None:
    """RFC 4028 §10: "If the session refresh request transaction times out or generates a 408 or 481 response,
    then the UAC sends a BYE request"."""
    scene = Scene(("timer",))
    alice, _ = scene.established()
    scene.network.drop("UPDATE", None)
    scene.wait(900 + 32.1)
    assert len(scene.messages("BYE")) == 1
    ((error, usage, transaction),) = scene.heard("alice", "usage_failed")
    assert isinstance(error, TransactionTimeout)
    assert (usage, transaction) == (alice, None)


def test_a_refresh_answered_481_ends_the_call() -> None:
    """RFC 4028 §10, RFC 3261 §12.2.1.2: 481 says that the dialog is not there any more."""
    scene = Scene(("timer",))
    alice, bob = scene.established()
    bob.close()
    scene.wait(901)
    ((error, _, transaction),) = scene.heard("alice", "usage_failed")
    assert isinstance(error, TerminatedWithResponse)
    assert (transaction, alice.dialog.state) == (None, "TERMINATED")


def test_a_2xx_without_session_expires_turns_the_timer_off() -> None:
    """RFC 4028 §7.2: "the session timer can be 'turned-off' in mid dialog by receiving a response without a
    Session-Expires header field in a 2xx response to a session refresh request"."""
    scene = Scene()
    scene.alice.client.capabilities = TIMER
    alice, _ = scene.established()
    scene.wait(20_000)
    assert scene.ladder() == []
    assert alice.dialog.state == "CONFIRMED"


def test_a_callee_with_timer_refreshes_for_a_caller_without() -> None:
    """RFC 4028 §9, Table 2: "UAC supports? N … refresher in response: uas", without Require."""
    scene = Scene()
    scene.bob.client.capabilities = TIMER
    scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    (ok,) = scene.messages("SIP/2.0 200")
    assert (expires(ok), ok.require) == ("1800;refresher=uas", [])
    scene.ladder()
    scene.wait(901)
    # Nothing told Bob that Alice takes UPDATE but her Allow.
    assert scene.ladder()[0] == "bob -> alice UPDATE"


@pytest.mark.parametrize(
    ("asked", "least", "granted"),
    [
        ("3600", None, "1800;refresher=uac"),
        ("1000;refresher=uas", None, "1000;refresher=uas"),
        ("3600;refresher=uac", "3000", "3000;refresher=uac"),
    ],
)
def test_the_callee_may_shorten_the_interval_to_min_se_at_least(
    asked: str, least: str | None, granted: str
) -> None:
    """RFC 4028 §9: it "MUST NOT set it to a duration lower than the value in the Min-SE header field in the
    request", and "MUST NOT increase the value of the Session-Expires header field"."""
    scene = Scene(("timer",))
    usage = InviteUsage.outgoing(scene.alice.connection, scene.bob.uri, from_=scene.alice.uri)
    headers = {"Session_Expires": asked, **({"Min_SE": least} if least else {})}
    usage.invite(sdp(**headers))
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    assert expires(scene.messages("SIP/2.0 200")[0]) == granted


def test_a_refresh_that_meets_a_491_comes_again() -> None:
    """RFC 4028 §10: "if the response is a 491, the UAC would … wait a certain amount of time and retry"."""
    clock, _, alice, peer = scripted()
    alice.client.capabilities = TIMER
    usage = alice.call(peer.uri)
    usage.glare = False
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    answers = iter((491, 503, 200))
    peer.on_request = lambda r: (
        r.method == "UPDATE" and peer.answer(r, next(answers), Session_Expires="1800;refresher=uac")
    )
    headers = {"Session_Expires": "1800;refresher=uac", "Allow": "UPDATE", "Require": "timer"}
    peer.answer(invite, 200, body=ANSWER, **headers)
    clock.advance(899)
    alice.recorder.take()
    clock.advance(20)
    assert len(peer.requests("UPDATE")) == 3
    assert alice.recorder.events == []
    assert usage.dialog.state == "CONFIRMED"


def test_a_restored_call_goes_on_with_its_timer() -> None:
    """D-47: the agreement is saved with the seconds that are left; the refresher refreshes at once."""
    scene = Scene(("timer",))
    alice, _ = scene.established()
    scene.wait(100)
    saved = alice.dialog.save()
    alice.close()
    restored = InviteUsage.restore(scene.alice.connection, saved)
    scene.wait(0.1)
    assert scene.ladder() == ["alice -> bob UPDATE", "bob -> alice 200 UPDATE"]
    assert restored.dialog.state == "CONFIRMED"


@pytest.mark.parametrize("header", ["Session-Expires: x", "Session-Expires: 90;refresher=me", "Min-SE: -1"])
def test_a_timer_that_does_not_read_is_400(header: str) -> None:
    """RFC 3261 §21.4.1: the request "could not be understood due to malformed syntax": 400, before the
    application sees it; in a response it counts as absent, and the call is acknowledged all the same."""
    clock, network, alice, peer = scripted()
    alice.client.capabilities = TIMER
    usage = alice.call(peer.uri)
    clock.advance(0.01)
    (invite,) = peer.requests("INVITE")
    name, _, value = header.partition(": ")
    network.alter(b"X-Bad: ", lambda data: data.replace(b"X-Bad: ", f"{name}: ".encode()))
    peer.answer(invite, 200, body=ANSWER, X_Bad=value)
    clock.advance(0.01)
    assert len(peer.requests("ACK")) == 1
    peer.ask("UPDATE", invite, X_Bad=value)
    clock.advance(0.01)
    assert peer.responses("UPDATE") == [400]
    assert usage.dialog.state == "CONFIRMED"
    assert alice.stack.metrics.faults == 0
