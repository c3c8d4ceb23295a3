"""REFER and its implicit subscription (RFC 3515, RFC 4488): what is asked for, and how it is told."""

from __future__ import annotations

from typing import Any

import pytest
from call_scenes import ANSWER, reply, sdp
from event_scenes import Events, with_notifier

from sipactors.client import (
    InviteUsage,
    MessageElements,
    NotifyUsage,
    ReferUsage,
    ResponseElements,
    read_referral,
    replacing,
)
from sipactors.errors import (
    ArgumentError,
    InvalidDialogState,
    MalformedMessage,
    RequestPending,
    TerminatedWithResponse,
    TransactionTimeout,
)
from sipactors.events import Progress
from sipactors.interfaces import IConnectionObserver
from sipactors.message import Request

CAROL = "sip:carol@10.0.0.3"


def refer(scene: Events, to: Any = CAROL, **options: Any) -> ReferUsage:
    """Alice asks Bob, outside of any dialog, to call somebody."""
    alice, bob = scene.phones[:2]
    usage = ReferUsage.outgoing(alice.connection, bob.uri, to, from_=alice.uri)
    for name, value in options.items():
        setattr(usage, name, value)
    usage.refer()
    scene.wait()
    return usage


@pytest.mark.accepts("H3")
def test_the_implicit_subscription_tells_how_it_goes() -> None:
    """RFC 3515 §4.1: REFER, 202, NOTIFY 100, NOTIFY 200: the last one says terminated;reason=noresource."""
    scene = Events("alice", "bob")
    usage = refer(scene)
    assert usage.progress == Progress(100)
    assert usage.state == "ACTIVE"
    scene.notifiers[0].progress(180)
    scene.wait()
    assert usage.progress == Progress(180, "Ringing")
    scene.notifiers[0].progress(200, "Fine")
    scene.wait()
    assert usage.progress == Progress(200, "Fine")
    assert usage.progress.final
    assert str(usage.subscription_state) == "terminated;reason=noresource"
    notify = ["bob -> alice NOTIFY", "alice -> bob 200 NOTIFY"]
    assert [m.get("Content-Type") for m in scene.messages("NOTIFY")] == ["message/sipfrag;version=2.0"] * 3
    assert scene.ladder() == ["alice -> bob REFER", "bob -> alice 202 REFER", *notify * 3]
    assert usage.dialog.state == scene.notifiers[0].dialog.state == "TERMINATED"
    scene.nothing_left()


@pytest.mark.accepts("H3")
def test_norefersub() -> None:
    """RFC 4488 §4: "Refer-Sub: false" in REFER and 2xx: no subscription, no NOTIFY."""
    scene = Events("alice", "bob")
    usage = refer(scene, implicit_subscription=False)
    (sent,) = scene.messages("REFER")
    assert (sent.get("Refer-Sub"), sent.get("Supported")) == ("false", "norefersub")
    assert [m.get("Refer-Sub") for m in scene.messages("SIP/2.0 202")] == ["false"]
    assert scene.ladder() == ["alice -> bob REFER", "bob -> alice 202 REFER"]
    assert usage.dialog.state == scene.notifiers[0].dialog.state == "TERMINATED"
    with pytest.raises(InvalidDialogState):
        scene.notifiers[0].progress(200)
    scene.nothing_left()


@pytest.mark.accepts("H3")
def test_a_peer_that_does_not_know_norefersub_notifies() -> None:
    """RFC 4488 §4: without "Refer-Sub: false" in the 2xx there is a subscription all the same."""
    scene, peer = with_notifier()
    alice = scene.phones[0]
    usage = ReferUsage.outgoing(alice.connection, peer.uri, CAROL, from_=alice.uri)
    usage.implicit_subscription = False
    usage.refer()
    scene.wait()
    (request,) = peer.requests("REFER")
    peer.answer(request, 202, Contact="<sip:t1@10.0.0.9>")
    peer.notify(request, state="active;expires=60")
    scene.wait()
    assert usage.state == "ACTIVE"
    peer.notify(request, state="terminated;reason=noresource", cseq=2)
    scene.wait()
    assert usage.dialog.state == "TERMINATED"


