"""Reliable provisional responses of ours to one INVITE (RFC 3262 §3).

ACKNOWLEDGED ---SENT--> UNACKNOWLEDGED ---PRACK--> ACKNOWLEDGED
                             | TIMER_1XX sends again; TIMER_NO_PRACK refuses the INVITE --> TERMINATED
                             +---2xx without waiting---> ANSWERED ---PRACK--> TERMINATED
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from sipactors.actor import TERMINATED, Machine, Table
from sipactors.dialog.offers import carries_session

if TYPE_CHECKING:
    from sipactors.client.served import ServerTransaction
    from sipactors.dialog.answering import AnsweringUsage
    from sipactors.message import RAck, Request, Response
    from sipactors.timers import Timer

ACKNOWLEDGED = "ACKNOWLEDGED"
UNACKNOWLEDGED = "UNACKNOWLEDGED"
ANSWERED = "ANSWERED"

REL = "100rel"


def wants_reliable(request: Request, policy: bool) -> bool:
    """Whether the provisional responses to an INVITE are to be sent reliably."""
    # RFC 3262 §3: "The UAS MUST send any non-100 provisional response reliably if the initial request
    # contained a Require header field with the option tag 100rel."
    if "Require" in request and REL in request.require:
        return True
    return policy and REL in request.supported


class Reliability(Machine):
    """Sends one provisional response after the other, each once the PRACK for the last has come."""

    __slots__ = (
        "_carries",
        "_give_up",
        "_interval",
        "_repeat",
        "_usage",
        "_waiting_responses",
        "_wire",
        "answering",
        "sequence",
        "transaction",
    )

    INITIAL = ACKNOWLEDGED

    def __init__(self, usage: AnsweringUsage, transaction: ServerTransaction) -> None:
        super().__init__()
        self._usage = usage
        self.transaction = transaction
        # RFC 3262 §3: "The value of the header field for the first reliable provisional response in a
        # transaction MUST be between 1 and 2**31 - 1."
        self.sequence = usage.host.dispatcher.dice.below(2**31 - 1)
        "The RSeq of the last response; the first has the next one."
        self.answering = False
        "A PRACK with an offer waits for its answer: nothing goes out before."
        self._carries = False
        self._interval = 0.0
        self._wire = b""
        self._repeat: Timer | None = None
        self._give_up: Timer | None = None
        self._waiting_responses: list[Response] = []

    def stray(self, event: str) -> None:
        """See Machine."""
        self._usage.host.dispatcher.stray(self, event)

    @property
    def owes_session(self) -> bool:
        """Whether a response with a session description has not been acknowledged yet."""
        return self.state == UNACKNOWLEDGED and self._carries

    def holds_back(self, response: Response) -> bool:
        """Whether a response to the INVITE must wait for a PRACK; it is then sent when that has come."""
        status = response.status
        if status >= 300:
            return False
        if self.state != UNACKNOWLEDGED and not self.answering:
            return False
        if status >= 200 and not self._must_wait():
            self._waiting_responses.clear()
            return False
        # RFC 3262 §3: "The UAS MUST NOT send a second reliable provisional response until the first is
        # acknowledged"; a 2xx waits while a session description is unacknowledged.
        self._waiting_responses.append(response)
        if status >= 200:
            self.transaction.held = True
        return True

    def _must_wait(self) -> bool:
        return self.answering or self._carries or any(map(carries_session, self._waiting_responses))

    def prepare(self, response: Response) -> None:
        """Make a provisional response a reliable one."""
        self.sequence += 1
        response.set("RSeq", self.sequence)
        if REL not in response.require:
            response.add("Require", REL)
        self._carries = carries_session(response)

    def sent(self, response: Response) -> None:
        """A response to the INVITE has gone out."""
        if response.status < 200:
            self.feed("SENT", response.render())
        else:
            self.transaction.held = False
            self._waiting_responses.clear()
            self.feed("2xx" if response.status < 300 else "CLOSED")

    def matches(self, rack: RAck) -> bool:
        """Whether a PRACK is for the response that waits for one."""
        return (
            self.state in (UNACKNOWLEDGED, ANSWERED)
            and rack.rseq == self.sequence
            and rack.method == "INVITE"
            and rack.cseq == self.transaction.request.cseq.number
        )

    def go_on(self) -> None:
        """Send what has waited for a PRACK, as far as it need not wait again."""
        self.answering = False
        waiting = self._waiting_responses
        while waiting and self.state == ACKNOWLEDGED:
            self.transaction.send(waiting.pop(0))

    def _start(self, wire: bytes) -> None:
        self._wire = wire
        dispatcher = self._usage.host.dispatcher
        # RFC 3262 §3: retransmitted "with an interval that starts at T1 seconds and doubles for each
        # retransmission", with no upper bound, and over every transport.
        self._interval = dispatcher.timing.t1
        self._repeat = dispatcher.lanes.t1.start(self, "TIMER_1XX")
        self._give_up = dispatcher.lanes.give_up.start(self, "TIMER_NO_PRACK")

    def _send_again(self, _: object) -> None:
        self.transaction.send_again(self._wire)
        self._interval *= 2
        self._repeat = self._usage.host.dispatcher.timers.start(self._interval, self, "TIMER_1XX")

    def _stop(self, _: object) -> None:
        for timer in (self._repeat, self._give_up):
            if timer is not None:
                timer.cancel()
        self._repeat = self._give_up = None
        self._wire = b""

    def _no_prack(self, _: object) -> None:
        self._stop(None)
        self._waiting_responses.clear()
        self._usage.not_pracked(self.transaction)

    TABLE: ClassVar[Table] = {
        ACKNOWLEDGED: {
            "SENT": (UNACKNOWLEDGED, _start),
            "2xx": (TERMINATED, None),
            "CLOSED": (TERMINATED, None),
        },
        UNACKNOWLEDGED: {
            "TIMER_1XX": (UNACKNOWLEDGED, _send_again),
            "TIMER_NO_PRACK": (TERMINATED, _no_prack),
            "PRACK": (ACKNOWLEDGED, _stop),
            # RFC 3262 §3: after the final response it "SHOULD NOT continue to retransmit the
            # unacknowledged reliable provisional responses, but it MUST be prepared to process PRACK".
            "2xx": (ANSWERED, _stop),
            "CLOSED": (TERMINATED, _stop),
        },
        ANSWERED: {
            "PRACK": (TERMINATED, None),
            "CLOSED": (TERMINATED, None),
        },
        TERMINATED: {},
    }
