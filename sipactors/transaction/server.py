"""The non-INVITE server transaction: RFC 3261 §17.2.2, figure 8, with the rules of RFC 4320.

    TRYING ---1xx--> PROCEEDING ---200-699--> COMPLETED ---TIMER_J--> TERMINATED
       +----------------200-699------------------^

RFC 4320 forbids an early 100 (TIMER_100 sends it when it is due), any other provisional response, and
any answer after the client has given up: then TIMER_EXPIRED ends the machine in silence.
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

TRYING = "TRYING"
PROCEEDING = "PROCEEDING"
COMPLETED = "COMPLETED"


class NonInviteServer(Machine):
    """One request other than INVITE that came, until no copy of it can arrive any more."""

    __slots__ = ("_tag", "_timer", "_wire", "flow", "key", "layer", "merge_key", "request", "user")

    INITIAL = TRYING

    def __init__(
        self, layer: Dispatcher, key: str, request: Request, flow: IFlow, merge_key: str | None
    ) -> None:
        self.state = TRYING
        self._waiting = None
        self.layer = layer
        self.key = key
        self.merge_key = merge_key
        self.request: Request | None = request
        self.flow = flow
        self.user: IServerTransactionUser | None = None
        self._tag: str | None = None
        self._wire: bytes | None = None
        self._timer: Timer | None = None

    @property
    def tag(self) -> str:
        """The To tag of every response of ours to this request, made on first use."""
        if self._tag is None:
            self._tag = (self.request and self.request.to_tag) or self.layer.dice.token()
        return self._tag

    def delivered(self) -> None:
        """The user has the request; unless it answered at once, the time for that runs now."""
        if self.state == TRYING:
            self._timer = self.layer.lanes.first_100.start(self, "TIMER_100")

    def respond(self, response: Response) -> None:
        """Send a response of the user's; what the state does not allow any more is stray."""
        status = response.status
        if status == 408:
            # RFC 4320 §4.2: "A transaction-stateful SIP element MUST NOT send a response with
            # Status-Code of 408 to a non-INVITE request."
            self.feed("408")
        else:
            self.feed("1xx" if status < 200 else "200-699", response)

    def stray(self, event: str) -> None:
        """See Machine."""
        self.layer.stray(self, event)

    def _send(self, response: Response) -> None:
        self._wire = wire = response.render()
        if self.flow.closed:
            self.flow = self.layer.another_way(wire, self.flow)
        self.flow.send(wire)

    def _send_again(self, _: object) -> None:
        if self._wire is not None:
            self.layer.metrics.retransmissions_sent += 1
            self.flow.send(self._wire)

    def _trying(self, _: object) -> None:
        # RFC 4320 §4.1: 100 "after the amount of time it takes a client transaction's Timer E to be
        # reset to T2"; and from then on the client waits for the rest of its 64*T1.
        assert self.request is not None
        self._timer = self.layer.lanes.timer_expired.start(self, "TIMER_EXPIRED")
        self._send(response_to(self.request, 100))

    def _provisional(self, response: Response) -> None:
        # RFC 4320 §4.1: "MUST NOT send any provisional response with a Status-Code other than 100".
        if response.status == 100 and self.flow.reliable:
            self._send(response)

    def _complete(self, response: Response) -> None:
        timer = self._timer
        if timer is not None:
            timer.cancel()
        self._send(response)
        self._let_go()
        self.user = self._tag = None
        if self.flow.reliable:
            # RFC 3261 §17.2.2: Timer J is 64*T1 for unreliable transports and zero for reliable ones.
            self._timer = None
            self.feed("TIMER_J")
        else:
            self._timer = self.layer.lanes.give_up.start(self, "TIMER_J")

    def _keep_silent(self, _: object) -> None:
        # RFC 4320 §4.2: "an element that cannot respond before the transaction expires will not send a
        # final response at all"; what the client still repeats is absorbed all the same.
        if self._timer is not None:
            self._timer.cancel()
        self._let_go()
        self._wire = self.user = None
        self._timer = self.layer.lanes.give_up.start(self, "TIMER_J")

    def _expire(self, _: object) -> None:
        user = self.user
        self._leave(None)
        if user is not None:
            tell(
                self.layer.metrics,
                user.server_transaction_failed,
                TransactionTimeout("the request was not answered in time"),
            )

    def _let_go(self) -> None:
        if self.request is not None:
            self.request = None
            self.layer.answered(self)

    def _leave(self, _: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_go()
        self._wire = None
        self.user = None
        self.layer.server_left(self)

    def close(self) -> None:
        """End at once and silently: the owner is going."""
        self.user = None
        self.feed("CLOSED")

    TABLE: ClassVar[Table] = {
        TRYING: {
            "REQUEST": (TRYING, None),
            "TIMER_100": (PROCEEDING, _trying),
            "1xx": (TRYING, _provisional),
            "200-699": (COMPLETED, _complete),
            "408": (COMPLETED, _keep_silent),
            "CLOSED": (TERMINATED, _leave),
        },
        PROCEEDING: {
            "REQUEST": (PROCEEDING, _send_again),
            "TIMER_EXPIRED": (TERMINATED, _expire),
            "1xx": (PROCEEDING, _provisional),
            "200-699": (COMPLETED, _complete),
            "408": (COMPLETED, _keep_silent),
            "CLOSED": (TERMINATED, _leave),
        },
        COMPLETED: {
            "REQUEST": (COMPLETED, _send_again),
            "TIMER_J": (TERMINATED, _leave),
            "CLOSED": (TERMINATED, _leave),
        },
        TERMINATED: {},
    }
