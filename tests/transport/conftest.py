"""Two machines on an in-memory network, each with a transport layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Protocol

from sipactors.interfaces import IFlowWatcher, IMessageReceiver
from sipactors.metrics import Metrics
from sipactors.settings import Limits
from sipactors.testing.clock import Clock
from sipactors.testing.hosts import Host
from sipactors.testing.network import Network
from sipactors.testing.recorder import Recorder
from sipactors.transport import TransportLayer


class End:
    """One machine with its transport layer, and all that happens to it."""

    def __init__(self, host: Host, clock: Clock, limits: Limits, then: dict[str, Callable[..., Any]]) -> None:
        self.host = host
        self.events = Recorder(clock)
        self.metrics = Metrics()
        receiver = self.events.observe(IMessageReceiver, "receiver", then=then)
        self.layer = TransportLayer(host, receiver, limits=limits, metrics=self.metrics)

    def watcher(self, name: str = "watcher", **more: Any) -> Any:
        return self.events.observe(IFlowWatcher, name, **more)

    @property
    def messages(self) -> list[Any]:
        return [event.args[0] for event in self.events.of("message_received")]

    @property
    def flows(self) -> list[Any]:
        return [event.args[1] for event in self.events.of("message_received")]

    @property
    def lost(self) -> list[tuple[str, str]]:
        """Who was told of a loss, and why."""
        return [(event.who, str(event.args[1])) for event in self.events.of("flow_lost")]


class Raw(Protocol):
    """A peer that is no sipactors: it keeps what it gets."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True


class RawDatagrams(DatagramProtocol):
    """Likewise with datagrams."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, tuple[str, int]]] = []

    def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.append((data, addr))


class World:
    """Everything that a test of this floor wants."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)

    def end(
        self, name: str, *addresses: str, then: dict[str, Callable[..., Any]] | None = None, **limits: Any
    ) -> End:
        return End(self.network.host(name, *addresses), self.clock, Limits(**limits), then or {})

    def connect(self, host: Host, address: str, port: int = 5060, local_port: int = 0) -> Raw:
        """A raw connection from a host."""
        raw = Raw()
        factory = ClientFactory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: raw  # type: ignore[method-assign]
        any_address = "::" if ":" in address else "0.0.0.0"
        host.connectTCP(address, port, factory, bindAddress=(any_address, local_port))
        self.clock.advance(0.1)
        return raw

    def datagrams(self, host: Host, interface: str, port: int = 5060) -> RawDatagrams:
        """A raw UDP port of a host."""
        raw = RawDatagrams()
        host.listenUDP(port, raw, interface, 65535)
        return raw


@pytest.fixture
def world() -> World:
    return World()


def request(via: str, method: str = "OPTIONS", body: bytes = b"", more: str = "") -> bytes:
    """A request with this topmost Via."""
    return (
        f"{method} sip:bob@192.0.2.2 SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1@example.com\r\n"
        f"CSeq: 1 {method}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def response(via: str) -> bytes:
    """A response with this topmost Via."""
    return (
        f"SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: <sip:alice@example.com>;tag=a\r\n"
        "To: <sip:bob@example.com>;tag=b\r\nCall-ID: 1@example.com\r\nCSeq: 1 OPTIONS\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


@pytest.fixture
def write() -> Any:
    """`write.request(via, …)` and `write.response(via)`: messages as bytes."""

    class Writer:
        pass

    writer: Any = Writer()
    writer.request, writer.response = request, response
    return writer
