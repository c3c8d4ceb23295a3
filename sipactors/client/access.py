"""An access point at work: its transports, transactions, dialogs, and the way up to the right client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from zope.interface import implementer

from sipactors.actor import tell
from sipactors.client.inspection import inspect, inspect_subscription, options_headers
from sipactors.client.served import ServerTransaction
from sipactors.dialog import Dialog, DialogTable
from sipactors.dialog.dialog import contact_of, routes_of
from sipactors.dialog.replaces import find_replaced
from sipactors.interfaces import IRequestReceiver
from sipactors.locating import Locator
from sipactors.transaction import Dispatcher
from sipactors.transport import TransportLayer

if TYPE_CHECKING:
    from sipactors.client.client import SIPClient
    from sipactors.client.connection import Connection
    from sipactors.client.stack import Stack
    from sipactors.interfaces import IBearerMonitor, IFlow
    from sipactors.message import Response
    from sipactors.settings import Timing
    from sipactors.transaction.dispatcher import ServerTransaction as Machine

log = Logger()

NEEDS_ONE_CONTACT = frozenset(("INVITE", "SUBSCRIBE", "REFER"))

SUBSCRIBES = frozenset(("SUBSCRIBE", "REFER"))

ONLY_IN_DIALOGS = frozenset(("BYE", "PRACK", "UPDATE"))


@dataclass(slots=True)
class AccessPoint:
    """A way into the network: addresses to listen on, with the timing that suits it."""

    name: str
    "What connections call it."
    listen: Sequence[str]
    "Endpoint-like descriptions: `udp:5060:interface=127.0.0.1`, `tcp:5060:interface=\\:\\:1`."
    timing: Timing | None = None
    "Timers of its own (RFC 3261 §17); None: those of the stack."
    outbound_proxy: str | None = None
    "A URI that every request outside of registrations goes to first, as `sip:proxy.example.com;lr`."
    bearer: IBearerMonitor | None = None
    "Says whether the network is there; None: it is whenever the listeners are bound."


@implementer(IRequestReceiver)
class Access:
    """What the stack keeps for one access point."""

    def __init__(self, stack: Stack, point: AccessPoint) -> None:
        self.stack = stack
        self.point = point
        self.name = point.name
        self.metrics = stack.metrics
        self.listening = False
        self.bearer_state = "up"
        "What the bearer monitor said last: 'up', 'suspended', 'down' or 'unavailable'."
        timing = point.timing or stack.timing
        self.dispatcher = Dispatcher(
            self, stack.timers, timing, stack.limits, stack.dice, stack.metrics, stack.trace
        )
        self.transports = TransportLayer(
            stack.reactor,
            self.dispatcher,
            limits=stack.limits,
            trace=stack.trace,
            metrics=stack.metrics,
            timers=stack.timers,
            dice=stack.dice,
        )
        self.dispatcher.transports = self.transports
        self.locator = Locator(stack.resolver, stack.reactor, stack.dice, transports=self._offered)
        self.dialogs = DialogTable()
        self.connections: list[Connection] = []
        self._untaken: dict[ServerTransaction, Any] = {}

    def _offered(self) -> list[tuple[str, int]]:
        """The transports with their address families that requests may be sent by."""
        return [(kind, 6 if ":" in host else 4) for kind, host, _ in self.transports.addresses]

    # ------------------------------------------------------------------ starting and stopping

    def start(self) -> None:
        """Listen. Raises CannotListenError or ArgumentError with one clear line."""
        if not self.listening:
            for description in self.point.listen:
                self.transports.listen(description)
            self.listening = True
            if self.point.bearer is not None:
                self.point.bearer.watch(self._bearer_changed)
            self._tell_connections()

    def _bearer_changed(self, state: str) -> None:
        self.bearer_state = state
        self.transports.network_changed()
        self._tell_connections()

    def _tell_connections(self) -> None:
        for connection in list(self.connections):
            connection.access_changed()

    def reconnect(self) -> None:
        """Listen again if that ended; raises as `start` does."""
        self.start()

    def stop(self) -> Any:
        """Close every connection and listener; gives a Deferred of the listeners' end, or None."""
        if self.listening and self.point.bearer is not None:
            self.point.bearer.unwatch()
        self.listening = False
        self._tell_connections()
        for transaction in list(self._untaken):
            self._take(transaction)
        self.dispatcher.close()
        return self.transports.stop()

    # ------------------------------------------------------------------ requests of peers

    def request_received(self, transaction: Machine, flow: IFlow) -> None:
        """See IRequestReceiver."""
        request = transaction.request
        assert request is not None
        handle = ServerTransaction(self, transaction, request, flow)
        if request.to_tag is not None:
            dialog = self.dialogs.find(request)
            if dialog is None:
                # RFC 3261 §12.2.2: "If the UAS wishes to reject the request because it does not wish to
                # recreate the dialog, it MUST respond to the request with a 481".
                handle.answer(481)
                return
            connection: Connection = dialog.host  # type: ignore[assignment]
            handle.connection = connection
            refusal = inspect(request, connection.client.capabilities, connection.client.policies)
            if refusal is None and request.method in SUBSCRIBES and not dialog.concerned(request):
                refusal = inspect_subscription(
                    request, connection.client.capabilities, connection.client.policies
                )
            if refusal is not None:
                handle.answer(*refusal)
            else:
                dialog.request_received(handle)
            return
        self._new_request(handle, request.method)

    def _new_request(self, handle: ServerTransaction, method: str) -> None:
        stack = self.stack
        if method in ONLY_IN_DIALOGS:
            # RFC 3261 §15.1.2: a BYE that "does not match an existing dialog" is answered with a 481.
            handle.answer(481)
            return
        if stack.draining or (method in NEEDS_ONE_CONTACT and len(self.dialogs) >= stack.limits.max_dialogs):
            self.metrics.overload_refused += 1
            handle.answer(503, [("Retry-After", str(stack.limits.retry_after))])
            return
        found = stack.router.route(handle)
        if isinstance(found, tuple):
            handle.answer(*found)
            return
        client: SIPClient = found
        if method == "NOTIFY" and not client.policies.accept_unsolicited:
            # RFC 6665 §4.1.3: a NOTIFY that matches no subscription is answered with a 481.
            handle.answer(481)
            return
        refusal = inspect(handle.request, client.capabilities, client.policies)
        if refusal is None and method in SUBSCRIBES:
            refusal = inspect_subscription(handle.request, client.capabilities, client.policies)
        if refusal is not None:
            handle.answer(*refusal)
            return
        if method in NEEDS_ONE_CONTACT:
            # What a dialog is made of must read before the application is asked to make one.
            contact_of(handle.request)
            routes_of(handle.request)
        if method == "OPTIONS" and client.policies.answer_options:
            self._answer_options(handle, client)
        elif "Replaces" in handle.request:
            self._deliver_replacing(handle, client)
        else:
            self._deliver(handle, client)

    def _deliver_replacing(self, handle: ServerTransaction, client: SIPClient) -> None:
        if handle.method != "INVITE":
            # RFC 3891 §3: Replaces in a request other than INVITE MUST be rejected with a 400.
            handle.answer(400)
            return
        if "replaces" not in client.capabilities.supported:
            # RFC 3261 §8.2.2: an extension header that is not understood is ignored.
            self._deliver(handle, client)
            return
        found = find_replaced(handle.request, self.dialogs)
        if isinstance(found, Dialog):
            # Whose dialog is replaced, his is the call that replaces it.
            handle.replaces = found
            connection: Connection = found.host  # type: ignore[assignment]
            connection.request_received(handle)
        else:
            handle.answer(found or 481)

    def _deliver(self, handle: ServerTransaction, client: SIPClient) -> None:
        connection = client.connection(self.name)
        if connection is not None:
            connection.request_received(handle)
            return
        take_up = self.dispatcher.timing.take_up
        self._untaken[handle] = self.dispatcher.timers.later(take_up, self._not_taken, handle, client)
        client.untaken.append((self.name, handle))
        tell(self.metrics, client.observer.request_received, self.name, handle)

    def _take(self, handle: ServerTransaction) -> None:
        call = self._untaken.pop(handle, None)
        if call is not None and call.active():
            call.cancel()

    def _not_taken(self, handle: ServerTransaction, client: SIPClient) -> None:
        del self._untaken[handle]
        client.untaken.remove((self.name, handle))
        if handle.response_allowed:
            handle.answer(480)
            tell(self.metrics, client.observer.timed_out, handle)

    def adopt(self, connection: Connection) -> None:
        """A new Connection takes up the requests that came for its client before it was there."""
        self.connections.append(connection)
        client = connection.client
        for name, handle in client.untaken[:]:
            if name == self.name:
                client.untaken.remove((name, handle))
                self._take(handle)
                handle.connection = connection
                if handle.cancel is not None:
                    # It was canceled while nobody could be told: whoever took it up still hears of it.
                    self.dispatcher.timers.later(0, handle.tell_canceled)

    def _answer_options(self, handle: ServerTransaction, client: SIPClient) -> None:
        # RFC 3261 §11.2: "The response code chosen MUST be the same that would have been chosen had the
        # request been an INVITE", which here is 200.
        capabilities = client.capabilities
        body = b""
        if capabilities.sdp is not None and "application/sdp" in (handle.request.get("Accept") or "").lower():
            body = capabilities.sdp
        handle.answer(200, options_headers(capabilities), body)

    def ack_received(self, ack: Any, flow: IFlow) -> None:
        """See IRequestReceiver."""
        dialog = self.dialogs.find(ack) if ack.to_tag is not None else None
        if dialog is None:
            self.metrics.stray_acks += 1
            return
        handle = ServerTransaction(self, None, ack, flow)
        handle.connection = dialog.host  # type: ignore[assignment]
        dialog.request_received(handle)

    def complete_response(self, response: Response, handle: ServerTransaction) -> None:
        """Add what every response of a client says of itself."""
        connection = handle.connection
        if connection is None:
            return
        policies = connection.client.policies
        if policies.user_agent is not None:
            response.set("Server", policies.user_agent)
        if response.status < 300 and response.status >= 200 and handle.request.method == "INVITE":
            # RFC 3261 §13.3.1.4: "The 2xx … SHOULD contain the Allow header field and the Supported
            # header field".
            capabilities = connection.client.capabilities
            if "Allow" not in response:
                response.set("Allow", capabilities.allow_value)
            if capabilities.supported and "Supported" not in response:
                response.set("Supported", capabilities.supported_value)
