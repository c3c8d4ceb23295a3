"""Any bytes: read or MalformedMessage, in linear time; what is well formed comes out as it went in."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipactors.errors import MalformedMessage
from sipactors.sdp import (
    LocalMedia,
    OfferAnswer,
    SessionDescription,
    answer,
    answer_to,
    audio_offer,
    new_origin,
)

TOKEN = st.text("abcXYZ019.-+*_~{}|^`!#$%&'", min_size=1, max_size=8)
TEXT = st.text(
    st.characters(blacklist_characters="\0\r\n", blacklist_categories=["Cs"]), min_size=1, max_size=20
)
WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
NUMBER = st.integers(0, 2**64).map(str)
ADDRESS = st.sampled_from(
    ["IP4 192.0.2.1", "IP6 2001:db8::1", "IP4 host.example.com", "IP4 233.252.0.1/127/3"]
)
TIME = st.one_of(st.just("0"), st.integers(10**9, 10**11).map(str))
TYPED = st.builds(
    lambda n, unit: f"{n}{unit}", st.integers(1, 10**6), st.sampled_from(["", "d", "h", "m", "s"])
)


def lines(letter: str, value: st.SearchStrategy[str], most: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(value.map(lambda text: f"{letter}={text}"), max_size=most)


ATTRIBUTES = lines(
    "a",
    st.one_of(
        TOKEN,
        st.builds(lambda name, text: f"x-{name}:{text}", TOKEN, TEXT),
        st.builds(
            lambda n, name, rate: f"rtpmap:{n} {name}/{rate}",
            st.integers(0, 127),
            TOKEN,
            st.integers(1, 90000),
        ),
        st.builds(lambda n, text: f"fmtp:{n} x{text}", st.integers(0, 127), TEXT),
    ),
    4,
)
BANDWIDTH = lines("b", st.builds(lambda kind, n: f"{kind}:{n}", TOKEN, NUMBER), 2)
CONNECTION = ADDRESS.map(lambda address: f"c=IN {address}")


@st.composite
def times(draw: st.DrawFn) -> list[str]:
    result = [f"t={draw(TIME)} {draw(TIME)}"]
    for _ in range(draw(st.integers(0, 2))):
        result.append(f"r={draw(TYPED)} {draw(TYPED)} {draw(TYPED)}")
    if len(result) > 1 and draw(st.booleans()):
        result.append(f"z={draw(TIME)} -{draw(TYPED)}")
    return result


@st.composite
def streams(draw: st.DrawFn) -> list[str]:
    port = draw(st.integers(0, 65535).map(lambda n: f"{n:0{draw(st.integers(1, 7))}d}"))
    count = draw(st.sampled_from(["", "/2"]))
    protocol = draw(st.sampled_from(["RTP/AVP", "udptl", "UDP/TLS/RTP/SAVPF"]))
    formats = " ".join(draw(st.lists(st.one_of(TOKEN, st.integers(0, 127).map(str)), min_size=1, max_size=5)))
    return [
        f"m={draw(TOKEN)} {port}{count} {protocol} {formats}",
        *draw(lines("i", TEXT)),
        *draw(st.lists(CONNECTION, max_size=2)),
        *draw(BANDWIDTH),
        *draw(lines("k", st.sampled_from(["prompt", "clear:x", "uri:http://example.com"]))),
        *draw(ATTRIBUTES),
    ]


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    result = [
        "v=0",
        f"o={draw(WORD)} {draw(NUMBER)} {draw(NUMBER)} IN {draw(ADDRESS)}",
        f"s={draw(TEXT)}",
        *draw(lines("i", TEXT)),
        *draw(lines("u", WORD)),
        *draw(lines("e", st.sampled_from(["a@b.c", "A B <a@b.c>", "a@b.c (A B)"]), 2)),
        *draw(lines("p", st.sampled_from(["+1 617 555-6011", "A <+1 617>", "+1 (A B)"]), 2)),
        draw(CONNECTION),
        *draw(BANDWIDTH),
    ]
    for part in draw(st.lists(times(), min_size=1, max_size=2)):
        result += part
    result += draw(ATTRIBUTES)
    for part in draw(st.lists(streams(), max_size=3)):
        result += part
    return "".join(line + "\r\n" for line in result).encode()


@pytest.mark.accepts("C11")
@given(documents())
def test_what_is_well_formed_comes_out_as_it_went_in(text: bytes) -> None:
    """RFC 8866 §9: every document of the grammar is read, and rendered without loss."""
    session = SessionDescription.parse(text, strict=True)
    assert session.render() == text
    assert SessionDescription.parse(text) == session
    assert session.copy().render() == text
    assert session.times is not None
    for media in session.media:
        media.described_formats()


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"v=0\r\n", b"o=- 1 1 IN IP4 192.0.2.1\r\n", b"c=IN IP4 0.0.0.0\r\n",
                b"c=IN IP4 224.0.0.1\r\n", b"m=audio 5004 RTP/AVP 0 8 96 abc 300\r\n",
                b"m=audio 0 RTP/AVP\r\n", b"m=audio 9/0 RTP/AVP 0\r\n", b"a=rtpmap:abc PCMU/8000\r\n",
                b"a=rtpmap:96 telephone-event/8000\r\n", b"a=ptime:soon\r\n", b"a=ptime:\r\n",
                b"a=mid:\r\n", b"a=mid: \r\n", b"a=rtpmap:300 PCMU/8000\n", b"t=never\r\n",
                b"a=fmtp:0 \xff\xfe\r\n", b"a=sendonly\r\n", b"b=AS:x\r\n", b"a=rtcp-fb:* nack\r\n", b"m=",
            ]
        ),
        st.binary(max_size=12),
    ),
    max_size=14,
)  # fmt: skip


def allowed(read: Callable[[], SessionDescription], *statuses: int) -> SessionDescription | None:
    """What was read; None for a MalformedMessage with one of these statuses and a printable reason."""
    try:
        return read()
    except MalformedMessage as malformed:
        error = malformed
    assert error.status in statuses
    assert error.what.isprintable()
    return None


@given(st.one_of(st.binary(max_size=200), PIECES.map(lambda pieces: b"".join(pieces)), PIECES.map(
    lambda pieces: b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + b"".join(pieces))))  # fmt: skip
@example(b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\nc=IN IP4 224.0.0.1\r\n")
def test_any_bytes_are_read_or_malformed_and_answered_or_unacceptable(data: bytes) -> None:
    """Strangers' input raises one thing, MalformedMessage, with the status to answer."""
    for strict in (True, False):
        session = allowed(lambda strict=strict: SessionDescription.parse(data, strict=strict), 400)
        if session is not None:
            assert SessionDescription.parse(session.render(), strict=strict) == session
    local = [LocalMedia(4000, ["PCMA/8000", "PCMU/8000", "telephone-event/8000"]), LocalMedia(4002)]
    for answered in (
        allowed(lambda: answer_to(data, "192.0.2.9", 4000), 400, 488),
        allowed(
            lambda: answer(
                SessionDescription.parse(data),
                local,
                new_origin("192.0.2.9", 7),
                prefer="answer",
                single=True,
            ),
            400,
            488,
        ),
    ):
        if answered is not None:
            again = SessionDescription.parse(answered.render())
            assert len(again.media) == len(SessionDescription.parse(data).media)
    agent = OfferAnswer("192.0.2.9", [LocalMedia(4000)], session_id=7)
    agent.offer()
    try:
        agent.answer_received(data)
    except MalformedMessage:
        agent.offer_rejected()
    else:
        assert len(agent.negotiated) == 1


