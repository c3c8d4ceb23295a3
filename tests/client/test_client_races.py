"""The races of the field (D-1 to D-12), each forced on two real agents by holding back what crosses."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from sipactors.client import (
    ClientTransaction,
    Connection,
    Dialog,
    InviteUsage,
    MessageElements,
    ResponseElements,
    ServerTransaction,
)
from sipactors.interfaces import IConnectionObserver
from sipactors.message import Request, parse
from sipactors.testing import Clock, Network
from sipactors.testing.agents import Phone, ladder, offer, ok
from sipactors.transaction.client import NonInviteClient
from sipactors.transaction.invite_client import InviteClient
from sipactors.transaction.invite_server import InviteServer
from sipactors.transaction.server import NonInviteServer


class Pair:
    """Alice and Bob on one network."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.alice = Phone(self.network, "alice", "10.0.0.1")
        self.bob = Phone(self.network, "bob", "10.0.0.2", on_call="ring")

    def call(self, to: str | None = None, **options: Any) -> tuple[InviteUsage, ClientTransaction]:
        """Alice calls Bob, whose phone has rung when this returns."""
        if "context" not in options:
            options["from_"] = self.alice.uri
        usage = InviteUsage.outgoing(self.alice.connection, to or self.bob.uri, **options)
        transaction = usage.invite(offer())
        self.clock.advance(0.1)
        return usage, transaction

    def answered(self, **options: Any) -> tuple[InviteUsage, ClientTransaction]:
        """Alice and Bob talk."""
        usage, transaction = self.call(**options)
        self.bob.accept()
        self.clock.advance(0.1)
        assert usage.dialog.state == self.bob.calls[-1].dialog.state == "CONFIRMED"
        return usage, transaction

    def ladder(self) -> list[str]:
        return ladder(self.network)

    def seen(self, phone: Phone, name: str) -> list[Any]:
        return [event.args for event in phone.recorder.of(name, phone.name)]

    def sent(self, phone: Phone, method: str) -> list[Request]:
        """Requests of one method that a phone sent."""
        return [
            parse(packet.data)  # type: ignore[misc]
            for packet in self.network.capture
            if packet.source[0] == phone.address and packet.data.startswith(method.encode() + b" ")
        ]

    def check_gone(self, seconds: float = 100.0) -> None:
        """Neither side keeps anything."""
        self.clock.advance(seconds)
        assert self.alice.left_behind() == self.bob.left_behind() == {}


@pytest.fixture
def pair() -> Pair:
    return Pair()


