"""Bytes into messages, one datagram or one framed message at a time; and the rules each must obey."""

from __future__ import annotations

import re

from sipactors.errors import MalformedMessage
from sipactors.message.headers import TOKEN, UNQUOTED_NUL
from sipactors.message.message import Message, Request, Response
from sipactors.message.registry import HEADERS, KEYS, canonical
from sipactors.message.sip_uri import SIPURI, is_usual
from sipactors.settings import Limits

DEFAULT = Limits()

# RFC 3261 §7.3.1: a line that starts with SP or HT continues the line before it; the line break and the
# white space after it are one SP.
_FOLD = re.compile(r"\r\n[ \t]+")
_LINE_BREAKS = re.compile(rb"\A(?:\r\n)+")
_UNSAFE = re.compile(r"[\r\n\0]")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+", re.IGNORECASE)
_unknown: dict[str, str] = {}
# Methods that need no look at their letters: the IANA registry's.
_METHODS = frozenset(
    {"INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH"}
    | {"INFO", "REFER", "MESSAGE", "UPDATE"}
)
# The spellings of known header names that are usual; any other goes by `canonical`.
_KNOWN = {spelled: key for spelled, key in KEYS.items() if key in HEADERS}
_STATUSES = {str(status): status for status in range(100, 700)}
_HOPS = frozenset(str(number) for number in range(256))
_LENGTHS = {str(length): length for length in range(2048)}

_new_request = Request.__new__
_new_response = Response.__new__


def parse(data: bytes, limits: Limits = DEFAULT) -> Request | Response:
    """Read one datagram or one framed message.

    Header values stay text until somebody asks for them; `check_request` and `check_response` read
    those that a transaction needs. Raises MalformedMessage, with what could be read as its `message`.
    """
    if len(data) > limits.max_message_size:
        partial = _partial(data[: limits.max_message_size], limits)
        raise MalformedMessage(513, f"message larger than {limits.max_message_size} bytes", partial)
    head, end, body = data.partition(b"\r\n\r\n")
    if not end or data[0] == 0x0D:
        # RFC 3261 §7.5: implementations SHOULD ignore any CRLF appearing before the start-line.
        head, end, body = _LINE_BREAKS.sub(b"", data, 1).partition(b"\r\n\r\n")
        if not end:
            raise MalformedMessage(400, "no empty line after the header fields", _partial(data, limits))
    message = read_head(head, limits)
    text = message._rows.get("Content-Length")
    if text is not None:
        length = _LENGTHS.get(text)
        if length is None:
            length = content_length(message, text)
        if length != len(body):
            # RFC 3261 §18.3: a packet that ends before the end of the body is an error; a request gets 400.
            if length > len(body):
                raise MalformedMessage(400, "Content-Length: larger than the message", message)
            # RFC 3261 §18.3: bytes of the packet beyond the end of the body MUST be discarded.
            body = body[:length]
    message.body = body
    return message


def content_length(message: Message, text: str) -> int:
    """The one number in the Content-Length rows of a message; MalformedMessage if there is not one."""
    if "\n" in text:
        text, *others = text.split("\n")
        # RFC 4475 §3.3.9: where two values differ the end of the message is not known.
        if others.count(text) != len(others):
            raise MalformedMessage(400, "Content-Length: two different values", message)
    # RFC 3261 §20.14: any Content-Length greater than or equal to zero is valid.
    if not (text.isdigit() and text.isascii()):
        raise MalformedMessage(400, "Content-Length: not a number", message)
    if len(text) < 10:
        return int(text)
    text = text.lstrip("0") or "0"
    if len(text) > 10:
        raise MalformedMessage(400, "Content-Length: too large", message)
    return int(text)


def read_head(head: bytes, limits: Limits = DEFAULT) -> Request | Response:
    """Read a start line and header fields, without the empty line after them; the body is left empty.

    Raises MalformedMessage as `parse` does.
    """
    text = head.decode("utf-8", "surrogateescape")
    lines = text.split("\r\n")
    bare = "".join(lines)
    if (
        "\n" in bare
        or "\r" in bare
        or "\0" in bare
        or len(lines) > limits.max_header_count + 1
        or len(bare) > limits.max_line_length
    ):
        lines, fault = _checked(text, limits)
    else:
        fault = None

    rows: dict[str, str] = {}
    several: dict[str, list[str]] | None = None
    spelled: dict[str, str] | None = None
    known = _KNOWN
    start = lines[0]
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        try:
            key = known[name]
        except KeyError:
            if name[:1] in (" ", "\t"):
                return read_head(_FOLD.sub(" ", text).encode("utf-8", "surrogateescape"), limits)
            # RFC 3261 §25.1: HCOLON = *( SP / HTAB ) ":" SWS
            name = name.rstrip(" \t")
            key = _unknown.get(name) or _key(name)
            if not key:
                colon = ""
            elif key not in HEADERS:
                if spelled is None:
                    spelled = {}
                spelled.setdefault(key, name)
        if not colon:
            fault = fault or MalformedMessage(400, f"not a header field: {line[:60]!r}")
        elif key in rows:
            if several is None:
                several = {}
            several.setdefault(key, []).append(value.strip(" \t"))
        else:
            rows[key] = value.strip(" \t")
    if several is not None:
        for key, others in several.items():
            rows[key] = "\n".join([rows[key], *others])

    message: Request | Response | None
    words = start.split(" ", 3)
    if len(words) == 3 and words[2] == "SIP/2.0" and (words[0] in _METHODS or TOKEN.fullmatch(words[0])):
        message = _new_request(Request)
        message.method, message._uri_text, _ = words
        message._uri = None
    elif words[0] == "SIP/2.0" and len(words) > 1 and words[1] in _STATUSES:
        message = _new_response(Response)
        message.status = _STATUSES[words[1]]
        # RFC 4475 §3.1.1.13: the reason phrase may be empty.
        message.reason = start[12:]
    else:
        message, wrong = _read_start(start)
        fault = wrong or fault
    if message is not None:
        message._rows = rows
        message._spelled = spelled
        message._typed = {}
        message.body = b""
    if fault is not None:
        fault.message = message
        raise fault
    return message  # type: ignore[return-value]


