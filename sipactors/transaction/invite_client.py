"""The INVITE client transaction: RFC 3261 §17.1.1, figure 5, with the Accepted state of RFC 6026.

    CALLING ---1xx--> PROCEEDING        A sends again, B gives up; C bounds the ringing
       |                  |
       +----300-699-------+--> COMPLETED: ACK to every copy, until D
       +------2xx---------+--> ACCEPTED: every 2xx goes up, until M

The ACK to a 2xx is the user's (RFC 3261 §13.2.2.4); the ACK to a failure is this machine's, and so is
the CANCEL of what rings for too long: its answer is then the peer's 487, or a 200 that crossed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from zope.interface import implementer

from sipactors.actor import TERMINATED, Machine, Table, tell
from sipactors.errors import SIPError, TransactionTimeout
from sipactors.interfaces import IFlowWatcher
from sipactors.message import ack_for, cancel_for

if TYPE_CHECKING:
    from sipactors.interfaces import IClientTransactionUser, IFlow
    from sipactors.message import Request, Response
    from sipactors.timers import Timer
    from sipactors.transaction.dispatcher import ClientTransaction, Dispatcher

CALLING = "CALLING"
PROCEEDING = "PROCEEDING"
COMPLETED = "COMPLETED"
ACCEPTED = "ACCEPTED"


@implementer(IFlowWatcher)
class InviteClient(Machine):
    """One INVITE of ours on one flow, with all the responses to it."""

    __slots__ = (
        "_cancel",
        "_give_up",
        "_interval",
        "_retransmit",
        "_wire",
        "flow",
        "key",
        "layer",
        "request",
        "user",
    )

    INITIAL = CALLING

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
        self._cancel: ClientTransaction | None = None
        self._interval = layer.timing.t1

    def start(self, wire: bytes) -> None:
        """Send the request, whose wire bytes these are, and begin to wait."""
        self._wire = wire
        self.flow.watch(self)
        lanes = self.layer.lanes
        if not self.flow.reliable:
            self._retransmit = lanes.t1.start(self, "TIMER_A")
        self._give_up = lanes.give_up.start(self, "TIMER_B")
        self.flow.send(wire)

    def response_received(self, response: Response) -> None:
        """Take a response that the dispatcher found to be for this transaction."""
        status = response.status
        self.feed("1xx" if status < 200 else "2xx" if status < 300 else "300-699", response)

    def flow_lost(self, flow: IFlow, error: SIPError) -> None:
        """See IFlowWatcher."""
        self.feed("TRANSPORT_ERROR", error)

    @property
    def canceled(self) -> bool:
        """True once a CANCEL for this INVITE has gone out."""
        return self._cancel is not None

    def cancel(self, cancel: Request, user: IClientTransactionUser | None) -> None:
        """Send this CANCEL, whose outcome `user` is told; from now on wait 64*T1 at most."""
        self._cancel = self.layer.send_request(cancel, self.flow, user, self.key.partition(" ")[0])
        self.feed("CANCEL_SENT")

    def stray(self, event: str) -> None:
        """See Machine."""
        self.layer.stray(self, event)

    def _send_again(self, _: object) -> None:
        assert self._wire is not None
        self.layer.metrics.retransmissions_sent += 1
        self.flow.send(self._wire)
        # RFC 3261 §17.1.1.2: "When timer A fires, the client transaction MUST retransmit the request …
        # and MUST reset the timer with a value of 2*T1", and so on doubling.
        self._interval *= 2
        self._retransmit = self.layer.timers.start(self._interval, self, "TIMER_A")

    def _first_provisional(self, response: Response) -> None:
        self._cancel_timers()
        self._wire = None
        self._start_timer_c()
        self._tell_response(response)

    def _provisional(self, response: Response) -> None:
        # RFC 3261 §16.7: "Timer C MUST be reset" by a provisional response from 101 to 199.
        if response.status > 100 and self._give_up is not None and self._give_up.event == "TIMER_C":
            self._give_up.cancel()
            self._start_timer_c()
        self._tell_response(response)

    def _start_timer_c(self) -> None:
        self._give_up = self.layer.timers.start(self.layer.timing.proceeding, self, "TIMER_C")

    def _rung_for_too_long(self, _: object) -> None:
        # RFC 3261 §16.8: when Timer C fires and "the client transaction has received a provisional
        # response, the proxy MUST generate a CANCEL request matching that transaction".
        assert self.request is not None
        self.cancel(cancel_for(self.request), None)

    def _wait_for_487(self, _: object) -> None:
        # RFC 3261 §9.1: "If there is no final response for the original request in 64*T1 seconds …
        # the client SHOULD then consider the original transaction cancelled".
        if self._give_up is not None:
            self._give_up.cancel()
        self._give_up = self.layer.lanes.give_up.start(self, "TIMER_CANCELED")

    def _accept(self, response: Response) -> None:
        self._cancel_timers()
        self._wire = None
        self.flow.unwatch(self)
        self._give_up = self.layer.lanes.give_up.start(self, "TIMER_M")
        self._tell_response(response)

    def _tell_response(self, response: Response) -> None:
        if self.user is not None:
            tell(self.layer.metrics, self.user.response_received, response, self)

    def _complete(self, response: Response) -> None:
        self._cancel_timers()
        assert self.request is not None
        # RFC 3261 §17.1.1.2: the ACK goes "to the same address, port, and transport to which the
        # original request was sent", with the branch of the INVITE.
        self._wire = ack_for(self.request, response).render()
        self.flow.unwatch(self)
        self.flow.send(self._wire)
        user, self.user, self.request = self.user, None, None
        if self.flow.reliable:
            # RFC 3261 §17.1.1.2: Timer D is zero for reliable transports.
            self.feed("TIMER_D")
        else:
            self._give_up = self.layer.lanes.timer_d.start(self, "TIMER_D")
        if user is not None:
            tell(self.layer.metrics, user.response_received, response, self)

    def _acknowledge_again(self, _: object) -> None:
        assert self._wire is not None
        self.layer.metrics.retransmissions_sent += 1
        self.flow.send(self._wire)

    def _timed_out(self, _: object) -> None:
        self.layer.metrics.timeouts += 1
        self._fail(TransactionTimeout("no final response to INVITE"))

    def _fail(self, error: SIPError) -> None:
        user = self.user
        self._leave(None)
        if user is not None:
            tell(self.layer.metrics, user.client_transaction_failed, error, self)

    def _all_accepted(self, _: object) -> None:
        user = self.user
        self._leave(None)
        if user is not None:
            tell(self.layer.metrics, user.client_transaction_ended, self)

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
        """End at once and silently, a CANCEL of it too: the owner is going."""
        self.stop_cancel()
        self.feed("CLOSED")

    def stop_cancel(self) -> None:
        """End the CANCEL of this INVITE, if there is one, at once and silently."""
        if self._cancel is not None:
            self._cancel.close()

    TABLE: ClassVar[Table] = {
        CALLING: {
            "TIMER_A": (CALLING, _send_again),
            "TIMER_B": (TERMINATED, _timed_out),
            "1xx": (PROCEEDING, _first_provisional),
            "2xx": (ACCEPTED, _accept),
            "300-699": (COMPLETED, _complete),
            "TRANSPORT_ERROR": (TERMINATED, _fail),
            "CLOSED": (TERMINATED, _leave),
        },
        PROCEEDING: {
            "1xx": (PROCEEDING, _provisional),
            "2xx": (ACCEPTED, _accept),
            "300-699": (COMPLETED, _complete),
            "CANCEL_SENT": (PROCEEDING, _wait_for_487),
            "TIMER_C": (PROCEEDING, _rung_for_too_long),
            "TIMER_CANCELED": (TERMINATED, _timed_out),
            "TRANSPORT_ERROR": (TERMINATED, _fail),
            "CLOSED": (TERMINATED, _leave),
        },
        COMPLETED: {
            "300-699": (COMPLETED, _acknowledge_again),
            "TIMER_D": (TERMINATED, _leave),
            "CLOSED": (TERMINATED, _leave),
        },
        ACCEPTED: {
            "2xx": (ACCEPTED, _tell_response),
            "TIMER_M": (TERMINATED, _all_accepted),
            "CLOSED": (TERMINATED, _leave),
        },
        TERMINATED: {},
    }
