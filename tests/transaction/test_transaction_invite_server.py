"""Figure 7 of RFC 3261 with the Accepted state of RFC 6026, walked timer by timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sipactors.message import parse
from sipactors.settings import Timing

pytestmark = pytest.mark.accepts("D1")


def arrive(world: Any, **more: Any) -> Any:
    world.say(world.wire(**more))
    return world.transactions[-1]


def ack(world: Any, tag: str, **more: Any) -> bytes:
    return world.wire("ACK", to_tag=tag, **more)


def test_a_100_goes_out_after_200_ms(world: Any) -> None:
    """RFC 3261 §17.2.1: it "MUST generate a 100 (Trying) response unless it knows that the TU will generate a
    provisional or final response within 200 ms"."""
    machine = arrive(world)
    assert machine.state == "PROCEEDING"
    assert [name for name, _ in world.told("receiver")] == ["request_received"]
    world.clock.advance(100)
    assert world.times("100") == [0.2]
    # "the insertion of tags in the To header field of the response … is downgraded from MAY to SHOULD NOT".
    assert world.peer.got[0][1].get("To") == "<sip:ours@example.com>"
    machine.close()


@pytest.mark.parametrize("status", [180, 200, 486])
def test_no_100_when_the_user_answers_in_time(world: Any, status: int) -> None:
    """RFC 3261 §17.2.1: "in which case it MAY generate a 100": it does not."""
    machine = arrive(world)
    world.clock.advance(0.19)
    world.respond(status)
    world.clock.advance(0.2)
    assert world.responses() == [status]
    machine.close()


def test_the_latest_provisional_response_answers_a_retransmission(world: Any) -> None:
    """RFC 3261 §17.2.1: "the most recent provisional response that was received from the TU MUST be passed to
    the transport layer for retransmission"."""
    machine = arrive(world)
    invite = world.wire()
    world.clock.advance(0.1)
    world.say(invite)
    assert world.responses() == []
    world.clock.advance(0.2)
    world.say(invite)
    for status in (180, 183):
        world.respond(status)
        world.clock.advance(0)
        world.say(invite)
    world.clock.advance(1000)
    # Provisional responses "are not sent reliably by the transaction layer".
    assert world.responses() == [100, 100, 180, 180, 183, 183]
    assert len(world.transactions) == 1
    assert world.metrics.retransmissions_received == 4
    tags = {message.to_tag for _, message in world.peer.got if message.status > 100}
    assert tags == {machine.tag}
    machine.close()


