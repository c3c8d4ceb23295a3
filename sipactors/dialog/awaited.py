"""The NOTIFYs that a first SUBSCRIBE or REFER brings, from all notifiers it reached (RFC 6665 §4.1.2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.dialog.dialog import INIT, contact_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.subscribed import SubscribedUsage
    from sipactors.message import Request


class Awaited:
    """Stands in the dialog table for dialogs that NOTIFYs will make, found by Call-ID and our tag only."""

    __slots__ = ("_call", "_fork", "_forks", "_usage", "call_id", "host", "local_tag", "transaction")

    transaction: ClientTransaction
    "The SUBSCRIBE or REFER."

    def __init__(self, usage: SubscribedUsage, fork: Callable[[], SubscribedUsage]) -> None:
        self._usage = usage
        self._call: IDelayedCall | None = None
        self._fork = fork
        self._forks = 0
        self.host = usage.host
        self.call_id = usage.dialog.call_id
        self.local_tag = usage.dialog.local_tag
        usage.dialog.table.wait(self)

    def concerned(self, request: Request) -> bool:
        """See Dialog: whoever is awaited sends nothing but NOTIFYs here."""
        return True

    def request_received(self, transaction: ServerTransaction) -> None:
        """Take a NOTIFY whose dialog is not known: it makes one."""
        usage, request = self._usage, transaction.request
        if not usage.concerns(request):
            transaction.answer(489)
            return
        # RFC 6665 §4.4.1: the NOTIFY makes the dialog usage, so it must have what makes a dialog.
        contact_of(request)
        if "Subscription-State" not in request:
            transaction.answer(400)
        elif usage.dialog.state == INIT or usage.dialog.remote_tag is None:
            usage.dialog.accept_notify(request)
            usage.dialog.request_received(transaction)
        elif self._forks >= self.host.dispatcher.limits.max_forks:
            transaction.answer(481)
        else:
            # RFC 6665 §4.1.4: each notifier that a forked SUBSCRIBE reached makes another dialog.
            self._forks += 1
            fork = self._fork()
            fork.dialog.accept_notify(request)
            fork.subscription.feed("SUBSCRIBE")
            usage.tell("dialog_forked", self.transaction, fork)
            fork.dialog.request_received(transaction)

    def end_in(self, seconds: float) -> None:
        """Wait for further notifiers so many seconds more."""
        self._cancel()
        self._call = self.host.dispatcher.timers.later(seconds, self.end)

    def end(self) -> None:
        """Wait no more: NOTIFYs of other notifiers are answered 481. Idempotent."""
        self._cancel()
        self._usage.dialog.table.waited(self)

    def _cancel(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()
