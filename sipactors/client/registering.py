"""One REGISTER on its way: the Contact that it carries, which is known once its flow is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.client.registrar import OUR_HOST, Turn
from sipactors.message import SIPURI, Address

if TYPE_CHECKING:
    from sipactors.client.connection import Connection
    from sipactors.interfaces import IFlow
    from sipactors.message import Request

REGISTER = "register"
UPDATE = "update"
REFRESH = "refresh"
DEREGISTER = "deregister"


class ContactMaker:
    """Makes the Contact of a registration for a flow: as it was given, or with the host that peers see."""

    __slots__ = ("_aor", "_connection", "_given", "_secure")

    def __init__(self, connection: Connection, aor: Address, given: Address | None, secure: bool) -> None:
        self._connection = connection
        self._aor = aor
        self._given = given
        self._secure = secure

    @property
    def fills(self) -> bool:
        """Whether the host is ours to fill in."""
        given = self._given
        return given is None or (isinstance(given.uri, SIPURI) and given.uri.host.lower() in OUR_HOST)

    def contact(self, flow: IFlow) -> Address:
        """The Contact, without expires."""
        given = self._given
        if not self.fills:
            assert given is not None
            made = given.copy()
        else:
            local = self._aor if given is None else Address(given.uri)
            # RFC 3261 §25.1: an IPv6 address stands in brackets, as `local_uri_host` has it.
            made = Address.parse(self._connection.contact(flow, local, None, self._secure))
            uri = made.uri
            assert isinstance(uri, SIPURI)
            if given is not None and isinstance(given.uri, SIPURI):
                uri = uri.with_params(given.uri.params)
                made = Address(uri, given.display_name, given.params)
            else:
                made = Address(uri, None, made.params)
        made.expires = None
        return made


class Registering(Turn):
    """What one REGISTER asks for, until its final response."""

    __slots__ = ("_contacts", "_former", "_in_contact", "act", "brief", "contact", "follows", "seconds")

    def __init__(
        self,
        act: str,
        contacts: ContactMaker,
        former: Address | None,
        seconds: float | None,
        in_contact: bool,
    ) -> None:
        super().__init__()
        self.act = act
        self.seconds = seconds
        "The expiry that is asked for, None when the registrar is to choose."
        self.contact: Address | None = None
        "Our Contact as it was sent, without expires."
        self.brief = 0
        "How often it was answered 423."
        self.follows = False
        "It follows at once on a 2xx that changed something: its own 2xx makes no other follow."
        self._contacts = contacts
        self._former = former
        self._in_contact = in_contact

    @property
    def own(self) -> bool:
        """True when the application did not ask for it: its 2xx is silent."""
        return self.act == REFRESH

    def put_contact(self, request: Request, flow: IFlow) -> None:
        """Set the Contact for the flow that the request goes by."""
        former = self._former
        if self.act == DEREGISTER:
            # RFC 3261 §10.2.2: "by specifying an expiration interval of '0' for that contact address".
            contact = self.contact = self._contacts.contact(flow) if former is None else former
            request.set("Contact", _with_expires(contact, 0))
            return
        contact = self.contact = self._contacts.contact(flow)
        seconds = int(self.seconds) if self._in_contact and self.seconds is not None else None
        rows = [_with_expires(contact, seconds)]
        if former is not None and former.uri != contact.uri:
            # We are somewhere else now: nobody is to be sent to where we were.
            rows.append(_with_expires(Address(former.uri), 0))
        request.set("Contact", rows)


def _with_expires(contact: Address, seconds: int | None) -> Address:
    made = contact.copy()
    made.expires = seconds
    return made
