"""The in-memory network's streams end as real ones do: the same scenes, over both, have the same events."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from zope.interface import implementer

from sipactors.testing import Clock, Network

Act = Callable[["End"], object]
Events = dict[str, list[Any]]


class End(Protocol):
    """Does what its scene says when something happens to it, and writes down what does."""

    def __init__(self, events: list[Any], acts: dict[str, Act]) -> None:
        self.events = events
        self.acts = acts
        self.size = 0

    def act(self, what: str) -> None:
        self.acts.get(what, bool)(self)

    def connectionMade(self) -> None:
        self.events.append("made")
        self.act("made")

    def dataReceived(self, data: bytes) -> None:
        self.size += len(data)
        self.act("data")

    def connectionLost(self, reason: Any = None) -> None:
        self.events.append(["lost", reason.type.__name__, self.size])


@implementer(IHalfCloseableProtocol)
class HalfEnd(End):
    """An End that goes on when the other side is closed."""

    def readConnectionLost(self) -> None:
        self.events.append("read lost")
        self.act("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")


class Ends(ClientFactory):
    """Builds one kind of End."""

    noisy = False

    def __init__(self, build: Callable[[], End]) -> None:
        self.build = build

    def buildProtocol(self, addr: Any) -> End:
        return self.build()


def say(end: Any) -> None:
    end.transport.write(b"hello")


def close(end: Any) -> None:
    end.transport.loseConnection()


def abort(end: Any) -> None:
    end.transport.abortConnection()


def write_much_and_close(end: Any) -> None:
    end.transport.write(bytes(500_000))
    end.transport.loseConnection()


def answer_and_close(end: Any) -> None:
    say(end)
    close(end)


def close_and_write(end: Any) -> None:
    close(end)
    say(end)


def close_writing(end: Any) -> None:
    say(end)
    end.transport.loseWriteConnection()


def close_writing_then_all(end: Any) -> None:
    close_writing(end)
    close(end)


def close_then_abort(end: Any) -> None:
    close(end)
    abort(end)


def close_pausing(end: Any) -> None:
    end.transport.pauseProducing()
    close(end)


SCENES: dict[str, tuple[type[End], dict[str, Act], dict[str, Act]]] = {
    # what the client does, what the server does
    "the client closes": (End, {"made": close}, {}),
    "the client writes much and closes": (End, {"made": write_much_and_close}, {}),
    "the server writes much and closes": (End, {}, {"made": write_much_and_close}),
    "the client aborts": (End, {"data": abort}, {"made": say}),
    "the server aborts": (End, {"made": say}, {"data": abort}),
    "the client writes after closing": (End, {"made": close_and_write}, {}),
    "the client closes its side": (End, {"made": close_writing}, {}),
    "both close their sides": (
        HalfEnd,
        {"made": close_writing, "read lost": close},
        {"read lost": answer_and_close},
    ),
    "one side stays half closed": (HalfEnd, {"made": close_writing}, {"read lost": answer_and_close}),
    "the client closes its side, then all": (HalfEnd, {"made": close_writing_then_all}, {}),
    "the client closes, then aborts": (End, {"made": close_then_abort}, {}),
    "the client pauses and closes": (End, {"made": close_pausing}, {}),
    "the client stops producing": (End, {"made": lambda end: end.transport.stopProducing()}, {}),
    "the server's protocol raises": (End, {"made": say}, {"data": lambda end: 1 / 0}),
}


def begin(name: str, listener: Any, connector: Any, address: str) -> Events:
    """Start a scene; its events come into what is returned."""
    kind, client, server = SCENES[name]
    events: Events = {"client": [], "server": []}
    servers: Factory = Ends(lambda: kind(events["server"], server))
    port = listener.listenTCP(0, servers, interface=address)
    connector.connectTCP(address, port.getHost().port, Ends(lambda: kind(events["client"], client)))
    return events


def in_memory(name: str) -> Events:
    clock = Clock()
    network = Network(clock)
    alice, bob = network.host("alice", "10.0.0.1"), network.host("bob", "10.0.0.2")
    events = begin(name, bob, alice, "10.0.0.2")
    for _ in range(2):
        try:
            clock.advance(10)
        except ZeroDivisionError:
            pass
    return events


@pytest.fixture(scope="module")
def real(root: pathlib.Path) -> dict[str, Events]:
    """The events of all scenes over sockets; a process of its own, since a reactor runs once."""
    done = subprocess.run(
        [sys.executable, __file__], cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    events: dict[str, Events] = json.loads(done.stdout)
    return events


@pytest.mark.parametrize("name", SCENES)
def test_a_stream_in_memory_goes_like_a_real_one(name: str, real: dict[str, Events]) -> None:
    assert in_memory(name) == real[name]


def main() -> None:
    from twisted.internet import reactor, task

    expected = {name: in_memory(name) for name in SCENES}
    real = {name: begin(name, reactor, reactor, "127.0.0.1") for name in SCENES}
    polls = 0

    def done() -> None:
        nonlocal polls
        polls += 1
        # A little longer than it takes: nothing more may happen. And not for ever when they differ.
        if polls > 100 or (polls > 6 and real == expected):
            looping.stop()
            reactor.stop()  # type: ignore[attr-defined]

    looping = task.LoopingCall(done)
    looping.start(0.05)
    reactor.run()  # type: ignore[attr-defined]
    print(json.dumps(real))


if __name__ == "__main__":
    main()
