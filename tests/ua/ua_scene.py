"""Agents on a network in memory, and the office of example.com: registrar, redirect and presence server."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    ConnectionObserver,
    NotifyUsage,
    ProtectionDomain,
    ResponseElements,
    SIPClient,
    SIPObserver,
    Stack,
)
from sipactors.client.capabilities import KNOWN_METHODS
from sipactors.dice import Dice
from sipactors.interfaces import ICallObserver
from sipactors.message import MessageElements
from sipactors.sdp import audio_offer
from sipactors.testing import Clock, Network, Recorder, ladder
from sipactors.testing.dns import StaticResolver
from sipactors.ua import UserAgent

PASSWORDS = {"alice": "secret", "bob": "hush"}

Result = list[Any]


def sdp(host: str, port: int = 4000) -> bytes:
    return audio_offer(host, port).render()


class Office(ConnectionObserver):
    """Keeps registrations and publications; sends callers on to where somebody is registered."""

    def __init__(self) -> None:
        self.bindings: dict[str, tuple[str, int]] = {}
        self.published: list[Any] = []
        self.requests: list[Any] = []
        self.answers: list[Any] = []
        self.notifier: Any = None
        self.state: Any = None
        self.domain: ProtectionDomain | None = None

    def request_received(self, transaction: Any) -> None:
        if self.domain is not None and self.domain.admit(transaction) is None:
            return
        request = transaction.request
        self.requests.append(request)
        if self.answers:
            transaction.answer(*self.answers.pop(0))
        elif request.method == "REGISTER":
            self.register(transaction, request)
        elif request.method == "PUBLISH":
            self.published.append((request.get("SIP-If-Match"), request.expires, request.body))
            tag = f"tag{len(self.published)}"
            transaction.answer(200, [("SIP-ETag", tag), ("Expires", str(request.expires))])
        elif request.method == "INVITE":
            contact = self.bindings.get(str(request.uri))
            transaction.answer(*((404, []) if contact is None else (302, [("Contact", f"<{contact[0]}>")])))
        elif request.method == "SUBSCRIBE":
            self.notifier = NotifyUsage(transaction)
            transaction.respond(ResponseElements(200))
            if self.state is not None:
                self.notifier.notify(self.state)
        else:
            transaction.answer(200)

    def register(self, transaction: Any, request: Any) -> None:
        aor = str(request.to.uri)
        for contact in request.contacts:
            seconds = contact.expires if contact.expires is not None else request.expires
            if seconds == 0:
                self.bindings.pop(aor, None)
            else:
                self.bindings[aor] = (str(contact.uri), seconds or 3600)
        kept = self.bindings.get(aor)
        transaction.answer(200, [] if kept is None else [("Contact", f"<{kept[0]}>;expires={kept[1]}")])

    def notify(self, body: bytes, content_type: str, state: Any = None) -> None:
        self.notifier.notify(MessageElements(body=body, content_type=content_type), state)


class Town:
    """A network with the office at example.com (10.0.0.9); agents move in as tests want them."""

    def __init__(self, *, guarded: bool = False) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, seed=1)
        self.recorder = Recorder(self.clock)
        self.resolver = StaticResolver({"example.com": ["10.0.0.9"]}, ttl=60)
        self.office = Office()
        stack = Stack(self.network.host("office", "10.0.0.9"), resolver=self.resolver, dice=dice(9))
        stack.add_access_point(AccessPoint("lan", ["udp:5060", "tcp:5060"]))
        stack.startService()
        events = ("presence", "dialog", "message-summary", "x-test")
        capabilities = Capabilities(
            methods=tuple(sorted(KNOWN_METHODS)), accept=("*/*",), allow_events=events, supported=("timer",)
        )
        client = SIPClient(stack, "office", SIPObserver(), capabilities)
        self.office_connection = Connection(client, "lan", self.office)
        self.office_stack = stack
        if guarded:
            self.office.domain = ProtectionDomain(
                stack, "example.com", lambda user, realm, hash: PASSWORDS.get(user), secret=b"x" * 32
            )
        self.agents: list[UserAgent] = []

    def agent(self, name: str, address: str, **options: Any) -> UserAgent:
        """An agent that runs, with the address-of-record name@example.com."""
        host = self.network.host(name, address)
        options.setdefault("listen", ["udp:5060", "tcp:5060"])
        options.setdefault("password", PASSWORDS.get(name))
        agent = UserAgent(
            host, f"sip:{name}@example.com", resolver=self.resolver, dice=dice(len(name)), **options
        )
        agent.startService()
        self.agents.append(agent)
        return agent

    def observer(self, name: str) -> Any:
        return self.recorder.observe(ICallObserver, name)

    def ladder(self) -> list[str]:
        """What went over the network since the last time."""
        lines = ladder(self.network)
        self.network.capture.take()
        return lines

    def wait(self, awaitable: Any, seconds: float = 5) -> Any:
        """The outcome of a coroutine or a Deferred, which comes within so many seconds."""
        outcome = result_of(awaitable)
        self.clock.advance(seconds)
        assert outcome, "nothing came of it"
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def left_behind(self) -> dict[str, Any]:
        """What the agents still keep, 70 s later; empty when it is as after their start."""
        self.clock.advance(70)
        kept: dict[str, Any] = {}
        for agent in self.agents:
            (access,) = agent.stack.access_points
            kept |= {
                f"{agent} {kind}": count
                for kind, count in {
                    "calls": agent.calls,
                    "dialogs": len(access.dialogs),
                    "client transactions": len(access.dispatcher.clients),
                    "server transactions": len(access.dispatcher.servers),
                    "observer errors": agent.stack.metrics.observer_errors,
                }.items()
                if count
            }
        return kept


def result_of(awaitable: Any) -> Result:
    """A list that gets the value or the exception once it is there."""
    outcome: Result = []
    deferred = awaitable if isinstance(awaitable, Deferred) else ensureDeferred(awaitable)
    deferred.addCallbacks(outcome.append, lambda failure: outcome.append(failure.value))
    return outcome


def dice(seed: int) -> Dice:
    return Dice(random.Random(seed).randbytes)
