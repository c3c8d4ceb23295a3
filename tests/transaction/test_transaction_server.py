"""Figure 8 of RFC 3261 with the rules of RFC 4320, walked timer by timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sipactors.message import parse, response_to
from sipactors.settings import Timing

pytestmark = pytest.mark.accepts("D1")


def arrive(world: Any, **more: Any) -> Any:
    world.say(world.wire("OPTIONS", **more))
    return world.transactions[-1]


def test_a_request_that_waits_is_silent_for_3500_ms(world: Any) -> None:
    """RFC 4320 §4.1: "MUST NOT respond to a non-INVITE request with a Status-Code of 100 over any unreliable
    transport, such as UDP, before the amount of time it takes a client transaction's Timer E to be reset to
    T2"; then it must, "if it has not otherwise responded"."""
    machine = arrive(world)
    # RFC 3261 §17.2.2: "Once in the "Trying" state, any further request retransmissions are discarded."
    world.clock.advance(0.5)
    world.say(world.wire("OPTIONS"))
    world.clock.advance(2.99)
    assert (world.responses(), machine.state) == ([], "TRYING")
    world.clock.advance(0.02)
    assert world.times("100") == [3.5]
    assert machine.state == "PROCEEDING"
    # §17.2.2: "the most recently sent provisional response MUST be passed to the transport layer".
    world.say(world.wire("OPTIONS"))
    assert world.responses() == [100, 100]
    world.respond(200)
    world.clock.advance(0)
    assert world.responses() == [100, 100, 200]
    assert len(world.transactions) == 1


def test_a_100_at_the_same_time_over_a_reliable_transport(world: Any) -> None:
    """RFC 4320 §4.1: "Without regard to transport, an SIP element MUST respond to a non-INVITE request with a
    Status-Code of 100 if it has not otherwise responded" in that time."""
    stream = world.connect()
    stream.send(world.wire("OPTIONS", transport="TCP"))
    world.clock.advance(3.4)
    assert world.responses(stream.got) == []
    world.clock.advance(0.2)
    assert world.responses(stream.got) == [100]


@pytest.mark.parametrize("status", [100, 180, 183, 199])
def test_the_users_own_provisional_responses_do_not_go_over_udp(world: Any, status: int) -> None:
    """RFC 4320 §4.1: "MUST NOT send any provisional response with a Status-Code other than 100"."""
    arrive(world)
    world.respond(status)
    world.clock.advance(3.4)
    assert world.responses() == []
    world.respond(200)
    world.clock.advance(0)
    assert world.responses() == [200]


def test_only_a_100_goes_early_over_a_reliable_transport(world: Any) -> None:
    """RFC 4320 §4.1: "MAY respond to a non-INVITE request with a Status-Code of 100 over a reliable transport
    at any time"."""
    stream = world.connect()
    stream.send(world.wire("OPTIONS", transport="TCP"))
    world.clock.advance(0)
    for status in (180, 100):
        world.respond(status)
    world.clock.advance(0)
    assert world.responses(stream.got) == [100]


@pytest.mark.parametrize("wait", [0.0, 3.6, 31.9])
@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
def test_timer_j_answers_copies_with_the_final_response(world: Any, wait: float, status: int) -> None:
    """RFC 3261 §17.2.2: in "Completed" it "MUST pass the final response to the transport layer for
    retransmission whenever a retransmission of the request is received"; Timer J is 64*T1."""
    machine = arrive(world)
    world.clock.advance(wait)
    world.respond(status)
    assert (machine.state, machine.request, machine.user) == ("COMPLETED", None, None)
    world.clock.advance(31.9)
    world.say(world.wire("OPTIONS"))
    answers = [packet.data for packet in world.network.capture if b"SIP/2.0 %d" % status in packet.data]
    assert len(answers) == 2
    assert len(set(answers)) == 1
    # "Any other final responses passed by the TU … MUST be discarded while in the "Completed" state."
    machine.respond(parse(answers[0].replace(b" %d " % status, b" 600 ")))
    world.clock.advance(0.09)
    assert (machine.state, world.metrics.stray_events) == ("COMPLETED", 1)
    world.clock.advance(0.02)
    assert machine.state == "TERMINATED"
    world.check_empty()
    assert 600 not in world.responses()


