"""Subscriptions of ours (RFC 6665 §4.1): how they begin, go on and end."""

from __future__ import annotations

from typing import Any

import pytest
from event_scenes import EVENTS, Events, with_notifier

from sipactors.client import MessageElements, Refresh, SubscribeUsage
from sipactors.errors import (
    AlreadyExists,
    ArgumentError,
    InvalidDialogState,
    RequestPending,
    ResourceNotAvailable,
    TerminatedWithResponse,
    TransactionTimeout,
    TransportFailure,
)
from sipactors.message import Event

PEER = "sip:peer@10.0.0.9"


def begin(
    scene: Events, expires: int | None = 600, refresh: Any = None, event: Any = "presence"
) -> SubscribeUsage:
    """Alice subscribes to the scripted notifier."""
    alice = scene.phones[0]
    usage = SubscribeUsage.outgoing(alice.connection, PEER, event, from_=alice.uri)
    usage.subscribe(MessageElements([] if expires is None else [("Expires", expires)]), refresh)
    scene.wait()
    return usage


@pytest.mark.accepts("H1", "H6")
def test_a_subscription_from_beginning_to_end() -> None:
    """RFC 6665 §3: SUBSCRIBE and NOTIFY, each answered 200; the refresh and the end are SUBSCRIBEs too."""
    scene = Events("alice", "bob")
    usage = scene.subscribe(600, Refresh())
    assert usage.state == "ACTIVE"
    assert usage.dialog.state == "CONFIRMED"
    scene.wait(300)
    assert usage.unsubscribe().request.expires == 0
    scene.wait()
    once = [
        "alice -> bob SUBSCRIBE",
        "bob -> alice 200 SUBSCRIBE",
        "bob -> alice NOTIFY",
        "alice -> bob 200 NOTIFY",
    ]
    assert scene.ladder() == once * 3
    assert usage.subscription_state is not None
    assert str(usage.subscription_state) == "terminated;reason=timeout"
    assert usage.state == scene.notifiers[0].state == "TERMINATED"
    # The refresh was silent: its SUBSCRIBE is not told of, its NOTIFY is.
    assert len(scene.heard("alice", "dialog_response_received")) == 2
    assert len(scene.heard("alice", "dialog_request_received")) == 3
    scene.nothing_left()


@pytest.mark.accepts("H1")
def test_a_second_refresh_already_exists() -> None:
    """H1: a second refresh on a subscription is AlreadyExists, and a refresh is given once."""
    scene = Events("alice", "bob")
    refresh = Refresh()
    usage = scene.subscribe(600, refresh)
    with pytest.raises(AlreadyExists):
        usage.subscribe(None, Refresh())
    other = SubscribeUsage.outgoing(
        scene.phones[0].connection, scene.phones[1].uri, "presence", from_="sip:a@b"
    )
    with pytest.raises(AlreadyExists):
        other.subscribe(None, refresh)
    assert other.refresh is None
    assert len(scene.messages("SUBSCRIBE")) == 1


@pytest.mark.accepts("H1")
def test_the_event_never_changes() -> None:
    """H1: Event is immutable; elements that hold one, or an Expires that is none, raise and send nothing."""
    scene = Events("alice", "bob")
    usage = scene.subscribe()
    scene.ladder()
    for headers in ([("Event", "dialog")], [("Expires", "soon")]):
        with pytest.raises(ArgumentError):
            usage.update(MessageElements(headers))
    with pytest.raises(AttributeError):
        usage.event = Event("dialog")  # type: ignore[misc]
    scene.wait()
    assert scene.ladder() == []


def test_what_may_be_called_when() -> None:
    """G1: update and unsubscribe need a subscription; one SUBSCRIBE at a time; nothing after the end."""
    scene = Events("alice", "bob")
    alice, bob = scene.phones
    usage = SubscribeUsage.outgoing(alice.connection, bob.uri, "presence", from_=alice.uri)
    for call in (usage.update, usage.unsubscribe):
        with pytest.raises(InvalidDialogState):
            call()
    usage.subscribe()
    with pytest.raises(RequestPending):
        usage.subscribe()
    scene.wait()
    usage.update()
    with pytest.raises(RequestPending):
        usage.update()
    scene.wait()
    usage.unsubscribe()
    with pytest.raises(InvalidDialogState):
        usage.unsubscribe()
    scene.wait()
    with pytest.raises(InvalidDialogState):
        usage.update()
    usage.close()
    with pytest.raises(ResourceNotAvailable):
        usage.subscribe()
    scene.nothing_left()


