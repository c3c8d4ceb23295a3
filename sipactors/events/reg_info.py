"""The reg event package (RFC 3680): which contacts are registered for an address of record."""

from __future__ import annotations

from dataclasses import dataclass, field

from sipactors.errors import MalformedMessage
from sipactors.events.packages import EventPackage, register
from sipactors.events.xml import Element, read_xml

REG_INFO = "urn:ietf:params:xml:ns:reginfo"
REG_INFO_TYPE = "application/reginfo+xml"


@dataclass(slots=True)
class RegisteredContact:
    """One contact of an address of record (RFC 3680 §5.3)."""

    id: str
    uri: str
    state: str = "active"
    "active or terminated."
    event: str = "registered"
    "registered, created, refreshed, shortened, expired, deactivated, probation, unregistered or rejected."
    expires: int | None = None
    "Seconds that remain."
    q: str | None = None
    call_id: str | None = None
    cseq: int | None = None
    retry_after: int | None = None
    "Seconds to wait, with the event probation."
    display_name: str | None = None


@dataclass(slots=True)
class Registration:
    """One address of record with its contacts."""

    aor: str
    id: str
    state: str = "active"
    "init, active or terminated."
    contacts: list[RegisteredContact] = field(default_factory=list)


@dataclass(slots=True)
class RegInfo:
    """What a registrar knows, all of it or what changed."""

    version: int = 0
    full: bool = True
    registrations: list[Registration] = field(default_factory=list)


def read_reg_info(body: bytes) -> RegInfo:
    """The registrations that a document tells of; MalformedMessage when it is none."""
    root = read_xml(body, REG_INFO, "reginfo")
    version, state = root.number("version"), root.need("state")
    if version is None or state not in ("full", "partial"):
        raise MalformedMessage(400, "reginfo: version or state")
    return RegInfo(version, state == "full", [_read_registration(each) for each in root.all("registration")])


def _read_registration(element: Element) -> Registration:
    state = element.need("state")
    if state not in ("init", "active", "terminated"):
        raise MalformedMessage(400, "reginfo: state of a registration")
    contacts = [_read_contact(each) for each in element.all("contact")]
    return Registration(element.need("aor"), element.need("id"), state, contacts)


def _read_contact(element: Element) -> RegisteredContact:
    state, uri = element.need("state"), element.text_of("uri")
    if state not in ("active", "terminated") or not uri:
        raise MalformedMessage(400, "reginfo: state or uri of a contact")
    return RegisteredContact(
        element.need("id"),
        uri,
        state,
        element.need("event"),
        element.number("expires"),
        element.get("q"),
        element.get("callid"),
        element.number("cseq"),
        element.number("retry-after"),
        element.text_of("display-name"),
    )


def write_reg_info(info: RegInfo) -> bytes:
    """The document that tells of these registrations."""
    state = "full" if info.full else "partial"
    root = Element(REG_INFO, "reginfo", {"version": str(info.version), "state": state})
    for each in info.registrations:
        registration = root.add("registration", aor=each.aor, id=each.id, state=each.state)
        for contact in each.contacts:
            element = registration.add(
                "contact",
                id=contact.id,
                state=contact.state,
                event=contact.event,
                expires=_text(contact.expires),
                retry_after=_text(contact.retry_after),
                q=contact.q,
                callid=contact.call_id,
                cseq=_text(contact.cseq),
            )
            element.add("uri", contact.uri)
            if contact.display_name is not None:
                element.add("display-name", contact.display_name)
    return root.render()


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


# RFC 3680 §4.4: the default expiration is 3761 seconds, so that registrations have expired before it.
REG = register(EventPackage("reg", (REG_INFO_TYPE,), 3761, read_reg_info, write_reg_info))
