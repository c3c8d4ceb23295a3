"""Ready user agents for tests: real stacks on the hosts of an in-memory network, that do what a test says."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    InviteUsage,
    Limits,
    MessageElements,
    Policies,
    RequestElements,
    ResponseElements,
    SIPClient,
    Stack,
    Timing,
)
from sipactors.dice import Dice
from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.interfaces import IConnectionObserver, IResolver, ISIPObserver, ITrace
from sipactors.message import parse
from sipactors.testing.network import Network
from sipactors.testing.recorder import Recorder

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
"A session description for calls whose media does not matter."


class Phone:
    """A user agent on a host of its own, with one client and one connection.

    `on_call` says what becomes of an INVITE that begins a call: "accept" (180, then 200), "ring" (180),
    a status to refuse it with, "ignore", or a function that gets the transaction. MESSAGE and other
    requests are answered 200. `then` adds functions by the observer's method, as Recorder.observe does.
    What the observer hears goes into `recorder`, under the phone's name; several phones may share one.
    Its tags, branches and random waits follow from the network's seed.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        *addresses: str,
        recorder: Recorder | None = None,
        on_call: str | int | Callable[[Any], object] = "accept",
        transports: Sequence[str] = ("udp", "tcp"),
        port: int = 5060,
        then: Mapping[str, Callable[..., Any]] | None = None,
        capabilities: Capabilities | None = None,
        policies: Policies | None = None,
        timing: Timing | None = None,
        limits: Limits | None = None,
        resolver: IResolver | None = None,
        trace: ITrace | None = None,
    ) -> None:
        if not addresses:
            raise ArgumentError("a phone needs an address")
        self.name = name
        self.network = network
        self.host = network.host(name, *addresses)
        self.address = addresses[0]
        self.port = port
        self.recorder = Recorder(network.clock) if recorder is None else recorder
        self.on_call = on_call
        self.calls: list[InviteUsage] = []
        "The usages of calls that came and were not refused, in order."
        self.invitations: list[Any] = []
        "The server transactions of INVITEs that began calls."
        # Waiting times of chance are the same in each run: a test that passes once passes always.
        dice = Dice(random.Random(f"{network.seed} {name}").randbytes)
        self.stack = Stack(self.host, timing=timing, limits=limits, resolver=resolver, trace=trace, dice=dice)
        self.stack.add_access_point(
            AccessPoint("lan", [_listen(kind, port, address) for address in addresses for kind in transports])
        )
        self.stack.startService()
        reactions: dict[str, Callable[..., Any]] = {"request_received": self._answer}
        reactions.update(then or {})
        self.observer = self.recorder.observe(IConnectionObserver, name, then=reactions)
        self.client = SIPClient(
            self.stack, name, self.recorder.observe(ISIPObserver, name), capabilities, policies
        )
        self.connection = Connection(self.client, "lan", self.observer)

    def __repr__(self) -> str:
        return f"<Phone {self.name}>"

    @property
    def uri(self) -> str:
        """The address of record, `sip:alice@10.0.0.1`; it is also where requests reach the phone."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"sip:{self.name}@{host}" if self.port == 5060 else f"sip:{self.name}@{host}:{self.port}"

    # ------------------------------------------------------------------ what it does by itself

    def _answer(self, transaction: Any) -> None:
        if transaction.method != "INVITE":
            transaction.respond(ResponseElements(200))
            return
        self.invitations.append(transaction)
        rule = self.on_call
        if callable(rule):
            rule(transaction)
        elif isinstance(rule, int):
            transaction.respond(ResponseElements(rule))
        elif rule != "ignore":
            self.calls.append(InviteUsage.incoming(transaction))
            transaction.respond(ResponseElements(180))
            if rule == "accept":
                transaction.respond(ok())

    def accept(self) -> None:
        """Answer the last INVITE that came with 200."""
        self.invitations[-1].respond(ok())

    # ------------------------------------------------------------------ what a test lets it do

    def call(self, other: Phone | str, body: bytes = SDP, **options: Any) -> InviteUsage:
        """Send an INVITE; gives the usage, whose last transaction is `usage.transaction`."""
        usage = InviteUsage.outgoing(self.connection, _uri(other), from_=self.uri, **options)
        usage.invite(offer(body) if body else None)
        return usage

    def send(self, method: str, other: Phone | str, body: bytes = b"", **options: Any) -> Any:
        """Send a request outside of dialogs; gives its ClientTransaction."""
        content_type = "text/plain" if body else None
        elements = RequestElements(
            _uri(other), method, from_=self.uri, body=body, content_type=content_type, **options
        )
        return self.connection.send_request(elements)

    def heard(self) -> list[str]:
        """The names of what this phone's observer was told, in order."""
        return [event.name for event in self.recorder.events if event.who == self.name]

    # ------------------------------------------------------------------ what is left

    def left_behind(self) -> dict[str, int]:
        """What the stack still keeps, by kind; empty when it is as after its start."""
        (access,) = self.stack.access_points
        kept = {
            "client transactions": len(access.dispatcher.clients),
            "server transactions": len(access.dispatcher.servers),
            "unanswered": access.dispatcher.unanswered,
            "dialogs": len(access.dialogs),
            "timers": len(self.stack.timers),
            "children": len(self.connection.children),
            "faults": self.stack.metrics.faults,
        }
        return {kind: count for kind, count in kept.items() if count}


def offer(body: bytes = SDP) -> MessageElements:
    """Elements that carry a session description."""
    return MessageElements(body=body, content_type="application/sdp")


def ok(body: bytes = SDP) -> ResponseElements:
    """A 200 that carries a session description."""
    return ResponseElements(200, body=body, content_type="application/sdp")


def ladder(network: Network) -> list[str]:
    """Every SIP message that went over the network, as `alice -> bob INVITE` or `bob -> alice 180 INVITE`.

    Messages that were lost or dropped say so. Stream chunks that hold no whole message are left out.
    """
    names = {str(address): host.name for host in network.hosts.values() for address in host.addresses}
    lines = []
    for packet in network.capture:
        try:
            message = parse(packet.data)
        except MalformedMessage:
            continue
        cseq = message.cseq.method
        status = getattr(message, "status", None)
        what = cseq if status is None else f"{status} {cseq}"
        fate = f" ({packet.fate})" if packet.fate in ("lost", "dropped", "refused") else ""
        source, destination = packet.source[0], packet.destination[0]
        lines.append(f"{names.get(source, source)} -> {names.get(destination, destination)} {what}{fate}")
    return lines


def _uri(other: Phone | str) -> str:
    return other.uri if isinstance(other, Phone) else other


def _listen(kind: str, port: int, address: str) -> str:
    interface = address.replace(":", "\\:")
    return f"{kind}:{port}:interface={interface}"
