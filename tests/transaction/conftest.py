"""One real dispatcher on the in-memory network, and a peer that is nothing but hand-written messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol

from sipactors.dice import Dice
from sipactors.interfaces import IClientTransactionUser, IRequestReceiver, IServerTransactionUser
from sipactors.locating import Locator
from sipactors.message import Framer, Request, Response, parse, parse_uri, response_to
from sipactors.message import request as build_request
from sipactors.metrics import Metrics
from sipactors.settings import Limits, Timing
from sipactors.testing import Clock, Network, Recorder
from sipactors.testing.dns import StaticResolver
from sipactors.timers import Timers
from sipactors.trace import Ladder
from sipactors.transaction import Dispatcher
from sipactors.transaction.attempt import Attempt
from sipactors.transport import TransportLayer

OURS, PEER, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Datagrams(DatagramProtocol):
    """What came to a peer's UDP port, when; and what it sends."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.got: list[tuple[float, Any]] = []

    def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.append((self.clock.seconds(), parse(data)))

    def send(self, data: bytes | str, host: str = OURS, port: int = 5060) -> None:
        self.transport.write(data.encode() if isinstance(data, str) else data, (host, port))


class Stream(Protocol):
    """A peer's end of a stream connection."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.framer = Framer(Limits())
        self.got: list[tuple[float, Any]] = []
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        for item in self.framer.feed(data):
            self.got.append((self.clock.seconds(), item))

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True

    def send(self, data: bytes | str) -> None:
        self.transport.write(data.encode() if isinstance(data, str) else data)


class World:
    """A dispatcher with its transports on 192.0.2.1, and what a test needs to play its peers."""

    def __init__(self, timing: Timing | None = None, limits: Limits | None = None) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, latency=0.0)
        self.host = self.network.host("ours", OURS, "2001:db8::1")
        self.peer_host = self.network.host("peer", PEER, "2001:db8::2")
        self.other_host = self.network.host("other", OTHER)
        self.events = Recorder(self.clock)
        self.metrics = Metrics()
        self.timers = Timers(self.host)
        self.notes: list[str] = []
        self.transactions: list[Any] = []
        "Server transactions in the order of their requests."
        then: dict[str, Callable[..., Any]] = {"request_received": self._take}
        self.receiver = self.events.observe(IRequestReceiver, "receiver", then=then)
        self.on_request: Callable[[Any], object] | None = None
        "What the user does at once with a new request."
        self.trace = Ladder(self.notes.append, self.clock)
        limits = limits or Limits()
        self.dispatcher = Dispatcher(
            self.receiver,
            self.timers,
            timing or Timing(),
            limits,
            Dice(random.Random(1).randbytes),
            self.metrics,
            self.trace,
        )
        self.layer = TransportLayer(
            self.host, self.dispatcher, limits=limits, metrics=self.metrics, timers=self.timers
        )
        self.dispatcher.transports = self.layer
        for description in ("udp:5060", "tcp:5060"):
            self.layer.listen(f"{description}:interface={OURS}")
        self.zone: dict[str, Any] = {}
        self.resolver = StaticResolver(self.zone, self.clock)
        self.locator = Locator(
            self.resolver,
            self.host,
            Dice(random.Random(2).randbytes),
            transports=lambda: [("UDP", 4), ("TCP", 4)],
        )
        self.peer = Datagrams(self.clock)
        self.peer_host.listenUDP(5060, self.peer, PEER, 65535)
        self.other = Datagrams(self.clock)
        self.other_host.listenUDP(5060, self.other, OTHER, 65535)
        self.streams: list[Stream] = []
        self.faults_expected = 0

    # The user of server transactions.

    def _take(self, transaction: Any, flow: Any) -> None:
        transaction.user = self.events.observe(IServerTransactionUser, "server")
        self.transactions.append(transaction)
        if self.on_request is not None:
            self.on_request(transaction)

    def respond(self, status: int, transaction: Any = None, headers: Any = ()) -> None:
        """Answer the last request, or this one."""
        transaction = transaction or self.transactions[-1]
        transaction.respond(response_to(transaction.request, status, to_tag=transaction.tag, headers=headers))

    # The user of client transactions.

    def user(self, name: str = "client", then: Any = None) -> Any:
        return self.events.observe(IClientTransactionUser, name, then=then)

    def start(self, method: str = "INVITE", transport: str = "UDP", branch: str = "z9hG4bKours") -> Any:
        """Send a request of ours to the peer in one client transaction; gives the machine."""
        flow = self.layer.flow_to(transport, PEER, 5060)
        request = self.request(method)
        request.add("Via", f"SIP/2.0/{transport} {flow.sent_by};branch={branch};rport")
        return self.dispatcher.send_request(request, flow, self.user(), branch)

    def request(self, method: str = "INVITE", uri: str = f"sip:bob@{PEER}", **more: Any) -> Request:
        return build_request(
            method,
            uri,
            from_="<sip:alice@example.com>;tag=a1",
            to="<sip:bob@example.com>",
            call_id="c1@ours",
            cseq=7,
            **more,
        )

    def attempt(self, uri: str = f"sip:bob@{PEER}", method: str = "INVITE", **more: Any) -> Attempt:
        """Send a request of ours to wherever the URI leads."""
        attempt = Attempt(self.dispatcher, self.locator, self.request(method, uri, **more), self.user())
        attempt.start(parse_uri(uri))
        return attempt

    # What the peer does.

    def listen_for_streams(self) -> None:
        """Let the peer take stream connections on port 5060."""
        factory = Factory()
        factory.noisy = False

        def build(_: object) -> Stream:
            self.streams.append(Stream(self.clock))
            return self.streams[-1]

        factory.buildProtocol = build  # type: ignore[method-assign,assignment]
        self.peer_host.listenTCP(5060, factory, interface=PEER)

    def connect(self) -> Stream:
        """A stream connection from the peer to us."""
        stream = Stream(self.clock)
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda _: stream  # type: ignore[method-assign]
        self.peer_host.connectTCP(OURS, 5060, factory)
        self.clock.advance(0.01)
        return stream

    def wire(
        self,
        method: str = "INVITE",
        *,
        branch: str | None = "z9hG4bKpeer",
        sent_by: str = f"{PEER}:5060",
        transport: str = "UDP",
        cseq: int = 1,
        cseq_method: str | None = None,
        to_tag: str | None = None,
        call_id: str = "c2@peer",
        from_tag: str = "p1",
        uri: str = f"sip:ours@{OURS}",
        more: str = "",
        body: str = "",
    ) -> bytes:
        """A request of the peer's, as it stands on the wire."""
        parameter = "" if branch is None else f";branch={branch}"
        tag = "" if to_tag is None else f";tag={to_tag}"
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/{transport} {sent_by}{parameter}\r\n"
            "Max-Forwards: 70\r\n"
            f"From: <sip:peer@example.com>;tag={from_tag}\r\n"
            f"To: <sip:ours@example.com>{tag}\r\n"
            f"Call-ID: {call_id}\r\n"
            f"CSeq: {cseq} {cseq_method or method}\r\n"
            f"{more}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def answer(
        self,
        status: int,
        request: Request | None = None,
        *,
        to_tag: str | None = "b1",
        via: str | None = None,
        cseq: str | None = None,
        more: str = "",
    ) -> bytes:
        """The peer's response to our last request, or to this one."""
        if request is None:
            request = self.last_request()
        tag = "" if to_tag is None or status == 100 else f";tag={to_tag}"
        return (
            f"SIP/2.0 {status} Whatever\r\n"
            f"Via: {via or request.get('Via')}\r\n"
            f"From: {request.get('From')}\r\n"
            f"To: {request.get('To')}{tag}\r\n"
            f"Call-ID: {request.call_id}\r\n"
            f"CSeq: {cseq or request.get('CSeq')}\r\n"
            f"{more}Content-Length: 0\r\n\r\n"
        ).encode()

    def reply(self, status: int, request: Request | None = None, **more: Any) -> None:
        """The peer answers over UDP, and the answer arrives."""
        self.peer.send(self.answer(status, request, **more))
        self.clock.advance(0)

    def last_request(self, method: str | None = None) -> Request:
        everything = [*self.peer.got, *(item for stream in self.streams for item in stream.got)]
        return [
            message
            for _, message in everything
            if isinstance(message, Request) and message.method != "ACK" and method in (None, message.method)
        ][-1]

    def say(self, data: bytes) -> None:
        """The peer sends a datagram, and it arrives."""
        self.peer.send(data)
        self.clock.advance(0)

    # What is looked at.

    def times(self, what: str, got: list[tuple[float, Any]] | None = None) -> list[float]:
        """When the peer got this method, or responses with this status."""
        return [time for time, message in self._got(got) if _name(message) == what]

    def responses(self, got: list[tuple[float, Any]] | None = None) -> list[int]:
        """The status of every response that the peer got."""
        return [message.status for _, message in self._got(got) if isinstance(message, Response)]

    def requests(self, got: list[tuple[float, Any]] | None = None) -> list[str]:
        """The method of every request that the peer got."""
        return [message.method for _, message in self._got(got) if isinstance(message, Request)]

    def _got(self, got: list[tuple[float, Any]] | None) -> list[tuple[float, Any]]:
        return self.peer.got if got is None else got

    def told(self, who: str | None = None) -> list[tuple[Any, ...]]:
        """What users were told: ("response_received", 180), ("client_transaction_failed", "…")."""
        told = []
        for event in self.events:
            if who is not None and event.who != who:
                continue
            first = event.args[0] if event.args else None
            first = first.status if isinstance(first, Response) else first
            first = first.method if isinstance(first, Request) else first
            first = type(first).__name__ if isinstance(first, Exception) else first
            told.append((event.name, first))
        return told

    def last_error(self) -> str:
        return type(self.events.last("client_transaction_failed").args[0]).__name__

    def check_empty(self) -> None:
        """Nothing of any transaction is left."""
        dispatcher = self.dispatcher
        assert dispatcher.clients == {}
        assert dispatcher.servers == {}
        assert dispatcher._merged == {}
        assert dispatcher.unanswered == 0
        assert len(self.timers) == 0
        assert all(
            not listener._watched for listener in self.layer.listeners if hasattr(listener, "_watched")
        )

    def finish(self) -> None:
        """When all timers have run out nothing is left, and nothing has gone wrong in secret."""
        self.clock.advance(300)
        self.check_empty()
        assert self.metrics.faults == self.faults_expected
        assert self.metrics.observer_errors == 0


def _name(message: Any) -> str:
    return message.method if isinstance(message, Request) else str(message.status)


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """`make_world(timing=…, limits=…)`; every world must be empty in the end."""
    worlds: list[World] = []

    def make(**settings: Any) -> World:
        worlds.append(World(**settings))
        return worlds[-1]

    yield make
    for world in worlds:
        world.finish()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