class TestCancelAndAnswer:
    """D-1: CANCEL crossing the 200 ends in ACK and BYE, never in a hung call."""

    @pytest.mark.accepts("D3")
    def test_d1_the_200_is_on_its_way_when_alice_cancels(self, pair: Pair) -> None:
        """RFC 3261 §15: "the caller's UA … MAY send a BYE"; §9.1: the CANCEL has no effect on what is
        answered."""
        usage, invite = pair.call()
        answer = pair.network.hold("SIP/2.0 200")
        pair.bob.accept()
        pair.clock.advance(0.05)
        cancel = invite.cancel()
        pair.clock.advance(0.05)
        answer.release()
        pair.clock.advance(0.5)
        assert cancel.response is not None
        assert cancel.response.status == 200
        assert len(pair.sent(pair.alice, "ACK")) == len(pair.sent(pair.alice, "BYE")) == 1
        assert pair.seen(pair.bob, "invite_canceled") == []
        assert usage.dialog.state == "TERMINATED"
        pair.check_gone()

    @pytest.mark.accepts("D3")
    def test_d1_the_cancel_is_on_its_way_when_bob_answers(self, pair: Pair) -> None:
        """RFC 3261 §9.2: "If the UAS has issued a final response …, the CANCEL request has no effect"."""
        usage, invite = pair.call()
        cancel = pair.network.hold("CANCEL ")
        invite.cancel()
        pair.clock.advance(0.05)
        pair.bob.accept()
        pair.clock.advance(0.05)
        cancel.release()
        pair.clock.advance(0.5)
        assert len(pair.sent(pair.alice, "BYE")) == 1
        assert pair.bob.calls[0].dialog.state == usage.dialog.state == "TERMINATED"
        pair.check_gone()

    @pytest.mark.accepts("D3")
    def test_d1_canceled_before_any_answer_the_200_comes_at_once(self, pair: Pair) -> None:
        """RFC 3261 §9.1: before a provisional response nothing is sent; what then comes is ACKed and
        ended."""
        pair.bob.on_call = lambda transaction: (InviteUsage.incoming(transaction), transaction.respond(ok()))
        held = pair.network.hold("INVITE ")
        _, invite = pair.call()
        cancel = invite.cancel()
        held.release()
        pair.clock.advance(0.5)
        assert pair.sent(pair.alice, "CANCEL") == []
        assert len(pair.sent(pair.alice, "ACK")) == len(pair.sent(pair.alice, "BYE")) == 1
        assert [args[1] for args in pair.seen(pair.alice, "transaction_failed")] == [cancel]
        pair.check_gone()

    def test_d1_the_application_may_keep_the_call(self, pair: Pair) -> None:
        """D-1: `bye_after_cancel` off: the call that was answered after all goes on."""
        usage, invite = pair.call()
        usage.bye_after_cancel = False
        answer = pair.network.hold("SIP/2.0 200")
        pair.bob.accept()
        invite.cancel()
        pair.clock.advance(0.05)
        answer.release()
        pair.clock.advance(0.5)
        assert usage.dialog.state == "CONFIRMED"
        usage.bye()
        pair.check_gone()

    def test_closing_the_connection_ends_the_cancel_too(self, pair: Pair) -> None:
        """A14: close sends nothing more and tells nothing more; whoever waits for the CANCEL's outcome has
        it."""
        for answered in (False, True):
            _, invite = pair.call()
            held = pair.network.hold("SIP/2.0 200")
            cancel = invite.cancel()
            outcome: list[Any] = []
            cancel.final_response().addErrback(
                lambda failure, seen=outcome: seen.append(failure.type.__name__)
            )
            pair.clock.advance(0.01 if answered else 0)
            heard, sent = pair.alice.heard(), len(pair.sent(pair.alice, "CANCEL"))
            pair.alice.connection.close()
            assert outcome == ["ResourceNotAvailable"]
            held.discard()
            held.end()
            pair.clock.advance(40)
            assert pair.alice.heard() == heard
            assert len(pair.sent(pair.alice, "CANCEL")) == sent
            pair.alice.connection = Connection(pair.alice.client, "lan", pair.alice.observer)
        pair.check_gone()

    def test_a_plain_cancel(self, pair: Pair) -> None:
        """RFC 3261 §9.2: 200 to the CANCEL, 487 to the INVITE, and the ACK to that."""
        usage, invite = pair.call()
        invite.cancel()
        pair.clock.advance(0.5)
        assert pair.ladder()[2:] == [
            "alice -> bob CANCEL",
            "bob -> alice 200 CANCEL",
            "bob -> alice 487 INVITE",
            "alice -> bob ACK",
        ]
        assert len(pair.seen(pair.bob, "invite_canceled")) == 1
        assert (invite.response.status, usage.dialog.state) == (487, "TERMINATED")  # type: ignore[union-attr]
        pair.check_gone()


