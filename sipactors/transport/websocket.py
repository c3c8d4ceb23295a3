"""SIP over WebSocket (RFC 7118): listeners, the handshake with the subprotocol `sip`, messages in frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory, connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Message,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError
from zope.interface import directlyProvides, providedBy

from sipactors.actor import TERMINATED
from sipactors.errors import TransportFailure
from sipactors.message.grammar import bracketed
from sipactors.transport.connections import StreamListener
from sipactors.transport.marking import DEFAULT_PORTS
from sipactors.transport.websocket_flow import WebSocketFlow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sipactors.transport.stream import StreamProtocol

SUBPROTOCOL = "sip"
"RFC 7118 §4.1: what both ends have to name in the handshake."

PING_SECONDS = 30.0
"How often a client that cannot be connected to pings, unless `ping=` says otherwise."


class WebSocketListener(StreamListener):
    """A listening port for WebSocket, and where connections by WebSocket come from."""

    transport = "WS"
    flow_class = WebSocketFlow

    @property
    def path(self) -> str:
        """The resource that is asked for in the handshake."""
        return self.description.options.get("path", "/")

    @property
    def ping_seconds(self) -> float:
        """Seconds between pings of ours; 0 for none."""
        # Only through its own connection is a client reached that nobody can connect to.
        given = self.description.options.get("ping")
        return float(given) if given is not None else 0.0 if self.listens else PING_SECONDS

    def server_factory(self, accepting: ServerFactory) -> ServerFactory:
        """See StreamListener."""
        inner = super().server_factory(accepting)
        return cast(ServerFactory, _WebSocketFactory(self, inner))

    def client_factory(self, opening: ClientFactory, flow: Any) -> ClientFactory:
        """See StreamListener."""
        inner = super().client_factory(opening, flow)
        return cast(ClientFactory, _WebSocketFactory(self, inner))


if TYPE_CHECKING:
    _Factory = WrappingFactory[ProtocolWrapper]
else:
    # The oldest Twisted that is supported knows no parameters here.
    _Factory = WrappingFactory


class _WebSocketFactory(_Factory):
    """Puts WebSocket between connections and what another factory makes for them."""

    noisy = False

    def __init__(self, listener: WebSocketListener, inner: Any) -> None:
        super().__init__(inner)  # type: ignore[no-untyped-call]
        self.listener = listener

    def buildProtocol(self, addr: Any) -> Any:
        """See IProtocolFactory: None closes the connection at once."""
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else WebSocketProtocol(self, inner)


class WebSocketProtocol(ProtocolWrapper):
    """One connection: to the flow inside it is a transport, each `write` of which is one message."""

    factory: _WebSocketFactory

    def __init__(self, factory: _WebSocketFactory, inner: StreamProtocol) -> None:
        super().__init__(cast(Any, factory), inner)
        self.flow = cast(WebSocketFlow, inner.flow)
        self._listener = factory.listener
        side = ConnectionType.SERVER if self.flow.accepted else ConnectionType.CLIENT
        self._websocket = WSConnection(side)
        self._message = bytearray()
        self._ending: tuple[int, str] = (CloseReason.NORMAL_CLOSURE, "")
        self._failed = False
        self._next_ping: IDelayedCall | None = None
        self._pong_awaited = False

    # ------------------------------------------------------------------ the handshake

    def makeConnection(self, transport: Any) -> None:
        """See IProtocol; the protocol inside begins when the handshake is done."""
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        cast(Any, self.factory).registerProtocol(self)
        flow = self.flow
        if flow.state is TERMINATED:
            transport.abortConnection()
            return
        flow.abandon = transport.abortConnection
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        if not flow.accepted:
            flow.start_late()
            host = bracketed((flow.name or flow.peer[0]).strip("[]").partition("%")[0])
            if flow.peer[1] != DEFAULT_PORTS[flow.transport]:
                host = f"{host}:{flow.peer[1]}"
            asked = Request(host=host, target=self._listener.path, subprotocols=[SUBPROTOCOL])
            transport.write(self._websocket.send(asked))

    def _asked(self, request: Request) -> None:
        wanted = self._listener.description.options.get("path")
        if SUBPROTOCOL not in request.subprotocols:
            # RFC 7118 §4.1: the client MUST include the value "sip", and the server's 101 names it as well.
            self._refuse(RejectConnection(status_code=400), "the subprotocol sip was not offered")
        elif wanted is not None and request.target.partition("?")[0] != wanted:
            self._refuse(RejectConnection(status_code=404), f"there is no {request.target}")
        else:
            # No extension is agreed on: what is compressed may be a thousand times as large as its frame.
            self._write(AcceptConnection(subprotocol=SUBPROTOCOL))
            self._begin()

    def _accepted(self, answer: AcceptConnection) -> None:
        if answer.subprotocol != SUBPROTOCOL:
            # RFC 7118 §4.1: without "sip" in the answer the client MUST NOT go on.
            self._refuse(None, "the server did not agree on the subprotocol sip")
            return
        self._begin()

    def _begin(self) -> None:
        cast(Any, self.wrappedProtocol).makeConnection(self)
        self._ping_later()

    def _refuse(self, answer: RejectConnection | None, why: str) -> None:
        if self._failed:
            return
        self._failed = True
        if answer is not None and self.flow.accepted:
            try:
                self._write(answer)
            except (LocalProtocolError, UnicodeError):
                # It was no HTTP at all.
                pass
        self._listener.site.handshake_failed(self.flow, why)
        self.flow.feed("refused", (self.transport, f"no WebSocket handshake: {why}"))

    # ------------------------------------------------------------------ what comes

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        if self._failed:
            return
        try:
            self._websocket.receive_data(data)
            for event in self._websocket.events():
                self._happened(event)
                if self._failed or self.flow.state is TERMINATED:
                    return
        except (RemoteProtocolError, LocalProtocolError, UnicodeError) as problem:
            hint = getattr(problem, "event_hint", None)
            self._refuse(hint if isinstance(hint, RejectConnection) else RejectConnection(), str(problem))

    def _happened(self, event: Event) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            self._part(event)
        elif isinstance(event, Ping):
            self._listener.site.metrics.pings_received += 1
            if self.flow.writable:
                # RFC 6455 §5.5.2: upon receipt of a Ping frame, an endpoint MUST send a Pong frame.
                self._write(event.response())
            self.flow.alive()
        elif isinstance(event, Pong):
            self._pong_awaited = False
            self.flow.alive()
        elif isinstance(event, CloseConnection):
            self._closed(event)
        elif isinstance(event, Request):
            self._asked(event)
        elif isinstance(event, AcceptConnection):
            self._accepted(event)
        elif isinstance(event, RejectConnection):
            self._refuse(None, f"the server answered {event.status_code}")

    def _part(self, event: Message[Any]) -> None:
        data = event.data.encode() if isinstance(event.data, str) else event.data
        most = self._listener.site.limits.max_message_size
        if len(self._message) + len(data) > most:
            self._fail(CloseReason.MESSAGE_TOO_BIG, f"message larger than {most} bytes")
            return
        if not event.message_finished:
            self._message += data
            self.flow.part_received()
            return
        whole = bytes(self._message) + bytes(data) if self._message else bytes(data)
        self._message.clear()
        self.flow.whole_received(whole)

    def _fail(self, code: int, why: str) -> None:
        """RFC 6455 §7.1.7: fail the connection: say why, and read nothing more."""
        self._listener.site.metrics.framing_errors += 1
        self._ending = (code, why)
        self.flow.feed("closed", f"WebSocket error: {why}")
        self._failed = True
        cast(Any, self.transport).loseConnection()

    def _closed(self, event: CloseConnection) -> None:
        state = self._websocket.state
        if state is ConnectionState.OPEN:
            # Not a Close frame, but the parser's own fault to tell.
            self._fail(event.code, event.reason or "a frame breaks the rules")
        elif state is ConnectionState.CLOSED:
            # The answer to our Close frame.
            cast(Any, self.transport).loseConnection()
        else:
            self._ending = (event.code, event.reason or "")
            reason = f": {event.reason}" if event.reason else ""
            self.flow.feed("closed", f"the peer closed with {int(event.code)}{reason}")

    # ------------------------------------------------------------------ what goes

    def _write(self, event: Event) -> None:
        cast(Any, self.transport).write(self._websocket.send(event))

    def write(self, data: bytes) -> None:
        """Send one SIP message; see ITransport."""
        if self._websocket.state is not ConnectionState.OPEN:
            return
        # RFC 7118 §4.2: each SIP message MUST be carried within a single WebSocket message; in a binary one
        # if there is at least one non-UTF-8 symbol in the whole of it.
        try:
            self._write(TextMessage(data.decode("utf-8")))
        except UnicodeDecodeError:
            self._write(BytesMessage(data))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send some SIP messages; see ITransport."""
        for message in data:
            self.write(message)

    def loseConnection(self) -> None:
        """Send a Close frame; the connection ends with the peer's own, see ITransport."""
        state = self._websocket.state
        if state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            code, reason = self._ending
            self._write(CloseConnection(code=code, reason=reason or None))
        if state is not ConnectionState.OPEN:
            cast(Any, self.transport).loseConnection()

    def _ping_later(self) -> None:
        seconds = self._listener.ping_seconds
        if seconds > 0 and not self._failed:
            self._next_ping = self._listener.site.reactor.callLater(seconds, self._ping)

    def _ping(self) -> None:
        self._next_ping = None
        if self._websocket.state is not ConnectionState.OPEN:
            return
        if self._pong_awaited:
            self.flow.feed("closed", "the peer does not answer pings")
            return
        # RFC 7118 §6: keep the connection open by sending periodic WebSocket Ping frames.
        self._pong_awaited = True
        self._write(Ping())
        self._ping_later()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        if self._next_ping is not None:
            self._next_ping.cancel()
            self._next_ping = None
        if self._websocket.connection is None and not self._failed and reason.check(TransportFailure) is None:
            text = f"no WebSocket handshake: {reason.getErrorMessage()}"
            self._listener.site.handshake_failed(self.flow, text)
            reason = Failure(TransportFailure(text))
        # Not in it when TLS outside of us came to nothing.
        cast(Any, self.factory).protocols.pop(self, None)
        cast(Any, self.wrappedProtocol).connectionLost(reason)
