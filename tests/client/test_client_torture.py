"""RFC 4475 on the wire, and messages broken at random: a running agent answers what it can and stays
whole."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    ConnectionObserver,
    InviteUsage,
    MessageElements,
    ResponseElements,
    SIPClient,
    Stack,
)
from sipactors.client.capabilities import KNOWN_METHODS
from sipactors.dice import Dice
from sipactors.message import RequestElements, Response, parse
from sipactors.testing import Clock, Network
from sipactors.testing.dns import StaticResolver
from sipactors.trace import Ladder

AGENT, STRANGER = "192.0.2.1", "192.0.2.2"

LENIENT = {"baddate", "badaspec", "baddn", "trws", "escruri", "lwsstart", "ltgtruri", "regbadct"}
"Where RFC 4475 lets an element be lenient: refused or answered, either is right."

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class Answering(ConnectionObserver):
    """Takes every call and every request, and ends a call that is never acknowledged."""

    def request_received(self, transaction: Any) -> None:
        if transaction.method == "INVITE":
            InviteUsage.incoming(transaction)
            transaction.respond(ResponseElements(180))
            transaction.respond(ResponseElements(200, body=SDP, content_type="application/sdp"))
        elif transaction.method in ("SUBSCRIBE", "REFER"):
            transaction.respond(ResponseElements(603))
        else:
            transaction.respond(ResponseElements(200))

    def dialog_request_received(self, transaction: Any, dialog: Any) -> None:
        if transaction.response_allowed:
            transaction.respond(ResponseElements(200, body=b"x", content_type="text/plain"))

    def usage_failed(self, error: Any, usage: Any, transaction: Any) -> None:
        if usage.dialog.state == "CONFIRMED" and type(error).__name__ == "NoAckReceived":
            usage.bye()


class Stranger(DatagramProtocol):
    """Sends bytes, and keeps what comes back."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        self.got.append(parse(data))

    def say(self, data: bytes) -> None:
        self.transport.write(data, (AGENT, 5060))


class Scene:
    """An agent that answers everything, and a stranger that sends it anything."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, capture=200)
        reactor = self.network.host("agent", AGENT)
        self.lines: list[str] = []
        self.stack = Stack(
            reactor,
            resolver=StaticResolver({}),
            dice=Dice(random.Random(3).randbytes),
            trace=Ladder(lambda line: None, self.clock),
        )
        self.stack.add_access_point(
            AccessPoint("lan", [f"udp:5060:interface={AGENT}", f"tcp:5060:interface={AGENT}"])
        )
        self.stack.startService()
        capabilities = Capabilities(methods=tuple(sorted(KNOWN_METHODS)))
        self.client = SIPClient(self.stack, "agent", None, capabilities)  # type: ignore[arg-type]
        self.connection = Connection(self.client, "lan", Answering())
        self.host = self.network.host("stranger", STRANGER)
        self.stranger = Stranger()
        self.host.listenUDP(5060, self.stranger, STRANGER, 65535)

    def answers(self) -> list[Any]:
        """Every response that the agent sent to anywhere."""
        sent = [
            parse(packet.data)
            for packet in self.network.capture
            if packet.source == (AGENT, 5060) and packet.data.startswith(b"SIP/2.0")
        ]
        return [response for response in sent if isinstance(response, Response)]

    def check_whole(self) -> None:
        """Nothing is left of anybody, nothing went wrong in secret, and a good request is answered."""
        self.clock.advance(200)
        stack = self.stack
        (access,) = stack.access_points
        dispatcher = access.dispatcher
        assert stack.metrics.faults == 0
        assert stack.metrics.observer_errors == 0
        assert (dispatcher.clients, dispatcher.servers, dispatcher._merged) == ({}, {}, {})
        assert dispatcher.unanswered == 0
        assert (len(access.dialogs), access.dialogs._waiting) == (0, {})
        assert len(stack.timers) == 0
        assert self.connection._children == {}
        self.stranger.got.clear()
        self.stranger.say(OPTIONS)
        self.clock.advance(1)
        assert [response.status for response in self.stranger.got] == [200]


OPTIONS = (
    f"OPTIONS sip:agent@{AGENT} SIP/2.0\r\nVia: SIP/2.0/UDP {STRANGER}:5060;branch=z9hG4bKwhole\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:s@example.com>;tag=1\r\nTo: <sip:agent@example.com>\r\n"
    "Call-ID: whole\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
).encode()


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture(scope="module")
def verdicts(root: Any, corpus: Any) -> dict[str, tuple[str, str]]:
    """Verdict and answer of each message, from the corpus's own table."""
    text = (root.parent / "shared" / "corpora" / "rfc4475" / "README.md").read_text()
    rows = re.findall(r"^\| [0-9.]+ \| (\w+) \| .* \| ([VIE]) \| *(\d*) *\|$", text, re.MULTILINE)
    assert len(rows) == 49
    return {name: (verdict, answer) for name, verdict, answer in rows}


