"""The topmost Via as transports use it: marking where a request came from, reading where its responses go."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import TYPE_CHECKING

from sipactors.errors import MalformedMessage
from sipactors.message import Request, Response
from sipactors.message.grammar import bracketed, host_key
from sipactors.transport.flow import Address, family_of

if TYPE_CHECKING:
    from sipactors.interfaces import IFlow
    from sipactors.message import Via

DEFAULT_PORTS = {"TLS": 5061, "WS": 80, "WSS": 443}
"Where a sent-by without a port is reached; 5060 for all other transports (RFC 3261 §18.2.2, RFC 7118 §5.2)."


def mark(request: Request, peer: Address) -> None:
    """Note in the topmost Via where a request really came from.

    Raises MalformedMessage when that Via does not read.
    """
    via = request.via
    host = peer[0]
    asked = via.rport is not None
    # RFC 3261 §18.2.1: if the host of sent-by is a domain name or differs from the packet source address, the
    # server MUST add a received parameter. One that the sender put there itself is not believed.
    if not asked and via.received is None and _same_host(via.host, host):
        return
    # RFC 3581 §4: set rport to the source port if it was asked; received MUST then be there in any case.
    via.mark(host.partition("%")[0] if ":" in host else host, peer[1] if asked else None)
    request.via = via


def names_us(response: Request | Response, names: Collection[str]) -> bool:
    """True when the topmost Via of a response names a sent-by of ours.

    Raises MalformedMessage when that Via does not read.
    """
    # RFC 3261 §18.1.2: if sent-by is not a value that the client transport inserts into requests, the
    # response MUST be silently discarded.
    via = response.via
    return via.sent_by in names or _canonical(via) in names


def response_address(via: Via, flow: IFlow) -> Address | None:
    """Where responses go that cannot go back by their request's flow; None: Via names no address."""
    # RFC 3261 §18.2.2: over a reliable transport to received and the port of sent-by; otherwise to maddr
    # if there is one, else to received, else to sent-by. A name is passed over: its sender has a received.
    for host in (None if flow.reliable else via.maddr, via.received, via.host):
        if host is not None and family_of(host) is not None and not ipaddress.ip_address(host).is_multicast:
            return host, via.port or DEFAULT_PORTS.get(flow.transport, 5060)
    return None


def came_from_sent_by(via: Via, flow: IFlow) -> bool:
    """True when a response by RFC 3261 §18.2.2, without maddr, goes where its request came from."""
    host, port = flow.peer
    where = via.port or DEFAULT_PORTS.get(flow.transport, 5060)
    return bool(where == port and (via.received or via.host) == host)


def mark_what_came(message: object, peer: Address) -> None:
    """Mark the readable part of a malformed message, so that its sender can be answered."""
    if isinstance(message, Request):
        try:
            mark(message, peer)
        except MalformedMessage:
            pass


def _same_host(sent_by: str, source: str) -> bool:
    # The kernel's spelling of an IPv6 address is only one of many.
    return sent_by == source or (":" in sent_by and host_key(sent_by) == host_key(source.partition("%")[0]))


def _canonical(via: Via) -> str:
    # RFC 3261 §18.1.1: when the port is absent, the default value depends upon the transport.
    return f"{bracketed(host_key(via.host))}:{via.port or DEFAULT_PORTS.get(via.transport, 5060)}"
