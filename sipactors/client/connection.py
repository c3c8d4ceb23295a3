"""A client's connection to an access point: the owner of its requests, dialogs and registrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from zope.interface import implementer

from sipactors.actor import Machine, Table, tell
from sipactors.client.contacts import contact_on
from sipactors.client.fetch import fetch
from sipactors.client.registrations import Registrations
from sipactors.client.standalone import send_stand_alone
from sipactors.client.transactions import ClientTransaction
from sipactors.client.waiting import within
from sipactors.errors import (
    AlreadyExists,
    ArgumentError,
    NotFound,
    ResourceNotAvailable,
    SIPError,
    TransportFailure,
)
from sipactors.interfaces import IDialogHost, IRequestOwner
from sipactors.message import Address, as_address
from sipactors.message.elements import CREDENTIALS
from sipactors.transaction.attempt import send_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred

    from sipactors.client.client import SIPClient
    from sipactors.client.refresh import Refresh
    from sipactors.client.served import ServerTransaction
    from sipactors.interfaces import IConnectionObserver, IFlow
    from sipactors.message import URI, MessageElements, Request, RequestElements
    from sipactors.transaction import Dispatcher

INIT = "INIT"
ACTIVE = "ACTIVE"
SUSPENDED = "SUSPENDED"
INACTIVE = "INACTIVE"
UNAVAILABLE = "UNAVAILABLE"
CLOSED = "TERMINATED"

_BEARER_EVENTS = {"suspended": "SUSPEND", "down": "GONE", "unavailable": "UNAVAILABLE"}

SHUTDOWN_DEADLINE = 31.0
"Seconds that `shutdown` waits for the last answers before it closes what is left."


@implementer(IDialogHost, IRequestOwner)
class Connection(Machine):
    """A client on an access point. Sending, registering and dialogs need it ACTIVE.

    Raises NotFound for an access point that the stack does not have, AlreadyExists when the client has
    a Connection there, ResourceNotAvailable when the client is closed.
    """

    INITIAL = INIT

    def __init__(self, client: SIPClient, access_point: str, observer: IConnectionObserver) -> None:
        super().__init__()
        if client.closed:
            raise ResourceNotAvailable("the client is closed")
        access = client.stack.access(access_point)
        if access is None:
            raise NotFound(f"no access point {access_point!r}")
        if client.connection(access_point) is not None:
            raise AlreadyExists(f"there is a connection on {access_point!r} already")
        self.client = client
        self.access = access
        self.name = access_point
        self.observer = observer
        self.dispatcher: Dispatcher = access.dispatcher
        self.dialogs = access.dialogs
        self.last_error: SIPError | None = None
        "Why the connection left ACTIVE; set before the observer hears of it."
        self.registrations: Registrations = Registrations(access.dispatcher.dice)
        "What the registrations of this connection share."
        self._children: dict[Any, None] = {}
        client.connect(self)
        access.adopt(self)
        self._observe_access()

    def stray(self, event: str) -> None:
        """See Machine."""
        self.dispatcher.stray(self, event)

    # ------------------------------------------------------------------ states

    def access_changed(self) -> None:
        """The access point has begun or ended to listen, or its bearer has changed."""
        self._observe_access()

    def _observe_access(self) -> None:
        bearer = self.access.bearer_state
        if not self.access.listening:
            if self.state != INIT:
                self.feed("GONE", TransportFailure("the access point has stopped"))
        elif bearer == "up":
            self.feed("UP")
        else:
            self.feed(_BEARER_EVENTS[bearer], TransportFailure(f"the bearer is {bearer}"))

    def reconnect(self) -> None:
        """Try to become ACTIVE again; the outcome arrives as a state.

        Raises ResourceNotAvailable when the connection is closed.
        """
        if self.state == CLOSED:
            raise ResourceNotAvailable("the connection is closed")
        self.dispatcher.timers.later(0, self._reconnect)

    def _reconnect(self) -> None:
        try:
            self.access.reconnect()
        except SIPError as error:
            self.feed("GONE", error)
        else:
            self._observe_access()

    def set_socket_option(self, level: int, name: int, value: int | bytes) -> None:
        """Set an option, as a DSCP, on every socket of the access point, those to come included.

        Raises ArgumentError when no socket takes it, ResourceNotAvailable when closed.
        """
        if self.state == CLOSED:
            raise ResourceNotAvailable("the connection is closed")
        if not isinstance(value, int | bytes):
            raise ArgumentError(f"a socket option is an int or bytes, not {value!r}")
        self.access.transports.set_socket_option(level, name, value)

    def _up(self, _: object) -> None:
        self.last_error = None
        self.registrations.resumed()
        self._tell_state()

    def _suspend(self, error: SIPError) -> None:
        self.last_error = error
        self._tell_state()

    def _down(self, error: SIPError) -> None:
        # Everything on the connection ends first, and silently: this one event tells of it all.
        self.last_error = error
        self._close_children()
        self._tell_state()

    def _end(self, _: object) -> None:
        self._close_children()
        self.client.disconnect(self)
        if self in self.access.connections:
            self.access.connections.remove(self)

    def _tell_state(self) -> None:
        tell(self.dispatcher.metrics, self.observer.connection_state_changed, self.state)

    @property
    def closed(self) -> bool:
        """True after close."""
        return self.state == CLOSED

    @property
    def supported(self) -> tuple[str, ...]:
        """See IDialogHost."""
        return self.client.capabilities.supported

    @property
    def local_address(self) -> tuple[str, int] | None:
        """The (host, port) that this access point listens on first, while it is ACTIVE."""
        if self.state != ACTIVE:
            return None
        addresses = self.access.transports.addresses
        return (addresses[0][1], addresses[0][2]) if addresses else None

    def check_active(self) -> None:
        """See IDialogHost."""
        if self.state == CLOSED:
            raise ResourceNotAvailable("the connection is closed")
        if self.state != ACTIVE:
            raise TransportFailure(f"the connection is {self.state}")

    def check_elements(self, elements: MessageElements | None) -> None:
        """See IDialogHost."""
        if elements is not None and elements.headers and self.client.security_handling:
            for name, _ in elements.headers:
                if name in CREDENTIALS:
                    raise ArgumentError(f"{name} is set by the stack while client.security_handling is True")

    # ------------------------------------------------------------------ requests of ours

    def send_request(
        self,
        elements: RequestElements,
        *,
        context: Any = None,
        refresh: Refresh | None = None,
        observer: IConnectionObserver | None = None,
    ) -> ClientTransaction:
        """Send a request outside of dialogs, such as MESSAGE or OPTIONS; the results come later.

        `context` is an active registration, which gives From and the route. With `refresh` the request is
        sent again before its Expires is over, a PUBLISH with its entity tag (RFC 3903); whatever ends that
        goes to `refresh_failed` of the observer, the failure of the first request included.

        Raises ArgumentError when URI, method or From is missing and for methods that have objects of
        their own, InvalidURIType for a URI that cannot be located, InvalidRegistrationState when the
        context is not active, AlreadyExists for a refresh that was given before, ResourceNotAvailable,
        TransportFailure.
        """
        return send_stand_alone(self, elements, context, refresh, observer)

    def fetch_registrations(
        self,
        elements: RequestElements,
        *,
        context: Any = None,
        observer: IConnectionObserver | None = None,
    ) -> ClientTransaction:
        """Ask a registrar which bindings an address-of-record has: the Contacts of the 2xx.

        `elements.to` is the address-of-record (else From is), `elements.uri` the registrar (else its domain
        is); From is by default the context's. The response comes to `response_received`. Raises
        RequestPending while another REGISTER of the address-of-record waits, MalformedMessage for Contact or
        Expires in the elements, ArgumentError, InvalidURIType, ResourceNotAvailable, TransportFailure.
        """
        return fetch(self, elements, context, observer)

    def first_hop(self, request: Request) -> URI:
        """Where a request with its route goes first (RFC 3261 §8.1.2)."""
        routes = request.routes
        return routes[0].uri if routes else request.uri

    def send(
        self,
        request: Request,
        next_hop: URI,
        owner: IRequestOwner,
        *,
        prepare: Callable[[Request, IFlow], object] | None = None,
        sequence: Callable[[], int] | None = None,
        hold: bool = False,
    ) -> ClientTransaction:
        """See IDialogHost."""
        user_agent = self.client.policies.user_agent
        if user_agent is not None and "User-Agent" not in request:
            request.set("User-Agent", user_agent)
        if request.method == "INVITE":
            # RFC 3261 §13.2.1: Allow and Supported SHOULD be in the INVITE.
            capabilities = self.client.capabilities
            if "Allow" not in request:
                request.set("Allow", capabilities.allow_value)
            if capabilities.supported and "Supported" not in request:
                request.set("Supported", capabilities.supported_value)
        transaction = ClientTransaction(self, request, owner, next_hop, prepare, sequence)
        if not hold:
            transaction.release()
        self._children[transaction] = None
        return transaction

    def send_ack(
        self,
        ack: Request,
        next_hop: URI,
        sent: Callable[[IFlow, bytes], object],
        invite: ClientTransaction,
    ) -> None:
        """See IDialogHost."""
        for name in CREDENTIALS:
            # RFC 3261 §22.1: the ACK carries the same credentials as the INVITE.
            if name not in ack:
                for value in invite.request.get_all(name):
                    ack.add(name, value)
        send_once(self.dispatcher, self.access.locator, ack, next_hop, sent)

    def local_identity(self, context: Any, from_: Any) -> str:
        """From without its tag; ArgumentError when neither `from_` nor `context` gives it."""
        if from_ is not None:
            address = as_address(from_, "From")
            if address.tag is not None:
                raise ArgumentError("From: the tag is the stack's")
            return str(address)
        if context is not None:
            return str(context.default_from)
        raise ArgumentError("From is needed: give from_ or a registration context")

    def route_for(self, context: Any) -> Sequence[str]:
        """The preloaded route of a first request: the context's, or the access point's outbound proxy."""
        if context is not None:
            return [str(route) for route in context.route]
        proxy = self.access.point.outbound_proxy
        return () if proxy is None else (f"<{proxy}>",)

    def contact(self, flow: IFlow, local: Address | str, given: Address | None, secure: bool) -> str:
        """See IDialogHost."""
        if given is not None:
            return str(given)
        return contact_on(flow, self.registrations.local_uri_host(flow), local, secure)

    # ------------------------------------------------------------------ requests of peers

    def request_received(self, transaction: ServerTransaction) -> None:
        """A request outside of dialogs is for this connection."""
        transaction.connection = self
        told = tell(self.dispatcher.metrics, self.observer.request_received, transaction)
        if not told and transaction.response_allowed:
            # RFC 3261 §21.5.1: "an unexpected condition that prevented it from fulfilling the request".
            transaction.answer(500)

    # ------------------------------------------------------------------ results of stand-alone requests

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        tell(self.dispatcher.metrics, self.observer.response_received, transaction)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        tell(self.dispatcher.metrics, self.observer.transaction_failed, error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    # ------------------------------------------------------------------ children, and the end

    def adopt(self, child: Any) -> None:
        """See IDialogHost."""
        self._children[child] = None

    def release(self, child: Any) -> None:
        """See IDialogHost."""
        self._children.pop(child, None)

    @property
    def children(self) -> list[Any]:
        """The usages, registrations and requests that live on this connection."""
        return list(self._children)

    def _close_children(self) -> None:
        while self._children:
            child, _ = self._children.popitem()
            child.close()
        self.registrations.closed()

    def close(self) -> None:
        """End everything on this connection at once: nothing is sent, nothing more is told. Idempotent."""
        if self.state != CLOSED:
            self.feed("CLOSE")

    def shutdown(self, deadline: float = SHUTDOWN_DEADLINE) -> Deferred[None]:
        """End everything properly, calls with BYE; then close, after `deadline` seconds at the latest."""
        ways = [getattr(child, "shutdown", None) for child in self._children]
        endings = [ending for leave in ways if leave is not None and (ending := leave()) is not None]
        return within(endings, deadline, self.dispatcher.timers.later).addCallback(lambda _: self.close())

    TABLE: ClassVar[Table] = {
        INIT: {
            "UP": (ACTIVE, _up),
            "SUSPEND": (SUSPENDED, _suspend),
            "GONE": (INACTIVE, _down),
            "UNAVAILABLE": (UNAVAILABLE, _down),
            "CLOSE": (CLOSED, _end),
        },
        ACTIVE: {
            "UP": (ACTIVE, None),
            "SUSPEND": (SUSPENDED, _suspend),
            "GONE": (INACTIVE, _down),
            "UNAVAILABLE": (UNAVAILABLE, _down),
            "CLOSE": (CLOSED, _end),
        },
        SUSPENDED: {
            "SUSPEND": (SUSPENDED, None),
            "UP": (ACTIVE, _up),
            "GONE": (INACTIVE, _down),
            "UNAVAILABLE": (UNAVAILABLE, _down),
            "CLOSE": (CLOSED, _end),
        },
        INACTIVE: {
            "GONE": (INACTIVE, None),
            "SUSPEND": (SUSPENDED, _suspend),
            "UP": (ACTIVE, _up),
            "UNAVAILABLE": (UNAVAILABLE, _down),
            "CLOSE": (CLOSED, _end),
        },
        UNAVAILABLE: {
            "CLOSE": (CLOSED, _end),
        },
        CLOSED: {},
    }
