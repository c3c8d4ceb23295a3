"""Which listener serves each kind of stream description; TLS and WebSocket are extras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.errors import NotSupported
from sipactors.transport.connections import StreamListener

if TYPE_CHECKING:
    from sipactors.transport.connections import Connections
    from sipactors.transport.description import Description
    from sipactors.transport.flow import Site

EXTRAS = {"tls": "tls", "ws": "websocket", "wss": "tls,websocket"}
"What `pip install sipactors[…]` brings for each kind."


def stream_listener(site: Site, description: Description, connections: Connections) -> StreamListener:
    """The listener for a description, not yet started.

    Raises NotSupported when its extra is not installed, ArgumentError when its options cannot be used.
    """
    kind = description.kind
    try:
        listener = _class_for(kind)
    except ImportError as missing:
        raise NotSupported(
            f"{kind} needs what is not installed: pip install 'sipactors[{EXTRAS[kind]}]' ({missing})"
        ) from None
    return listener(site, description, connections)


def _class_for(kind: str) -> type[StreamListener]:
    if kind == "tls":
        from sipactors.transport.tls import TLSListener

        return TLSListener
    if kind == "ws":
        from sipactors.transport.websocket import WebSocketListener

        return WebSocketListener
    if kind == "wss":
        from sipactors.transport.secure_websocket import SecureWebSocketListener

        return SecureWebSocketListener
    return StreamListener
