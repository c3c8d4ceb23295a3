"""How a CANCEL finds what it cancels, and what it gets for it (RFC 3261 §9.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sipactors.settings import Limits


def answer_487(world: Any) -> None:
    """Let the user do what a UAS does when it is canceled."""
    real = world.respond

    def on_request(transaction: Any) -> None:
        canceled = transaction.user.canceled

        def cancel(request: Any) -> None:
            canceled(request)
            real(487, transaction)

        transaction.user.canceled = cancel

    world.on_request = on_request


def test_a_cancel_is_answered_and_told(world: Any) -> None:
    """RFC 3261 §9.2: "The UAS MUST … answer the CANCEL with a 200", and "the To tag of the response to the
    CANCEL and the To tag in the response to the original request SHOULD be the same"."""
    answer_487(world)
    world.say(world.wire())
    world.say(world.wire("CANCEL"))
    assert world.responses() == [200, 487]
    (_, ok), (_, terminated) = world.peer.got
    assert ok.cseq.method == "CANCEL"
    assert ok.to_tag == terminated.to_tag is not None
    assert ok.get("Via") == terminated.get("Via")
    assert world.told("server") == [("canceled", "CANCEL")]


def test_a_repeated_cancel_gets_the_same_answer_and_is_told_once(world: Any) -> None:
    """RFC 3261 §17.2.2: the CANCEL has a server transaction of its own, which answers copies."""
    answer_487(world)
    world.say(world.wire())
    for _ in range(3):
        world.say(world.wire("CANCEL"))
        world.clock.advance(0.1)
    cancels = [message for _, message in world.peer.got if message.cseq.method == "CANCEL"]
    assert [message.render() for message in cancels] == [cancels[0].render()] * 3
    assert world.told("server") == [("canceled", "CANCEL")]


def test_a_cancel_after_the_final_response_changes_nothing(world: Any) -> None:
    """RFC 3261 §9.2: "If the UAS has issued a final response for the original request, the CANCEL request has
    no effect on the processing of the original request"; it is answered 200 all the same, with the same
    tag."""
    for status in (200, 486):
        call_id = f"after-{status}"
        branch = f"z9hG4bK{status}"
        world.say(world.wire(call_id=call_id, branch=branch))
        world.respond(status)
        world.clock.advance(0)
        tag = world.peer.got[-1][1].to_tag
        world.say(world.wire("CANCEL", call_id=call_id, branch=branch))
        cancel_answer = world.peer.got[-1][1]
        assert (cancel_answer.status, cancel_answer.cseq.method, cancel_answer.to_tag) == (200, "CANCEL", tag)
    assert world.told("server") == []


def test_a_cancel_for_nothing_is_481(world: Any) -> None:
    """RFC 3261 §9.2: "If the UAS did not find a matching transaction for the CANCEL …, it SHOULD respond to
    the CANCEL with a 481"."""
    world.say(world.wire())
    for more in (
        {"branch": "z9hG4bKother", "call_id": "other"},
        {"branch": "z9hG4bKother"},
        {"sent_by": "192.0.2.9:5060", "call_id": "other"},
        {"sent_by": "192.0.2.9:5060", "cseq": 2},
        {"sent_by": "192.0.2.9:5060", "from_tag": "other"},
    ):
        world.say(world.wire("CANCEL", **more))
        assert world.responses()[-1:] == [481], more
    assert world.told("server") == []
    assert len(world.dispatcher.servers) == 1
    world.transactions[0].close()


def test_the_481_to_copies_has_one_to_tag(world: Any) -> None:
    """RFC 3261 §8.2.7: "To header tags MUST be generated for responses in a stateless manner - in a manner
    that will generate the same tag for the same request consistently"."""
    for _ in range(2):
        world.say(world.wire("CANCEL"))
    assert len({message.to_tag for _, message in world.peer.got}) == 1
    world.say(world.wire("CANCEL", branch="z9hG4bKother"))
    assert len({message.to_tag for _, message in world.peer.got}) == 2


def test_d3_a_cancel_matches_although_a_nat_changed_the_sent_by(world: Any) -> None:
    """D-3: a NAT changed the sent-by between INVITE and CANCEL; branch, Call-ID, From tag and CSeq number
    still say what is meant, and so they do for the ACK to the 487."""
    answer_487(world)
    world.say(world.wire())
    changed = {"sent_by": "192.0.2.2:40000"}
    world.say(world.wire("CANCEL", more="", **changed))
    assert world.told("server") == [("canceled", "CANCEL")]
    assert 487 in world.responses()
    (machine,) = world.transactions
    assert machine.state == "COMPLETED"
    world.say(world.wire("ACK", to_tag=machine.tag, **changed))
    assert machine.state == "CONFIRMED"
    assert world.told("server")[-1] == ("acknowledged", None)


def test_a_cancel_without_the_magic_cookie_matches_as_rfc_2543_has_it(world: Any) -> None:
    """RFC 3261 §17.2.3: without the cookie an ACK or CANCEL matches by Request-URI, tags, Call-ID, CSeq
    number and top Via."""
    answer_487(world)
    for branch in (None, "1", "z9hG4bK"):
        call_id = f"2543-{branch}"
        world.say(world.wire(branch=branch, call_id=call_id))
        world.say(world.wire("CANCEL", branch=branch, call_id=call_id, cseq=2))
        assert world.responses()[-1] == 481
        world.say(world.wire("CANCEL", branch=branch, call_id=call_id))
        assert world.responses()[-2:] == [200, 487]
        world.say(world.wire("ACK", branch=branch, call_id=call_id, to_tag=world.transactions[-1].tag))
        assert world.transactions[-1].state == "CONFIRMED"
    assert len(world.transactions) == 3


def test_a_cancel_of_another_request_is_answered_and_has_no_effect(world: Any) -> None:
    """RFC 3261 §9.2: "If the request was a non-INVITE …, a CANCEL request has no effect on the
    processing"."""
    world.say(world.wire("MESSAGE"))
    world.say(world.wire("CANCEL"))
    assert world.responses() == [200]
    assert world.told("server") == []
    world.respond(202)
    world.clock.advance(0)
    assert world.responses() == [200, 202]


def test_a_cancel_of_a_re_invite(world: Any) -> None:
    """RFC 3261 §9.2: a CANCEL for a request within a dialog has that request's To tag, and so has its
    answer."""
    answer_487(world)
    world.say(world.wire(to_tag="dialog"))
    world.say(world.wire("CANCEL", to_tag="dialog"))
    assert [message.to_tag for _, message in world.peer.got] == ["dialog", "dialog"]
    assert world.responses() == [200, 487]


def test_over_tcp_a_cancel_leaves_at_once(world: Any) -> None:
    """RFC 3261 §17.2.2: Timer J is zero for reliable transports."""
    answer_487(world)
    stream = world.connect()
    stream.send(world.wire(transport="TCP"))
    stream.send(world.wire("CANCEL", transport="TCP"))
    world.clock.advance(0)
    assert world.responses(stream.got) == [200, 487]
    assert len(world.dispatcher.servers) == 1


@pytest.mark.accepts("D7")
def test_cancels_cannot_fill_the_table(make_world: Callable[..., Any]) -> None:
    """Limits are checked before anything is allocated, also for what comes with ever new sent-bys."""
    world = make_world(limits=Limits(max_lingering_transactions=5))
    world.say(world.wire())
    for number in range(10):
        world.say(world.wire("CANCEL", sent_by=f"192.0.2.2:{6000 + number}"))
    assert len(world.dispatcher.servers) == 5
    assert world.metrics.overload_refused == 6
    world.transactions[0].close()
