"""Where a first INVITE goes when it is redirected (RFC 3261 §8.1.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.errors import MalformedMessage
from sipactors.message import SIPURI, parse_uri

if TYPE_CHECKING:
    from sipactors.message import URI, Response

MAX_REDIRECTS = 10
"Contacts that are tried for one INVITE."

FOLLOWED = (300, 301, 302)
"305 names a proxy and 380 another service: those are the application's to follow."


class Redirects:
    """The contacts that 3xx responses named, the most wanted first, each once."""

    __slots__ = ("_left", "_seen", "_tried")

    def __init__(self, first: URI) -> None:
        self._seen = {str(first)}
        self._left: list[tuple[float, URI]] = []
        self._tried = 0

    def add(self, response: Response, secure: bool) -> None:
        """Take the contacts of a 3xx; when the first request was `secure`, only secure ones."""
        try:
            contacts = response.contacts
        except MalformedMessage:
            return
        for contact in contacts[:MAX_REDIRECTS]:
            uri = None if contact.is_star else contact.uri
            if not isinstance(uri, SIPURI) or (secure and not uri.secure):
                # RFC 3261 §8.1.3.4: from SIPS to a URI that is not the user must know: not by itself.
                continue
            if uri.headers:
                uri = parse_uri(str(uri).partition("?")[0])
            # RFC 3261 §8.1.3.4: "a client SHOULD ensure that the set … does not contain" one twice.
            if str(uri) not in self._seen:
                self._seen.add(str(uri))
                self._left.append((1.0 if contact.q is None else float(contact.q), uri))
        self._left.sort(key=lambda choice: -choice[0])

    def next(self) -> URI | None:
        """The contact to try now, or None when there is none left or enough have been tried."""
        if not self._left or self._tried >= MAX_REDIRECTS:
            return None
        self._tried += 1
        return self._left.pop(0)[1]
