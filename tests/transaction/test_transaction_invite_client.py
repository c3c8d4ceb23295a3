"""Figure 5 of RFC 3261 with the Accepted state of RFC 6026, walked timer by timer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sipactors.settings import Timing

pytestmark = pytest.mark.accepts("D1")

CALLING_TIMES = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]


def test_timer_a_doubles_until_timer_b_gives_up(world: Any) -> None:
    """RFC 3261 §17.1.1.2: "The value of 64*T1 is equal to the amount of time required to send seven
    requests"."""
    machine = world.start()
    world.clock.advance(31.9)
    assert (machine.state, world.told("client")) == ("CALLING", [])
    world.clock.advance(0.2)
    assert world.times("INVITE") == CALLING_TIMES
    assert world.told("client") == [("client_transaction_failed", "TransactionTimeout")]
    assert world.events.last().time == 32.0
    # "The client transaction MUST NOT generate an ACK."
    assert set(world.requests()) == {"INVITE"}
    assert machine.state == "TERMINATED"
    assert (world.metrics.timeouts, world.metrics.retransmissions_sent) == (1, 6)
    world.check_empty()


def test_retransmissions_are_the_same_bytes(world: Any) -> None:
    """RFC 3261 §17.1.1.2: to retransmit is to "take the message previously sent … and pass it … once
    more"."""
    world.start()
    world.clock.advance(8)
    assert len({packet.data for packet in world.network.capture}) == 1


def test_over_a_reliable_transport_nothing_is_sent_again(world: Any) -> None:
    """RFC 3261 §17.1.1.2: "If a reliable transport is being used, the client transaction SHOULD NOT start
    timer A"."""
    world.listen_for_streams()
    world.start(transport="TCP")
    world.clock.advance(31.99)
    assert world.requests(world.streams[0].got) == ["INVITE"]
    assert world.told("client") == []
    world.clock.advance(0.01)
    # "For any transport, the client transaction MUST start timer B".
    assert world.told("client") == [("client_transaction_failed", "TransactionTimeout")]


@pytest.mark.parametrize("status", [100, 101, 180, 183, 199])
def test_a_provisional_response_ends_the_retransmissions(world: Any, status: int) -> None:
    """RFC 3261 §17.1.1.2: "In the "Proceeding" state, the client transaction SHOULD NOT retransmit the
    request"."""
    machine = world.start()
    world.clock.advance(1.0)
    world.reply(status)
    assert machine.state == "PROCEEDING"
    world.clock.advance(100)
    assert world.times("INVITE") == [0.0, 0.5]
    # "the provisional response MUST be passed to the TU", and Timer B does not run any more.
    assert world.told("client") == [("response_received", status)]


def test_every_further_provisional_response_goes_up(world: Any) -> None:
    """RFC 3261 §17.1.1.2: "Any further provisional responses MUST be passed up to the TU while in …
    "Proceeding"."""
    world.start()
    world.clock.advance(0.1)
    for status in (100, 180, 180, 183):
        world.reply(status)
    assert [status for _, status in world.told("client")] == [100, 180, 180, 183]


@pytest.mark.accepts("D6")
def test_timer_c_cancels_what_rings_for_too_long(world: Any) -> None:
    """RFC 3261 §16.8: "If the client transaction has received a provisional response, the proxy MUST generate
    a CANCEL request matching that transaction"."""
    machine = world.start()
    world.clock.advance(0)
    world.reply(180)
    world.clock.advance(180)
    assert world.requests() == ["INVITE", "CANCEL"]
    cancel, invite = world.last_request("CANCEL"), world.last_request("INVITE")
    assert (cancel.get("Via"), cancel.uri_text) == (invite.get("Via"), invite.uri_text)
    world.reply(200, cancel)
    assert machine.state == "PROCEEDING"
    world.reply(487, invite)
    assert machine.state == "COMPLETED"
    assert world.requests()[-1] == "ACK"
    assert world.told("client") == [("response_received", 180), ("response_received", 487)]


@pytest.mark.accepts("D6")
def test_timer_c_ends_what_does_not_even_answer_its_cancel(world: Any) -> None:
    """RFC 3261 §16.6: "Timer C … MUST be larger than 3 minutes"; §16.7: 101 to 199 reset it, 100 does not."""
    world.start()
    world.clock.advance(0)
    world.reply(180)
    world.clock.advance(100)
    world.reply(100)
    world.clock.advance(79.9)
    world.reply(183)
    world.clock.advance(179.9)
    assert world.requests() == ["INVITE"]
    world.clock.advance(0.2)
    assert world.times("CANCEL") == [pytest.approx(359.9)]
    world.clock.advance(31.8)
    assert world.told("client")[-1] == ("response_received", 183)
    world.clock.advance(0.1)
    # §9.1: 64*T1 after the CANCEL, "the client SHOULD then consider the original transaction cancelled".
    assert world.told("client")[-1] == ("client_transaction_failed", "TransactionTimeout")
    world.check_empty()