class TestQuickCancel:
    """D-2: the CANCEL arrives before the application has seen the INVITE; it is still told."""

    def test_d2_before_the_application_has_answered_anything(self, pair: Pair) -> None:
        """D-2: with nothing but the stack's own 100 so far."""
        pair.bob.on_call = "ignore"
        usage = InviteUsage.outgoing(pair.alice.connection, pair.bob.uri, from_=pair.alice.uri)
        invite = usage.invite(offer())
        invite.cancel()
        pair.clock.advance(1)
        assert invite.response.status == 487  # type: ignore[union-attr]
        assert [args[0].request.method for args in pair.seen(pair.bob, "invite_canceled")] == ["INVITE"]
        pair.check_gone()

    def test_d2_in_the_same_moment(self, pair: Pair) -> None:
        """D-2: INVITE and CANCEL come in one turn of the reactor, by TCP in one segment."""
        held = pair.network.hold(b"CSeq: 1 ", source=pair.alice.host, times=2)
        _, invite = pair.call()
        assert invite.state == "CALLING"
        invite_packet = held.packets[0]
        pair.bob.on_call = "ignore"
        cancel = invite_packet.data.replace(b"INVITE sip", b"CANCEL sip").replace(b"1 INVITE", b"1 CANCEL")
        cancel = cancel.partition(b"Content-Length")[0] + b"Content-Length: 0\r\n\r\n"
        held.release()
        pair.clock.advance(0)
        port = pair.alice.host.datagram_ports
        (own,) = [one for key, one in port.items() if key[1] == 5060]
        own.write(cancel, ("10.0.0.2", 5060))
        pair.clock.advance(0.5)
        assert len(pair.seen(pair.bob, "invite_canceled")) == 1
        assert invite.response.status == 487  # type: ignore[union-attr]
        pair.check_gone()

    @pytest.mark.accepts("A2")
    def test_d2_while_the_client_has_no_connection(self, pair: Pair) -> None:
        """D-2: whoever makes the Connection afterwards hears of the CANCEL, and can answer nothing any
        more."""
        pair.bob.connection.close()
        _, invite = pair.call()
        (waiting,) = [event.args[1] for event in pair.bob.recorder.of("request_received", "bob")]
        pair.clock.advance(0.5)
        invite.cancel()
        pair.clock.advance(0.5)
        assert invite.response.status == 487  # type: ignore[union-attr]
        observer = pair.bob.recorder.observe(IConnectionObserver, "late")
        pair.bob.connection = Connection(pair.bob.client, "lan", observer)
        pair.clock.advance(0)
        assert [event.args for event in pair.bob.recorder.of("invite_canceled", "late")] == [(waiting,)]
        assert not waiting.response_allowed
        pair.check_gone()

    def test_d2_a_cancel_that_overtakes_its_invite_is_tried_again(self, pair: Pair) -> None:
        """RFC 3261 §9.2: a CANCEL for nothing is 481; the INVITE that comes after it is a call like any
        other, and Timer G of nobody is left."""
        held = pair.network.hold("INVITE ")
        _, invite = pair.call()
        pair.bob.on_call = 486
        held.release()
        pair.clock.advance(0.5)
        assert invite.response.status == 486  # type: ignore[union-attr]
        pair.check_gone()


def test_d3_a_nat_changes_the_sent_by_of_the_cancel(pair: Pair) -> None:
    """D-3: CANCEL matches although a NAT changed the sent-by between INVITE and CANCEL."""
    pair.network.alter(
        "CANCEL ", lambda data: data.replace(b"UDP 10.0.0.1:5060", b"UDP 203.0.113.9:41000", 1)
    )
    _, invite = pair.call()
    invite.cancel()
    pair.clock.advance(1)
    assert invite.response.status == 487  # type: ignore[union-attr]
    assert len(pair.seen(pair.bob, "invite_canceled")) == 1
    pair.check_gone()


def test_d4_cancel_and_bye_carry_their_reason(pair: Pair) -> None:
    """RFC 3326 §2: Reason may be in any request within a dialog, and in CANCEL."""
    reason = 'SIP;cause=200;text="Call completed elsewhere"'
    _, invite = pair.call()
    invite.cancel([("Reason", reason)])
    pair.clock.advance(0.5)
    ((canceled,),) = pair.seen(pair.bob, "invite_canceled")
    assert canceled.cancel.get("Reason") == reason
    usage, _ = pair.answered()
    usage.bye(MessageElements(headers=[("Reason", "Q.850;cause=16")]))
    pair.clock.advance(0.5)
    byes = [args[0] for args in pair.seen(pair.bob, "dialog_request_received") if args[0].method == "BYE"]
    assert [transaction.request.get("Reason") for transaction in byes] == ["Q.850;cause=16"]
    pair.check_gone()


