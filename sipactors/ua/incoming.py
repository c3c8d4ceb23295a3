"""What comes in outside of dialogs, brought to the application's functions: calls, messages, transfers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

from sipactors.client import ConnectionObserver
from sipactors.dialog.replaces import call_of
from sipactors.errors import MalformedMessage, SIPError, TransportFailure
from sipactors.ua.call import Call, new_call
from sipactors.ua.media import SDP_TYPE, session_of
from sipactors.ua.messaging import Message
from sipactors.ua.transfer import Transfer
from sipactors.ua.waiting import run

if TYPE_CHECKING:
    from sipactors.client import Dialog, ServerTransaction
    from sipactors.ua.agent import UserAgent

log = Logger()


class Incoming(ConnectionObserver):
    """The observer of an agent's connection."""

    def __init__(self, agent: UserAgent) -> None:
        self.agent = agent
        self.call_function: Callable[[Call], object] | None = None
        self.message_function: Callable[[Message], object] | None = None
        self.transfer_function: Callable[[Transfer], object] | None = None

    def request_received(self, transaction: ServerTransaction) -> None:
        """See IConnectionObserver."""
        try:
            self._new_request(transaction)
        except MalformedMessage as error:
            transaction.answer(error.status)

    def _new_request(self, transaction: ServerTransaction) -> None:
        method = transaction.method
        if method == "INVITE":
            self._invite_received(transaction)
        elif method == "MESSAGE":
            self._message_received(transaction)
        elif method == "REFER":
            self._refer_received(transaction, None)
        elif method == "SUBSCRIBE":
            transaction.answer(489)
        else:
            # An INFO belongs to a call, a NOTIFY to a subscription: there is none.
            transaction.answer(481)

    def dialog_request_received(self, transaction: ServerTransaction, dialog: Dialog) -> None:
        """See IConnectionObserver."""
        try:
            self._further_request(transaction, dialog)
        except MalformedMessage as error:
            transaction.answer(error.status)

    def _further_request(self, transaction: ServerTransaction, dialog: Dialog) -> None:
        method = transaction.method
        if method == "MESSAGE":
            self._message_received(transaction)
        elif method == "REFER":
            self._refer_received(transaction, self._call_in(dialog))
        elif method == "OPTIONS":
            transaction.answer(200, [("Allow", self.agent.client.capabilities.allow_value)])
        else:
            transaction.answer(489 if method == "SUBSCRIBE" else 405)

    def _call_in(self, dialog: Dialog) -> Call | None:
        usage = call_of(dialog)
        return next((call for call in self.agent.calls if call.usage is usage), None)

    # ------------------------------------------------------------------ calls

    def _invite_received(self, transaction: ServerTransaction) -> None:
        agent, function = self.agent, self.call_function
        replaced = None if transaction.replaces is None else self._call_in(transaction.replaces)
        if function is None and replaced is None:
            # RFC 3261 §21.4.18: the callee is there but "currently unavailable".
            transaction.answer(480)
            return
        if transaction.request.body and session_of(transaction.request) is None:
            # RFC 3261 §8.2.3: what is understood of an INVITE is SDP, whatever messages may hold.
            transaction.answer(415, [("Accept", SDP_TYPE)])
            return
        call = new_call(agent, None, replaced)
        call.arrive(transaction)
        agent.calls.append(call)
        if replaced is not None:
            self._replace(call, replaced)
        elif function is not None:
            run(function, call).addErrback(self._call_failed, call)

    def _replace(self, call: Call, replaced: Call) -> None:
        # RFC 3891 §3: the call that is replaced was answered already, so this one is, too.
        call.observer = replaced.observer
        replaced.was_replaced(call)
        try:
            call.accept().addErrback(lambda _: None)
        except SIPError as error:
            call.reject(error.status if isinstance(error, MalformedMessage) else 488)

    def _call_failed(self, failure: Failure, call: Call) -> None:
        if call.ending is not None and failure.check(SIPError):
            return  # The caller gave up while the function was at work.
        error = failure.value
        status = error.status if isinstance(error, MalformedMessage) else 500
        if status == 500:
            self._log(failure, "on_call")
        if call.incoming and call.state != "CONFIRMED" and call.ending is None:
            # An offer that does not read or fit is the caller's fault, anything else is ours.
            call.reject(status)

    def _log(self, failure: Failure, what: str) -> None:
        self.agent.stack.metrics.observer_errors += 1
        log.failure("a function given to {what} failed", failure, what=what)

    # ------------------------------------------------------------------ messages

    def _message_received(self, transaction: ServerTransaction) -> None:
        if self.message_function is None:
            transaction.answer(405, [("Allow", self.agent.client.capabilities.allow_value)])
            return
        message = Message(transaction)
        done = run(self.message_function, message)
        done.addCallbacks(lambda _: message.accept(), self._message_failed, errbackArgs=(message,))

    def _message_failed(self, failure: Failure, message: Message) -> None:
        self._log(failure, "on_message")
        message.accept(500)

    # ------------------------------------------------------------------ transfers

    def _refer_received(self, transaction: ServerTransaction, call: Call | None) -> None:
        transfer = Transfer(self.agent, transaction, call)
        if self.transfer_function is not None:
            run(self.transfer_function, transfer).addCallbacks(
                lambda _: None, self._transfer_failed, errbackArgs=(transfer,)
            )
        elif call is not None and self.agent.follow_transfers:
            transfer.accept().addErrback(lambda _: None)
        else:
            # A stranger does not make us call anybody.
            transfer.reject(403 if call is None else 603)

    def _transfer_failed(self, failure: Failure, transfer: Transfer) -> None:
        if failure.check(SIPError) is None:
            self._log(failure, "on_transfer")
        if not transfer.answered:
            transfer.reject(500)

    # ------------------------------------------------------------------ the connection

    def connection_state_changed(self, state: str) -> None:
        """See IConnectionObserver."""
        if state not in ("ACTIVE", "SUSPENDED"):
            self.agent.connection_gone(TransportFailure(f"the connection is {state}"))
