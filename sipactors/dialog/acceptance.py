"""The UAS's duty after a 2xx to INVITE: send it again until the ACK comes (RFC 3261 §13.3.1.4).

UNACKNOWLEDGED ---ACK--> TERMINATED
     | TIMER_2XX sends again        TIMER_NO_ACK tells the usage --> TERMINATED
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sipactors.actor import TERMINATED, Machine, Table

if TYPE_CHECKING:
    from sipactors.client.served import ServerTransaction
    from sipactors.dialog.answering import AnsweringUsage
    from sipactors.timers import Timer
    from sipactors.transaction.dispatcher import Dispatcher

UNACKNOWLEDGED = "UNACKNOWLEDGED"


class Acceptance(Machine):
    """One 2xx of ours that waits for its ACK."""

    __slots__ = ("_dispatcher", "_give_up", "_interval", "_repeat", "_usage", "sequence", "transaction")

    INITIAL = UNACKNOWLEDGED

    def __init__(self, usage: AnsweringUsage, transaction: ServerTransaction) -> None:
        super().__init__()
        self._usage: AnsweringUsage | None = usage
        self.transaction: ServerTransaction | None = transaction
        self.sequence = transaction.request.cseq.number
        "The CSeq number of the INVITE, which its ACK has too."
        self._dispatcher: Dispatcher = usage.host.dispatcher
        # RFC 3261 §13.3.1.4: "The 2xx response is passed to the transport with an interval that starts
        # at T1 seconds and doubles for each retransmission until it reaches T2 seconds", also over TCP.
        self._interval = self._dispatcher.timing.t1
        self._repeat: Timer = self._dispatcher.lanes.t1.start(self, "TIMER_2XX")
        self._give_up: Timer = self._dispatcher.lanes.give_up.start(self, "TIMER_NO_ACK")

    def stray(self, event: str) -> None:
        """See Machine."""
        self._dispatcher.stray(self, event)

    def _send_again(self, _: object) -> None:
        assert self.transaction is not None
        self.transaction.repeat()
        self._interval = min(2 * self._interval, self._dispatcher.timing.t2)
        self._repeat = self._dispatcher.timers.start(self._interval, self, "TIMER_2XX")

    def _no_ack(self, _: object) -> None:
        usage, transaction = self._usage, self.transaction
        self._leave(None)
        assert usage is not None
        assert transaction is not None
        usage.not_acknowledged(transaction)

    def _leave(self, _: object) -> None:
        self._repeat.cancel()
        self._give_up.cancel()
        self._usage = self.transaction = None

    TABLE: ClassVar[Table] = {
        UNACKNOWLEDGED: {
            "TIMER_2XX": (UNACKNOWLEDGED, _send_again),
            "ACK": (TERMINATED, _leave),
            "TIMER_NO_ACK": (TERMINATED, _no_ack),
            "CLOSED": (TERMINATED, _leave),
        },
        TERMINATED: {},
    }
