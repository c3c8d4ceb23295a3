"""SIP over WebSocket over TLS: `wss:5063:certFile=…`."""

from __future__ import annotations

from sipactors.transport.tls import TLSListener
from sipactors.transport.websocket import WebSocketListener


class SecureWebSocketListener(TLSListener, WebSocketListener):
    """A listening port for WebSocket over TLS: TLS outside, WebSocket inside."""

    transport = "WSS"
