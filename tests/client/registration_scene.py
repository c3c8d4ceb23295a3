"""Alice's phone and the registrar of example.com: two agents on a network in memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    ConnectionObserver,
    Refresh,
    RegistrationBinding,
    SIPClient,
    Stack,
)
from sipactors.client.capabilities import KNOWN_METHODS
from sipactors.dice import Dice
from sipactors.interfaces import IConnectionObserver
from sipactors.message import Message, Request, Response, parse
from sipactors.testing import Clock, Network, Recorder
from sipactors.testing.dns import StaticResolver

ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
METHODS = tuple(sorted(KNOWN_METHODS))


class Office(ConnectionObserver):
    """A registrar and presence server that keeps what it is told, unless its next answer is written down."""

    def __init__(self) -> None:
        self.grant = 7200
        self.bindings: dict[str, dict[str, tuple[Any, int]]] = {}
        self.headers: list[tuple[str, object]] = []
        self.answers: list[Any] = []
        "What the next requests are answered with: a status, (status, headers) or a function; None: as usual."
        self.requests: list[Request] = []
        self.tags = 0

    def request_received(self, transaction: Any) -> None:
        request = transaction.request
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else None
        if callable(answer):
            answer(transaction)
        elif isinstance(answer, tuple):
            transaction.answer(*answer)
        elif answer is not None:
            transaction.answer(answer)
        elif request.method == "REGISTER":
            transaction.answer(200, self.keep(request) + self.headers)
        elif request.method == "PUBLISH":
            self.tags += 1
            expires = min(request.expires if request.expires is not None else 3600, self.grant)
            transaction.answer(200, [("SIP-ETag", f"tag{self.tags}"), ("Expires", expires), *self.headers])
        else:
            transaction.answer(200, self.headers)

    def keep(self, request: Request) -> list[tuple[str, object]]:
        """What RFC 3261 §10.3 has a registrar do; the Contacts of the 2xx."""
        bindings = self.bindings.setdefault(str(request.to.uri), {})
        for contact in request.contacts:
            seconds = contact.expires if contact.expires is not None else request.expires
            seconds = min(3600 if seconds is None else seconds, self.grant)
            if seconds:
                bindings[str(contact.uri)] = (contact, seconds)
            else:
                bindings.pop(str(contact.uri), None)
        return [("Contact", f"<{uri}>;expires={seconds}") for uri, (_, seconds) in bindings.items()]


class Town:
    """Alice at 10.0.0.1 (and ::1 of its own), the office at 10.0.0.9, and a clock that stands still."""

    def __init__(self, **policies: Any) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, seed=1)
        self.recorder = Recorder(self.clock)
        self.dice = Dice(random.Random(7).randbytes)
        self.resolver = StaticResolver({"example.com": ["10.0.0.9"]}, ttl=60)
        self.alice = self.stack("alice", "10.0.0.1", "2001:db8::1")
        self.office_stack = self.stack("office", "10.0.0.9", "2001:db8::9")
        self.client = SIPClient(self.alice, "phone", None, Capabilities())
        for name, value in policies.items():
            setattr(self.client.policies, name, value)
        self.observer = self.recorder.observe(IConnectionObserver, "alice")
        self.connection = Connection(self.client, "lan", self.observer)
        self.recorder.take()
        self.office = Office()
        served = SIPClient(self.office_stack, "office", None, Capabilities(methods=METHODS))
        served.policies.answer_options = False
        served.policies.check_content = False
        self.office_connection = Connection(served, "lan", self.office)

    def stack(self, name: str, *addresses: str) -> Stack:
        """A host with a stack that listens on all its addresses."""
        stack = Stack(self.network.host(name, *addresses), dice=self.dice, resolver=self.resolver)
        listen = []
        for address in addresses:
            shown = address.replace(":", "\\:")
            listen += [f"udp:5060:interface={shown}", f"tcp:5060:interface={shown}"]
        stack.add_access_point(AccessPoint("lan", listen))
        stack.startService()
        return stack

    def binding(self, contact: Any = None, *, aor: str = ALICE, **how: Any) -> RegistrationBinding:
        """A registration of Alice's, not sent yet."""
        return RegistrationBinding(self.connection, aor, contact, **how)

    def registered(self, contact: Any = None, **how: Any) -> RegistrationBinding:
        """A registration of Alice's that the office keeps; a second has passed, and nothing is remembered."""
        binding = self.binding(contact, **how)
        binding.register()
        self.clock.advance(1)
        assert binding.context_active
        self.forget()
        return binding

    def refreshed(self, **how: Any) -> RegistrationBinding:
        """As `registered`, with a Refresh."""
        return self.registered(refresh=Refresh(), **how)

    def forget(self) -> None:
        """Nothing has happened yet."""
        self.recorder.take()
        self.network.capture.take()
        self.office.requests.clear()

    def events(self) -> list[tuple[Any, ...]]:
        """What Alice's observers heard, with its arguments, since the last look."""
        return [(event.name, *event.args) for event in self.recorder.take()]

    def names(self) -> list[str]:
        """The same, by the names of the methods."""
        return [event.name for event in self.recorder.take()]

    def messages(self) -> list[Message]:
        """Every message on the wire since the last look, sent once or again."""
        return [parse(packet.data) for packet in self.network.capture.take()]

    def sent(self, method: str = "REGISTER") -> list[Request]:
        """The requests of a method that came to the office since the last look."""
        requests = [request for request in self.office.requests if request.method == method]
        self.office.requests.clear()
        return requests

    def times(self, seconds: float, method: str = "REGISTER") -> list[float]:
        """Let time pass; the times at which Alice sent a new request of that method, in seconds from now."""
        start = self.clock.seconds()
        self.network.capture.take()
        self.clock.advance(seconds)
        found: dict[str, float] = {}
        for packet in self.network.capture.take():
            if packet.data.startswith(method.encode() + b" "):
                message = parse(packet.data)
                key = f"{message.via.branch}"
                found.setdefault(key, round(packet.time - start, 3))
        return list(found.values())

    def ladder(self, *headers: str) -> str:
        """The messages since the last look, a line each, with the headers that are asked for."""
        names = {"10.0.0.1": "alice", "10.0.0.9": "office"}
        lines = []
        for packet in self.network.capture.take():
            message = parse(packet.data)
            what = (
                f"{message.status} {message.reason}"
                if isinstance(message, Response)
                else f"{message.method} {message.uri_text}"
            )
            shown = [f"{name}: {value}" for name in headers for value in message.get_all(name)]
            places = (names.get(place[0], place[0]) for place in (packet.source, packet.destination))
            lines.append("  ".join([" -> ".join(places), what, *shown]))
        return "\n".join(lines)


def answer_later(kept: list[Any]) -> Callable[[Any], None]:
    """An answer of the office's that is not given yet: the transaction is kept."""
    return kept.append
