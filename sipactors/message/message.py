"""Requests and responses: a start line, header fields and a body."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.headers import TOKEN, TOP_VIA, HeaderItems, Headers, header_items
from sipactors.message.registry import HEADERS
from sipactors.message.status import reason_phrase
from sipactors.message.uri import URI, parse_uri
from sipactors.message.values import split_commas
from sipactors.message.via import Via

if TYPE_CHECKING:
    from sipactors.message.address import Address
    from sipactors.message.cseq import CSeq
    from sipactors.message.fields import MediaType

_URI_TEXT = re.compile(r"[^\s\x00-\x1f\x7f]+")
_MessageT = TypeVar("_MessageT", bound="Message")


class _Ranks(dict[str, int]):
    """Where a header stands on the wire; those without a place of their own stand before the body's."""

    def __missing__(self, name: str) -> int:
        return 50


# RFC 3261 §7.3.1: fields that proxies need (Via, Route, Record-Route, Proxy-Require, Max-Forwards,
# Proxy-Authorization) are RECOMMENDED to appear towards the top of the message.
_BEFORE = "Via Route Record-Route Proxy-Require Max-Forwards Proxy-Authorization From To Call-ID CSeq Contact"
_AFTER = "Content-Disposition Content-Encoding Content-Language MIME-Version Content-Type"
RANKS = _Ranks(
    dict.fromkeys(HEADERS, 50)
    | {name: place for place, name in enumerate(_BEFORE.split())}
    | {name: place for place, name in enumerate(_AFTER.split(), 60)}
)
_rank = RANKS.__getitem__


def _once(key: str) -> Any:
    """A property that reads a header which every message holds once, with as few calls as can be."""
    parse = HEADERS[key].parse

    def read(self: Message) -> Any:
        value = self._typed.get(key)
        if value is None:
            text = self._rows.get(key)
            # RFC 3261 §8.1.1: a valid request holds To, From, CSeq, Call-ID, Max-Forwards and Via.
            if text is None:
                raise MalformedMessage(400, f"{key}: missing", self)
            if "\n" in text:
                raise MalformedMessage(400, f"{key}: stands more than once", self)
            try:
                value = self._typed[key] = parse(text)
            except MalformedMessage as error:
                raise MalformedMessage(error.status, f"{key}: {error.what}", self) from None
        return value

    return property(read)