@pytest.mark.parametrize("status", [403, 489, 501, 603])
def test_d39_refer_refused(status: int) -> None:
    """D-39: a REFER refused: told with its answer; the call goes on."""
    scene = Events("alice", "bob")
    call = established(scene)
    scene.in_dialog["bob"] = lambda t: t.respond(ResponseElements(status)) if t.method == "REFER" else None
    usage = ReferUsage.in_dialog(call.dialog, CAROL)
    usage.refer()
    scene.wait()
    ((transaction, told),) = [a for a in scene.heard("alice", "dialog_response_received") if a[1] is usage]
    assert (transaction.response.status, told.state) == (status, "TERMINATED")
    assert call.dialog.state == "CONFIRMED"
    call.bye()
    scene.wait()
    assert call.dialog.state == "TERMINATED"
    scene.nothing_left()


def established(scene: Events) -> InviteUsage:
    """A call from Alice to Bob."""
    alice, bob = scene.phones[:2]
    scene.on_request["bob"] = lambda t: bob._answer(t) if t.method == "INVITE" else scene.accept(t)
    usage = alice.call(bob)
    scene.wait()
    assert usage.dialog.state == "CONFIRMED"
    scene.ladder()
    scene.recorder.take()
    return usage


@pytest.mark.accepts("H3")
def test_d39_the_transfer_survives_the_transferors_bye() -> None:
    """RFC 5057 §4.1, D-39: the dialog stays for the NOTIFYs when the call in it has ended by BYE."""
    scene = Events("alice", "bob")
    call = established(scene)
    scene.in_dialog["bob"] = lambda t: scene.accept(t) if t.method == "REFER" else None
    usage = ReferUsage.in_dialog(call.dialog, CAROL)
    usage.refer()
    scene.wait()
    call.bye()
    scene.wait()
    assert call.dialog.state == scene.notifiers[0].dialog.state == "CONFIRMED"
    scene.notifiers[0].progress(200)
    scene.wait()
    assert scene.ladder() == [
        "alice -> bob REFER",
        "bob -> alice 202 REFER",
        "bob -> alice NOTIFY",
        "alice -> bob 200 NOTIFY",
        "alice -> bob BYE",
        "bob -> alice 200 BYE",
        "bob -> alice NOTIFY",
        "alice -> bob 200 NOTIFY",
    ]
    assert call.dialog.state == scene.notifiers[0].dialog.state == "TERMINATED"
    scene.nothing_left()


@pytest.mark.accepts("H3")
def test_several_refers_in_one_dialog() -> None:
    """RFC 3515 §2.4.6: NOTIFYs of the second and later REFERs have an id: the CSeq number of their REFER."""
    scene = Events("alice", "bob")
    call = established(scene)
    scene.in_dialog["bob"] = lambda t: scene.accept(t) if t.method == "REFER" else None
    first = ReferUsage.in_dialog(call.dialog, CAROL)
    first.refer()
    second = ReferUsage.in_dialog(call.dialog, "sip:dave@10.0.0.4")
    transaction = second.refer()
    scene.wait()
    assert [str(usage.event) for usage in scene.notifiers] == [
        "refer",
        f"refer;id={transaction.request.cseq.number}",
    ]
    scene.notifiers[1].progress(486)
    scene.wait()
    assert (first.progress, second.progress) == (Progress(100), Progress(486))
    # RFC 3515 §2.4.4: the subscription can be ended as any other.
    first.unsubscribe()
    scene.wait()
    assert first.state == scene.notifiers[0].state == "TERMINATED"
    assert call.dialog.state == "CONFIRMED"


def test_legality() -> None:
    """H3: one REFER for a usage; Refer-To and Event are the usage's own."""
    scene = Events("alice", "bob")
    alice, bob = scene.phones
    usage = ReferUsage.outgoing(alice.connection, bob.uri, CAROL, from_=alice.uri)
    for name, value in (("Refer-To", CAROL), ("Event", "refer"), ("Refer-Sub", "false")):
        with pytest.raises(ArgumentError):
            usage.refer(MessageElements([(name, value)]))
    with pytest.raises(InvalidDialogState):
        usage.unsubscribe()
    usage.refer(MessageElements([("Referred-By", "<sip:alice@10.0.0.1>")]))
    with pytest.raises(RequestPending):
        usage.refer()
    scene.wait()
    with pytest.raises(InvalidDialogState):
        usage.refer()
    assert scene.messages("REFER")[0].get("Referred-By") == "<sip:alice@10.0.0.1>"


