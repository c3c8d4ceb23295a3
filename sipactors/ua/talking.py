"""What is done within an established call: hold, resume, change it, press digits, transfer it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, inlineCallbacks

from sipactors.actor import TERMINATED
from sipactors.client import MessageElements
from sipactors.dialog.dialog import CONFIRMED
from sipactors.errors import InvalidDialogState, RequestPending, SIPError
from sipactors.ua.dtmf import check_digits, digit_elements
from sipactors.ua.media import SDP_TYPE, Description
from sipactors.ua.progress import CallProgress
from sipactors.ua.transfer import Transferring
from sipactors.ua.waiting import Once

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sipactors.client import ClientTransaction
    from sipactors.message import URI, Address
    from sipactors.ua.call import Call

DIGIT_DURATION = 160
"Milliseconds for which a digit is pressed."


class Talking(CallProgress):
    """A call between its answer and its end; each change gives a Deferred of what the peer says to it."""

    @property
    def state(self) -> str:
        """INIT, EARLY (it rings), CONFIRMED or TERMINATED: the state of its dialog."""
        return TERMINATED if self.ending is not None else self.usage.dialog.state

    @property
    def on_hold(self) -> bool:
        """True while we have the call on hold."""
        streams = [each for each in self.media.engine.streams if each is not None]
        return bool(streams) and all(each.held for each in streams)

    def hold(self) -> Deferred[Call]:
        """Hear nothing for a while (RFC 3264 §8.4); the Deferred is of the call once the peer has agreed.

        It fails with RequestRejected when the peer does not. Raises RequestPending while another change
        is under way, InvalidDialogState unless the call is established.
        """
        return self._hold(True)

    def resume(self) -> Deferred[Call]:
        """Hear again; see `hold`."""
        return self._hold(False)

    def _hold(self, held: bool) -> Deferred[Call]:
        before = self.on_hold
        self._check_change()
        self.media.hold(held)

        def agreed(call: Call) -> Call:
            self.media.tell_hold(held)
            return call

        return self._reinvite(None, lambda: self.media.hold(before)).addCallback(agreed)

    def change(self, sdp: Description) -> Deferred[Call]:
        """Offer another session, by a description with at least as many m= lines as before; see `hold`."""
        self._check_change()
        return self._reinvite(sdp, lambda: None)

    def _check_change(self) -> None:
        if self.state != CONFIRMED or not self._answered.done:
            raise InvalidDialogState("the call is not established")
        if self._change is not None:
            raise RequestPending("another change of this call is under way")

    def _reinvite(self, sdp: Description | None, undo: Callable[[], object]) -> Deferred[Call]:
        body = b""
        try:
            body = self.media.offer(sdp)
            transaction: ClientTransaction = self.usage.invite(
                MessageElements(body=body, content_type=SDP_TYPE)
            )
        except SIPError:
            if body:
                self.media.refused()
            undo()
            raise
        waiting: Once[Call] = Once()
        self._change = (transaction, waiting, undo)
        return waiting.wait()

    def dtmf(self, digits: str, duration: int = DIGIT_DURATION) -> Deferred[None]:
        """Press digits by INFO, one after the other, each for so many milliseconds.

        The Deferred fires when the peer has taken the last one, and fails with RequestRejected when it
        refuses one. Raises ArgumentError for what is no digit.
        """
        return self._press(check_digits(digits), duration)

    @inlineCallbacks
    def _press(self, digits: str, duration: int) -> Generator[Deferred[Any], Any, None]:
        for digit in digits:
            transaction = self.usage.send_request("INFO", digit_elements(digit, duration))
            self.agent.check((yield transaction.final_response()))

    def next_digit(self) -> Deferred[str]:
        """A Deferred of the next digit that the peer presses; fails when the call ends before."""
        if self.ending is not None:
            raise InvalidDialogState("the call has ended")
        deferred = self._digits.get()
        self._digits_wanted.append(deferred)

        def pressed(result: Any) -> Any:
            self._digits_wanted.remove(deferred)
            return result

        return deferred.addBoth(pressed)

    # ------------------------------------------------------------------ transfer

    def transfer(self, target: Call | Address | URI | str) -> Deferred[None]:
        """Let the peer call `target` in our place; our call is hung up once that one is answered.

        With another established call of ours as the target, the two peers are connected with each other
        (attended transfer). The Deferred fails with RequestRejected when the peer refuses, or its call is
        refused: ours then goes on. Raises InvalidDialogState unless the call is established.
        """
        if self.state != CONFIRMED:
            raise InvalidDialogState("the call is not established")
        to = target.usage.dialog if isinstance(target, CallProgress) else target
        transferring = Transferring(self.usage.dialog, to, str(self.usage.dialog.local_uri))
        done = transferring.done.wait().addCallback(lambda _: self._call.hangup())
        if isinstance(target, CallProgress):
            # RFC 5589 §7: the target ends the call that was replaced; one that knows no Replaces does not.
            done.addCallback(lambda _: target.hangup())
        return done

    def was_transferred(self, other: Call) -> None:
        """The peer has transferred us: `other` is the new call."""
        self._tell("transferred", other)

    def was_replaced(self, other: Call) -> None:
        """Another call takes the place of this one."""
        self._tell("replaced", other)