class Message(Headers):
    """What requests and responses have in common. Compared by start line, header fields and body."""

    __slots__ = ("body",)

    body: bytes
    "The body, exactly as many bytes as Content-Length said, or all that the datagram held."

    def _fill(self, headers: HeaderItems, body: bytes) -> None:
        if not isinstance(body, bytes):
            raise ArgumentError(f"a body is bytes, not {type(body).__name__}")
        self._rows = {}
        self._spelled = None
        self._typed = {}
        self.body = body
        for name, value in header_items(headers):
            self.add(name, value)

    # What the stack reads of each message.

    @property
    def via(self) -> Via:
        """The topmost Via; only that one is read. Raises MalformedMessage when there is none."""
        via = self._typed.get(TOP_VIA)
        if via is None:
            text = self._rows.get("Via")
            if text is None:
                raise MalformedMessage(400, "Via: missing", self)
            try:
                if "\n" in text:
                    text = text.partition("\n")[0]
                via = Via.parse(split_commas(text)[0] if "," in text else text)
            except MalformedMessage as error:
                raise MalformedMessage(error.status, f"Via: {error.what}", self) from None
            self._typed[TOP_VIA] = via
        return via

    @via.setter
    def via(self, via: Via) -> None:
        self.replace_first("Via", via)
        self._typed[TOP_VIA] = via

    @property
    def vias(self) -> list[Via]:
        """Every Via, topmost first."""
        return self.typed("Via")  # type: ignore[no-any-return]

    from_: Address = _once("From")
    "From. Raises MalformedMessage when it is missing or stands twice, as `to`, `call_id` and `cseq` do."
    to: Address = _once("To")
    "To."
    call_id: str = _once("Call-ID")
    "Call-ID, as it stands."
    cseq: CSeq = _once("CSeq")
    "CSeq."

    @property
    def from_tag(self) -> str | None:
        """The tag of From, or None."""
        return self.from_.tag

    @property
    def to_tag(self) -> str | None:
        """The tag of To, or None outside of a dialog."""
        return self.to.tag

    @property
    def contacts(self) -> list[Address]:
        """Every Contact."""
        return self._typed.get("Contact") or self._read("Contact")  # type: ignore[no-any-return]

    @property
    def routes(self) -> list[Address]:
        """The Route set of a request, the next hop first."""
        return self.typed("Route")  # type: ignore[no-any-return]

    @property
    def record_routes(self) -> list[Address]:
        """Every Record-Route, topmost first."""
        return self.typed("Record-Route")  # type: ignore[no-any-return]

    @property
    def require(self) -> list[str]:
        """The option tags of Require."""
        return self.typed("Require")  # type: ignore[no-any-return]

    @property
    def proxy_require(self) -> list[str]:
        """The option tags of Proxy-Require."""
        return self.typed("Proxy-Require")  # type: ignore[no-any-return]

    @property
    def supported(self) -> list[str]:
        """The option tags of Supported."""
        return self.typed("Supported")  # type: ignore[no-any-return]

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, or None when the sender left it out (RFC 2543 did)."""
        return self.typed("Max-Forwards")  # type: ignore[no-any-return]

    @property
    def expires(self) -> int | None:
        """Expires in seconds, or None."""
        return self.typed("Expires")  # type: ignore[no-any-return]

    @property
    def content_type(self) -> MediaType | None:
        """Content-Type, or None."""
        return self.typed("Content-Type")  # type: ignore[no-any-return]

    def set_body(self, body: bytes, content_type: object = None) -> None:
        """Replace the body and its Content-Type (None: no Content-Type, for an empty body)."""
        if not isinstance(body, bytes):
            raise ArgumentError(f"a body is bytes, not {type(body).__name__}")
        self.set("Content-Type", [] if content_type is None else content_type)
        self.remove("Content-Length")
        self.body = body

    def render(self, compact: bool = False) -> bytes:
        """The message as it goes on the wire, Content-Length counted from the body.

        `compact` writes the compact names of RFC 3261 §7.3.3 where there are some.
        Raises ArgumentError if a line break got into the method or the reason phrase.
        """
        start = self.start_line
        if "\n" in start or "\r" in start or "\0" in start:
            raise ArgumentError(f"a line break or a NUL in the start line: {start[:80]!r}")
        rows = self._rows
        keys = sorted(rows, key=_rank)
        # RFC 3261 §20.14: Content-Length MUST be used over streams; it is never wrong over datagrams.
        if "Content-Length" in rows:
            keys.remove("Content-Length")
        end = f"\r\n{'l' if compact else 'Content-Length'}: {len(self.body)}\r\n\r\n"
        if compact or self._spelled is not None:
            names = {key: self._name(key, compact) for key in keys}
            lines = [f"{names[key]}: {rows[key]}" for key in keys]
        else:
            lines = [f"{key}: {rows[key]}" for key in keys]
        text = "\r\n".join([start, *lines])
        if text.count("\n") != len(lines):
            # Several rows of one name: each of them gets it.
            lines = [line.replace("\n", f"\r\n{line.partition(':')[0]}: ") for line in lines]
            text = "\r\n".join([start, *lines])
        return (text + end).encode("utf-8", "surrogateescape") + self.body

    def _name(self, key: str, compact: bool) -> str:
        """How a header's name is spelled on the wire."""
        if compact and key in HEADERS:
            return HEADERS[key].compact or key
        return self._spelled.get(key, key) if self._spelled is not None else key

    @property
    def start_line(self) -> str:
        """The request line or the status line, without its line break."""
        raise TypeError("a message is a Request or a Response")

    def copy(self: _MessageT) -> _MessageT:
        """Another message with the same content, that can be changed on its own."""
        twin = type(self).__new__(type(self))
        twin._rows = self._rows.copy()
        twin._spelled = dict(self._spelled) if self._spelled else None
        twin._typed = {}
        twin.body = self.body
        twin._copy_start(self)
        return twin

    def _copy_start(self, other: Any) -> None:
        raise TypeError("a message is a Request or a Response")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message) or type(other) is not type(self):
            return NotImplemented
        if self.start_line != other.start_line or self.body != other.body:
            return False
        mine, theirs = dict(self._rows), dict(other._rows)
        # Content-Length is counted from the body, whatever stood on the wire.
        mine.pop("Content-Length", None)
        theirs.pop("Content-Length", None)
        return mine == theirs

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.start_line!r}>"


class Request(Message):
    """A request. `uri` may be given as text or typed."""

    __slots__ = ("_uri", "_uri_text", "method")

    method: str
    _uri: URI | None
    _uri_text: str

    def __init__(self, method: str, uri: str | URI, headers: HeaderItems = (), body: bytes = b"") -> None:
        if not TOKEN.fullmatch(method):
            raise ArgumentError(f"not a method: {method[:80]!r}")
        self.method = method
        self.uri = uri
        self._fill(headers, body)

    @property
    def uri(self) -> URI:
        """The Request-URI. Raises MalformedMessage when it does not read."""
        uri = self._uri
        if uri is None:
            try:
                uri = self._uri = parse_uri(self._uri_text)
            except MalformedMessage as error:
                raise MalformedMessage(error.status, f"Request-URI: {error.what}", self) from None
        return uri

    @uri.setter
    def uri(self, uri: str | URI) -> None:
        text = str(uri)
        if not _URI_TEXT.fullmatch(text):
            raise ArgumentError(f"not a Request-URI: {text[:80]!r}")
        self._uri = None if isinstance(uri, str) else uri
        self._uri_text = text

    @property
    def uri_text(self) -> str:
        """The Request-URI as it stands in the request line."""
        return self._uri_text

    @property
    def start_line(self) -> str:
        """The request line, without its line break."""
        return f"{self.method} {self._uri_text} SIP/2.0"

    def _copy_start(self, other: Request) -> None:
        self.method = other.method
        self._uri_text = other._uri_text
        self._uri = None


class Response(Message):
    """A response; the reason phrase is the registered one unless another is given."""

    __slots__ = ("reason", "status")

    status: int
    reason: str

    def __init__(
        self, status: int, reason: str | None = None, headers: HeaderItems = (), body: bytes = b""
    ) -> None:
        if not 100 <= status <= 699:
            raise ArgumentError(f"not a status code: {status}")
        self.status = status
        self.reason = reason_phrase(status) if reason is None else reason
        self._fill(headers, body)

    @property
    def start_line(self) -> str:
        """The status line, without its line break."""
        return f"SIP/2.0 {self.status} {self.reason}"

    def _copy_start(self, other: Response) -> None:
        self.status = other.status
        self.reason = other.reason