def test_what_a_subscribe_says() -> None:
    """RFC 6665 §4.1.2.1: Event with its id, Expires by the package unless given, Accept, and a Contact."""
    scene, peer = with_notifier()
    begin(scene, None, event=Event("presence", {"id": "7"}))
    (subscribe,) = peer.requests("SUBSCRIBE")
    assert str(subscribe.typed("Event")) == "presence;id=7"
    assert subscribe.expires == 3600
    assert subscribe.get("Accept") == "application/pidf+xml"
    assert len(subscribe.contacts) == 1


@pytest.mark.accepts("H4")
def test_d38_a_notify_before_the_2xx_confirms_the_dialog() -> None:
    """RFC 6665 §4.1.2.4: a subscriber must be prepared for a NOTIFY before the SUBSCRIBE's 2xx."""
    scene, peer = with_notifier()
    usage = begin(scene)
    (subscribe,) = peer.requests("SUBSCRIBE")
    peer.notify(subscribe, state="active;expires=500", Record_Route="<sip:10.0.0.9;lr>, <sip:10.0.0.8;lr>")
    scene.wait()
    assert peer.responses("NOTIFY") == [200]
    assert (usage.state, usage.dialog.state) == ("ACTIVE", "CONFIRMED")
    # RFC 6665 §4.4.1: the route set is taken from the NOTIFY as a UAS takes it, in order.
    assert [str(route) for route in usage.dialog.route_set] == ["<sip:10.0.0.9;lr>", "<sip:10.0.0.8;lr>"]
    peer.accept(subscribe, Expires=600)
    scene.wait()
    assert [args[1] for args in scene.heard("alice", "dialog_response_received")] == [usage]
    assert len(scene.phones[0].stack.access_points[0].dialogs) == 1
    usage.update()
    scene.wait()
    assert str(peer.requests("SUBSCRIBE")[1].uri) == "sip:t1@10.0.0.9"


@pytest.mark.accepts("H4")
def test_each_notifier_that_a_fork_reached_makes_a_dialog() -> None:
    """RFC 6665 §4.1.4: NOTIFYs of further notifiers make further subscriptions, each with its own dialog."""
    scene, peer = with_notifier()
    usage = begin(scene)
    (subscribe,) = peer.requests("SUBSCRIBE")
    peer.notify(subscribe, "t2", "active;expires=60")
    scene.wait()
    peer.accept(subscribe, "t1", Expires=600)
    peer.notify(subscribe, "t1", "pending;expires=600")
    scene.wait()
    ((transaction, fork),) = scene.heard("alice", "dialog_forked")
    assert transaction.request.method == "SUBSCRIBE"
    assert (usage.dialog.remote_tag, fork.dialog.remote_tag) == ("t2", "t1")
    assert (usage.state, fork.state) == ("ACTIVE", "PENDING")
    assert [args[1] for args in scene.heard("alice", "dialog_request_received")] == [
        usage.dialog,
        fork.dialog,
    ]
    # A third comes too late: 64*T1 after the SUBSCRIBE nobody is awaited any more.
    scene.wait(32)
    peer.notify(subscribe, "t3")
    scene.wait()
    assert peer.responses("NOTIFY") == [200, 200, 481]
    fork.close()
    usage.close()
    scene.nothing_left()


def test_timer_n_ends_a_subscription_without_notify() -> None:
    """RFC 6665 §4.1.2.4: no NOTIFY within 64*T1 of the SUBSCRIBE: the subscription has failed."""
    scene, peer = with_notifier()
    usage = begin(scene, refresh=Refresh())
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    scene.wait(31.9)
    assert usage.state == "NOTIFY_WAIT"
    scene.wait(0.1)
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction) == (TransactionTimeout, usage, None)
    assert usage.refresh is not None
    assert (usage.state, usage.dialog.state, usage.refresh.state) == ("TERMINATED",) * 3
    scene.nothing_left()


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({"state": None}, 400),
        ({"state": "active;expires=soon"}, 400),
        ({"Event": "dialog"}, 489),
        ({"Event": "presence;id=2"}, 481),
        ({"tag": "t9"}, 481),
    ],
)
@pytest.mark.accepts("K6")
def test_notifies_that_are_refused(what: dict[str, Any], status: int) -> None:
    """RFC 6665 §4.1.3: no Subscription-State 400, another event 489, no such subscription 481."""
    scene, peer = with_notifier()
    usage = begin(scene)
    (subscribe,) = peer.requests("SUBSCRIBE")
    peer.accept(subscribe, Expires=600)
    peer.notify(subscribe)
    scene.wait(40)
    peer.notify(subscribe, cseq=2, **what)
    scene.wait()
    assert peer.responses("NOTIFY") == [200, status]
    assert usage.state == "ACTIVE"
    assert len(scene.heard("alice", "dialog_request_received")) == 1