GROWING = {
    "formats": lambda n: "m=audio 9 RTP/AVP" + " 0" * n,
    "different formats": lambda n: "m=audio 9 RTP/AVP " + " ".join(map(str, range(n))),
    "attributes": lambda n: "m=audio 9 RTP/AVP 0" + "\r\na=rtpmap:0 PCMU/8000" * (n // 10),
    "spaces": lambda n: "m=audio 9 RTP/AVP 0\r\na=rtpmap:0" + " " * n + "x",
    "semicolons": lambda n: "m=audio 9 RTP/AVP 0\r\na=fmtp:0 " + ";" * n,
    "slashes": lambda n: "m=audio 9 " + "/".join("a" * (n // 2)) + " 0",
    "digits": lambda n: "m=audio " + "0" * n + " RTP/AVP 0",
    "addresses": lambda n: "c=IN IP4 1" + "/1" * n,
    "numbers": lambda n: "a=ptime:" + "1" * n,
    "repeats": lambda n: "r=1 1" + " 1d" * (n // 3),
    "empty lines": lambda n: "\r\n" * (n // 2),
}


@pytest.mark.parametrize("grow", GROWING.values(), ids=GROWING)
def test_time_grows_with_length_only(grow: object) -> None:
    """D-43: no quadratic parsing."""
    assert callable(grow)

    def cost(n: int) -> float:
        text = (
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" + grow(n) + "\r\n"
        ).encode()
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            for strict in (True, False):
                try:
                    answer_to(
                        SessionDescription.parse(text, strict=strict, max_size=10**7), "192.0.2.9", 4000
                    )
                except MalformedMessage:
                    pass
            best = min(best, time.process_time() - start)
        return best

    small, large = cost(8_000), cost(64_000)
    assert large < 24 * small + 0.02


def test_an_audio_offer_is_read_by_the_letter() -> None:
    text = audio_offer("2001:db8::1", 5004).render()
    assert SessionDescription.parse(text, strict=True).render() == text
