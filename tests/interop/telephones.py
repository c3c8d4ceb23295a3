"""Telephones of ours on loopback, each a stack of its own, which other programs call and are called by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from twisted.internet import reactor as installed_reactor
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from programs import HOST, Program
from sipactors.client import (
    AccessPoint,
    Capabilities,
    ClientTransaction,
    Connection,
    ConnectionObserver,
    Dialog,
    InviteUsage,
    MessageElements,
    ResponseElements,
    SIPClient,
    SIPObserver,
    Stack,
    Timing,
)
from sipactors.client.capabilities import METHODS
from sipactors.dialog.offers import carries_session
from sipactors.interfaces import ITrace
from sipactors.message import Message, Request, Response
from sipactors.sdp import LocalMedia, OfferAnswer, OfferAnswerState
from starter import Starter

reactor: Any = installed_reactor
SDP = "application/sdp"


async def until(holds: Callable[[], object], what: object, seconds: float = 15.0) -> None:
    """Let the reactor run until `holds()` is true; AssertionError when it is not within so many seconds."""
    end = reactor.seconds() + seconds
    while not holds():
        assert reactor.seconds() < end, f"after {seconds} s still not true: {what}"
        await deferLater(reactor, 0.01, lambda: None)


async def ended(program: Program, seconds: float = 30.0) -> int:
    """The exit status of a program that ends by itself, while our telephones go on."""
    await until(lambda: not program.running, f"{program.name} ends", seconds)
    return program.wait(1)


class Sound(DatagramProtocol):
    """Where the peer sends its media: it is counted and thrown away."""

    packets = 0

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        self.packets += 1


@implementer(ITrace)
class Wire:
    """Shows each message, whole, with a test that failed, and keeps the first lines."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.received_lines: list[str] = []

    def received(self, flow: Any, data: bytes) -> None:
        """See ITrace."""
        self.received_lines.append(data.partition(b"\r\n")[0].decode("utf-8", "backslashreplace"))
        self._show("<--", flow, data)

    def sent(self, flow: Any, data: bytes) -> None:
        """See ITrace."""
        self._show("-->", flow, data)

    def note(self, actor: object, text: str) -> None:
        """See ITrace."""
        print(f"{reactor.seconds():.3f} {self.name} {actor!r}: {text}")

    def _show(self, arrow: str, flow: Any, data: bytes) -> None:
        text = data.decode("utf-8", "backslashreplace").replace("\r", "")
        print(f"{reactor.seconds():.3f} {self.name} {arrow} {flow.transport} {flow.peer}\n{text}")