@pytest.mark.parametrize("rows", [[], [b"Refer-To: <sip:c@10.0.0.3>", b"r: <sip:d@10.0.0.3>"]])
def test_a_refer_needs_one_refer_to(rows: list[bytes]) -> None:
    """RFC 3515 §2.4.2: zero or more than one Refer-To: 400."""
    scene = Events("alice", "bob")

    def change(data: bytes) -> bytes:
        lines = data.split(b"\r\n")
        kept = [line for line in lines if not line.startswith(b"Refer-To")]
        return b"\r\n".join([kept[0], *rows, *kept[1:]])

    scene.network.alter("REFER", change)
    refer(scene)
    assert scene.ladder() == ["alice -> bob REFER", "bob -> alice 400 REFER"]
    assert scene.notifiers == []
    scene.nothing_left()


def test_no_notify_after_a_refer() -> None:
    """RFC 6665 §4.1.2.4: Timer N also for the implicit subscription of a REFER."""
    scene, peer = with_notifier()
    alice = scene.phones[0]
    usage = ReferUsage.outgoing(alice.connection, peer.uri, CAROL, from_=alice.uri)
    usage.refer()
    scene.wait()
    peer.answer(peer.requests("REFER")[0], 202, Contact="<sip:t1@10.0.0.9>")
    scene.wait(33)
    ((error, failed, _),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed) == (TransactionTimeout, usage)
    scene.nothing_left()


def test_what_a_refer_asks_for() -> None:
    """RFC 3515 §2.1, RFC 3892 §2.2: URI, method and harmless headers of Refer-To, Referred-By copied."""
    request = Request("REFER", "sip:bob@b")
    with pytest.raises(MalformedMessage):
        read_referral(request)
    request.set(
        "Refer-To",
        "<sip:carol@c;method=INVITE;x=1?Replaces=1%40a%3Bto-tag%3D2%3Bfrom-tag%3D3&Via=evil&Subject=a%0D%0AVia:x>",
    )
    request.set("Referred-By", "<sip:alice@a>")
    referral = read_referral(request)
    assert str(referral.uri) == "sip:carol@c;x=1"
    assert referral.method == "INVITE"
    assert referral.headers == [("Replaces", "1@a;to-tag=2;from-tag=3"), ("Referred-By", "<sip:alice@a>")]
    assert referral.replaces is not None
    assert (referral.replaces.to_tag, referral.replaces.from_tag) == ("2", "3")
    assert referral.elements(b"x", "text/plain").body == b"x"
    request.set("Refer-To", "<tel:+1234>")
    assert str(read_referral(request).uri) == "tel:+1234"


# ---------------------------------------------------------------------- Replaces


def replace(scene: Events, who: int, header: str) -> InviteUsage:
    """A phone calls Bob with a Replaces."""
    phone, bob = scene.phones[who], scene.phones[1]
    usage = InviteUsage.outgoing(phone.connection, bob.uri, from_=phone.uri)
    usage.invite(sdp(Replaces=header))
    scene.wait()
    return usage


def named(dialog: Any, extra: str = "") -> str:
    """The Replaces that names a dialog to its other side."""
    return f"{dialog.call_id};to-tag={dialog.remote_tag};from-tag={dialog.local_tag}{extra}"


@pytest.mark.accepts("G18")
def test_d39_an_invite_replaces_a_call() -> None:
    """RFC 3891 §3, §4: the new INVITE is handed over with the dialog it names; that one ends with BYE."""
    scene = Events("alice", "bob", "carol")
    call = established(scene)
    usage = replace(scene, 2, named(call.dialog))
    ((transaction,),) = scene.heard("bob", "request_received")
    assert transaction.request.typed("Replaces").call_id == call.dialog.call_id
    assert usage.dialog.state == "CONFIRMED"
    assert call.dialog.state == "TERMINATED"
    assert scene.ladder() == [
        "carol -> bob INVITE",
        "bob -> carol 180 INVITE",
        "bob -> carol 200 INVITE",
        "bob -> alice BYE",
        "carol -> bob ACK",
        "alice -> bob 200 BYE",
    ]


