"""Figure 6 of RFC 3261, walked timer by timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sipactors.settings import Timing

pytestmark = pytest.mark.accepts("D1")


def test_timer_e_doubles_up_to_t2_until_timer_f_gives_up(world: Any) -> None:
    """RFC 3261 §17.1.2.2: "this results in intervals of 500 ms, 1 s, 2 s, 4 s, 4 s, 4 s, etc."."""
    machine = world.start("OPTIONS")
    world.clock.advance(31.9)
    assert (machine.state, world.told("client")) == ("TRYING", [])
    world.clock.advance(0.2)
    assert world.times("OPTIONS") == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert world.told("client") == [("client_transaction_failed", "TransactionTimeout")]
    assert world.events.last().time == 32.0
    assert machine.state == "TERMINATED"
    world.check_empty()


def test_over_a_reliable_transport_nothing_is_sent_again(world: Any) -> None:
    """RFC 3261 §17.1.2.2: "If an unreliable transport is in use, the client transaction MUST set timer E"."""
    world.listen_for_streams()
    world.start("OPTIONS", "TCP")
    world.clock.advance(31.99)
    assert world.requests(world.streams[0].got) == ["OPTIONS"]
    assert world.told("client") == []
    world.clock.advance(0.01)
    assert world.told("client") == [("client_transaction_failed", "TransactionTimeout")]


def test_after_a_provisional_response_timer_e_is_t2(world: Any) -> None:
    """RFC 3261 §17.1.2.2: "If Timer E fires while in the "Proceeding" state, the request MUST be passed to
    the transport layer for retransmission, and Timer E MUST be reset with a value of T2 seconds"."""
    machine = world.start("OPTIONS")
    world.clock.advance(0.7)
    world.reply(100)
    assert machine.state == "PROCEEDING"
    world.reply(183)
    world.clock.advance(31.2)
    assert [status for _, status in world.told("client")] == [100, 183]
    world.clock.advance(0.2)
    # The Timer E that ran when the 100 came still fires at its time.
    assert world.times("OPTIONS") == [0.0, 0.5, 1.5, 5.5, 9.5, 13.5, 17.5, 21.5, 25.5, 29.5]
    # "If timer F fires while in the "Proceeding" state, the TU MUST be informed of a timeout".
    assert world.told("client")[-1] == ("client_transaction_failed", "TransactionTimeout")
    assert world.events.last().time == 32.0


@pytest.mark.parametrize("first", [None, 100])
@pytest.mark.parametrize("status", [200, 202, 302, 404, 503, 699])
def test_timer_k_absorbs_repeated_answers(world: Any, first: int | None, status: int) -> None:
    """RFC 3261 §17.1.2.2: in "Completed" it "MUST set Timer K to fire in T4 seconds for unreliable
    transports"."""
    machine = world.start("OPTIONS")
    world.clock.advance(0)
    if first is not None:
        world.reply(first)
    world.reply(status)
    assert machine.state == "COMPLETED"
    world.clock.advance(4.9)
    world.reply(status)
    world.reply(100)
    assert [status for _, status in world.told("client")] == ([first] if first else []) + [status]
    assert (machine.state, world.metrics.stray_events) == ("COMPLETED", 2)
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"
    world.check_empty()
    # No ACK, and nothing sent again.
    assert world.requests() == ["OPTIONS"]


def test_timer_k_is_zero_over_a_reliable_transport(world: Any) -> None:
    """RFC 3261 §17.1.2.2: Timer K is "zero seconds for reliable transports"."""
    world.listen_for_streams()
    machine = world.start("OPTIONS", "TCP")
    world.clock.advance(0.1)
    world.streams[0].send(world.answer(200))
    world.clock.advance(0)
    assert machine.state == "TERMINATED"
    assert world.told("client") == [("response_received", 200)]
    world.check_empty()


@pytest.mark.accepts("D8")
@pytest.mark.parametrize("first", [None, 100])
def test_a_connection_that_dies_fails_it_at_once(world: Any, first: int | None) -> None:
    """RFC 3261 §17.1.4: "SHOULD inform the TU that a transport failure has occurred" (D-9: not after Timer
    F)."""
    world.listen_for_streams()
    machine = world.start("OPTIONS", "TCP")
    world.clock.advance(0.1)
    if first is not None:
        world.streams[0].send(world.answer(first))
        world.clock.advance(0)
    world.network.kill(world.host)
    world.clock.advance(0)
    assert world.told("client")[-1] == ("client_transaction_failed", "TransportFailure")
    assert machine.state == "TERMINATED"
    world.check_empty()


@pytest.mark.accepts("D6")
def test_the_timing_of_the_access_point_is_used(make_world: Callable[..., Any]) -> None:
    """RFC 3261 §17.1.1.1: "Nearly all of the transaction timers described here scale with T1"."""
    world = make_world(timing=Timing(t1=0.25, t2=1.0, t4=2.0))
    world.start("OPTIONS")
    world.clock.advance(3.8)
    assert world.times("OPTIONS") == [0.0, 0.25, 0.75, 1.75, 2.75, 3.75]
    world.clock.advance(12.2)
    assert world.events.last("client_transaction_failed").time == 16.0
    machine = world.start("OPTIONS", branch="z9hG4bKsecond")
    world.clock.advance(0)
    world.reply(200)
    world.clock.advance(1.9)
    assert machine.state == "COMPLETED"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"


@pytest.mark.parametrize("state", ["TRYING", "PROCEEDING", "COMPLETED"])
def test_closing_is_silent_in_every_state(world: Any, state: str) -> None:
    """A transaction whose owner goes sends nothing, tells nothing and leaves nothing."""
    machine = world.start("OPTIONS")
    world.clock.advance(0)
    answer = {"PROCEEDING": 100, "COMPLETED": 200}.get(state)
    if answer is not None:
        world.reply(answer)
    assert machine.state == state
    told, sent = len(world.events), len(world.network.capture)
    machine.close()
    machine.close()
    world.check_empty()
    world.clock.advance(100)
    assert (len(world.events), len(world.network.capture)) == (told, sent)


def test_a_user_that_raises_stops_nothing(world: Any) -> None:
    """An observer's exception is contained: the transaction goes its way."""
    from sipactors.interfaces import IClientTransactionUser

    user = world.events.observe(IClientTransactionUser, "client", raises=True)
    flow = world.layer.flow_to("UDP", "192.0.2.2", 5060)
    request = world.request("OPTIONS")
    request.add("Via", f"SIP/2.0/UDP {flow.sent_by};branch=z9hG4bKraises")
    machine = world.dispatcher.send_request(request, flow, user, "z9hG4bKraises")
    world.clock.advance(0)
    world.reply(200)
    assert machine.state == "COMPLETED"
    assert world.metrics.observer_errors == 1
    world.metrics.observer_errors = 0
