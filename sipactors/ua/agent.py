"""The user agent: it registers, calls and is called, sends messages, watches others and publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred

from sipactors.client import RequestElements
from sipactors.errors import RequestRejected, SIPError
from sipactors.ua.call import Call, new_call
from sipactors.ua.messaging import Message, Publication
from sipactors.ua.service import AgentService
from sipactors.ua.subscription import Subscription

if TYPE_CHECKING:
    from sipactors.interfaces import ICallObserver
    from sipactors.message import URI, Event, Response
    from sipactors.ua.media import Description
    from sipactors.ua.transfer import Transfer

F = TypeVar("F", bound=Callable[..., Any])


class UserAgent(AgentService):
    """A SIP phone without its buttons: `UserAgent(reactor, "sip:alice@example.com", password="…")`.

    It begins to listen with the service that it belongs to, or else by itself with the first thing that it
    is asked for; then it also stops, properly, when the reactor does. `listen` are addresses as AccessPoint
    takes them. `media` makes the IMediaSession of each call; without it the application gives the SDP.
    `account` has what else Account takes: user, realm, registrar, outbound_proxy, expires. With a `stack`
    several agents share its listeners: `access_point` then names the one to use.

    Whatever is sent gives a Deferred, which `async def` functions await; it fails with a SIPError, which is
    RequestRejected when the peer refused. Functions given to `on_call` and the like may be `async def`.
    """

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
        call = new_call(self, observer, like, with_media=offer is None)
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