NAMES = re.findall(
    r"\w+",
    "wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 unreason noreason "
    "badinv01 clerr ncl scalar02 scalarlg quotbal ltgtruri lwsruri lwsstart trws escruri baddate regbadct "
    "badaspec baddn badvers mismatch01 mismatch02 bigcode badbranch insuf unkscm novelsc unksm2 bext01 invut "
    "regaut01 multi01 mcl01 bcast zeromf cparam01 cparam02 regescrt sdp01 inv2543",
)


@pytest.mark.accepts("C10")
@pytest.mark.parametrize("name", NAMES)
def test_each_message_of_rfc_4475_has_its_answer(
    scene: Scene, corpus: dict[str, bytes], verdicts: dict[str, tuple[str, str]], name: str
) -> None:
    """RFC 4475 §3: what each message asks of a UAS, with the status where it names one."""
    data = corpus[name]
    verdict, answer = verdicts[name]
    scene.stranger.say(data)
    scene.clock.advance(5)
    statuses = [response.status for response in scene.answers()]
    finals = [status for status in statuses if status >= 200]
    if data.startswith(b"SIP/") or data.startswith(b"ACK "):
        assert statuses == []
    elif name == "mismatch02":
        assert finals[0] in (400, 501)
    elif name in LENIENT:
        assert len(finals) >= 1
    elif name == "inv2543":
        # RFC 3261 §8.1.1.8: an INVITE that has no Contact cannot make a dialog (row G15).
        assert set(finals) == {400}
    elif answer:
        assert set(finals) == {int(answer)}
    else:
        assert verdict == "V"
        assert finals
        assert not set(finals) & {400, 500, 505}
    scene.check_whole()


def test_all_of_them_one_after_the_other(scene: Scene, corpus: dict[str, bytes]) -> None:
    """RFC 4475: none of them harms what comes next, nor its own copy."""
    for name in NAMES:
        for _ in range(2):
            scene.stranger.say(corpus[name])
            scene.clock.advance(0.1)
    scene.check_whole()


@pytest.mark.parametrize(
    "wrong",
    [
        b"Record-Route: <sip:192.0.2.2:port;lr>",
        b"Record-Route: <http://192.0.2.2>",
        b"Contact: <tel:+123>",
        b"Contact: *",
        b"Contact: <sip:a@192.0.2.2>, <sip:b@192.0.2.2>",
    ],
)
def test_an_invite_that_no_dialog_can_be_made_of_never_reaches_the_application(
    scene: Scene, wrong: bytes
) -> None:
    """RFC 3261 §8.1.1.8: Contact "MUST be present and contain exactly one SIP or SIPS URI"; what a dialog
    needs is read before the application is asked (G15)."""
    (good,) = [message for message in own_messages() if message.startswith(b"INVITE")]
    name = wrong.partition(b":")[0]
    scene.stranger.say(re.sub(name + rb": [^\r]*", wrong, good))
    scene.clock.advance(1)
    assert {response.status for response in scene.answers()} == {400}
    scene.check_whole()


