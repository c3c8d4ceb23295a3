"""What holds for any bytes: they parse or raise MalformedMessage, in time that grows with their length."""

from __future__ import annotations

import itertools
import os
import pathlib
import random
import re
import timeit
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import (
    Framer,
    Message,
    Ping,
    Pong,
    Request,
    check_request,
    check_response,
    parse,
    request,
    response_to,
)
from sipactors.message.build import can_answer
from sipactors.message.media import MediaType
from sipactors.message.multipart import find_part, read_parts
from sipactors.settings import Limits

MUTATIONS = int(os.environ.get("SIPACTORS_FUZZ", "5000"))
CORPUS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "corpora" / "rfc4475"

OWN = [
    b"INVITE sip:bob@biloxi.com;transport=tcp SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP [2001:db8::9:1]:5060;branch=z9hG4bKas3-111;rport;received=192.0.2.1\r\n"
    b"Via: SIP/2.0/TLS h ; branch=z9hG4bK1 , SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks\r\n"
    b'Max-Forwards: 70\r\nRoute: <sip:p1.example.com;lr>, "P, 2" <sips:p2.example.com;lr>\r\n'
    b'From: "A \\"lice" <sip:alice:pw@atlanta.com:5060?Subject=x>;tag=1928301774\r\n'
    b"To: <tel:+1-201-555-0123;phone-context=example.com>;tag=x\r\nCall-ID: a84b4c@pc33.atlanta.com\r\n"
    b"CSeq: 314159 INVITE\r\nContact: <sip:alice@pc33.atlanta.com;gr=urn:uuid:f81d>;expires=3600;q=0.7\r\n"
    b"Subject: folded\r\n  row\r\nSession-Expires: 1800;refresher=uac\r\nEvent: presence;id=1\r\n"
    b"Date: Sat, 13 Nov 2010 23:29:00 GMT\r\n"
    b"Warning: 307 isi.edu \"Session parameter 'foo' not understood\"\r\n"
    b'Authorization: Digest username="bob", realm="biloxi.com", nonce="dcd98b", uri="sip:bob@biloxi.com",'
    b' qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae4", opaque="5ccc069c"\r\n'
    b"Replaces: 98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff\r\n"
    b"Retry-After: 18000;duration=3600\r\n"
    b'Reason: SIP ;cause=200 ;text="Call completed elsewhere"\r\n'
    b"Accept: text/*;q=0.1, application/sdp;level=1\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
    b"SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\n"
    b"f: sip:a@h;tag=1\r\nt: sip:b@h;tag=2\r\n"
    b'i: 1\r\nCSeq: 2 REGISTER\r\nWWW-Authenticate: Digest realm="a", nonce="b", qop="auth,auth-int"\r\n'
    b"Timestamp: 54.1 0.3\r\nRSeq: 1\r\nl: 0\r\n\r\n",
]


def seeds() -> list[bytes]:
    return OWN + [path.read_bytes() for path in sorted(CORPUS.glob("*.dat"))]


def read_all(data: bytes) -> Message | None:
    """Do with bytes what the stack does with those of a stranger; only MalformedMessage may come of it."""
    try:
        message = parse(data)
    except MalformedMessage as error:
        assert 400 <= error.status < 600  # noqa: PT017
        if can_answer(error.message):
            parse(response_to(error.message, error.status, to_tag="1").render())
        return None
    for name in message.names():
        try:
            message.typed(name)
        except MalformedMessage as error:
            assert error.message is message  # noqa: PT017
    try:
        if isinstance(message, Request):
            check_request(message)
        else:
            check_response(message)
        find_part(message, "application/sdp")
    except MalformedMessage:
        pass
    if isinstance(message, Request):
        answer = parse(response_to(message, 200, to_tag="1").render())
        assert answer.get_all("Via") == message.get_all("Via")
    return message


def check_round_trip(message: Message) -> None:
    wire = message.render()
    assert parse(wire) == message
    assert parse(wire).render() == wire
    assert parse(message.render(compact=True)) == message


@given(st.binary(max_size=300))
def test_any_bytes_parse_or_are_malformed(data: bytes) -> None:
    """House rule: strangers' input raises one thing, MalformedMessage."""
    message = read_all(data)
    if message is not None:
        check_round_trip(message)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LINE = st.one_of(
    TEXT,
    st.sampled_from([row for seed in OWN for row in seed.decode().split("\r\n")]),
    st.tuples(st.sampled_from(["Via", "v", "To", "Contact", "Route", "CSeq", "l", "X-A"]), TEXT).map(
        ": ".join
    ),
)


