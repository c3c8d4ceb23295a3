"""Scenes for the tests of calls: two phones on one network, and a peer that says what a test tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from sipactors.client import Capabilities, InviteUsage, MessageElements, ResponseElements
from sipactors.message import Message, Request, parse, request, response_to
from sipactors.testing import Clock, Network, Recorder
from sipactors.testing.agents import SDP, Phone, ladder

ANSWER = SDP.replace(b"192.0.2.1", b"192.0.2.2")
HELD = SDP + b"a=sendonly\r\n"


def sdp(body: bytes = SDP, **headers: str) -> MessageElements:
    """Elements with a session description."""
    return MessageElements([(k.replace("_", "-"), v) for k, v in headers.items()], body, "application/sdp")


def reply(status: int, body: bytes = b"", **headers: str) -> ResponseElements:
    """A response, with a session description if there is a body."""
    rows = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return ResponseElements(status, headers=rows, body=body, content_type="application/sdp" if body else None)


class Scene:
    """Alice and Bob, a clock, a network, and one list of what their observers heard."""

    def __init__(self, supported: tuple[str, ...] = (), **bob: Any) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.recorder = Recorder(self.clock)
        self.supported = supported
        self.alice = self.phone("alice", "10.0.0.1", on_call="ring")
        self.bob = self.phone("bob", "10.0.0.2", **{"on_call": "ring", **bob})
        self.recorder.take()

    def phone(self, name: str, address: str, **options: Any) -> Phone:
        """One more phone."""
        options.setdefault("capabilities", Capabilities(supported=self.supported))
        return Phone(self.network, name, address, recorder=self.recorder, transports=("udp",), **options)

    def wait(self, seconds: float = 0.05) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def ladder(self) -> list[str]:
        """Who sent what since the last look."""
        lines = ladder(self.network)
        self.network.capture.clear()
        return lines

    def messages(self, start: str) -> list[Message]:
        """Every message on the network whose first line begins so."""
        return [parse(p.data) for p in self.network.capture if p.first_line.startswith(start)]

    def heard(self, who: str, name: str) -> list[Any]:
        """The arguments of each call of one method of an observer."""
        return [event.args for event in self.recorder.of(name, who)]

    def established(self) -> tuple[InviteUsage, InviteUsage]:
        """A call from Alice to Bob that has been answered and acknowledged; the network's record is empty."""
        usage = self.alice.call(self.bob)
        self.wait()
        self.bob.invitations[-1].respond(reply(200, ANSWER))
        self.wait()
        assert usage.dialog.state == "CONFIRMED"
        self.network.capture.clear()
        self.recorder.take()
        return usage, self.bob.calls[-1]

    def on_request(self, who: str) -> Any:
        """The transaction of the last request within a dialog that an observer was shown."""
        return self.recorder.last("dialog_request_received", who).args[0]

    def nothing_left(self) -> None:
        """Every stack is as after its start, once the last timers have run."""
        self.clock.advance(200)
        assert self.alice.left_behind() == {}
        assert self.bob.left_behind() == {}


class Peer(DatagramProtocol):
    """A user agent without a stack: it keeps what comes, and sends what a test says."""

    def __init__(self, network: Network, name: str, address: str) -> None:
        self.host = network.host(name, address)
        self.address = address
        self.got: list[Any] = []
        self.on_request: Callable[[Request], object] | None = None
        self.host.listenUDP(5060, self, interface=address)
        self.uri = f"sip:{name}@{address}"
        self.sequence = 0

    def datagramReceived(self, data: bytes, _: Any) -> None:
        message = parse(data)
        self.got.append(message)
        if self.on_request is not None and isinstance(message, Request):
            self.on_request(message)

    def requests(self, method: str) -> list[Any]:
        """The requests of one method that came."""
        return [m for m in self.got if isinstance(m, Request) and m.method == method]

    def responses(self, method: str) -> list[int]:
        """The statuses that came for one method."""
        return [m.status for m in self.got if not isinstance(m, Request) and m.cseq.method == method]

    def send(self, message: Message, where: tuple[str, int] = ("10.0.0.1", 5060)) -> None:
        """Send a message of the test's own."""
        assert self.transport is not None
        self.transport.write(message.render(), where)

    def answer(
        self, to: Request, status: int, tag: str | None = "t1", body: bytes = b"", **headers: Any
    ) -> None:
        """Respond to a request that came, from the branch that `tag` names."""
        rows = [(name.replace("_", "-"), value) for name, value in headers.items()]
        kind = "application/sdp" if body else None
        response = response_to(to, status, to_tag=tag, headers=rows, body=body, content_type=kind)
        if to.method in ("INVITE", "UPDATE") and status < 300 and "Contact" not in response:
            response.set("Contact", f"<sip:{tag}@{self.address}>")
        self.send(response, (to.via.host, to.via.port or 5060))

    def ask(
        self, method: str, invite: Request, tag: str = "t1", body: bytes = b"", **headers: Any
    ) -> Request:
        """Send a request within the dialog that an INVITE of the phone's, and `tag`, made."""
        self.sequence += 1
        made = request(
            method,
            str(invite.contacts[0].uri),
            via=f"SIP/2.0/UDP {self.address};branch=z9hG4bKpeer{self.sequence}{method}",
            from_=f"{invite.get('To')};tag={tag}",
            to=invite.get("From") or "",
            call_id=invite.call_id,
            cseq=headers.pop("cseq", 100 + self.sequence),
            contact=f"<sip:{tag}@{self.address}>",
            headers=[(name.replace("_", "-"), value) for name, value in headers.items()],
            body=body,
            content_type="application/sdp" if body else None,
        )
        self.send(made)
        return made


def scripted() -> tuple[Clock, Network, Phone, Peer]:
    """Alice, and a peer at 10.0.0.9 that does as it is told."""
    clock = Clock()
    network = Network(clock)
    recorder = Recorder(clock)
    alice = Phone(network, "alice", "10.0.0.1", recorder=recorder, transports=("udp",))
    recorder.take()
    return clock, network, alice, Peer(network, "peer", "10.0.0.9")
