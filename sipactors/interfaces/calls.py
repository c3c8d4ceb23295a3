"""The contracts of the easy face: a call's media and observer, a subscription's observer.

They import from sipactors.interfaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Interface

if TYPE_CHECKING:
    from sipactors.errors import SIPError
    from sipactors.message import Response
    from sipactors.sdp import NegotiatedStream, SessionDescription
    from sipactors.ua import Call, Ending


class IMediaSession(Interface):
    """The media of one call: what it can do, and what was agreed. A call of sipactors.ua drives it.

    Descriptions are SDP: bytes, text or a sipactors.sdp.SessionDescription. Versions, holding and later
    offers and answers are the call's work.
    """

    def offer() -> object:
        """Describe what this side can do, with ports that are open from now on."""

    def answer(offer: SessionDescription) -> object:
        """Answer the peer's first offer likewise; raises UnacceptableOffer when nothing fits."""

    def start(streams: list[NegotiatedStream | None]) -> None:
        """Send and receive as was agreed, one item for each m= line, None for a rejected one.

        Called again whenever that changes, and for early media.
        """

    def hold(held: bool) -> None:
        """This side has put the call on hold, or resumed it; `start` follows with what that means."""

    def stop() -> None:
        """The call is over: close every port. Called once."""


class ICallObserver(Interface):
    """What the owner of a call hears. `sipactors.ua.CallObserver` is a base that does nothing."""

    def progressed(call: Call, response: Response) -> None:
        """A provisional response came to our INVITE: 180 rings; one with SDP brings early media."""

    def answered(call: Call) -> None:
        """The call is established: the peer has answered, or acknowledged our answer."""

    def changed(call: Call) -> None:
        """The session was changed by either side: held, resumed, or with other streams."""

    def digit_received(call: Call, digit: str) -> None:
        """The peer sent a DTMF digit by INFO: 0 to 9, *, # or A to D."""

    def transferred(call: Call, other: Call) -> None:
        """The peer has transferred us: `other` is the call that we make at its wish."""

    def replaced(call: Call, other: Call) -> None:
        """`other`, which came in, takes the place of this call (RFC 3891), which ends."""

    def ended(call: Call, ending: Ending) -> None:
        """The call is over, however it went. Told once, as the last event."""


class ISubscriptionObserver(Interface):
    """What the owner of a subscription of sipactors.ua hears."""

    def state_received(subscription: object, value: object) -> None:
        """A NOTIFY told the state: `value` as the event package reads it, or the body's bytes."""

    def subscription_ended(subscription: object, error: SIPError | None) -> None:
        """There will be no further state; `error` is None when that was our own wish."""
