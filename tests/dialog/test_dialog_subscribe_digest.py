"""Subscriptions and transfers that are challenged, and connections that stop in the middle of them."""

from __future__ import annotations

from typing import Any

import pytest
from event_scenes import Events

from sipactors.client import (
    Digest,
    InviteUsage,
    Login,
    ProtectionDomain,
    ReferUsage,
    Refresh,
    ResponseElements,
    SubscribeUsage,
)
from sipactors.errors import Forbidden, TransportFailure
from sipactors.interfaces import IDigestChallengeObserver


def guarded(scene: Events, who: str = "bob") -> None:
    """A phone that admits nobody but alice with her secret, outside of dialogs and within."""
    phone = next(phone for phone in scene.phones if phone.name == who)
    domain = ProtectionDomain(
        phone.stack, "r", lambda user, realm, base: "secret" if user == "alice" else None
    )

    def first(transaction: Any) -> None:
        if domain.admit(transaction) is None:
            return
        if transaction.method == "INVITE":
            InviteUsage.incoming(transaction)
            transaction.respond(ResponseElements(200))
        else:
            scene.accept(transaction)

    def within(transaction: Any) -> None:
        if transaction.method == "REFER":
            first(transaction)
        elif transaction.method != "ACK":
            domain.admit(transaction)

    scene.on_request[who] = first
    scene.in_dialog[who] = within


def knows(scene: Events, who: int = 0) -> None:
    """A phone that knows alice's secret."""
    observer = scene.recorder.observe(
        IDigestChallengeObserver,
        "digest",
        then={"challenge_received": lambda source: Login("alice", "secret")},
    )
    Digest(scene.phones[who].client, observer)


@pytest.mark.accepts("I1")
def test_d23_every_subscribe_is_let_in_with_credentials() -> None:
    """RFC 3261 §22.2, D-23: first SUBSCRIBE, refresh and end are challenged and sent again, unseen."""
    scene = Events("alice", "bob")
    guarded(scene)
    knows(scene)
    usage = scene.subscribe(600, Refresh())
    assert scene.ladder()[:4] == [
        "alice -> bob SUBSCRIBE",
        "bob -> alice 401 SUBSCRIBE",
        "alice -> bob SUBSCRIBE",
        "bob -> alice 200 SUBSCRIBE",
    ]
    scene.wait(300)
    usage.unsubscribe()
    scene.wait()
    assert usage.state == scene.notifiers[0].state == "TERMINATED"
    assert [a[0].response.status for a in scene.heard("alice", "dialog_response_received")] == [200, 200]
    assert scene.heard("alice", "usage_failed") == []
    scene.nothing_left()


@pytest.mark.accepts("I1")
def test_d23_a_refer_in_a_call_is_challenged() -> None:
    """RFC 3515 §2.4.6: with a second REFER the id of NOTIFYs is the CSeq of the one that was let in."""
    scene = Events("alice", "bob")
    guarded(scene)
    knows(scene)
    call = InviteUsage.outgoing(scene.phones[0].connection, scene.phones[1].uri, from_=scene.phones[0].uri)
    call.invite()
    scene.wait()
    usages = [ReferUsage.in_dialog(call.dialog, f"sip:{name}@10.0.0.3") for name in ("carol", "dave")]
    for usage in usages:
        usage.refer()
        scene.wait()
    for status, notifier in zip((180, 183), scene.notifiers):
        notifier.progress(status)
        scene.wait()
    assert [usage.progress.status for usage in usages if usage.progress] == [180, 183]


@pytest.mark.accepts("I3", "H5")
def test_without_credentials_a_subscription_fails_with_forbidden() -> None:
    """I3: no Digest object: the first SUBSCRIBE fails with Forbidden, and nothing is left of it."""
    scene = Events("alice", "bob")
    guarded(scene)
    usage = scene.subscribe(600, Refresh())
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction.response.status) == (Forbidden, usage, 401)
    assert (usage.state, usage.dialog.state) == ("TERMINATED", "TERMINATED")
    scene.nothing_left()


@pytest.mark.accepts("A16")
def test_shutdown_while_nothing_can_be_sent() -> None:
    """A16: what cannot be ended properly is closed; shutdown never raises."""
    scene = Events("alice", "bob")
    usage = scene.subscribe()
    scene.phones[0].connection.feed("SUSPEND", TransportFailure("no signal"))
    scene.phones[1].connection.feed("SUSPEND", TransportFailure("no signal"))
    done: list[Any] = []
    for phone in scene.phones:
        phone.connection.shutdown().addCallback(done.append)
    scene.wait(33)
    assert len(done) == 2
    assert usage.closed
    assert scene.notifiers[0].closed
    scene.nothing_left()


@pytest.mark.accepts("A9", "A14")
def test_closing_the_connection_ends_all_of_it_silently() -> None:
    """A9, A14: subscriptions that wait, that stand, and that we notify: all end, and silently."""
    scene = Events("alice", "bob")
    scene.subscribe(600, Refresh())
    alice = scene.phones[0]
    waiting = SubscribeUsage.outgoing(alice.connection, "sip:nobody@10.0.0.2", "presence", from_=alice.uri)
    waiting.subscribe()
    scene.recorder.take()
    alice.connection.close()
    scene.phones[1].connection.close()
    scene.wait(700)
    # The SUBSCRIBE that was on its way finds a client without a connection: that is another story.
    assert {event.name for event in scene.recorder.events} <= {"request_received", "timed_out"}
    assert scene.recorder.names("alice") == []
    scene.nothing_left()