@pytest.mark.accepts("G18")
@pytest.mark.parametrize(
    ("extra", "wrong", "status"),
    [
        (";early-only", "", 486),
        ("", "x", 481),
    ],
)
def test_replaces_that_cannot_be(extra: str, wrong: str, status: int) -> None:
    """RFC 3891 §3: early-only and a confirmed dialog: 486; no such dialog: 481."""
    scene = Events("alice", "bob", "carol")
    call = established(scene)
    replace(scene, 2, wrong + named(call.dialog, extra))
    assert scene.ladder()[1] == f"bob -> carol {status} INVITE"
    assert call.dialog.state == "CONFIRMED"


def test_an_early_dialog_of_the_peers_is_not_replaced() -> None:
    """RFC 3891 §3: an early dialog that was not initiated by this UA: 481; one that was is canceled."""
    scene = Events("alice", "bob", "carol")
    alice, bob, _ = scene.phones
    bob.on_call = "ring"
    scene.on_request["bob"] = bob._answer
    call = alice.call(bob)
    scene.wait()
    replace(scene, 2, named(call.dialog))
    assert scene.messages("SIP/2.0 481")

    scene = Events("alice", "bob", "carol")
    alice, bob, _ = scene.phones
    alice.on_call = "ring"
    scene.on_request = {"alice": alice._answer, "bob": bob._answer}
    call = bob.call(alice)
    scene.wait()
    scene.ladder()
    replace(scene, 2, named(alice.calls[0].dialog, ";early-only"))
    scene.wait()
    assert "bob -> alice CANCEL" in scene.ladder()
    assert call.dialog.state == "TERMINATED"


def test_replaces_with_a_subscription_or_in_another_request() -> None:
    """RFC 3891 §3: a dialog that no INVITE made: 481; Replaces outside of INVITE: 400."""
    scene = Events("alice", "bob", "carol")
    usage = scene.subscribe()
    scene.ladder()
    replace(scene, 2, named(usage.dialog))
    assert scene.ladder()[1] == "bob -> carol 481 INVITE"
    scene.phones[2].send("MESSAGE", scene.phones[1], headers=[("Replaces", named(usage.dialog))])
    scene.wait()
    assert scene.ladder() == ["carol -> bob MESSAGE", "bob -> carol 400 MESSAGE"]


def test_a_dialog_without_peer_cannot_be_replaced() -> None:
    """RFC 5589 §7.3: Refer-To of an attended transfer names a dialog that there is."""
    scene = Events("alice", "bob")
    alice, bob = scene.phones
    usage = InviteUsage.outgoing(alice.connection, bob.uri, from_=alice.uri)
    with pytest.raises(InvalidDialogState):
        replacing(usage.dialog)


# ---------------------------------------------------------------------- RFC 5589


class Transferee:
    """What Bob's application does with a REFER: it calls whom he is told to, and tells how that goes."""

    def __init__(self, scene: Events) -> None:
        self.scene = scene
        self.bob = scene.phones[1]
        self.usage: Any = None
        self.call: Any = None
        scene.in_dialog["bob"] = self.requested
        scene.on_request["bob"] = lambda t: self.bob._answer(t) if t.method == "INVITE" else self.requested(t)

    def requested(self, transaction: Any) -> None:
        if transaction.method != "REFER":
            return
        referral = read_referral(transaction.request)
        self.usage = NotifyUsage(transaction)
        transaction.respond(ResponseElements(202))
        observer = self.scene.recorder.observe(
            IConnectionObserver, "transferee", then={"dialog_response_received": self.answered}
        )
        self.call = InviteUsage.outgoing(
            self.bob.connection, referral.uri, from_=self.bob.uri, observer=observer
        )
        self.call.invite(referral.elements(ANSWER, "application/sdp"))

    def answered(self, transaction: Any, usage: Any) -> None:
        if transaction.method == "INVITE":
            self.usage.progress(transaction.response.status, transaction.response.reason)


NOTIFIED = ["bob -> alice NOTIFY", "alice -> bob 200 NOTIFY"]


