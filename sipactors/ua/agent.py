"""The user agent: a Twisted service that registers, calls, is called, sends messages and watches others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    Digest,
    Policies,
    RequestElements,
    SIPClient,
    SIPObserver,
    Stack,
)
from sipactors.errors import RequestRejected, ResourceNotAvailable, SIPError
from sipactors.ua.account import Account
from sipactors.ua.call import Call, new_media
from sipactors.ua.dtmf import PLAIN, RELAY
from sipactors.ua.incoming import Incoming
from sipactors.ua.messaging import Message, Publication
from sipactors.ua.subscription import Subscription

if TYPE_CHECKING:
    from sipactors.interfaces import ICallObserver, IMediaSession
    from sipactors.message import URI, Address, Event, Response
    from sipactors.ua.media import Description
    from sipactors.ua.transfer import Transfer

log = Logger()

METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "PRACK", "NOTIFY", "REFER")
SUPPORTED = ("100rel", "timer", "replaces", "norefersub")
ACCEPT = ("application/sdp", RELAY, PLAIN, "message/sipfrag")

F = TypeVar("F", bound=Callable[..., Any])


class UserAgent(MultiService):
    """A SIP phone without its buttons: `UserAgent(reactor, "sip:alice@example.com", password="…")`.

    It begins to listen with the service that it belongs to, or else by itself with the first thing that it
    is asked for; then it also stops, properly, when the reactor does. `listen` are addresses as AccessPoint
    takes them. `media` makes the IMediaSession of each call; without it the application gives the SDP.
    `account` has what else Account takes: user, realm, registrar, outbound_proxy, expires. With a `stack`
    several agents share its listeners: `access_point` then names the one to use.

    Whatever is sent gives a Deferred, which `async def` functions await; it fails with a SIPError, which is
    RequestRejected when the peer refused. Functions given to `on_call` and the like may be `async def`.
    """

    def __init__(
        self,
        reactor: Any,
        aor: Address | URI | str,
        *,
        password: str | None = None,
        listen: Sequence[str] = ("udp:5060", "tcp:5060"),
        media: Callable[[Call | None], IMediaSession] | None = None,
        stack: Stack | None = None,
        access_point: str | None = None,
        user_agent: str | None = "sipactors",
        follow_redirects: bool = True,
        follow_transfers: bool = True,
        behind_nat: bool = False,
        account: dict[str, Any] | None = None,
        **stack_options: Any,
    ) -> None:
        """Raises ArgumentError, NotFound for an access point that the stack does not have."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.account = Account(aor, password=password, **(account or {}))
        "Who the agent is, with its registration."
        self.reactor = reactor
        self.media = media
        self.follow_redirects = follow_redirects
        "Whether calls of ours go where a 3xx says."
        self.follow_transfers = follow_transfers
        "Whether a REFER within a call is obeyed when no function was given to `on_transfer`."
        self.calls: list[Call] = []
        "The calls that are not over."
        self.subscriptions: list[Subscription] = []
        "The subscriptions that are not over."
        uri: Any = self.account.aor.uri
        self._access_point = access_point or uri.user
        self._shared = stack is not None
        if stack is None:
            stack = Stack(reactor, **stack_options)
            proxy = self.account.outbound_proxy
            stack.add_access_point(
                AccessPoint(self._access_point, listen, outbound_proxy=None if proxy is None else str(proxy))
            )
            stack.setServiceParent(self)  # type: ignore[no-untyped-call]
        self.stack = stack
        capabilities = Capabilities(
            methods=METHODS, accept=ACCEPT, supported=SUPPORTED, users=(uri.user,) if self._shared else None
        )
        policies = Policies(user_agent=user_agent, contact_from_received=behind_nat)
        self.client = SIPClient(stack, str(uri), SIPObserver(), capabilities, policies)
        self.account.digest = Digest(self.client, self.account)
        self._incoming = Incoming(self)
        self._connection: Connection | None = None
        self._trigger: Any = None

    def __repr__(self) -> str:
        return f"<UserAgent {self.account.aor.uri}>"

    # ------------------------------------------------------------------ the service

    def startService(self) -> None:
        """Listen. Raises CannotListenError."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._shared and not self.stack.running:
            self.stack.startService()
        self._connection = Connection(self.client, self._access_point, self._incoming)
        self.account.connected(self._connection)

    def stopService(self) -> Deferred[Any]:
        """Hang up, un-register, unsubscribe, stop listening; done within 32 seconds, less when idle."""
        trigger, self._trigger = self._trigger, None
        if trigger is not None:
            self.reactor.removeSystemEventTrigger(trigger)
        connection = self._connection
        if connection is None:
            return maybeDeferred(super().stopService)
        shared = connection.shutdown() if self._shared else maybeDeferred(super().stopService)
        return shared.addBoth(self._stopped)

    def _stopped(self, result: Any) -> Any:
        if self._shared:
            super().stopService()  # type: ignore[no-untyped-call]
        self._connection = None
        self.account.connected(None)
        self.connection_gone(ResourceNotAvailable("the agent has stopped"))
        return result

    def begin(self) -> Connection:
        """Begin to run, unless the agent does so already. Raises CannotListenError."""
        if self._connection is None:
            self.startService()
            if self.parent is None and hasattr(self.reactor, "addSystemEventTrigger"):
                self._trigger = self.reactor.addSystemEventTrigger("before", "shutdown", self._reactor_stops)
        return self.connection

    @property
    def connection(self) -> Connection:
        """The connection that everything goes by; ResourceNotAvailable while the agent does not run."""
        if self._connection is None:
            raise ResourceNotAvailable("the agent does not run")
        return self._connection

    def _reactor_stops(self) -> Deferred[Any]:
        self._trigger = None
        return self.stopService()

    def connection_gone(self, error: SIPError) -> None:
        """What went by the connection lives no more; the connection may know better why."""
        if self._connection is not None:
            error = self._connection.last_error or error
        for call in list(self.calls):
            if call.usage.closed or self._connection is None:
                call.connection_lost(error)
        for subscription in list(self.subscriptions):
            if subscription.usage.closed or self._connection is None:
                subscription.connection_lost(error)

    # ------------------------------------------------------------------ registration

    def register(self) -> Deferred[None]:
        """Register at the registrar, and stay registered until `unregister` or the end of the service.

        The Deferred fires with the first 2xx. It fails with RequestRejected, or with what went wrong; what
        may pass (a timeout, a 503) is tried again all the same, and `on_registration` hears of it.
        """
        self.begin()
        return self.account.register()

    def unregister(self) -> Deferred[None]:
        """Remove the registration."""
        return self.account.unregister()

    @property
    def registered(self) -> bool:
        """True while the registrar knows us."""
        return self.account.registered

    def on_registration(self, function: F) -> F:
        """Call `function(registered, error)` whenever that changes or fails."""
        self.account.observers.append(function)
        return function

    # ------------------------------------------------------------------ calls

    def call(self, uri: URI | str, offer: Description | None = None, **options: Any) -> Deferred[Call]:
        """Call somebody; the Deferred is of the Call once it is answered.

        It fails with CallRejected, whose `status` says how, or with what went wrong. Cancelling it ends
        the call. Options and errors that are raised are those of `dial`.
        """
        call = self.dial(uri, offer, **options)
        return call._answered.wait(call.hangup)

    def dial(
        self,
        uri: URI | str,
        offer: Description | None = None,
        *,
        observer: ICallObserver | None = None,
        headers: Iterable[tuple[str, object]] = (),
        like: Call | None = None,
    ) -> Call:
        """Call somebody, and have the Call at once: to watch it ring, or to hang up before it is answered.

        Without an offer the media session writes it; without one either, the peer is asked for an offer.
        `like` gives the media of another call. Raises ArgumentError, TransportFailure, InvalidURIType.
        """
        self.begin()
        session = None if self.media is None or offer is not None else self.media(None)
        call = Call(self, new_media(self, session, like), observer)
        call.begin(uri, offer, headers, self.account.context, self.account.from_)
        self.calls.append(call)
        return call

    def on_call(self, function: F) -> F:
        """Call `function(call)` for each call that comes in; without one they are answered 480."""
        self._incoming.call_function = function
        return function

    def call_ended(self, call: Call) -> None:
        """A call is over."""
        if call in self.calls:
            self.calls.remove(call)

    def on_transfer(self, function: Callable[[Transfer], object]) -> Callable[[Transfer], object]:
        """Let `function(transfer)` decide when a peer wants to transfer us; see `follow_transfers`."""
        self._incoming.transfer_function = function
        return function

    # ------------------------------------------------------------------ messages, and the rest

    def message(
        self, uri: URI | str, body: str | bytes, content_type: str = "text/plain;charset=utf-8"
    ) -> Deferred[Response]:
        """Send a MESSAGE; the Deferred is of its 2xx, or fails with RequestRejected."""
        data = body.encode() if isinstance(body, str) else body
        return self.request("MESSAGE", uri, body=data, content_type=content_type if data else None)

    def on_message(self, function: Callable[[Message], object]) -> Callable[[Message], object]:
        """Call `function(message)` for each MESSAGE; without one they are answered 405."""
        self._incoming.message_function = function
        capabilities = self.client.capabilities
        if "MESSAGE" not in capabilities.methods:
            capabilities.methods = (*capabilities.methods, "MESSAGE")
            capabilities.accept = (*capabilities.accept, "*/*")
        return function

    def options(self, uri: URI | str) -> Deferred[Response]:
        """Ask what somebody can do, or whether he is there: any final response, also a failure, says so."""
        return self._send("OPTIONS", uri, (("Accept", "application/sdp"),), b"", None)

    def request(
        self,
        method: str,
        uri: URI | str,
        *,
        headers: Iterable[tuple[str, object]] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Deferred[Response]:
        """Send any request outside of dialogs; the Deferred is of its 2xx, or fails with RequestRejected."""
        return self._send(method, uri, headers, body, content_type).addCallback(self.check)

    def _send(
        self,
        method: str,
        uri: URI | str,
        headers: Iterable[tuple[str, object]],
        body: bytes,
        content_type: str | None,
    ) -> Deferred[Response]:
        connection = self.begin()
        elements = RequestElements(
            uri,
            method,
            from_=self.account.from_,
            headers=list(headers),
            body=body,
            content_type=content_type,
        )
        return connection.send_request(elements, context=self.account.context).final_response()

    def check(self, response: Response) -> Response:
        """The response, when it is a 2xx; else RequestRejected is raised."""
        if response.status >= 300:
            raise RequestRejected(response.status, response.reason, response)
        return response

    def subscribe(
        self,
        event: Event | str,
        uri: URI | str,
        observer: Any = None,
        *,
        expires: int | None = None,
        accept: Sequence[str] = (),
    ) -> Subscription:
        """Watch somebody: `presence`, `dialog`, `message-summary`, `reg` or any other event package.

        `observer` provides ISubscriptionObserver, or is a function that gets each state. With `expires` 0
        the state is asked for once. `accept` names the types of bodies, which sipactors knows of its own
        packages. Raises ArgumentError, TransportFailure.
        """
        self.begin()
        subscription = Subscription(self, event, uri, observer, expires, accept)
        self.subscriptions.append(subscription)
        return subscription

    def subscription_ended(self, subscription: Subscription) -> None:
        """A subscription is over."""
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)

    def publish(
        self,
        event: str,
        value: Any,
        *,
        content_type: str | None = None,
        uri: URI | str | None = None,
        expires: int = 3600,
        failed: Callable[[SIPError], object] | None = None,
    ) -> Deferred[Publication]:
        """Let a server tell our state to those who watch us, as our presence.

        `value` is what the event package writes, or the body. The Deferred is of the Publication once the
        server has it; `failed` gets the error when it cannot be kept alive. Raises ArgumentError.
        """
        self.begin()
        return Publication(self, event, uri, expires, failed).begin(value, content_type)
