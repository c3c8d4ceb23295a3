"""What belongs to which transaction, and what belongs to none (RFC 3261 §17.1.3, §17.2.3, §8.2.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sipactors.errors import MalformedMessage
from sipactors.message import Request
from sipactors.settings import Limits


def test_a_request_matches_by_branch_sent_by_and_method(world: Any) -> None:
    """RFC 3261 §17.2.3: the branch, the sent-by and the method are the same: it is the same transaction."""
    world.say(world.wire("OPTIONS"))
    world.say(world.wire("OPTIONS"))
    world.say(world.wire("OPTIONS", sent_by="192.0.2.2:5070", call_id="c3"))
    world.say(world.wire("MESSAGE", call_id="c4"))
    world.say(world.wire("OPTIONS", branch="z9hG4bKother", call_id="c5"))
    assert [machine.request.call_id for machine in world.transactions] == ["c2@peer", "c3", "c4", "c5"]
    assert world.metrics.retransmissions_received == 1
    for machine in world.transactions:
        machine.close()


@pytest.mark.parametrize("branch", [None, "7", "z9hG4bK"])
def test_without_the_magic_cookie_a_request_matches_as_rfc_2543_has_it(world: Any, branch: Any) -> None:
    """RFC 3261 §17.2.3: the Request-URI, To tag, From tag, Call-ID, CSeq and top Via header field are the
    same."""
    world.say(world.wire(branch=branch))
    world.say(world.wire(branch=branch))
    assert len(world.transactions) == 1
    for more in (
        {"uri": "sip:other@192.0.2.1"},
        {"from_tag": "other"},
        {"call_id": "other"},
        {"cseq": 2},
        {"sent_by": "192.0.2.2:5070"},
    ):
        refused = world.metrics.merged_refused
        before = len(world.transactions)
        world.say(world.wire(branch=branch, **more))
        # The same Call-ID, From tag and CSeq by another way is a merged request, whatever its Via.
        merged = "uri" in more or "sent_by" in more
        assert world.metrics.merged_refused == refused + merged, more
        assert len(world.transactions) == before + (not merged), more
    assert world.metrics.retransmissions_received == 1
    for machine in world.transactions:
        machine.close()


@pytest.mark.parametrize("name", ["inv2543", "badbranch"])
def test_the_old_messages_of_rfc_4475_are_one_transaction_each(
    world: Any, corpus: dict[str, bytes], name: str
) -> None:
    """RFC 4475 §3.4.1 and §3.2.1: a branch that is missing, or is nothing but the cookie, is matched by the
    rules of RFC 2543."""
    for _ in range(2):
        world.say(corpus[name])
    assert len(world.transactions) == 1
    assert world.metrics.retransmissions_received == 1
    world.transactions[0].close()


def test_a_merged_request_is_482(world: Any) -> None:
    """RFC 3261 §8.2.2.2: "If the request has no tag in the To header field", but From tag, Call-ID and CSeq
    "exactly match those associated with an ongoing transaction", it is refused with 482 (Loop Detected)."""
    for method in ("INVITE", "OPTIONS"):
        world.say(world.wire(method))
        world.say(world.wire(method, branch="z9hG4bKfork"))
        world.say(world.wire(method, branch="z9hG4bKfork"))
        refusals = [message for _, message in world.peer.got if message.status == 482]
        assert len(refusals) == 2
        assert refusals[0].to_tag == refusals[1].to_tag
        world.peer.got.clear()
    assert len(world.transactions) == 2
    # Within a dialog, or with another CSeq number, it is another request.
    world.say(world.wire(branch="z9hG4bKin", to_tag="dialog"))
    world.say(world.wire(branch="z9hG4bKnext", cseq=2))
    assert len(world.transactions) == 4
    assert world.metrics.merged_refused == 4
    for machine in world.transactions:
        machine.close()


def test_what_has_ended_merges_with_nothing(world: Any) -> None:
    """RFC 3261 §8.2.2.2 speaks of "an ongoing transaction" only."""
    world.say(world.wire("OPTIONS"))
    world.respond(200)
    world.clock.advance(32)
    world.say(world.wire("OPTIONS", branch="z9hG4bKagain"))
    assert len(world.transactions) == 2
    world.transactions[1].close()


def test_a_stray_ack_goes_up_and_is_never_answered(world: Any) -> None:
    """RFC 3261 §17.1: there is no transaction for an ACK to a 2xx; the floor above knows what to do with
    it."""
    world.say(world.wire("ACK", to_tag="x"))
    assert world.told("receiver") == [("ack_received", "ACK")]
    world.clock.advance(1)
    assert world.peer.got == []
    world.check_empty()


class TestResponses:
    """RFC 3261 §17.1.3: by the branch of the top Via, and the method of CSeq."""

    def test_a_response_of_another_transaction_is_dropped(self, world: Any) -> None:
        """RFC 6026 §7.2: a response that matches no client transaction is dropped, also a 2xx to INVITE."""
        machine = world.start()
        world.clock.advance(0)
        invite = world.last_request()
        via = invite.get("Via")
        for more in (
            {"via": via.replace("z9hG4bKours", "z9hG4bKtheirs")},
            {"via": via.replace(";branch=z9hG4bKours", "")},
            {"cseq": "7 OPTIONS"},
            {"cseq": "7 CANCEL"},
        ):
            world.reply(200, invite, **more)
        assert (machine.state, world.told("client")) == ("CALLING", [])
        assert world.metrics.stray_responses == 4
        machine.close()

    def test_a_response_that_is_not_for_us_is_dropped(self, world: Any) -> None:
        """RFC 3261 §18.1.2: if sent-by is not a value that the client transport inserts, "the response MUST
        be silently discarded"."""
        machine = world.start()
        world.clock.advance(0)
        for sent_by in ("192.0.2.9:5060", "192.0.2.1:5070", "elsewhere.example.com"):
            world.reply(200, via=f"SIP/2.0/UDP {sent_by};branch=z9hG4bKours")
        assert (machine.state, world.metrics.foreign_responses) == ("CALLING", 3)
        machine.close()

    @pytest.mark.parametrize("separator", ["\r\nVia: ", ", "])
    def test_a_response_with_a_second_via_is_dropped(self, world: Any, separator: str) -> None:
        """RFC 3261 §8.1.3.3: "If more than one Via header field value is present in a response, the UAC
        SHOULD discard the message": the transaction goes on, and takes a good one later."""
        machine = world.start()
        world.clock.advance(0)
        via = world.last_request().get("Via")
        world.reply(200, via=f"{via}{separator}SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx")
        assert (machine.state, world.metrics.stray_responses) == ("CALLING", 1)
        world.reply(200)
        assert machine.state == "ACCEPTED"

    def test_a_proxys_response_has_as_many_vias_as_its_request(self, world: Any) -> None:
        """RFC 3261 §16.7: what a proxy sent on had the Via of its own client below its own."""
        flow = world.layer.flow_to("UDP", "192.0.2.2", 5060)
        request = world.request()
        request.add("Via", f"SIP/2.0/UDP {flow.sent_by};branch=z9hG4bKproxy")
        request.add("Via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKclient")
        machine = world.dispatcher.send_request(request, flow, world.user(), "z9hG4bKproxy")
        world.clock.advance(0)
        world.reply(200, via="\r\nVia: ".join(request.get_all("Via")))
        assert machine.state == "ACCEPTED"

    @pytest.mark.parametrize(
        ("wrong", "right"),
        [
            (b"Call-ID: c1@ours\r\n", b""),
            (b"CSeq: 7 INVITE", b"CSeq: seven INVITE"),
            (b"CSeq: 7 INVITE", b"CSeq: 4294967297 INVITE"),
            (b"To: <sip:bob@example.com>", b'To: "<sip:bob@example.com>'),
            (b"From: <sip:alice", b"From: <<sip:alice"),
        ],
    )
    def test_a_malformed_response_is_dropped(self, world: Any, wrong: bytes, right: bytes) -> None:
        """RFC 3261 §18.3 lets a client discard what it cannot read: the transaction waits for a better
        one."""
        machine = world.start()
        world.clock.advance(0)
        good = world.answer(486)
        assert wrong in good
        world.say(good.replace(wrong, right))
        assert (machine.state, world.told("client")) == ("CALLING", [])
        assert world.metrics.malformed == 1
        world.say(good)
        assert machine.state == "COMPLETED"


