"""One call that the agent takes: its session description, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipactors.client import ConnectionObserver, InviteUsage, ResponseElements
from sipactors.errors import MalformedMessage, SIPError
from sipactors.message.multipart import find_part
from sipactors.sdp import SessionDescription, answer_to, audio_offer

if TYPE_CHECKING:
    from sipactors.client import ServerTransaction
    from sipactors.message import Request

MEDIA_PORT = 9
"The discard port: the agent signals, it does not speak; the offerer's media goes nowhere."

SDP = "application/sdp"


class Call(ConnectionObserver):
    """A call from its INVITE on, as the observer of its own usage."""

    def __init__(self) -> None:
        self._described: SessionDescription | None = None

    def take(self, transaction: ServerTransaction, accept: bool) -> None:
        """Ring, and with `accept` answer; an offer that cannot be taken is refused before it rings."""
        try:
            body = self._describe(transaction)
        except MalformedMessage as error:
            refuse(transaction, error)
            return
        InviteUsage.incoming(transaction, observer=self)
        transaction.respond(ResponseElements(180))
        if accept:
            transaction.respond(ResponseElements(200, body=body, content_type=SDP))

    def dialog_request_received(self, transaction: ServerTransaction, dialog: Any) -> None:
        """See IConnectionObserver."""
        method = transaction.method
        if method == "INVITE":
            try:
                body = self._describe(transaction)
            except MalformedMessage as error:
                refuse(transaction, error)
            else:
                transaction.respond(ResponseElements(200, body=body, content_type=SDP))
        elif method not in ("ACK", "BYE"):
            transaction.respond(ResponseElements(200))

    def usage_failed(self, error: Any, usage: Any, transaction: Any) -> None:
        """See IConnectionObserver."""
        # RFC 3261 §13.3.1.4: without an ACK "the session should be terminated … by sending a BYE".
        try:
            usage.bye()
        except SIPError:
            pass  # It has ended already.

    def _describe(self, transaction: ServerTransaction) -> bytes:
        """The answer to the offer, or an offer of ours when there is none (RFC 3261 §13.3.1).

        Raises MalformedMessage, with the status to refuse it with.
        """
        host = transaction.flow.local[0]
        offered = offer_of(transaction.request)
        before = self._described
        session_id = None if before is None else int(before.origin.session_id)
        if offered is None:
            now = audio_offer(host, MEDIA_PORT, session_id=session_id)
        else:
            now = answer_to(offered, host, MEDIA_PORT, session_id=session_id)
        if before is not None:
            if now.same_but_version(before):
                now = before
            else:
                # RFC 3264 §8: "the origin line … MUST be the same, except that the version … MUST increment
                # by one".
                origin = now.origin
                origin.version = before.origin.version + 1
                now.origin = origin
        self._described = now
        return now.render()


def offer_of(request: Request) -> bytes | None:
    """The offer that an INVITE carries, also as a part of its body; None when there is none.

    Raises MalformedMessage(415) for a body that is no session description and must be understood.
    """
    if not request.body:
        return None
    content_type = request.content_type
    if content_type is not None and content_type.essence == SDP:
        return request.body
    part = find_part(request, SDP)
    if part is not None:
        return part.body
    disposition = request.typed("Content-Disposition")
    if disposition is not None and (disposition.params.get("handling") or "").lower() == "optional":
        # RFC 3261 §8.2.3: a body that is optional and not understood is ignored.
        return None
    raise MalformedMessage(415, "the body of the INVITE is no session description")


def refuse(transaction: ServerTransaction, error: MalformedMessage) -> None:
    """Answer what cannot be taken with its status, and what could have been."""
    if error.status == 415:
        # RFC 3261 §8.2.3: the 415 "MUST contain an Accept header field".
        headers = [("Accept", SDP)]
    elif error.status == 488:
        # RFC 3261 §13.3.1.3: "That response SHOULD include a Warning header field value explaining why".
        headers = [("Warning", '304 sip-agent "Media type not available"')]
    else:
        headers = []
    transaction.respond(ResponseElements(error.status, headers=headers))