@given(st.lists(LINE, max_size=12), st.binary(max_size=60), st.sampled_from(["\r\n", "\n", "\r\n "]))
def test_any_lines_parse_or_are_malformed_and_come_back_the_same(
    rows: list[str], body: bytes, eol: str
) -> None:
    """parse(render(parse(x))) == parse(x), for whatever parses."""
    for start in ("OPTIONS sip:bob@biloxi.com SIP/2.0", "SIP/2.0 200 OK"):
        message = read_all(eol.join([start, *rows]).encode() + b"\r\n\r\n" + body)
        if message is not None:
            check_round_trip(message)


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_text_of_an_application_makes_another_header(value: str, name: str) -> None:
    """D-41: what an application sets is refused at once, or is one row of that header on the wire."""
    made = request("OPTIONS", "sip:b@h", from_="<sip:a@h>", to="<sip:b@h>", call_id="1", cseq=1)
    count = len(list(made.rows()))
    try:
        made.add(f"X{name}", value)
    except ArgumentError:
        assert len(list(made.rows())) == count
        return
    again = parse(made.render())
    assert len(list(again.rows())) == count + 2
    assert again.get(f"X{name}") == value.strip(" \t")


@given(st.binary(max_size=80), st.lists(st.integers(0, 400), max_size=6))
def test_a_stream_gives_the_same_messages_at_any_splits(noise: bytes, cuts: list[int]) -> None:
    """RFC 3261 §18.3: how a stream was cut into segments means nothing."""
    stream = OWN[1] + b"\r\n" + OWN[1] + noise
    edges = [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]

    def run(segments: list[bytes]) -> tuple[list[object], int | None]:
        framer = Framer()
        frames: list[object] = []
        try:
            for segment in segments:
                for frame in framer.feed(segment):
                    if not isinstance(frame, Ping | Pong):
                        frames.append(frame)
        except MalformedMessage as error:
            assert framer.broken
            return frames, error.status
        return frames, None

    assert run([stream[a:b] for a, b in itertools.pairwise(edges)]) == run([stream])


def mutated(seed: bytes, dice: random.Random, others: list[bytes]) -> bytes:
    data = bytearray(seed)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + dice.choice((1, 1, 2, 5, 20, 100)))
        kind = dice.randrange(7)
        if kind == 0:
            data[at:end] = b""
        elif kind == 1:
            data[at:at] = bytes(dice.choices(range(256), k=dice.randrange(1, 5)))
        elif kind == 2:
            data[at:at] = dice.choice(PIECES)
        elif kind == 3:
            data[at:end] = dice.choice(PIECES)
        elif kind == 4:
            data[at:at] = data[at:end] * dice.choice((1, 2, 50))
        elif kind == 5:
            other = dice.choice(others)
            begin = dice.randrange(len(other))
            data[at:end] = other[begin : begin + dice.randrange(1, 80)]
        else:
            rows = bytes(data).split(b"\r\n")
            one, two = dice.randrange(len(rows)), dice.randrange(len(rows))
            rows[one], rows[two] = rows[two], rows[one]
            data = bytearray(b"\r\n".join(rows))
        if not data:
            data += b"\r\n"
    return bytes(data)


PIECES = [
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"\0",
        b"\r\n ",
        b"\r\n\r\n",
        b'"',
        b"\\",
        b"<",
        b">",
        b",",
        b";",
        b"=",
        b":",
        b"@",
    ),
    *(b"%00", b"%", b"?", b"[", b"]", b"*", b"\xff\xfe", b"\xc3\xa9", b"4294967296", b"-1", b"0", b"9" * 400),
    *(
        b"sip:",
        b"SIP/2.0",
        b"SIP/2.0/UDP ",
        b"tag=",
        b"q=",
        b"lr",
        b"l: ",
        b"v:",
        b"Contact: *\r\n",
        b"\t",
        b"()",
    ),
]


def test_mutated_messages_are_read_or_malformed() -> None:
    """House rule: anything but MalformedMessage on bad input is a bug. SIPACTORS_FUZZ: how many."""
    dice = random.Random(4475)
    all_seeds = seeds()
    for number in range(MUTATIONS):
        data = mutated(dice.choice(all_seeds), dice, all_seeds)
        try:
            message = read_all(data)
            if message is not None and number % 5 == 0:
                check_round_trip(message)
        except Exception as error:
            raise AssertionError(f"mutation {number}: {data!r}") from error


OPEN = Limits(max_message_size=10**9, max_header_count=10**9, max_line_length=10**9)
HEAD = (
    b"OPTIONS sip:bob@biloxi.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
    b"To: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
)


def row(text: bytes, name: str) -> Callable[[int], Callable[[], object]]:
    """Reads a message with a header row that `text`, %s standing for a repetition, makes long."""

    def make(size: int) -> Callable[[], object]:
        before, repeated, after = re.split(rb"[{}]", text)
        data = HEAD + before + repeated * size + after + b"\r\n\r\n"

        def run() -> None:
            try:
                parse(data, OPEN).typed(name)
            except MalformedMessage:
                pass

        return run

    return make


