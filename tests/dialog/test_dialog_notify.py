"""Subscriptions of peers (RFC 6665 §4.2): what a notifier grants, tells and ends."""

from __future__ import annotations

from typing import Any

import pytest
from event_scenes import OPEN, Events, capable

from sipactors.client import MessageElements, NotifyUsage, Policies, Refresh, ResponseElements
from sipactors.errors import ArgumentError, InvalidDialogState, TerminatedWithResponse, TransactionTimeout
from sipactors.message import SubscriptionState


def states(scene: Events) -> list[str]:
    """The Subscription-State of each NOTIFY that went over the network."""
    return [str(message.get("Subscription-State")) for message in scene.messages("NOTIFY")]


@pytest.mark.accepts("H2")
def test_notify_only_when_confirmed_with_event_and_state_added() -> None:
    """H2: NOTIFY only when CONFIRMED; Event and Subscription-State are added by the usage."""
    scene = Events("alice", "bob")
    made: list[Any] = []

    def answer(transaction: Any) -> None:
        usage = NotifyUsage(transaction, "presence", "pending")
        with pytest.raises(InvalidDialogState):
            usage.notify(OPEN)
        transaction.respond(ResponseElements(200))
        for name in ("Event", "Subscription-State"):
            with pytest.raises(ArgumentError):
                usage.notify(MessageElements([(name, "active")]))
        usage.notify(OPEN)
        made.append(usage)

    scene.on_request["bob"] = answer
    usage = scene.subscribe(600)
    (notify,) = scene.messages("NOTIFY")
    assert notify.get("Event") == "presence"
    assert states(scene) == ["pending;expires=600"]
    assert usage.state == made[0].state == "PENDING"
    scene.wait(100)
    made[0].notify(OPEN, "active")
    scene.wait()
    assert states(scene) == ["pending;expires=600", "active;expires=500"]
    made[0].terminate("rejected")
    with pytest.raises(InvalidDialogState):
        made[0].notify(OPEN)
    scene.wait()
    assert states(scene)[-1] == "terminated;reason=rejected"
    assert usage.state == made[0].state == made[0].dialog.state == "TERMINATED"
    scene.nothing_left()


def test_arguments() -> None:
    """H2: a usage is for its event, begins active or pending, and answers one request only."""
    scene = Events("alice", "bob")
    seen: list[str] = []

    def answer(transaction: Any) -> None:
        for wrong in (("dialog",), ("presence", "terminated")):
            with pytest.raises(ArgumentError):
                NotifyUsage(transaction, *wrong)
        scene.accept(transaction)
        with pytest.raises(ArgumentError):
            NotifyUsage(transaction)
        seen.append("all")

    scene.on_request["bob"] = answer
    scene.subscribe()
    assert seen == ["all"]


@pytest.mark.accepts("H6")
def test_the_notifier_lets_a_subscription_run_out() -> None:
    """RFC 6665 §4.2.2: it expires without a refresh: a NOTIFY says terminated, with reason timeout."""
    scene = Events("alice", "bob")
    usage = scene.subscribe(60)
    scene.wait(60)
    assert states(scene) == ["active;expires=60", "terminated;reason=timeout"]
    ((error, failed, transaction),) = scene.heard("bob", "usage_failed")
    assert (type(error), failed) == (TransactionTimeout, scene.notifiers[0])
    assert transaction.method == "NOTIFY"
    assert usage.dialog.state == scene.notifiers[0].dialog.state == "TERMINATED"
    # The subscriber hears it from the NOTIFY, and of no failure.
    assert scene.heard("alice", "usage_failed") == []
    scene.nothing_left()


def test_the_2xx_says_how_long() -> None:
    """RFC 6665 §4.2.1.1: Expires in the 2xx: what was asked for, or less; the package's default without."""
    for asked, given, most, granted in [
        (600, None, None, 600),
        (600, 900, None, 600),
        (600, 300, None, 300),
        (600, None, 120, 120),
        (None, None, None, 3600),
    ]:
        scene = Events("alice", "bob")

        def answer(transaction: Any, given: Any = given, most: Any = most, asked: Any = asked) -> None:
            if asked is None:
                transaction.request.remove("Expires")
            usage = NotifyUsage(transaction)
            usage.max_expires = most
            transaction.respond(ResponseElements(200, headers=[("Expires", given)] if given else []))

        scene.on_request["bob"] = answer
        scene.subscribe(asked or 9999)
        assert next(message.expires for message in scene.messages("SIP/2.0 200")) == granted