@pytest.mark.parametrize("status", [180, 200])
@pytest.mark.parametrize(
    "wrong",
    [b"Contact: <sip:s@192.0.2.2:port>", b"Record-Route: <sip:192.0.2.2;lr", b"Record-Route: <tel:+123>"],
)
def test_a_response_that_no_dialog_can_be_made_of(scene: Scene, status: int, wrong: bytes) -> None:
    """RFC 3261 §12.1.2: the dialog takes Contact and Record-Route of the response: a 2xx without is a failure
    that the application hears of; a provisional response without is dropped."""
    failed: list[Any] = []
    scene.connection.observer.usage_failed = lambda error, usage, transaction: failed.append(error)
    requests: list[bytes] = []
    scene.stranger.datagramReceived = (  # type: ignore[method-assign]
        lambda data, addr: requests.append(data)  # type: ignore[assignment,misc]
    )
    usage = InviteUsage.outgoing(scene.connection, f"sip:s@{STRANGER}", from_="sip:agent@example.com")
    transaction = usage.invite(MessageElements(body=SDP, content_type="application/sdp"))
    scene.clock.advance(0.01)
    name = wrong.partition(b":")[0]
    for _ in range(2):
        scene.stranger.say(re.sub(name + rb": [^\r]*", wrong, answer(requests[0], status)))
        scene.clock.advance(0.5)
    assert [type(error).__name__ for error in failed] == (["InvalidDialogResponse"] if status == 200 else [])
    assert scene.stack.metrics.malformed == (2 if status == 180 else 1)
    if status == 180:
        scene.stranger.say(answer(requests[0], 486))
        scene.clock.advance(0.1)
        assert transaction.response is not None
        assert transaction.response.status == 486
    scene.stranger.datagramReceived = Stranger.datagramReceived.__get__(scene.stranger)  # type: ignore[method-assign]
    scene.check_whole()


