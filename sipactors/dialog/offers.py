"""Who owes whom an answer: offers and answers as a call's messages carry them (RFC 3264 §4, RFC 6337)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipactors.message import Message

OURS = "ours"
THEIRS = "theirs"


class Offers:
    """The offer of one dialog that waits for its answer, if any.

    RFC 3264 §4: "At any time, either agent MAY generate a new offer that updates the session. However, it
    MUST NOT generate a new offer if it has received an offer which it has not yet answered or rejected."
    """

    __slots__ = ("_in_invite", "_settled", "pending")

    def __init__(self, pending: str | None = None) -> None:
        self.pending = pending
        "Whose offer waits for an answer: OURS, THEIRS or None."
        self._in_invite = pending is not None
        self._settled = False

    def invite(self, by: str, carries: bool) -> None:
        """An INVITE begins, with an offer or without."""
        self._settled = False
        if carries:
            self.pending = by
            self._in_invite = True

    def reliable_response(self, by: str, carries: bool) -> bool:
        """A 2xx to INVITE, or a reliable provisional response; gives whether it carries an offer."""
        # RFC 3261 §13.2.1: "once the UAC has received the answer, it MUST ignore any session descriptions
        # in subsequent responses to the initial INVITE".
        if not carries or self._settled:
            return False
        if self.pending is None:
            self.pending = by
            self._in_invite = True
            return True
        if self.pending != by:
            self.pending = None
            self._settled = True
        return False

    def acknowledged(self) -> None:
        """The ACK ends what the INVITE began: it carries the answer to an offer in the 2xx."""
        self._end_invite()

    def refused(self) -> None:
        """The INVITE failed: what it offered is withdrawn (RFC 3261 §14.1)."""
        self._end_invite()

    def _end_invite(self) -> None:
        self._settled = True
        if self._in_invite:
            self.pending = None
            self._in_invite = False

    def request(self, by: str, carries: bool) -> bool:
        """A PRACK or UPDATE; gives whether it carries an offer, rather than an answer or nothing."""
        if not carries:
            return False
        if self.pending is None:
            self.pending = by
            self._in_invite = False
            return True
        if self.pending != by:
            self.pending = None
            self._settled = True
        return False

    def response(self, by: str) -> None:
        """The final response to a PRACK or UPDATE that carried an offer: answered or refused."""
        if self.pending is not None and self.pending != by and not self._in_invite:
            self.pending = None


def carries_session(message: Message) -> bool:
    """Whether a message has a session description in its body."""
    body = message.body
    return bool(body) and is_session(body, message.get("Content-Type"))


def is_session(body: bytes, content_type: str | None) -> bool:
    """Whether a body of this type is, or holds, a session description."""
    kind = (content_type or "").lower()
    if kind.startswith("application/sdp"):
        return bool(body)
    return kind.startswith("multipart/") and b"application/sdp" in body
