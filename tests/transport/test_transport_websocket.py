"""SIP over WebSocket (RFC 7118) on the in-memory network, the other end played by wsproto itself."""

from __future__ import annotations

import os
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from sipactors.errors import ArgumentError
from sipactors.testing.certificates import Authority

A, B = "192.0.2.1", "192.0.2.2"


def sip(via: str, *more: str, method: str = "OPTIONS", body: bytes = b"") -> bytes:
    lines = (
        f"{method} sip:bob@example.com SIP/2.0",
        f"Via: {via}",
        "Max-Forwards: 70",
        "From: <sip:a@example.com>;tag=a",
        "To: <sip:bob@example.com>",
        "Call-ID: 1",
        f"CSeq: 1 {method}",
        *more,
    )
    return "\r\n".join((*lines, "", "")).encode() + body


VIA = "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK1"
CONTACT = "Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>"


class Browser:
    """A WebSocket client that is no sipactors."""

    def __init__(self, world: Any, host: Any, port: int = 80, **request: Any) -> None:
        self.world = world
        self.raw = world.connect(host, B, port)
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events: list[Any] = []
        asked = {"host": "example.com", "target": "/", "subprotocols": ["sip"], **request}
        self.write(self.ws.send(Request(**asked)))

    def write(self, data: bytes) -> None:
        self.raw.transport.write(data)
        self.world.clock.advance(0.1)
        self.read()

    def send(self, event: Any) -> None:
        self.write(self.ws.send(event))

    def read(self) -> None:
        data, self.raw.data = self.raw.data, b""
        if data:
            self.ws.receive_data(data)
            self.events += self.ws.events()

    def take(self) -> list[Any]:
        self.world.clock.advance(0.1)
        self.read()
        events, self.events = self.events, []
        return events


@pytest.fixture
def bob(world: Any) -> Any:
    bob = world.end("bob", B)
    bob.layer.listen(f"ws:80:interface={B}")
    return bob


@pytest.fixture
def laptop(world: Any) -> Any:
    return world.network.host("laptop", A)


@pytest.fixture
def browser(world: Any, bob: Any, laptop: Any) -> Browser:
    browser = Browser(world, laptop)
    (accepted,) = browser.take()
    assert isinstance(accepted, AcceptConnection)
    assert accepted.subprotocol == "sip"
    return browser


@pytest.mark.accepts("J3")
class TestHandshake:
    """RFC 7118 §4.1: both ends have to name the subprotocol sip."""

    def test_a_client_without_the_subprotocol_is_refused(self, world: Any, bob: Any, laptop: Any) -> None:
        """A WebSocket client that does not offer sip is answered 400 and closed, and counted."""
        for offered in ([], ["chat"]):
            browser = Browser(world, laptop, subprotocols=offered)
            (refused, *_) = browser.take()
            assert isinstance(refused, RejectConnection)
            assert refused.status_code == 400
            assert browser.raw.ended
        assert bob.metrics.handshakes_failed == 2
        assert len(bob.layer.connections) == 0

    @pytest.mark.parametrize(
        "data",
        [
            b"OPTIONS sip:bob@example.com SIP/2.0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: \xff\xff\r\nConnection: \xff\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: " + b"x" * 70000,
            b"\0" * 100,
        ],
    )
    def test_what_is_no_handshake_is_refused(self, world: Any, bob: Any, laptop: Any, data: bytes) -> None:
        """Whatever comes instead of a handshake: the connection is closed, bounded, without a fault."""
        raw = world.connect(laptop, B, 80)
        raw.transport.write(data)
        world.clock.advance(1)
        assert raw.ended
        assert bob.metrics.handshakes_failed == 1
        assert bob.metrics.faults == 0

    def test_a_handshake_has_a_deadline(self, world: Any, bob: Any, laptop: Any) -> None:
        """D-30: whoever connects and does not go on is closed."""
        raw = world.connect(laptop, B, 80)
        raw.transport.write(b"GET / HTTP/1.1\r\n")
        world.clock.advance(11)
        assert raw.ended
        assert bob.metrics.slow_senders_closed == 1

    def test_a_path_that_is_not_served_is_refused(self, world: Any, laptop: Any) -> None:
        """With path= only that resource is served."""
        bob = world.end("bob", B)
        bob.layer.listen(f"ws:80:interface={B}:path=/ws")
        (refused, *_) = Browser(world, laptop, target="/").take()
        assert refused.status_code == 404
        (accepted,) = Browser(world, laptop, target="/ws?token=1").take()
        assert isinstance(accepted, AcceptConnection)

    @pytest.mark.parametrize("answer", [None, "other", "reject"])
    def test_a_server_that_does_not_agree_is_refused(
        self, world: Any, laptop: Any, answer: str | None
    ) -> None:
        """Our client goes on only when the server's 101 names sip; the failure says why."""
        from twisted.internet.protocol import Factory, Protocol

        class Server(Protocol):
            def dataReceived(self, data: bytes) -> None:
                ws = WSConnection(ConnectionType.SERVER)
                ws.receive_data(data)
                assert next(iter(ws.events())).subprotocols == ["sip"]
                event = RejectConnection(status_code=403) if answer == "reject" else AcceptConnection()
                out = ws.send(event)
                if answer == "other":
                    out = out.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
                self.transport.write(out)

        laptop.listenTCP(80, Factory.forProtocol(Server), interface=A)
        carol = world.end("carol", "192.0.2.3")
        carol.layer.listen("ws:0:interface=192.0.2.3:listen=no")
        flow = carol.layer.flow_to("WS", A, 80, "example.com")
        flow.watch(carol.watcher())
        flow.send(b"never")
        world.clock.advance(1)
        ((_, why),) = carol.lost
        assert "no WebSocket handshake" in why
        assert ("403" in why) == (answer == "reject")
        world.clock.advance(11)
        assert len(carol.layer.connections) == 0
        assert carol.metrics.handshakes_failed == 1


