"""Bytes into messages: what is read, what is refused, and what it costs a stranger to try."""

from __future__ import annotations

import pytest

from sipactors.errors import MalformedMessage
from sipactors.message import Request, Response, check_request, check_response, parse
from sipactors.settings import Limits

ROWS = [
    "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds",
    "Max-Forwards: 70",
    "To: Bob <sip:bob@biloxi.com>",
    "From: Alice <sip:alice@atlanta.com>;tag=1928301774",
    "Call-ID: a84b4c76e66710@pc33.atlanta.com",
    "CSeq: 314159 OPTIONS",
]


def octets(*rows: str, start: str = "OPTIONS sip:bob@biloxi.com SIP/2.0", body: bytes = b"") -> bytes:
    return "\r\n".join([start, *(rows or ROWS), "", ""]).encode() + body


def read(data: bytes, limits: Limits) -> None:
    message = parse(data, limits)
    if isinstance(message, Request):
        check_request(message)
    else:
        check_response(message)


def refused(data: bytes, limits: Limits | None = None) -> MalformedMessage:
    with pytest.raises(MalformedMessage) as caught:
        read(data, limits or Limits())
    return caught.value


def without(name: str) -> list[str]:
    return [row for row in ROWS if not row.startswith(name)]


def test_a_request_line_gives_method_and_uri() -> None:
    """RFC 3261 §7.1: Request-Line = Method SP Request-URI SP SIP-Version CRLF."""
    message = parse(octets())
    assert isinstance(message, Request)
    assert message.method == "OPTIONS"
    assert message.uri_text == "sip:bob@biloxi.com"
    check_request(message)


def test_a_status_line_gives_status_and_reason() -> None:
    """RFC 3261 §7.2: Status-Line = SIP-Version SP Status-Code SP Reason-Phrase CRLF."""
    message = parse(octets(start="SIP/2.0 480 Temporarily not available"))
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (480, "Temporarily not available")
    check_response(message)


@pytest.mark.parametrize("start", ["OPTIONS sip:bob@biloxi.com sip/2.0", "sIp/2.0 200 OK"])
def test_the_version_is_read_in_any_case_and_sent_in_capitals(start: str) -> None:
    """RFC 3261 §7.1: the SIP-Version string is case-insensitive, but implementations MUST send upper-case."""
    assert b"SIP/2.0" in parse(octets(start=start)).render().partition(b"\r\n")[0]


@pytest.mark.parametrize("version", ["SIP/3.0", "SIP/2.1", "sip/1.0"])
def test_another_version_is_505_and_can_be_answered(version: str) -> None:
    """RFC 3261 §21.5.6: the server does not support the SIP protocol version that was used."""
    error = refused(octets(start=f"OPTIONS sip:bob@biloxi.com {version}"))
    assert error.status == 505
    assert error.message.call_id == "a84b4c76e66710@pc33.atlanta.com"


@pytest.mark.parametrize(
    "start",
    [
        "",
        "OPTIONS",
        "OPTIONS sip:bob@biloxi.com",
        "OPTIONS sip:bob@biloxi.com HTTP/1.1",
        "OPTIONS  sip:bob@biloxi.com SIP/2.0",
        "OPTIONS sip:bob@biloxi.com SIP/2.0 ",
        "OPT:IONS sip:bob@biloxi.com SIP/2.0",
        " OPTIONS sip:bob@biloxi.com SIP/2.0",
        "SIP/2.0 99 Low",
        "SIP/2.0 700 High",
        "SIP/2.0 2000 OK",
        "SIP/2.0 ²00 OK",
        "SIP/2.0",
        "SIP/3.0 200 OK",
    ],
)
def test_what_is_no_start_line_is_refused(start: str) -> None:
    """RFC 3261 §7.1: the elements are separated by a single SP, and no CR or LF stands within them."""
    assert refused(octets(start=start)).status == 400


def test_an_unknown_method_is_a_token_like_any_other() -> None:
    """RFC 3261 §25.1: extension-method = token."""
    rows = [*without("CSeq"), "CSeq: 1 !interesting-Method0123456789_*+`.%indeed'~"]
    message = parse(
        octets(*rows, start="!interesting-Method0123456789_*+`.%indeed'~ sip:bob@biloxi.com SIP/2.0")
    )
    assert isinstance(message, Request)
    check_request(message)


