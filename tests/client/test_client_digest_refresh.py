"""Challenges to what a refresh sends by itself: the application is asked with the refresh in hand."""

from __future__ import annotations

from typing import Any

import pytest

from digest_scene import ALICE, BOB, Scene
from sipactors.client import Refresh, RequestElements
from sipactors.errors import Forbidden


def refreshed(scene: Scene) -> tuple[Refresh, Any]:
    """A message that is sent every 50 seconds, unchallenged so far."""
    refresh = Refresh()
    elements = RequestElements(BOB, "MESSAGE", from_=ALICE, headers=[("Expires", "100")])
    transaction = scene.connection.send_request(elements, refresh=refresh)
    scene.clock.advance(1)
    assert refresh.state == "ACTIVE"
    return refresh, transaction


@pytest.mark.accepts("I1")
def test_a_refresh_that_is_challenged_is_the_source(scene: Scene) -> None:
    """RFC 3261 §22.2: the UA asks for credentials, also for what it sends by itself; else it is silent."""
    refresh, _ = refreshed(scene)
    scene.protect()
    digest = scene.digest()
    scene.recorder.take()
    scene.clock.advance(50)
    assert scene.recorder.last("challenge_received").args == (refresh,)
    assert refresh.challenges == ("example.com",)
    digest.set_credentials(refresh, "example.com", "alice", "secret")
    scene.clock.advance(1)
    assert refresh.challenges == ()
    assert scene.recorder.names("alice") == []
    # The next ones are not challenged any more.
    before = len(scene.sent())
    scene.clock.advance(100)
    assert refresh.state == "ACTIVE"
    assert scene.names("digest") == ["challenge_received"]
    assert all("Authorization" in request for request in scene.sent()[before:])
    assert len(scene.sent()) == before + 2


@pytest.mark.accepts("I2")
def test_a_refresh_whose_challenge_is_ignored_ends_with_forbidden(scene: Scene) -> None:
    """RFC 3261 §22.2: without credentials the request has failed, and what it kept alive with it."""
    refresh, _ = refreshed(scene)
    scene.protect()
    digest = scene.digest()
    scene.recorder.take()
    scene.clock.advance(50)
    digest.ignore(refresh, "example.com")
    scene.clock.advance(1)
    error, failed = scene.recorder.last("refresh_failed").args
    assert isinstance(error, Forbidden)
    assert failed is refresh
    assert refresh.state == "TERMINATED"
    assert refresh.transaction is not None
    assert refresh.transaction.response is not None
    assert refresh.transaction.response.status == 401


@pytest.mark.accepts("I1")
def test_the_first_request_of_a_refresh_is_answered_by_either_name(scene: Scene) -> None:
    """RFC 3261 §22.2: the first request is the application's own; it knows it by its transaction."""
    scene.protect()
    digest = scene.digest()
    refresh = Refresh()
    elements = RequestElements(BOB, "MESSAGE", from_=ALICE, headers=[("Expires", "100")])
    transaction = scene.connection.send_request(elements, refresh=refresh)
    scene.clock.advance(1)
    assert scene.recorder.last("challenge_received").args[0] in (transaction, refresh)
    digest.set_credentials(transaction, "example.com", "alice", "secret")
    scene.clock.advance(1)
    assert transaction.response.status == 200
    assert refresh.state == "ACTIVE"
