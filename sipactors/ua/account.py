"""Who an agent is: its address-of-record, its password, and its registration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from sipactors.actor import tell
from sipactors.client import ConnectionObserver, Login, RegistrationBinding
from sipactors.client import Refresh as Refreshing
from sipactors.errors import ArgumentError, RequestRejected, ResourceNotAvailable, SIPError
from sipactors.interfaces import IDigestChallengeObserver
from sipactors.message import SIPURI, Address, as_address
from sipactors.ua.waiting import Once

if TYPE_CHECKING:
    from sipactors.client import ClientTransaction, Connection, Digest
    from sipactors.message import URI

REGISTERED = "REGISTERED"
RETRYING = "RETRYING"
MIN_EXPIRES = 60


@implementer(IDigestChallengeObserver)
class Account(ConnectionObserver):
    """One address-of-record with what its registrar and its proxies want to know.

    `user` is the name for authentication, by default the user of the address; `realm` limits the password
    to challenges of that realm. `registrar` is by default the domain of the address.
    """

    def __init__(
        self,
        aor: Address | URI | str,
        *,
        user: str | None = None,
        password: str | None = None,
        realm: str | None = None,
        registrar: URI | str | None = None,
        outbound_proxy: URI | str | None = None,
        expires: int = 3600,
    ) -> None:
        """Raises ArgumentError for an address without a user, or an expiry below 60 s."""
        self.aor = as_address(aor, "the address-of-record")
        "The address-of-record, with the name that peers are shown."
        uri = self.aor.uri
        if not isinstance(uri, SIPURI) or not uri.user:
            raise ArgumentError(f"an address-of-record is a SIP URI with a user, not {aor}")
        if expires < MIN_EXPIRES:
            raise ArgumentError(f"a registration lasts {MIN_EXPIRES} seconds at least, not {expires}")
        self.user = uri.user if user is None else user
        self.realm = realm
        self.registrar = registrar
        self.outbound_proxy = outbound_proxy
        self.expires = expires
        "Seconds that are asked for; the registration is refreshed before they are over."
        self.binding: RegistrationBinding | None = None
        "The registration, once `register` was called."
        self.observers: list[Callable[[bool, SIPError | None], object]] = []
        "Told at each change: whether we are registered, and what went wrong."
        self.digest: Digest | None = None
        "What asks this account for the password."
        self._password = password
        self._connection: Connection | None = None
        self._registering: Once[None] | None = None
        self._leaving: Once[None] | None = None
        self._told = False

    def __repr__(self) -> str:
        return f"<Account {self.aor.uri}>"

    @property
    def registered(self) -> bool:
        """True while the registrar knows us."""
        return self.binding is not None and self.binding.context_active

    @property
    def context(self) -> RegistrationBinding | None:
        """The registration, when other requests may use it."""
        return self.binding if self.registered else None

    @property
    def from_(self) -> Address | None:
        """From of requests: the address-of-record, or None when the registration gives it."""
        return None if self.registered and not self.aor.display_name else self.aor

    # ------------------------------------------------------------------ registration

    def connected(self, connection: Connection | None) -> None:
        """This connection is there to register on; None: there is none any more."""
        self._connection = connection
        self.binding = None
        self._changed(ResourceNotAvailable("the agent has stopped"), stopped=connection is None)

    def register(self) -> Deferred[None]:
        """Register, and stay registered; see UserAgent.register."""
        if self._registering is not None:
            return self._registering.wait()
        if self._connection is None:
            return fail(ResourceNotAvailable("the agent does not run"))
        waiting = self._registering = Once()
        deferred = waiting.wait()
        try:
            if self.binding is None or self.binding.closed:
                self.binding = self._bind(self._connection)
            refresh = self.binding.refresh
            if refresh is None or refresh.state == "TERMINATED":
                self.binding.refresh = Refreshing()
            if self.binding.state == REGISTERED:
                self.binding.update()
            else:
                self.binding.register()
        except SIPError:
            self._registering = None
            raise
        return deferred

    def _bind(self, connection: Connection) -> RegistrationBinding:
        uri = self.aor.uri
        assert isinstance(uri, SIPURI)
        # "localhost" stands for our own address on the flow.
        contact = SIPURI(uri.user, "localhost", scheme=uri.scheme)
        return RegistrationBinding(
            connection,
            self.aor,
            Address(contact, params={"expires": str(self.expires)}),
            refresh=Refreshing(),
            registrar=self.registrar,
            outbound_proxy=self.outbound_proxy,
            observer=self,
        )

    def unregister(self) -> Deferred[None]:
        """Remove the registration; the Deferred fires whatever the registrar says to that."""
        if self._leaving is not None:
            return self._leaving.wait()
        if self.binding is None or self.binding.closed or self.binding.state not in (REGISTERED, RETRYING):
            return succeed(None)
        waiting = self._leaving = Once()
        deferred = waiting.wait()
        try:
            self.binding.deregister()
        except SIPError:
            self._leaving = None
            raise
        return deferred

    def registration_response_received(self, transaction: ClientTransaction, binding: Any) -> None:
        """See IConnectionObserver."""
        response = transaction.response
        assert response is not None
        if response.status < 200:
            return
        if self._leaving is not None:
            self._left()
        elif response.status < 300:
            self._changed(None)
        else:
            self._changed(RequestRejected(response.status, response.reason, response))

    def registration_failed(self, error: SIPError, binding: Any, transaction: Any) -> None:
        """See IConnectionObserver."""
        if self._leaving is not None and transaction is not None:
            self._left()
        else:
            self._changed(error)

    def _left(self) -> None:
        waiting, self._leaving = self._leaving, None
        if waiting is not None:
            waiting.fire(None)
        self._changed(None)

    def _changed(self, error: SIPError | None, *, stopped: bool = False) -> None:
        waiting, self._registering = self._registering, None
        if waiting is not None and (error is not None or self.registered):
            if error is None:
                waiting.fire(None)
            else:
                waiting.fail(error)
        if stopped and self._leaving is not None:
            leaving, self._leaving = self._leaving, None
            leaving.fire(None)
        if self.registered != self._told or (error is not None and not stopped):
            self._told = self.registered
            if self._connection is not None or stopped:
                for observer in list(self.observers):
                    self._tell(observer, None if stopped else error)

    def _tell(self, observer: Callable[[bool, SIPError | None], object], error: SIPError | None) -> None:
        connection = self._connection
        if connection is None:
            observer(self._told, error)
        else:
            tell(connection.dispatcher.metrics, observer, self._told, error)

    # ------------------------------------------------------------------ the password

    def challenge_received(self, source: Any) -> Login | None:
        """See IDigestChallengeObserver."""
        wanted = source.challenges
        if self._password is not None and (self.realm is None or all(each == self.realm for each in wanted)):
            return Login(self.user, self._password)
        if self.digest is not None:
            for realm in wanted:
                self.digest.ignore(source, realm)
        return None
