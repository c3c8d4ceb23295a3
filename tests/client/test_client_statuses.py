"""What the stack answers by itself: each status, with its headers and its switch."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol

from sipactors.client import Capabilities, Limits, Policies
from sipactors.message import Response, parse
from sipactors.testing import Clock, Network, Phone
from sipactors.testing.agents import SDP


class Stranger(DatagramProtocol):
    """Somebody who writes his own SIP."""

    noisy = False

    def __init__(self, network: Network, address: str = "10.0.0.9") -> None:
        self.network = network
        self.address = address
        self.received: list[Any] = []
        self.count = 0
        self.host = network.host(f"stranger{address}", address)
        self.host.listenUDP(5060, self, interface=address)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """See DatagramProtocol."""
        self.received.append(parse(datagram))

    def write(self, data: bytes) -> list[Response]:
        """Send bytes to the phone; gives what came back within 0.1 s."""
        before = len(self.received)
        assert self.transport is not None
        self.transport.write(data, ("10.0.0.2", 5060))
        self.network.clock.advance(0.1)
        return self.received[before:]

    def request(
        self,
        method: str,
        uri: str = "sip:bob@10.0.0.2",
        *,
        headers: str = "",
        body: bytes = b"",
        branch: str | None = None,
        to: str = "<sip:bob@10.0.0.2>",
        call_id: str | None = None,
        sequence: int = 1,
        cseq_method: str | None = None,
        version: str = "SIP/2.0",
    ) -> list[Response]:
        """Send a request of which everything can be said; gives what came back."""
        self.count += 1
        branch = f"z9hG4bK{self.count}" if branch is None else branch
        call_id = f"call{self.count}" if call_id is None else call_id
        contact = f"Contact: <sip:s@{self.address}>\r\n" if "Contact" not in headers else ""
        head = (
            f"{method} {uri} {version}\r\nVia: SIP/2.0/UDP {self.address};branch={branch}\r\n"
            f"From: <sip:s@{self.address}>;tag=s1\r\nTo: {to}\r\nCall-ID: {call_id}\r\n"
            f"CSeq: {sequence} {cseq_method or method}\r\nMax-Forwards: 70\r\n{contact}{headers}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return self.write(head.encode() + body)


@pytest.fixture
def network() -> Network:
    """A network on a clock of its own."""
    return Network(Clock())


@pytest.fixture
def stranger(network: Network) -> Stranger:
    """Somebody who writes his own SIP, beside bob at 10.0.0.2 whom each test makes."""
    return Stranger(network)


def _statuses(responses: list[Response]) -> list[int]:
    return [response.status for response in responses]


@pytest.mark.accepts("K1")
def test_a_method_that_is_known_but_not_wanted_is_405_with_allow(
    network: Network, stranger: Stranger
) -> None:
    """RFC 3261 §8.2.1: the UAS MUST also add an Allow header field to the 405 response."""
    Phone(network, "bob", "10.0.0.2", capabilities=Capabilities(methods=("INVITE", "ACK", "BYE", "CANCEL")))
    (response,) = stranger.request("MESSAGE")
    assert response.status == 405
    assert response.typed("Allow") == ["INVITE", "ACK", "BYE", "CANCEL"]


@pytest.mark.accepts("K1")
def test_a_method_that_nobody_knows_is_501(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §21.5.2: 501 is appropriate when a UAS does not recognize the request method."""
    bob = Phone(network, "bob", "10.0.0.2")
    assert _statuses(stranger.request("NEWMETHOD")) == [501]
    bob.client.policies.check_method = False
    assert _statuses(stranger.request("NEWMETHOD")) == [200]