def test_each_2xx_owes_a_notify() -> None:
    """RFC 6665 §4.2.1.2: a NOTIFY MUST go at once; where the state is not known yet its body is neutral."""
    scene = Events("alice", "bob")
    scene.on_request["bob"] = lambda t: (NotifyUsage(t), t.respond(ResponseElements(200)))
    usage = scene.subscribe(600, Refresh())
    assert [message.body for message in scene.messages("NOTIFY")] == [b""]
    notifier: Any = scene.heard("bob", "request_received")[0][0].usage
    notifier.notify(OPEN)
    scene.wait(300)
    # What was told last is told again after a refresh.
    assert [message.body for message in scene.messages("NOTIFY")] == [b"", b"sun", b"sun"]
    assert usage.state == "ACTIVE"


@pytest.mark.parametrize("status", [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604])
def test_answers_to_notify_that_remove_the_subscription(status: int) -> None:
    """RFC 6665 §4.2.2: with these answers to a NOTIFY the notifier MUST remove the subscription."""
    scene = Events("alice", "bob")
    scene.subscribe()
    scene.in_dialog["alice"] = lambda t: t.respond(ResponseElements(status))
    scene.notifiers[0].notify()
    scene.wait()
    ((error, failed, transaction),) = scene.heard("bob", "usage_failed")
    assert (type(error), failed) == (TerminatedWithResponse, scene.notifiers[0])
    assert transaction.response.status == status
    assert scene.notifiers[0].dialog.state == "TERMINATED"


def test_another_answer_to_notify_does_not() -> None:
    """RFC 6665 §4.2.2: any other failure of a NOTIFY leaves the subscription in place."""
    scene = Events("alice", "bob")
    scene.subscribe()
    scene.in_dialog["alice"] = lambda t: t.respond(ResponseElements(500))
    scene.notifiers[0].notify()
    scene.wait()
    assert scene.heard("bob", "dialog_response_received")[-1][0].response.status == 500
    assert scene.notifiers[0].state == "ACTIVE"


def test_a_subscriber_that_is_gone_is_removed() -> None:
    """RFC 6665 §4.2.2: a NOTIFY that times out: the notifier SHOULD remove the subscription."""
    scene = Events("alice", "bob")
    scene.subscribe()
    scene.network.partition(scene.phones[0].host)
    scene.notifiers[0].notify()
    scene.wait(33)
    ((error, failed, _),) = scene.heard("bob", "usage_failed")
    assert (type(error), failed) == (TransactionTimeout, scene.notifiers[0])
    assert scene.notifiers[0].dialog.state == "TERMINATED"


def test_a_refresh_restarts_the_expiry_and_may_change_it() -> None:
    """RFC 6665 §4.2.1.4: a re-SUBSCRIBE sets the expiry anew."""
    scene = Events("alice", "bob")
    usage = scene.subscribe(60)
    scene.wait(50)
    usage.update(MessageElements([("Expires", 200)]))
    scene.wait(100)
    assert usage.state == scene.notifiers[0].state == "ACTIVE"
    assert scene.notifiers[0].expires == 200


def test_an_application_answers_refreshes_itself() -> None:
    """The observer's own answer goes before that of `auto_answer`; a refusal leaves the subscription."""
    scene = Events("alice", "bob")
    usage = scene.subscribe()
    scene.in_dialog["bob"] = lambda t: t.respond(ResponseElements(403))
    usage.update()
    scene.wait()
    assert scene.heard("alice", "dialog_response_received")[-1][0].response.status == 403
    assert usage.state == scene.notifiers[0].state == "ACTIVE"


def test_a_refused_subscribe_leaves_nothing() -> None:
    """RFC 6665 §4.2.1.3: a SUBSCRIBE that is refused makes neither dialog nor subscription."""
    scene = Events("alice", "bob")
    scene.on_request["bob"] = lambda t: (NotifyUsage(t), t.respond(ResponseElements(403)))
    scene.subscribe()
    assert scene.ladder() == ["alice -> bob SUBSCRIBE", "bob -> alice 403 SUBSCRIBE"]
    scene.nothing_left()


def test_too_brief_and_unsolicited_by_policy() -> None:
    """RFC 6665 §4.2.1.1: 423 with Min-Expires; the subscriber of this stack then asks for that."""
    scene = Events("alice")
    carol = scene.phone("carol", "10.0.0.7", policies=Policies(min_subscription=90), capabilities=capable())
    usage = scene.subscribe(60, to=carol.uri)
    scene.wait()
    assert [m.get("Min-Expires") for m in scene.messages("SIP/2.0 423")] == ["90"]
    assert usage.state == "ACTIVE"
    assert scene.notifiers[0].expires == 90


def test_shutdown_tells_subscribers() -> None:
    """A16, RFC 6665 §4.1.3: a notifier that leaves says probation: subscribe again later."""
    scene = Events("alice", "bob")
    usage = scene.subscribe()
    done: list[Any] = []
    scene.phones[1].connection.shutdown().addCallback(done.append)
    scene.wait()
    assert done == [None]
    assert usage.subscription_state == SubscriptionState("terminated", {"reason": "probation"})
    scene.nothing_left()
