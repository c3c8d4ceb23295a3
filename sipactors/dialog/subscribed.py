"""What comes back to a subscriber: answers, NOTIFYs, and the time that runs out (RFC 6665 §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from sipactors.actor import TERMINATED
from sipactors.dialog.dialog import INIT
from sipactors.dialog.subscription import ENDING_STATUSES, NOTIFY_WAIT, Subscription, seconds_in
from sipactors.dialog.subscription import INIT as UNSUBSCRIBED
from sipactors.dialog.usage import Usage
from sipactors.errors import (
    InvalidDialogResponse,
    MalformedMessage,
    ResourceNotAvailable,
    SIPError,
    TerminatedWithResponse,
    TransactionTimeout,
)
from sipactors.events import package_of

if TYPE_CHECKING:
    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.awaited import Awaited
    from sipactors.dialog.dialog import Dialog
    from sipactors.interfaces import IConnectionObserver, IDialogHost, IRefresh
    from sipactors.message import Address, Event, MessageElements, Request, Response, SubscriptionState

GIVE_UP = 64
"Timer N of RFC 6665 §4.1.2.4, and how long a lost NOTIFY may be on its way, in units of T1."

MAX_TRIES = 3
"How often a 423 makes a SUBSCRIBE ask for longer."

SKEW = 2.0
"Seconds by which two expiries of one subscription may differ for the time the messages took."

_Usage = TypeVar("_Usage", bound="SubscribedUsage")


class SubscribedUsage(Usage):
    """The subscriber's side of a subscription, however it was begun."""

    __slots__ = (
        *("_awaited", "_elements", "_ending", "_event", "_first", "_pending"),
        *("_sent_at", "_silent", "auto_answer", "refresh", "subscription", "subscription_state"),
    )

    METHODS = frozenset(("NOTIFY",))
    FIXED: ClassVar[tuple[str, ...]] = ("Event",)
    "Headers that the elements of a request may not hold."

    def __init__(
        self,
        host: IDialogHost,
        dialog: Dialog,
        event: Event,
        observer: IConnectionObserver | None = None,
        contact: Address | None = None,
    ) -> None:
        super().__init__(host, dialog, observer, contact)
        self._event = event
        self.auto_answer = True
        "Answer a NOTIFY with 200 when the observer has not answered it."
        self.refresh: IRefresh | None = None
        "What keeps the subscription alive, if anything does."
        self.subscription = Subscription(host.dispatcher, self._ran_out)
        self.subscription_state: SubscriptionState | None = None
        "What the last NOTIFY said: state, expires, and when it is over, reason and retry_after."
        self._awaited: Awaited | None = None
        self._elements: MessageElements | None = None
        self._ending = False
        self._first: ClientTransaction | None = None
        self._pending: ClientTransaction | None = None
        self._sent_at = 0.0
        self._silent = False

    @property
    def event(self) -> Event:
        """The event package with the id of the subscription; it never changes."""
        return self._event

    @property
    def state(self) -> str:
        """INIT, NOTIFY_WAIT, PENDING, ACTIVE or TERMINATED, as in RFC 6665 §4.1.2."""
        return self.subscription.state

    @property
    def expires_at(self) -> float | None:
        """When the subscription runs out unless it is refreshed, in seconds of the clock; None: not known."""
        return self.subscription.expires_at

    def body(self, transaction: ServerTransaction) -> Any:
        """What the body of a NOTIFY says, read by the event package; the bytes when it is unknown.

        None for an empty body. Raises MalformedMessage.
        """
        body = transaction.request.body
        read = package_of(self._event.package).read
        return None if not body else body if read is None else read(body)

    def _inherit(self, fork: _Usage) -> _Usage:
        fork.auto_answer = self.auto_answer
        fork._closed = self._closed
        fork._elements = self._elements
        return fork

    # ------------------------------------------------------------------ answers

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        response = transaction.response
        assert response is not None
        silent = self._silent and transaction is self._pending
        if response.status < 200:
            if not silent:
                self.tell("dialog_response_received", transaction, self)
            return
        if response.status == 423 and self._ask_for_longer(transaction, response):
            return
        if transaction is self._pending:
            self._pending, self._silent = None, False
        if response.status < 300:
            self._accepted(transaction, response, silent)
        else:
            self._refused(transaction, response, silent)

    def _ask_for_longer(self, transaction: ClientTransaction, response: Response) -> bool:
        # RFC 6665 §4.2.1.1: 423 says in Min-Expires what would not be too brief.
        wanted, least = transaction.request.expires, seconds_in(response, "Min-Expires")
        if self._closed or not wanted or least is None or least <= wanted or transaction.tries >= MAX_TRIES:
            return False
        transaction.request.set("Expires", least)
        transaction.resend()
        return True

    def _accepted(self, transaction: ClientTransaction, response: Response, silent: bool) -> None:
        if self._closed:
            return
        dialog = self.dialog
        try:
            if dialog.state == INIT:
                # RFC 6665 §4.1.2.4: what makes the dialog for sure is the NOTIFY; without a tag only that.
                if response.to_tag is not None:
                    dialog.accept_response(response)
            elif response.to_tag == dialog.remote_tag:
                dialog.refresh_target(response)
        except MalformedMessage as error:
            self._over(InvalidDialogResponse(str(error)), transaction)
            self.tell("usage_failed", InvalidDialogResponse(str(error)), self, transaction)
            return
        self._granted(transaction, response)
        if transaction is self._first:
            self._first = None
        if not silent:
            self.tell("dialog_response_received", transaction, self)

    def _granted(self, transaction: ClientTransaction, response: Response) -> None:
        timing = self.host.dispatcher.timing
        passed = self.host.dispatcher.timers.clock.seconds() - self._sent_at
        # RFC 6665 §4.1.2.4: Timer N of 64*T1 runs from the sending of the SUBSCRIBE.
        timer_n = max(GIVE_UP * timing.t1 - passed, 0.0)
        if self._awaited is not None and transaction is self._awaited.transaction:
            self._awaited.end_in(timer_n)
        if self.subscription.state == TERMINATED:
            return
        requested, granted = transaction.request.expires, seconds_in(response, "Expires")
        if requested == 0 or granted == 0:
            # RFC 6665 §4.1.2.3: the end of a subscription brings a last NOTIFY.
            if requested and self.refresh is not None:
                self.refresh.granted(requested, granted)
            self._ending = True
            self.subscription.notify_within(timer_n)
            return
        if self.refresh is not None and not self._ending:
            seconds = self.refresh.granted(requested, granted)
        else:
            # RFC 6665 §4.2.1.1: the notifier may shorten the interval, but MUST NOT lengthen it.
            wanted = self._default if requested is None else requested
            seconds = wanted if granted is None else min(wanted, granted)
        if self.subscription.state != NOTIFY_WAIT:
            self.subscription.expire_in(seconds, GIVE_UP * timing.t1)
        else:
            self.subscription.expire_in(seconds)
            self.subscription.notify_within(timer_n)

    @property
    def _default(self) -> float:
        return package_of(self._event.package).expires

    def _refused(self, transaction: ClientTransaction, response: Response, silent: bool) -> None:
        status = response.status
        error = TerminatedWithResponse(f"{status} {response.reason}")
        fatal = status in ENDING_STATUSES
        # A challenge that the application is to answer has not let an un-SUBSCRIBE in.
        left = self._ending and transaction is not self._first and status not in (401, 407, 494)
        if transaction is self._first or left or fatal:
            self._over(error, transaction)
        elif silent:
            # RFC 6665 §4.1.2.2: after any other failure the subscription is valid until it runs out.
            self._end_refresh(error, transaction)
        elif self._ending:
            self._ending = False
        if silent:
            self.tell("usage_failed", error, self, None)
        elif fatal and transaction is not self._first and not left:
            self.tell("usage_failed", error, self, transaction)
        else:
            self.tell("dialog_response_received", transaction, self)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        silent = self._silent and transaction is self._pending
        if transaction is self._pending:
            self._pending, self._silent = None, False
        # RFC 3261 §12.2.1.2: no response at all is as a 408, which ends the subscription (RFC 5057 §5.1).
        if transaction is self._first or self._ending or isinstance(error, TransactionTimeout):
            self._over(error, transaction)
        elif silent:
            self._end_refresh(error, transaction)
        self.tell("usage_failed", error, self, None if silent else transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    # ------------------------------------------------------------------ NOTIFYs

    def concerns(self, request: Request) -> bool:
        """See Usage."""
        return request.method == "NOTIFY" and request.typed("Event") == self._event

    def request_received(self, transaction: ServerTransaction) -> None:
        """Take a NOTIFY."""
        state: SubscriptionState | None = transaction.request.typed("Subscription-State")
        if state is None:
            # RFC 6665 §4.1.3: NOTIFY requests MUST contain a Subscription-State header field.
            transaction.answer(400)
            return
        if self.subscription.state in (UNSUBSCRIBED, TERMINATED):
            transaction.answer(481)
            return
        transaction.usage = self
        self._notified(state)
        self.tell("dialog_request_received", transaction, self.dialog)
        if transaction.response_allowed and (self.auto_answer or self._closed):
            transaction.answer(200)

    def _notified(self, state: SubscriptionState) -> None:
        self.subscription_state = state
        subscription = self.subscription
        if state.state == "terminated":
            subscription.feed("terminated")
            return
        waited = subscription.state == NOTIFY_WAIT
        subscription.feed("pending" if state.state == "pending" else "active")
        if self._ending:
            return
        grace = GIVE_UP * self.host.dispatcher.timing.t1
        before, expires = subscription.left, state.expires
        if expires is None:
            # The notifier should say how long it lasts; when it does not, what the 2xx said counts.
            if before is None:
                requested = None if self._first is None else self._first.request.expires
                subscription.expire_in(self._default if requested is None else requested, grace)
            elif waited:
                subscription.expire_in(before, grace)
            return
        # RFC 6665 §4.1.3: "expires" is the authoritative duration of the subscription.
        subscription.expire_in(expires, grace)
        refresh = self.refresh
        shortened = before is not None and 0 < expires < before - SKEW
        if shortened and refresh is not None and refresh.state == "ACTIVE":
            refresh.granted(None, expires)

    def response_sent(self, response: Response, transaction: ServerTransaction) -> None:
        """See Usage."""
        if response.status < 200 or self.subscription.state != TERMINATED:
            return
        if response.status in (401, 407) and not self._closed:
            # RFC 3261 §22.1: what is challenged is not let in yet; it will come again.
            self.subscription.feed("CHALLENGED")
            left = self.subscription.left
            if left is not None:
                self.subscription.expire_in(left, GIVE_UP * self.host.dispatcher.timing.t1)
            return
        self._over()

    def server_transaction_failed(self, error: Exception, transaction: ServerTransaction) -> None:
        """See Usage."""
        if self.subscription.state == TERMINATED:
            self._over()
        super().server_transaction_failed(error, transaction)

    # ------------------------------------------------------------------ the end

    def _ran_out(self) -> None:
        """Neither a NOTIFY nor a refresh came in time."""
        wanted = self._ending
        error = TransactionTimeout(
            "no NOTIFY came" if self.state == NOTIFY_WAIT else "the subscription ran out"
        )
        self._over(error)
        if not wanted:
            self.tell("usage_failed", error, self, None)

    def _end_refresh(
        self, error: SIPError | None = None, transaction: ClientTransaction | None = None
    ) -> None:
        if self.refresh is not None:
            self.refresh.end(error, transaction)

    def _over(self, error: SIPError | None = None, transaction: ClientTransaction | None = None) -> None:
        self._ending = True
        self.subscription.feed("CLOSED")
        if self._awaited is not None:
            self._awaited.end()
        self._end_refresh(error, transaction)
        self.end()

    def close(self) -> None:
        """See Usage. The notifier's next NOTIFY is answered 481, which ends the subscription there too."""
        if not self._closed:
            self._closed = True
            self._over(ResourceNotAvailable("the usage was closed"))