class TestAck:
    """D-5 to D-8: the ACK to a 2xx."""

    def test_d5_an_ack_that_comes_at_once_ends_the_200s(self, pair: Pair) -> None:
        """RFC 3261 §13.3.1.4: the 2xx is repeated "until … an ACK is received": here before the application
        has come back from its own call."""
        pair.network.impair(latency=0.0)
        usage, _ = pair.answered()
        pair.clock.advance(40)
        assert pair.ladder().count("bob -> alice 200 INVITE") == 1
        assert pair.seen(pair.bob, "usage_failed") == []
        usage.bye()
        pair.check_gone()

    def test_d5_a_lost_ack_is_sent_again_for_each_200(self, pair: Pair) -> None:
        """RFC 3261 §13.2.2.4: the ACK is passed on "every time a retransmission of the 2xx … arrives";
        §13.3.1.4: at intervals that double from T1 up to T2."""
        pair.network.drop("ACK ", times=3)
        usage, _ = pair.answered()
        pair.clock.advance(40)
        times = [
            packet.time
            for packet in pair.network.capture
            if packet.data.startswith(b"SIP/2.0 200") and packet.time
        ]
        began = times[0]
        assert [round(time - began, 3) for time in times] == [0.0, 0.5, 1.5, 3.5]
        assert len({request.via.branch for request in pair.sent(pair.alice, "ACK")}) == 1
        usage.bye()
        pair.check_gone()

    def test_d5_without_any_ack_the_call_ends_in_bye(self, pair: Pair) -> None:
        """RFC 3261 §13.3.1.4: "If the server retransmits the 2xx response for 64*T1 seconds without receiving
        an ACK, … the session SHOULD be terminated": the application is told, and BYE is still possible."""
        pair.network.drop("ACK ", times=None)
        pair.answered()
        pair.clock.advance(31.8)
        assert pair.seen(pair.bob, "usage_failed") == []
        pair.clock.advance(0.2)
        ((error, usage, _),) = pair.seen(pair.bob, "usage_failed")
        assert type(error).__name__ == "NoAckReceived"
        usage.bye()
        pair.clock.advance(0.1)
        assert "bob -> alice BYE" in pair.ladder()
        pair.check_gone()

    def test_d6_without_a_record_route_the_preloaded_route_is_gone(self, pair: Pair) -> None:
        """RFC 3261 §12.1.2: the route set is "the list of URIs in the Record-Route header field from the
        response, taken in reverse order"; without one it is "the empty set", "even if" the request had a
        route of its own."""
        context = SimpleNamespace(default_from=pair.alice.uri, route=["<sip:10.0.0.2;lr>"])
        usage, _ = pair.answered(context=context)
        usage.bye()
        pair.clock.advance(0.5)
        assert [request.get_all("Route") for request in pair.sent(pair.alice, "INVITE")] == [
            ["<sip:10.0.0.2;lr>"]
        ]
        for method in ("ACK", "BYE"):
            assert [request.get_all("Route") for request in pair.sent(pair.alice, method)] == [[]]
        pair.check_gone()

    def test_d6_ack_and_bye_follow_the_dialogs_own_route(self, pair: Pair) -> None:
        """RFC 3261 §13.2.2.4, §12.2.1.1: both take the route set of the dialog."""
        record = b"Record-Route: <sip:10.0.0.2:5060;lr;two>, <sip:10.0.0.2;lr;one>\r\n"
        pair.network.alter(
            "INVITE ", lambda data: data.replace(b"\r\nFrom:", b"\r\n" + record + b"From:", 1), times=1
        )
        usage, _ = pair.answered()
        usage.bye()
        pair.clock.advance(0.5)
        for method in ("ACK", "BYE"):
            (request,) = pair.sent(pair.alice, method)
            assert [str(route) for route in request.routes] == [
                "<sip:10.0.0.2;lr;one>",
                "<sip:10.0.0.2:5060;lr;two>",
            ]
        pair.check_gone()

    def test_d7_a_bye_between_200_and_ack(self, pair: Pair) -> None:
        """RFC 3261 §15: the caller may send BYE on a confirmed dialog: it is accepted, and the 200 is not
        sent again."""
        ack = pair.network.hold("ACK ")
        usage, _ = pair.answered()
        bye = usage.bye()
        pair.clock.advance(0.4)
        assert bye.response.status == 200  # type: ignore[union-attr]
        assert pair.bob.calls[0].dialog.state == "TERMINATED"
        ack.release()
        pair.clock.advance(40)
        assert pair.ladder().count("bob -> alice 200 INVITE") == 1
        assert pair.bob.stack.metrics.stray_acks == 1
        pair.check_gone()

    def test_d7_the_callees_bye_waits_for_the_ack(self, pair: Pair) -> None:
        """RFC 3261 §15: "the callee's UA MUST NOT send a BYE on a confirmed dialog until it has received an
        ACK for its 2xx response or until the server transaction times out"."""
        ack = pair.network.hold("ACK ", times=1)
        pair.answered()
        pair.bob.calls[0].bye()
        pair.clock.advance(0.1)
        assert pair.sent(pair.bob, "BYE") == []
        ack.release()
        pair.clock.advance(0.1)
        assert len(pair.sent(pair.bob, "BYE")) == 1
        pair.check_gone()

    def test_d8_the_ack_of_a_re_invite_has_its_cseq(self, pair: Pair) -> None:
        """RFC 3261 §13.2.2.4: "The sequence number of the CSeq header field MUST be the same as the INVITE
        being acknowledged", also when an INFO came between."""
        usage, first = pair.answered()
        second = usage.invite(offer())
        pair.clock.advance(0.05)
        pair.seen(pair.bob, "dialog_request_received")[-1][0].respond(ok())
        usage.send_request("INFO", MessageElements(body=b"x", content_type="text/plain"))
        pair.clock.advance(0.1)
        numbers = [request.cseq.number for request in pair.sent(pair.alice, "ACK")]
        assert numbers == [first.request.cseq.number, second.request.cseq.number]
        (info,) = [
            args[0] for args in pair.seen(pair.bob, "dialog_request_received") if args[0].method == "INFO"
        ]
        info.respond(ok(b"")) if info.response_allowed else None
        usage.bye()
        pair.check_gone()


