"""The INVITE server transaction: RFC 3261 §17.2.1, figure 7, with the Accepted state of RFC 6026.

                 | INVITE: tell the user; 100 after 200 ms
                 v
            PROCEEDING ---300-699--> COMPLETED ---ACK--> CONFIRMED ---TIMER_I--> TERMINATED
                 |                   G sends again, H gives up
                 +-----2xx---------> ACCEPTED ---TIMER_L--> TERMINATED

A 2xx is sent again by the user that accepted (RFC 3261 §13.3.1.4), not by this machine; ACCEPTED
absorbs the INVITE's retransmissions meanwhile and hands ACKs up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sipactors.actor import TERMINATED, Machine, Table, tell
from sipactors.errors import TransactionTimeout
from sipactors.message import response_to

if TYPE_CHECKING:
    from sipactors.interfaces import IFlow, IServerTransactionUser
    from sipactors.message import Request, Response
    from sipactors.timers import Timer
    from sipactors.transaction.dispatcher import Dispatcher

PROCEEDING = "PROCEEDING"
COMPLETED = "COMPLETED"
CONFIRMED = "CONFIRMED"
ACCEPTED = "ACCEPTED"


class InviteServer(Machine):
    """One INVITE that came, from its arrival until no copy of it can arrive any more."""

    __slots__ = (
        "_give_up",
        "_interval",
        "_retransmit",
        "_tag",
        "_wire",
        "flow",
        "key",
        "layer",
        "merge_key",
        "request",
        "user",
    )

    INITIAL = PROCEEDING

    def __init__(
        self, layer: Dispatcher, key: str, request: Request, flow: IFlow, merge_key: str | None
    ) -> None:
        self.state = PROCEEDING
        self._waiting = None
        self.layer = layer
        self.key = key
        self.merge_key = merge_key
        self.request: Request | None = request
        self.flow = flow
        self.user: IServerTransactionUser | None = None
        self._tag: str | None = None
        self._wire: bytes | None = None
        self._interval = 0.0
        self._give_up: Timer | None = None
        self._retransmit: Timer | None = None

    @property
    def tag(self) -> str:
        """The To tag of every response of ours to this request, made on first use."""
        if self._tag is None:
            self._tag = (self.request and self.request.to_tag) or self.layer.dice.token()
        return self._tag

    def delivered(self) -> None:
        """The user has the request; unless it answered at once, the time for that runs now."""
        if self.state == PROCEEDING and self._wire is None:
            # RFC 3261 §17.2.1: 100 "unless it knows that the TU will generate a provisional or final
            # response within 200 ms".
            self._retransmit = self.layer.lanes.trying.start(self, "TIMER_TRYING")

    def respond(self, response: Response) -> None:
        """Send a response of the user's; what the state does not allow any more is stray."""
        status = response.status
        self.feed("1xx" if status < 200 else "2xx" if status < 300 else "300-699", response)

    def repeat(self) -> None:
        """Send the 2xx once more (the user's duty until the ACK comes)."""
        self.feed("REPEAT_2XX")

    def stray(self, event: str) -> None:
        """See Machine."""
        self.layer.stray(self, event)

    def _send(self, response: Response) -> None:
        self._wire = wire = response.render()
        if self.flow.closed:
            self.flow = self.layer.another_way(wire, self.flow)
        self.flow.send(wire)

    def _send_again(self, _: object) -> None:
        wire = self._wire
        if wire is not None:
            self.layer.metrics.retransmissions_sent += 1
            if self.flow.closed:
                self.flow = self.layer.another_way(wire, self.flow)
            self.flow.send(wire)

    def _trying(self, _: object) -> None:
        self._retransmit = None
        assert self.request is not None
        self._send(response_to(self.request, 100))

    def _provisional(self, response: Response) -> None:
        if self._retransmit is not None:
            self._retransmit.cancel()
            self._retransmit = None
        self._send(response)

    def _accept(self, response: Response) -> None:
        self._provisional(response)
        self._let_go()
        # Nothing can fail any more: a 2xx is the user's to repeat (RFC 6026 §7.1).
        self.user = None
        self._give_up = self.layer.lanes.give_up.start(self, "TIMER_L")

    def _complete(self, response: Response) -> None:
        self._provisional(response)
        lanes = self.layer.lanes
        self._let_go()
        if not self.flow.reliable:
            self._interval = self.layer.timing.t1
            self._retransmit = lanes.t1.start(self, "TIMER_G")
        self._give_up = lanes.give_up.start(self, "TIMER_H")

    def _retransmit_failure(self, _: object) -> None:
        self._send_again(None)
        # RFC 3261 §17.2.1: "set to fire in MIN(2*T1, T2) seconds", and so on doubling.
        self._interval = min(2 * self._interval, self.layer.timing.t2)
        self._retransmit = self.layer.timers.start(self._interval, self, "TIMER_G")

    def _confirm(self, _: object) -> None:
        self._cancel_timers()
        if self.user is not None:
            tell(self.layer.metrics, self.user.acknowledged)
            self.user = None
        self._wire = None
        if self.flow.reliable:
            # RFC 3261 §17.2.1: Timer I is T4 for unreliable transports and zero for reliable ones.
            self.feed("TIMER_I")
        else:
            self._give_up = self.layer.lanes.t4.start(self, "TIMER_I")

    def _ack_to_2xx(self, ack: Request) -> None:
        # RFC 6026 §7.1: "If an ACK is received while in the Accepted state, it is passed up".
        self.layer.pass_ack(ack, self.flow)

    def _no_ack(self, _: object) -> None:
        self._leave(None)
        if self.user is not None:
            user, self.user = self.user, None
            tell(
                self.layer.metrics,
                user.server_transaction_failed,
                TransactionTimeout("no ACK to the failure response"),
            )

    def _let_go(self) -> None:
        if self.request is not None:
            self.request = None
            self.layer.answered(self)

    def _cancel_timers(self) -> None:
        for timer in (self._retransmit, self._give_up):
            if timer is not None:
                timer.cancel()
        self._retransmit = self._give_up = None

    def _leave(self, _: object) -> None:
        self._cancel_timers()
        self._let_go()
        self._wire = None
        self.layer.server_left(self)

    def close(self) -> None:
        """End at once and silently: the owner is going."""
        self.user = None
        self.feed("CLOSED")

    TABLE: ClassVar[Table] = {
        PROCEEDING: {
            "INVITE": (PROCEEDING, _send_again),
            "TIMER_TRYING": (PROCEEDING, _trying),
            "1xx": (PROCEEDING, _provisional),
            "2xx": (ACCEPTED, _accept),
            "300-699": (COMPLETED, _complete),
            "CLOSED": (TERMINATED, _leave),
        },
        COMPLETED: {
            "INVITE": (COMPLETED, _send_again),
            "TIMER_G": (COMPLETED, _retransmit_failure),
            "TIMER_H": (TERMINATED, _no_ack),
            "ACK": (CONFIRMED, _confirm),
            "CLOSED": (TERMINATED, _leave),
        },
        CONFIRMED: {
            "INVITE": (CONFIRMED, None),
            "ACK": (CONFIRMED, None),
            "TIMER_I": (TERMINATED, _leave),
            "CLOSED": (TERMINATED, _leave),
        },
        ACCEPTED: {
            "INVITE": (ACCEPTED, None),
            "REPEAT_2XX": (ACCEPTED, _send_again),
            "ACK": (ACCEPTED, _ack_to_2xx),
            "TIMER_L": (TERMINATED, _leave),
            "CLOSED": (TERMINATED, _leave),
        },
        TERMINATED: {},
    }
