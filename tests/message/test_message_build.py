"""Answers, requests of our own, CANCEL and ACK; and how they look on the wire."""

from __future__ import annotations

import pytest

from sipactors.errors import ArgumentError
from sipactors.message import (
    CSeq,
    Message,
    Request,
    Response,
    Via,
    ack_for,
    cancel_for,
    parse,
    request,
    response_to,
)
from sipactors.message.build import can_answer

INVITE = (
    "INVITE sip:bob@biloxi.com SIP/2.0\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds, SIP/2.0/TCP b.com;branch=z9hG4bK2\r\n"
    "Max-Forwards: 70\r\n"
    "v: SIP/2.0/TLS c.com;branch=z9hG4bK3\r\n"
    "Record-Route: <sip:p2.example.com;lr>\r\n"
    "Record-Route: <sip:p1.example.com;lr>\r\n"
    "t: Bob <sip:bob@biloxi.com>\r\n"
    "From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n"
    "Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n"
    "Timestamp: 54\r\n"
    "Contact: <sip:alice@pc33.atlanta.com>\r\n\r\n"
)


def invite(text: str = INVITE) -> Request:
    message = parse(text.encode())
    assert isinstance(message, Request)
    return message


def sent(**changes: object) -> Request:
    arguments: dict[str, object] = {
        "from_": "<sip:alice@atlanta.com>;tag=1",
        "to": "<sip:bob@biloxi.com>",
        "call_id": "1@pc33",
        "cseq": 7,
        "via": Via("UDP", "pc33.atlanta.com", 5060, {"branch": "z9hG4bK1"}),
        "routes": ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"],
    }
    return request("INVITE", "sip:bob@biloxi.com", **{**arguments, **changes})  # type: ignore[arg-type]


def test_a_response_has_the_fields_of_its_request() -> None:
    """RFC 3261 §8.2.6.2: From, Call-ID, CSeq and Via MUST equal those of the request."""
    asked = invite()
    answer = response_to(asked, 180)
    assert (answer.status, answer.reason) == (180, "Ringing")
    assert answer.get_all("Via") == asked.get_all("Via")
    for name in ("From", "To", "Call-ID", "CSeq"):
        assert answer.get_all(name) == asked.get_all(name)
    assert set(answer.names()) == {"Via", "From", "To", "Call-ID", "CSeq"}


def test_a_to_tag_is_added_where_there_is_none() -> None:
    """RFC 3261 §8.2.6.2: the UAS MUST add a tag to To in the response, but for 100."""
    assert response_to(invite(), 200, to_tag="a6c85cf").to_tag == "a6c85cf"
    assert response_to(invite(), 100, to_tag="a6c85cf").to_tag is None


def test_a_to_tag_of_the_request_stays() -> None:
    """RFC 3261 §8.2.6.2: if a request contained a To tag, the To of the response MUST equal it."""
    asked = invite(INVITE.replace("t: Bob <sip:bob@biloxi.com>", "t: Bob <sip:bob@biloxi.com>;tag=theirs"))
    assert response_to(asked, 200, to_tag="ours").get("To") == "Bob <sip:bob@biloxi.com>;tag=theirs"


def test_a_timestamp_is_copied_into_100_alone() -> None:
    """RFC 3261 §8.2.6.1: any Timestamp in the request MUST be copied into this 100 (Trying) response."""
    assert response_to(invite(), 100).get("Timestamp") == "54"
    assert response_to(invite(), 180).get("Timestamp") is None


def test_record_route_is_copied_when_asked_for() -> None:
    """RFC 3261 §12.1.1: the UAS MUST copy all Record-Route values, and MUST maintain their order."""
    answer = response_to(invite(), 200, record_route=True)
    assert [str(route.uri) for route in answer.record_routes] == [
        "sip:p2.example.com;lr",
        "sip:p1.example.com;lr",
    ]


def test_a_change_of_the_response_leaves_the_request_alone() -> None:
    """A response is a message of its own."""
    asked = invite()
    answer = response_to(asked, 200)
    answer.remove_first("Via")
    answer.add("Via", "SIP/2.0/UDP other")
    assert asked == invite()


def test_an_unknown_status_gets_the_words_of_its_class() -> None:
    """RFC 3261 §8.1.3.2: an unrecognized final response is equivalent to the x00 of its class."""
    assert response_to(invite(), 499).reason == "Bad Request"
    assert response_to(invite(), 188).reason == "Session Progress"
    assert response_to(invite(), 486, "Gone fishing").render().startswith(b"SIP/2.0 486 Gone fishing\r\n")


