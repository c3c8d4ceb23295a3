"""Challenges to INVITE, and to what is sent within the dialog that it makes (D-23)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from zope.interface import implementer

from digest_scene import ALICE, BOB, Scene
from sipactors.auth import DigestSession
from sipactors.client import Digest, InviteUsage, Login, MessageElements, ResponseElements
from sipactors.dialog.dialog import CONFIRMED
from sipactors.dialog.usage import Usage
from sipactors.errors import ArgumentError, Forbidden, InvalidTransactionState
from sipactors.interfaces import IRequestOwner

SECRET = Login("alice", "secret")


def wire(scene: Scene) -> list[tuple[str, int, bool]]:
    """Method, CSeq and whether it has credentials, of each request that Alice has sent."""
    return [
        (request.method, request.cseq.number, "Authorization" in request or "Proxy-Authorization" in request)
        for request in scene.sent()
    ]


@pytest.mark.accepts("I1", "K1")
@pytest.mark.parametrize("proxy", [False, True])
def test_d_23_a_challenged_invite_is_acked_and_sent_anew(scene: Scene, proxy: bool) -> None:
    """RFC 3261 §8.1.3.5: the new request is a new transaction with the same Call-ID, To and From, its CSeq
    one higher; §17.1.1.3: the first one's failure is acknowledged.
    """
    scene.protect(proxy=proxy)
    scene.digest(lambda source: SECRET)
    usage, transaction = scene.call()
    assert wire(scene) == [("INVITE", 1, False), ("ACK", 1, False), ("INVITE", 2, True), ("ACK", 2, True)]
    assert usage.dialog.state == CONFIRMED
    first, second = scene.sent("INVITE")
    assert [request.get("Call-ID") for request in (first, second)] == [usage.dialog.call_id] * 2
    assert first.from_tag == second.from_tag == usage.dialog.local_tag
    assert second.to_tag is None
    assert first.get("Contact") == second.get("Contact")
    # RFC 3261 §22.1: the ACK duplicates the credentials of its INVITE, and is not challenged.
    header = "Proxy-Authorization" if proxy else "Authorization"
    assert scene.sent("ACK")[1].get_all(header) == second.get_all(header)
    assert set(scene.names()) == {"dialog_response_received"}
    assert all(event.args[0] is transaction for event in scene.recorder.of("dialog_response_received"))


def test_the_invite_waits_for_credentials_in_proceeding(scene: Scene) -> None:
    """RFC 3261 §22.2: the user types a password meanwhile; to the application it is one transaction."""
    scene.protect()
    digest = scene.digest()
    usage, transaction = scene.call()
    for _ in range(3):
        assert transaction.state == "PROCEEDING"
        assert transaction.cancel_allowed
        scene.clock.advance(50)
    digest.set_credentials(transaction, "example.com", "alice", "secret")
    assert transaction.state == "PROCEEDING"
    scene.clock.advance(1)
    assert usage.dialog.state == CONFIRMED
    assert transaction.response.status == 200


def test_a_call_canceled_while_credentials_are_wanted_is_over(scene: Scene) -> None:
    """RFC 3261 §9.1: a CANCEL has no effect on a request that has a final response; so none is sent."""
    scene.protect()
    scene.digest()
    usage, transaction = scene.call()
    transaction.cancel()
    assert scene.names() == []
    scene.clock.advance(1)
    assert scene.names() == ["usage_failed"]
    assert isinstance(transaction.error, Forbidden)
    assert transaction.response.status == 401
    assert scene.sent("CANCEL") == []
    assert transaction.challenges == ()
    with pytest.raises(InvalidTransactionState):
        transaction.cancel()
    assert scene.idle()
    assert usage.dialog.state == "TERMINATED"


def test_a_challenge_that_crosses_the_cancel_is_not_answered(scene: Scene) -> None:
    """RFC 3261 §9.1: who has canceled a request does not want it sent again."""
    scene.protect()
    scene.digest(lambda source: SECRET)
    held = scene.network.hold("SIP/2.0 401")
    _, transaction = scene.call()
    transaction.cancel()
    held.release()
    scene.clock.advance(1)
    assert isinstance(transaction.error, Forbidden)
    assert set(wire(scene)) == {("INVITE", 1, False), ("ACK", 1, False)}
    assert scene.idle()


def test_d_23_the_cancel_carries_the_credentials_of_its_invite(scene: Scene) -> None:
    """RFC 3261 §22.1: "Although the CANCEL method does take a response, servers MUST NOT attempt to challenge
    CANCEL requests since these requests cannot be resubmitted."
    """
    scene.protect()
    scene.digest(lambda source: SECRET)
    scene.guard.answer = scene.guard.ring
    _, transaction = scene.call()
    transaction.cancel()
    scene.clock.advance(1)
    assert transaction.response.status == 487
    (cancel,) = scene.sent("CANCEL")
    invite = scene.sent("INVITE")[1]
    assert cancel.get("Authorization") == invite.get("Authorization")
    assert cancel.cseq.number == invite.cseq.number
    # The ACK to the 487 too.
    assert scene.sent("ACK")[-1].get("Authorization") == invite.get("Authorization")


def bye(usage: InviteUsage) -> Any:
    return usage.bye()


def info(usage: InviteUsage) -> Any:
    return usage.send_request("INFO", MessageElements(body=b"5", content_type="text/plain"))


def update(usage: InviteUsage) -> Any:
    return usage.update()


def invite(usage: InviteUsage) -> Any:
    return usage.invite()


@pytest.mark.parametrize("act", [bye, info, update, invite])
def test_d_23_a_request_in_the_dialog_is_challenged(scene: Scene, act: Callable[[Any], Any]) -> None:
    """RFC 3261 §12.2.1.1: the CSeq of a request within the dialog is one higher than the last, that of a
    request sent anew for its challenge also.
    """
    usage, _ = scene.call()
    scene.protect()
    scene.digest(lambda source: SECRET)
    transaction = act(usage)
    scene.clock.advance(1)
    assert transaction.response.status == 200
    method = transaction.method
    first, second = scene.sent(method)[-2:]
    assert ("Authorization" in first, "Authorization" in second) == (False, True)
    assert second.cseq.number == first.cseq.number + 1
    assert second.to_tag == first.to_tag == usage.dialog.remote_tag
    assert usage.dialog.local_sequence == second.cseq.number
    assert usage.dialog.state == ("TERMINATED" if act is bye else CONFIRMED)
    assert scene.guard.usage.dialog.state == usage.dialog.state
    assert "usage_failed" not in scene.names()
    assert scene.names("bob") == ["admitted"]


@pytest.mark.parametrize("act", [bye, info, update, invite])
def test_d_23_what_follows_a_challenged_invite_is_not_challenged_again(
    scene: Scene, act: Callable[[Any], Any]
) -> None:
    """RFC 3261 §22.3: the UA "SHOULD incorporate credentials for that realm in all subsequent requests that
    contain the same Call-ID".
    """
    scene.protect()
    scene.digest(lambda source: SECRET)
    usage, _ = scene.call()
    transaction = act(usage)
    scene.clock.advance(1)
    assert transaction.response.status == 200
    assert scene.sent(transaction.method)[-1].cseq.number == 3
    assert scene.names("digest") == ["challenge_received"]
    assert scene.names("bob") == ["admitted"] * 2


@implementer(IRequestOwner)
class Other(Usage):
    """Another usage of the call's dialog (RFC 5057), as those of events and of transfers are."""

    __slots__ = ()

    METHODS = frozenset(("NOTIFY", "REFER"))

    def response_received(self, transaction: Any) -> None:
        self.tell("dialog_response_received", transaction, self)

    def transaction_failed(self, error: Any, transaction: Any) -> None:
        self.tell("usage_failed", error, self, transaction)

    def transaction_ended(self, transaction: Any) -> None: ...


