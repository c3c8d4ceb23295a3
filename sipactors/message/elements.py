"""What an application gives to a request or a response: headers, a body, and no field that is the stack's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sipactors.errors import ArgumentError
from sipactors.message.address import Address
from sipactors.message.headers import HeaderItems, clean, header_items
from sipactors.message.registry import HEADERS, canonical
from sipactors.message.uri import SIPURI, URI, parse_uri
from sipactors.message.values import is_token

if TYPE_CHECKING:
    from sipactors.message.message import Message

FORBIDDEN = frozenset(
    (
        "Authentication-Info",
        "Call-ID",
        "CSeq",
        "From",
        "To",
        "Max-Forwards",
        "Min-Expires",
        "Record-Route",
        "Service-Route",
        "Via",
        "Security-Server",
        "Security-Verify",
        "Content-Length",
        "P-Access-Network-Info",
    )
)
"Headers that are the stack's own: an application that sets one is refused."

CREDENTIALS = frozenset(("Authorization", "Proxy-Authorization"))
"Headers that the stack sets while it answers challenges by itself."


def as_uri(uri: URI | str, what: str = "URI") -> URI:
    """A URI from text or as it is; ArgumentError when the text is none."""
    if not isinstance(uri, str):
        return uri
    try:
        return parse_uri(uri)
    except Exception as error:
        raise ArgumentError(f"{what}: {error}") from None


def as_address(value: Address | URI | str, what: str) -> Address:
    """An address from an Address, a URI, `sip:…` or `"Name" <sip:…>`; ArgumentError when it is none."""
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        return Address(value)
    try:
        return Address.parse(value)
    except Exception as error:
        raise ArgumentError(f"{what}: {error}") from None


class MessageElements:
    """Headers and a body for one message; checked when made, and reusable after a call that raised."""

    __slots__ = ("body", "content_type", "headers")

    def __init__(self, headers: HeaderItems = (), body: bytes = b"", content_type: object = None) -> None:
        """Raises ArgumentError for a header of the stack's own, a bad name, or a line break in a value."""
        self.headers = _checked(headers)
        if not isinstance(body, bytes):
            raise ArgumentError(f"a body is bytes, not {type(body).__name__}")
        if body and content_type is None:
            raise ArgumentError("a body needs its content_type")
        self.body = body
        self.content_type = None if content_type is None else clean(content_type)

    def apply(self, message: Message) -> None:
        """Put these headers and this body into a message; a header given here replaces one there."""
        fresh: set[str] = set()
        for name, value in self.headers:
            if name in fresh:
                message.add(name, value)
            else:
                fresh.add(name)
                message.set(name, value)
        if self.body or self.content_type is not None:
            message.set_body(self.body, self.content_type)


def _checked(headers: HeaderItems) -> list[tuple[str, str]]:
    if not headers:
        return []
    checked = []
    for name, value in header_items(headers):
        if not isinstance(name, str) or not is_token(name):
            raise ArgumentError(f"not a header name: {name!r}")
        key = canonical(name)
        if key in FORBIDDEN:
            raise ArgumentError(f"{name} is set by the stack")
        if key == "Content-Type":
            raise ArgumentError("Content-Type goes with the body: use content_type")
        checked.append((key if key in HEADERS else name, clean(value)))
    return checked


class RequestElements(MessageElements):
    """What an application says of a request: where to, which method, from whom, headers and body."""

    __slots__ = ("from_", "method", "to", "uri")

    def __init__(
        self,
        uri: URI | str | None = None,
        method: str | None = None,
        to: Address | URI | str | None = None,
        from_: Address | URI | str | None = None,
        headers: HeaderItems = (),
        body: bytes = b"",
        content_type: object = None,
    ) -> None:
        """Raises ArgumentError for tags in From or To, headers in a URI, and what MessageElements refuses."""
        super().__init__(headers, body, content_type)
        self.uri = None if uri is None else as_uri(uri)
        if isinstance(self.uri, SIPURI) and self.uri.headers:
            # RFC 3261 §19.1.1: headers are not allowed in a Request-URI.
            raise ArgumentError("headers cannot stand in a Request-URI")
        if method is not None and not is_token(method):
            raise ArgumentError(f"not a method: {method!r}")
        self.method = method
        self.to = _untagged(to, "To")
        self.from_ = _untagged(from_, "From")


def _untagged(value: Address | URI | str | None, what: str) -> Address | None:
    if value is None:
        return None
    address = as_address(value, what)
    if address.tag is not None:
        raise ArgumentError(f"{what}: the tag is the stack's")
    uri = address.uri
    if isinstance(uri, SIPURI) and uri.headers:
        raise ArgumentError(f"{what}: headers cannot stand in its URI")
    return address


class ResponseElements(MessageElements):
    """What an application says of a response: its status from 101 to 699, headers and body."""

    __slots__ = ("reason", "status")

    def __init__(
        self,
        status: int,
        reason: str | None = None,
        headers: HeaderItems = (),
        body: bytes = b"",
        content_type: object = None,
    ) -> None:
        """Raises ArgumentError for any other status (100 is the stack's) and what MessageElements refuses."""
        super().__init__(headers, body, content_type)
        if not isinstance(status, int) or not 101 <= status <= 699:
            raise ArgumentError(f"a status from 101 to 699, not {status!r}")
        self.status = status
        self.reason = None if reason is None else clean(reason)


def option_tags(*lists: Iterable[str]) -> str:
    """Option tags of several lists as one header value, each once, in order."""
    return ", ".join(dict.fromkeys(tag for tags in lists for tag in tags))
