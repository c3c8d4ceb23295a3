"""Bodies of several parts, read and written."""

from __future__ import annotations

import pytest

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import parse, request
from sipactors.message.media import MediaType
from sipactors.message.multipart import MAX_PARTS, Part, find_part, parts_of, read_parts, write_parts

MIXED = MediaType.parse('multipart/mixed; boundary="gc0pJq0M:08jU534c0p"')
RFC2046 = (
    b"This is the preamble.  It is to be ignored.\r\n"
    b"--gc0pJq0M:08jU534c0p\r\n"
    b"\r\n"
    b"This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.\r\n"
    b"--gc0pJq0M:08jU534c0p  \r\n"
    b"content-type: text/plain;\r\n charset=us-ascii\r\n"
    b"\r\n"
    b"It DOES end with a linebreak.\r\n\r\n"
    b"--gc0pJq0M:08jU534c0p--\r\n"
    b"This is the epilogue.  It is also to be ignored.\r\n"
)


def message_with(media: MediaType | str, body: bytes) -> object:
    made = request(
        *("INVITE", "sip:bob@biloxi.com"),
        from_="<sip:a@h>;tag=1",
        to="<sip:b@h>",
        call_id="1",
        cseq=1,
        body=body,
        content_type=media,
    )
    return parse(made.render())


def test_parts_are_read_as_rfc_2046_shows_them() -> None:
    """RFC 2046 §5.1.1: the CRLF before the boundary delimiter line belongs to the boundary."""
    implicit, explicit = read_parts(RFC2046, MIXED)
    assert implicit.content_type.essence == "text/plain"
    assert implicit.body.endswith(b"It does NOT end with a linebreak.")
    assert explicit.get("Content-Type") == "text/plain; charset=us-ascii"
    assert explicit.body == b"It DOES end with a linebreak.\r\n"


def test_parts_that_are_written_are_read_again() -> None:
    """RFC 5621 §3: a UAC may send several body parts in one message."""
    parts = [
        Part(b"v=0\r\n", "application/sdp"),
        Part(bytes(range(256)), "application/octet-stream", {"Content-ID": "<bin@h>", "X-Own": "1"}),
        Part(b""),
    ]
    media, body = write_parts(parts)
    assert read_parts(body, media) == parts
    message = message_with(media, body)
    assert parts_of(message) == parts  # type: ignore[arg-type]
    assert parts[1].content_id == "bin@h"


def test_the_session_description_is_found_among_the_parts() -> None:
    """RFC 5621 §4: a UA looks for the part it needs; §5: of alternatives the last is the best."""
    media, inner = write_parts([Part(b"1", "application/sdp"), Part(b"2", "application/sdp")], "alternative")
    media, body = write_parts([Part(b"hello", "text/plain"), Part(inner, media)])
    message = message_with(media, body)
    found = find_part(message, "application/SDP")  # type: ignore[arg-type]
    assert found is not None
    assert found.body == b"2"
    assert find_part(message, "application/isup") is None  # type: ignore[arg-type]


def test_a_body_that_is_no_multipart_is_its_only_part() -> None:
    """RFC 5621 §3: a message may have one body part, without multipart."""
    message = message_with("application/sdp", b"v=0\r\n")
    found = find_part(message, "application/sdp")  # type: ignore[arg-type]
    assert found is not None
    assert found.body == b"v=0\r\n"
    assert parts_of(message_with("text/plain", b"")) == []  # type: ignore[arg-type]


def test_the_torture_multipart_has_its_two_parts(corpus: dict[str, bytes]) -> None:
    """RFC 4475 §3.1.1.11: a MESSAGE with a multipart body, one part of it binary."""
    text, binary = parts_of(parse(corpus["mpart01"]))
    assert text.body == b"Hello"
    assert len(binary.body) == 342


def test_transfer_encodings_are_undone() -> None:
    """RFC 2045 §6: Content-Transfer-Encoding tells how the part was encoded."""
    assert Part(b"SGk=", headers={"Content-Transfer-Encoding": "Base64"}).content == b"Hi"
    assert Part(b"=48i", headers={"Content-Transfer-Encoding": "quoted-printable"}).content == b"Hi"
    assert Part(b"Hi", headers={"Content-Transfer-Encoding": "binary"}).content == b"Hi"
    for encoding, body in (("base64", b"S"), ("x-uuencode", b"x")):
        with pytest.raises(MalformedMessage):
            Part(body, headers={"Content-Transfer-Encoding": encoding}).content  # noqa: B018


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary",
        b"--b--",
        b"--b\r\n\r\nwithout an end",
        b"--b\r\nno colon\r\n\r\nx\r\n--b--",
        b"--b\r\nA: \rx\r\n\r\nx\r\n--b--",
        b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 1) + b"--b--",
    ],
)
def test_a_multipart_that_is_none_is_refused(body: bytes) -> None:
    """RFC 2046 §5.1: one or more parts, each behind a delimiter line, and a closing delimiter line."""
    with pytest.raises(MalformedMessage):
        read_parts(body, MediaType.parse("multipart/mixed;boundary=b"))


@pytest.mark.parametrize(
    "media", ["multipart/mixed", 'multipart/mixed;boundary=""', f"multipart/mixed;boundary={'b' * 71}"]
)
def test_a_multipart_needs_its_boundary(media: str) -> None:
    """RFC 2046 §5.1.1: the boundary parameter is required, and has no more than 70 characters."""
    with pytest.raises(MalformedMessage):
        read_parts(RFC2046, MediaType.parse(media))


def test_what_cannot_be_written_is_refused_at_the_caller() -> None:
    """RFC 2046 §5.1: the boundary MUST NOT appear inside any of the parts."""
    with pytest.raises(ArgumentError):
        write_parts([])
    with pytest.raises(ArgumentError):
        write_parts([Part(b"--b")], boundary="b")
    with pytest.raises(ArgumentError):
        write_parts([Part(b"x")], boundary="\r\n")
    with pytest.raises(ArgumentError):
        Part(b"x", "text/plain\r\nEvil: 1")
    with pytest.raises(ArgumentError):
        Part("text")  # type: ignore[arg-type]


def test_nesting_has_a_limit() -> None:
    """A stranger cannot make us follow parts in parts without end."""
    media, body = write_parts([Part(b"x", "application/sdp")])
    for _ in range(5):
        media, body = write_parts([Part(body, media)])
    with pytest.raises(MalformedMessage):
        find_part(message_with(media, body), "application/sdp")  # type: ignore[arg-type]
