"""A registration: one Contact of an address-of-record, kept at its registrar (RFC 3261 §10.2)."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.client.binding import REGISTERED, RETRYING, UNREGISTERED
from sipactors.client.outcomes import Outcomes
from sipactors.client.registering import DEREGISTER, REGISTER, UPDATE, ContactMaker
from sipactors.client.registrar import (
    read_aor,
    read_contact,
    read_hop,
    registrar_of,
)
from sipactors.client.registrations import hop_key
from sipactors.errors import (
    AlreadyExists,
    ArgumentError,
    InvalidRegistrationState,
    ResourceNotAvailable,
    SIPError,
)
from sipactors.interfaces import IFlowWatcher, IRefreshOwner, IRequestOwner
from sipactors.message import SIPURI, Address, MessageElements

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from sipactors.client.connection import Connection
    from sipactors.client.refresh import Refresh
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver
    from sipactors.message import URI

_numbers = count(1)


@implementer(IRequestOwner, IRefreshOwner, IFlowWatcher)
class RegistrationBinding(Outcomes):
    """One Contact of an address-of-record at its registrar, and the context that this gives other requests.

    `contact` is by default the user of the address-of-record at our own address; the hosts "localhost",
    "0.0.0.0" and "[::]" of a Contact stand for our own address too. Its expires parameter says for how long
    to register (default: an hour). `refresh` keeps the registration alive and tries again what may pass;
    without it the registration ends with its expiry. `registrar` is by default the domain of the
    address-of-record, `from_` the address-of-record itself (another one: a third party registers). With
    `send_expires` False the registrar chooses the expiry. With `cache_proxy_address` the outbound proxy's
    name is looked up once, and again when it does not respond.

    Raises ArgumentError, InvalidContact, InvalidURIType, AlreadyExists for the same address-of-record and
    Contact or a refresh that was given before, ResourceNotAvailable when the connection is closed.
    """

    def __init__(
        self,
        connection: Connection,
        aor: Address | URI | str,
        contact: Address | URI | str | None = None,
        *,
        refresh: Refresh | None = None,
        outbound_proxy: URI | str | None = None,
        registrar: URI | str | None = None,
        from_: Address | URI | str | None = None,
        send_expires: bool = True,
        cache_proxy_address: bool = False,
        observer: IConnectionObserver | None = None,
    ) -> None:
        if connection.closed:
            raise ResourceNotAvailable("the connection is closed")
        name = read_aor(aor)
        secure = isinstance(name.uri, SIPURI) and name.uri.secure
        self.contact = None if contact is None else read_contact(contact, secure)
        "The Contact as it was given, or None."
        proxy = None if outbound_proxy is None else read_hop(outbound_proxy, secure, "the proxy")
        contacts = ContactMaker(connection, name, self.contact, secure)
        super().__init__(connection, name, registrar_of(name, registrar), proxy, contacts)
        local = name if from_ is None else read_aor(from_, "From")
        self._from = f"{local};tag={connection.dispatcher.dice.token()}"
        self.context_id = next(_numbers)
        "The number of this registration context, unique in this process."
        given = None if self.contact is None else self.contact.expires
        if given is not None:
            self._expires = float(given)
        elif not send_expires:
            self._expires = None
        self._in_contact = given is not None
        self._send_expires = send_expires
        self._cache = cache_proxy_address
        self._observer = observer
        self._key = (name.uri, None if self.contact is None else self.contact.uri)
        if self._key in connection.registrations.bindings:
            raise AlreadyExists(f"{name.uri} has this Contact already")
        if refresh is not None:
            refresh.bind(self)
            self._refresh = refresh
        self._take_place()

    def __repr__(self) -> str:
        return f"<RegistrationBinding {self.state} {self.aor.uri}>"

    # ------------------------------------------------------------------ what an application reads

    @property
    def connection(self) -> Connection:
        """The connection that it belongs to."""
        return self.host

    @property
    def context_active(self) -> bool:
        """True when requests may use this registration as their context."""
        return self.state == REGISTERED

    @property
    def closed(self) -> bool:
        """True after close."""
        return self.state == TERMINATED

    @property
    def refresh(self) -> Refresh | None:
        """What keeps it alive. Another one may be set once the last one has ended, else AlreadyExists."""
        return self._refresh

    @refresh.setter
    def refresh(self, refresh: Refresh) -> None:
        if self._refresh is not None and self._refresh.state != TERMINATED:
            raise AlreadyExists("the registration has a refresh that has not ended")
        refresh.bind(self)
        self._refresh = refresh
        if self.state == REGISTERED and self.expires_at is not None:
            left = self.expires_at - self.host.dispatcher.timers.clock.seconds()
            refresh.granted(None, max(left, 1.0))

    @property
    def retry_in(self) -> float | None:
        """Seconds until a failed registration is tried again; None when it is not."""
        return self._refresh.due_in if self._refresh is not None and self.state == RETRYING else None

    @property
    def default_from(self) -> Address:
        """From of requests in this context: the first P-Associated-URI, else the address-of-record."""
        self._check_context()
        return Address(self.associated_uris[0].uri) if self.associated_uris else self.aor

    @property
    def route(self) -> list[Address]:
        """The route of first requests in this context; raises InvalidRegistrationState when not active."""
        self._check_context()
        # RFC 3608 §6.1: the service route follows the outbound proxy, unless it begins with that itself.
        first = self.registrar_route
        if first and self.service_route and hop_key(first[0].uri) == hop_key(self.service_route[0].uri):
            first = []
        return [*first, *self.service_route]

    def _check_context(self) -> None:
        if self.closed:
            raise ResourceNotAvailable("the registration is closed")
        if self.state != REGISTERED:
            raise InvalidRegistrationState(f"the registration is {self.state}: its context is not active")

    # ------------------------------------------------------------------ what an application does

    def register(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Register; `elements` go into this REGISTER and those that refresh it.

        Raises InvalidRegistrationState when registered, RequestPending while another REGISTER of this
        address-of-record is pending, MalformedMessage for Contact or Expires in the elements, AlreadyExists,
        ResourceNotAvailable, TransportFailure.
        """
        self._check(UNREGISTERED, RETRYING)
        if self._key not in self.host.registrations.bindings:
            self._take_place()
        elif self.host.registrations.bindings[self._key] is not self:
            raise AlreadyExists(f"{self.aor.uri} has another binding with this Contact")
        return self._send(REGISTER, self._expires, elements)

    def update(
        self, expires: float | None = None, elements: MessageElements | None = None
    ) -> ClientTransaction:
        """Register again now, for `expires` seconds from now on and with other elements, if given.

        Raises InvalidRegistrationState when not registered, ArgumentError for an expiry below 1, and what
        `register` raises.
        """
        self._check(REGISTERED)
        if expires is not None and not expires >= 1:
            raise ArgumentError("expires: a number of seconds of 1 or more; deregister() ends it")
        return self._send(UPDATE, self._expires if expires is None else float(int(expires)), elements)

    def deregister(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Remove the binding; whatever comes of it, it counts as removed (and may be registered again).

        Raises InvalidRegistrationState when not registered, and what `register` raises.
        """
        self._check(REGISTERED, RETRYING)
        transaction = self._send(DEREGISTER, 0.0, elements)
        self.feed("LEAVE")
        if self._refresh is not None:
            self._refresh.end()
        return transaction

    def _check(self, *states: str) -> None:
        if self.state == TERMINATED:
            raise ResourceNotAvailable("the registration is closed")
        self.host.check_active()
        if self.state not in states:
            raise InvalidRegistrationState(f"not while the registration is {self.state}")

    # ------------------------------------------------------------------ the end

    def shutdown(self) -> Deferred[Any] | None:
        """The connection is to be closed properly: remove the binding, once it is its turn."""
        if self.state not in (REGISTERED, RETRYING) and self._pending is None:
            return None
        turn = self.host.registrations.registrar(self.registrar).pending(self.aor.uri)
        if turn is not None and turn.transaction is not None:
            # It may be that of another binding of the same address-of-record.
            return turn.transaction.final_response().addBoth(lambda _: self.shutdown())
        try:
            return self.deregister().final_response()
        except SIPError:
            return None

    def close(self) -> None:
        """Give the registration up at once: nothing is sent and nothing more is told. Idempotent."""
        if self.state != TERMINATED:
            self.feed("CLOSE")