def test_an_answer_that_crosses_the_cancel_of_timer_c_is_an_answer(world: Any) -> None:
    """RFC 3261 §9.1: a CANCEL has no effect on a request "to which a UAS has already given a final
    response"."""
    machine = world.start()
    world.clock.advance(0)
    world.reply(180)
    world.clock.advance(180)
    world.reply(200, world.last_request("INVITE"))
    assert machine.state == "ACCEPTED"
    assert world.told("client")[-1] == ("response_received", 200)


@pytest.mark.parametrize("first", [None, 180])
@pytest.mark.parametrize("status", [300, 401, 486, 503, 603, 699])
def test_a_failure_is_acknowledged_here(world: Any, first: int | None, status: int) -> None:
    """RFC 3261 §17.1.1.2: "the client transaction MUST generate an ACK request", in Calling and
    Proceeding."""
    machine = world.start()
    world.clock.advance(0)
    if first is not None:
        world.reply(first)
    world.reply(status)
    assert machine.state == "COMPLETED"
    assert world.requests() == ["INVITE", "ACK"]
    invite, ack = (message for _, message in world.peer.got)
    # §17.1.1.3: "The ACK MUST contain a single Via header field, and this MUST be equal to the top Via header
    # field of the original request", Call-ID, From and Request-URI of the request, To of the response.
    assert ack.get_all("Via") == invite.get_all("Via")
    assert (ack.call_id, ack.get("From"), ack.uri_text) == (
        invite.call_id,
        invite.get("From"),
        invite.uri_text,
    )
    assert ack.get("To") == "<sip:bob@example.com>;tag=b1"
    assert ack.get("CSeq") == "7 ACK"
    assert world.told("client")[-1] == ("response_received", status)


def test_route_and_nothing_else_is_taken_over_into_the_ack(world: Any) -> None:
    """RFC 3261 §17.1.1.3: "If the INVITE request … had Route header fields, those … MUST appear in the
    ACK"."""
    request = world.request(routes=["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"])
    flow = world.layer.flow_to("UDP", "192.0.2.2", 5060)
    request.add("Via", f"SIP/2.0/UDP {flow.sent_by};branch=z9hG4bKroute")
    world.dispatcher.send_request(request, flow, world.user(), "z9hG4bKroute")
    world.clock.advance(0)
    world.reply(404)
    ack = world.peer.got[-1][1]
    assert [str(route) for route in ack.routes] == ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]
    assert ack.body == b""


def test_timer_d_absorbs_repeated_failures(world: Any) -> None:
    """RFC 3261 §17.1.1.2: retransmissions of the final response "MUST cause the ACK to be re-passed to the
    transport layer …, but the newly received response MUST NOT be passed up to the TU"; Timer D is 32 s."""
    machine = world.start()
    world.clock.advance(0)
    world.reply(486)
    for _ in range(3):
        world.clock.advance(4)
        world.reply(486)
    assert world.requests() == ["INVITE"] + ["ACK"] * 4
    acks = [packet.data for packet in world.network.capture if packet.data.startswith(b"ACK")]
    assert len(set(acks)) == 1
    assert world.told("client") == [("response_received", 486)]
    world.clock.advance(19.9)
    assert machine.state == "COMPLETED"
    # Neither a provisional response nor a 2xx changes anything any more.
    world.reply(180)
    world.reply(200)
    assert (machine.state, world.metrics.stray_events) == ("COMPLETED", 2)
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"
    world.check_empty()
    # RFC 6026 §7.2: what matches no transaction is dropped.
    world.reply(486)
    assert world.metrics.stray_responses == 1
    assert len(world.requests()) == 5


