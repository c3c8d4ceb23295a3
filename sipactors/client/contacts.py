"""The Contact by which this end is reached over one flow (RFC 3261 §8.1.1.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.message import as_address

if TYPE_CHECKING:
    from sipactors.interfaces import IFlow
    from sipactors.message import Address


def contact_on(flow: IFlow, place: str, local: Address | str, secure: bool) -> str:
    """The user of our own address at `place`, the host and port by which peers reach us over a flow."""
    address = as_address(local, "From") if isinstance(local, str) else local
    scheme = "sips" if secure else "sip"
    if address.is_sip:
        user, at, _ = address.uri_text.partition(":")[2].partition("@")
        place = f"{user.partition(':')[0]}@{place}" if at else place
    if flow.transport == "UDP":
        # RFC 3261 §19.1.5: without a transport parameter a sip URI means UDP.
        return f"<{scheme}:{place}>"
    transport = "" if secure else f";transport={flow.transport.lower()}"
    if flow.transport == "WSS" and (secure or place.endswith(".invalid")):
        # RFC 7118 §5.2.3: the value "ws" stands for both; a sips URI makes it WSS.
        transport = ";transport=ws"
    return f"<{scheme}:{place}{transport}>"