@pytest.mark.parametrize("status", [0, 99, 700, -200])
def test_a_status_that_sip_does_not_have_is_refused(status: int) -> None:
    """RFC 3261 §7.2: SIP/2.0 allows six values for the first digit."""
    with pytest.raises(ArgumentError):
        response_to(invite(), status)


def test_a_body_goes_with_its_content_type() -> None:
    """RFC 3261 §20.15: the Content-Type header field MUST be present if the body is not empty."""
    answer = response_to(invite(), 200, body=b"v=0\r\n", content_type="application/sdp")
    assert answer.render().endswith(b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n")
    with pytest.raises(ArgumentError):
        response_to(invite(), 200, body=b"v=0\r\n")
    with pytest.raises(ArgumentError):
        response_to(invite(), 200, body="v=0", content_type="application/sdp")  # type: ignore[arg-type]


def test_an_ack_is_never_answered() -> None:
    """RFC 3261 §17.1.1.3: a UAS never sends a response to an ACK."""
    assert can_answer(invite())
    assert not can_answer(invite(INVITE.replace("INVITE", "ACK")))
    assert not can_answer(response_to(invite(), 200))
    assert not can_answer(None)


def test_a_request_has_the_fields_of_a_request() -> None:
    """RFC 3261 §8.1.1: To, From, CSeq, Call-ID, Max-Forwards and Via."""
    made = sent(
        contact="<sip:alice@pc33>", headers={"X-Mine": ["1", "2"]}, body=b"hi", content_type="text/plain"
    )
    assert made.render().decode().split("\r\n") == [
        "INVITE sip:bob@biloxi.com SIP/2.0",
        "Via: SIP/2.0/UDP pc33.atlanta.com:5060;branch=z9hG4bK1",
        "Route: <sip:p1.example.com;lr>",
        "Route: <sip:p2.example.com;lr>",
        "Max-Forwards: 70",
        "From: <sip:alice@atlanta.com>;tag=1",
        "To: <sip:bob@biloxi.com>",
        "Call-ID: 1@pc33",
        "CSeq: 7 INVITE",
        "Contact: <sip:alice@pc33>",
        "X-Mine: 1",
        "X-Mine: 2",
        "Content-Type: text/plain",
        "Content-Length: 2",
        "",
        "hi",
    ]
    assert parse(made.render()) == made


@pytest.mark.parametrize(
    "changes",
    [{"cseq": 2**31}, {"cseq": -1}, {"max_forwards": 256}, {"call_id": "a\r\nEvil: 1"}, {"body": b"x"}],
)
def test_what_cannot_be_sent_is_refused_at_the_caller(changes: dict[str, object]) -> None:
    """RFC 3261 §8.1.1.5: a CSeq less than 2**31; §20.22: Max-Forwards of 0 to 255."""
    with pytest.raises(ArgumentError):
        sent(**changes)


def test_cancel_has_the_fields_of_what_it_cancels() -> None:
    """RFC 3261 §9.1: Request-URI, Call-ID, To, CSeq number, From, and a single Via equal to the top one."""
    original = sent()
    original.add("Via", "SIP/2.0/UDP second;branch=z9hG4bK9")
    cancel = cancel_for(original, headers={"Reason": 'SIP ;cause=200 ;text="Call completed elsewhere"'})
    assert (cancel.method, cancel.uri_text) == ("CANCEL", "sip:bob@biloxi.com")
    assert cancel.cseq == CSeq(7, "CANCEL")
    assert cancel.get_all("Via") == ["SIP/2.0/UDP pc33.atlanta.com:5060;branch=z9hG4bK1"]
    for name in ("Route", "From", "To", "Call-ID"):
        assert cancel.get_all(name) == original.get_all(name)
    assert cancel.get("Reason") == 'SIP ;cause=200 ;text="Call completed elsewhere"'


def test_ack_has_the_to_of_the_response() -> None:
    """RFC 3261 §17.1.1.3: To of the response, all else of the request, CSeq with the method ACK."""
    original = sent()
    ack = ack_for(original, response_to(original, 486, to_tag="busy"))
    assert ack.method == "ACK"
    assert ack.cseq == CSeq(7, "ACK")
    assert ack.to_tag == "busy"
    for name in ("Via", "Route", "From", "Call-ID"):
        assert ack.get_all(name) == original.get_all(name)


@pytest.mark.accepts("C7")
def test_fields_that_proxies_read_come_first() -> None:
    """RFC 3261 §7.3.1: Via, Route, Record-Route, Max-Forwards … are RECOMMENDED to appear towards the top."""
    assert [row.partition(":")[0] for row in invite().render().decode().split("\r\n")[1:-2]] == [
        *("Via", "Via", "Record-Route", "Record-Route", "Max-Forwards", "From", "To", "Call-ID", "CSeq"),
        *("Contact", "Timestamp", "Content-Length"),
    ]


@pytest.mark.accepts("C7")
def test_compact_forms_are_written_on_request() -> None:
    """RFC 3261 §7.3.3: compact forms keep a message small; the receiver takes both."""
    wire = invite().render(compact=True)
    assert b"\r\nv: SIP/2.0/TLS c.com;branch=z9hG4bK3\r\n" in wire
    assert wire.endswith(b"\r\nl: 0\r\n\r\n")
    assert len(wire) < len(invite().render())
    assert parse(wire) == invite()


@pytest.mark.parametrize("bad", ["a\r\nEvil: 1", "a\nb", "a\rb", "a\0b"])
def test_no_line_break_of_an_application_reaches_the_wire(bad: str) -> None:
    """D-41: no CRLF from application input reaches the wire."""
    message = invite()
    for name in ("Subject", "X-Mine", "Via", "Contact"):
        for put in (message.set, message.add, message.prepend, message.replace_first):
            with pytest.raises(ArgumentError):
                put(name, bad)
    with pytest.raises(ArgumentError):
        message.set("Subject", ["fine", bad])
    with pytest.raises(ArgumentError):
        response_to(message, 200, reason=bad)
    with pytest.raises(ArgumentError):
        response_to(message, 200, to_tag=bad)
    with pytest.raises(ArgumentError):
        response_to(message, 200, headers=[("Subject", bad)])
    with pytest.raises(ArgumentError):
        response_to(message, 200, headers=[(bad, "x")])
    with pytest.raises(ArgumentError):
        Request("INVITE", f"sip:{bad}")
    with pytest.raises(ArgumentError):
        Request(bad, "sip:bob@biloxi.com")
    with pytest.raises(ArgumentError):
        message.uri = bad  # type: ignore[assignment]
    with pytest.raises(ArgumentError):
        message.set_body(b"x", bad)
    assert message == invite()
    message.method = bad
    with pytest.raises(ArgumentError):
        message.render()


@pytest.mark.accepts("C6")
def test_headers_that_nobody_knows_keep_their_spelling_and_place() -> None:
    """RFC 3261 §20: header fields of extensions pass through."""
    message = Message.copy(invite())
    message.set("X-camelCase", "1")
    message.add("x-CAMELcase", "2")
    assert "x-camelcase" in message
    assert message.names()[-1] == "X-camelCase"
    assert list(message.rows())[-2:] == [("X-camelCase", "1"), ("X-camelCase", "2")]
    message.remove("X-CAMELCASE")
    assert message == invite()
    with pytest.raises(ArgumentError):
        message.set("no token", "1")


def test_the_first_value_of_a_list_is_taken_off_and_replaced() -> None:
    """RFC 3261 §16.7: a proxy removes the topmost Via; a row with several values keeps the others."""
    message = invite()
    assert message.remove_first("Via") == "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds"
    assert message.via.transport == "TCP"
    via = message.via
    via.received = "192.0.2.7"
    message.via = via
    assert parse(message.render()).via.received == "192.0.2.7"
    assert message.remove_first("v") is not None
    assert message.remove_first("Via") == "SIP/2.0/TLS c.com;branch=z9hG4bK3"
    assert message.remove_first("Via") is None
    assert "Via" not in message
    message.via = via
    assert message.vias == [via]


def test_typed_values_follow_the_rows() -> None:
    """A typed value is read once and kept, and read again when the header changes."""
    message = invite()
    assert message.cseq is message.cseq
    message.set("CSeq", CSeq(5, "INVITE"))
    assert message.cseq.number == 5
    assert len(message.vias) == 3
    message.prepend("Via", "SIP/2.0/UDP new;branch=z9hG4bK0")
    assert message.via.host == "new"
    assert len(message.vias) == 4
    message.set("Supported", ["100rel", "timer, path"])
    assert message.supported == ["100rel", "timer", "path"]
    message.set("Supported", "")
    assert message.supported == []
    message.set("Supported", [])
    assert "Supported" not in message


def test_a_copy_is_another_message() -> None:
    """A copy shares nothing that can change."""
    message = invite()
    twin = message.copy()
    assert twin == message
    twin.set("Subject", "other")
    twin.method = "BYE"
    assert message == invite()
    assert twin != message
    assert response_to(message, 200).copy() == response_to(message, 200)
    assert response_to(message, 200) != message
    assert isinstance(response_to(message, 200), Response)
