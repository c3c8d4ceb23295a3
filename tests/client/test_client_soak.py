"""Calls, registrations and subscriptions over a bad network leave nothing behind.

SIPACTORS_SOAK=100000 makes the full run.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from typing import Any

from sipactors.client import (
    Capabilities,
    InviteUsage,
    NotifyUsage,
    RegistrationBinding,
    ResponseElements,
    SubscribeUsage,
)
from sipactors.client.capabilities import METHODS
from sipactors.errors import SIPError
from sipactors.testing import Clock, Network, Phone, Recorder
from sipactors.testing.agents import offer

COUNT = int(os.environ.get("SIPACTORS_SOAK", "600"))
BATCH = 50


def _quiet(network: Network, name: str, address: str, **more: Any) -> Phone:
    """A phone whose recorder forgets."""
    phone = Phone(network, name, address, recorder=Recorder(), **more)
    phone.recorder.events = _Forgetful()
    return phone


class _Forgetful(list[Any]):
    def append(self, event: Any) -> None:
        """Keep nothing."""


def _serve(transaction: Any) -> None:
    """Bob beside his calls: a registrar that grants an hour, and a notifier."""
    method = transaction.method
    if method == "REGISTER":
        contacts = [(name, value) for name, value in transaction.request.rows() if name == "Contact"]
        leaving = transaction.request.expires == 0
        transaction.answer(
            200, [] if leaving else [(name, f"{value};expires=3600") for name, value in contacts]
        )
    elif method == "SUBSCRIBE":
        usage = NotifyUsage(transaction)
        transaction.respond(ResponseElements(200))
        usage.notify()
    else:
        transaction.respond(ResponseElements(200))


def _batch(network: Network, alice: Phone, bob: Phone, size: int) -> None:
    usages: list[InviteUsage] = []
    bindings: list[RegistrationBinding] = []
    subscriptions: list[SubscribeUsage] = []
    for number in range(size):
        usage = InviteUsage.outgoing(alice.connection, bob.uri, from_=alice.uri)
        transaction = usage.invite(offer())
        usages.append(usage)
        alice.send("MESSAGE", bob, b"hello")
        binding = RegistrationBinding(
            alice.connection, f"sip:a{number}@10.0.0.2", f"<sip:a{number}@10.0.0.1>", registrar="sip:10.0.0.2"
        )
        binding.register()
        bindings.append(binding)
        subscription = SubscribeUsage.outgoing(alice.connection, bob.uri, "presence", from_=alice.uri)
        subscription.subscribe()
        subscriptions.append(subscription)
        if number % 5 == 0:
            network.clock.advance(0.05)
            if transaction.cancel_allowed:
                transaction.cancel()
    network.clock.advance(10)
    for ending in (
        *(usage.bye for usage in usages),
        *(binding.deregister for binding in bindings),
        *(subscription.unsubscribe for subscription in subscriptions),
    ):
        try:
            ending()
        except SIPError:
            pass
    bob.calls.clear()
    bob.invitations.clear()
    network.clock.advance(40)
    for usage in usages:
        # An INVITE whose first four copies were lost is answered after the others had their BYE.
        if usage.dialog.state == "CONFIRMED" and not usage.ending:
            usage.bye()
    network.clock.advance(40)
    for child in (*bindings, *subscriptions):
        child.close()


def test_a_soak_with_loss_and_reordering_leaves_nothing_behind() -> None:
    """RFC 3261 §17: retransmissions, not luck, make a transaction complete; and each one ends."""
    network = Network(Clock(), seed=7, capture=0)
    network.impair(loss=0.1, reordering=0.1, duplication=0.05)
    alice = _quiet(network, "alice", "10.0.0.1")
    bob = _quiet(
        network,
        "bob",
        "10.0.0.2",
        capabilities=Capabilities(
            methods=(*METHODS, "REGISTER", "SUBSCRIBE", "NOTIFY"), allow_events=("presence",)
        ),
    )
    answer = bob.observer.request_received

    def received(transaction: Any) -> None:
        if transaction.method == "INVITE":
            answer(transaction)
        else:
            _serve(transaction)

    bob.observer.request_received = received
    tracemalloc.start()
    try:
        marks = []
        for number in range(COUNT // BATCH):
            _batch(network, alice, bob, BATCH)
            if number in (COUNT // BATCH // 3, COUNT // BATCH - 1):
                network.clock.advance(4000)
                gc.collect()
                marks.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert alice.left_behind() == {}
    assert bob.left_behind() == {}
    early, late = marks
    # Within 5 %, and what a handful of caches may still learn in a short run.
    assert late <= early * 1.05 + 100_000
    assert alice.stack.metrics.observer_errors == bob.stack.metrics.observer_errors == 0
