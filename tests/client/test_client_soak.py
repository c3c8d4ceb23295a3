"""Thousands of calls over a bad network leave nothing behind; SIPACTORS_SOAK=100000 for the full run."""

from __future__ import annotations

import gc
import os
import tracemalloc
from typing import Any

from sipactors.client import InviteUsage, SIPClient
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


def _batch(network: Network, alice: Phone, bob: Phone, size: int) -> None:
    usages: list[InviteUsage] = []
    for number in range(size):
        usage = InviteUsage.outgoing(alice.connection, bob.uri, from_=alice.uri)
        transaction = usage.invite(offer())
        usages.append(usage)
        alice.send("MESSAGE", bob, b"hello")
        if number % 5 == 0:
            network.clock.advance(0.05)
            if transaction.cancel_allowed:
                transaction.cancel()
    network.clock.advance(10)
    for usage in usages:
        try:
            usage.bye()
        except SIPError:
            pass
    bob.calls.clear()
    bob.invitations.clear()
    network.clock.advance(20)


def test_a_soak_with_loss_and_reordering_leaves_nothing_behind() -> None:
    """RFC 3261 §17: retransmissions, not luck, make a transaction complete; and each one ends."""
    network = Network(Clock(), seed=7, capture=0)
    network.impair(loss=0.1, reordering=0.1, duplication=0.05)
    alice = _quiet(network, "alice", "10.0.0.1")
    bob = _quiet(network, "bob", "10.0.0.2")
    tracemalloc.start()
    try:
        marks = []
        for number in range(COUNT // BATCH):
            _batch(network, alice, bob, BATCH)
            if number in (COUNT // BATCH // 3, COUNT // BATCH - 1):
                network.clock.advance(400)
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
    assert isinstance(alice.client, SIPClient)
