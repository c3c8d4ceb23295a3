"""An observer that raises in every one of its methods, through registrations, refreshes and subscriptions."""

from __future__ import annotations

from typing import Any

import pytest

from sipactors.client import (
    Capabilities,
    NotifyUsage,
    Refresh,
    RegistrationBinding,
    RequestElements,
    ResponseElements,
    SubscribeUsage,
)
from sipactors.client.capabilities import METHODS
from sipactors.interfaces import IConnectionObserver
from sipactors.testing import Clock, Network, Phone, Recorder


class Office:
    """Registrar, presence server and notifier, until `down`: then everything is refused."""

    def __init__(self) -> None:
        self.down = False

    def answer(self, transaction: Any) -> None:
        """Take one request outside of dialogs."""
        request = transaction.request
        if self.down:
            transaction.answer(403)
        elif transaction.method == "REGISTER":
            contacts = [("Contact", f"{value};expires=120") for value in request.get_all("Contact")]
            transaction.answer(200, [] if request.expires == 0 else contacts)
        elif transaction.method == "SUBSCRIBE":
            usage = NotifyUsage(transaction)
            transaction.respond(ResponseElements(200))
            usage.notify()
        elif transaction.method == "PUBLISH":
            transaction.answer(200, [("SIP-ETag", "1"), ("Expires", "120")])
        else:
            transaction.answer(200)


@pytest.mark.accepts("A18")
@pytest.mark.parametrize("name", sorted(IConnectionObserver.names()))
def test_an_observer_that_raises_harms_no_registration_and_no_subscription(name: str) -> None:
    """What an observer raises is logged and contained; the stack's state is right afterwards."""
    network = Network(Clock())
    office = Office()
    happened = Recorder()
    capabilities = Capabilities(
        methods=(*METHODS, "REGISTER", "SUBSCRIBE", "PUBLISH", "NOTIFY"), allow_events=("presence",)
    )
    alice = Phone(network, "alice", "10.0.0.1", recorder=happened, capabilities=capabilities)
    bob = Phone(
        network,
        "bob",
        "10.0.0.2",
        recorder=happened,
        capabilities=capabilities,
        then={"request_received": office.answer},
    )
    for phone in (alice, bob):
        told = getattr(phone.observer, name)

        def raising(*arguments: Any, told: Any = told) -> None:
            told(*arguments)
            raise RuntimeError("an application's bug")

        setattr(phone.observer, name, raising)
    binding = RegistrationBinding(
        alice.connection, "sip:alice@10.0.0.2", "<sip:alice@10.0.0.1>", refresh=Refresh()
    )
    binding.register()
    subscription = SubscribeUsage.outgoing(alice.connection, bob.uri, "presence", from_=alice.uri)
    subscription.subscribe(refresh=Refresh())
    publication = Refresh()
    alice.connection.send_request(
        RequestElements(
            bob.uri,
            "PUBLISH",
            from_=alice.uri,
            headers=[("Event", "presence"), ("Expires", "120")],
            body=b"x",
            content_type="text/plain",
        ),
        refresh=publication,
    )
    network.clock.advance(200)
    assert binding.context_active
    assert subscription.dialog.state == "CONFIRMED"
    assert publication.state == "ACTIVE"
    office.down = True
    network.clock.advance(200)
    assert not binding.context_active
    assert publication.state == "TERMINATED"
    heard = set(happened.names())
    assert {"registration_response_received", "registration_failed", "refresh_failed"} <= heard
    for phone in (alice, bob):
        phone.connection.shutdown()
    network.clock.advance(100)
    assert alice.connection.closed
    assert bob.connection.closed
    assert alice.connection.children == bob.connection.children == []
    assert alice.stack.metrics.faults == bob.stack.metrics.faults == 0
    assert len(alice.stack.access_points[0].dialogs) == len(bob.stack.access_points[0].dialogs) == 0
