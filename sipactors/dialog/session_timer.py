"""The session timer of a call: refreshed in time by one side, ended by BYE when it is not (RFC 4028).

OFF ---2xx with Session-Expires---> REFRESHING or WATCHING ---RAN_OUT---> TERMINATED
 ^------2xx without it---------------------+
REFRESHING: this side sends UPDATE or INVITE at half the interval (DUE). WATCHING: the peer does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sipactors.actor import TERMINATED, Machine, Table
from sipactors.errors import MalformedMessage

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from sipactors.dialog.invite import InviteUsage
    from sipactors.message import Request, Response

OFF = "OFF"
REFRESHING = "REFRESHING"
WATCHING = "WATCHING"

TIMER = "timer"

# RFC 4028 §5: "the minimum … MUST NOT be lower than 90 seconds".
SMALLEST = 90

RETRY = 5.0
"Seconds after which a refresh that could not be sent, or was refused, is tried again."


class SessionTimer(Machine):
    """What both sides agreed on, and the two timers that come of it."""

    __slots__ = ("_due", "_end", "_usage", "asked", "floor", "interval", "peer_updates")

    INITIAL = OFF

    def __init__(self, usage: InviteUsage) -> None:
        super().__init__()
        self._usage = usage
        self.asked: int | None = None
        "Seconds to ask for after a 422; None: what the policy says."
        self.floor = 0
        "The largest Min-SE that a 422 named."
        self.interval = 0
        "Seconds between refreshes that are agreed on; 0 while there is no timer."
        self.peer_updates = False
        "The peer allows UPDATE, which then refreshes."
        self._due: IDelayedCall | None = None
        self._end: IDelayedCall | None = None

    def stray(self, event: str) -> None:
        """See Machine."""
        self._usage.host.dispatcher.stray(self, event)

    # ------------------------------------------------------------------ what requests and responses say

    def put_request(self, request: Request) -> None:
        """Ask for the timer in an INVITE or UPDATE of ours (RFC 4028 §7.1, §7.4)."""
        if "Session-Expires" in request and self.asked is None and self.state == OFF:
            return  # The application's own wish.
        policy = self._usage.session_expires
        wanted = max(self.interval or policy, self.asked or 0, self.floor, SMALLEST)
        role = ""
        if self.state != OFF:
            # RFC 4028 §7.4: "it is RECOMMENDED that the refresher parameter be set to uac if the element
            # sending the request is currently performing refreshes, and to uas if its peer is".
            role = ";refresher=uac" if self.state == REFRESHING else ";refresher=uas"
        request.set("Session-Expires", f"{wanted}{role}")
        if self.floor > SMALLEST:
            # RFC 4028 §7.1: after a 422, "the UAC MUST include a Min-SE header field" with its value.
            request.set("Min-SE", self.floor)

    def refused(self, response: Response) -> bool:
        """Take the Min-SE of a 422; gives whether another try makes sense."""
        least = _readable(response, "Min-SE")
        if response.status != 422 or least is None or least.seconds <= self.floor:
            return False
        self.floor = least.seconds
        self.asked = max(self.asked or 0, self.floor)
        return True

    def answered(self, response: Response) -> None:
        """A 2xx to an INVITE or UPDATE of ours: it says who refreshes, and when (RFC 4028 §7.2)."""
        self.peer_allows(response)
        expires = _readable(response, "Session-Expires")
        if expires is None:
            # RFC 4028 §7.2: "the session timer can be 'turned-off' in mid dialog by receiving a response
            # without a Session-Expires header field".
            self.feed("TURNED_OFF")
        else:
            self.start(expires.seconds, expires.refresher != "uas")

    def put_response(self, response: Response, request: Request) -> None:
        """Grant the timer in a 2xx of ours (RFC 4028 §9, Table 2)."""
        asked = request.typed("Session-Expires")
        supported = TIMER in request.supported
        least = request.typed("Min-SE")
        floor = max(SMALLEST, least.seconds if least is not None else 0)
        if asked is None:
            interval, role = max(self._usage.session_expires, floor), None
        else:
            # RFC 4028 §9: the UAS "MAY reduce its value but MUST NOT set it to a duration lower than the
            # value in the Min-SE"; it "MUST NOT increase the value".
            interval = min(asked.seconds, max(self._usage.session_expires, floor))
            role = asked.refresher
        if not supported:
            role = "uas"
        elif role is None:
            role = "uas" if self.state == REFRESHING else "uac"
        response.set("Session-Expires", f"{interval};refresher={role}")
        if supported and TIMER not in response.require:
            # RFC 4028 §9: with refresher uac "the UAS MUST place a Require header field into the
            # response with the value 'timer'", else it SHOULD.
            response.add("Require", TIMER)

    def granted(self, response: Response, request: Request) -> None:
        """A 2xx of ours has gone: the interval runs from now."""
        self.peer_allows(request)
        expires = response.typed("Session-Expires")
        if expires is not None:
            self.start(expires.seconds, expires.refresher == "uas")

    def peer_allows(self, message: Request | Response) -> None:
        """Learn from Allow whether the peer takes UPDATE."""
        allow = message.get("Allow")
        if allow is not None:
            self.peer_updates = "UPDATE" in allow.upper()

    # ------------------------------------------------------------------ the timers

    def start(self, interval: int, ours: bool) -> None:
        """The session lasts so long from now on; `ours`: this side refreshes it."""
        if self.state == TERMINATED:
            return
        self.interval = interval
        self.feed("AGREED_OURS" if ours else "AGREED_THEIRS")

    def _stop(self, _: object) -> None:
        for call in (self._due, self._end):
            if call is not None and call.active():
                call.cancel()
        self._due = self._end = None

    def _turn_off(self, _: object) -> None:
        self._stop(None)
        self.interval = 0

    def _run(self, _: object) -> None:
        self._stop(None)
        later = self._usage.host.dispatcher.timers.later
        if self.state == REFRESHING:
            # RFC 4028 §10: "it is RECOMMENDED that this refresh be sent once half the session interval
            # has elapsed".
            self._due = later(self.interval / 2, self.feed, "DUE")
        # RFC 4028 §10: BYE "slightly before the session expiration. The minimum of 32 seconds and one
        # third of the session interval is RECOMMENDED."
        self._end = later(self.interval - min(32.0, self.interval / 3), self.feed, "RAN_OUT")

    def _refresh(self, _: object) -> None:
        self._due = None
        if not self._usage.refresh():
            self.try_again(None)

    def try_again(self, seconds: float | None) -> None:
        """A refresh could not be sent, or was refused: once more, as long as the session lasts."""
        if self.state == REFRESHING and self._due is None:
            seconds = RETRY if seconds is None else seconds
            self._due = self._usage.host.dispatcher.timers.later(seconds, self.feed, "DUE")

    def _ran_out(self, _: object) -> None:
        self._stop(None)
        self._usage.session_ran_out()

    # ------------------------------------------------------------------ a restart

    def save(self) -> dict[str, Any]:
        """The agreement, with the seconds that are left of it."""
        now = self._usage.host.dispatcher.timers.clock.seconds()
        left = 0.0 if self._end is None else self._end.getTime() - now
        return {
            "state": self.state,
            "interval": self.interval,
            "left": left,
            "floor": self.floor,
            "peer_updates": self.peer_updates,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on where `save` was: a refresh of ours is due at once, the peer's by when it was."""
        self.floor = saved["floor"]
        self.peer_updates = saved["peer_updates"]
        if saved["state"] in (REFRESHING, WATCHING):
            self.start(saved["interval"], saved["state"] == REFRESHING)
            later = self._usage.host.dispatcher.timers.later
            if self._end is not None:
                self._end.cancel()
                self._end = later(max(saved["left"], 0.0), self.feed, "RAN_OUT")
            if self._due is not None:
                self._due.cancel()
                self._due = later(0, self.feed, "DUE")

    TABLE: ClassVar[Table] = {
        OFF: {
            "AGREED_OURS": (REFRESHING, _run),
            "AGREED_THEIRS": (WATCHING, _run),
            "TURNED_OFF": (OFF, None),
            "ENDED": (TERMINATED, None),
        },
        REFRESHING: {
            "AGREED_OURS": (REFRESHING, _run),
            "AGREED_THEIRS": (WATCHING, _run),
            "TURNED_OFF": (OFF, _turn_off),
            "DUE": (REFRESHING, _refresh),
            "RAN_OUT": (TERMINATED, _ran_out),
            "ENDED": (TERMINATED, _stop),
        },
        WATCHING: {
            "AGREED_OURS": (REFRESHING, _run),
            "AGREED_THEIRS": (WATCHING, _run),
            "TURNED_OFF": (OFF, _turn_off),
            "RAN_OUT": (TERMINATED, _ran_out),
            "ENDED": (TERMINATED, _stop),
        },
        TERMINATED: {},
    }


def _readable(response: Response, name: str) -> Any:
    """A header of a response; one that does not read counts as absent, for the call matters more."""
    try:
        return response.typed(name)
    except MalformedMessage:
        return None
