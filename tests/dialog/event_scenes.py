"""Scenes for the tests of subscriptions and transfers: phones that notify, subscribe and refer."""

from __future__ import annotations

from typing import Any

from call_scenes import Peer

from sipactors.client import Capabilities, MessageElements, NotifyUsage, ResponseElements, SubscribeUsage
from sipactors.client.capabilities import METHODS
from sipactors.message import Message, Request, parse, request
from sipactors.testing import Clock, Network, Recorder
from sipactors.testing.agents import Phone, ladder

EVENTS = ("presence", "dialog", "weather")
OPEN = MessageElements(body=b"sun", content_type="text/plain")


def capable(**more: Any) -> Capabilities:
    """What a phone of these tests can do."""
    methods = (*METHODS, "SUBSCRIBE", "REFER")
    return Capabilities(**{"methods": methods, "allow_events": EVENTS, "supported": ("replaces",), **more})


class Events:
    """Phones on one network with one list of what happened; what each does is set by the test."""

    def __init__(self, *names: str) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.recorder = Recorder(self.clock)
        self.notifiers: list[NotifyUsage] = []
        self.on_request: dict[str, Any] = {}
        self.in_dialog: dict[str, Any] = {}
        self.phones = [self.phone(name, f"10.0.0.{number}") for number, name in enumerate(names, 1)]
        self.recorder.take()

    def phone(self, name: str, address: str, **options: Any) -> Phone:
        """One more phone; it accepts subscriptions unless `on_request` says otherwise."""
        options.setdefault("capabilities", capable())
        then = {
            "request_received": lambda transaction: self.on_request.get(name, self.accept)(transaction),
            "dialog_request_received": lambda transaction, dialog: self.in_dialog.get(name, _nothing)(
                transaction
            ),
        }
        return Phone(
            self.network, name, address, recorder=self.recorder, transports=("udp",), then=then, **options
        )

    def accept(self, transaction: Any) -> NotifyUsage:
        """Let a subscriber in, and tell it at once."""
        usage = NotifyUsage(transaction)
        self.notifiers.append(usage)
        transaction.respond(ResponseElements(202 if transaction.method == "REFER" else 200))
        if transaction.method == "SUBSCRIBE":
            usage.notify(OPEN)
        return usage

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
        return [parse(packet.data) for packet in self.network.capture if packet.first_line.startswith(start)]

    def heard(self, who: str, name: str) -> list[Any]:
        """The arguments of each call of one method of an observer."""
        return [event.args for event in self.recorder.of(name, who)]

    def subscribe(
        self, expires: int = 600, refresh: Any = None, event: Any = "presence", to: str = "sip:bob@10.0.0.2"
    ) -> SubscribeUsage:
        """The first phone subscribes to the second, and a moment passes."""
        alice = self.phones[0]
        usage = SubscribeUsage.outgoing(alice.connection, to, event, from_=alice.uri)
        usage.subscribe(MessageElements([("Expires", expires)]), refresh)
        self.wait()
        return usage

    def nothing_left(self) -> None:
        """Every stack is as after its start, once the last timers have run."""
        self.clock.advance(200)
        for phone in self.phones:
            assert phone.left_behind() == {}, phone


def _nothing(transaction: Any) -> None:
    """What an application does that leaves everything to the stack."""


class Notifier(Peer):
    """A notifier without a stack: it answers a SUBSCRIBE and sends NOTIFYs as a test says."""

    def notify(
        self, subscribe: Request, tag: str = "t1", state: str | None = "active", cseq: int = 1, **headers: Any
    ) -> None:
        """Send a NOTIFY for a SUBSCRIBE that came; None for `state` leaves Subscription-State out."""
        self.sequence += 1
        event = headers.pop("Event", subscribe.get("Event") or "refer")
        rows = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if event:
            rows.append(("Event", event))
        if state is not None:
            rows.append(("Subscription-State", state))
        made = request(
            "NOTIFY",
            str(subscribe.contacts[0].uri),
            via=f"SIP/2.0/UDP {self.address};branch=z9hG4bKnotify{self.sequence}",
            from_=f"{subscribe.get('To')};tag={tag}",
            to=subscribe.get("From") or "",
            call_id=subscribe.call_id,
            cseq=cseq,
            contact=f"<sip:{tag}@{self.address}>",
            headers=rows,
        )
        self.send(made)

    def accept(self, subscribe: Request, tag: str | None = "t1", **headers: Any) -> None:
        """Send a 200 to a SUBSCRIBE."""
        self.answer(subscribe, 200, tag, Contact=f"<sip:{tag}@{self.address}>", **headers)


def with_notifier() -> tuple[Events, Notifier]:
    """Alice, and a notifier at 10.0.0.9 that does as it is told."""
    scene = Events("alice")
    return scene, Notifier(scene.network, "peer", "10.0.0.9")