@pytest.mark.parametrize("method", ["NOTIFY", "REFER"])
def test_d_23_notify_and_refer_are_challenged(scene: Scene, method: str) -> None:
    """RFC 3261 §12.2.1.1: whatever the usage, the dialog gives the CSeq of what is sent anew."""
    usage, _ = scene.call()
    scene.protect()
    digest = scene.digest()
    other = Other(scene.connection, usage.dialog)
    Other(scene.bobs_connection, scene.guard.usage.dialog)
    transaction = other.send(method, None)
    scene.clock.advance(1)
    info(usage)
    scene.clock.advance(1)
    waiting, between = (event.args[0] for event in scene.recorder.of("challenge_received"))
    assert waiting is transaction
    digest.set_credentials(between, "example.com", "alice", "secret")
    digest.set_credentials(waiting, "example.com", "alice", "secret")
    scene.clock.advance(1)
    assert [each[:2] for each in wire(scene)[2:]] == [(method, 2), ("INFO", 3), ("INFO", 4), (method, 5)]
    assert transaction.response is not None
    assert transaction.response.status == 200
    assert scene.recorder.of("admitted")[-1].args == (method, "alice")
    assert usage.dialog.local_sequence == 5


def test_d_23_the_side_that_was_called_answers_challenges_too(scene: Scene) -> None:
    """RFC 3261 §22.2: within a dialog each side is a UAC for its own requests."""
    domain = scene.protect()
    scene.guard.domains.clear()
    scene.digest(lambda source: SECRET)
    usage, _ = scene.call()
    digest = Digest(scene.bobs_connection.client)
    digest.preload("example.com", "alice", "secret")

    def asked(transaction: Any, dialog: Any) -> None:
        if transaction.method != "ACK" and domain.admit(transaction) is not None:
            transaction.respond(ResponseElements(200))

    scene.connection.observer.dialog_request_received = asked
    for act in (info, invite, bye):
        transaction = act(scene.guard.usage)
        scene.clock.advance(1)
        assert transaction.response.status == 200, act
    assert usage.dialog.state == scene.guard.usage.dialog.state == "TERMINATED"
    assert scene.idle()


