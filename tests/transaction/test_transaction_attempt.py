"""One request of ours over several targets (RFC 3263 §4.3), large ones over TCP (RFC 3261 §18.1.1), and
CANCEL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sipactors.errors import ResolvingFailure, TransportFailure
from sipactors.locating import SRV
from sipactors.message import parse_uri
from sipactors.settings import Limits
from sipactors.transaction.attempt import Attempt, send_once

DOMAIN = "sip:bob@example.com"


@pytest.fixture
def two(world: Any) -> Any:
    """A domain with two servers, the peer first."""
    world.resolver.zone.update(
        {
            "_sip._udp.example.com": [
                SRV(10, 1, 5060, "a.example.com"),
                SRV(20, 1, 5060, "b.example.com"),
            ],
            "a.example.com": ["192.0.2.2"],
            "b.example.com": ["192.0.2.3"],
        }
    )
    return world


def branches(got: list[Any]) -> list[str]:
    return [message.via.branch for _, message in got if getattr(message, "method", "ACK") != "ACK"]


@pytest.mark.accepts("J6")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_503_leads_to_the_next_target(two: Any, method: str) -> None:
    """RFC 3263 §4.3: "For SIP requests, failure occurs if the transaction layer reports a 503 error
    response"; the next try is "a new transaction", with "a different branch ID in the top Via header"."""
    two.attempt(DOMAIN, method)
    two.clock.advance(0)
    assert two.requests() == [method]
    two.reply(503, more="Retry-After: 30\r\n")
    two.clock.advance(0)
    assert two.requests(two.other.got) == [method]
    assert branches(two.peer.got) != branches(two.other.got)
    assert two.requests() == [method] + (["ACK"] if method == "INVITE" else [])
    two.other.send(two.answer(200, two.other.got[0][1]))
    two.clock.advance(0)
    assert two.told("client") == [("response_received", 200)]
    # The failed target goes last the next time, for as long as its Retry-After says.
    two.attempt(DOMAIN, "MESSAGE")
    two.clock.advance(0)
    assert "MESSAGE" not in two.requests()
    assert "MESSAGE" in two.requests(two.other.got)
    two.other.send(two.answer(200, two.other.got[-1][1]))
    two.clock.advance(0)


@pytest.mark.accepts("J6")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_timeout_leads_to_the_next_target(two: Any, method: str) -> None:
    """RFC 3263 §4.3: or "if the transaction layer times out without ever having received any response"."""
    two.network.black_hole(two.host, two.peer_host)
    two.attempt(DOMAIN, method)
    two.clock.advance(31.9)
    assert two.requests(two.other.got) == []
    two.clock.advance(0.1)
    assert two.requests(two.other.got) == [method]
    two.other.send(two.answer(486, two.other.got[0][1]))
    two.clock.advance(0)
    assert two.told("client") == [("response_received", 486)]


@pytest.mark.accepts("J6")
def test_an_icmp_error_leads_to_the_next_target_at_once(two: Any) -> None:
    """RFC 3263 §4.3: "Failure also occurs if the transport layer fails", as §18.4 of RFC 3261 says for ICMP
    errors."""
    two.resolver.zone["_sip._udp.example.com"][0] = SRV(10, 1, 5999, "a.example.com")
    two.attempt(DOMAIN)
    two.clock.advance(0.01)
    assert two.requests(two.other.got) == ["INVITE"]
    assert two.told("client") == []
    two.other.send(two.answer(200, two.other.got[0][1]))
    two.clock.advance(0)


@pytest.mark.accepts("J6")
def test_when_the_last_target_fails_the_last_reason_is_told(two: Any) -> None:
    """RFC 3263 §4.3: only when there is no further target has the request failed."""
    two.attempt(DOMAIN)
    two.clock.advance(0)
    two.reply(503)
    two.clock.advance(0)
    two.other.send(two.answer(503, two.other.got[0][1]))
    two.clock.advance(0)
    assert two.told("client") == [("response_received", 503)]
    two.peer.got.clear()
    two.events.take()
    two.attempt(DOMAIN, "OPTIONS")
    two.clock.advance(64.1)
    assert two.told("client") == [("client_transaction_failed", "TransactionTimeout")]


