"""Presence (RFC 3856) in PIDF, the presence information data format (RFC 3863)."""

from __future__ import annotations

from dataclasses import dataclass, field

from sipactors.errors import MalformedMessage
from sipactors.events.packages import EventPackage, register
from sipactors.events.xml import XML, Element, read_xml

PIDF = "urn:ietf:params:xml:ns:pidf"
PIDF_TYPE = "application/pidf+xml"

_LANGUAGE = f"{{{XML}}}lang"


@dataclass(slots=True)
class Note:
    """Words for people, in a language if one is named."""

    text: str
    language: str | None = None


@dataclass(slots=True)
class PresenceTuple:
    """One way to reach somebody, and whether it is open (RFC 3863 §4.1.2)."""

    id: str
    "Tells it from the others of the document."
    basic: str | None = None
    "`open`, `closed`, or None when the document does not say."
    contact: str | None = None
    "The URI to reach it by."
    priority: float | None = None
    "Of the contact, from 0 to 1."
    notes: list[Note] = field(default_factory=list)
    timestamp: str | None = None
    "When the status changed, as RFC 3339 writes it."
    status_extensions: list[Element] = field(default_factory=list)
    "What other specifications put into the status, as RPID's activities."

    @property
    def open(self) -> bool:
        """Whether it is said to be open."""
        return self.basic == "open"


@dataclass(slots=True)
class Presence:
    """What is known of the presence of one presentity."""

    entity: str
    "The presentity's URI, as `pres:bob@example.com` or `sip:bob@example.com`."
    tuples: list[PresenceTuple] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    extensions: list[Element] = field(default_factory=list)
    "Elements of other namespaces, as the person element of RFC 4479."

    @property
    def open(self) -> bool:
        """Whether there is a way that is open."""
        return any(each.open for each in self.tuples)


def read_presence(body: bytes) -> Presence:
    """The presence that a PIDF document tells; MalformedMessage when it is none."""
    root = read_xml(body, PIDF, "presence")
    presence = Presence(root.need("entity"), notes=_notes(root))
    presence.tuples = [_read_tuple(element) for element in root.all("tuple")]
    presence.extensions = [child for child in root.children if child.namespace != PIDF]
    return presence


def _read_tuple(element: Element) -> PresenceTuple:
    found = PresenceTuple(element.need("id"), notes=_notes(element), timestamp=element.text_of("timestamp"))
    status = element.find("status")
    # RFC 3863 §4.1.2: the tuple MUST hold a status element; its <basic> is optional.
    if status is None:
        raise MalformedMessage(400, "PIDF: a tuple without status")
    found.basic = status.text_of("basic")
    if found.basic not in (None, "open", "closed"):
        raise MalformedMessage(400, "PIDF: basic is open or closed")
    found.status_extensions = [child for child in status.children if child.namespace != PIDF]
    contact = element.find("contact")
    if contact is not None:
        found.contact = contact.text.strip()
        found.priority = _priority(contact.get("priority"))
    return found


def _priority(text: str | None) -> float | None:
    if text is None:
        return None
    digits = text.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and len(text) <= 8):
        raise MalformedMessage(400, f"PIDF: not a priority: {text[:40]!r}")
    return min(float(text), 1.0)


def _notes(element: Element) -> list[Note]:
    return [Note(note.text.strip(), note.attributes.get(_LANGUAGE)) for note in element.all("note")]


def write_presence(presence: Presence) -> bytes:
    """The PIDF document of a presence."""
    root = Element(PIDF, "presence", {"entity": presence.entity})
    for each in presence.tuples:
        element = root.add("tuple", id=each.id)
        status = element.add("status")
        if each.basic is not None:
            status.add("basic", each.basic)
        status.children += each.status_extensions
        if each.contact is not None:
            priority = None if each.priority is None else f"{each.priority:.3f}".rstrip("0").rstrip(".")
            element.add("contact", each.contact, priority=priority)
        _add_notes(element, each.notes)
        if each.timestamp is not None:
            element.add("timestamp", each.timestamp)
    _add_notes(root, presence.notes)
    root.children += presence.extensions
    return root.render()


def _add_notes(element: Element, notes: list[Note]) -> None:
    for note in notes:
        element.add("note", note.text).attributes.update({_LANGUAGE: note.language} if note.language else {})


# RFC 3856 §6.4: the default expiration of a presence subscription is 3600 seconds.
PRESENCE = register(EventPackage("presence", (PIDF_TYPE,), 3600, read_presence, write_presence))
