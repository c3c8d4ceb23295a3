"""A subscription of a peer's, whom we tell of our state: NOTIFY (RFC 6665 §4.2, RFC 3515 §2.4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.dialog.dialog import CONFIRMED, Dialog
from sipactors.dialog.making import answer_dialog
from sipactors.dialog.subscription import ENDING_STATUSES, RESP_WAIT, Grant, seconds_in
from sipactors.dialog.usage import Usage
from sipactors.errors import (
    ArgumentError,
    InvalidDialogState,
    SIPError,
    TerminatedWithResponse,
    TransactionTimeout,
)
from sipactors.events import Progress, package_of, write_sipfrag
from sipactors.interfaces import IRequestOwner
from sipactors.message import Event, MessageElements, SubscriptionState, as_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.internet.defer import Deferred

    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver, IFlow
    from sipactors.message import Address, Request, Response

FIXED = ("Event", "Subscription-State")


@implementer(IRequestOwner)
class NotifyUsage(Usage):
    """What we tell a peer who sent SUBSCRIBE or REFER.

    Answer its transaction with 200 (202 to a REFER), then `notify` now and whenever the state changes.
    `subscription_state` is "active" or "pending" from that answer on. Policies are plain attributes:

    - `auto_answer` answers a SUBSCRIBE that refreshes or ends it with 200 when the observer has not;
    - `auto_notify` sends the NOTIFY that each 2xx to SUBSCRIBE or REFER owes, with what was told last,
      when the application has not sent one by then;
    - `max_expires` is the longest time that is granted, in seconds.
    """

    __slots__ = (
        *("_final", "_first", "_last", "_leaving", "_next_state", "_owed", "_requested", "_suppressed"),
        *("auto_answer", "auto_notify", "event", "expires", "grant", "max_expires"),
    )

    METHODS = frozenset(("SUBSCRIBE",))

    def __init__(
        self,
        transaction: ServerTransaction,
        event: Event | str | None = None,
        subscription_state: str = "active",
        *,
        contact: Address | str | None = None,
        observer: IConnectionObserver | None = None,
    ) -> None:
        """Raises ArgumentError unless it is a SUBSCRIBE to `event` (None: to any) or a REFER without a
        usage, InvalidTransactionState when it is answered already, ResourceNotAvailable.
        """
        request = transaction.request
        if subscription_state not in ("active", "pending"):
            raise ArgumentError(f"a subscription begins active or pending, not {subscription_state!r}")
        if request.method not in ("SUBSCRIBE", "REFER"):
            raise ArgumentError(f"a {request.method} asks for no NOTIFYs")
        dialog = _dialog_of(transaction)
        own = _event_of(request, dialog)
        if event is not None and event not in (own, own.package):
            raise ArgumentError(f"the {request.method} is not for {event}")
        given = None if contact is None else as_address(contact, "Contact")
        super().__init__(dialog.host, dialog, observer, given)
        self.event = own
        "The event package with the id that the subscriber chose."
        self.auto_answer = True
        self.auto_notify = True
        self.max_expires: int | None = None
        self.expires: int | None = None
        "Seconds that the last 2xx granted."
        self.grant = Grant(self.host.dispatcher, self._ran_out)
        self._first: ServerTransaction | None = transaction
        self._final: ClientTransaction | None = None
        self._last = first_elements(own)
        self._leaving = False
        self._next_state = subscription_state
        self._owed = False
        self._requested = request.expires
        self._suppressed = request.method == "REFER" and _refuses_subscription(request)
        if request.method == "REFER":
            dialog.referred = True
        transaction.usage = self

    @property
    def state(self) -> str:
        """RESP_WAIT until the SUBSCRIBE is answered, PENDING, ACTIVE, TERMINATED (RFC 6665 §4.2.1)."""
        return self.grant.state

    @property
    def expires_at(self) -> float | None:
        """When the subscription runs out unless it is refreshed, in seconds of the clock; None: not known."""
        return self.grant.expires_at

    # ------------------------------------------------------------------ NOTIFY

    def notify(
        self,
        elements: MessageElements | None = None,
        subscription_state: SubscriptionState | str | None = None,
    ) -> ClientTransaction:
        """Tell the subscriber; None for `elements` tells once more what was told last.

        `subscription_state` changes it, as `SubscriptionState("terminated", {"reason": "noresource"})`;
        Event, Subscription-State and the seconds that remain are added. Raises InvalidDialogState unless
        the dialog is CONFIRMED and the subscription not over, ArgumentError, ResourceNotAvailable,
        TransportFailure.
        """
        self.check_open()
        self.check_state(CONFIRMED)
        if self.grant.state in (RESP_WAIT, TERMINATED):
            raise InvalidDialogState(f"no NOTIFY while the subscription is {self.grant.state}")
        for name, _ in () if elements is None else elements.headers:
            if name in FIXED:
                raise ArgumentError(f"{name} is added by the usage")
        state = self._state_for(subscription_state)
        headers = [("Event", self.event), ("Subscription-State", state)]
        told = self._last if elements is None else elements
        transaction = self.send("NOTIFY", told, prepare=self._prepare, headers=headers)
        self._last = told
        self._owed = False
        if state.state == "terminated":
            self._final = transaction
        self.grant.feed("pending" if state.state == "pending" else state.state)
        return transaction

    def terminate(
        self,
        reason: str = "noresource",
        elements: MessageElements | None = None,
        retry_after: int | None = None,
    ) -> ClientTransaction:
        """Send the last NOTIFY, which says why it is the last (RFC 6665 §4.1.3). Raises as `notify` does."""
        params: dict[str, str | None] = {"reason": reason}
        if retry_after is not None:
            params["retry-after"] = str(retry_after)
        return self.notify(elements, SubscriptionState("terminated", params))

    def progress(
        self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> ClientTransaction:
        """Tell the sender of a REFER how far its request has come; a final status is the last NOTIFY.

        Raises as `notify` does.
        """
        progress = Progress(status, reason, list(headers))
        content_type = package_of("refer").accept[0]
        elements = MessageElements(body=write_sipfrag(progress), content_type=content_type)
        if not progress.final:
            return self.notify(elements)
        # RFC 3515 §2.4.7: after the final NOTIFY the subscription is over, for "noresource".
        return self.terminate("noresource", elements)

    def _state_for(self, wanted: SubscriptionState | str | None) -> SubscriptionState:
        if wanted is None and self._leaving:
            # RFC 6665 §4.2.1.4: what ended by Expires 0 or by itself ends with reason "timeout".
            wanted = SubscriptionState("terminated", {"reason": "timeout"})
        if wanted is None:
            wanted = self.grant.state.lower()
        if isinstance(wanted, str):
            wanted = SubscriptionState(wanted)
        if wanted.state not in ("active", "pending", "terminated"):
            raise ArgumentError(f"not a subscription state: {wanted}")
        if wanted.state == "terminated" or wanted.expires is not None or self.grant.left is None:
            return wanted
        # RFC 6665 §4.2.2: the NOTIFY SHOULD say in "expires" how long the subscription still lasts.
        params = [*wanted.params.items(), ("expires", str(round(self.grant.left)))]
        return SubscriptionState(wanted.value, params)

    def _prepare(self, request: Request, flow: IFlow) -> None:
        self.put_contact(request, flow)

    # ------------------------------------------------------------------ answers to NOTIFY

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        response = transaction.response
        assert response is not None
        if response.status >= 200:
            if transaction is self._final:
                self._over()
            elif response.status in ENDING_STATUSES and self.grant.state != TERMINATED:
                # RFC 6665 §4.2.2: these answers make the notifier remove the subscription.
                self._over()
                error = TerminatedWithResponse(f"{response.status} {response.reason}")
                self.tell("usage_failed", error, self, transaction)
                return
        self.tell("dialog_response_received", transaction, self)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        if transaction is self._final or isinstance(error, TransactionTimeout):
            # RFC 6665 §4.2.2: nobody is told for ever who does not answer.
            self._over()
        self.tell("usage_failed", error, self, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    # ------------------------------------------------------------------ SUBSCRIBE

    def concerns(self, request: Request) -> bool:
        """See Usage."""
        if request.method != "SUBSCRIBE" or self._suppressed:
            return False
        event: Event | None = request.typed("Event")
        return event is not None and event == self.event

    def request_received(self, transaction: ServerTransaction) -> None:
        """Take a SUBSCRIBE that goes on with the subscription, or ends it."""
        if self.grant.state in (RESP_WAIT, TERMINATED):
            transaction.answer(481 if self.grant.state == TERMINATED else 500, [("Retry-After", "1")])
            return
        self._requested = transaction.request.expires
        transaction.usage = self
        self.tell("dialog_request_received", transaction, self.dialog)
        if transaction.response_allowed and (self.auto_answer or self._closed):
            transaction.answer(481 if self._closed else 200)

    def prepare_response(self, response: Response, transaction: ServerTransaction) -> None:
        """See Usage."""
        if not 200 <= response.status < 300:
            return
        self.put_contact(response, transaction.flow)
        if self._suppressed:
            response.set("Refer-Sub", "false")
        elif transaction.method == "SUBSCRIBE":
            # RFC 6665 §4.2.1.1: a 2xx says in Expires how long, and no longer than was asked for.
            response.set("Expires", self._seconds(seconds_in(response, "Expires")))

    def _seconds(self, given: int | None = None) -> int:
        default = package_of(self.event.package).expires
        wanted = default if self._requested is None else self._requested
        limits = [each for each in (given, self.max_expires) if each is not None]
        return min([wanted, *limits])

    def response_sent(self, response: Response, transaction: ServerTransaction) -> None:
        """See Usage."""
        if response.status < 200 or self._closed:
            return
        first, self._first = self._first is transaction, None
        if response.status >= 300:
            if first:
                self._over()
            return
        self.dialog.feed("2xx")
        if self._suppressed:
            self._over()
            return
        if first:
            self.grant.feed(self._next_state)
        seconds = seconds_in(response, "Expires") if transaction.method == "SUBSCRIBE" else self._seconds()
        self.expires = seconds or 0
        self._leaving = not seconds
        if seconds:
            self.grant.expire_in(seconds)
        # RFC 6665 §4.2.1.2: upon a 2xx the notifier MUST send a NOTIFY at once, with a neutral body if
        # the state is not known yet.
        self._owed = True
        if self.auto_notify:
            self.host.dispatcher.timers.later(0, self._pay)

    def _pay(self) -> None:
        if self._owed and not self._closed and self.grant.state != TERMINATED:
            try:
                self.notify()
            except SIPError as error:
                self.tell("usage_failed", error, self, None)

    # ------------------------------------------------------------------ the end

    def _ran_out(self) -> None:
        transaction = None
        try:
            # RFC 6665 §4.2.2: when it runs out, a NOTIFY says so, with reason "timeout".
            transaction = self.terminate("timeout")
        except SIPError:
            self._over()
        self.tell("usage_failed", TransactionTimeout("the subscription ran out"), self, transaction)

    def server_transaction_failed(self, error: Exception, transaction: ServerTransaction) -> None:
        """See Usage."""
        if transaction is self._first:
            self._over()
        super().server_transaction_failed(error, transaction)

    def shutdown(self) -> Deferred[Any] | None:
        """End the subscription: the peer may subscribe again later; gives the Deferred of its answer."""
        if self._first is not None:
            self._first.answer(503)
            return None
        if self.grant.state in (RESP_WAIT, TERMINATED) or self.dialog.state != CONFIRMED:
            return None
        try:
            return self.terminate("probation").final_response()
        except SIPError:
            return None

    def _over(self) -> None:
        self.grant.feed("CLOSED")
        self._owed = False
        self.end()

    def close(self) -> None:
        """See Usage. The subscriber's next SUBSCRIBE is answered 481."""
        if not self._closed:
            self._closed = True
            self._over()