@pytest.mark.accepts("J6")
def test_a_503_then_a_timeout_still_leads_to_the_third(two: Any) -> None:
    """RFC 3263 §4.3 holds for each try of its own: what the first target answered says nothing of the
    second."""
    third = SRV(30, 1, 5070, "b.example.com")
    two.resolver.zone["_sip._udp.example.com"].append(third)
    two.attempt(DOMAIN)
    two.clock.advance(0)
    two.reply(503)
    two.clock.advance(32)
    tried = [packet.destination for packet in two.network.capture if packet.data.startswith(b"INVITE")]
    assert list(dict.fromkeys(tried)) == [("192.0.2.2", 5060), ("192.0.2.3", 5060), ("192.0.2.3", 5070)]


def test_what_has_rung_does_not_ring_elsewhere(two: Any) -> None:
    """RFC 3263 §4.3: a timeout counts only "without ever having received any response, provisional or
    final"."""
    two.attempt(DOMAIN, "OPTIONS")
    two.clock.advance(0)
    two.reply(100)
    two.clock.advance(40)
    assert two.requests(two.other.got) == []
    assert two.told("client")[-1] == ("client_transaction_failed", "TransactionTimeout")


def test_a_name_without_an_address_fails_later_and_not_inside_the_call(world: Any) -> None:
    """A failure is told later, never raised: the caller is still inside its own call."""
    world.attempt("sip:bob@nowhere.example")
    assert world.told("client") == []
    world.clock.advance(0)
    assert world.told("client") == [("client_transaction_failed", "ResolvingFailure")]


def test_a_slow_name_is_waited_for(world: Any) -> None:
    """RFC 3263 §4: the request goes as soon as an address is known."""
    world.resolver.zone["slow.example"] = ["192.0.2.2"]
    world.resolver.delays["slow.example"] = 2.0
    world.attempt("sip:bob@slow.example:5060", "OPTIONS")
    world.clock.advance(1.9)
    assert world.requests() == []
    world.clock.advance(0.2)
    assert world.requests() == ["OPTIONS"]
    world.reply(200)


def test_what_prepare_raises_is_told_after_a_slow_name(world: Any) -> None:
    """Whatever goes wrong behind a Deferred, the user hears an outcome."""
    world.resolver.zone["slow.example"] = ["192.0.2.2"]
    world.resolver.delays["slow.example"] = 2.0

    def prepare(request: Any, flow: Any) -> None:
        raise TransportFailure("no Contact for this flow")

    attempt = Attempt(world.dispatcher, world.locator, world.request("OPTIONS"), world.user(), prepare)
    attempt.start(parse_uri("sip:bob@slow.example:5060"))
    world.clock.advance(10)
    assert world.told("client") == [("client_transaction_failed", "TransportFailure")]


def test_closing_an_attempt_ends_the_search_too(world: Any) -> None:
    """A request whose owner goes is not sent any more, and tells nothing (D-10)."""
    world.resolver.silent.add("silent.example")
    attempt = world.attempt("sip:bob@silent.example:5060")
    attempt.close()
    world.clock.advance(60)
    assert (world.told("client"), len(world.network.capture)) == ([], 0)
    assert world.locator._searches == set()


BIG = {"body": b"x" * 1400, "content_type": "text/plain"}