def reading(make: Callable[[int], bytes]) -> Callable[[int], Callable[[], object]]:
    def prepare(size: int) -> Callable[[], object]:
        data = make(size)
        return lambda: read_all_open(data)

    return prepare


def read_all_open(data: bytes) -> None:
    try:
        message = parse(data, OPEN)
        message.render()
        message.copy()
    except MalformedMessage:
        pass


def framing(step: int) -> Callable[[int], Callable[[], object]]:
    def prepare(size: int) -> Callable[[], object]:
        stream = HEAD + b"X: " + b"x" * size * 10 + b"\r\nl: 0\r\n\r\n" + HEAD + b"l: 0\r\n\r\n"

        def run() -> None:
            framer = Framer(OPEN)
            for at in range(0, len(stream), step):
                for _ in framer.feed(stream[at : at + step]):
                    pass

        return run

    return prepare


def parts(size: int) -> Callable[[], object]:
    media = MediaType.parse("multipart/mixed;boundary=b")
    body = b"--b\r\n\r\n" + b"\r\n--" * size + b"\r\n--b--"
    return lambda: read_parts(body, media)


GROWING: dict[str, Callable[[int], Callable[[], object]]] = {
    "folded rows": reading(lambda size: HEAD + b"Subject: x" + b"\r\n x" * size + b"\r\n\r\n"),
    "blank folds": reading(lambda size: HEAD + b"Subject: x" + b"\r\n " * size + b"\r\n\r\n"),
    "white space": reading(lambda size: HEAD + b"Subject: x" + b" " * size * 10 + b"x\r\n\r\n"),
    "rows of one name": reading(lambda size: HEAD + b"Via: SIP/2.0/UDP h\r\n" * size + b"\r\n"),
    "rows of an unknown name": reading(lambda size: HEAD + b"X-Mine: 1\r\n" * size + b"\r\n"),
    "rows of many names": reading(
        lambda size: HEAD + b"".join(b"X%d: 1\r\n" % number for number in range(size)) + b"\r\n"
    ),
    "a long body": reading(lambda size: HEAD + b"\r\n" + b"x" * size * 10),
    "line breaks before the start line": reading(lambda size: b"\r\n" * size * 10 + HEAD + b"\r\n"),
    "spaces in the start line": reading(
        lambda size: b"OPTIONS" + b" " * size * 10 + b"sip:x\r\n" + HEAD + b"\r\n"
    ),
    "bare line breaks": reading(lambda size: HEAD + b"\n" * size + b"\r\n\r\n"),
    "many Via": row(b"Via: {SIP/2.0/UDP h;branch=z9hG4bK1,}SIP/2.0/UDP h", "Via"),
    "many commas": row(b"Route: {,}", "Route"),
    "many quotes": row(b'Contact: {"}<sip:a@h>', "Contact"),
    "a long quoted name": row(b'Contact: "{\\"}" <sip:a@h>', "Contact"),
    "an open quoted name": row(b'Contact: "{\\"x, }<sip:a@h>', "Contact"),
    "open brackets": row(b"Contact: {<}sip:a@h>", "Contact"),
    "many parameters": row(b"Contact: <sip:a@h>{;a}", "Contact"),
    "white space in parameters": row(b"Contact: <sip:a@h>{ }x", "Contact"),
    "a long user part": row(b"Contact: <sip:{a%61}>", "Contact"),
    "many tokens": row(b"Supported: {a, }b", "Supported"),
    "a stream in small segments": framing(5),
    "delimiters in a multipart": parts,
}


SIZE = 2000
"Repetitions that make a message of a few thousand bytes: of larger ones, memory would be measured."


def seconds(run: Callable[[], object]) -> float:
    """The least time of several runs, each of a millisecond at least."""
    timer = timeit.Timer(run)
    once = max(min(timer.repeat(3, 1)), 1e-7)
    number = int(0.001 / once) + 1
    return min(timer.repeat(5, number)) / number


@pytest.mark.parametrize("name", GROWING)
def test_time_grows_with_length(name: str) -> None:
    """D-43: no quadratic parsing; twice the input never takes more than two and a half times the time."""
    once, twice = GROWING[name](SIZE), GROWING[name](2 * SIZE)
    # A busy machine may spoil one measure; quadratic time spoils them all.
    ratios = []
    for _ in range(6):
        ratios.append(seconds(twice) / seconds(once))
        if ratios[-1] <= 2.5:
            return
    pytest.fail(f"{name}: twice the input takes {ratios} times the time")