class TestLostConnections:
    """D-9: pending transactions fail at once when their connection dies."""

    @pytest.mark.accepts("D8")
    @pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
    def test_d9_at_once(self, pair: Pair, method: str) -> None:
        """RFC 3261 §17.1.4: the user is informed of the transport failure, not of Timer B or F 32 seconds
        later."""
        target = f"{pair.bob.uri};transport=tcp"
        pair.bob.client.capabilities.methods = ("INVITE", "ACK", "CANCEL", "BYE", "MESSAGE")
        if method == "INVITE":
            pair.call(target)
        else:
            held = pair.network.hold("SIP/2.0 200")
            pair.alice.send("MESSAGE", target, b"hi")
            pair.clock.advance(0.1)
            assert len(held.packets) == 1
        pair.network.kill(pair.alice.host)
        pair.clock.advance(0)
        name = "usage_failed" if method == "INVITE" else "transaction_failed"
        ((error, *_),) = pair.seen(pair.alice, name)
        assert type(error).__name__ == "TransportFailure"
        for invitation in pair.bob.invitations:
            invitation.respond(ResponseElements(480))
        pair.check_gone()


KEPT = (
    Deferred,
    ClientTransaction,
    ServerTransaction,
    Dialog,
    InviteUsage,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
)


def alive() -> int:
    gc.collect()
    return sum(isinstance(thing, KEPT) for thing in gc.get_objects())


def test_d10_nothing_is_parked_for_a_finished_transaction(pair: Pair) -> None:
    """D-10: no parked coroutine, thread or Deferred per finished transaction: of twenty calls and messages
    not one object is left."""

    def forget() -> None:
        for phone in (pair.alice, pair.bob):
            phone.recorder.take()
            phone.calls.clear()
            phone.invitations.clear()

    pair.alice.send("MESSAGE", pair.bob, b"warm")
    pair.check_gone()
    forget()
    before = alive()
    for _ in range(20):
        pair.alice.send("MESSAGE", pair.bob, b"hi").final_response()
        usage, transaction = pair.answered()
        transaction.final_response()
        usage.bye().final_response()
        usage, transaction = pair.call()
        transaction.cancel()
        pair.clock.advance(0.1)
    del usage, transaction
    pair.check_gone()
    forget()
    assert alive() == before


class TestVanishing:
    """D-11: a client that vanishes after 100 leaves nothing behind."""

    @pytest.mark.parametrize("answer", ["accept", 486])
    def test_d11_the_caller_vanishes(self, pair: Pair, answer: Any) -> None:
        """RFC 3261 §13.3.1.4, §17.2.1: 64*T1 without an ACK ends it, for a 2xx and for a failure."""
        pair.bob.on_call = "ignore" if answer == 486 else "ring"
        pair.call()
        pair.clock.advance(0.5)
        pair.alice.host.go_down()
        pair.alice.connection.close()
        if answer == 486:
            pair.bob.invitations[0].respond(ResponseElements(486))
        else:
            pair.bob.accept()
        pair.clock.advance(33)
        for _, usage, _ in pair.seen(pair.bob, "usage_failed"):
            usage.bye()
        pair.check_gone()

    def test_d11_the_callee_vanishes_after_its_100(self, pair: Pair) -> None:
        """RFC 3261 §16.8: Timer C bounds the wait, and 64*T1 that for the answer to its CANCEL."""
        pair.bob.on_call = "ignore"
        _, invite = pair.call()
        pair.clock.advance(0.5)
        pair.bob.host.go_down()
        pair.bob.connection.close()
        pair.bob.invitations[0].close()
        pair.clock.advance(214)
        ((error, _, transaction),) = pair.seen(pair.alice, "usage_failed")
        assert (type(error).__name__, transaction) == ("TransactionTimeout", invite)
        pair.check_gone()

    def test_d11_the_caller_vanishes_before_its_message_is_answered(self, pair: Pair) -> None:
        """RFC 4320 §4.2: nothing is sent once the client must have given up."""
        pair.alice.send("MESSAGE", pair.bob, b"hi")
        pair.alice.host.go_down()
        pair.check_gone()


