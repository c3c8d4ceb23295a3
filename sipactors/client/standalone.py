"""Sending a request outside of dialogs, once or as often as a refresh wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipactors.client.observers import StandAlone
from sipactors.client.publication import refreshed
from sipactors.errors import ArgumentError
from sipactors.message import Address
from sipactors.message import request as build_request

if TYPE_CHECKING:
    from sipactors.client.connection import Connection
    from sipactors.client.refresh import Refresh
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver
    from sipactors.message import RequestElements

OWN_OBJECTS = frozenset(
    ["REGISTER", "INVITE", "PRACK", "ACK", "CANCEL", "UPDATE", "BYE", "SUBSCRIBE", "REFER", "NOTIFY"]
)
"Methods that `send_request` refuses: they have their own objects."


def send_stand_alone(
    connection: Connection,
    elements: RequestElements,
    context: Any,
    refresh: Refresh | None,
    observer: IConnectionObserver | None,
) -> ClientTransaction:
    """See Connection.send_request."""
    connection.check_active()
    connection.check_elements(elements)
    method, uri = elements.method, elements.uri
    if method is None or uri is None:
        raise ArgumentError("a request needs a URI and a method")
    if method in OWN_OBJECTS:
        raise ArgumentError(f"{method} has an object of its own")
    if refresh is not None:
        return refreshed(connection, elements, context, observer, refresh)
    local = connection.local_identity(context, elements.from_)
    request = build_request(
        method,
        uri,
        from_=f"{local};tag={connection.dispatcher.dice.token()}",
        to=Address(uri) if elements.to is None else elements.to,
        call_id=connection.dispatcher.dice.token(),
        cseq=1,
        routes=connection.route_for(context),
    )
    elements.apply(request)
    owner = connection if observer is None else StandAlone(connection, observer)
    return connection.send(request, connection.first_hop(request), owner)
