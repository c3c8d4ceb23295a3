"""Peers that nobody can connect to: which flow reaches each of them, by its name under .invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.errors import MalformedMessage
from sipactors.message import SIPURI

if TYPE_CHECKING:
    from sipactors.interfaces import IFlow
    from sipactors.message import Request, Response

MAX_NAMES = 16
"Names that one flow may have; further ones are not learnt."

SUFFIX = ".invalid"
"RFC 2606 §2: a top-level domain in which no name ever has an address."


def is_nameless(host: str) -> bool:
    """True for a host that only its own flow leads to, as `df7jal23ls0d.invalid` (RFC 7118 §5)."""
    return host[-len(SUFFIX) :].lower() == SUFFIX


class Named:
    """The flows by which peers with an .invalid Contact are reached, learnt from what these peers send.

    A name stays with its flow as long as that is open: nobody else gets what is meant for this peer by
    using its name. Only a peer that connects anew from the same address takes its name along, since its
    old connection may well be dead without our knowing.
    """

    def __init__(self) -> None:
        self._flows: dict[str, IFlow] = {}
        self._names: dict[IFlow, set[str]] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def find(self, host: str) -> IFlow | None:
        """The open flow of the peer of this name, None when there is none."""
        flow = self._flows.get(host.lower())
        return flow if flow is not None and not flow.closed else None

    def learn(self, message: Request | Response, flow: IFlow) -> None:
        """Note the names in the Contacts of a message that came by `flow`."""
        try:
            contacts = message.contacts
        except MalformedMessage:
            # Whoever needs the Contact will say so.
            return
        for contact in contacts:
            uri = contact.uri
            if isinstance(uri, SIPURI) and is_nameless(uri.host):
                self._take(uri.host.lower(), flow)

    def _take(self, host: str, flow: IFlow) -> None:
        before = self._flows.get(host)
        if before is flow or (before is not None and not before.closed and before.peer[0] != flow.peer[0]):
            return
        names = self._names.setdefault(flow, set())
        if len(names) >= MAX_NAMES:
            return
        if before is not None:
            self._names[before].discard(host)
        names.add(host)
        self._flows[host] = flow

    def forget(self, flow: IFlow) -> None:
        """The flow is gone, and with it its peer."""
        for host in self._names.pop(flow, ()):
            self._flows.pop(host, None)
