"""Messages out of a stream: any split, several in a segment, pings, and streams that go wrong."""

from __future__ import annotations

import pytest

from sipactors.errors import MalformedMessage
from sipactors.message import PING, PONG, Framer, Request, Response, parse
from sipactors.settings import Limits

HEAD = (
    b"MESSAGE sip:bob@biloxi.com SIP/2.0\r\nVia: SIP/2.0/TCP h:5060;branch=z9hG4bK1\r\n"
    b"From: <sip:a@h>;tag=1\r\nTo: <sip:bob@biloxi.com>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n"
)
MESSAGE = HEAD + b"Content-Type: text/plain\r\nContent-Length: 12\r\n\r\nHi\r\n\r\nthere!"
EMPTY = HEAD + b"l: 0\r\n\r\n"
ANSWER = b"SIP/2.0 200 OK\r\n" + HEAD.partition(b"\r\n")[2] + b"Content-Length: 0\r\n\r\n"


def all_of(framer: Framer, *segments: bytes) -> list[object]:
    return [frame for segment in segments for frame in framer.feed(segment)]


def broken(data: bytes, limits: Limits | None = None) -> tuple[list[object], MalformedMessage]:
    framer = Framer(limits or Limits())
    before: list[object] = []
    with pytest.raises(MalformedMessage) as caught:
        before.extend(frame for frame in iter_into(before, framer, data))
    assert framer.broken
    assert framer.pending == 0
    assert list(framer.feed(MESSAGE)) == []
    return before, caught.value


def iter_into(seen: list[object], framer: Framer, data: bytes) -> list[object]:
    for frame in framer.feed(data):
        seen.append(frame)
    return []


def test_a_message_comes_out_whole_at_every_split() -> None:
    """RFC 3261 §18.3: the body ends where Content-Length says, however the stream was cut into segments."""
    stream = MESSAGE + EMPTY + ANSWER
    expected = [parse(MESSAGE), parse(EMPTY), parse(ANSWER)]
    for at in range(len(stream) + 1):
        framer = Framer()
        assert all_of(framer, stream[:at], stream[at:]) == expected
        assert framer.pending == 0


def test_messages_come_out_of_single_bytes() -> None:
    """RFC 3261 §18.3: a segment may hold as little as one byte."""
    framer = Framer()
    stream = MESSAGE + EMPTY
    frames = all_of(framer, *(stream[at : at + 1] for at in range(len(stream))))
    assert frames == [parse(MESSAGE), parse(EMPTY)]
    assert isinstance(frames[0], Request)
    assert frames[0].body == b"Hi\r\n\r\nthere!"


def test_requests_and_responses_share_a_segment() -> None:
    """RFC 3261 §18: a connection carries requests and responses both ways."""
    kinds = [type(frame) for frame in Framer().feed(ANSWER + EMPTY + ANSWER)]
    assert kinds == [Response, Request, Response]


def test_line_breaks_between_messages_are_skipped() -> None:
    """RFC 3261 §7.5: implementations over streams MUST ignore any CRLF before the start-line."""
    messages = [frame for frame in Framer().feed(b"\r\n" + EMPTY + b"\r\n" + MESSAGE) if frame is not PING]
    assert messages == [parse(EMPTY), parse(MESSAGE)]


def test_a_double_line_break_is_a_ping() -> None:
    """RFC 5626 §3.5.1: the client sends a double CRLF as its ping."""
    assert all_of(Framer(), b"\r\n\r\n") == [PING]
    assert all_of(Framer(), EMPTY + b"\r\n\r\n" + EMPTY + b"\r\n\r\n\r\n\r\n") == [
        parse(EMPTY),
        PING,
        parse(EMPTY),
        PING,
        PING,
    ]


def test_a_single_line_break_is_a_pong() -> None:
    """RFC 5626 §3.5.1: the server answers with a single CRLF."""
    assert all_of(Framer(), b"\r\n") == [PONG]
    assert all_of(Framer(), b"\r", b"\n") == [PONG]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_ping_is_a_ping_at_every_split(at: int) -> None:
    """RFC 5626 §3.5.1: a ping cut in two is answered all the same."""
    ping = b"\r\n\r\n"
    assert [frame for frame in all_of(Framer(), ping[:at], ping[at:]) if frame is PING] == [PING]


def test_pongs_that_are_awaited_are_never_taken_for_pings() -> None:
    """RFC 5626 §4.4.1: each CRLF that comes while a pong is awaited is that pong."""
    framer = Framer()
    for _ in range(3):
        framer.pong_awaited = True
        assert all_of(framer, b"\r\n") == [PONG]
    framer.pong_awaited = True
    assert all_of(framer, b"\r", b"\n" + EMPTY) == [PONG, parse(EMPTY)]
    framer.pong_awaited = True
    assert all_of(framer, b"\r\n\r\n") == [PONG, PONG]


def test_without_content_length_a_stream_is_broken_and_the_request_can_be_answered() -> None:
    """RFC 3261 §20.14: if a stream-based protocol is used, the Content-Length header field MUST be used."""
    before, error = broken(EMPTY + HEAD + b"\r\n")
    assert before == [parse(EMPTY)]
    assert error.status == 400
    assert error.message.method == "MESSAGE"


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        (b"l: -1\r\n", 400),
        (b"l: x\r\n", 400),
        (b"l: 1\r\nl: 2\r\n", 400),
        (b"l: 70000\r\n", 513),
        (b"x\r\n", 400),
    ],
)
def test_a_framing_error_comes_behind_the_messages_before_it(rows: bytes, status: int) -> None:
    """RFC 3261 §18.3: where the end of a message is not known, the connection is of no more use."""
    before, error = broken(MESSAGE + b"\r\n\r\n" + ANSWER + HEAD + rows + b"\r\n" + EMPTY)
    assert before == [parse(MESSAGE), PING, parse(ANSWER)]
    assert error.status == status
    assert error.message.call_id == "1"


@pytest.mark.parametrize(
    "garbage", [b"\0\1\2\r\n\r\n", b"\n\n" + EMPTY, b"\rX" + EMPTY, b"GET / HTTP/1.1\r\n\r\n"]
)
def test_garbage_breaks_the_stream(garbage: bytes) -> None:
    """RFC 3261 §7: what is no start line begins no message."""
    assert broken(garbage)[1].status == 400


def test_a_header_section_without_end_is_refused_at_the_limit() -> None:
    """A stranger cannot make us hold more than `max_message_size` bytes of a message."""
    limits = Limits(max_message_size=1000)
    framer = Framer(limits)
    assert list(framer.feed(HEAD + b"X: " + b"x" * 500)) == []
    assert framer.pending == len(HEAD) + 503
    assert broken(HEAD + b"X: " + b"x" * 1000, limits)[1].status == 513
    assert broken(HEAD + b"X: " + b"x" * 1000 + b"\r\n\r\n", limits)[1].status == 513


def test_a_body_over_the_limit_is_refused_before_it_comes() -> None:
    """RFC 3261 §21.5.7: 513, the message length exceeded the capabilities of the server."""
    error = broken(HEAD + b"l: 1000\r\n\r\n", Limits(max_message_size=1000))[1]
    assert error.status == 513
    assert error.message.via.branch == "z9hG4bK1"


def test_other_versions_can_be_answered_over_a_stream() -> None:
    """RFC 3261 §21.5.6: 505, the server does not support the SIP protocol version."""
    error = broken(EMPTY.replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia"))[1]
    assert error.status == 505
    assert error.message.call_id == "1"
