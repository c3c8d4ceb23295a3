"""A request outside of dialogs that a refresh repeats, until it is terminated or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.actor import TERMINATED, tell
from sipactors.client.refresh import ACTIVE, Refresh
from sipactors.errors import (
    ArgumentError,
    MalformedMessage,
    RequestPending,
    ResourceNotAvailable,
    SIPError,
    TerminatedWithResponse,
)
from sipactors.interfaces import IRefreshOwner, IRequestOwner
from sipactors.message import Address, MessageElements
from sipactors.message import request as build_request

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from sipactors.client.connection import Connection
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver
    from sipactors.message import Request, RequestElements, Response

MAX_INTERVAL_TRIES = 3
"How often one request is sent again with the Min-Expires of a 423."
MAX_MIN_EXPIRES = 2_592_000
"The longest Min-Expires that is obeyed, in seconds: thirty days."

KEPT = frozenset(("Event", "Expires"))
"Headers of the first request that later ones keep unless they bring their own."


def min_expires(response: Response, asked: float | None, tries: int) -> int | None:
    """The seconds to ask for after a 423; None when it is no use to ask again."""
    try:
        least: int | None = response.typed("Min-Expires")
    except MalformedMessage:
        return None
    # A server that refuses what it asked for would have us ask for ever.
    if least is None or tries >= MAX_INTERVAL_TRIES or (asked is not None and least <= asked):
        return None
    return least if least <= MAX_MIN_EXPIRES else None


@implementer(IRequestOwner, IRefreshOwner)
class RefreshedRequest:
    """One request that is sent again and again, with one Call-ID and a growing CSeq."""

    def __init__(
        self,
        connection: Connection,
        elements: RequestElements,
        context: Any,
        observer: IConnectionObserver | None,
        refresh: Refresh,
    ) -> None:
        assert elements.method is not None
        assert elements.uri is not None
        self.host = connection
        self.refresh = refresh
        self._context = context
        self._observer = observer
        self._method = elements.method
        self._uri = elements.uri
        self._to = Address(elements.uri) if elements.to is None else elements.to
        dice = connection.dispatcher.dice
        self._from = f"{connection.local_identity(context, elements.from_)};tag={dice.token()}"
        self._call_id = dice.token()
        self._sequence = 0
        self._pending: ClientTransaction | None = None
        self._own = False
        "The request that is pending was sent by the refresh itself: its 2xx is silent."
        self._ending = False
        self._brief = 0
        "How often the request that is pending was answered 423."
        self._elements: MessageElements = elements
        self._expires: float | None = self._read_expires(elements)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._method} {self._uri}>"

    def _read_expires(self, elements: MessageElements) -> float | None:
        for name, value in elements.headers:
            if name == "Expires":
                if not value.isdigit() or not 0 < int(value) < 2**32:
                    raise ArgumentError(f"Expires: a number of seconds above 0, not {value!r}")
                return float(value)
        return None

    # ------------------------------------------------------------------ sending

    def begin(self) -> ClientTransaction:
        """Send the first request; from now on the connection owns this."""
        transaction = self._send()
        self.refresh.bind(self, alone=self)
        self.refresh.sent_by(transaction)
        self.host.adopt(self)
        return transaction

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _send(self, *, own: bool = False, ending: bool = False, body: bool = True) -> ClientTransaction:
        host = self.host
        host.check_active()
        if self._pending is not None:
            raise RequestPending(f"the last {self._method} has no final response yet")
        request = build_request(
            self._method,
            self._uri,
            from_=self._from,
            to=self._to,
            call_id=self._call_id,
            cseq=self._next_sequence(),
            routes=host.route_for(self._context),
        )
        self._elements.apply(request)
        self._complete(request, body)
        if ending:
            request.set("Expires", 0)
        elif self._expires is not None:
            request.set("Expires", int(self._expires))
        self._own, self._ending, self._brief = own, ending, 0
        hop = host.first_hop(request)
        transaction = host.send(request, hop, self, sequence=self._next_sequence)
        self._pending = transaction
        return transaction

    def _complete(self, request: Request, body: bool) -> None:
        """Add what the method needs."""

    def refresh_due(self) -> ClientTransaction:
        """See IRefreshOwner."""
        return self._send(own=True, body=False)

    def update(self, elements: MessageElements | None) -> ClientTransaction:
        """See Refresh.update."""
        before = self._elements, self._expires
        fresh = elements is not None and bool(elements.body)
        if elements is not None:
            self.host.check_elements(elements)
            expires = self._read_expires(elements)
            self._elements = self._merged(elements)
            self._expires = self._expires if expires is None else expires
        try:
            transaction = self._send(body=fresh)
        except Exception:
            # Row A17: what a call that raised was given is still the caller's.
            self._elements, self._expires = before
            raise
        self.refresh.sent_by(transaction)
        return transaction

    def terminate(self, elements: MessageElements | None) -> ClientTransaction:
        """See Refresh.terminate."""
        before = self._elements
        if elements is not None:
            self.host.check_elements(elements)
            self._elements = self._merged(elements)
        try:
            transaction = self._send(ending=True, body=False)
        except Exception:
            self._elements = before
            raise
        self.refresh.end(None, transaction)
        return transaction

    def _merged(self, elements: MessageElements) -> MessageElements:
        given = {name for name, _ in elements.headers}
        kept = [(name, value) for name, value in self._elements.headers if name in KEPT - given]
        source = elements if elements.body else self._elements
        return MessageElements([*kept, *elements.headers], source.body, source.content_type)

    # ------------------------------------------------------------------ what comes back

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        response = transaction.response
        assert response is not None
        status = response.status
        if status < 200:
            if not self._own:
                self._tell("response_received", transaction)
        elif status < 300:
            self._pending = None
            self._accepted(response, transaction)
        elif not self._retried(response, transaction):
            self._pending = None
            self._ended(TerminatedWithResponse(f"{status} {response.reason}"), transaction)

    def _accepted(self, response: Response, transaction: ClientTransaction) -> None:
        if self._ending:
            self._leave()
        else:
            try:
                granted = response.expires
                self._take(response)
            except MalformedMessage as error:
                self._ended(error, transaction)
                return
            self.refresh.granted(self._expires, granted)
            if self.refresh.state != ACTIVE:
                return
        if not self._own:
            self._tell("response_received", transaction)

    def _take(self, response: Response) -> None:
        """Keep what a 2xx brings. Raises MalformedMessage when something is missing."""

    def _retried(self, response: Response, transaction: ClientTransaction) -> bool:
        """Send the request again when the response says how to; False when that is no use."""
        if response.status != 423 or self._ending:
            return False
        least = min_expires(response, self._expires, self._brief)
        if least is None:
            return False
        # RFC 3903 §4: after a 423 the EPA may try again with an expiry of at least its Min-Expires.
        self._brief += 1
        self._expires = float(least)
        transaction.request.set("Expires", least)
        transaction.resend()
        return True

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        self._pending = None
        self._ended(error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    def refresh_failed(self, error: SIPError) -> None:
        """See IRefreshOwner."""
        if isinstance(error, RequestPending):
            # An update of the application's is on its way: its 2xx plans the next refresh.
            return
        self._ended(error, None)

    def _ended(self, error: SIPError, transaction: ClientTransaction | None) -> None:
        self._leave()
        self.refresh.end(error, transaction)
        self._tell("refresh_failed", error, self.refresh)

    def _tell(self, method: str, *arguments: Any) -> None:
        observer = self.host.observer if self._observer is None else self._observer
        tell(self.host.dispatcher.metrics, getattr(observer, method), *arguments)

    # ------------------------------------------------------------------ the end

    def _leave(self) -> None:
        self.host.release(self)

    def shutdown(self) -> Deferred[Any] | None:
        """The connection is to be closed properly: end what the peer keeps."""
        if self.refresh.state != ACTIVE:
            return None
        if self._pending is not None:
            return self._pending.final_response().addBoth(lambda _: self.shutdown())
        try:
            return self.terminate(None).final_response()
        except SIPError:
            return None

    def close(self) -> None:
        """Send nothing more, tell nothing more. Idempotent."""
        self._leave()
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self.host.release(pending)
            pending.close()
        if self.refresh.state != TERMINATED:
            self.refresh.end(ResourceNotAvailable("the request was closed"))
