"""How fast sipactors reads and answers messages, as ratios to other Python stacks in the same run.

    python tests/bench/bench_message.py [rounds]

Each round measures every contender once, one after the other, so that a busy machine slows all of them
alike; the ratio of a line is the median over the rounds. Contenders that are not installed are named
as absent.
"""

from __future__ import annotations

import importlib
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from timeit import Timer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sipactors.message import check_request, parse, response_to

SDP = (
    b"v=0\r\no=alice 2890844526 2890844526 IN IP4 pc33.atlanta.example.com\r\ns=-\r\n"
    b"c=IN IP4 192.0.2.101\r\nt=0 0\r\nm=audio 49172 RTP/AVP 0 8 101\r\n"
    b"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
)
HEAD = (
    b"INVITE sip:bob@biloxi.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.example.com:5060;branch=z9hG4bKnashds8\r\n"
    b"Via: SIP/2.0/UDP bigbox3.site3.atlanta.example.com;branch=z9hG4bK77ef4c2312983.1;received=192.0.2.2\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice" <sip:alice@atlanta.example.com>;tag=1928301774\r\n'
    b'To: "Bob" <sip:bob@biloxi.example.com>\r\n'
    b"Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Contact: <sip:alice@pc33.atlanta.example.com>\r\n"
    b"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE\r\n"
    b"Supported: replaces\r\n"
    b"User-Agent: example/1.0\r\n"
    b"Content-Type: application/sdp\r\n"
)
INVITE = HEAD + b"Content-Length: %d\r\n\r\n" % len(SDP) + SDP
OPTIONS = (
    b"OPTIONS sip:bob@biloxi.example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP pc33.atlanta.example.com:5060;branch=z9hG4bKnashds8\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice" <sip:alice@atlanta.example.com>;tag=1928301774\r\n'
    b"To: <sip:bob@biloxi.example.com>\r\n"
    b"Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n"
    b"CSeq: 314159 OPTIONS\r\n"
    b"Contact: <sip:alice@pc33.atlanta.example.com>\r\n"
    b"Accept: application/sdp\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def parse_alone() -> None:
    """One INVITE, start line and raw rows."""
    parse(INVITE)


def parse_and_read() -> None:
    """One INVITE, and the six values that a transaction and a dialog read of it."""
    message = parse(INVITE)
    message.via, message.from_, message.to, message.call_id, message.cseq, message.contacts  # noqa: B018


def parse_and_check() -> None:
    """One INVITE, held to what RFC 3261 asks of every request."""
    check_request(parse(INVITE))  # type: ignore[arg-type]


_options = parse(OPTIONS)


def answer() -> None:
    """The bytes of a 200 to OPTIONS."""
    response_to(_options, 200, to_tag="a6c85cf").render()  # type: ignore[arg-type]


def _twisted() -> Callable[[], object]:
    sip = importlib.import_module("twisted.protocols.sip")

    def run() -> None:
        parser = sip.MessagesParser(lambda message: None)
        parser.dataReceived(INVITE)
        parser.dataDone()

    return run


def _sipmessage() -> Callable[[], object]:
    sipmessage = importlib.import_module("sipmessage")
    return lambda: sipmessage.Message.parse(INVITE)


def _sippy() -> Callable[[], object]:
    request = importlib.import_module("sippy.SipRequest").SipRequest
    text = INVITE.decode()
    return lambda: request(text)


OURS: dict[str, Callable[[], object]] = {
    "parse": parse_alone,
    "parse + read six values": parse_and_read,
    "parse + check_request": parse_and_check,
    "response_to + render": answer,
}
OTHERS: dict[str, Callable[[], Callable[[], object]]] = {
    "twisted.protocols.sip": _twisted,
    "sipmessage": _sipmessage,
    "sippy": _sippy,
}


def measure(rounds: int = 7, number: int = 5000) -> tuple[dict[str, list[float]], list[str]]:
    """Microseconds per call of every contender, one figure a round; and the contenders that are absent."""
    contenders = dict(OURS)
    absent = []
    for name, make in OTHERS.items():
        try:
            run = make()
            run()
        except Exception as error:
            absent.append(f"{name} ({type(error).__name__}: {error})")
        else:
            contenders[name] = run
    timers = {name: Timer(run) for name, run in contenders.items()}
    figures: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            figures[name].append(timer.timeit(number) / number * 1e6)
    return figures, absent


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    figures, absent = measure(rounds)
    yardstick = figures.get("twisted.protocols.sip")
    print(f"INVITE of {len(INVITE)} bytes, OPTIONS of {len(OPTIONS)}; {rounds} rounds, medians")
    print(f"{'':30}{'us':>8}{'best us':>9}{'x faster than twisted.protocols.sip':>37}")
    for name, times in figures.items():
        ratio = ""
        if yardstick is not None:
            ratio = f"{statistics.median(t / o for t, o in zip(yardstick, times, strict=True)):.2f}"
        print(f"{name:30}{statistics.median(times):8.2f}{min(times):9.2f}{ratio:>37}")
    for name in absent:
        print(f"absent: {name}")


if __name__ == "__main__":
    main()