class Call(ConnectionObserver):
    """One call with its session: it answers offers, takes answers, and keeps what it hears.

    `heard` has `INVITE`, `ACK` for requests, `200 INVITE` for responses, `fork 180 INVITE` for one
    that made another dialog and `other 200 INVITE` for what follows there; and the names of errors with the
    method, as `TransactionTimeout INVITE`.
    """

    def __init__(self, phone: Telephone) -> None:
        self.heard: list[str] = []
        self.requests: list[Request] = []
        self.responses: list[Response] = []
        self.forks: list[InviteUsage] = []
        self.sound = Sound()
        media = reactor.listenUDP(0, self.sound, HOST)
        phone.test.addCleanup(media.stopListening)
        self.port: int = media.getHost().port
        self.session = OfferAnswer(HOST, [LocalMedia(self.port, ["PCMU/8000"])], session_id=self.port)
        self.usage: InviteUsage = None  # type: ignore[assignment]
        self.invitation: Any = None
        "The peer's INVITE that began the call."
        self.on_response: Callable[[ClientTransaction], object] | None = None
        self.on_request: Callable[[Any], object] | None = None
        "Answers a request within the dialog in place of the call; returns True when it has."

    # ------------------------------------------------------------------ offers and answers

    def offer(self) -> MessageElements:
        """What an INVITE or UPDATE of ours carries."""
        return MessageElements(body=self.session.offer().render(), content_type=SDP)

    def take(self, message: Message) -> bytes:
        """Learn from the session description of a message; gives the answer when it was an offer."""
        if not carries_session(message):
            return b""
        if self.session.state is OfferAnswerState.LOCAL_OFFER:
            self.session.answer_received(message.body)
            return b""
        self.session.offer_received(message.body)
        return self.session.answer().render()

    @property
    def direction(self) -> str:
        """What flows: sendrecv, sendonly (they listen to us only), recvonly, inactive."""
        stream = self.session.negotiated[0]
        assert stream is not None
        return stream.direction.value

    # ------------------------------------------------------------------ what it does

    def ring(self, status: int = 180, *, session: bool = False) -> None:
        """Answer the INVITE provisionally, with the answer to its offer when `session`."""
        body = self.take(self.invitation.request) if session else b""
        self.invitation.respond(ResponseElements(status, body=body, content_type=SDP if body else None))

    def accept(self) -> None:
        """Answer the INVITE with 200: with the answer, or with our offer when it had none."""
        if not carries_session(self.invitation.request):
            body = self.session.offer().render()
        elif self.session.negotiated:
            body = b""  # It has gone in a reliable response.
        else:
            body = self.take(self.invitation.request)
        self.invitation.respond(ResponseElements(200, body=body, content_type=SDP if body else None))

    def heard_all(self, *wanted: str) -> bool:
        """Whether it has heard these, in this order; others may stand between them."""
        left = iter(self.heard)
        return all(name in left for name in wanted)

    async def hears(self, *wanted: str, seconds: float = 15.0) -> None:
        """Return once it has heard these, in this order."""
        try:
            await until(lambda: self.heard_all(*wanted), wanted, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}, only {self.heard}") from None

    # ------------------------------------------------------------------ what it hears

    def dialog_request_received(self, transaction: Any, dialog: Dialog) -> None:
        """See IConnectionObserver."""
        request = transaction.request
        self.heard.append(request.method)
        self.requests.append(request)
        if self.on_request is not None and self.on_request(transaction):
            return
        body = self.take(request)
        if request.method not in ("ACK", "BYE"):
            transaction.respond(ResponseElements(200, body=body, content_type=SDP if body else None))

    def dialog_response_received(self, transaction: ClientTransaction, usage: Any) -> None:
        """See IConnectionObserver."""
        response = transaction.response
        assert response is not None
        other = "" if usage is self.usage else "other "
        self.heard.append(f"{other}{response.status} {transaction.method}")
        self.responses.append(response)
        if self.on_response is not None:
            self.on_response(transaction)
        elif self.session.state is OfferAnswerState.LOCAL_OFFER:
            if response.status >= 300:
                self.session.offer_rejected()
            else:
                self.take(response)

    def dialog_forked(self, transaction: ClientTransaction, usage: Any) -> None:
        """See IConnectionObserver."""
        assert transaction.response is not None
        self.heard.append(f"fork {transaction.response.status} {transaction.method}")
        self.forks.append(usage)

    def usage_failed(self, error: Any, usage: Any, transaction: Any) -> None:
        """See IConnectionObserver."""
        self.heard.append(f"{type(error).__name__} {getattr(transaction, 'method', None)}")

    def invite_completed(self, transaction: Any) -> None:
        """See IConnectionObserver."""
        self.heard.append("completed")

    def invite_canceled(self, transaction: Any) -> None:
        """See IConnectionObserver."""
        self.heard.append("canceled")


