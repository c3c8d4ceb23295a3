"""The 49 messages of RFC 4475, each with the verdict that the RFC gives it."""

from __future__ import annotations

import pytest

from sipactors.errors import MalformedMessage
from sipactors.message import Framer, Request, Response, check_request, check_response, parse, response_to
from sipactors.message.build import can_answer

pytestmark = pytest.mark.accepts("C10")

VALID = [
    *(
        "wsinv",
        "intmeth",
        "esc01",
        "escnull",
        "esc02",
        "lwsdisp",
        "longreq",
        "dblreq",
        "semiuri",
        "transports",
    ),
    *("mpart01", "unreason", "noreason", "badbranch", "unkscm", "novelsc", "unksm2", "bext01", "invut"),
    *("regaut01", "bcast", "zeromf", "cparam01", "cparam02", "regescrt", "sdp01", "inv2543"),
]

# The status of the answer, and the element at fault.
REFUSED = {
    "badinv01": (400, "Via"),
    "clerr": (400, "Content-Length"),
    "ncl": (400, "Content-Length"),
    "scalar02": (400, "CSeq"),
    "scalarlg": (400, "CSeq"),
    "quotbal": (400, "To"),
    "ltgtruri": (400, "Request-URI"),
    "lwsruri": (400, "not a request line"),
    "lwsstart": (400, "not a request line"),
    "trws": (400, "not a request line"),
    "escruri": (400, "Request-URI"),
    "badaspec": (400, "To"),
    "baddn": (400, "no empty line"),
    "badvers": (505, "version SIP/7.0"),
    "mismatch01": (400, "CSeq"),
    "mismatch02": (400, "CSeq"),
    "bigcode": (400, "not a status line"),
    "insuf": (400, "From"),
    "multi01": (400, "From"),
    "mcl01": (400, "Content-Length"),
}
# Messages that stand, with one header that does not read.
REFUSED_HEADER = {"baddate": "Date", "regbadct": "Contact"}


def check(message: Request | Response) -> None:
    if isinstance(message, Request):
        check_request(message)
    else:
        check_response(message)


def test_every_message_has_its_verdict_here(corpus: dict[str, bytes]) -> None:
    """RFC 4475 §3 gives 49 messages."""
    assert set(corpus) == {*VALID, *REFUSED, *REFUSED_HEADER}
    assert len(corpus) == 49


@pytest.mark.parametrize("name", VALID)
def test_a_valid_message_is_accepted_and_every_header_of_it_reads(
    corpus: dict[str, bytes], name: str
) -> None:
    """RFC 4475 §3.1.1: a parser must accept these messages."""
    message = parse(corpus[name])
    check(message)
    for header in message.names():
        message.typed(header)
    assert parse(message.render()) == message


@pytest.mark.parametrize("name", REFUSED)
def test_an_invalid_message_is_refused_with_its_status(corpus: dict[str, bytes], name: str) -> None:
    """RFC 4475 §3.1.2: these messages are broken, and a request among them gets the status named there."""
    status, what = REFUSED[name]
    with pytest.raises(MalformedMessage) as caught:
        check(parse(corpus[name]))
    assert caught.value.status == status
    assert caught.value.what.startswith(what)


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_request_can_be_answered(corpus: dict[str, bytes], name: str) -> None:
    """RFC 4475 §3.1.2: an element receiving this request should respond with a 400 Bad Request error."""
    with pytest.raises(MalformedMessage) as caught:
        check(parse(corpus[name]))
    request = caught.value.message
    if corpus[name].startswith(b"SIP/"):
        assert not can_answer(request)
        return
    assert can_answer(request)
    answer = parse(response_to(request, caught.value.status, to_tag="1").render())
    assert isinstance(answer, Response)
    assert answer.get_all("Via") == request.get_all("Via")
    for header in ("From", "Call-ID", "CSeq"):
        assert answer.get(header) == request.get(header)
        assert len(answer.get_all(header)) <= 1


@pytest.mark.parametrize("name", REFUSED_HEADER)
def test_a_broken_header_is_refused_where_it_is_read(corpus: dict[str, bytes], name: str) -> None:
    """RFC 4475 §3.1.2.12: an element wishing to reject the request may; §3.1.2.13: 400, or be lenient."""
    message = parse(corpus[name])
    check(message)
    with pytest.raises(MalformedMessage) as caught:
        message.typed(REFUSED_HEADER[name])
    assert caught.value.status == 400


def test_a_display_name_that_is_no_token_is_refused(corpus: dict[str, bytes]) -> None:
    """RFC 4475 §3.1.2.15: the From display name holds a comma, which needs quotes."""
    message = parse(corpus["baddn"] + b"\r\n")
    with pytest.raises(MalformedMessage) as caught:
        check(message)
    assert caught.value.what.startswith("From")


def test_scalar_fields_over_their_range_are_refused_where_they_are_read(corpus: dict[str, bytes]) -> None:
    """RFC 4475 §3.1.2.4: CSeq, Max-Forwards, Expires and the expires of Contact are too large."""
    message = parse(corpus["scalar02"])
    for header in ("CSeq", "Max-Forwards"):
        with pytest.raises(MalformedMessage):
            message.typed(header)


def test_the_whole_message_of_a_tortuous_invite_is_read(corpus: dict[str, bytes]) -> None:
    """RFC 4475 §3.1.1.1: folding, compact forms, mixed case, empty and unknown fields, escaped quotes."""
    message = parse(corpus["wsinv"])
    assert isinstance(message, Request)
    assert [via.transport for via in message.vias] == ["UDP", "TCP", "UDP"]
    assert (message.cseq.number, message.cseq.method) == (9, "INVITE")
    assert message.max_forwards == 68
    assert message.to_tag == "1918181833n"
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert message.call_id == "wsinv.ndaksdj@192.0.2.1"
    assert message.get("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.routes[0].uri.host == "services.example.com"
    assert message.content_type is not None
    assert message.content_type.essence == "application/sdp"
    assert len(message.body) == 150


def test_bytes_behind_the_body_are_dropped(corpus: dict[str, bytes]) -> None:
    """RFC 4475 §3.1.1.8: a UDP datagram with a REGISTER and, behind it, an INVITE: only the first counts."""
    message = parse(corpus["dblreq"])
    assert isinstance(message, Request)
    assert message.method == "REGISTER"
    assert message.body == b""


def test_an_empty_reason_phrase_stays_empty(corpus: dict[str, bytes]) -> None:
    """RFC 4475 §3.1.1.13: this well-formed response contains no reason phrase."""
    message = parse(corpus["noreason"])
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (100, "")


def framed(data: bytes, at: int) -> list[object]:
    framer = Framer()
    frames: list[object] = list(framer.feed(data[:at]))
    frames += framer.feed(data[at:])
    assert framer.pending == 0
    return frames


@pytest.mark.parametrize("name", VALID)
def test_a_valid_message_is_framed_at_every_split(corpus: dict[str, bytes], name: str) -> None:
    """RFC 3261 §18.3: over a stream, Content-Length gives the end of a message."""
    data = corpus[name]
    message = parse(data)
    if "Content-Length" not in message:
        with pytest.raises(MalformedMessage):
            list(Framer().feed(data))
        return
    # What stands behind the first message of dblreq is another message; bytes behind it are not framed here.
    data = data[: data.index(b"\r\n\r\n") + 4 + len(message.body)]
    step = 1 if len(data) < 1500 else 7
    for at in range(0, len(data) + 1, step):
        assert framed(data, at) == [message]