@pytest.mark.accepts("J3")
class TestMessages:
    """RFC 7118 §4.2: one SIP message in each WebSocket message."""

    def test_text_and_binary(self, browser: Browser, bob: Any) -> None:
        """Text and binary messages are both SIP; Content-Length is not needed; Via has WS."""
        browser.send(TextMessage(sip(VIA, body="hällo".encode()).decode()))
        browser.send(BytesMessage(sip(VIA, body=b"\xff\0")))
        assert [message.body for message in bob.messages] == ["hällo".encode(), b"\xff\0"]
        assert bob.messages[0].via.received == A
        assert {flow.transport for flow in bob.flows} == {"WS"}
        flow = bob.flows[0]
        flow.send(b"SIP/2.0 200 OK\r\n\r\n")
        flow.send(b"SIP/2.0 200 OK\r\n\r\n\xff")
        text, binary = browser.take()
        assert (type(text), text.data) == (TextMessage, "SIP/2.0 200 OK\r\n\r\n")
        assert (type(binary), bytes(binary.data)) == (BytesMessage, b"SIP/2.0 200 OK\r\n\r\n\xff")

    def test_fragments_and_segments(self, browser: Browser, bob: Any) -> None:
        """A message in many frames, with a ping between them, cut into segments anywhere, is one message."""
        text = sip(VIA, body=b"x" * 200).decode()
        wire = b"".join(
            [
                browser.ws.send(TextMessage(text[:10], message_finished=False)),
                browser.ws.send(Ping(b"now")),
                browser.ws.send(TextMessage("", message_finished=False)),
                browser.ws.send(TextMessage(text[10:])),
                browser.ws.send(TextMessage(text)),
            ]
        )
        for start in range(0, len(wire), 7):
            browser.write(wire[start : start + 7])
        assert len(bob.messages) == 2
        assert all(message.body == b"x" * 200 for message in bob.messages)
        assert browser.take() == [Pong(b"now")]

    def test_two_messages_in_one_are_one_with_a_body(self, browser: Browser, bob: Any) -> None:
        """A WebSocket message MUST NOT contain more than one SIP message: Content-Length ends it."""
        browser.send(TextMessage((sip(VIA, "Content-Length: 0") * 2).decode()))
        assert len(bob.messages) <= 1

    def test_what_is_no_sip_is_told_and_survived(self, browser: Browser, bob: Any) -> None:
        """A malformed message goes to whoever answers 400; the next one is read."""
        browser.send(TextMessage("nonsense\r\n\r\n"))
        browser.send(TextMessage(sip(VIA).decode()))
        assert [event.name for event in bob.events] == ["malformed_received", "message_received"]

    def test_keep_alives(self, browser: Browser, bob: Any) -> None:
        """RFC 7118 §6: Ping frames are answered, and so are the CRLF keep-alives of RFC 5626."""
        browser.send(Ping(b"x"))
        browser.send(TextMessage("\r\n\r\n"))
        pong, crlf = browser.take()
        assert pong == Pong(b"x")
        assert crlf.data == "\r\n"
        assert bob.metrics.pings_received == 2
        assert not bob.events.events
        browser.world.clock.advance(60)
        assert not browser.raw.ended

    def test_a_message_that_does_not_end_is_given_up(self, browser: Browser, bob: Any) -> None:
        """D-30: one deadline for each message, from its first frame on; pings do not extend it."""
        browser.send(TextMessage(sip(VIA).decode()))
        browser.send(TextMessage("OPTIONS", message_finished=False))
        for _ in range(11):
            browser.send(Ping())
            browser.world.clock.advance(1)
        assert browser.raw.ended
        assert bob.metrics.slow_senders_closed == 1

    @pytest.mark.parametrize("pieces", [1, 50])
    def test_a_message_too_large_is_refused(self, world: Any, laptop: Any, pieces: int) -> None:
        """D-40: above max_message_size the connection is closed with 1009, however it comes in frames."""
        bob = world.end("bob", B, max_message_size=2000)
        bob.layer.listen(f"ws:80:interface={B}")
        browser = Browser(world, laptop)
        browser.take()
        for number in range(pieces):
            if not browser.raw.ended:
                text = TextMessage("x" * (2500 // pieces), message_finished=number == pieces - 1)
                browser.send(text)
        events = browser.take()
        assert events[-1].code == 1009
        assert browser.raw.ended
        assert bob.metrics.framing_errors == 1
        assert not bob.events.events

    def test_a_frame_that_lies_about_its_length_costs_nothing(self, browser: Browser, bob: Any) -> None:
        """D-40: a frame of 2**62 bytes is given up as soon as more than a message has come of it."""
        browser.write(b"\x81\xff" + (2**62).to_bytes(8, "big") + os.urandom(4) + b"x" * 70000)
        browser.world.clock.advance(1)
        assert browser.raw.ended
        assert bob.metrics.framing_errors == 1

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"\x81\x05hello", 1002),  # RFC 6455 §5.1: a client's frame MUST be masked.
            (b"\x83\x80\0\0\0\0", 1002),  # An opcode that there is not.
            (b"\xc1\x80\0\0\0\0", 1002),  # A reserved bit: no extension was agreed on.
            (b"\x80\x80\0\0\0\0", 1002),  # A continuation of nothing.
            (b"\x81\x82\0\0\0\0\xff\xff", 1007),  # Text that is no UTF-8.
        ],
    )
    def test_a_frame_that_breaks_the_rules_is_refused(
        self, browser: Browser, bob: Any, frame: bytes, code: int
    ) -> None:
        """RFC 6455 §7.1.7: the connection is failed, with a Close frame that says why."""
        browser.write(frame)
        (close,) = browser.take()
        assert close.code == code
        assert browser.raw.ended
        assert bob.metrics.framing_errors == 1
        assert bob.metrics.faults == 0