def test_a_notify_outside_of_any_dialog_is_481() -> None:
    """RFC 6665 §4.1.3: a NOTIFY that matches no subscription is answered 481."""
    scene, peer = with_notifier()
    begin(scene)
    (subscribe,) = peer.requests("SUBSCRIBE")
    subscribe.set("From", "<sip:alice@10.0.0.1>")
    peer.notify(subscribe)
    scene.wait()
    assert peer.responses("NOTIFY") == [481]


def test_d38_expiry_missing_in_the_notify() -> None:
    """RFC 6665 §4.1.3: where the NOTIFY says nothing, what the 2xx said counts; without that, the request."""
    scene, peer = with_notifier()
    one = begin(scene, 600)
    (subscribe,) = peer.requests("SUBSCRIBE")
    peer.accept(subscribe, Expires=100)
    peer.notify(subscribe)
    two = begin(scene, 900)
    peer.accept(peer.requests("SUBSCRIBE")[1])
    peer.notify(peer.requests("SUBSCRIBE")[1])
    scene.wait()
    assert one.subscription.left == pytest.approx(100, abs=1)
    assert two.subscription.left == pytest.approx(900, abs=1)


def test_the_notifier_says_how_long_it_lasts() -> None:
    """RFC 6665 §4.1.3: "expires" in the NOTIFY is authoritative, also for when to refresh."""
    scene, peer = with_notifier()
    refresh = Refresh()
    begin(scene, 600, refresh)
    (subscribe,) = peer.requests("SUBSCRIBE")
    peer.accept(subscribe, Expires=600)
    peer.notify(subscribe, state="active;expires=100")
    scene.wait()
    assert refresh.due_in == pytest.approx(50, abs=1)
    scene.wait(50)
    assert len(peer.requests("SUBSCRIBE")) == 2


def test_a_subscription_that_nobody_refreshes_runs_out() -> None:
    """RFC 6665 §4.1.2: an expired subscription is terminated; a last NOTIFY is given 64*T1 to arrive."""
    scene, peer = with_notifier()
    usage = begin(scene, 60)
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=60)
    peer.notify(peer.requests("SUBSCRIBE")[0], state="active;expires=60")
    scene.wait(91)
    assert usage.state == "ACTIVE"
    scene.wait(2)
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction) == (TransactionTimeout, usage, None)
    assert usage.dialog.state == "TERMINATED"
    scene.nothing_left()


@pytest.mark.accepts("H5")
@pytest.mark.parametrize("status", [404, 405, 408, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604])
def test_answers_to_a_refresh_that_end_the_subscription(status: int) -> None:
    """RFC 6665 §4.1.2.2: 404, 405, 410, 416, 480-485, 489, 501 and 604 terminate it; D-38: so does 408."""
    scene, peer = with_notifier()
    refresh = Refresh()
    usage = begin(scene, 600, refresh)
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    peer.notify(peer.requests("SUBSCRIBE")[0])
    scene.wait(300.1)
    peer.answer(peer.requests("SUBSCRIBE")[1], status)
    scene.wait()
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction) == (TerminatedWithResponse, usage, None)
    assert refresh.transaction is not None
    assert refresh.transaction.response is not None
    assert refresh.transaction.response.status == status
    assert (usage.state, usage.dialog.state, refresh.state) == ("TERMINATED",) * 3
    scene.nothing_left()


@pytest.mark.accepts("H5")
def test_another_failure_leaves_the_subscription_until_it_runs_out() -> None:
    """RFC 6665 §4.1.2.2: after any other code it is valid for the most recently known duration."""
    scene, peer = with_notifier()
    refresh = Refresh()
    usage = begin(scene, 600, refresh)
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    peer.notify(peer.requests("SUBSCRIBE")[0], state="active;expires=600")
    scene.wait(300.1)
    peer.answer(peer.requests("SUBSCRIBE")[1], 500)
    scene.wait()
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction) == (TerminatedWithResponse, usage, None)
    assert (usage.state, refresh.state) == ("ACTIVE", "TERMINATED")
    peer.notify(peer.requests("SUBSCRIBE")[0], cseq=2)
    scene.wait()
    assert peer.responses("NOTIFY") == [200, 200]
    scene.wait(332)
    assert usage.state == "TERMINATED"
    assert type(scene.heard("alice", "usage_failed")[1][0]) is TransactionTimeout