def test_timer_j_is_zero_over_a_reliable_transport(world: Any) -> None:
    """RFC 3261 §17.2.2: Timer J is "zero seconds for reliable transports"."""
    stream = world.connect()
    stream.send(world.wire("OPTIONS", transport="TCP"))
    world.clock.advance(0)
    (machine,) = world.transactions
    world.respond(200)
    assert machine.state == "TERMINATED"
    world.check_empty()
    world.clock.advance(0)
    assert world.responses(stream.got) == [200]


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_nothing_is_sent_once_the_client_has_given_up(world: Any, transport: str) -> None:
    """RFC 4320 §4.2: "an element that cannot respond before the transaction expires will not send a final
    response at all"."""
    peer = world.peer if transport == "UDP" else world.connect()
    peer.send(world.wire("OPTIONS", transport=transport))
    world.clock.advance(0)
    (machine,) = world.transactions
    request = machine.request
    world.clock.advance(31.9)
    assert machine.state == "PROCEEDING"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"
    assert world.told("server") == [("server_transaction_failed", "TransactionTimeout")]
    world.check_empty()
    machine.respond(response_to(request, 200, to_tag="x"))
    world.clock.advance(1)
    assert world.responses(peer.got) == [100]
    assert world.metrics.stray_events == 1


@pytest.mark.parametrize("wait", [1.0, 10.0])
def test_a_408_is_never_sent(world: Any, wait: float) -> None:
    """RFC 4320 §4.2: "A transaction-stateful SIP element MUST NOT send a response with Status-Code of 408 to
    a non-INVITE request"; what the client repeats is no new request all the same."""
    arrive(world)
    world.clock.advance(wait)
    world.respond(408)
    assert world.dispatcher.unanswered == 0
    for _ in range(5):
        world.clock.advance(4)
        world.say(world.wire("OPTIONS"))
    assert len(world.transactions) == 1
    assert 408 not in world.responses()
    world.clock.advance(12)
    world.check_empty()


@pytest.mark.accepts("D8")
def test_an_answer_whose_connection_is_gone_opens_another(world: Any) -> None:
    """RFC 3261 §18.2.2: "the server SHOULD open a connection to the IP address in the "received" parameter …,
    using the port in the "sent-by" value"."""
    world.listen_for_streams()
    stream = world.connect()
    stream.send(world.wire("OPTIONS", transport="TCP"))
    world.clock.advance(0)
    world.network.kill(world.host)
    world.clock.advance(0.01)
    world.respond(200)
    world.clock.advance(0.1)
    assert world.responses(world.streams[0].got) == [200]


@pytest.mark.accepts("D6")
def test_the_timing_of_the_access_point_is_used(make_world: Callable[..., Any]) -> None:
    """RFC 4320 §4.1 with T1 1 s and T2 3 s: Timer E fires after 1 and 3 s, and is then reset to T2."""
    world = make_world(timing=Timing(t1=1.0, t2=3.0))
    machine = arrive(world)
    world.clock.advance(63.9)
    assert world.times("100") == [3.0]
    assert machine.state == "PROCEEDING"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"
    machine = arrive(world, branch="z9hG4bKsecond", call_id="c3")
    world.respond(200)
    world.clock.advance(63.9)
    assert machine.state == "COMPLETED"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"


@pytest.mark.parametrize("state", ["TRYING", "PROCEEDING", "COMPLETED"])
def test_closing_is_silent_in_every_state(world: Any, state: str) -> None:
    """A transaction whose owner goes sends nothing, tells nothing and leaves nothing."""
    machine = arrive(world)
    if state == "PROCEEDING":
        world.clock.advance(4)
    elif state == "COMPLETED":
        world.respond(200)
    assert machine.state == state
    told, sent = len(world.events), len(world.network.capture)
    machine.close()
    machine.close()
    world.check_empty()
    world.clock.advance(100)
    assert (len(world.events), len(world.network.capture)) == (told, sent)