@pytest.mark.accepts("H3")
def test_rfc5589_6_1_basic_transfer() -> None:
    """RFC 5589 §6.1: REFER within the call, which the transferor ends when the transfer succeeded."""
    scene = Events("alice", "bob", "carol")
    call = established(scene)
    Transferee(scene)
    scene.on_request["carol"] = scene.phones[2]._answer
    usage = ReferUsage.in_dialog(call.dialog, CAROL)
    usage.refer()
    scene.wait()
    call.bye()
    scene.wait()
    assert scene.ladder() == [
        "alice -> bob REFER",
        "bob -> alice 202 REFER",
        "bob -> carol INVITE",
        "bob -> alice NOTIFY",
        "carol -> bob 180 INVITE",
        "carol -> bob 200 INVITE",
        "alice -> bob 200 NOTIFY",
        "bob -> alice NOTIFY",
        "bob -> carol ACK",
        "bob -> alice NOTIFY",
        "alice -> bob 200 NOTIFY",
        "alice -> bob 200 NOTIFY",
        "alice -> bob BYE",
        "bob -> alice 200 BYE",
    ]
    assert usage.progress == Progress(200)
    assert usage.dialog.state == "TERMINATED"
    assert scene.phones[2].calls[0].dialog.state == "CONFIRMED"


@pytest.mark.accepts("H3")
def test_rfc5589_6_2_failed_transfer() -> None:
    """RFC 5589 §6.2: the target is busy: the NOTIFY says 486, and the call goes on."""
    scene = Events("alice", "bob", "carol")
    call = established(scene)
    Transferee(scene)
    scene.on_request["carol"] = lambda t: t.respond(reply(486))
    usage = ReferUsage.in_dialog(call.dialog, CAROL)
    usage.refer()
    scene.wait()
    assert usage.progress == Progress(486)
    assert usage.state == "TERMINATED"
    assert call.dialog.state == "CONFIRMED"


@pytest.mark.accepts("H3", "G18")
def test_rfc5589_7_attended_transfer() -> None:
    """RFC 5589 §7.3: the transferor calls the target first; Refer-To has Replaces of that call."""
    scene = Events("alice", "bob", "carol")
    alice, _, carol = scene.phones
    call = established(scene)
    Transferee(scene)
    scene.on_request["carol"] = carol._answer
    consultation = alice.call(carol)
    scene.wait()
    scene.ladder()
    usage = ReferUsage.in_dialog(call.dialog, consultation.dialog)
    usage.refer(MessageElements([("Referred-By", f"<{alice.uri}>")]))
    scene.wait()
    (invite,) = scene.messages("INVITE")
    assert invite.typed("Replaces").call_id == consultation.dialog.call_id
    assert invite.get("Referred-By") == f"<{alice.uri}>"
    call.bye()
    scene.wait()
    ladder = scene.ladder()
    assert ladder == [
        "alice -> bob REFER",
        "bob -> alice 202 REFER",
        "bob -> carol INVITE",
        "bob -> alice NOTIFY",
        "carol -> bob 180 INVITE",
        "carol -> bob 200 INVITE",
        "carol -> alice BYE",
        "alice -> bob 200 NOTIFY",
        "bob -> alice NOTIFY",
        "bob -> carol ACK",
        "bob -> alice NOTIFY",
        "alice -> carol 200 BYE",
        "alice -> bob 200 NOTIFY",
        "alice -> bob 200 NOTIFY",
        "alice -> bob BYE",
        "bob -> alice 200 BYE",
    ]
    assert consultation.dialog.state == call.dialog.state == "TERMINATED"
    assert carol.calls[1].dialog.state == "CONFIRMED"
    assert usage.progress == Progress(200)


@pytest.mark.accepts("H5")
def test_a_refused_end_of_a_transfer_is_told() -> None:
    """RFC 6665 §4.1.2.2: a 481 to a SUBSCRIBE within ends the subscription, and says so."""
    scene, peer = with_notifier()
    alice = scene.phones[0]
    usage = ReferUsage.outgoing(alice.connection, peer.uri, CAROL, from_=alice.uri)
    usage.refer()
    scene.wait()
    (request,) = peer.requests("REFER")
    peer.answer(request, 202, Contact="<sip:t1@10.0.0.9>")
    peer.notify(request, state="active;expires=60", Event="refer;id=1")
    scene.wait()
    usage.update()
    scene.wait()
    (again,) = peer.requests("SUBSCRIBE")
    assert again.get("Event") == "refer;id=1"
    peer.answer(again, 481)
    scene.wait()
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction.response.status) == (TerminatedWithResponse, usage, 481)
    scene.nothing_left()