def test_line_breaks_before_the_start_line_are_ignored() -> None:
    """RFC 3261 §7.5: implementations SHOULD ignore any CRLF appearing before the start-line."""
    assert parse(b"\r\n\r\n\r\n" + octets()) == parse(octets())


@pytest.mark.accepts("C7")
def test_a_folded_row_is_one_row() -> None:
    """RFC 3261 §7.3.1: the line break and the white space before the next line are a single SP."""
    message = parse(
        octets(*ROWS, "Subject: I know you're there,", "         pick up the phone", "\tand answer!")
    )
    assert message.get("Subject") == "I know you're there, pick up the phone and answer!"


@pytest.mark.accepts("C7")
@pytest.mark.parametrize(
    "row",
    [
        "Subject:lunch",
        "Subject      :      lunch",
        "Subject            :lunch",
        "Subject: lunch",
        "s: lunch ",
        "SUBJECT\t:\tlunch",
    ],
)
def test_white_space_around_the_colon_means_nothing(row: str) -> None:
    """RFC 3261 §7.3.1: these are all valid and equivalent."""
    assert parse(octets(*ROWS, row)).get("subject") == "lunch"


@pytest.mark.accepts("C7")
def test_names_are_read_in_any_case_and_in_compact_form() -> None:
    """RFC 3261 §7.3.1: field names are case-insensitive; §7.3.3: both forms MUST be accepted."""
    rows = [
        "v: SIP/2.0/UDP h;branch=z9hG4bK1",
        "f: <sip:a@h>;tag=1",
        "T: <sip:b@h>",
        "i: 1",
        "cSEQ: 1 OPTIONS",
    ]
    message = parse(octets(*rows, "m: <sip:c@h>", "k: 100rel", "l: 0"))
    check_request(message)  # type: ignore[arg-type]
    assert message.from_tag == "1"
    assert message.supported == ["100rel"]
    assert str(message.contacts[0].uri) == "sip:c@h"
    assert message.names() == [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Supported",
        "Content-Length",
    ]


@pytest.mark.accepts("C7")
def test_rows_and_commas_are_the_same_list() -> None:
    """RFC 3261 §7.3.1: multiple rows can be combined into one, each value separated by a comma."""
    commas = parse(
        octets(*ROWS, "Route: <sip:alice@atlanta.com>, <sip:bob@biloxi.com>, <sip:carol@chicago.com>")
    )
    rows = parse(
        octets(
            *ROWS,
            "Route: <sip:alice@atlanta.com>",
            "Route: <sip:bob@biloxi.com>",
            "Route: <sip:carol@chicago.com>",
        )
    )
    assert [str(route) for route in commas.routes] == [str(route) for route in rows.routes]
    assert rows.get_all("Route") == [
        "<sip:alice@atlanta.com>",
        "<sip:bob@biloxi.com>",
        "<sip:carol@chicago.com>",
    ]


@pytest.mark.accepts("C6")
def test_unknown_headers_are_kept_in_order_as_they_are_spelled() -> None:
    """RFC 3261 §7.3.1: header fields that are not understood are ignored, and a proxy passes them on."""
    message = parse(octets(*ROWS, "X-Second-Thing: 2, 3", "aThird: 4", "x-second-thing: 5"))
    assert message.get_all("X-SECOND-THING") == ["2, 3", "5"]
    wire = message.render().decode()
    assert "X-Second-Thing: 2, 3\r\nX-Second-Thing: 5\r\naThird: 4\r\n" in wire
    assert parse(wire.encode()) == message


def test_bytes_that_are_no_utf8_come_through_unchanged() -> None:
    """RFC 3261 §7: text is UTF-8; what is not is carried all the same."""
    data = octets(*ROWS).replace(b"Alice", b'"Al\xedce \xc3\xa9"')
    assert b'"Al\xedce \xc3\xa9"' in parse(data).render()


