"""What tells one transaction from another (RFC 3261 §17.1.3 and §17.2.3), as short strings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipactors.message import Request, Response

MAGIC_COOKIE = "z9hG4bK"


def client_key(response: Response) -> str:
    """The key of the client transaction that a response is for."""
    # RFC 3261 §17.1.3: the branch of the top Via is the same, and the method of the CSeq, since a
    # CANCEL shares the branch of its INVITE.
    return f"{response.via.branch} {response.cseq.method}"


def server_key(request: Request, method: str) -> str:
    """The key of the server transaction that a request belongs to, as one of `method`.

    An ACK is looked for as "INVITE"; a CANCEL as "INVITE" for what it cancels, as "CANCEL" for itself.
    """
    via = request.via
    branch = via.branch
    if branch is not None and branch.startswith(MAGIC_COOKIE) and len(branch) > 7:
        # RFC 3261 §17.2.3: the branch, the sent-by and the method are the same.
        return f"{branch} {via.sent_by} {method}"
    # RFC 3261 §17.2.3: without the magic cookie, as RFC 2543 had it: Request-URI, From tag, Call-ID,
    # CSeq number and top Via (the To tag differs between an INVITE and the ACK to its answer).
    sequence = request.cseq.number
    return f"{request.uri_text} {request.from_tag} {request.call_id} {sequence} {via} {method}"


def merge_key(request: Request, method: str) -> str:
    """What all copies of one request have in common, whatever way they took (RFC 3261 §8.2.2.2)."""
    return f"{request.call_id} {request.from_tag} {request.cseq.number} {method}"