def test_a_refresh_without_an_answer_ends_the_subscription() -> None:
    """RFC 3261 §12.2.1.2: no response at all is treated as a 408."""
    scene, peer = with_notifier()
    usage = begin(scene, 600, Refresh())
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    peer.notify(peer.requests("SUBSCRIBE")[0])
    scene.wait(340)
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction) == (TransactionTimeout, usage, None)
    assert usage.state == "TERMINATED"
    scene.nothing_left()


def test_a_refresh_while_the_connection_is_suspended_fails() -> None:
    """§5 of the client API: refresh while SUSPENDED or INACTIVE is a TransportFailure."""
    scene, peer = with_notifier()
    usage = begin(scene, 600, Refresh())
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    peer.notify(peer.requests("SUBSCRIBE")[0])
    scene.phones[0].connection.feed("SUSPEND", TransportFailure("no signal"))
    scene.wait(301)
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction) == (TransportFailure, usage, None)
    assert usage.state == "ACTIVE"


def test_a_refused_first_subscribe_ends_the_usage() -> None:
    """RFC 6665 §4.1.2.1: a final answer other than 2xx: no subscription was made; the answer is told."""
    scene, peer = with_notifier()
    usage = begin(scene, 600, Refresh())
    peer.answer(peer.requests("SUBSCRIBE")[0], 403)
    scene.wait()
    ((transaction, told),) = scene.heard("alice", "dialog_response_received")
    assert (transaction.response.status, told) == (403, usage)
    assert usage.refresh is not None
    assert (usage.state, usage.dialog.state, usage.refresh.state) == ("TERMINATED",) * 3
    scene.nothing_left()


def test_nobody_answers_the_first_subscribe() -> None:
    """RFC 3261 §17.1.2.2: Timer F: the usage fails with its transaction."""
    scene, _ = with_notifier()
    usage = begin(scene)
    scene.wait(33)
    ((error, failed, transaction),) = scene.heard("alice", "usage_failed")
    assert (type(error), failed, transaction.method) == (TransactionTimeout, usage, "SUBSCRIBE")
    assert usage.dialog.state == "TERMINATED"
    scene.nothing_left()


def test_too_brief_is_asked_for_longer() -> None:
    """RFC 6665 §4.2.1.1: 423 with Min-Expires: asked again for so long, three times at most."""
    scene, peer = with_notifier()
    usage = begin(scene, 60)
    for number in range(4):
        peer.answer(peer.requests("SUBSCRIBE")[number], 423, Min_Expires=str(100 * (number + 1)))
        scene.wait()
    assert [request.expires for request in peer.requests("SUBSCRIBE")] == [60, 100, 200, 300]
    assert [args[0].response.status for args in scene.heard("alice", "dialog_response_received")] == [423]
    assert usage.state == "TERMINATED"


@pytest.mark.accepts("H6")
def test_the_reason_is_handed_to_the_application() -> None:
    """RFC 6665 §4.1.3: reason and retry-after of a terminated subscription say what to do next."""
    scene, peer = with_notifier()
    usage = begin(scene, 600, Refresh())
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    peer.notify(peer.requests("SUBSCRIBE")[0], state="terminated;reason=probation;retry-after=90")
    scene.wait()
    state = usage.subscription_state
    assert state is not None
    assert (state.state, state.reason, state.retry_after) == ("terminated", "probation", 90)
    assert peer.responses("NOTIFY") == [200]
    assert usage.dialog.state == "TERMINATED"
    assert scene.heard("alice", "usage_failed") == []
    scene.nothing_left()


def test_the_state_is_fetched_once() -> None:
    """RFC 6665 §4.4.3: SUBSCRIBE with Expires 0 polls: one NOTIFY, which says terminated."""
    scene = Events("alice", "bob")
    usage = scene.subscribe(0)
    assert str(usage.subscription_state) == "terminated;reason=timeout"
    assert scene.ladder() == [
        "alice -> bob SUBSCRIBE",
        "bob -> alice 200 SUBSCRIBE",
        "bob -> alice NOTIFY",
        "alice -> bob 200 NOTIFY",
    ]
    scene.nothing_left()


def test_an_unsubscribe_without_last_notify_is_over_all_the_same() -> None:
    """RFC 6665 §4.1.2.3: the last NOTIFY is waited for, but not for ever."""
    scene, peer = with_notifier()
    usage = begin(scene)
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    peer.notify(peer.requests("SUBSCRIBE")[0])
    scene.wait()
    usage.unsubscribe()
    scene.wait()
    peer.accept(peer.requests("SUBSCRIBE")[1], Expires=0)
    scene.wait(33)
    assert usage.state == "TERMINATED"
    assert scene.heard("alice", "usage_failed") == []
    scene.nothing_left()