@pytest.mark.parametrize(
    "bad", ["Subject: a\rb", "Subject: a\nb", "Subject: a\0b", "Sub\0ject: a", "\rSubject: a"]
)
def test_a_bare_line_break_or_nul_is_refused(bad: str) -> None:
    """RFC 3261 §25.1: neither CR, LF nor NUL stands in a header value, but for a NUL that is escaped."""
    error = refused(octets(*ROWS, bad))
    assert error.status == 400
    assert b"\r" not in error.message.render().replace(b"\r\n", b"")
    assert b"\n" not in error.message.render().replace(b"\r\n", b"")


def test_an_escaped_nul_in_a_quoted_string_stands() -> None:
    """RFC 4475 §3.1.1.2: a quoted string with an escaped NUL in it is valid."""
    rows = [*without("To"), 'To: "NUL:\\\0 DEL:\\\x7f" <sip:1_unusual.URI@example.com>']
    message = parse(octets(*rows))
    check_request(message)  # type: ignore[arg-type]
    assert parse(message.render()) == message


@pytest.mark.parametrize("row", ["no colon at all", ": no name", "two words: x", "Via", "(: x"])
def test_what_is_no_header_field_is_refused_with_the_rest_at_hand(row: str) -> None:
    """RFC 3261 §7.3: message-header = field-name ":" field-value."""
    error = refused(octets(*ROWS, row))
    assert error.status == 400
    assert error.message.cseq.number == 314159


@pytest.mark.parametrize("name", ["Via", "To", "From", "Call-ID", "CSeq"])
def test_a_request_without_one_of_the_five_fields_is_400(name: str) -> None:
    """RFC 3261 §8.1.1: a valid request MUST, at a minimum, contain To, From, CSeq, Call-ID and Via."""
    error = refused(octets(*without(name)))
    assert error.status == 400
    assert error.what == f"{name}: missing"
    assert isinstance(error.message, Request)


def test_a_request_without_max_forwards_is_taken() -> None:
    """RFC 3261 §16.3: if the request does not contain a Max-Forwards, this check is passed (RFC 2543)."""
    message = parse(octets(*without("Max-Forwards")))
    check_request(message)  # type: ignore[arg-type]
    assert message.max_forwards is None


@pytest.mark.parametrize("name", ["To", "From", "Call-ID", "CSeq", "Max-Forwards"])
def test_a_single_field_that_stands_twice_is_400(name: str) -> None:
    """RFC 3261 §7.3.1: several rows of a name only if its value is a comma-separated list."""
    twice = next(row for row in ROWS if row.startswith(name))
    assert refused(octets(*ROWS, twice)).what == f"{name}: stands more than once"


@pytest.mark.parametrize(
    "value", ["2147483648 OPTIONS", "-1 OPTIONS", "1", "1 INVITE", "x OPTIONS", "1 options"]
)
def test_a_cseq_that_is_wrong_is_400(value: str) -> None:
    """RFC 3261 §8.1.1.5: a number less than 2**31, and a method that matches that of the request."""
    assert refused(octets(*without("CSeq"), f"CSeq: {value}")).what.startswith("CSeq")


@pytest.mark.parametrize("value", ["256", "-1", "x", ""])
def test_max_forwards_outside_its_range_is_400(value: str) -> None:
    """RFC 3261 §20.22: the Max-Forwards value is an integer in the range 0-255."""
    assert refused(octets(*without("Max-Forwards"), f"Max-Forwards: {value}")).what.startswith("Max-Forwards")


@pytest.mark.parametrize(
    "uri", ["<sip:bob@biloxi.com>", "sip:", "bob", "sip:bob@biloxi.com?Subject=x", "sip:a\tb@c"]
)
def test_a_request_uri_that_is_none_is_400(uri: str) -> None:
    """RFC 3261 §7.1: the Request-URI MUST NOT be enclosed in "<>"; §19.1.1: it holds no headers."""
    assert refused(octets(start=f"OPTIONS {uri} SIP/2.0")).what.startswith("Request-URI")


def test_without_content_length_a_datagram_ends_the_body() -> None:
    """RFC 3261 §18.3: if the header field is not present, the body extends to the end of the packet."""
    assert parse(octets(body=b"v=0\r\n")).body == b"v=0\r\n"