@pytest.mark.accepts("J2")
class TestLargeRequests:
    """RFC 3261 §18.1.1: a request that "is larger than 1300 bytes and the path MTU is unknown … MUST be sent
    using an RFC 2914 congestion controlled transport protocol, such as TCP"."""

    def test_it_goes_by_tcp_and_the_next_small_one_by_udp(self, world: Any) -> None:
        """D-26: later small requests are not stuck on TCP."""
        world.listen_for_streams()
        world.attempt(method="MESSAGE", **BIG)
        world.clock.advance(0.1)
        (stream,) = world.streams
        assert (world.requests(), world.requests(stream.got)) == ([], ["MESSAGE"])
        # "the transport in the top Via is changed" to TCP.
        assert world.last_request().via.transport == "TCP"
        stream.send(world.answer(200))
        world.clock.advance(0)
        world.attempt(method="MESSAGE")
        world.clock.advance(0)
        assert world.requests() == ["MESSAGE"]
        world.reply(200, world.peer.got[-1][1])
        assert world.told("client") == [("response_received", 200)] * 2

    def test_the_limit_is_1300_bytes_to_the_byte(self, world: Any) -> None:
        """RFC 3261 §18.1.1: "larger than 1300 bytes": 1300 are not."""
        world.listen_for_streams()
        base = {"body": b"x" * 1000, "content_type": "text/plain"}
        world.attempt(method="MESSAGE", **base)
        world.clock.advance(0)
        rest = 1300 - len(world.network.capture[-1].data)
        world.reply(200)
        for more, where in ((rest, "UDP"), (rest + 1, "TCP")):
            world.attempt(method="MESSAGE", body=b"x" * (1000 + more), content_type="text/plain")
            world.clock.advance(0.1)
            assert world.last_request().via.transport == where
            (world.peer if where == "UDP" else world.streams[0]).send(world.answer(200))
            world.clock.advance(0)

    def test_refused_by_tcp_it_goes_by_udp_after_all(self, world: Any) -> None:
        """RFC 3261 §18.1.1: "If … the connection attempt … results in either an ICMP Protocol Not Supported,
        or results in a TCP reset, the element SHOULD retry the request, using UDP"."""
        world.attempt(method="INVITE", **BIG)
        world.clock.advance(0.1)
        assert world.requests() == ["INVITE"]
        assert world.last_request().via.transport == "UDP"
        assert world.told("client") == []
        world.reply(200)
        assert world.told("client") == [("response_received", 200)]

    def test_no_answer_to_syn_ends_in_udp(self, world: Any) -> None:
        """D-26: a firewall that drops TCP delays the request, and does not lose it."""
        world.peer_host.refuses = False
        world.attempt(method="MESSAGE", **BIG)
        world.clock.advance(31)
        assert "MESSAGE" in world.requests()
        world.reply(200)
        assert world.told("client") == [("response_received", 200)]

    def test_when_no_more_connections_are_allowed_it_goes_by_udp(
        self, make_world: Callable[..., Any]
    ) -> None:
        """Our own limit is no worse than a refusal of the peer's."""
        world = make_world(limits=Limits(max_connections=0))
        world.attempt(method="MESSAGE", **BIG)
        world.clock.advance(0.1)
        assert world.requests() == ["MESSAGE"]
        world.reply(200)

    def test_a_server_that_takes_it_and_is_silent_is_not_asked_again_by_udp(self, two: Any) -> None:
        """RFC 3263 §4.3: after a timeout the next target is tried, not the same one by another transport."""
        two.listen_for_streams()
        two.other_host.refuses = True
        two.attempt(DOMAIN, "MESSAGE", **BIG)
        two.clock.advance(32.1)
        assert two.requests() == []
        assert two.requests(two.other.got) == ["MESSAGE"]
        two.other.send(two.answer(200, two.other.got[0][1]))
        two.clock.advance(0)
        assert two.told("client") == [("response_received", 200)]

    def test_the_contact_stays_the_one_for_udp(self, world: Any) -> None:
        """D-26: only this request is large; the peer's own later requests come by UDP."""
        world.listen_for_streams()
        seen: list[str] = []
        attempt = Attempt(
            world.dispatcher,
            world.locator,
            world.request("INVITE", **BIG),
            world.user(),
            lambda request, flow: seen.append(flow.transport),
        )
        attempt.start(parse_uri("sip:bob@192.0.2.2"))
        world.clock.advance(0.1)
        assert world.requests(world.streams[0].got) == ["INVITE"]
        assert set(seen) == {"UDP"}
        attempt.close()

    def test_a_target_that_is_tcp_anyway_stays_so(self, world: Any) -> None:
        """RFC 3263 §4.1: the transport that the URI names is used, without a fall-back."""
        world.attempt("sip:bob@192.0.2.2;transport=tcp", "MESSAGE", **BIG)
        world.clock.advance(1)
        assert world.requests() == []
        assert world.told("client") == [("client_transaction_failed", "TransportFailure")]