@pytest.mark.accepts("H6")
def test_several_subscriptions_share_a_dialog() -> None:
    """RFC 5057 §3.1, RFC 6665 §4.5.2: told apart by event and id; the dialog ends with the last."""
    scene = Events("alice", "bob")
    first = scene.subscribe()
    scene.in_dialog["bob"] = lambda t: scene.accept(t) if t.usage is None else None
    second = SubscribeUsage.in_dialog(first.dialog, Event("presence", {"id": "2"}))
    third = SubscribeUsage.in_dialog(first.dialog, "dialog")
    with pytest.raises(AlreadyExists):
        SubscribeUsage.in_dialog(first.dialog, "dialog")
    second.subscribe()
    third.subscribe()
    scene.wait()
    assert [str(usage.event) for usage in scene.notifiers] == ["presence", "presence;id=2", "dialog"]
    scene.notifiers[1].terminate("rejected")
    first.unsubscribe()
    scene.wait()
    assert [usage.state for usage in (first, second, third)] == ["TERMINATED", "TERMINATED", "ACTIVE"]
    assert third.dialog.state == "CONFIRMED"
    third.unsubscribe()
    scene.wait()
    assert third.dialog.state == "TERMINATED"
    scene.nothing_left()


@pytest.mark.accepts("K6")
def test_an_event_that_nobody_knows_is_489() -> None:
    """RFC 6665 §4.2.1.1, §8.3.2: 489 with Allow-Events, outside of a dialog and within."""
    scene = Events("alice", "bob")
    scene.subscribe(event="call-info")
    (refused,) = scene.messages("SIP/2.0 489")
    assert refused.get("Allow-Events") == ", ".join(EVENTS)
    usage = scene.subscribe()
    SubscribeUsage.in_dialog(usage.dialog, "call-info").subscribe()
    scene.wait()
    assert len(scene.messages("SIP/2.0 489")) == 2
    assert usage.state == "ACTIVE"


def test_shutdown_unsubscribes_and_close_does_not() -> None:
    """A16: shutdown ends subscriptions properly; close sends nothing, and the next NOTIFY is 481."""
    scene = Events("alice", "bob")
    scene.subscribe()
    done = []
    scene.phones[0].connection.shutdown().addCallback(done.append)
    scene.wait()
    assert done == [None]
    assert scene.notifiers[0].state == "TERMINATED"

    scene = Events("alice", "bob")
    usage = scene.subscribe()
    usage.close()
    usage.close()
    scene.ladder()
    scene.notifiers[0].notify()
    scene.wait()
    assert scene.ladder() == ["bob -> alice NOTIFY", "alice -> bob 481 NOTIFY"]
    ((error, _, transaction),) = scene.heard("bob", "usage_failed")
    assert (type(error), transaction.response.status) == (TerminatedWithResponse, 481)
    scene.nothing_left()


def test_an_observer_that_raises_changes_nothing() -> None:
    """A18: what an observer raises is contained: the NOTIFY is answered, the state is right."""
    scene = Events("alice", "bob")
    scene.in_dialog["alice"] = lambda transaction: 1 / 0
    usage = scene.subscribe()
    assert usage.state == "ACTIVE"
    assert scene.ladder()[-1] == "alice -> bob 200 NOTIFY"


def test_a_notify_that_is_challenged_has_said_nothing_yet() -> None:
    """RFC 3261 §22.1, D-23: a terminated NOTIFY answered 401 leaves the subscription as it was."""
    scene, peer = with_notifier()
    usage = begin(scene)
    peer.accept(peer.requests("SUBSCRIBE")[0], Expires=600)
    peer.notify(peer.requests("SUBSCRIBE")[0])
    scene.wait()
    scene.in_dialog["alice"] = lambda t: t.answer(401, [("WWW-Authenticate", 'Digest realm="a", nonce="b"')])
    peer.notify(peer.requests("SUBSCRIBE")[0], state="terminated;reason=noresource", cseq=2)
    scene.wait()
    assert (usage.state, usage.dialog.state) == ("ACTIVE", "CONFIRMED")
    del scene.in_dialog["alice"]
    peer.notify(peer.requests("SUBSCRIBE")[0], state="terminated;reason=noresource", cseq=3)
    scene.wait()
    assert usage.dialog.state == "TERMINATED"
