"""The ten-line programs of the user agent run, over real sockets, against a registrar and presence server."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

SERVER = """
    from twisted.internet import reactor
    from twisted.internet.defer import ensureDeferred
    from ua_scene import Office
    from sipactors.client import AccessPoint, Capabilities, Connection, SIPClient, SIPObserver, Stack
    from sipactors.client.capabilities import KNOWN_METHODS
    from sipactors.events import Presence, PresenceTuple, write_presence
    from sipactors.message import MessageElements
    from sipactors.ua import UserAgent

    class Exchange(Office):
        def register(self, transaction, request):
            before = dict(self.bindings)
            super().register(transaction, request)
            if self.bindings and not before:
                print("registered", flush=True)
                reactor.callLater(0, ensureDeferred, visit(*self.bindings["sip:alice@example.org"]))
            elif before and not self.bindings:
                print("gone", flush=True)

    async def visit(contact, expires):
        agent = UserAgent(reactor, "sip:caller@127.0.0.1", listen=LISTEN)
        call = await agent.call(contact)
        await agent.message(contact, "hi")
        await call.hangup()
        print("called", flush=True)

    LISTEN = ["udp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"]
    stack = Stack(reactor)
    stack.add_access_point(AccessPoint("lan", LISTEN))
    stack.startService()
    capabilities = Capabilities(methods=tuple(KNOWN_METHODS), accept=("*/*",), allow_events=("presence",))
    office = Exchange()
    body = write_presence(Presence("sip:bob@example.org", [PresenceTuple("t", "open")], []))
    office.state = MessageElements(body=body, content_type="application/pidf+xml")
    connection = Connection(SIPClient(stack, "office", SIPObserver(), capabilities), "lan", office)
    print(connection.local_address[1], flush=True)
    reactor.run()
"""

AGENT = """
    import runpy, sys
    from sipactors.ua import service
    init = service.AgentService.__init__
    port = sys.argv[1]
    def at_the_proxy(self, *arguments, **options):
        account = {"outbound_proxy": "sip:127.0.0.1:%s;lr" % port}
        options["listen"] = [one + ":interface=127.0.0.1" for one in options["listen"]]
        init(self, *arguments, **options, account=account)
    service.AgentService.__init__ = at_the_proxy
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


@contextmanager
def running(root: pathlib.Path, program: str, *arguments: str) -> Iterator[IO[str]]:
    path = os.pathsep.join([str(root), str(root / "tests" / "ua")])
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        yield process.stdout
    finally:
        watchdog.cancel()
        process.terminate()
        process.communicate(timeout=60)


def example(root: pathlib.Path, name: str) -> str:
    return str(root / "docs" / "examples" / name)


@pytest.fixture
def server(root: pathlib.Path) -> Iterator[tuple[IO[str], str]]:
    """A registrar and presence server, with the port that it listens on."""
    with running(root, SERVER) as output:
        yield output, output.readline().strip()


@pytest.mark.accepts("N1", "N2")
def test_the_phone_registers_answers_and_leaves(root: pathlib.Path, server: tuple[IO[str], str]) -> None:
    """docs/examples/phone.py registers, takes a call and a message, and un-registers on SIGTERM."""
    output, port = server
    arguments = [example(root, "phone.py"), "sip:alice@example.org", "secret", "udp:0", "tcp:0"]
    with running(root, AGENT, port, *arguments) as phone:
        assert output.readline() == "registered\n"
        assert sorted([phone.readline(), phone.readline()]) == [
            "call from sip:caller@127.0.0.1\n",
            "sip:caller@127.0.0.1 says hi\n",
        ]
        assert output.readline() == "called\n"
    assert output.readline() == "gone\n"


@pytest.mark.accepts("N3")
def test_the_sender_sends(root: pathlib.Path, server: tuple[IO[str], str]) -> None:
    """docs/examples/say.py says what became of its message."""
    _, port = server
    arguments = ["sip:alice@example.org", "sip:bob@example.org", "hello"]
    with running(root, AGENT, port, example(root, "say.py"), *arguments) as output:
        assert output.readline() == "delivered\n"


@pytest.mark.accepts("N3")
def test_the_watcher_watches(root: pathlib.Path, server: tuple[IO[str], str]) -> None:
    """docs/examples/buddy.py prints the presence that it is told."""
    _, port = server
    arguments = ["sip:alice@example.org", "secret", "sip:bob@example.org"]
    with running(root, AGENT, port, example(root, "buddy.py"), *arguments) as output:
        assert output.readline() == "sip:bob@example.org is there\n"