class TestCrossing:
    """D-12: re-INVITE and BYE crossing."""

    @pytest.mark.parametrize("first", ["INVITE", "BYE"])
    def test_d12_each_side_sends_its_own(self, pair: Pair, first: str) -> None:
        """RFC 5407 §3.1.5: the BYE is accepted, the re-INVITE that crossed it is refused, and both sides
        end."""
        usage, _ = pair.answered()
        held = {name: pair.network.hold(f"{name} ") for name in ("INVITE", "BYE")}
        modify = usage.invite(offer())
        bye = pair.bob.calls[0].bye()
        pair.clock.advance(0.05)
        held[first].release()
        pair.clock.advance(0.1)
        for hold in held.values():
            if hold.packets or hold.times is None:
                hold.release()
        pair.clock.advance(1)
        # A 481 to the re-INVITE has ended Alice's side before the BYE comes: then that is 481 as well.
        assert bye.response.status in ((200,) if first == "BYE" else (200, 481))  # type: ignore[union-attr]
        assert modify.response is not None or modify.error is not None
        if modify.response is not None:
            assert modify.response.status in (481, 487)
        assert usage.dialog.state == pair.bob.calls[0].dialog.state == "TERMINATED"
        pair.check_gone()

    def test_d12_a_bye_that_arrives_before_the_answer_to_the_re_invite(self, pair: Pair) -> None:
        """RFC 3261 §15.1.2: "the UAS … MUST still respond to any pending requests received for that dialog",
        with a 487."""
        usage, _ = pair.answered()
        modify = usage.invite(offer())
        pair.clock.advance(0.05)
        bye = usage.bye()
        pair.clock.advance(1)
        assert (modify.response.status, bye.response.status) == (487, 200)  # type: ignore[union-attr]
        pair.check_gone()

    def test_d12_two_byes(self, pair: Pair) -> None:
        """RFC 3261 §15.1.2: both ends hang up at once: each BYE is answered, and nobody is told of a
        failure."""
        usage, _ = pair.answered()
        byes = usage.bye(), pair.bob.calls[0].bye()
        pair.clock.advance(1)
        assert {bye.response.status for bye in byes} <= {200, 481}  # type: ignore[union-attr]
        assert pair.seen(pair.alice, "usage_failed") == pair.seen(pair.bob, "usage_failed") == []
        pair.check_gone()


@pytest.mark.parametrize("seed", range(5))
def test_calls_over_a_lossy_network_end_all_the_same(seed: int) -> None:
    """Every race at once: 20 % loss, duplicates and reordering; each call ends, and nothing is left of
    any."""
    clock = Clock()
    network = Network(clock, seed=seed)
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    network.impair(loss=0.2, duplication=0.1, reordering=0.2, reordering_delay=0.3, jitter=0.05)
    hang_up: Callable[[Any], Any] = lambda usage: usage.bye() if usage.dialog.state == "CONFIRMED" else None  # noqa: E731
    for number in range(20):
        usage = InviteUsage.outgoing(alice.connection, bob.uri, from_=alice.uri)
        transaction = usage.invite(offer())
        clock.advance(number % 4)
        if number % 3 == 0 and transaction.cancel_allowed:
            transaction.cancel()
        elif number % 3 == 1:
            clock.advance(10)
            hang_up(usage)
        clock.advance(1)
    clock.advance(70)
    for phone in (alice, bob):
        for usage in list(phone.connection.children):
            if isinstance(usage, InviteUsage) and usage.dialog.state == "CONFIRMED" and not usage._ending:
                usage.bye()
    clock.advance(300)
    assert (alice.left_behind(), bob.left_behind()) == ({}, {})
    assert alice.stack.metrics.observer_errors == bob.stack.metrics.observer_errors == 0
