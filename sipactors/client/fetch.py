"""Asking a registrar for the bindings of an address-of-record: a REGISTER without Contact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.actor import tell
from sipactors.client.registrar import Registrar, Turn, check_register_elements, read_aor, registrar_of
from sipactors.errors import ArgumentError
from sipactors.interfaces import IRequestOwner
from sipactors.message import request as build_request

if TYPE_CHECKING:
    from sipactors.client.connection import Connection
    from sipactors.client.transactions import ClientTransaction
    from sipactors.errors import SIPError
    from sipactors.interfaces import IConnectionObserver
    from sipactors.message import URI, RequestElements


def fetch(
    connection: Connection, elements: RequestElements, context: Any, observer: IConnectionObserver | None
) -> ClientTransaction:
    """See Connection.fetch_registrations."""
    connection.check_active()
    connection.check_elements(elements)
    check_register_elements(elements)
    if elements.method not in (None, "REGISTER"):
        raise ArgumentError(f"registrations are fetched by REGISTER, not {elements.method}")
    given = elements.to if elements.from_ is None and context is None else elements.from_
    local = connection.local_identity(context, given)
    aor = read_aor(local if elements.to is None else elements.to)
    uri = registrar_of(aor, elements.uri)
    routes = connection.route_for(None) if context is None else context.registrar_route
    registrar = connection.registrations.registrar(uri)
    owner = Fetch(connection, registrar, aor.uri, observer)
    registrar.begin(aor.uri, owner)
    # RFC 3261 §10.2.3: "If there is no Contact header field value in a REGISTER request, the list of
    # bindings is left unchanged."
    request = build_request(
        "REGISTER",
        uri,
        from_=f"{local};tag={connection.dispatcher.dice.token()}",
        to=aor,
        call_id=registrar.call_id,
        cseq=registrar.next_sequence(),
        routes=routes,
    )
    elements.apply(request)
    hop = connection.first_hop(request)
    owner.transaction = connection.send(request, hop, owner, sequence=registrar.next_sequence)
    return owner.transaction


@implementer(IRequestOwner)
class Fetch(Turn):
    """One such request."""

    __slots__ = ("_aor", "_connection", "_observer", "_registrar")

    def __init__(
        self, connection: Connection, registrar: Registrar, aor: URI, observer: IConnectionObserver | None
    ) -> None:
        super().__init__()
        self._connection = connection
        self._registrar = registrar
        self._aor = aor
        self._observer = observer

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        if transaction.finished:
            self._registrar.done(self._aor, self)
        observer = self._observer or self._connection.observer
        tell(self._connection.dispatcher.metrics, observer.response_received, transaction)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        self._registrar.done(self._aor, self)
        observer = self._observer or self._connection.observer
        tell(self._connection.dispatcher.metrics, observer.transaction_failed, error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