@pytest.mark.accepts("K1")
def test_options_says_what_we_can_do(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §11.2: Allow, Accept, Accept-Encoding, Accept-Language, and Supported SHOULD be present."""
    bob = Phone(network, "bob", "10.0.0.2", capabilities=Capabilities(sdp=SDP, allow_events=("presence",)))
    (response,) = stranger.request("OPTIONS", headers="Accept: application/sdp\r\n")
    assert response.status == 200
    for name in ("Allow", "Accept", "Accept-Encoding", "Accept-Language", "Supported", "Allow-Events"):
        assert name in response
    assert response.body == SDP
    assert str(response.content_type) == "application/sdp"
    (plain,) = stranger.request("OPTIONS", headers="Accept: text/plain\r\n")
    assert plain.body == b""
    bob.client.policies.answer_options = False
    stranger.request("OPTIONS")
    assert bob.recorder.last("request_received").args[0].method == "OPTIONS"


@pytest.mark.accepts("K2")
def test_a_require_that_is_not_supported_is_420_with_unsupported(
    network: Network, stranger: Stranger
) -> None:
    """RFC 3261 §8.2.2.3: a 420 lists in Unsupported the options that are not understood."""
    bob = Phone(network, "bob", "10.0.0.2", capabilities=Capabilities(supported=("timer",)))
    (response,) = stranger.request("INVITE", headers="Require: timer, foo\r\nRequire: bar\r\n")
    assert response.status == 420
    assert response.typed("Unsupported") == ["foo", "bar"]
    assert _statuses(stranger.request("MESSAGE", headers="Require: timer\r\n")) == [200]
    # RFC 3261 §20.29: Proxy-Require is for proxies.
    assert _statuses(stranger.request("MESSAGE", headers="Proxy-Require: foo\r\n")) == [200]
    bob.client.policies.check_require = False
    assert _statuses(stranger.request("MESSAGE", headers="Require: foo\r\n")) == [200]


@pytest.mark.accepts("K3")
def test_a_body_of_another_type_is_415_with_accept(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §8.2.3: the response MUST contain an Accept header field listing the types it understands."""
    bob = Phone(network, "bob", "10.0.0.2", capabilities=Capabilities(accept=("text/plain",)))
    (response,) = stranger.request("MESSAGE", headers="Content-Type: application/foo\r\n", body=b"x")
    assert response.status == 415
    assert response.get("Accept") == "text/plain"
    (encoded,) = stranger.request(
        "MESSAGE", headers="Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", body=b"x"
    )
    assert encoded.status == 415
    assert encoded.get("Accept-Encoding") == "identity"
    optional = "Content-Type: application/foo\r\nContent-Disposition: session;handling=optional\r\n"
    assert _statuses(stranger.request("MESSAGE", headers=optional, body=b"x")) == [200]
    bob.client.policies.check_content = False
    assert _statuses(stranger.request("MESSAGE", headers="Content-Type: application/foo\r\n", body=b"x")) == [
        200
    ]


@pytest.mark.accepts("K3")
def test_a_message_that_is_too_large_is_513(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §21.5.7: the server was unable to process the request since the message length exceeded it."""
    Phone(network, "bob", "10.0.0.2", limits=Limits(max_message_size=2000))
    body = b"x" * 3000
    assert _statuses(stranger.request("MESSAGE", headers="Content-Type: text/plain\r\n", body=body)) == [513]


@pytest.mark.accepts("K4")
def test_a_request_uri_that_is_not_ours_to_serve(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §8.2.2.1: a scheme that is not supported is 416; a user that is not there is 404."""
    bob = Phone(network, "bob", "10.0.0.2", capabilities=Capabilities(users=("bob",)))
    assert _statuses(stranger.request("MESSAGE", "http://example.com/")) == [404]
    bob.client.capabilities.users = None
    assert _statuses(stranger.request("MESSAGE", "http://example.com/")) == [416]
    assert _statuses(stranger.request("MESSAGE", "tel:+358-555-1234567")) == [200]
    bob.client.capabilities.users = ("bob",)
    assert _statuses(stranger.request("MESSAGE", "sip:carol@10.0.0.2")) == [404]
    assert _statuses(stranger.request("MESSAGE", "sip:bob@10.0.0.2?Subject=x")) == [400]


@pytest.mark.accepts("K4")
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"version": "SIP/7.0"}, 505),
        ({"cseq_method": "INVITE"}, 400),
        ({"sequence": 2**31}, 400),
        ({"headers": "Content-Length: 5\r\n"}, 400),
        ({"headers": "Max-Forwards: x\r\n"}, 400),
        ({"to": "bob"}, 400),
    ],
)
def test_a_request_that_breaks_the_grammar_is_refused(
    network: Network, stranger: Stranger, change: dict[str, Any], status: int
) -> None:
    """RFC 3261 §21.4.1: the request could not be understood due to malformed syntax."""
    Phone(network, "bob", "10.0.0.2")
    assert _statuses(stranger.request("MESSAGE", **change)) == [status]