class TestMalformed:
    """Strangers' requests that break the grammar get an answer as far as one can be sent."""

    @pytest.mark.parametrize(
        ("wrong", "right", "status"),
        [
            (b" SIP/2.0\r\n", b" SIP/7.0\r\n", 505),
            (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE", 400),
            (b"CSeq: 1 OPTIONS", b"CSeq: 36893488147419103232 OPTIONS", 400),
            (b"CSeq: 1 OPTIONS\r\n", b"", 400),
            (b"Call-ID: c2@peer\r\n", b"", 400),
            (b"From: <sip:peer@example.com>;tag=p1\r\n", b"", 400),
            (b"To: <sip:ours@example.com>", b'To: "Mr. J. User <sip:ours@example.com>', 400),
            (b"Max-Forwards: 70", b"Max-Forwards: 300", 400),
            (b"Max-Forwards: 70", b"Max-Forwards: seventy", 400),
            (b"Content-Length: 0", b"Content-Length: 99", 400),
            (b"Content-Length: 0", b"Content-Length: -1", 400),
            (b"Call-ID: c2@peer\r\n", b"Call-ID: c2@peer\r\nCall-ID: c3@peer\r\n", 400),
            (b"sip:ours@192.0.2.1 ", b"sip:ours@192.0.2.1?Subject=x ", 400),
        ],
    )
    def test_the_answer_says_what_it_is(self, world: Any, wrong: bytes, right: bytes, status: int) -> None:
        """RFC 3261 §21.4.1, §21.5.6: 400, 505 and the like go where the Via leads; nothing is kept of it."""
        good = world.wire("OPTIONS")
        assert wrong in good
        world.say(good.replace(wrong, right))
        assert world.responses() == [status]
        assert world.transactions == []
        assert world.metrics.malformed == 1
        world.check_empty()

    def test_one_without_a_via_is_dropped(self, world: Any) -> None:
        """RFC 3261 §18.2.2: the Via tells where an answer goes: without it there is nobody to tell."""
        world.say(
            world.wire("OPTIONS").replace(b"Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKpeer\r\n", b"")
        )
        assert (world.responses(), world.metrics.malformed) == ([], 1)

    @pytest.mark.parametrize(
        "via", [b"Via: SIP/2.0/UDP", b"Via: ;;;", b'Via: SIP/2.0/UDP 192.0.2.2;x="', b"Via: "]
    )
    def test_one_whose_via_does_not_read(self, world: Any, via: bytes) -> None:
        """RFC 4475 §3.1.2.1: a 400 even so; it goes back by the way the request came."""
        world.say(world.wire("OPTIONS").replace(b"Via: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKpeer", via))
        assert world.responses() in ([400], [])
        assert world.metrics.malformed == 1

    @pytest.mark.parametrize("change", [(b" SIP/2.0\r\n", b" SIP/7.0\r\n"), (b"CSeq: 1 ACK", b"CSeq: 1 BYE")])
    def test_an_ack_is_never_answered(self, world: Any, change: tuple[bytes, bytes]) -> None:
        """RFC 3261 §17.1.1.3: nobody waits for the answer to an ACK."""
        world.say(world.wire("ACK").replace(*change))
        world.clock.advance(1)
        assert (world.responses(), world.metrics.malformed) == ([], 1)

    def test_what_the_floor_above_cannot_read_has_its_status(self, world: Any) -> None:
        """RFC 3261 §8.2: a header that only the core reads is refused by the transaction that is there
        already."""

        def refuse(transaction: Any) -> None:
            raise MalformedMessage(413, "too much")

        world.on_request = refuse
        for _ in range(2):
            world.say(world.wire("OPTIONS"))
        assert world.responses() == [413, 413]
        assert world.peer.got[0][1].to_tag == world.peer.got[1][1].to_tag is not None
        assert world.metrics.malformed == 1

    def test_a_fault_of_ours_is_500_and_counted(self, world: Any) -> None:
        """RFC 3261 §21.5.1: "The server encountered an unexpected condition that prevented it from fulfilling
        the request"; the next message is read as if nothing had happened."""

        def fail(transaction: Any) -> None:
            raise ZeroDivisionError

        world.on_request = fail
        world.say(world.wire("OPTIONS"))
        assert world.responses() == [500]
        assert world.metrics.faults == 1
        world.faults_expected = 1
        world.on_request = None
        world.say(world.wire("OPTIONS", branch="z9hG4bKnext", call_id="next"))
        world.respond(200)
        world.clock.advance(0)
        assert world.responses() == [500, 200]


@pytest.mark.accepts("D7")
class TestLimits:
    """What a stranger may make us keep is bounded, and refused with 503 and Retry-After (RFC 3261
    §21.5.4)."""

    def test_unanswered_requests_are_capped(self, make_world: Callable[..., Any]) -> None:
        """RFC 3261 §21.5.4: "The server MAY indicate when the client should retry … in a Retry-After header
        field"."""
        world = make_world(limits=Limits(max_transactions=3, retry_after=7))
        for number in range(5):
            world.say(
                world.wire(
                    "INVITE" if number % 2 else "OPTIONS", branch=f"z9hG4bK{number}", call_id=f"c{number}"
                )
            )
        assert len(world.transactions) == 3
        assert world.responses() == [503, 503]
        assert {message.get("Retry-After") for _, message in world.peer.got} == {"7"}
        assert world.metrics.overload_refused == 2
        # A copy of one that is taken is still absorbed, and a CANCEL is still served.
        world.say(world.wire("OPTIONS", branch="z9hG4bK0", call_id="c0"))
        assert world.responses() == [503, 503]
        # When one is answered there is room for another.
        world.respond(200, world.transactions[0])
        world.say(world.wire("OPTIONS", branch="z9hG4bK9", call_id="c9"))
        assert len(world.transactions) == 4
        for machine in world.transactions:
            machine.close()

    def test_all_server_transactions_are_capped(self, make_world: Callable[..., Any]) -> None:
        """Those that only absorb copies count too: a flood of answered requests is bounded as well."""
        world = make_world(limits=Limits(max_lingering_transactions=3))
        world.on_request = lambda machine: world.respond(200, machine)
        for number in range(5):
            world.say(world.wire("OPTIONS", branch=f"z9hG4bK{number}", call_id=f"c{number}"))
        assert sorted(world.responses()) == [200, 200, 200, 503, 503]
        world.clock.advance(32)
        world.say(world.wire("OPTIONS", branch="z9hG4bK9", call_id="c9"))
        assert world.responses()[-1] == 200

    def test_a_refusal_keeps_nothing_and_says_the_same_to_copies(
        self, make_world: Callable[..., Any]
    ) -> None:
        """RFC 3261 §8.2.7: a stateless UAS makes the same To tag for every copy."""
        world = make_world(limits=Limits(max_transactions=0))
        for _ in range(2):
            world.say(world.wire())
        world.say(world.wire("ACK", to_tag=world.peer.got[0][1].to_tag))
        world.clock.advance(1)
        assert world.responses() == [503, 503]
        assert len({message.to_tag for _, message in world.peer.got}) == 1
        world.check_empty()


def test_closing_ends_every_transaction(world: Any) -> None:
    """A stack that stops leaves nothing behind, and says nothing more."""
    world.start()
    world.start("OPTIONS", branch="z9hG4bKsecond")
    for method in ("INVITE", "OPTIONS", "MESSAGE"):
        world.say(world.wire(method))
    world.respond(200)
    world.dispatcher.close()
    world.check_empty()


def test_stray_events_are_traced(world: Any) -> None:
    """A stray event is normal: ignored and traced, never an exception."""
    machine = world.start()
    machine.feed("TIMER_D")
    assert world.notes[-1] == "0.000 InviteClient: TIMER_D ignored in CALLING"
    world.say(b"OPTIONS sip:x SIP/2.0\r\n\r\n")
    assert "malformed" in world.notes[-1]
    machine.close()


def test_responses_follow_the_via_over_udp(world: Any) -> None:
    """RFC 3261 §18.2.2: without rport to the port of sent-by; RFC 3581 §4: with rport back to the source
    port."""
    world.say(world.wire("OPTIONS", sent_by="192.0.2.2:5090", call_id="c3"))
    world.respond(200)
    world.say(world.wire("OPTIONS", sent_by="host.example.com;rport", branch="z9hG4bKr"))
    world.respond(200)
    world.clock.advance(0)
    answers = [packet for packet in world.network.capture if packet.data.startswith(b"SIP/2.0 200")]
    assert [packet.destination for packet in answers] == [("192.0.2.2", 5090), ("192.0.2.2", 5060)]
    assert b"received=192.0.2.2" in answers[1].data
    assert b"rport=5060" in answers[1].data


def test_requests_are_what_the_user_gets(world: Any) -> None:
    """The floor above gets the parsed message itself, once."""
    world.say(world.wire("OPTIONS", more="X-Test: 1\r\n"))
    (machine,) = world.transactions
    assert isinstance(machine.request, Request)
    assert machine.request.get("X-Test") == "1"
    machine.close()
