"""Responses to a request, requests of our own, and the CANCEL and ACK that an INVITE brings about."""

from __future__ import annotations

from collections.abc import Sequence

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.address import Address
from sipactors.message.cseq import CSeq
from sipactors.message.headers import TOKEN, CheckedRows, HeaderItems, clean, header_items
from sipactors.message.message import Message, Request, Response
from sipactors.message.status import reason_phrase
from sipactors.message.uri import URI
from sipactors.message.via import Via

_new_response = Response.__new__


def can_answer(message: Message | None) -> bool:
    """Whether what could be read of a malformed message is a request that a response may go to.

    Its Via need not read (RFC 4475 §3.1.2.1 wants a 400 even then): the response then goes back by the
    flow that the request came by, since no address can be read from it.
    """
    # RFC 3261 §17.1.1.3: a UAS never answers an ACK.
    return isinstance(message, Request) and message.method != "ACK" and "Via" in message._rows


def response_to(
    request: Request,
    status: int,
    reason: str | None = None,
    to_tag: str | None = None,
    headers: HeaderItems = (),
    body: bytes = b"",
    content_type: object = None,
    *,
    record_route: bool = False,
) -> Response:
    """Make the response to a request by the rules of RFC 3261 §8.2.6.

    `to_tag` is added to To unless the request brought one, and never to a 100. `record_route` copies
    Record-Route, as a response that makes a dialog must (§12.1.1). What a malformed request lacks, its
    response lacks. Raises ArgumentError for a status, header or body that cannot be sent.
    """
    theirs = request._rows
    rows: dict[str, str] = {}
    # RFC 3261 §8.2.6.2: the Via values MUST equal those of the request and keep their order.
    if "Via" in theirs:
        rows["Via"] = theirs["Via"]
    # RFC 3261 §12.1.1: the UAS MUST copy all Record-Route values, and maintain their order.
    if record_route and "Record-Route" in theirs:
        rows["Record-Route"] = theirs["Record-Route"]
    # RFC 3261 §8.2.6.2: From, Call-ID and CSeq MUST equal those of the request, and To but for its tag.
    for name in ("From", "To", "Call-ID", "CSeq"):
        text = theirs.get(name)
        if text is not None:
            # A request that is refused because one of them stands twice gets the first one back.
            rows[name] = text if "\n" not in text else text.partition("\n")[0]
    if to_tag is not None and status != 100 and "To" in rows and not _tagged(request):
        rows["To"] = f"{rows['To']};tag={_token(to_tag)}"
    # RFC 3261 §8.2.6.1: a Timestamp of the request MUST be copied into its 100.
    if status == 100 and "Timestamp" in theirs:
        rows["Timestamp"] = theirs["Timestamp"]

    response = _new_response(Response)
    if not 100 <= status <= 699:
        raise ArgumentError(f"not a status code: {status}")
    response.status = status
    response.reason = reason_phrase(status) if reason is None else clean(reason)
    response._rows = rows
    response._spelled = None
    response._typed = {}
    response.body = b""
    if isinstance(headers, CheckedRows):
        rows.update(headers.rows)
    elif headers:
        for name, value in header_items(headers):
            response.add(name, value)
    if body or content_type is not None:
        _put_body(response, body, content_type)
    return response


def _token(tag: str) -> str:
    if not TOKEN.fullmatch(tag):
        raise ArgumentError(f"not a tag: {tag[:80]!r}")
    return tag


def _tagged(request: Request) -> bool:
    """Whether the To of a request has a tag, or cannot be given one since it does not read."""
    try:
        return request.to.tag is not None
    except MalformedMessage:
        return True


def request(
    method: str,
    uri: str | URI,
    *,
    from_: Address | str,
    to: Address | str,
    call_id: str,
    cseq: int,
    via: Via | str | None = None,
    max_forwards: int | None = 70,
    routes: Sequence[Address | str] = (),
    contact: Address | str | Sequence[Address | str] | None = None,
    headers: HeaderItems = (),
    body: bytes = b"",
    content_type: object = None,
) -> Request:
    """Make a request with the header fields of RFC 3261 §8.1.1; `via` is added later if not given.

    Raises ArgumentError for what cannot be sent.
    """
    made = Request(method, uri)
    if via is not None:
        made.add("Via", via)
    if routes:
        made.set("Route", list(routes))
    if max_forwards is not None:
        # RFC 3261 §20.22: an integer in the range 0-255.
        if not 0 <= max_forwards <= 255:
            raise ArgumentError(f"Max-Forwards: {max_forwards} is not between 0 and 255")
        made.set("Max-Forwards", max_forwards)
    made.set("From", from_)
    made.set("To", to)
    made.set("Call-ID", call_id)
    # RFC 3261 §8.1.1.5: the sequence number MUST be less than 2**31.
    if not 0 <= cseq < 2**31:
        raise ArgumentError(f"CSeq: {cseq} is not between 0 and 2**31 - 1")
    made.set("CSeq", CSeq(cseq, method))
    if contact is not None:
        made.set("Contact", contact)
    for name, value in header_items(headers):
        made.add(name, value)
    if body or content_type is not None:
        _put_body(made, body, content_type)
    return made


def _put_body(message: Message, body: bytes, content_type: object) -> None:
    if content_type is None:
        # RFC 3261 §20.15: the Content-Type header field MUST be present if the body is not empty.
        if "Content-Type" not in message._rows:
            raise ArgumentError("a body needs its content_type")
        content_type = message.get("Content-Type")
    message.set_body(body, content_type)


def _follow_up(invite: Request, method: str, to: str) -> Request:
    """A request within the client transaction of an INVITE: the same but for method and To."""
    made = Request(method, invite.uri_text)
    theirs = invite._rows
    # RFC 3261 §9.1, §17.1.1.3: a single Via that equals the top Via of the original request.
    made.set("Via", invite.via)
    # RFC 3261 §22.1: an ACK duplicates the credentials of its INVITE; a CANCEL that is to be accepted by the
    # same server has use for them too.
    for name in ("Authorization", "Proxy-Authorization"):
        if name in theirs:
            made._rows[name] = theirs[name]
    # RFC 3261 §9.1, §17.1.1.3: a Route of the original request MUST be included.
    if "Route" in theirs:
        made._rows["Route"] = theirs["Route"]
    made.set("Max-Forwards", 70)
    made.set("From", theirs["From"])
    made.set("To", to)
    made.set("Call-ID", theirs["Call-ID"])
    made.set("CSeq", CSeq(invite.cseq.number, method))
    return made


def cancel_for(invite: Request, headers: HeaderItems = ()) -> Request:
    """Make the CANCEL of a request that we sent (RFC 3261 §9.1); `headers` may bring a Reason (RFC 3326).

    It has the Request-URI, Call-ID, To, From, CSeq number, top Via and Route of the request.
    """
    made = _follow_up(invite, "CANCEL", invite._rows["To"])
    for name, value in header_items(headers):
        made.add(name, value)
    return made


def ack_for(invite: Request, response: Response) -> Request:
    """Make the ACK to a final response other than 2xx (RFC 3261 §17.1.1.3): its To, else the INVITE's."""
    return _follow_up(invite, "ACK", response._rows.get("To", invite._rows["To"]))