class TestCancel:
    """RFC 3261 §9.1: what a client does that wants its INVITE no more."""

    def cancel(self, world: Any, attempt: Attempt, **more: Any) -> None:
        attempt.cancel(world.user("cancel"), **more)

    def test_it_waits_for_a_provisional_response(self, world: Any) -> None:
        """RFC 3261 §9.1: "If no provisional response has been received, the CANCEL request MUST NOT be sent;
        rather, the client MUST wait for the arrival of a provisional response"."""
        attempt = world.attempt()
        world.clock.advance(0)
        self.cancel(world, attempt)
        world.clock.advance(2)
        assert set(world.requests()) == {"INVITE"}
        world.reply(100)
        assert world.requests()[-1] == "CANCEL"
        invite, cancel = world.last_request("INVITE"), world.last_request("CANCEL")
        # "The Request-URI, Call-ID, To, the numeric part of CSeq, and From … MUST be identical", and the Via.
        for name in ("Via", "From", "To", "Call-ID"):
            assert cancel.get_all(name) == invite.get_all(name)
        assert (cancel.uri_text, cancel.get("CSeq")) == (invite.uri_text, "7 CANCEL")
        world.reply(200, cancel)
        world.reply(487, invite)
        assert world.told("cancel") == [("response_received", 200)]
        assert world.told("client") == [("response_received", 100), ("response_received", 487)]
        assert world.requests()[-1] == "ACK"

    def test_without_a_487_it_ends_after_64_t1(self, world: Any) -> None:
        """RFC 3261 §9.1: "If there is no final response for the original request in 64*T1 seconds …, the
        client SHOULD then consider the original transaction cancelled"."""
        attempt = world.attempt()
        world.clock.advance(0)
        world.reply(180)
        world.clock.advance(10)
        self.cancel(world, attempt)
        world.clock.advance(0)
        world.reply(200, world.last_request("CANCEL"))
        world.clock.advance(31.9)
        assert world.told("client") == [("response_received", 180)]
        world.clock.advance(0.1)
        assert world.told("client")[-1] == ("client_transaction_failed", "TransactionTimeout")
        world.check_empty()

    def test_d4_it_carries_its_reason(self, world: Any) -> None:
        """RFC 3326 §2: the Reason header field may be in a CANCEL: "SIP ;cause=200 ;text="Call completed
        elsewhere""."""
        attempt = world.attempt()
        world.clock.advance(0)
        world.reply(180)
        made: list[Any] = []
        reason = 'SIP;cause=200;text="Call completed elsewhere"'
        self.cancel(world, attempt, made=made.append, headers=[("Reason", reason)])
        world.clock.advance(0)
        assert world.last_request("CANCEL").get("Reason") == reason
        assert [request.method for request in made] == ["CANCEL"]
        world.reply(487, world.last_request("INVITE"))

    def test_while_the_name_is_looked_up_nothing_is_ever_sent(self, world: Any) -> None:
        """RFC 3261 §9.1 speaks of requests that were sent: one that was not is simply not sent."""
        world.resolver.zone["slow.example"] = ["192.0.2.2"]
        world.resolver.delays["slow.example"] = 1.0
        attempt = world.attempt("sip:bob@slow.example:5060")
        world.clock.advance(0.5)
        self.cancel(world, attempt)
        world.clock.advance(60)
        assert len(world.network.capture) == 0
        assert world.told("client") == [("client_transaction_failed", "TransactionTimeout")]
        assert world.told("cancel") == [("client_transaction_failed", "InvalidTransactionState")]

    def test_in_the_same_moment_as_the_name_is_found_nothing_is_sent(self, world: Any) -> None:
        """The two race in one turn of the reactor: the CANCEL was first."""
        world.resolver.zone["slow.example"] = ["192.0.2.2"]
        world.resolver.delays["slow.example"] = 1.0
        attempt = world.attempt("sip:bob@slow.example:5060")
        world.clock.callLater(0.9999999, self.cancel, world, attempt)
        world.clock.advance(60)
        assert len(world.network.capture) == 0

    def test_d1_a_final_response_that_comes_first_needs_no_cancel(self, world: Any) -> None:
        """RFC 3261 §9.1: a CANCEL for an INVITE that is answered has no effect: it is not sent, and its user
        hears so."""
        for status in (200, 486):
            attempt = world.attempt()
            world.clock.advance(0)
            self.cancel(world, attempt)
            world.reply(status)
            assert "CANCEL" not in world.requests()
            assert world.told("client")[-1] == ("response_received", status)
            assert world.told("cancel")[-1] == ("client_transaction_failed", "InvalidTransactionState")
        assert len(world.told("cancel")) == 2

    def test_an_invite_that_nobody_answers_is_not_tried_elsewhere(self, two: Any) -> None:
        """RFC 3261 §9.1: who cancels wants no other phone to ring."""
        attempt = two.attempt(DOMAIN)
        two.clock.advance(0)
        self.cancel(two, attempt)
        two.clock.advance(40)
        assert two.requests(two.other.got) == []
        assert "CANCEL" not in two.requests()
        assert two.told("client") == [("client_transaction_failed", "TransactionTimeout")]
        assert two.told("cancel") == [("client_transaction_failed", "InvalidTransactionState")]

    def test_a_503_after_cancel_is_the_end_of_it(self, two: Any) -> None:
        """RFC 3263 §4.3 does not make a canceled request ring elsewhere."""
        attempt = two.attempt(DOMAIN)
        two.clock.advance(0)
        two.reply(100)
        self.cancel(two, attempt)
        two.clock.advance(0)
        two.reply(503, two.last_request("INVITE"))
        two.clock.advance(1)
        assert two.requests(two.other.got) == []
        assert two.told("client")[-1] == ("response_received", 503)

    def test_twice_is_once(self, world: Any) -> None:
        """A second cancel does nothing."""
        attempt = world.attempt()
        world.clock.advance(0)
        world.reply(180)
        self.cancel(world, attempt)
        self.cancel(world, attempt)
        world.clock.advance(0)
        assert world.requests().count("CANCEL") == 1
        world.reply(487, world.last_request("INVITE"))

    def test_after_timer_c_the_cancel_is_under_way_already(self, world: Any) -> None:
        """RFC 3261 §16.8: Timer C has sent the one CANCEL that there can be."""
        attempt = world.attempt()
        world.clock.advance(0)
        world.reply(180)
        world.clock.advance(180)
        self.cancel(world, attempt)
        world.clock.advance(0)
        assert world.requests().count("CANCEL") == 1
        assert world.told("cancel") == [("client_transaction_failed", "InvalidTransactionState")]
        world.reply(487, world.last_request("INVITE"))

    def test_closing_stops_the_cancel_too(self, world: Any) -> None:
        """An owner that goes leaves nothing that is sent again for half a minute (D-10)."""
        attempt = world.attempt()
        world.clock.advance(0)
        world.reply(180)
        self.cancel(world, attempt)
        world.clock.advance(0)
        sent = len(world.network.capture)
        attempt.close()
        world.check_empty()
        world.clock.advance(40)
        assert len(world.network.capture) == sent