class Telephone(ConnectionObserver):
    """A client with a stack of its own on free ports: it rings and takes the calls that come.

    `on_call` does otherwise with them: it gets the Call, whose INVITE is not answered yet.
    """

    def __init__(
        self,
        test: TelephoneTest,
        name: str,
        *,
        supported: Sequence[str] = (),
        methods: Sequence[str] = METHODS,
        transports: Sequence[str] = ("udp", "tcp"),
        timing: Timing | None = None,
    ) -> None:
        self.test = test
        self.name = name
        self.calls: list[Call] = []
        self.heard: list[str] = []
        "What came outside of calls, as in Call."
        self.on_call: Callable[[Call], object] | None = None
        self.on_request: Callable[[Any], object] | None = None
        self.wire = Wire(name)
        self.stack = Stack(reactor, timing=timing, trace=self.wire)
        self.stack.add_access_point(
            AccessPoint("lo", [f"{transport}:0:interface={HOST}" for transport in transports])
        )
        self.stack.startService()
        test.addCleanup(self.stack.close)
        capabilities = Capabilities(methods=tuple(methods), supported=tuple(supported))
        self.client = SIPClient(self.stack, name, SIPObserver(), capabilities)
        self.connection = Connection(self.client, "lo", self)

    @property
    def port(self) -> int:
        """The port of its first transport."""
        address = self.connection.local_address
        assert address is not None
        return address[1]

    @property
    def address(self) -> str:
        """host:port."""
        return f"{HOST}:{self.port}"

    @property
    def uri(self) -> str:
        """Where it is called directly."""
        return f"sip:{self.name}@{self.address}"

    def prepare(self, uri: str, **options: Any) -> Call:
        """A call to somebody, whose INVITE is still to be sent by `call.usage.invite`."""
        call = Call(self)
        if "context" not in options:
            options.setdefault("from_", self.uri)
        call.usage = InviteUsage.outgoing(self.connection, uri, observer=call, **options)
        self.calls.append(call)
        return call

    def dial(self, uri: str, **options: Any) -> Call:
        """Call somebody, with an offer."""
        call = self.prepare(uri, **options)
        call.usage.invite(call.offer())
        return call

    def request_received(self, transaction: Any) -> None:
        """See IConnectionObserver."""
        self.heard.append(transaction.method)
        if self.on_request is not None and self.on_request(transaction):
            return
        if transaction.method != "INVITE":
            transaction.respond(ResponseElements(200))
            return
        call = Call(self)
        call.usage = InviteUsage.incoming(transaction, observer=call)
        call.invitation = transaction
        call.requests.append(transaction.request)
        self.calls.append(call)
        if self.on_call is not None:
            self.on_call(call)
        else:
            call.ring()
            call.accept()

    def dialog_request_received(self, transaction: Any, dialog: Dialog) -> None:
        """See IConnectionObserver."""
        self.heard.append(transaction.method)
        if self.on_request is None or not self.on_request(transaction):
            transaction.respond(ResponseElements(200))

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IConnectionObserver."""
        assert transaction.response is not None
        self.heard.append(f"{transaction.response.status} {transaction.method}")

    def transaction_failed(self, error: Any, transaction: Any) -> None:
        """See IConnectionObserver."""
        self.heard.append(f"{type(error).__name__} {transaction.method}")

    def registration_response_received(self, transaction: ClientTransaction, binding: object) -> None:
        """See IConnectionObserver."""
        self.response_received(transaction)

    def registration_failed(self, error: Any, binding: object, transaction: Any) -> None:
        """See IConnectionObserver."""
        self.heard.append(f"{type(error).__name__} REGISTER")

    async def call(self) -> Call:
        """The first call, once it has come."""
        await until(lambda: self.calls, f"a call comes to {self.name}")
        return self.calls[0]

    def check_nothing_left(self) -> None:
        """AssertionError when a dialog is left, or an observer has raised."""
        (access,) = self.stack.access_points
        assert len(access.dialogs) == 0
        assert self.stack.metrics.faults == 0


class TelephoneTest(TestCase):
    """Real sockets, the real reactor, real programs: `self.start` starts them."""

    timeout = 60
    start: Starter

    @pytest.fixture(autouse=True)
    def _take_starter(self, start: Starter) -> None:
        self.start = start

    def phone(self, name: str, **options: Any) -> Telephone:
        """A telephone that ends with the test."""
        return Telephone(self, name, **options)
