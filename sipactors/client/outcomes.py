"""The REGISTERs of a registration and what becomes of it by them: confirmed, refused, tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from sipactors.client.backoff import PASSING_ERRORS, passes
from sipactors.client.binding import REGISTERED, RETRYING, UNREGISTERED, Binding
from sipactors.client.refresh import DEFAULT_EXPIRES
from sipactors.client.refreshed import min_expires
from sipactors.client.registering import DEREGISTER, REFRESH, UPDATE, Registering
from sipactors.client.registrar import Confirmation, check_register_elements, read_confirmation
from sipactors.errors import (
    InvalidRegistrarResponse,
    OutboundProxyNotResponding,
    RequestPending,
    SIPError,
    TerminatedWithResponse,
)
from sipactors.interfaces import IRefreshOwner, IRequestOwner
from sipactors.message import Address
from sipactors.message import request as build_request

if TYPE_CHECKING:
    from sipactors.client.transactions import ClientTransaction
    from sipactors.message import MessageElements, Response


@implementer(IRequestOwner, IRefreshOwner)
class Outcomes(Binding):
    """Sends the REGISTERs of a binding, and takes their outcomes."""

    # ------------------------------------------------------------------ sending

    @property
    def registrar_route(self) -> list[Address]:
        """The route of a REGISTER: the outbound proxy, if there is one (RFC 3608 §5: no Service-Route)."""
        proxy = self.outbound_proxy
        return [] if proxy is None else [Address(proxy if proxy.lr else proxy.with_params(lr=None))]

    def _send(
        self, act: str, seconds: float | None, elements: MessageElements | None, *, follows: bool = False
    ) -> ClientTransaction:
        host = self.host
        host.check_active()
        if elements is None:
            elements = self._elements
        else:
            host.check_elements(elements)
            check_register_elements(elements)
        pending = Registering(act, self._contacts, self._former, seconds, self._in_contact)
        pending.follows = follows
        registrar = host.registrations.registrar(self.registrar)
        registrar.begin(self.aor.uri, pending)
        request = build_request(
            "REGISTER",
            self.registrar,
            from_=self._from,
            to=self.aor,
            call_id=registrar.call_id,
            cseq=registrar.next_sequence(),
            routes=self.registrar_route,
        )
        if elements is not None:
            elements.apply(request)
        if act == DEREGISTER or (seconds is not None and (self._send_expires or act == UPDATE)):
            request.set("Expires", int(seconds or 0))
        self._pending = pending
        self._elements = elements
        pending.transaction = host.send(
            request,
            host.first_hop(request),
            self,
            prepare=pending.put_contact,
            sequence=registrar.next_sequence,
        )
        return pending.transaction

    def refresh_due(self) -> ClientTransaction:
        """See IRefreshOwner."""
        return self._send(REFRESH, self._expires, None)

    # ------------------------------------------------------------------ responses

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        pending, response = self._pending, transaction.response
        if pending is None or pending.transaction is not transaction or response is None:
            return
        status = response.status
        if status < 200:
            if not pending.own:
                self._tell("registration_response_received", transaction, self)
        elif status == 423 and self._asked_again(pending, response, transaction):
            return
        else:
            self._done(pending)
            if pending.act == DEREGISTER:
                self._removed()
                self._tell("registration_response_received", transaction, self)
            elif status < 300:
                self._accepted(pending, response, transaction)
            else:
                self._refused(pending, response, transaction)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        pending = self._pending
        if pending is None or pending.transaction is not transaction:
            return
        self._done(pending)
        if self.outbound_proxy is not None and isinstance(error, PASSING_ERRORS):
            error = OutboundProxyNotResponding(str(error))
        if pending.act == DEREGISTER:
            self._removed()
            self._tell("registration_failed", error, self, transaction)
        else:
            self._refused(pending, error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    def _asked_again(self, pending: Registering, response: Response, transaction: ClientTransaction) -> bool:
        if pending.act == DEREGISTER:
            return False
        least = min_expires(response, pending.seconds, pending.brief)
        if least is None:
            return False
        # RFC 3261 §10.2.8: after a 423 the UA may try again "after making the expiration interval of all
        # contact addresses … equal to or greater than the expiration interval within the Min-Expires".
        pending.brief += 1
        pending.seconds = float(least)
        transaction.request.set("Expires", least)
        transaction.resend()
        return True

    # ------------------------------------------------------------------ a 2xx

    def _accepted(self, pending: Registering, response: Response, transaction: ClientTransaction) -> None:
        contact = pending.contact
        assert contact is not None
        try:
            confirmation = read_confirmation(response, self.aor, contact)
        except InvalidRegistrarResponse as error:
            self._refused(pending, error, transaction)
            return
        news = not pending.own or self.state != REGISTERED
        moved = self._former is not None and _texts(self.service_route) != _texts(confirmation.service_route)
        self._expires = pending.seconds
        self._former = contact
        self._keep(confirmation)
        self.feed("CONFIRMED", transaction)
        if self.host.client.policies.contact_from_received and self._contacts.fills:
            flow = transaction.flow
            moved = (flow is not None and self.host.registrations.see(flow, response.via)) or moved
        if news:
            self._tell("registration_response_received", transaction, self)
        if moved and not pending.follows:
            self._follow()

    def _keep(self, confirmation: Confirmation) -> None:
        self._backoff.succeeded()
        self.registered_contact = confirmation.contact
        self.service_route = confirmation.service_route
        self.associated_uris = confirmation.associated
        granted = None if confirmation.expires is None else float(confirmation.expires)
        refresh = self._refreshing
        if refresh is not None:
            seconds = refresh.granted(self._expires, granted)
        else:
            bounds = [seconds for seconds in (self._expires, granted) if seconds is not None]
            seconds = min(bounds, default=DEFAULT_EXPIRES)
        self.expires_at = self.host.dispatcher.timers.clock.seconds() + seconds

    def _follow(self) -> None:
        """Register anew at once: the way to us, or from us, is another one than the registrar thinks."""
        if self.state == REGISTERED and self._pending is None:
            try:
                transaction = self._send(REFRESH, self._expires, None, follows=True)
            except SIPError:
                return  # Its regular refresh will do it.
            if self._refreshing is not None:
                self._refreshing.sent_by(transaction)

    def _removed(self) -> None:
        """The registrar was asked to remove the binding: that is enough."""
        self._former = None
        self.feed("ENDED")

    # ------------------------------------------------------------------ failures

    def _refused(
        self, pending: Registering, failure: SIPError | Response, transaction: ClientTransaction
    ) -> None:
        """A REGISTER did not succeed; that ends the registration unless it may succeed later."""
        before, refresh, later = self.state, self._refreshing, passes(failure)
        if isinstance(failure, SIPError):
            error = failure
        else:
            error = TerminatedWithResponse(f"{failure.status} {failure.reason}")
        if later and refresh is not None:
            refresh.again(self._wait(transaction, failure))
            if before == UNREGISTERED or isinstance(error, OutboundProxyNotResponding):
                self.feed("LOST")
        elif before == REGISTERED and self._stands(pending, error, later):
            pass
        else:
            if refresh is not None and before != UNREGISTERED:
                refresh.end(error, transaction)
            self.feed("ENDED")
        if not pending.own:
            if isinstance(failure, SIPError):
                self._tell("registration_failed", error, self, transaction)
            else:
                self._tell("registration_response_received", transaction, self)
        elif self.state == UNREGISTERED or (before == REGISTERED and self.state == RETRYING):
            self._tell("registration_failed", error, self, None)

    def _stands(self, pending: Registering, error: SIPError, later: bool) -> bool:
        """Whether what the registrar granted before holds until its time is over."""
        if isinstance(error, InvalidRegistrarResponse | OutboundProxyNotResponding):
            return False
        return not pending.own or later

    def refresh_failed(self, error: SIPError) -> None:
        """See IRefreshOwner."""
        refresh = self._refreshing
        if refresh is None:
            return
        if isinstance(error, RequestPending):
            # Another REGISTER of the address-of-record is under way: ours has its turn after it.
            refresh.again(self.host.dispatcher.dice.uniform(1, 3))
        elif passes(error):
            self._lost(error, self._wait(None, error))
        else:
            refresh.end(error)
            self._lost(error)


def _texts(addresses: list[Address]) -> list[str]:
    return [str(address) for address in addresses]
