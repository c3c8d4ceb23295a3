"""Somebody's state, watched: SubscribeUsage and its Refresh, subscribed again when the peer asks for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from sipactors.actor import TERMINATED, tell
from sipactors.client import ConnectionObserver, MessageElements, Refresh, SubscribeUsage
from sipactors.errors import ArgumentError, MalformedMessage, RequestRejected, SIPError, TransactionTimeout
from sipactors.events import package_of
from sipactors.interfaces import ISubscriptionObserver
from sipactors.message import as_uri
from sipactors.ua.observers import SubscriptionObserver
from sipactors.ua.waiting import Once

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.interfaces import IDelayedCall

    from sipactors.client import ClientTransaction, ServerTransaction
    from sipactors.message import URI, Event
    from sipactors.ua.agent import UserAgent

AGAIN_AT_ONCE = ("deactivated", "timeout")
AGAIN_LATER = ("probation", "giveup")
"RFC 6665 §4.1.3: reasons of the last NOTIFY after which a subscriber may subscribe again."

LATER = 60.0
"Seconds after which it does so when the notifier does not say."


class Subscription(ConnectionObserver):
    """What `UserAgent.subscribe` gives: the latest state, and a way to end it.

    It is kept alive, and made again when the notifier ended it for a reason that allows that. When the
    SUBSCRIBE reached several notifiers, the states of all of them are told.
    """

    def __init__(
        self,
        agent: UserAgent,
        event: Event | str,
        uri: URI | str,
        observer: Any = None,
        expires: int | None = None,
        accept: Sequence[str] = (),
    ) -> None:
        """Raises ArgumentError for a package that is not known, unless `accept` says what bodies it has."""
        self.agent = agent
        self.event = event
        self.uri = as_uri(uri)
        if observer is None or not ISubscriptionObserver.providedBy(observer):
            observer = SubscriptionObserver(observer)
        self.observer: ISubscriptionObserver = observer
        self.value: Any = None
        "The state that was told last; None before the first."
        self.over = False
        "True when no further state will come."
        self._headers = [] if expires is None else [("Expires", str(expires))]
        if accept:
            self._headers.append(("Accept", ", ".join(accept)))
            capabilities = agent.client.capabilities
            capabilities.accept = tuple(dict.fromkeys((*capabilities.accept, *accept)))
        elif not package_of(str(event).partition(";")[0].strip()).accept:
            raise ArgumentError(f"{event}: an unknown event package: say in accept what bodies it has")
        self._first: Once[Any] = Once()
        self._ended: Once[None] = Once()
        self._leaving = False
        self._later: IDelayedCall | None = None
        self.usage = self._subscribe()

    def __repr__(self) -> str:
        return f"<Subscription {self.state} {self.event} {self.uri}>"

    @property
    def state(self) -> str:
        """NOTIFY_WAIT, PENDING, ACTIVE or TERMINATED (RFC 6665 §4.1.2)."""
        return TERMINATED if self.over else self.usage.state

    def first(self) -> Deferred[Any]:
        """A Deferred of the first state; fails when there will be none."""
        return self._first.wait()

    def _subscribe(self) -> SubscribeUsage:
        agent = self.agent
        usage = SubscribeUsage.outgoing(
            agent.connection,
            self.uri,
            self.event,
            context=agent.account.context,
            from_=agent.account.from_,
            observer=self,
        )
        usage.subscribe(MessageElements(self._headers), None if self._once else Refresh())
        return usage

    @property
    def _once(self) -> bool:
        return ("Expires", "0") in self._headers

    def unsubscribe(self) -> Deferred[None]:
        """End it; the Deferred fires, and never fails, when the notifier has heard."""
        if self.over or self._leaving:
            return self._ended.wait()
        self._leaving = True
        try:
            self.usage.unsubscribe()
        except SIPError:
            # There is no subscription yet, or none any more.
            self.usage.close()
            self._end(None)
        return self._ended.wait()

    # ------------------------------------------------------------------ what the usage tells

    def dialog_response_received(self, transaction: ClientTransaction, usage: SubscribeUsage) -> None:
        """See IConnectionObserver."""
        response = transaction.response
        assert response is not None
        if response.status >= 300 and usage is self.usage and usage.state == TERMINATED:
            self._end(RequestRejected(response.status, response.reason, response))

    def dialog_request_received(self, transaction: ServerTransaction, dialog: Any) -> None:
        """See IConnectionObserver."""
        usage: Any = transaction.usage
        try:
            value = usage.body(transaction)
        except MalformedMessage as error:
            transaction.answer(error.status)
            return
        if value is not None:
            self.value = value
            self._first.fire(value)
            tell(self.agent.stack.metrics, self.observer.state_received, self, value)
        if usage is self.usage and usage.state == TERMINATED:
            self._terminated(usage)

    def _terminated(self, usage: SubscribeUsage) -> None:
        state = usage.subscription_state
        reason = "" if state is None else (state.reason or "").lower()
        if self._leaving or self._once:
            self._end(None)
        elif reason in AGAIN_AT_ONCE or reason in AGAIN_LATER:
            wait = 0.0 if reason in AGAIN_AT_ONCE else LATER
            if state is not None and state.retry_after is not None:
                wait = float(state.retry_after)
            self._later = self.agent.stack.timers.later(wait, self._again)
        else:
            self._end(RequestRejected(480, f"the subscription was terminated: {reason or 'no reason'}"))

    def _again(self) -> None:
        self._later = None
        if not self.over and not self._leaving:
            try:
                self.usage = self._subscribe()
            except SIPError as error:
                self._end(error)

    def usage_failed(self, error: SIPError, usage: Any, transaction: Any) -> None:
        """See IConnectionObserver."""
        if usage is self.usage and (usage.state == TERMINATED or usage.closed):
            self._end(None if self._leaving else error)

    def connection_lost(self, error: SIPError) -> None:
        """The connection has closed the usage: nothing more is told by that."""
        self._end(None if self._leaving else error)

    def _end(self, error: SIPError | None) -> None:
        if not self.over:
            self.over = True
            if self._later is not None and self._later.active():
                self._later.cancel()
            self.agent.subscription_ended(self)
            self._first.fail(error or TransactionTimeout("the subscription ended before a state came"))
            self._ended.fire(None)
            tell(self.agent.stack.metrics, self.observer.subscription_ended, self, error)