def own_messages() -> list[bytes]:
    """One good request of every kind, as seeds for broken ones."""
    made = []
    for number, method in enumerate(sorted(KNOWN_METHODS)):
        tag = ";tag=there" if method in ("ACK", "BYE", "PRACK", "UPDATE", "INFO", "NOTIFY") else ""
        body = SDP.decode() if method in ("INVITE", "UPDATE") else "hello" if method == "MESSAGE" else ""
        kind = (
            f"Content-Type: {'application/sdp' if body.startswith('v') else 'text/plain'}\r\n" if body else ""
        )
        made.append(
            (
                f"{method} sip:agent@{AGENT};transport=udp SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {STRANGER}:5060;rport;branch=z9hG4bKown{number}, "
                "SIP/2.0/TCP p.example.com;branch=2\r\n"
                'Max-Forwards: 70\r\nFrom: "A \\"b\\" c" <sip:s@example.com;x=y>;tag=here\r\n'
                f"To: <sip:agent@example.com>{tag}\r\nCall-ID: own-{number}@x\r\nCSeq: 7 {method}\r\n"
                f"Contact: <sip:s@{STRANGER}:5060>\r\nRecord-Route: <sip:{STRANGER};lr>\r\n"
                "Supported: 100rel, timer\r\nAccept: application/sdp;q=0.5, text/*\r\nExpires: 60\r\n"
                "Event: presence;id=1\r\nRAck: 1 7 INVITE\r\n"
                "Refer-To: <sip:c@example.com?Replaces=a%3Bto-tag%3D1>\r\n"
                f"Subscription-State: active;expires=60\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode()
        )
    return made


SPECIALS = [
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\x00", b'"', b"<", b">", b";", b",", b":", b"@", b"%", b"%00",
    b"\\", b" ", b"\t", b"=", b"\xff\xfe", b"\xc3\x28", b"(", b")", b"[", b"]", b"[::1]",
    b"sip:", b"SIP/2.0", b"\r\n ",
    b"Via: x\r\n", b"z9hG4bK", b"99999999999999999999", b"-1", b";tag=", b";rport", b";lr", b"*", b"a" * 300,
]  # fmt: skip


def broken(dice: random.Random, seeds: list[bytes]) -> bytes:
    """One message with one to four things wrong with it."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(1, 4)):
        if not data:
            break
        at = dice.randrange(len(data))
        what = dice.randrange(9)
        if what == 0:
            data[at] = dice.randrange(256)
        elif what == 1:
            del data[at : at + dice.randint(1, 30)]
        elif what == 2:
            data[at:at] = dice.choice(SPECIALS)
        elif what == 3:
            data[at:at] = data[at : at + dice.randint(1, 200)]
        elif what == 4:
            del data[at:]
        elif what == 5:
            other = dice.choice(seeds)
            start = dice.randrange(len(other))
            data[at:at] = other[start : start + dice.randint(1, 100)]
        elif what == 6:
            lines = bytes(data).split(b"\r\n")
            dice.shuffle(lines[1:])
            one, two = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[one]
            data = bytearray(b"\r\n".join(lines))
        elif what == 7:
            lines = bytes(data).split(b"\r\n")
            lines.insert(dice.randrange(len(lines)), dice.choice(lines))
            data = bytearray(b"\r\n".join(lines))
        else:
            number = re.search(rb"\d+", bytes(data[at:]))
            if number is not None:
                data[at + number.start() : at + number.end()] = b"%d" % dice.choice([0, 1, 7, 2**31, 2**64])
    return bytes(data)


def rounds(default: int) -> int:
    """How many broken messages: SIPACTORS_FUZZ says it for a long run."""
    return int(os.environ.get("SIPACTORS_FUZZ", default))


def seeds_of(root: Any) -> list[bytes]:
    folder = root.parent / "shared" / "corpora" / "rfc4475"
    return own_messages() + [path.read_bytes() for path in sorted(folder.glob("*.dat"))]


def test_broken_requests_harm_nobody(scene: Scene, root: Any) -> None:
    """RFC 4475 §1: a parser must be robust; here nothing but MalformedMessage ever comes of strangers'
    bytes."""
    dice = random.Random(4475)
    seeds = seeds_of(root)
    for number in range(rounds(5000)):
        scene.stranger.say(broken(dice, seeds))
        if number % 10 == 9:
            scene.clock.advance(0.5)
            assert scene.stack.metrics.faults == 0, number
    scene.check_whole()
    assert scene.stack.metrics.malformed > 100


def test_broken_streams_harm_nobody(scene: Scene, root: Any) -> None:
    """RFC 3261 §18.3: over a stream Content-Length says where a message ends; a lie costs the liar its
    connection."""
    from twisted.internet.protocol import ClientFactory, Protocol

    factory = ClientFactory()
    factory.noisy = False
    factory.protocol = Protocol  # type: ignore[assignment]
    dice = random.Random(4476)
    seeds = seeds_of(root)
    for number in range(rounds(1000) // 10):
        scene.host.connectTCP(AGENT, 5060, factory)
        scene.clock.advance(0.01)
        stream = scene.host.streams[-1]
        for _ in range(10):
            stream.write(broken(dice, seeds))
        scene.clock.advance(0.1)
        stream.loseConnection()
        scene.clock.advance(1)
        assert scene.stack.metrics.faults == 0, number
    scene.check_whole()


def test_broken_responses_harm_nobody(scene: Scene) -> None:
    """RFC 3261 §18.3: a response that does not read is discarded; one that still reads has no more effect
    than it says."""
    dice = random.Random(4477)
    requests: list[bytes] = []
    hear: Callable[..., None] = lambda data, addr: requests.append(data)  # noqa: E731
    scene.stranger.datagramReceived = hear  # type: ignore[method-assign,assignment]
    for number in range(rounds(2000) // 10):
        requests.clear()
        if number % 2:
            usage = InviteUsage.outgoing(scene.connection, f"sip:s@{STRANGER}", from_="sip:agent@example.com")
            usage.invite(MessageElements(body=SDP, content_type="application/sdp"))
        else:
            scene.connection.send_request(
                RequestElements(f"sip:s@{STRANGER}", "OPTIONS", from_="sip:agent@example.com")
            )
        scene.clock.advance(0.01)
        good = [
            answer(requests[0], status)
            for status in (100, 180, 200, 302, 401, 404, 408, 481, 486, 491, 503, 600)
        ]
        for _ in range(10):
            scene.stranger.say(broken(dice, good))
        scene.clock.advance(0.1)
        assert scene.stack.metrics.faults == 0, number
        if number % 20 == 19:
            scene.clock.advance(10)
    scene.clock.advance(500)
    for child in list(scene.connection._children):
        # A call that a broken 200 has confirmed goes on until one side ends it.
        child.close()
    scene.stranger.datagramReceived = Stranger.datagramReceived.__get__(scene.stranger)  # type: ignore[method-assign]
    scene.check_whole()


def answer(request: bytes, status: int) -> bytes:
    """A good response to a request of the agent's."""
    rows = dict(line.split(b": ", 1) for line in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:])
    return b"\r\n".join(
        [
            b"SIP/2.0 %d Whatever" % status,
            *(b"%s: %s" % (name, rows[name]) for name in (b"Via", b"From", b"Call-ID", b"CSeq")),
            b"To: %s;tag=there" % rows[b"To"],
            b"Contact: <sip:s@192.0.2.2:5060>, <sip:t@192.0.2.2>",
            b"Record-Route: <sip:192.0.2.2;lr>",
            b'WWW-Authenticate: Digest realm="x", nonce="y", algorithm=MD5, qop="auth"',
            b"Retry-After: 5",
            b"Content-Length: 0",
            b"",
            b"",
        ]
    )
