"""Publications: event state that a PUBLISH brings and its entity tag names (RFC 3903)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sipactors.client.refreshed import RefreshedRequest
from sipactors.errors import ArgumentError, MalformedMessage

if TYPE_CHECKING:
    from sipactors.client.connection import Connection
    from sipactors.client.refresh import Refresh
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver
    from sipactors.message import Request, RequestElements, Response


def refreshed(
    connection: Connection,
    elements: RequestElements,
    context: Any,
    observer: IConnectionObserver | None,
    refresh: Refresh,
) -> ClientTransaction:
    """Send a request that `refresh` keeps alive from its first 2xx on; see Connection.send_request."""
    refresh.check_free()
    kind = Publication if elements.method == "PUBLISH" else RefreshedRequest
    return kind(connection, elements, context, observer, refresh).begin()


class Publication(RefreshedRequest):
    """An event state that we publish (RFC 3903): refreshed, modified and removed by its entity tag."""

    def __init__(self, connection: Connection, elements: RequestElements, *rest: Any) -> None:
        # RFC 3903 §4: the Event header of a PUBLISH names the package that the state belongs to.
        if not any(name == "Event" for name, _ in elements.headers):
            raise ArgumentError("PUBLISH needs an Event header")
        super().__init__(connection, elements, *rest)
        self._tag: str | None = None
        self._republished = False

    def _complete(self, request: Request, body: bool) -> None:
        self._republished = False
        if self._tag is None:
            return
        # RFC 3903 §4.1: SIP-If-Match names the state that is meant by the entity-tag of the last 2xx.
        request.set("SIP-If-Match", self._tag)
        if not body:
            # RFC 3903 §4.3, §4.5: a PUBLISH that refreshes or removes an event state "MUST NOT have a body".
            request.set_body(b"")
            request.remove("Content-Type")

    def _take(self, response: Response) -> None:
        # RFC 3903 §4.1: each 2xx has a SIP-ETag, and the last one is the one that counts.
        tag = response.typed("SIP-ETag")
        if tag is None:
            raise MalformedMessage(400, "SIP-ETag: missing in a 2xx to PUBLISH")
        self._tag = cast("str", tag)

    def _retried(self, response: Response, transaction: ClientTransaction) -> bool:
        if response.status == 412 and self._tag is not None and not self._ending and not self._republished:
            # RFC 3903 §4: after a 412 the EPA "MUST NOT reattempt the PUBLISH request" with that tag, but
            # may "perform an initial publication", with the whole state.
            self._tag = None
            self._republished = True
            request = transaction.request
            request.remove("SIP-If-Match")
            request.set_body(self._elements.body, self._elements.content_type)
            transaction.resend()
            return True
        return super()._retried(response, transaction)
