"""The dialog event package (RFC 4235): which calls somebody has, for busy lamps and pick-up."""

from __future__ import annotations

from dataclasses import dataclass, field

from sipactors.errors import MalformedMessage
from sipactors.events.packages import EventPackage, register
from sipactors.events.xml import Element, read_xml

DIALOG_INFO = "urn:ietf:params:xml:ns:dialog-info"
DIALOG_INFO_TYPE = "application/dialog-info+xml"

STATES = ("trying", "proceeding", "early", "confirmed", "terminated")


@dataclass(slots=True)
class Participant:
    """One side of a dialog, as its user agent knows it."""

    identity: str | None = None
    "A URI of the person."
    display: str | None = None
    target: str | None = None
    "The URI that requests go to."


@dataclass(slots=True)
class DialogState:
    """One dialog of the entity (RFC 4235 §4.1)."""

    id: str
    "Names the dialog in this and later documents."
    state: str
    "trying, proceeding, early, confirmed or terminated."
    event: str | None = None
    "What made the state: cancelled, rejected, replaced, local-bye, remote-bye, error or timeout."
    code: int | None = None
    "The status of the response that made it."
    call_id: str | None = None
    local_tag: str | None = None
    remote_tag: str | None = None
    direction: str | None = None
    "`initiator` or `recipient`."
    local: Participant | None = None
    remote: Participant | None = None
    duration: int | None = None
    "Seconds since the dialog began."


@dataclass(slots=True)
class DialogInfo:
    """The dialogs of one entity, all of them or those that changed."""

    entity: str
    version: int = 0
    "RFC 4235 §4.3: one more in each document of a subscription."
    full: bool = True
    "False when only what changed is in it."
    dialogs: list[DialogState] = field(default_factory=list)


def read_dialog_info(body: bytes) -> DialogInfo:
    """The dialogs that a document tells of; MalformedMessage when it is none."""
    root = read_xml(body, DIALOG_INFO, "dialog-info")
    version = root.number("version")
    state = root.need("state")
    if version is None or state not in ("full", "partial"):
        raise MalformedMessage(400, "dialog-info: version or state")
    info = DialogInfo(root.need("entity"), version, state == "full")
    info.dialogs = [_read_dialog(element) for element in root.all("dialog")]
    return info


def _read_dialog(element: Element) -> DialogState:
    state = element.find("state")
    if state is None or state.text.strip() not in STATES:
        raise MalformedMessage(400, "dialog-info: a dialog without its state")
    return DialogState(
        element.need("id"),
        state.text.strip(),
        state.get("event"),
        state.number("code"),
        element.get("call-id"),
        element.get("local-tag"),
        element.get("remote-tag"),
        element.get("direction"),
        _read_participant(element.find("local")),
        _read_participant(element.find("remote")),
        _duration(element.text_of("duration")),
    )


def _duration(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _read_participant(element: Element | None) -> Participant | None:
    if element is None:
        return None
    identity, target = element.find("identity"), element.find("target")
    return Participant(
        None if identity is None else identity.text.strip(),
        None if identity is None else identity.get("display"),
        None if target is None else target.get("uri"),
    )


def write_dialog_info(info: DialogInfo) -> bytes:
    """The document that tells of these dialogs."""
    state = "full" if info.full else "partial"
    root = Element(
        DIALOG_INFO, "dialog-info", {"version": str(info.version), "state": state, "entity": info.entity}
    )
    for each in info.dialogs:
        element = root.add(
            "dialog",
            id=each.id,
            call_id=each.call_id,
            local_tag=each.local_tag,
            remote_tag=each.remote_tag,
            direction=each.direction,
        )
        code = None if each.code is None else str(each.code)
        element.add("state", each.state, event=each.event, code=code)
        if each.duration is not None:
            element.add("duration", str(each.duration))
        for name, participant in (("local", each.local), ("remote", each.remote)):
            if participant is not None:
                _add_participant(element.add(name), participant)
    return root.render()


def _add_participant(element: Element, participant: Participant) -> None:
    if participant.identity is not None:
        element.add("identity", participant.identity, display=participant.display)
    if participant.target is not None:
        element.add("target", uri=participant.target)


# RFC 4235 §3.4: the default expiration is one hour.
DIALOG = register(EventPackage("dialog", (DIALOG_INFO_TYPE,), 3600, read_dialog_info, write_dialog_info))
