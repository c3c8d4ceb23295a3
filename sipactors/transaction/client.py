"""The non-INVITE client transaction: RFC 3261 §17.1.2, figure 6.

TRYING ---1xx--> PROCEEDING ---200-699--> COMPLETED ---TIMER_K--> TERMINATED
   +----------------200-699------------------^
E sends again, F gives up
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from zope.interface import implementer

from sipactors.actor import TERMINATED, Machine, Table, tell
from sipactors.errors import SIPError, TransactionTimeout
from sipactors.interfaces import IFlowWatcher

if TYPE_CHECKING:
    from sipactors.interfaces import IClientTransactionUser, IFlow
    from sipactors.message import Request, Response
    from sipactors.timers import Timer
    from sipactors.transaction.dispatcher import Dispatcher

TRYING = "TRYING"
PROCEEDING = "PROCEEDING"
COMPLETED = "COMPLETED"


@implementer(IFlowWatcher)
class NonInviteClient(Machine):
    """One request of ours other than INVITE and ACK on one flow, with the responses to it."""

    __slots__ = ("_give_up", "_interval", "_retransmit", "_wire", "flow", "key", "layer", "request", "user")

    INITIAL = TRYING

    def __init__(
        self, layer: Dispatcher, key: str, request: Request, flow: IFlow, user: IClientTransactionUser | None
    ) -> None:
        super().__init__()
        self.layer = layer
        self.key = key
        self.request: Request | None = request
        self.flow = flow
        self.user: IClientTransactionUser | None = user
        self._wire: bytes | None = None
        self._retransmit: Timer | None = None
        self._give_up: Timer | None = None
        self._interval = layer.timing.t1

    def start(self, wire: bytes) -> None:
        """Send the request, whose wire bytes these are, and begin to wait."""
        self._wire = wire
        self.flow.watch(self)
        lanes = self.layer.lanes
        if not self.flow.reliable:
            self._retransmit = lanes.t1.start(self, "TIMER_E")
        self._give_up = lanes.give_up.start(self, "TIMER_F")
        self.flow.send(wire)

    def response_received(self, response: Response) -> None:
        """Take a response that the dispatcher found to be for this transaction."""
        self.feed("1xx" if response.status < 200 else "200-699", response)

    def flow_lost(self, flow: IFlow, error: SIPError) -> None:
        """See IFlowWatcher."""
        self.feed("TRANSPORT_ERROR", error)

    def stray(self, event: str) -> None:
        """See Machine."""
        self.layer.stray(self, event)

    def _send_again(self, _: object) -> None:
        # RFC 3261 §17.1.2.2: in Trying Timer E is reset to MIN(2*T1, T2), MIN(4*T1, T2) and so on.
        self._interval = min(2 * self._interval, self.layer.timing.t2)
        self._repeat()

    def _send_again_slowly(self, _: object) -> None:
        # RFC 3261 §17.1.2.2: "If Timer E fires while in the Proceeding state … Timer E is reset with a
        # value of T2 seconds."
        self._interval = self.layer.timing.t2
        self._repeat()

    def _repeat(self) -> None:
        assert self._wire is not None
        self.layer.metrics.retransmissions_sent += 1
        self._retransmit = self.layer.timers.start(self._interval, self, "TIMER_E")
        self.flow.send(self._wire)

    def _provisional(self, response: Response) -> None:
        if self.user is not None:
            tell(self.layer.metrics, self.user.response_received, response, self)

    def _complete(self, response: Response) -> None:
        self._cancel_timers()
        self.flow.unwatch(self)
        user = self.user
        self.request = self.user = self._wire = None
        if self.flow.reliable:
            # RFC 3261 §17.1.2.2: Timer K is T4 for unreliable transports and zero for reliable ones.
            self.feed("TIMER_K")
        else:
            self._give_up = self.layer.lanes.t4.start(self, "TIMER_K")
        if user is not None:
            tell(self.layer.metrics, user.response_received, response, self)

    def _timed_out(self, _: object) -> None:
        self.layer.metrics.timeouts += 1
        self._fail(TransactionTimeout("no final response"))

    def _fail(self, error: SIPError) -> None:
        user = self.user
        self._leave(None)
        if user is not None:
            tell(self.layer.metrics, user.client_transaction_failed, error, self)

    def _cancel_timers(self) -> None:
        for timer in (self._retransmit, self._give_up):
            if timer is not None:
                timer.cancel()
        self._retransmit = self._give_up = None

    def _leave(self, _: object) -> None:
        self._cancel_timers()
        self.flow.unwatch(self)
        self.request = self.user = self._wire = None
        self.layer.client_left(self)

    def close(self) -> None:
        """End at once and silently: the owner is going."""
        self.feed("CLOSED")

    TABLE: ClassVar[Table] = {
        TRYING: {
            "TIMER_E": (TRYING, _send_again),
            "TIMER_F": (TERMINATED, _timed_out),
            "1xx": (PROCEEDING, _provisional),
            "200-699": (COMPLETED, _complete),
            "TRANSPORT_ERROR": (TERMINATED, _fail),
            "CLOSED": (TERMINATED, _leave),
        },
        PROCEEDING: {
            "TIMER_E": (PROCEEDING, _send_again_slowly),
            "TIMER_F": (TERMINATED, _timed_out),
            "1xx": (PROCEEDING, _provisional),
            "200-699": (COMPLETED, _complete),
            "TRANSPORT_ERROR": (TERMINATED, _fail),
            "CLOSED": (TERMINATED, _leave),
        },
        COMPLETED: {
            "TIMER_K": (TERMINATED, _leave),
            "CLOSED": (TERMINATED, _leave),
        },
        TERMINATED: {},
    }
