"""Reliable provisional responses of the peer's to our INVITE, and the PRACKs for them (RFC 3262 §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import implementer

from sipactors.dialog.reliable import REL
from sipactors.interfaces import IRequestOwner
from sipactors.message import RAck

if TYPE_CHECKING:
    from sipactors.client.transactions import ClientTransaction
    from sipactors.errors import SIPError
    from sipactors.message import Response


def is_reliable(response: Response) -> bool:
    """Whether a provisional response wants a PRACK."""
    # RFC 3262 §4: a 100 is never sent reliably, whatever its Require says.
    return "RSeq" in response and response.status > 100 and REL in response.require


def follows(response: Response, last: tuple[int, int] | None) -> bool:
    """Whether a reliable response is the next one of its dialog after `last`, the CSeq and RSeq before."""
    # RFC 3262 §4: "if the UAC receives another reliable provisional response to the same request, and its
    # RSeq value is not one higher than the value of the sequence number, that response MUST NOT be
    # acknowledged with a PRACK, and MUST NOT be processed further by the UAC".
    return last is None or last[0] != response.cseq.number or response.typed("RSeq") == last[1] + 1


def rack_for(response: Response) -> RAck:
    """The RAck of the PRACK for a reliable response (RFC 3262 §7.2)."""
    cseq = response.cseq
    return RAck(response.typed("RSeq"), cseq.number, cseq.method)


@implementer(IRequestOwner)
class Unheard:
    """Owns a request of the stack's own whose outcome nobody needs: a PRACK without a body."""

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner. The peer refuses the INVITE when it misses the PRACK."""

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""


UNHEARD = Unheard()