class TestSendOnce:
    """The ACK to a 2xx has no transaction (RFC 3261 §13.2.2.4)."""

    def test_it_goes_to_the_first_target_that_takes_it(self, two: Any) -> None:
        """RFC 3261 §13.2.2.4: the ACK is "passed to the client transport every time a retransmission …
        arrives"."""
        sent: list[Any] = []
        uri = parse_uri(DOMAIN)
        send_once(two.dispatcher, two.locator, two.request("ACK"), uri, lambda *what: sent.append(what))
        two.clock.advance(0)
        assert two.requests() == ["ACK"]
        ((flow, wire),) = sent
        flow.send(wire)
        two.clock.advance(0)
        assert [message.render() for _, message in two.peer.got] == [wire, wire]
        two.check_empty()

    def test_without_an_address_it_is_counted_as_lost(self, world: Any) -> None:
        """Nobody waits for an ACK's fate."""
        world.resolver.zone["slow.example"] = [ResolvingFailure("dead")]
        world.resolver.delays["slow.example"] = 1.0
        uri = parse_uri("sip:bob@slow.example:5060")
        send_once(world.dispatcher, world.locator, world.request("ACK"), uri)
        world.clock.advance(5)
        send_once(world.dispatcher, world.locator, world.request("ACK"), parse_uri("sip:bob@none.example"))
        assert len(world.network.capture) == 0
        assert world.metrics.transport_failures == 2
