"""A flow over WebSocket, whose messages come whole."""

from __future__ import annotations

from sipactors.errors import MalformedMessage
from sipactors.message import parse
from sipactors.transport import keepalive
from sipactors.transport.stream import OPEN, StreamFlow


class WebSocketFlow(StreamFlow):
    """One WebSocket connection. See IFlow."""

    def alive(self) -> None:
        """The peer pinged, or answered a ping of ours."""
        self.used = True
        if not self._partial:
            self._stop_late()

    def part_received(self) -> None:
        """Some frames of a message came: the rest of it has to come in time."""
        if self.state is OPEN and not self._partial:
            self._partial = True
            self.start_late()

    def whole_received(self, data: bytes) -> None:
        """One message of WebSocket came, which is one SIP message or a keep-alive."""
        if self.state is not OPEN:
            return
        self._partial = False
        self.alive()
        site = self.listener.site
        if keepalive.is_keepalive(data):
            # RFC 7118 §6: a client that has no pings may use the CRLF keep-alives of RFC 5626 §3.5.1.
            if data == keepalive.PING:
                site.metrics.pings_received += 1
                self._write(keepalive.PONG)
            return
        if site.trace is not None:
            self._raw += data
        try:
            # RFC 7118 §4.2: a WebSocket message has one SIP message, so that Content-Length is not needed.
            message = parse(data, site.limits)
        except MalformedMessage as fault:
            if site.trace is not None:
                site.trace.received(self, self._take_raw())
            self._malformed(fault)
            return
        self.message_received(message)

    _partial = False
