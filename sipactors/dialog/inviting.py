"""One INVITE of ours with all it brings about: early dialogs, forks, 2xxs and their ACKs (RFC 3261 §13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.dialog.dialog import CONFIRMED, EARLY, INIT
from sipactors.dialog.glare import MAX_TRIES, glare_wait
from sipactors.dialog.redirects import FOLLOWED, Redirects
from sipactors.interfaces import IRequestOwner

if TYPE_CHECKING:
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.invite import InviteUsage
    from sipactors.errors import SIPError
    from sipactors.message import URI, Response


@implementer(IRequestOwner)
class Inviting:
    """Takes the responses to one INVITE, and keeps the usages that they made until no more can come."""

    __slots__ = (
        "_forks",
        "_initial",
        "_provisionals",
        "_redirects",
        "_silent",
        "_tries",
        "_usage",
        "transaction",
    )

    transaction: ClientTransaction

    def __init__(self, usage: InviteUsage) -> None:
        self._usage = usage
        self._forks: list[InviteUsage] = []
        self._initial = usage.dialog.state == INIT
        self._provisionals = 0
        self._redirects: Redirects | None = None
        self._silent = False
        self._tries = 0

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        response = transaction.response
        assert response is not None
        if transaction.tries != self._tries:
            self._begin_again(transaction)
        if response.status < 200:
            self._provisional(transaction, response)
        elif response.status < 300:
            self._accepted(transaction, response)
        else:
            self._refused(transaction, response)

    def _begin_again(self, transaction: ClientTransaction, target: URI | None = None) -> None:
        # RFC 3261 §13.2.2.3: the early dialogs of a try ended with its failure, also with a challenge.
        self._tries = transaction.tries
        for fork in self._forks:
            if fork.dialog.state != CONFIRMED:
                fork.end()
        self._forks.clear()
        if self._initial:
            self._usage.dialog.begin_again(target)

    # ------------------------------------------------------------------ answers that make dialogs

    def _provisional(self, transaction: ClientTransaction, response: Response) -> None:
        self._provisionals += 1
        if self._provisionals > self._usage.host.dispatcher.limits.max_provisionals:
            return
        usage: InviteUsage | None = self._usage
        forked = False
        # RFC 3261 §12.1: a provisional response makes a dialog when it has a To tag.
        if self._initial and response.to_tag is not None:
            usage, forked = self._usage_for(response)
            if usage is None or usage.closed:
                return
            usage.dialog.accept_response(response)
        if usage is not None:
            usage.provisional_received(transaction, response, forked)

    def _accepted(self, transaction: ClientTransaction, response: Response) -> None:
        usage: InviteUsage | None
        usage, forked = self._usage_for(response) if self._initial else (self._usage, False)
        if usage is None:
            return
        if usage.repeat_ack(response):
            # RFC 3261 §13.2.2.4: the ACK "MUST be passed to the client transport every time a
            # retransmission of the 2xx final response … arrives".
            usage.tell("dialog_response_received", transaction, usage)
            return
        self._usage.invite_answered()
        usage.accepted(transaction, response)
        if usage.refresh_accepted(transaction):
            self._silent = True
        else:
            usage.tell("dialog_forked" if forked else "dialog_response_received", transaction, usage)
        usage.answer_told(transaction)

    def _usage_for(self, response: Response) -> tuple[InviteUsage | None, bool]:
        tag = response.to_tag
        main = self._usage
        dialog = main.dialog
        if main.closed and dialog.state == TERMINATED and not main.acknowledged:
            # The application has dropped its handle: what is answered still gets its ACK and its BYE.
            pass
        elif dialog.state == INIT or tag is None or dialog.remote_tag == tag:
            return main, False
        for fork in self._forks:
            if fork.dialog.remote_tag == tag:
                return fork, False
        if len(self._forks) >= main.host.dispatcher.limits.max_forks:
            main.host.dispatcher.metrics.stray_responses += 1
            return None, False
        # RFC 3261 §13.2.2.4: "the UAC core matches the dialog ID … otherwise, a new dialog".
        fork = main.fork(self.transaction)
        self._forks.append(fork)
        return fork, True

    # ------------------------------------------------------------------ answers that refuse

    def _refused(self, transaction: ClientTransaction, response: Response) -> None:
        usage = self._usage
        if not usage.closed and not transaction.canceled and self._tried_again(transaction, response):
            return
        usage.invite_answered()
        if not self._initial:
            usage.modification_refused(transaction, response)
            return
        self._end_early()
        usage.tell("dialog_response_received", transaction, usage)

    def _tried_again(self, transaction: ClientTransaction, response: Response) -> bool:
        """Send the INVITE once more, now or later, if what was answered asks for that."""
        usage = self._usage
        if usage.session_timer and transaction.tries < MAX_TRIES and usage.timer.refused(response):
            self._send_again(transaction, None)
            return True
        if self._initial:
            if response.status in FOLLOWED and usage.follow_redirects:
                if self._redirects is None:
                    self._redirects = Redirects(transaction.request.uri)
                self._redirects.add(response, usage.dialog.secure)
            return response.status < 600 and self._next_target(transaction)
        if transaction.tries >= MAX_TRIES or usage.ending:
            return False
        seconds = usage.wait_for_glare(transaction, response)
        if seconds is None:
            return False
        usage.invite_waits(transaction)
        transaction.wait(seconds, self._waited)
        return True

    def _next_target(self, transaction: ClientTransaction) -> bool:
        uri = None if self._redirects is None else self._redirects.next()
        if uri is not None:
            self._send_again(transaction, uri)
        return uri is not None

    def _waited(self) -> None:
        usage = self._usage
        if usage.may_invite:
            self._send_again(self.transaction, None)
        else:
            # RFC 3261 §14.1: no INVITE "while another INVITE transaction is in progress in either direction".
            again = glare_wait(usage.dialog.initiator, usage.host.dispatcher.dice)
            self.transaction.wait(again, self._waited)

    def _send_again(self, transaction: ClientTransaction, target: URI | None) -> None:
        usage = self._usage
        self._begin_again(transaction, target)
        usage.begin_inviting(self, transaction)
        if target is not None or not self._initial:
            transaction.redirect(*usage.dialog.address())
        transaction.resend()
        self._tries = transaction.tries

    def _end_early(self) -> None:
        # RFC 3261 §13.2.2.3: "All early dialogs are considered terminated upon reception of the non-2xx
        # final response."
        for usage in (self._usage, *self._forks):
            if usage.dialog.state != CONFIRMED:
                usage.end()

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        usage = self._usage
        if self._initial:
            if not usage.closed and not transaction.canceled and self._next_target(transaction):
                return
            usage.invite_answered()
            self._end_early()
            usage.tell("usage_failed", error, usage, transaction)
        else:
            usage.invite_answered()
            usage.modification_failed(error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner. RFC 3261 §13.2.2.4: early dialogs that no 2xx confirmed in time have ended."""
        for usage in (self._usage, *self._forks):
            if self._initial and usage.dialog.state in (INIT, EARLY):
                usage.end()
        if not self._silent:
            self._usage.tell("invite_completed", transaction)
