"""A user agent as a Twisted service: what it listens on, what it works with, its start and its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    Digest,
    Policies,
    SIPClient,
    SIPObserver,
    Stack,
)
from sipactors.errors import ResourceNotAvailable, SIPError
from sipactors.ua.account import Account
from sipactors.ua.call import Call
from sipactors.ua.dtmf import PLAIN, RELAY
from sipactors.ua.incoming import Incoming
from sipactors.ua.subscription import Subscription

if TYPE_CHECKING:
    from sipactors.interfaces import IMediaSession
    from sipactors.message import URI, Address
    from sipactors.ua.agent import UserAgent

METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "PRACK", "NOTIFY", "REFER")
SUPPORTED = ("100rel", "timer", "replaces", "norefersub")
ACCEPT = ("application/sdp", RELAY, PLAIN, "message/sipfrag")


class AgentService(MultiService):
    """The service part of a user agent."""

    def __init__(
        self,
        reactor: Any,
        aor: Address | URI | str,
        *,
        password: str | None = None,
        listen: Sequence[str] = ("udp:5060", "tcp:5060"),
        media: Callable[[Call], IMediaSession] | None = None,
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
        self._incoming = Incoming(cast("UserAgent", self))
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
