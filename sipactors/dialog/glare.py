"""When a request that met the peer's own is sent again (RFC 3261 §14.1, RFC 3311 §5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.errors import MalformedMessage

if TYPE_CHECKING:
    from sipactors.dice import Dice
    from sipactors.message import Response

MAX_TRIES = 8
"How often one request is sent again after 491, 500 or 422 before its answer is believed."

LONGEST_WAIT = 32
"Seconds of a Retry-After that are waited by the stack itself."


def glare_wait(owner: bool, dice: Dice) -> float:
    """Seconds to wait after a 491: `owner` says whether the Call-ID is of our making."""
    # RFC 3261 §14.1: "If the UAC is the owner of the Call-ID of the dialog ID …, T has a randomly chosen
    # value between 2.1 and 4 seconds in units of 10 ms", else "of between 0 and 2 seconds".
    return (210 + dice.below(191)) / 100 if owner else dice.below(201) / 100


def waiting_time(response: Response, owner: bool, dice: Dice) -> float | None:
    """Seconds after which a refused INVITE or UPDATE is to be tried again; None when it is not."""
    if response.status == 491:
        return glare_wait(owner, dice)
    if response.status == 500 and "Retry-After" in response:
        # RFC 3261 §14.2: an overlapping INVITE is refused with 500 and Retry-After.
        try:
            seconds = int(response.typed("Retry-After").seconds)
        except MalformedMessage:
            return None
        return seconds if seconds <= LONGEST_WAIT else None
    return None