@pytest.mark.accepts("K5")
def test_cancel_in_every_state_of_its_invite(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §9.2: 481 for nothing to cancel, else 200; and 487 if the INVITE has no final response."""
    bob = Phone(network, "bob", "10.0.0.2", on_call="ignore")
    assert _statuses(stranger.request("CANCEL", branch="z9hG4bKx")) == [481]
    again: dict[str, Any] = {"branch": "z9hG4bKy", "call_id": "y"}
    assert _statuses(stranger.request("INVITE", **again)) == []
    answers = stranger.request("CANCEL", **again)
    assert sorted(_statuses(answers)) == [200, 487]
    assert len({response.to_tag for response in answers}) == 1
    assert bob.recorder.names()[-1] == "invite_canceled"
    # Its copy is answered alike, and does nothing more.
    assert _statuses(stranger.request("CANCEL", **again))[0] == 200
    assert len(bob.recorder.of("invite_canceled")) == 1
    bob.on_call = "accept"
    again = {"branch": "z9hG4bKz", "call_id": "z"}
    assert 200 in _statuses(stranger.request("INVITE", **again))
    assert _statuses(stranger.request("CANCEL", **again)) == [200]
    assert bob.calls[-1].dialog.state == "CONFIRMED"
    assert len(bob.recorder.of("invite_canceled")) == 1


@pytest.mark.accepts("K6")
def test_a_stray_ack_is_dropped_and_counted(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §17.1.1.3: no response is ever sent to an ACK."""
    bob = Phone(network, "bob", "10.0.0.2")
    assert stranger.request("ACK") == []
    assert stranger.request("ACK", to="<sip:bob@10.0.0.2>;tag=none") == []
    assert bob.stack.metrics.stray_acks == 2
    assert bob.heard() == ["connection_state_changed"]


@pytest.mark.accepts("K6")
def test_a_merged_request_is_482(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §8.2.2.2: the UAS core SHOULD generate a 482 for a merged request."""
    Phone(network, "bob", "10.0.0.2", on_call="ring")
    assert _statuses(stranger.request("INVITE", call_id="m")) == [180]
    assert _statuses(stranger.request("INVITE", call_id="m")) == [482]
    assert _statuses(stranger.request("INVITE", call_id="m", sequence=2)) == [180]


@pytest.mark.accepts("K7")
@pytest.mark.parametrize("status", [401, 407])
def test_a_challenge_without_digest_is_forbidden(network: Network, status: int) -> None:
    """RFC 3261 §22.2: when a UAC receives a challenge and has no credentials, it stops."""
    alice = Phone(network, "alice", "10.0.0.1")

    def challenge(transaction: Any) -> None:
        transaction.answer(status, [("WWW-Authenticate", 'Digest realm="x", nonce="1"')])

    bob = Phone(network, "bob", "10.0.0.2", then={"request_received": challenge})
    sent = alice.send("MESSAGE", bob)
    network.clock.advance(1)
    assert alice.heard()[-1] == "transaction_failed"
    error, transaction = alice.recorder.last("transaction_failed").args
    assert type(error).__name__ == "Forbidden"
    assert transaction is sent
    assert transaction.response.status == status
    alice.client.security_handling = False
    alice.send("MESSAGE", bob)
    network.clock.advance(1)
    assert alice.heard()[-1] == "response_received"


@pytest.mark.accepts("K8")
def test_timeouts_and_503_are_told_when_there_is_no_other_target(network: Network) -> None:
    """RFC 3261 §8.1.3.1: a timeout is as a 408, a fatal transport error as a 503."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2", then={"request_received": lambda t: t.answer(503)})
    refused = alice.send("MESSAGE", bob)
    network.clock.advance(1)
    assert refused.response.status == 503
    network.host("deaf", "10.0.0.7")
    silent = alice.send("MESSAGE", "sip:x@10.0.0.77")
    network.clock.advance(33)
    assert type(silent.error).__name__ == "TransactionTimeout"
    dead = alice.send("MESSAGE", "sip:x@10.0.0.7;transport=tcp")
    network.clock.advance(33)
    assert type(dead.error).__name__ == "TransportFailure"


@pytest.mark.accepts("K9")
def test_requests_within_a_dialog_that_is_not_there_are_481(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §12.2.2: a request with a To tag that matches no dialog is 481."""
    Phone(network, "bob", "10.0.0.2")
    for method in ("BYE", "INVITE", "INFO", "UPDATE", "OPTIONS", "MESSAGE"):
        assert _statuses(stranger.request(method, to="<sip:bob@10.0.0.2>;tag=none")) == [481]


@pytest.mark.accepts("K9")
def test_a_low_cseq_is_500_with_retry_after(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §12.2.2: a request out of order MUST be rejected with a 500 response."""
    bob = Phone(network, "bob", "10.0.0.2")
    answers = stranger.request("INVITE", call_id="d", sequence=10)
    tag = answers[-1].to_tag
    to = f"<sip:bob@10.0.0.2>;tag={tag}"
    stranger.request("ACK", call_id="d", sequence=10, to=to)
    (response,) = stranger.request("INFO", call_id="d", sequence=9, to=to)
    assert response.status == 500
    assert bob.calls[0].dialog.state == "CONFIRMED"


@pytest.mark.accepts("K9")
def test_a_first_invite_without_exactly_one_contact_is_400(network: Network, stranger: Stranger) -> None:
    """RFC 3261 §8.1.1.8: the Contact header field MUST be present and contain exactly one URI."""
    Phone(network, "bob", "10.0.0.2")
    two = "Contact: <sip:a@10.0.0.9>, <sip:b@10.0.0.9>\r\n"
    assert _statuses(stranger.request("INVITE", headers=two)) == [400]
    assert _statuses(stranger.request("INVITE", headers="Contact: *\r\n")) == [400]


@pytest.mark.accepts("K9")
def test_each_policy_has_a_switch() -> None:
    """Automatic: each is a policy with a switch."""
    policies = Policies()
    for name in ("answer_options", "check_scheme", "check_method", "check_require", "check_content"):
        assert getattr(policies, name) is True
