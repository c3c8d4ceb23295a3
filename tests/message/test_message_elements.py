"""What an application may say of a message, and what is the stack's own."""

from __future__ import annotations

import pytest

from sipactors.errors import ArgumentError
from sipactors.message import MessageElements, RequestElements, ResponseElements, parse

FORBIDDEN = [
    "Authentication-Info",
    "Call-ID",
    "CSeq",
    "From",
    "To",
    "Max-Forwards",
    "Min-Expires",
    "Record-Route",
    "Service-Route",
    "Via",
    "Security-Server",
    "Security-Verify",
    "Content-Length",
    "P-Access-Network-Info",
    "Content-Type",
]


@pytest.mark.accepts("C1")
@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_header_of_the_stacks_own_is_refused(name: str) -> None:
    """RFC 3261 §8.1.1: the UAC core, not its user, makes To, From, CSeq, Call-ID, Max-Forwards and Via."""
    with pytest.raises(ArgumentError):
        MessageElements([(name, "1")])
    with pytest.raises(ArgumentError):
        MessageElements({name.lower(): "1"})


@pytest.mark.accepts("C1")
@pytest.mark.parametrize("compact", ["v", "f", "t", "i", "l", "c"])
def test_its_compact_form_is_refused_too(compact: str) -> None:
    """RFC 3261 §7.3.3: a compact form may stand for the longer form at any time."""
    with pytest.raises(ArgumentError):
        MessageElements([(compact, "1")])


@pytest.mark.accepts("C1")
@pytest.mark.parametrize("value", ["a\r\nVia: x", "a\nb", "a\rb", "\r\n"])
def test_d_41_no_line_break_of_an_application_reaches_the_wire(value: str) -> None:
    """RFC 3261 §7.3.1: a header field value ends with the line, so none may hold a line break."""
    with pytest.raises(ArgumentError):
        MessageElements([("Subject", value)])
    with pytest.raises(ArgumentError):
        MessageElements(body=b"x", content_type=f"text/plain{value}")
    with pytest.raises(ArgumentError):
        ResponseElements(200, f"OK{value}")
    with pytest.raises(ArgumentError):
        RequestElements(f"sip:bob@example.com{value}", "MESSAGE")


@pytest.mark.accepts("C1")
@pytest.mark.parametrize("name", ["", "Sub ject", "Subject:", "Sub\r\nject"])
def test_a_header_name_is_a_token(name: str) -> None:
    """RFC 3261 §25.1: header-name = token."""
    with pytest.raises(ArgumentError):
        MessageElements([(name, "1")])


@pytest.mark.accepts("C2")
def test_tags_and_uri_headers_are_refused() -> None:
    """RFC 3261 §19.1.1, table 1: headers are not allowed in the Request-URI, To and From."""
    with pytest.raises(ArgumentError):
        RequestElements("sip:bob@example.com", "MESSAGE", from_="<sip:alice@example.com>;tag=1")
    with pytest.raises(ArgumentError):
        RequestElements("sip:bob@example.com", "MESSAGE", to="<sip:bob@example.com>;tag=1")
    with pytest.raises(ArgumentError):
        RequestElements("sip:bob@example.com?Subject=x", "MESSAGE")
    with pytest.raises(ArgumentError):
        RequestElements("sip:bob@example.com", "MESSAGE", to="<sip:bob@example.com?Subject=x>")


@pytest.mark.accepts("C3")
@pytest.mark.parametrize("status", [100, 99, 0, -1, 700, 1000, 200.5, "200", None])
def test_only_a_status_from_101_to_699_is_the_applications(status: object) -> None:
    """RFC 3261 §8.2.6.1: 100 is the stack's; RFC 3261 §7.2: a status is a 3-digit integer up to 699."""
    with pytest.raises(ArgumentError):
        ResponseElements(status)  # type: ignore[arg-type]


@pytest.mark.accepts("C3")
@pytest.mark.parametrize("status", [101, 180, 200, 302, 404, 503, 699])
def test_any_status_between_is_taken(status: int) -> None:
    """RFC 3261 §7.2: the first digit of the Status-Code defines the class of response."""
    assert ResponseElements(status).status == status


def test_a_body_needs_its_type() -> None:
    """RFC 3261 §20.15: the Content-Type header field MUST be present if the body is not empty."""
    with pytest.raises(ArgumentError):
        MessageElements(body=b"x")
    with pytest.raises(ArgumentError):
        MessageElements(body="x", content_type="text/plain")  # type: ignore[arg-type]


def test_elements_put_a_header_in_place_of_one_that_is_there() -> None:
    """RFC 3261 §7.3.1: several rows of one name mean what one row with a list means."""
    request = parse(
        b"MESSAGE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
        b"To: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\nSubject: old\r\nContent-Length: 0\r\n\r\n"
    )
    MessageElements(
        [("Subject", "new"), ("X-Own", "1"), ("X-Own", "2")], b"hi", content_type="text/plain"
    ).apply(request)
    assert request.get_all("Subject") == ["new"]
    assert request.get_all("X-Own") == ["1", "2"]
    assert request.body == b"hi"
    assert "X-Own" in request.names()