def _key(name: str) -> str:
    """The key of a name that is not spelled as usual; empty if it cannot be a name at all."""
    if not TOKEN.fullmatch(name):
        return ""
    key = canonical(name)
    # A stranger's names must not fill our memory: the memo has a limit, in number and in length.
    if key not in HEADERS and len(_unknown) < 1024 and len(name) <= 64:
        _unknown[name] = key
    return key


def _read_start(start: str) -> tuple[Request | Response | None, MalformedMessage | None]:
    """Read a start line that is unusual, and say what is wrong with it if anything is."""
    words = start.split(" ", 3)
    # RFC 3261 §7.1: the SIP-Version string is case-insensitive.
    if words[0].upper() == "SIP/2.0" and len(words) > 1 and words[1] in _STATUSES:
        response = _new_response(Response)
        response.status = _STATUSES[words[1]]
        response.reason = start[12:]
        return response, None
    if words[0][:4].upper() == "SIP/":
        return None, MalformedMessage(400, f"not a status line: {start[:60]!r}")
    some = start.split()
    if len(some) < 2 or not TOKEN.fullmatch(some[0]):
        return None, MalformedMessage(400, f"not a start line: {start[:60]!r}")
    request = _new_request(Request)
    request.method = some[0]
    request._uri_text = some[1]
    request._uri = None
    if len(some) > 2 and some[-1].upper() != "SIP/2.0" and _VERSION.fullmatch(some[-1]):
        # RFC 3261 §21.5.6: 505, the server does not support the SIP protocol version that was used.
        return request, MalformedMessage(505, f"version {some[-1][:20]}")
    if len(words) == 3 and words == some and words[2].upper() == "SIP/2.0":
        return request, None
    # RFC 3261 §7.1: the elements of a request line are separated by a single SP, and hold none.
    return request, MalformedMessage(400, f"not a request line: {start[:60]!r}")


def _checked(text: str, limits: Limits) -> tuple[list[str], MalformedMessage | None]:
    """The unfolded lines of a header section that limits allow, and what is wrong with it, if anything."""
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    fault = None
    if len(lines) > limits.max_header_count + 1:
        fault = MalformedMessage(400, f"more than {limits.max_header_count} header fields")
        lines = lines[: limits.max_header_count + 1]
    if any(len(line) > limits.max_line_length for line in lines):
        fault = MalformedMessage(400, f"a line of more than {limits.max_line_length} characters")
        start = lines[0][: limits.max_line_length]
        lines = [start, *(line for line in lines[1:] if len(line) <= limits.max_line_length)]
    for place, line in enumerate(lines):
        # RFC 3261 §25.1: neither CR nor LF stands in any header value; a NUL only behind a backslash.
        if "\n" in line or "\r" in line or UNQUOTED_NUL.search(line):
            fault = MalformedMessage(400, f"a bare CR, LF or NUL: {line[:60]!r}")
            lines[place] = _UNSAFE.sub(" ", line).lstrip(" \t")
    return lines, fault


def _partial(data: bytes, limits: Limits) -> Message | None:
    """What can be read of bytes that are no whole message, so that a request can be answered."""
    try:
        return read_head(data.lstrip(b"\r\n").partition(b"\r\n\r\n")[0].rstrip(b"\r\n"), limits)
    except MalformedMessage as error:
        return error.message  # type: ignore[no-any-return]


def check_request(request: Request) -> None:
    """Hold a request to what a transaction relies on; raises MalformedMessage with the status to answer.

    Via, From, To, Call-ID and CSeq are there, once and well-formed; CSeq names the method; Max-Forwards,
    if there, is one; the Request-URI reads and holds no headers.
    """
    _check(request)
    # RFC 3261 §8.1.1.5: the method of CSeq MUST match that of the request.
    if request.cseq.method != request.method:
        raise MalformedMessage(400, "CSeq: names another method than the request line", request)
    if request._rows.get("Max-Forwards", "70") not in _HOPS:
        request.typed("Max-Forwards")
    if not is_usual(request._uri_text):
        uri = request.uri
        # RFC 3261 §19.1.1, table 1: headers are not allowed in a Request-URI.
        if isinstance(uri, SIPURI) and uri.headers:
            raise MalformedMessage(400, "Request-URI: holds headers", request)


def check_response(response: Response) -> None:
    """Hold a response to what a transaction relies on; a response that raises is dropped.

    Via, From, To, Call-ID and CSeq are there, once and well-formed.
    """
    _check(response)


def _check(message: Message) -> None:
    message.via  # noqa: B018
    message.from_  # noqa: B018
    message.to  # noqa: B018
    message.call_id  # noqa: B018
    # RFC 3261 §8.1.1.5: the sequence number MUST be less than 2**31.
    if message.cseq.number >= 2**31:
        raise MalformedMessage(400, "CSeq: too large", message)
