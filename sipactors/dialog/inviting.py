"""One INVITE of ours with all it brings about: early dialogs, forks, 2xxs and their ACKs (RFC 3261 §13.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from sipactors.dialog.dialog import CONFIRMED, EARLY, INIT
from sipactors.interfaces import IRequestOwner

if TYPE_CHECKING:
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.invite import InviteUsage
    from sipactors.errors import SIPError
    from sipactors.message import Response


@implementer(IRequestOwner)
class Inviting:
    """Takes the responses to one INVITE, and keeps the usages that they made until no more can come."""

    __slots__ = ("_forks", "_initial", "_tries", "_usage", "bodiless", "transaction")

    transaction: ClientTransaction

    def __init__(self, usage: InviteUsage, bodiless: bool) -> None:
        self._usage = usage
        self._forks: list[InviteUsage] = []
        self._initial = usage.dialog.state == INIT
        self._tries = 0
        self.bodiless = bodiless
        "The INVITE carried no offer: the 2xx has it, and the ACK must answer it."

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        response = transaction.response
        assert response is not None
        if transaction.tries != self._tries:
            self._tries = transaction.tries
            self._begin_again()
        if response.status < 200:
            self._provisional(transaction, response)
        elif response.status < 300:
            self._accepted(transaction, response)
        else:
            self._refused(transaction, response)

    def _begin_again(self) -> None:
        # RFC 3261 §13.2.2.3: the early dialogs of a try ended with its failure, also with a challenge.
        for fork in self._forks:
            if fork.dialog.state != CONFIRMED:
                fork.end()
        self._forks.clear()
        dialog = self._usage.dialog
        if self._initial and dialog.state == EARLY:
            dialog.feed("ENDED")
            dialog.reuse()

    def _provisional(self, transaction: ClientTransaction, response: Response) -> None:
        # RFC 3261 §12.1: a provisional response makes a dialog when it has a To tag.
        if not self._initial or response.to_tag is None:
            self._usage.provisional_received(transaction, response)
            return
        usage, forked = self._usage_for(response)
        usage.dialog.accept_response(response)
        self._tell(usage, forked, transaction)
        usage.provisional_received(transaction, response, told=True)

    def _accepted(self, transaction: ClientTransaction, response: Response) -> None:
        usage, forked = self._usage_for(response) if self._initial else (self._usage, False)
        if usage.repeat_ack(response):
            # RFC 3261 §13.2.2.4: the ACK "MUST be passed to the client transport every time a
            # retransmission of the 2xx final response … arrives".
            usage.tell("dialog_response_received", transaction, usage)
            return
        usage.dialog.accept_response(response)
        usage.invite_answered()
        usage.accepted(transaction, response, self)
        self._tell(usage, forked, transaction)
        usage.answer_told(transaction)

    def _tell(self, usage: InviteUsage, forked: bool, transaction: ClientTransaction) -> None:
        usage.tell("dialog_forked" if forked else "dialog_response_received", transaction, usage)

    def _usage_for(self, response: Response) -> tuple[InviteUsage, bool]:
        tag = response.to_tag
        main = self._usage
        if main.dialog.state == INIT or main.dialog.remote_tag == tag:
            return main, False
        for fork in self._forks:
            if fork.dialog.remote_tag == tag:
                return fork, False
        # RFC 3261 §13.2.2.4: "the UAC core matches the dialog ID … otherwise, a new dialog".
        fork = main.fork()
        self._forks.append(fork)
        return fork, True

    def _refused(self, transaction: ClientTransaction, response: Response) -> None:
        usage = self._usage
        usage.invite_answered()
        if not self._initial:
            usage.modification_refused(transaction, response)
            return
        self._end_early()
        usage.tell("dialog_response_received", transaction, usage)

    def _end_early(self) -> None:
        # RFC 3261 §13.2.2.3: "All early dialogs are considered terminated upon reception of the non-2xx
        # final response."
        for usage in (self._usage, *self._forks):
            if usage.dialog.state != CONFIRMED:
                usage.end()

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        usage = self._usage
        usage.invite_answered()
        if self._initial:
            self._end_early()
            usage.tell("usage_failed", error, usage, transaction)
        else:
            usage.modification_failed(error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner. RFC 3261 §13.2.2.4: early dialogs that no 2xx confirmed in time have ended."""
        for usage in (self._usage, *self._forks):
            if self._initial and usage.dialog.state in (INIT, EARLY):
                usage.end()
        self._usage.tell("invite_completed", transaction)
