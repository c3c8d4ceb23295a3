"""Two user agents over real sockets: on the default reactor and on asyncio's, with Deferreds and await."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

TWISTED = """
    import sys
    if "asyncio" in sys.argv:
        from twisted.internet import asyncioreactor
        asyncioreactor.install()
    from twisted.internet import reactor, task
    from sipactors.sdp import audio_offer
    from sipactors.ua import CallRejected, UserAgent

    LISTEN = ["udp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"]
    SDP = audio_offer("127.0.0.1", 4000)

    async def main(reactor):
        bob = UserAgent(reactor, "sip:bob@127.0.0.1", listen=LISTEN)
        bob.startService()
        uri = "sip:bob@%s:%d" % bob.connection.local_address

        async def answer(call):
            call.ring()
            await task.deferLater(reactor, 0.01)
            await call.accept(SDP)

        bob.on_call(answer)
        bob.on_message(lambda message: print("bob reads", message.text))
        alice = UserAgent(reactor, "sip:alice@127.0.0.1", listen=LISTEN)
        call = await alice.call(uri, offer=SDP)
        await call.hold()
        await call.dtmf("12")
        await call.hangup()
        await alice.message(uri, "hi")
        bob.on_call(lambda call: call.reject(486))
        try:
            await alice.call(uri, SDP)
        except CallRejected as error:
            print(error.status)
        await bob.stopService()
        print(type(reactor).__name__)

    task.react(main)
"""

ASYNCIO = """
    import asyncio, sys
    from twisted.internet import asyncioreactor
    loop = asyncio.new_event_loop()
    asyncioreactor.install(loop)
    from twisted.internet import reactor
    from sipactors.sdp import audio_offer
    from sipactors.ua import UserAgent

    LISTEN = ["udp:0:interface=127.0.0.1", "tcp:0:interface=127.0.0.1"]
    SDP = audio_offer("127.0.0.1", 4000)

    async def answer(call):
        call.ring()
        await asyncio.sleep(0.01)
        await call.accept(SDP).asFuture(loop)

    async def main():
        bob = UserAgent(reactor, "sip:bob@127.0.0.1", listen=LISTEN)
        bob.on_call(lambda call: loop.create_task(answer(call)))
        bob.startService()
        alice = UserAgent(reactor, "sip:alice@127.0.0.1", listen=LISTEN)
        call = await alice.call("sip:bob@%s:%d" % bob.connection.local_address, SDP).asFuture(loop)
        await call.hangup().asFuture(loop)
        await alice.stopService().asFuture(loop)
        print("done", call.ending.by_peer)
        reactor.stop()

    reactor.callWhenRunning(lambda: loop.create_task(main()))
    reactor.run()
"""


def run(root: pathlib.Path, program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.accepts("N4")
def test_two_agents_talk_on_asyncios_reactor(root: pathlib.Path) -> None:
    """Also on the asyncio reactor; `async def` functions await Deferreds as on any other."""
    lines = run(root, TWISTED, "asyncio").splitlines()
    assert lines == ["bob reads hi", "486", "AsyncioSelectorReactor"]


@pytest.mark.accepts("N4")
def test_two_agents_talk_on_the_default_reactor(root: pathlib.Path) -> None:
    """A Service in any Twisted application; an agent that nobody stopped ends with the reactor."""
    assert run(root, TWISTED).splitlines()[:2] == ["bob reads hi", "486"]


@pytest.mark.accepts("N4")
def test_tasks_of_asyncio_await_an_agent(root: pathlib.Path) -> None:
    """`asFuture` gives asyncio's own tasks what they await; a function may give a task."""
    assert run(root, ASYNCIO) == "done False\n"