FAILURE_TIMES = [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


@pytest.mark.parametrize("status", [302, 401, 486, 503, 603])
def test_timer_g_repeats_a_failure_until_timer_h(world: Any, status: int) -> None:
    """RFC 3261 §17.2.1: "When timer G fires, the response is passed to the transport layer once more … and
    timer G is set to fire in MIN(2*T1, T2) seconds"; Timer H is 64*T1."""
    machine = arrive(world)
    world.respond(status)
    assert (machine.state, machine.request) == ("COMPLETED", None)
    world.clock.advance(31.99)
    assert world.times(str(status)) == FAILURE_TIMES
    assert len({packet.data for packet in world.network.capture if packet.data.startswith(b"SIP")}) == 1
    assert world.told("server") == []
    world.clock.advance(0.01)
    # The server transaction "MUST indicate to the TU that a transaction failure has occurred".
    assert world.told("server") == [("server_transaction_failed", "TransactionTimeout")]
    assert machine.state == "TERMINATED"
    world.check_empty()


def test_a_retransmission_in_completed_gets_the_failure_again(world: Any) -> None:
    """RFC 3261 §17.2.1: "while in the "Completed" state, if a request retransmission is received, the server
    SHOULD pass the response to the transport for retransmission"; other final responses "MUST be
    discarded"."""
    machine = arrive(world)
    world.respond(486)
    world.clock.advance(0.1)
    world.say(world.wire())
    assert world.times("486") == [0.0, 0.1]
    sent = len(world.network.capture)
    for status in (180, 200, 600):
        machine.respond(parse(world.peer.got[0][1].render().replace(b" 486 ", b" %d " % status)))
    assert (len(world.network.capture), world.metrics.stray_events) == (sent, 3)
    world.clock.advance(0.4)
    # The copy in between moved Timer G neither way.
    assert world.times("486") == [0.0, 0.1, 0.5]


def test_the_ack_ends_the_repetition_and_timer_i_absorbs_more_of_it(world: Any) -> None:
    """RFC 3261 §17.2.1: "If an ACK is received while … in the "Completed" state, the server transaction MUST
    transition to the "Confirmed" state"; "timer I is set to fire in T4 seconds for unreliable transports"."""
    machine = arrive(world)
    world.respond(486)
    world.clock.advance(1.0)
    world.say(ack(world, machine.tag))
    assert machine.state == "CONFIRMED"
    assert world.told("server") == [("acknowledged", None)]
    world.clock.advance(4.9)
    # "The purpose of the "Confirmed" state is to absorb any additional ACK messages": nothing goes up or out.
    world.say(ack(world, machine.tag))
    world.say(world.wire())
    assert world.times("486") == [0.0, 0.5]
    assert machine.state == "CONFIRMED"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"
    world.check_empty()
    assert [name for name, _ in world.told("receiver")] == ["request_received"]


def test_over_a_reliable_transport_a_failure_goes_once(world: Any) -> None:
    """RFC 3261 §17.2.1: Timer G "is not set to fire for reliable transports"; Timer I is "zero seconds"."""
    stream = world.connect()
    stream.send(world.wire(transport="TCP"))
    world.clock.advance(0)
    (machine,) = world.transactions
    world.respond(486)
    world.clock.advance(31.9)
    assert world.responses(stream.got) == [486]
    stream.send(ack(world, machine.tag, transport="TCP"))
    world.clock.advance(0)
    assert machine.state == "TERMINATED"
    assert world.told("server") == [("acknowledged", None)]
    world.check_empty()


def test_timer_h_runs_over_a_reliable_transport_too(world: Any) -> None:
    """RFC 3261 §17.2.1: "timer H MUST be set to fire in 64*T1 seconds for all transports"."""
    stream = world.connect()
    stream.send(world.wire(transport="TCP"))
    world.clock.advance(0)
    world.respond(486)
    world.clock.advance(32.1)
    assert world.responses(stream.got) == [486]
    assert world.told("server") == [("server_transaction_failed", "TransactionTimeout")]


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_after_a_2xx_copies_of_the_invite_are_absorbed_until_timer_l(world: Any, transport: str) -> None:
    """RFC 6026 §7.1: "Accepted" exists to "absorb retransmissions of an accepted INVITE request"; "Timer L
    MUST be set to fire in 64*T1 for all transports"."""
    peer = world.peer if transport == "UDP" else world.connect()
    peer.send(world.wire(transport=transport))
    world.clock.advance(0)
    (machine,) = world.transactions
    began = world.clock.seconds()
    world.respond(200)
    assert (machine.state, machine.request) == ("ACCEPTED", None)
    for _ in range(3):
        world.clock.advance(5)
        peer.send(world.wire(transport=transport))
        world.clock.advance(0)
    # "it does not retransmit the 2xx": that is the user's.
    assert world.responses(peer.got) == [200]
    assert len(world.transactions) == 1
    machine.repeat()
    world.clock.advance(0)
    assert world.responses(peer.got) == [200, 200]
    world.clock.advance(began + 31.99 - world.clock.seconds())
    assert machine.state == "ACCEPTED"
    world.clock.advance(0.01)
    assert machine.state == "TERMINATED"
    assert world.told("server") == []
    world.check_empty()


def test_an_ack_with_the_branch_of_the_invite_goes_up_in_accepted(world: Any) -> None:
    """RFC 6026 §7.1: "ACKs received while in this state are passed directly to the TU and not absorbed"."""
    machine = arrive(world)
    world.respond(200)
    for branch in ("z9hG4bKpeer", "z9hG4bKpeer", "z9hG4bKanother"):
        world.say(ack(world, machine.tag, branch=branch))
    assert world.told("receiver")[1:] == [("ack_received", "ACK")] * 3
    assert machine.state == "ACCEPTED"


def test_a_late_answer_of_the_user_is_ignored(world: Any) -> None:
    """RFC 3261 §17.2.1: "Any other final responses … MUST be discarded": also after a 2xx (RFC 6026)."""
    machine = arrive(world)
    world.respond(200)
    world.clock.advance(0)
    answer = world.peer.got[0][1].render()
    for status in (b"180", b"202", b"486"):
        machine.respond(parse(answer.replace(b" 200 ", b" " + status + b" ")))
    world.clock.advance(1)
    assert world.responses() == [200]
    assert world.metrics.stray_events == 3


def test_an_ack_before_any_answer_is_ignored(world: Any) -> None:
    """RFC 3261 §17.2.1, figure 7: "Proceeding" has no row for an ACK."""
    machine = arrive(world)
    world.say(ack(world, "x"))
    assert (machine.state, world.metrics.stray_events) == ("PROCEEDING", 1)
    assert [name for name, _ in world.told("receiver")] == ["request_received"]
    machine.close()


@pytest.mark.accepts("D8")
@pytest.mark.parametrize("status", [180, 200, 486])
def test_an_answer_whose_connection_is_gone_opens_another(world: Any, status: int) -> None:
    """RFC 3261 §18.2.2: if the connection "is no longer open, the server SHOULD open a connection to the IP
    address in the "received" parameter …, using the port in the "sent-by" value"."""
    world.listen_for_streams()
    stream = world.connect()
    stream.send(world.wire(transport="TCP"))
    world.clock.advance(0)
    (machine,) = world.transactions
    world.network.kill(world.host)
    world.clock.advance(0.01)
    assert machine.state == "PROCEEDING"
    world.respond(status)
    world.clock.advance(0.1)
    assert world.responses(world.streams[0].got) == [status]
    if status == 200:
        # And so do the copies of the 2xx that the user sends (§13.3.1.4).
        world.network.kill(world.host)
        world.clock.advance(0.01)
        machine.repeat()
        world.clock.advance(0.1)
        assert world.responses(world.streams[1].got) == [200]
    machine.close()


@pytest.mark.accepts("D6")
def test_the_timing_of_the_access_point_is_used(make_world: Callable[..., Any]) -> None:
    """RFC 3261 §17.1.1.1: "Nearly all of the transaction timers described here scale with T1"."""
    world = make_world(timing=Timing(t1=1.0, t2=2.0, t4=3.0, trying=0.5))
    machine = arrive(world)
    world.clock.advance(1)
    assert world.times("100") == [0.5]
    world.respond(486)
    world.clock.advance(64)
    assert world.times("486")[:4] == [1.0, 2.0, 4.0, 6.0]
    assert world.events.last("server_transaction_failed").time == 65.0
    machine = arrive(world, branch="z9hG4bKsecond", call_id="c3")
    world.respond(486)
    world.say(ack(world, machine.tag, branch="z9hG4bKsecond", call_id="c3"))
    world.clock.advance(2.9)
    assert machine.state == "CONFIRMED"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"


@pytest.mark.parametrize("state", ["PROCEEDING", "COMPLETED", "CONFIRMED", "ACCEPTED"])
def test_closing_is_silent_in_every_state(world: Any, state: str) -> None:
    """A transaction whose owner goes sends nothing, tells nothing and leaves nothing."""
    machine = arrive(world)
    answer = {"COMPLETED": 486, "CONFIRMED": 486, "ACCEPTED": 200}.get(state)
    if answer is not None:
        world.respond(answer)
    if state == "CONFIRMED":
        world.say(ack(world, machine.tag))
    assert machine.state == state
    told, sent = len(world.events), len(world.network.capture)
    machine.close()
    machine.close()
    world.check_empty()
    world.clock.advance(100)
    assert (len(world.events), len(world.network.capture)) == (told, sent)


def test_what_a_finished_transaction_keeps(world: Any) -> None:
    """D-10: after its final response a transaction keeps key, flow and wire bytes, and no request, no user's
    Deferred; at the end it leaves the tables and all its timers."""
    machine = arrive(world)
    world.respond(486)
    assert machine.request is None
    assert world.dispatcher.unanswered == 0
    world.say(ack(world, machine.tag))
    assert (machine._wire, machine.user) == (None, None)