def test_timer_d_is_zero_over_a_reliable_transport(world: Any) -> None:
    """RFC 3261 §17.1.1.2: Timer D has "a value of zero seconds for reliable transports"."""
    world.listen_for_streams()
    machine = world.start(transport="TCP")
    world.clock.advance(0.1)
    (stream,) = world.streams
    stream.send(world.answer(486))
    world.clock.advance(0)
    # "MUST generate an ACK request, even if the transport is reliable".
    assert world.requests(stream.got) == ["INVITE", "ACK"]
    assert machine.state == "TERMINATED"
    assert world.told("client") == [("response_received", 486)]
    world.check_empty()


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("first", [None, 183])
def test_every_2xx_goes_up_until_timer_m(world: Any, transport: str, first: int | None) -> None:
    """RFC 6026 §8.4: a 2xx in Calling or Proceeding leads to "Accepted", where every 2xx goes up; Timer M is
    64*T1 for all transports."""
    world.listen_for_streams()
    machine = world.start(transport=transport)
    world.clock.advance(0)
    peer = world.streams[0] if transport == "TCP" else world.peer
    for status, tag in ((first, "b1"), (200, "b1"), (200, "b1"), (202, "b2")):
        if status is not None:
            peer.send(world.answer(status, to_tag=tag))
            world.clock.advance(0)
    assert machine.state == "ACCEPTED"
    statuses = [status for _, status in world.told("client")]
    assert statuses == ([183] if first else []) + [200, 200, 202]
    # The ACK to a 2xx is not the transaction's: RFC 3261 §13.2.2.4.
    assert world.requests(peer.got) == ["INVITE"]
    # Failures and provisional responses do not go up any more.
    for status in (180, 487):
        peer.send(world.answer(status))
        world.clock.advance(0)
    assert world.metrics.stray_events == 2
    world.clock.advance(31.9)
    assert machine.state == "ACCEPTED"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"
    assert world.told("client")[-1][0] == "client_transaction_ended"
    world.check_empty()


@pytest.mark.accepts("D8")
@pytest.mark.parametrize("ringing", [False, True])
def test_a_connection_that_dies_fails_it_at_once(world: Any, ringing: bool) -> None:
    """RFC 3261 §17.1.4: "SHOULD inform the TU that a transport failure has occurred" (D-9: not after Timer
    B)."""
    world.listen_for_streams()
    machine = world.start(transport="TCP")
    world.clock.advance(0.1)
    if ringing:
        world.streams[0].send(world.answer(180))
        world.clock.advance(0)
    world.network.kill(world.host)
    world.clock.advance(0)
    assert world.told("client")[-1] == ("client_transaction_failed", "TransportFailure")
    assert machine.state == "TERMINATED"
    world.check_empty()


@pytest.mark.accepts("D8")
def test_an_icmp_error_fails_it_at_once(world: Any) -> None:
    """RFC 3261 §18.4: ICMP "host, network, port or protocol unreachable errors" inform the transport user."""
    flow = world.layer.flow_to("UDP", "192.0.2.2", 5999)
    request = world.request()
    request.add("Via", f"SIP/2.0/UDP {flow.sent_by};branch=z9hG4bKicmp")
    world.dispatcher.send_request(request, flow, world.user(), "z9hG4bKicmp")
    world.clock.advance(0.01)
    assert world.told("client") == [("client_transaction_failed", "ICMPFailure")]
    world.check_empty()


@pytest.mark.accepts("D8")
def test_a_connection_that_dies_after_the_answer_is_nobodys_loss(world: Any) -> None:
    """RFC 6026 §8.4: in "Accepted" no transport error ends the transaction: Timer M does."""
    world.listen_for_streams()
    machine = world.start(transport="TCP")
    world.clock.advance(0.1)
    world.streams[0].send(world.answer(200))
    world.clock.advance(0)
    world.network.kill(world.host)
    world.clock.advance(1)
    assert machine.state == "ACCEPTED"
    assert world.told("client") == [("response_received", 200)]


@pytest.mark.accepts("D6")
def test_the_timing_of_the_access_point_is_used(make_world: Callable[..., Any]) -> None:
    """RFC 3261 §17.1.1.2: "T1 MAY be chosen larger, and this is RECOMMENDED if it is known … that the RTT is
    larger"."""
    world = make_world(timing=Timing(t1=1.0, t2=2.0, t4=3.0, timer_d=40.0, proceeding=60.0))
    world.start()
    world.clock.advance(64)
    assert world.times("INVITE") == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0]
    assert world.events.last("client_transaction_failed").time == 64.0
    machine = world.start(branch="z9hG4bKsecond")
    world.clock.advance(0)
    world.reply(486)
    world.clock.advance(39.9)
    assert machine.state == "COMPLETED"
    world.clock.advance(0.1)
    assert machine.state == "TERMINATED"
    world.start(branch="z9hG4bKthird")
    world.clock.advance(0)
    world.reply(180)
    world.clock.advance(60)
    assert world.requests()[-1] == "CANCEL"


@pytest.mark.parametrize("state", ["CALLING", "PROCEEDING", "COMPLETED", "ACCEPTED"])
def test_closing_is_silent_in_every_state(world: Any, state: str) -> None:
    """A transaction whose owner goes sends nothing, tells nothing and leaves nothing."""
    machine = world.start()
    world.clock.advance(0)
    answer = {"PROCEEDING": 180, "COMPLETED": 486, "ACCEPTED": 200}.get(state)
    if answer is not None:
        world.reply(answer)
    assert machine.state == state
    told, sent = len(world.events), len(world.network.capture)
    machine.close()
    machine.close()
    world.check_empty()
    world.clock.advance(100)
    assert (len(world.events), len(world.network.capture)) == (told, sent)