def first_elements(event: Event) -> MessageElements | None:
    """What a NOTIFY tells before the application has told anything."""
    package = package_of(event.package)
    return (
        MessageElements(body=package.first_body, content_type=package.accept[0])
        if package.first_body
        else None
    )


def _dialog_of(transaction: ServerTransaction) -> Dialog:
    request = transaction.request
    if request.to_tag is None:
        return answer_dialog(transaction, request.method)
    if transaction.usage is not None:
        raise ArgumentError("the request has its usage already")
    transaction.check_response_allowed()
    dialog = transaction.taken_up().dialogs.find(request)
    if not isinstance(dialog, Dialog):
        raise InvalidDialogState("the dialog of the request has ended")
    return dialog


def _event_of(request: Request, dialog: Dialog) -> Event:
    if request.method == "SUBSCRIBE":
        event: Event | None = request.typed("Event")
        if event is None:
            raise ArgumentError("the SUBSCRIBE has no Event")
        return Event(event.package, {} if event.id is None else {"id": event.id})
    # RFC 3515 §2.4.6: for the second and later REFERs of a dialog the id MUST be the CSeq number.
    return Event("refer", {"id": str(request.cseq.number)} if dialog.referred else {})


def _refuses_subscription(request: Request) -> bool:
    value = request.typed("Refer-Sub")
    return value is not None and value.value.lower() == "false"
