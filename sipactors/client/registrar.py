"""What is kept for one registrar, and what a REGISTER and its 2xx must be like (RFC 3261 §10.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipactors.errors import (
    ArgumentError,
    InvalidContact,
    InvalidRegistrarResponse,
    InvalidURIType,
    MalformedMessage,
    RequestPending,
)
from sipactors.message import SIPURI, Address, as_address, as_uri

if TYPE_CHECKING:
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dice import Dice
    from sipactors.message import URI, MessageElements, Response

MIN_EXPIRES = 60
"Seconds below which a Contact's expires is a mistake."

OUR_HOST = frozenset(("localhost", "0.0.0.0", "::"))
"Hosts of a Contact that stand for our own address, whatever that is on the flow."


class Turn:
    """A REGISTER that has no final response yet; only one of an address-of-record may have none."""

    __slots__ = ("transaction",)

    def __init__(self) -> None:
        self.transaction: ClientTransaction | None = None


class Registrar:
    """One Call-ID and one CSeq for all our requests to a registrar, and whose turn it is."""

    __slots__ = ("_pending", "_sequence", "call_id")

    def __init__(self, dice: Dice) -> None:
        # RFC 3261 §10.2: "All registrations from a UAC SHOULD use the same Call-ID header field value
        # for registrations sent to a particular registrar."
        self.call_id = dice.token()
        self._sequence = 0
        self._pending: dict[URI, Turn] = {}

    def next_sequence(self) -> int:
        """RFC 3261 §10.2: "A UA MUST increment the CSeq value by one for each REGISTER request"."""
        self._sequence += 1
        return self._sequence

    def begin(self, aor: URI, turn: Turn) -> None:
        """A REGISTER of this address-of-record is to be sent. Raises RequestPending while another waits."""
        # RFC 3261 §10.2: "UAs MUST NOT send a new registration … until they have received a final
        # response from the registrar for the previous one or the previous REGISTER request has timed out."
        if self.pending(aor) is not None:
            raise RequestPending(f"another REGISTER of {aor} has no final response yet")
        self._pending[aor] = turn

    def pending(self, aor: URI) -> Turn | None:
        """The REGISTER of an address-of-record that has no final response yet, if there is one."""
        turn = self._pending.get(aor)
        if turn is None or (turn.transaction is not None and turn.transaction.finished):
            return None
        return turn

    def done(self, aor: URI, turn: Turn) -> None:
        """That REGISTER is answered, or never will be."""
        if self._pending.get(aor) is turn:
            del self._pending[aor]

    def forget(self) -> None:
        """Whatever was pending has been given up."""
        self._pending.clear()


@dataclass(slots=True)
class Confirmation:
    """What a 2xx to REGISTER says of our binding."""

    contact: Address
    "Our Contact as the registrar lists it."
    expires: int | None
    "The seconds granted, None when it does not say."
    service_route: list[Address]
    associated: list[Address]


def read_aor(aor: Address | URI | str, what: str = "the address-of-record") -> Address:
    """An address-of-record: a SIP or SIPS URI with a user. Raises ArgumentError, InvalidURIType."""
    address = as_address(aor, what)
    if address.is_star or address.tag is not None:
        raise ArgumentError(f"{what}: the tag is the stack's")
    uri = address.uri
    if not isinstance(uri, SIPURI):
        raise InvalidURIType(f"{what}: {uri} is neither sip nor sips")
    if uri.user is None or uri.headers:
        raise ArgumentError(f"{what}: needs a user, and no headers")
    return Address(uri, address.display_name)


def read_contact(contact: Address | URI | str, secure: bool) -> Address:
    """A Contact to register. Raises InvalidContact, InvalidURIType, ArgumentError."""
    address = as_address(contact, "Contact")
    if address.is_star:
        raise InvalidContact("Contact: * would remove the bindings of others as well")
    uri = address.uri
    if not isinstance(uri, SIPURI) or (secure and not uri.secure):
        raise InvalidURIType(f"Contact: {uri} cannot be reached by {'sips' if secure else 'sip'}")
    if uri.user is None:
        raise InvalidContact("Contact: needs a user")
    if address.expires is not None and address.expires < MIN_EXPIRES:
        raise InvalidContact(f"Contact: expires is {MIN_EXPIRES} seconds or more")
    return address


def read_hop(uri: URI | str, secure: bool, what: str) -> SIPURI:
    """The URI of a registrar or proxy, without user. Raises ArgumentError, InvalidURIType."""
    hop = as_uri(uri, what)
    if not isinstance(hop, SIPURI) or (secure and not hop.secure):
        raise InvalidURIType(f"{what}: {hop} cannot be reached by {'sips' if secure else 'sip'}")
    return hop


def registrar_of(aor: Address, registrar: URI | str | None) -> SIPURI:
    """The Request-URI of a REGISTER: the registrar named, else the domain of the address-of-record."""
    uri = aor.uri
    assert isinstance(uri, SIPURI)
    if registrar is None:
        # RFC 3261 §10.2: "The 'userinfo' and '@' components of the SIP URI MUST NOT be present."
        return SIPURI(None, uri.host, uri.port, scheme=uri.scheme)
    found = read_hop(registrar, uri.secure, "the registrar")
    if found.user is not None or found.headers:
        raise ArgumentError("the registrar: a URI without user and headers")
    return found


def check_register_elements(elements: MessageElements | None) -> None:
    """Raise MalformedMessage for the headers of REGISTER that are the stack's."""
    for name, _ in () if elements is None else elements.headers:
        if name in ("Contact", "Expires"):
            raise MalformedMessage(400, f"{name}: set by the stack in a REGISTER")


def read_confirmation(response: Response, aor: Address, contact: Address) -> Confirmation:
    """What a 2xx to REGISTER says; InvalidRegistrarResponse unless it confirms our binding."""
    try:
        if response.to.uri != aor.uri:
            raise InvalidRegistrarResponse(f"To is not {aor.uri}")
        # RFC 3261 §10.2.4: the 2xx lists the current bindings; ours is found "using the comparison rules in
        # Section 19.1.4".
        ours = [one for one in response.contacts if not one.is_star and one.uri == contact.uri]
        if not ours:
            raise InvalidRegistrarResponse(f"the registrar does not list {contact.uri}")
        expires = ours[0].expires if "expires" in ours[0].params else response.expires
        if expires == 0:
            raise InvalidRegistrarResponse(f"the registrar keeps {contact.uri} for 0 seconds")
        route = response.typed("Service-Route")
    except MalformedMessage as error:
        raise InvalidRegistrarResponse(str(error)) from error
    try:
        associated = response.typed("P-Associated-URI")
    except MalformedMessage:
        # RFC 7315 §4.1: what it tells goes beyond the registration, which is confirmed all the same.
        associated = []
    return Confirmation(ours[0], expires, route, associated)
