"""Transfers: a REFER of ours and how it goes, and a REFER of the peer's with what it asks for (RFC 5589)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from sipactors.client import (
    ConnectionObserver,
    MessageElements,
    NotifyUsage,
    ReferUsage,
    ResponseElements,
    read_referral,
)
from sipactors.errors import InvalidDialogState, RequestRejected, SIPError
from sipactors.ua.waiting import Once

if TYPE_CHECKING:
    from sipactors.client import ClientTransaction, Dialog, Referral, ServerTransaction
    from sipactors.events import Progress
    from sipactors.message import URI, Address
    from sipactors.ua.agent import UserAgent
    from sipactors.ua.call import Call


class Transferring(ConnectionObserver):
    """A REFER of ours, until the peer has told how its call went."""

    def __init__(self, dialog: Dialog, target: Address | URI | Dialog | str, referred_by: str) -> None:
        self.usage = ReferUsage.in_dialog(dialog, target, observer=self)
        self.done: Once[Progress | None] = Once()
        "The last progress told; None when the peer tells none."
        try:
            # RFC 3892 §2.1: Referred-By says who asks; it goes along into the call.
            self.usage.refer(MessageElements([("Referred-By", f"<{referred_by}>")]))
        except SIPError:
            self.usage.close()
            raise

    def dialog_response_received(self, transaction: ClientTransaction, usage: ReferUsage) -> None:
        """See IConnectionObserver."""
        response = transaction.response
        assert response is not None
        if response.status >= 300:
            self.done.fail(RequestRejected(response.status, response.reason, response))
        elif response.status >= 200 and usage.state == "TERMINATED":
            # RFC 4488: the peer agrees, and will tell nothing.
            self.done.fire(None)

    def dialog_request_received(self, transaction: ServerTransaction, dialog: Any) -> None:
        """See IConnectionObserver."""
        progress = self.usage.progress
        if progress is not None and progress.status >= 300:
            self.done.fail(RequestRejected(progress.status, progress.reason))
        elif progress is not None and progress.final:
            self.done.fire(progress)
        elif self.usage.state == "TERMINATED":
            self.done.fail(InvalidDialogState("the peer ended the transfer without telling how it went"))

    def usage_failed(self, error: SIPError, usage: Any, transaction: Any) -> None:
        """See IConnectionObserver."""
        self.done.fail(error)


class Transfer(ConnectionObserver):
    """A REFER of the peer's: `accept` makes the call that it asks for and tells the peer how that goes."""

    def __init__(self, agent: UserAgent, transaction: ServerTransaction, call: Call | None) -> None:
        """Raises MalformedMessage for a REFER that does not say properly what it asks for."""
        self.agent = agent
        self.call = call
        "The call that is transferred; None for a REFER outside of calls."
        self.referral: Referral = read_referral(transaction.request)
        "What is asked for: `uri`, `method`, `replaces` and `referred_by`."
        self._transaction = transaction
        self._notifier: NotifyUsage | None = None

    @property
    def target(self) -> URI:
        """Whom we are to call."""
        return self.referral.uri

    @property
    def answered(self) -> bool:
        """True once it was accepted or rejected."""
        return not self._transaction.response_allowed

    def accept(self, offer: Any = None) -> Deferred[Call]:
        """Call the target; the Deferred is of that call once it is answered, and fails as `UserAgent.call`.

        Without an offer the new call has the media of the one that is transferred. Raises
        InvalidTransactionState when the REFER was answered already.
        """
        self._transaction.check_response_allowed()
        if self.referral.method != "INVITE":
            self.reject(501)
            return fail(RequestRejected(501, f"a transfer by {self.referral.method}"))
        self._notifier = NotifyUsage(self._transaction, observer=self)
        self._transaction.respond(ResponseElements(202))
        try:
            other = self.agent.dial(
                self.referral.uri, offer=offer, headers=self.referral.headers, like=self.call
            )
        except SIPError as error:
            self._progress(503)
            return fail(error)
        if self.call is not None:
            self.call.was_transferred(other)
        return other.answered().addCallbacks(self._succeeded, self._failed)

    def reject(self, status: int = 603) -> None:
        """Do not follow it. Raises InvalidTransactionState when it was answered already."""
        self._transaction.respond(ResponseElements(status))

    def _succeeded(self, call: Call) -> Call:
        self._progress(200)
        return call

    def _failed(self, failure: Failure) -> Failure:
        error = failure.value
        self._progress(error.status if isinstance(error, RequestRejected) else 503)
        return failure

    def _progress(self, status: int) -> None:
        notifier = self._notifier
        if notifier is not None and not notifier.closed and notifier.state in ("PENDING", "ACTIVE"):
            try:
                notifier.progress(status)
            except SIPError:
                pass  # Whoever asked is gone; the call goes on without him.