def test_bytes_behind_content_length_are_dropped() -> None:
    """RFC 3261 §18.3: bytes in the packet beyond the end of the body MUST be discarded."""
    assert parse(octets(*ROWS, "Content-Length: 3", body=b"v=0\r\n")).body == b"v=0"


def test_a_body_that_is_cut_off_is_400_and_can_be_answered() -> None:
    """RFC 3261 §18.3: if the packet ends before the end of the body, a request gets a 400."""
    error = refused(octets(*ROWS, "Content-Length: 9999", body=b"v=0\r\n"))
    assert (error.status, error.what) == (400, "Content-Length: larger than the message")
    request = error.message
    assert (request.via.branch, request.cseq.number) == ("z9hG4bK776asdhds", 314159)
    assert request.from_tag == "1928301774"


@pytest.mark.parametrize(
    "value", ["-1", "x", "", "1.5", "+1", "1_0", "²", "٣", "0x10", "99999999999", "1" * 5000]
)
def test_a_content_length_that_is_no_length_is_400(value: str) -> None:
    """RFC 3261 §20.14: any Content-Length greater than or equal to zero is a valid value; nothing else is."""
    error = refused(octets(*ROWS, f"Content-Length: {value}"))
    assert error.status == 400
    assert error.what.startswith("Content-Length")


def test_two_content_lengths_stand_if_they_agree() -> None:
    """RFC 4475 §3.3.9: where the values differ, the end of the message is not known."""
    assert parse(octets(*ROWS, "Content-Length: 1", "l: 1", body=b"ab")).body == b"a"
    assert refused(octets(*ROWS, "Content-Length: 1", "l: 2", body=b"ab")).status == 400
    assert parse(octets(*ROWS, "Content-Length: 000000000000002", body=b"ab")).body == b"ab"


def test_a_message_without_the_empty_line_is_400_and_can_be_answered() -> None:
    """RFC 3261 §7: the empty line MUST be present even if the message-body is not."""
    error = refused(octets()[:-2])
    assert error.status == 400
    assert error.message.call_id == "a84b4c76e66710@pc33.atlanta.com"


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"\r\n\r\n", b"\0" * 20, b"\x16\x03\x01", b"\r\n\r\n\r\n\r\n\0"]
)
def test_bytes_that_are_no_message_leave_nothing_to_answer(data: bytes) -> None:
    """RFC 3261 §7: a message begins with a start line."""
    error = refused(data)
    assert error.status == 400
    assert error.message is None


def test_a_message_over_the_limit_is_513_and_can_be_answered() -> None:
    """RFC 3261 §21.5.7: the message length exceeded the capabilities of the server."""
    error = refused(octets(body=b"x" * 2000), Limits(max_message_size=1000))
    assert error.status == 513
    assert error.message.cseq.method == "OPTIONS"


def test_header_fields_over_the_limit_are_400() -> None:
    """A stranger cannot make us keep more header fields than `max_header_count`."""
    limits = Limits(max_header_count=10)
    parse(octets(*ROWS, *["X: 1"] * 4), limits)
    parse(octets(*ROWS, *["X: 1", " 2"] * 4), limits)
    error = refused(octets(*ROWS, *["X: 1"] * 5), limits)
    assert error.status == 400
    assert error.message.to.uri.user == "bob"


def test_a_line_over_the_limit_is_400() -> None:
    """A stranger cannot make us read a line longer than `max_line_length`, folded or not."""
    limits = Limits(max_line_length=100)
    parse(octets(*ROWS, "Subject: " + "x" * 80), limits)
    for rows in (["Subject: " + "x" * 100], ["Subject: " + "x" * 50, " " + "x" * 50]):
        error = refused(octets(*ROWS, *rows), limits)
        assert error.status == 400
        assert error.message.via.host == "pc33.atlanta.com"
        assert error.message.get("Subject") is None
    assert refused(octets(start=f"OPTIONS sip:{'b' * 100}@biloxi.com SIP/2.0"), limits).status == 400


def test_names_that_strangers_make_up_do_not_fill_the_memory() -> None:
    """The memo of header names has a limit."""
    from sipactors.message import registry

    for number in range(6000):
        parse(octets(*ROWS, f"X-{number}: 1"))
    assert len(registry.KEYS) <= registry.MAX_KEYS