@pytest.mark.accepts("J3")
class TestClosing:
    """RFC 6455 §7: Close frames go both ways."""

    def test_the_peer_closes(self, browser: Browser, bob: Any) -> None:
        """A Close frame is answered by its own code, and whoever waits hears it."""
        browser.send(TextMessage(sip(VIA).decode()))
        (flow,) = bob.flows
        flow.watch(bob.watcher())
        browser.send(CloseConnection(code=1001, reason="going away"))
        (answer,) = browser.take()
        assert answer.code == 1001
        assert browser.raw.ended
        ((_, why),) = bob.lost
        assert "the peer closed with 1001: going away" in why

    def test_we_close(self, browser: Browser, bob: Any) -> None:
        """stop() says 1000, waits for the peer's Close, and closes."""
        stopped = bob.layer.stop()
        (close,) = browser.take()
        assert close.code == 1000
        assert not stopped.called
        browser.send(close.response())
        browser.world.clock.advance(1)
        assert browser.raw.ended
        assert stopped.called

    def test_a_peer_that_does_not_answer_our_close_is_cut_off(self, browser: Browser, bob: Any) -> None:
        """The closing handshake has a deadline too."""
        stopped = bob.layer.stop()
        browser.world.clock.advance(11)
        assert browser.raw.ended
        assert stopped.called


