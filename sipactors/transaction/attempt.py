"""One request of ours, tried at one target after the other until one of them answers (RFC 3263 §4.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from sipactors.actor import tell
from sipactors.errors import (
    InvalidTransactionState,
    ResolvingFailure,
    SIPError,
    TransactionTimeout,
    TransportFailure,
)
from sipactors.interfaces import IClientTransactionUser
from sipactors.message import cancel_for
from sipactors.transaction.invite_client import InviteClient

if TYPE_CHECKING:
    from sipactors.interfaces import IFlow, ILocator
    from sipactors.locating import Target
    from sipactors.message import Request, Response
    from sipactors.transaction.dispatcher import ClientTransaction, Dispatcher

MAX_DATAGRAM = 1300
"Bytes above which a request goes by a congestion-controlled transport (RFC 3261 §18.1.1)."

MAX_TARGETS = 16
"Targets tried for one request."


@implementer(IClientTransactionUser)
class Attempt:
    """A request on its way; its user is told of responses as if there were one transaction only.

    `where` is the URI of the next hop (its targets are located), or the flow to use. `prepare` is
    called with the request and the flow each time before it is sent, to fill in what depends on the
    flow (the Contact's host). The top Via is made here, with a new branch for each target.
    """

    __slots__ = (
        "_cancel_headers",
        "_cancel_made",
        "_cancel_sent",
        "_cancel_user",
        "_dispatcher",
        "_done",
        "_located_later",
        "_locator",
        "_prepare",
        "_rest",
        "_target",
        "_too_large",
        "answered",
        "request",
        "transaction",
        "user",
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        locator: ILocator,
        request: Request,
        user: IClientTransactionUser,
        prepare: Callable[[Request, IFlow], object] | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._locator = locator
        self._prepare = prepare
        self.request = request
        self.user: IClientTransactionUser | None = user
        self.transaction: ClientTransaction | None = None
        self.answered = False
        "True once any response of the present target has come."
        self._located_later: Deferred[Any] | None = None
        self._rest: Iterator[Target] = iter(())
        self._target: Target | None = None
        self._too_large: Target | None = None
        self._cancel_user: IClientTransactionUser | None = None
        self._cancel_made: Callable[[Request], object] | None = None
        self._cancel_headers: Sequence[tuple[str, object]] = ()
        self._cancel_sent = False
        self._done = False

    @property
    def flow(self) -> IFlow | None:
        """The flow of the last try, None before the first."""
        return self.transaction.flow if self.transaction is not None else None

    @property
    def target(self) -> Target | None:
        """The target of the last try; None when the caller named a flow."""
        return self._target

    # ------------------------------------------------------------------ sending

    def start_on(self, flow: IFlow) -> None:
        """Send by this flow and no other."""
        self._send(flow, self._dispatcher.new_branch(), None)

    def start_at(self, target: Target) -> None:
        """Send to this target and no other; a failure is told later, never raised."""
        self._located([target])

    def start(self, uri: Any, **how: Any) -> None:
        """Locate the targets of a URI and send to the first; a failure is told later, never raised."""
        flow = flow_of(self._dispatcher, uri)
        if flow is not None:
            self.start_on(flow)
            return
        try:
            located = self._locator.locate(uri, **how)
        except ResolvingFailure as failure:
            self._dispatcher.timers.later(0, self._fail, failure)
            return
        if isinstance(located, Deferred):
            self._located_later = located
            located.addCallbacks(self._located, self._not_located)
            # What the caller's `prepare` raises is no reason never to tell an outcome.
            located.addErrback(self._not_located)
        else:
            self._located(located)

    def _located(self, targets: Sequence[Target]) -> None:
        self._located_later = None
        if self._done:
            return
        self._rest = iter(targets[:MAX_TARGETS])
        self._next(ResolvingFailure("there is no address to send to"))

    def _not_located(self, failure: Any) -> None:
        self._located_later = None
        error = failure.value
        if not self._done:
            self._fail(error if isinstance(error, SIPError) else ResolvingFailure(str(error)))

    def _next(self, error: SIPError) -> None:
        if self._too_large is not None:
            # RFC 3261 §18.1.1: when the congestion-controlled transport is refused, "the element
            # SHOULD retry the request, using UDP".
            target, self._too_large = self._too_large, None
            try:
                self._send(self._flow_to(target, target.transport), self._dispatcher.new_branch(), None)
                return
            except TransportFailure as failure:
                error = failure
        for target in self._rest:
            self._target = target
            try:
                self._try(target)
                return
            except TransportFailure as failure:
                error = failure
                self._locator.failed(target)
        if self.transaction is None:
            # Nothing was sent yet: the caller may still be inside its own call.
            self._dispatcher.timers.later(0, self._fail, error)
        else:
            self._fail(error)

    def _flow_to(self, target: Target, transport: str) -> IFlow:
        return self._dispatcher.transports.flow_to(transport, target.host, target.port, target.name)

    def _try(self, target: Target) -> None:
        branch = self._dispatcher.new_branch()
        flow = self._flow_to(target, target.transport)
        if target.transport != "UDP":
            self._send(flow, branch, None)
            return
        wire = self._wire(flow, branch)
        if len(wire) > MAX_DATAGRAM and self._dispatcher.transports.supports("TCP", target.host):
            # RFC 3261 §18.1.1: "If a request is … larger than 1300 bytes … the request MUST be sent
            # using an RFC 2914 congestion controlled transport protocol, such as TCP."
            try:
                stream = self._flow_to(target, "TCP")
            except TransportFailure:
                # No connection more is allowed: as with a refused one, UDP it is.
                pass
            else:
                self._too_large = target
                # Only this request is too large: the Contact stays the one for UDP.
                self._send(stream, branch, self._wire(stream, branch, flow))
                return
        self._send(flow, branch, wire)

    def _wire(self, flow: IFlow, branch: str, contact: IFlow | None = None) -> bytes:
        request = self.request
        request.set("Via", f"SIP/2.0/{flow.transport} {flow.sent_by};branch={branch};rport")
        if self._prepare is not None:
            self._prepare(request, contact or flow)
        return request.render()

    def _send(self, flow: IFlow, branch: str, wire: bytes | None) -> None:
        if wire is None:
            wire = self._wire(flow, branch)
        self.transaction = self._dispatcher.send_request(self.request, flow, self, branch, wire)

    # ------------------------------------------------------------------ cancelling

    def cancel(
        self,
        user: IClientTransactionUser,
        made: Callable[[Request], object] | None = None,
        headers: Sequence[tuple[str, object]] = (),
    ) -> None:
        """Cancel an INVITE (RFC 3261 §9.1); `user` is told of the CANCEL's own response.

        `made` gets the CANCEL when it goes out, with `headers` in it.
        """
        if self._cancel_user is not None or self._done:
            return
        self._cancel_user = user
        self._cancel_made = made
        self._cancel_headers = headers
        transaction = self.transaction
        if transaction is None:
            self._done = True
            if self._located_later is not None:
                self._located_later.cancel()
            self._dispatcher.timers.later(0, self._fail, TransactionTimeout("canceled before it was sent"))
        elif transaction.state == "PROCEEDING":
            self._send_cancel()

    def _send_cancel(self) -> None:
        transaction, user = self.transaction, self._cancel_user
        assert isinstance(transaction, InviteClient)
        assert user is not None
        if transaction.canceled:
            self._cancel_is_needless()
            return
        self._cancel_sent = True
        cancel = cancel_for(self.request)
        for name, value in self._cancel_headers:
            cancel.add(name, value)
        if self._cancel_made is not None:
            self._cancel_made(cancel)
        transaction.cancel(cancel, user)

    def stop_cancel(self) -> None:
        """End the CANCEL at once and silently, whatever becomes of the INVITE."""
        if isinstance(self.transaction, InviteClient):
            self.transaction.stop_cancel()

    def _cancel_is_needless(self) -> None:
        """Whoever waits for the CANCEL's own outcome hears that it never went."""
        if self._cancel_user is not None and not self._cancel_sent:
            self._cancel_sent = True
            error = InvalidTransactionState("there was nothing to cancel any more")
            tell(self._dispatcher.metrics, self._cancel_user.client_transaction_failed, error, self)

    # ------------------------------------------------------------------ what transactions tell

    def response_received(self, response: Response, transaction: object) -> None:
        """See IClientTransactionUser."""
        if transaction is not self.transaction or self.user is None:
            return
        status = response.status
        if not self.answered:
            self.answered = True
            self._too_large = None
            if self._target is not None and status != 503:
                self._locator.succeeded(self._target)
        if status < 200:
            if self._cancel_user is not None and not self._cancel_sent:
                # RFC 3261 §9.1: the CANCEL waits until a provisional response has come.
                self._send_cancel()
        elif status == 503 and self._cancel_user is None and self._another(response):
            # RFC 3263 §4.3: a 503 is a failure of this target, and the next one is tried.
            return
        tell(self._dispatcher.metrics, self.user.response_received, response, self)
        if status >= 200:
            self._cancel_is_needless()

    def _another(self, response: Response) -> bool:
        if self._target is None:
            return False
        self._locator.failed(self._target, _retry_after(response))
        self.answered = False
        for target in self._rest:
            self._target = target
            try:
                self._try(target)
                return True
            except TransportFailure:
                self._locator.failed(target)
        return False

    def client_transaction_failed(self, error: SIPError, transaction: object) -> None:
        """See IClientTransactionUser."""
        if transaction is not self.transaction:
            return
        if self.answered or self._cancel_user is not None:
            # RFC 3263 §4.3 tries the next target when this one failed without a response; what rang
            # already must not ring somewhere else as well.
            self._fail(error)
            return
        if not isinstance(error, TransportFailure):
            # It was connected: UDP would only bring the same request to the same place again.
            self._too_large = None
        if self._target is not None and self._too_large is None:
            self._locator.failed(self._target)
        self._next(error)

    def client_transaction_ended(self, transaction: object) -> None:
        """See IClientTransactionUser."""
        if transaction is self.transaction and self.user is not None:
            user, self.user = self.user, None
            tell(self._dispatcher.metrics, user.client_transaction_ended, self)

    def _fail(self, error: SIPError) -> None:
        self._done = True
        if self.user is not None:
            user, self.user = self.user, None
            if isinstance(error, TransportFailure):
                self._dispatcher.metrics.transport_failures += 1
            tell(self._dispatcher.metrics, user.client_transaction_failed, error, self)
            self._cancel_is_needless()

    def close(self) -> None:
        """End at once and silently."""
        self._done = True
        self.user = None
        self._cancel_user = None
        if self._located_later is not None:
            self._located_later.cancel()
        if self.transaction is not None:
            self.transaction.close()


def _retry_after(response: Response) -> float | None:
    text = (response.get("Retry-After") or "").split(";", 1)[0].split("(", 1)[0].strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def flow_of(dispatcher: Dispatcher, uri: Any) -> IFlow | None:
    """The connection of a peer that is reached only by it: its URI has a host under .invalid."""
    # RFC 7118 §5: such a host cannot be resolved; requests to it go by the connection that its owner opened.
    host = getattr(uri, "host", "")
    return dispatcher.transports.flow_named(host) if host[-8:].lower() == ".invalid" else None


def send_once(
    dispatcher: Dispatcher,
    locator: ILocator,
    request: Request,
    uri: Any,
    sent: Callable[[IFlow, bytes], object] | None = None,
    prepare: Callable[[Request, IFlow], object] | None = None,
) -> None:
    """Send a request that has no transaction, the ACK to a 2xx, to the first target that takes it.

    `sent` is called with the flow and the bytes, for whoever must send them again.
    """

    def send(flow: IFlow) -> None:
        via = f"SIP/2.0/{flow.transport} {flow.sent_by};branch={dispatcher.new_branch()};rport"
        request.set("Via", via)
        if prepare is not None:
            prepare(request, flow)
        wire = request.render()
        flow.send(wire)
        if sent is not None:
            sent(flow, wire)

    def go(targets: Sequence[Target]) -> None:
        for target in targets:
            try:
                flow = dispatcher.transports.flow_to(target.transport, target.host, target.port, target.name)
            except TransportFailure:
                continue
            send(flow)
            return
        fail(None)

    def fail(_: object) -> None:
        # Nobody can be told: the 2xx will come again, and with it the next try.
        dispatcher.metrics.transport_failures += 1

    flow = flow_of(dispatcher, uri)
    if flow is not None:
        send(flow)
        return
    try:
        located = locator.locate(uri)
    except SIPError as failure:
        fail(failure)
        return
    if isinstance(located, Deferred):
        located.addCallbacks(go, fail)
    else:
        go(located)