def test_d_23_a_bye_refused_for_good_ends_the_call_all_the_same(scene: Scene) -> None:
    """RFC 3261 §15.1.1: the caller's session is over with the BYE, whatever comes of it."""
    usage, _ = scene.call()
    scene.protect()
    scene.digest(lambda source: Login("alice", "guess"))
    usage.bye()
    scene.clock.advance(1)
    error, failed, transaction = scene.recorder.last("usage_failed").args
    assert isinstance(error, Forbidden)
    assert (failed, transaction.response.status) == (usage, 401)
    assert usage.dialog.state == "TERMINATED"
    # The one who challenged has not let the BYE in: the call is up until another comes.
    assert scene.guard.usage.dialog.state == CONFIRMED


def test_d_23_a_re_invite_refused_for_good_leaves_the_call_up(scene: Scene) -> None:
    """RFC 3261 §14.1: if the re-INVITE is refused the session goes on as if it had never been sent."""
    usage, _ = scene.call()
    scene.protect()
    digest = scene.digest()
    transaction = usage.invite()
    scene.clock.advance(1)
    digest.ignore(transaction, "example.com")
    scene.clock.advance(1)
    assert isinstance(scene.recorder.last("usage_failed").args[0], Forbidden)
    assert transaction.response.status == 401


def test_a_challenge_behind_a_ringing_branch_begins_the_dialog_anew(scene: Scene) -> None:
    """RFC 3261 §13.2.2.3: early dialogs end with the failure of their INVITE; so that of a branch that rang
    before another one's 401 was forwarded.
    """
    domain = scene.protect()
    rang: list[Any] = []

    def admits(transaction: Any) -> bool:
        if "Authorization" not in transaction.request:
            rang.append(InviteUsage.incoming(transaction))
            transaction.respond(ResponseElements(180))
        return domain.admit(transaction) is not None

    scene.guard.admits = admits  # type: ignore[method-assign]
    scene.digest(lambda source: SECRET)
    usage, transaction = scene.call()
    assert "dialog_forked" not in scene.names()
    assert usage.dialog.state == CONFIRMED
    assert usage.dialog.remote_tag == transaction.response.to_tag == scene.guard.usage.dialog.local_tag
    assert rang[0].dialog.local_tag != usage.dialog.remote_tag
    usage.bye()
    scene.clock.advance(1)
    assert usage.dialog.state == "TERMINATED"
    assert scene.idle()


@pytest.mark.accepts("A5", "I10", "G3")
def test_raw_mode_in_a_call(scene: Scene) -> None:
    """RFC 3261 §22.2: the application answers itself: the dialog is used again, CSeq one higher."""
    scene.protect()
    usage = InviteUsage.outgoing(scene.connection, BOB, from_=ALICE)
    elements = MessageElements(headers=[("Authorization", "Digest x=y")])
    with pytest.raises(ArgumentError):
        usage.invite(elements)
    scene.client.security_handling = False
    transaction = usage.invite()
    scene.clock.advance(1)
    assert transaction.response.status == 401
    session = DigestSession("example.com", "alice", "secret", scene.dice.octets)
    session.challenged(transaction.response.typed("WWW-Authenticate"))

    def answer(method: str, uri: str) -> MessageElements:
        return MessageElements(headers=[("Authorization", session.credentials(method, uri))])

    usage = InviteUsage.in_dialog(usage.dialog.reuse())
    usage.invite(answer("INVITE", BOB))
    scene.clock.advance(1)
    assert usage.dialog.state == CONFIRMED
    target = str(usage.dialog.remote_target)
    refused = usage.bye()
    scene.clock.advance(1)
    assert refused.response.status == 401
    assert usage.dialog.state == CONFIRMED
    accepted = usage.bye(answer("BYE", target))
    scene.clock.advance(1)
    assert accepted.response.status == 200
    assert usage.dialog.state == "TERMINATED"
    assert scene.sent("ACK")[1].get("Authorization") == scene.sent("INVITE")[1].get("Authorization")


@pytest.mark.accepts("I10")
def test_credentials_in_elements_are_refused_and_change_nothing(scene: Scene) -> None:
    """RFC 3261 §22: the stack answers challenges; what it sets by itself nobody else may set."""
    usage, _ = scene.call()
    elements = MessageElements(headers=[("Proxy-Authorization", "Digest x=y")])
    before = len(scene.sent())
    calls: list[Callable[[], object]] = [
        lambda: usage.bye(elements),
        lambda: usage.invite(elements),
        lambda: usage.update(elements),
        lambda: usage.send_request("INFO", elements),
    ]
    for call in calls:
        with pytest.raises(ArgumentError):
            call()
    assert len(scene.sent()) == before
    usage.bye()
    scene.clock.advance(1)
    assert usage.dialog.state == "TERMINATED"