@pytest.mark.accepts("J3")
class TestNameless:
    """D-27, RFC 7118 §5: a .invalid Contact is reached over the flow it came by."""

    def test_a_contact_is_reached_by_its_flow(self, browser: Browser, bob: Any) -> None:
        """While the connection is open flow_named finds it; when it is gone there is none."""
        assert bob.layer.flow_named("df7jal23ls0d.invalid") is None
        browser.send(TextMessage(sip(VIA, CONTACT).decode()))
        (flow,) = bob.flows
        assert bob.layer.flow_named("DF7jal23ls0d.invalid") is flow
        assert bob.layer.flow_named("example.com") is None
        assert bob.layer.response_flow(bob.messages[0], flow) is flow
        browser.raw.transport.abortConnection()
        browser.world.clock.advance(1)
        assert bob.layer.flow_named("df7jal23ls0d.invalid") is None
        assert len(bob.layer.site.named) == 0

    def test_a_response_finds_a_peer_that_connected_again(
        self, world: Any, browser: Browser, bob: Any
    ) -> None:
        """RFC 3261 §18.2.2 with a peer that has no address: its new connection takes the response."""
        browser.send(TextMessage(sip(VIA, CONTACT).decode()))
        (request,), (old,) = bob.messages, bob.flows
        browser.raw.transport.abortConnection()
        again = Browser(world, browser.raw.transport.host)
        again.send(TextMessage(sip(VIA, CONTACT).decode()))
        assert old.closed
        assert bob.layer.response_flow(request, old) is bob.flows[1]

    def test_a_name_cannot_be_taken_by_others(self, world: Any, browser: Browser, bob: Any) -> None:
        """While its connection is open, a name is nobody else's; its owner may connect anew."""
        browser.send(TextMessage(sip(VIA, CONTACT).decode()))
        thief = Browser(world, world.network.host("thief", "192.0.2.66"))
        thief.send(TextMessage(sip(VIA, CONTACT).decode()))
        owner = Browser(world, browser.raw.transport.host)
        first, stolen = bob.flows
        assert bob.layer.flow_named("df7jal23ls0d.invalid") is first
        owner.send(TextMessage(sip(VIA, CONTACT).decode()))
        assert bob.layer.flow_named("df7jal23ls0d.invalid") is bob.flows[2]
        assert stolen.peer[0] == "192.0.2.66"

    def test_names_of_one_flow_are_bounded(self, browser: Browser, bob: Any) -> None:
        """D-40: a peer that calls itself by a thousand names has a few."""
        for number in range(100):
            contact = f"Contact: <sip:a@{number}.invalid;transport=ws>"
            browser.send(TextMessage(sip(VIA, contact).decode()))
        assert len(bob.layer.site.named) == 16


@pytest.mark.accepts("J3")
@pytest.mark.parametrize("kind", ["ws", "wss"])
def test_two_layers_talk(world: Any, tmp_path: Any, kind: str) -> None:
    """Our client and our server: a random sent-by, a large message, pings that keep the connection."""
    authority = Authority(tmp_path)
    alice, bob = world.end("alice", A), world.end("bob", B)
    secure = kind == "wss"
    files = f":certFile={authority.issue('bob', 'example.com')}" if secure else ""
    trust = f":caFile={authority.path}" if secure else ""
    bob.layer.listen(f"{kind}:5062:interface={B}{files}")
    alice.layer.listen(f"{kind}:0:interface={A}:listen=no{trust}")
    assert alice.layer.supports(kind, B)
    flow = alice.layer.flow_to(kind, B, 5062, "example.com")
    assert flow.sent_by.endswith(".invalid")
    assert flow.local_uri_host == flow.sent_by
    for _ in range(3):
        flow.send(sip(f"SIP/2.0/{kind.upper()} {flow.sent_by};branch=z9hG4bK1", body=b"x" * 60000))
    world.clock.advance(1)
    assert [len(message.body) for message in bob.messages] == [60000] * 3
    back = bob.flows[0]
    assert back.secure == flow.secure == secure
    back.send(bob.messages[0].render().replace(b"OPTIONS sip:bob@example.com SIP/2.0", b"SIP/2.0 200 OK", 1))
    world.clock.advance(0.1)
    assert alice.messages[0].status == 200
    world.clock.advance(2000)
    assert not flow.closed, "its pings keep it, though nothing else is carried"
    assert bob.metrics.pings_received > 10


def test_a_server_that_is_silent_is_noticed(world: Any) -> None:
    """RFC 7118 §6: a peer that does not answer pings is gone."""
    alice, bob = world.end("alice", A), world.end("bob", B)
    bob.layer.listen(f"ws:5062:interface={B}")
    alice.layer.listen(f"ws:0:interface={A}:listen=no:ping=10")
    flow = alice.layer.flow_to("WS", B, 5062)
    flow.watch(alice.watcher())
    world.clock.advance(5)
    world.network.black_hole(bob.host, alice.host)
    world.clock.advance(40)
    ((_, why),) = alice.lost
    assert "does not answer pings" in why


@pytest.mark.parametrize("options", ["ping=x", "ping=123456", "path=ws", "path=/a b"])
def test_what_is_wrong_in_a_description_is_told(world: Any, options: str) -> None:
    """ArgumentError, in one line."""
    with pytest.raises(ArgumentError):
        world.end("alice", A).layer.listen(f"ws:80:interface={A}:{options}")
