"""Messages that come in, and state of our own that a server keeps for others: MESSAGE and PUBLISH."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from sipactors.client import ConnectionObserver, MessageElements, Refresh, RequestElements, ResponseElements
from sipactors.errors import ArgumentError, SIPError
from sipactors.events import package_of
from sipactors.message import as_uri

if TYPE_CHECKING:
    from collections.abc import Callable

    from sipactors.client import ServerTransaction
    from sipactors.message import URI, Address
    from sipactors.ua.agent import UserAgent


class Message:
    """A MESSAGE of a peer's (RFC 3428). It is answered 200 when the application's function is done."""

    def __init__(self, transaction: ServerTransaction) -> None:
        self.transaction = transaction
        request = transaction.request
        self.body: bytes = request.body
        sender: Address = request.from_
        self.sender = sender.uri
        "Who sent it, as From says."
        self.name = sender.display_name
        "The sender's name that is shown, or None."
        content_type = request.content_type
        self.content_type = "text/plain" if content_type is None else str(content_type)

    def __repr__(self) -> str:
        return f"<Message {self.sender} {self.text[:40]!r}>"

    @property
    def text(self) -> str:
        """The body as text; what is no UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    def accept(self, status: int = 200) -> None:
        """Answer it now; nothing when it was answered."""
        if self.transaction.response_allowed:
            self.transaction.respond(ResponseElements(status))

    def reject(self, status: int = 480) -> None:
        """Refuse it. Raises InvalidTransactionState when it was answered."""
        self.transaction.respond(ResponseElements(status))


class Publication(ConnectionObserver):
    """State of ours that a server tells our watchers (RFC 3903); kept alive until it is removed."""

    def __init__(
        self,
        agent: UserAgent,
        event: str,
        uri: URI | str | None,
        expires: int,
        failed: Callable[[SIPError], object] | None,
    ) -> None:
        self.agent = agent
        self.event = event
        self.uri = agent.account.aor.uri if uri is None else as_uri(uri)
        self.error: SIPError | None = None
        "Why it has ended, if not by `remove`."
        self._expires = expires
        self._failed = failed
        self._refresh = Refresh()

    @property
    def active(self) -> bool:
        """True while the server keeps it."""
        return self._refresh.state == "ACTIVE"

    def begin(self, value: Any, content_type: str | None) -> Deferred[Publication]:
        """Send the first PUBLISH."""
        body, kind = self._write(value, content_type)
        account = self.agent.account
        elements = RequestElements(
            self.uri,
            "PUBLISH",
            from_=account.from_,
            headers=[("Event", self.event), ("Expires", str(self._expires))],
            body=body,
            content_type=kind,
        )
        transaction = self.agent.connection.send_request(
            elements, context=account.context, refresh=self._refresh, observer=self
        )
        return transaction.final_response().addCallback(self.agent.check).addCallback(lambda _: self)

    def update(self, value: Any, content_type: str | None = None) -> Deferred[Publication]:
        """Publish another state in place of the one before. Raises RequestPending, ArgumentError."""
        body, kind = self._write(value, content_type)
        transaction = self._refresh.update(MessageElements(body=body, content_type=kind))
        return transaction.final_response().addCallback(self.agent.check).addCallback(lambda _: self)

    def remove(self) -> Deferred[None]:
        """Take it back; the Deferred fires whatever the server says to that."""
        if not self.active:
            return succeed(None)
        return self._refresh.terminate().final_response().addBoth(lambda _: None)

    def _write(self, value: Any, content_type: str | None) -> tuple[bytes, str]:
        package = package_of(self.event)
        if content_type is None:
            if not package.accept:
                raise ArgumentError(f"{self.event}: give the content_type of its body")
            content_type = package.accept[0]
        if isinstance(value, str):
            value = value.encode()
        if isinstance(value, bytes):
            return value, content_type
        if package.write is None:
            raise ArgumentError(f"{self.event}: a body is bytes, not {type(value).__name__}")
        return package.write(value), content_type

    def refresh_failed(self, error: Any, refresh: Any) -> None:
        """See IConnectionObserver."""
        self.error = error
        if self._failed is not None:
            self._failed(error)
