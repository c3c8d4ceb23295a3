"""Alice, who is challenged, and Bob, who challenges: two agents on a network in memory."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    ConnectionObserver,
    Digest,
    InviteUsage,
    MessageElements,
    ProtectionDomain,
    RequestElements,
    ResponseElements,
    SIPClient,
    Stack,
)
from sipactors.dice import Dice
from sipactors.interfaces import IConnectionObserver, IDigestChallengeObserver
from sipactors.message import Credentials, Request, parse
from sipactors.testing import Clock, Network, Recorder

ALICE = "sip:alice@example.com"
BOB = "sip:bob@10.0.0.2"
METHODS = (
    "INVITE",
    "ACK",
    "CANCEL",
    "BYE",
    "OPTIONS",
    "MESSAGE",
    "INFO",
    "UPDATE",
    "NOTIFY",
    "REFER",
    "SUBSCRIBE",
)


class Guarded(ConnectionObserver):
    """Bob: lets in whom his domains admit, one domain after the other, and answers them."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.domains: list[ProtectionDomain] = []
        self.answer: Callable[[Any], object] = self.accept
        self.in_dialog: Callable[[Any], object] = lambda transaction: transaction.answer(200)
        self.body = b""
        self.usage: Any = None
        self.canceled: list[Any] = []

    def admits(self, transaction: Any) -> bool:
        if transaction.method == "ACK":
            return True
        users = []
        for domain in self.domains:
            user = domain.admit(transaction)
            if user is None:
                return False
            users.append(user)
        if users:
            self.scene.recorder.add("bob", "admitted", transaction.method, *users)
        return True

    def request_received(self, transaction: Any) -> None:
        if self.admits(transaction):
            self.answer(transaction)

    def accept(self, transaction: Any) -> None:
        if transaction.method == "INVITE":
            self.usage = InviteUsage.incoming(transaction)
            transaction.respond(ResponseElements(180))
        content = "text/plain" if self.body else None
        transaction.respond(ResponseElements(200, body=self.body, content_type=content))

    def ring(self, transaction: Any) -> None:
        self.usage = InviteUsage.incoming(transaction)
        transaction.respond(ResponseElements(180))

    def dialog_request_received(self, transaction: Any, dialog: Any) -> None:
        if transaction.method != "ACK" and self.admits(transaction):
            self.in_dialog(transaction)

    def invite_canceled(self, transaction: Any) -> None:
        self.canceled.append(transaction)


class Scene:
    """Two agents with a clock that stands still."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.network = Network(self.clock, seed=1)
        self.recorder = Recorder(self.clock)
        self.dice = Dice(random.Random(3).randbytes)
        self.alice = self.stack("alice", "10.0.0.1")
        self.bob = self.stack("bob", "10.0.0.2")
        self.client = SIPClient(self.alice, "alice", None, Capabilities(methods=METHODS))
        self.connection = Connection(self.client, "lan", self.recorder.observe(IConnectionObserver, "alice"))
        self.guard = Guarded(self)
        guarded = SIPClient(self.bob, "bob", None, Capabilities(methods=METHODS))
        guarded.policies.answer_options = False
        self.bobs_connection = Connection(guarded, "lan", self.guard)
        self.asked: Callable[[Any], object] = lambda source: None

    def stack(self, name: str, address: str) -> Stack:
        stack = Stack(self.network.host(name, address), dice=self.dice)
        stack.add_access_point(
            AccessPoint("lan", [f"udp:5060:interface={address}", f"tcp:5060:interface={address}"])
        )
        stack.startService()
        return stack

    def protect(self, realm: str = "example.com", **how: Any) -> ProtectionDomain:
        """Bob admits nobody but alice with her secret, from now on."""
        users = how.pop("users", {"alice": "secret"})
        domain = ProtectionDomain(self.bob, realm, lambda user, realm, base: users.get(user), **how)
        self.guard.domains.append(domain)
        return domain

    def digest(self, asked: Callable[[Any], object] | None = None, **how: Any) -> Digest:
        """Alice's Digest, whose observer does `asked` (nothing at all, by default)."""
        if asked is not None:
            self.asked = asked
        observer = self.recorder.observe(
            IDigestChallengeObserver, "digest", then={"challenge_received": lambda source: self.asked(source)}
        )
        return Digest(self.client, observer, **how)

    def send(self, method: str = "MESSAGE", uri: str = BOB, **how: Any) -> Any:
        """Alice sends a request outside of dialogs, and a second passes."""
        transaction = self.connection.send_request(RequestElements(uri, method, from_=ALICE, **how))
        self.clock.advance(1)
        return transaction

    def call(self, **how: Any) -> tuple[InviteUsage, Any]:
        """Alice calls Bob, and a second passes."""
        usage = InviteUsage.outgoing(self.connection, BOB, from_=ALICE)
        transaction = usage.invite(MessageElements(**how))
        self.clock.advance(1)
        return usage, transaction

    def sent(self, method: str | None = None) -> list[Request]:
        """The requests that Alice has sent, of one method or all."""
        messages = [parse(packet.data) for packet in self.network.capture if packet.source[0] == "10.0.0.1"]
        return [each for each in messages if isinstance(each, Request) and method in (None, each.method)]

    def credentials(
        self, method: str | None = None, header: str = "Authorization"
    ) -> list[Credentials | None]:
        """The credentials of each request that Alice has sent; None where it has none."""
        return [next(iter(request.typed(header)), None) for request in self.sent(method)]

    def names(self, who: str = "alice") -> list[str]:
        return self.recorder.names(who)[1:] if who == "alice" else self.recorder.names(who)

    def idle(self) -> bool:
        """Nothing waits any more, on either side."""
        self.clock.advance(300)
        return not self.clock.getDelayedCalls()
