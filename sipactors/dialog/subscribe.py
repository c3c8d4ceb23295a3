"""A subscription of ours to somebody's state: SUBSCRIBE, and the NOTIFYs that it brings (RFC 6665 §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.dialog.awaited import Awaited
from sipactors.dialog.dialog import CONFIRMED, INIT, Dialog
from sipactors.dialog.making import make_dialog
from sipactors.dialog.subscribed import SubscribedUsage
from sipactors.dialog.subscription import INIT as UNSUBSCRIBED
from sipactors.errors import AlreadyExists, ArgumentError, InvalidDialogState, RequestPending, SIPError
from sipactors.events import package_of
from sipactors.interfaces import IRefreshOwner, IRequestOwner
from sipactors.message import Event, as_address
from sipactors.message.grammar import read_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twisted.internet.defer import Deferred

    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IConnectionObserver, IFlow, IRefresh
    from sipactors.message import URI, Address, MessageElements, Request


@implementer(IRequestOwner, IRefreshOwner)
class SubscribeUsage(SubscribedUsage):
    """What we want to be told of: make one with `outgoing` or `in_dialog`, then `subscribe`.

    NOTIFYs reach the observer by `dialog_request_received`; `subscription_state` is then that of the
    NOTIFY, with its reason and retry-after, and `body` reads its body by the event package. They are
    answered 200 when the observer has not answered them, unless `auto_answer` is off. The usage ends
    with a NOTIFY that says terminated, an answer that RFC 6665 §4.1.2.2 names, or when it runs out.
    """

    __slots__ = ()

    # ------------------------------------------------------------------ how one is made

    @classmethod
    def outgoing(
        cls,
        connection: Any,
        remote_uri: URI | str,
        event: Event | str,
        *,
        context: Any = None,
        from_: Address | URI | str | None = None,
        to: Address | URI | str | None = None,
        contact: Address | str | None = None,
        observer: IConnectionObserver | None = None,
    ) -> SubscribeUsage:
        """A subscription that makes its own dialog; nothing is sent before `subscribe`.

        `event` is a package's name or an Event with an id. `context` is an active registration, which
        gives From and the route; else `from_` is required. Raises ArgumentError, ResourceNotAvailable.
        """
        given = None if contact is None else as_address(contact, "Contact")
        event = as_event(event)
        dialog = make_dialog(connection, remote_uri, context=context, from_=from_, to=to)
        return cls(connection, dialog, event, observer, given)

    @classmethod
    def in_dialog(
        cls, dialog: Dialog, event: Event | str, *, observer: IConnectionObserver | None = None
    ) -> SubscribeUsage:
        """A subscription within the dialog of another usage, or one that is used again after `reuse()`.

        Raises AlreadyExists when this dialog has a subscription to that event (RFC 6665 §4.5.2: give
        another `id`), InvalidDialogState when the dialog has ended, ResourceNotAvailable, TransportFailure.
        """
        dialog.host.check_active()
        if dialog.state == TERMINATED:
            raise InvalidDialogState("the dialog has ended")
        event = as_event(event)
        if any(isinstance(usage, SubscribedUsage) and usage.event == event for usage in dialog.usages):
            raise AlreadyExists(f"the dialog has a subscription to {event} already")
        return cls(dialog.host, dialog, event, observer)

    def fork(self) -> SubscribeUsage:
        """The usage of another dialog that the same SUBSCRIBE made; the application owns it."""
        dialog = self.dialog.fork(self.host)
        return self._inherit(
            SubscribeUsage(self.host, dialog, self.event, self._observer, self._given_contact)
        )

    # ------------------------------------------------------------------ requests of ours

    def subscribe(
        self, elements: MessageElements | None = None, refresh: IRefresh | None = None
    ) -> ClientTransaction:
        """Send the first SUBSCRIBE; `refresh` keeps the subscription alive from then on.

        Expires and Accept are the event package's unless `elements` have them; Expires 0 asks for the
        state once. Raises AlreadyExists for a second refresh or one that is another's, ArgumentError for
        an Event in the elements, InvalidDialogState, RequestPending, ResourceNotAvailable, TransportFailure.
        """
        self._check(elements)
        self.check_state(INIT, CONFIRMED)
        if self._pending is not None:
            raise RequestPending("another SUBSCRIBE waits for its answer")
        if refresh is not None:
            if self.refresh is not None:
                raise AlreadyExists("the subscription has its refresh already")
            refresh.bind(self)
            self.refresh = refresh
        try:
            return self._begin("SUBSCRIBE", elements, self._headers(elements))
        except SIPError as error:
            if refresh is not None:
                self.refresh = None
                refresh.end(error)
            raise

    def update(self, elements: MessageElements | None = None) -> ClientTransaction:
        """Send SUBSCRIBE again, to go on for longer or by another body (RFC 6665 §4.1.2.2).

        Raises InvalidDialogState before `subscribe` got its answer and after the end, RequestPending,
        ArgumentError, ResourceNotAvailable, TransportFailure.
        """
        self._check(elements)
        self._check_subscribed()
        if self._pending is not None:
            raise RequestPending("another SUBSCRIBE waits for its answer")
        return self._begin("SUBSCRIBE", elements, self._headers(elements))

    def unsubscribe(self, elements: MessageElements | None = None) -> ClientTransaction:
        """End the subscription: SUBSCRIBE with Expires 0 (RFC 6665 §4.1.2.3); a last NOTIFY follows.

        Raises as `update` does, but does not wait for another SUBSCRIBE.
        """
        self._check(elements)
        self._check_subscribed()
        headers = [*self._headers(elements), ("Expires", 0)]
        transaction = self.send("SUBSCRIBE", elements, prepare=self._prepare, headers=headers)
        self._ending = True
        self._pending = transaction
        self._end_refresh()
        return transaction

    def refresh_due(self) -> ClientTransaction:
        """See IRefreshOwner."""
        self._check(None)
        self._check_subscribed()
        if self._pending is not None:
            raise RequestPending("another SUBSCRIBE waits for its answer")
        transaction = self._begin("SUBSCRIBE", self._elements, self._headers(self._elements))
        self._silent = True
        return transaction

    def refresh_failed(self, error: SIPError) -> None:
        """See IRefreshOwner."""
        if self.refresh is not None and isinstance(error, RequestPending):
            # The answer to that other SUBSCRIBE will say anew how long the subscription lasts.
            self.refresh.again(64 * self.host.dispatcher.timing.t1)
            return
        self._end_refresh(error)
        self.tell("usage_failed", error, self, None)

    # ------------------------------------------------------------------ how they are made

    def _check(self, elements: MessageElements | None) -> None:
        self.check_open()
        if self._ending or self.subscription.state == TERMINATED:
            raise InvalidDialogState("the subscription is over")
        for name, value in () if elements is None else elements.headers:
            if name in self.FIXED:
                raise ArgumentError(f"{name} is the usage's own: it was given when that was made")
            if name == "Expires":
                try:
                    read_number(value)
                except SIPError as error:
                    raise ArgumentError(f"Expires: {error}") from None

    def _check_subscribed(self) -> None:
        self.check_state(CONFIRMED)
        if self.subscription.state == UNSUBSCRIBED:
            raise InvalidDialogState("there is no subscription yet")

    def _headers(self, elements: MessageElements | None) -> list[tuple[str, object]]:
        given = {name for name, _ in elements.headers} if elements is not None else set()
        package = package_of(self.event.package)
        headers: list[tuple[str, object]] = [("Event", self.event)]
        # RFC 6665 §4.1.2.1: SUBSCRIBE requests SHOULD contain an Expires header field.
        if "Expires" not in given:
            headers.append(("Expires", package.expires))
        if package.accept and "Accept" not in given:
            headers.append(("Accept", ", ".join(package.accept)))
        return headers

    def _begin(
        self, method: str, elements: MessageElements | None, headers: Sequence[tuple[str, object]]
    ) -> ClientTransaction:
        first = self.subscription.state == UNSUBSCRIBED
        awaited = Awaited(self, self.fork) if self.dialog.state == INIT else None
        try:
            transaction = self.send(method, elements, prepare=self._prepare, headers=headers)
        except BaseException:
            if awaited is not None:
                awaited.end()
            raise
        if awaited is not None:
            awaited.transaction = transaction
            self._awaited = awaited
        if first:
            self._first = transaction
            self.subscription.feed("SUBSCRIBE")
        self._elements = elements
        self._pending = transaction
        self._silent = False
        return transaction

    def _prepare(self, request: Request, flow: IFlow) -> None:
        self.put_contact(request, flow)
        self._sent_at = self.host.dispatcher.timers.clock.seconds()

    # ------------------------------------------------------------------ the end

    def shutdown(self) -> Deferred[Any] | None:
        """End the subscription properly; gives the Deferred of the answer, or None."""
        over = self._ending or self.subscription.state in (UNSUBSCRIBED, TERMINATED)
        if over or self.dialog.state != CONFIRMED:
            return None
        try:
            return self.unsubscribe().final_response()
        except SIPError:
            return None


def as_event(event: Event | str) -> Event:
    """An Event of a package's name, or as it is; ArgumentError for a name that is no token."""
    return event if isinstance(event, Event) else Event(event)
