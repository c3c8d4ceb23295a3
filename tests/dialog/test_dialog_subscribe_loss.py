"""Subscriptions over a network that loses, repeats and reorders: each ends, and nothing of it is left."""

from __future__ import annotations

from typing import Any

import pytest
from event_scenes import Events

from sipactors.client import MessageElements, Refresh, SubscribeUsage


@pytest.mark.accepts("H6")
def test_subscriptions_survive_loss_and_leave_nothing() -> None:
    """RFC 6665 §4.1.2.4, §4.2.2: whatever is lost or overtaken, both sides come to an end."""
    scene = Events("alice", "bob")
    scene.network.impair(loss=0.2, duplication=0.1, reordering=0.2)
    alice, bob = scene.phones
    usages: list[Any] = []
    for _ in range(40):
        usage = SubscribeUsage.outgoing(alice.connection, bob.uri, "presence", from_=alice.uri)
        usage.subscribe(MessageElements([("Expires", 120)]), Refresh())
        usages.append(usage)
        scene.wait(5)
    for usage in usages:
        if usage.state in ("PENDING", "ACTIVE"):
            usage.unsubscribe()
    scene.wait(300)
    # Almost all have stood; those whose every SUBSCRIBE or NOTIFY was lost have failed, and said so.
    stood = [usage for usage in usages if usage.subscription_state is not None]
    assert len(stood) > 35
    assert {usage.state for usage in usages} == {usage.state for usage in scene.notifiers} == {"TERMINATED"}
    scene.nothing_left()
    assert not scene.clock.getDelayedCalls()
