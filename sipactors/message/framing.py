"""Messages out of a byte stream: TCP, TLS, and whatever else does not keep them apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from sipactors.errors import MalformedMessage
from sipactors.message.message import Request, Response
from sipactors.message.parser import DEFAULT, content_length, read_head
from sipactors.settings import Limits


class Ping:
    """A double CRLF between messages: the peer wants to see a CRLF (RFC 5626 §3.5.1)."""

    def __repr__(self) -> str:
        return "PING"


class Pong:
    """A CRLF between messages: the answer to our double CRLF (RFC 5626 §3.5.1)."""

    def __repr__(self) -> str:
        return "PONG"


PING: Final = Ping()
PONG: Final = Pong()

Frame: TypeAlias = "Request | Response | Ping | Pong"


class Framer:
    """Cuts what a stream connection receives into messages, however it was split on the way.

    Between feeds it holds one unfinished message, of `limits.max_message_size` bytes at most.
    """

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self._limits = limits
        self._held = bytearray()
        self._searched = 0
        # The message whose header section has been read, and where its body begins and ends.
        self._message: Request | Response | None = None
        self._begin = self._end = 0
        self._half_ping = False
        self.broken = False
        "True once the stream can no longer be cut: nothing more is read, the connection must be closed."
        self.pong_awaited = False
        "Set this when a ping has been sent: the next CRLF is then its PONG, not half of a ping."

    @property
    def pending(self) -> int:
        """How many bytes are held that make no whole message yet."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes in; iterate for the messages, pings and pongs that are whole now, in order.

        The iteration raises MalformedMessage where the stream goes wrong, after everything before it has
        been yielded. The framer is `broken` then: answer what can be answered and close the connection.
        """
        if self.broken:
            return iter(())
        self._held += data
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        held = self._held
        while held:
            message = self._message
            if message is None:
                if held[0] == 0x0D and (len(held) == 1 or held[1] == 0x0A):
                    before = len(held)
                    frame = self._line_break()
                    if frame is not None:
                        yield frame
                    elif len(held) == before:
                        return
                    continue
                try:
                    message = self._message = self._read_head()
                except MalformedMessage:
                    self.broken = True
                    held.clear()
                    raise
                if message is None:
                    return
            if len(held) < self._end:
                return
            message.body = bytes(held[self._begin : self._end])
            del held[: self._end]
            self._message = None
            self._searched = 0
            yield message

    def _line_break(self) -> Ping | Pong | None:
        """Take the CRLF or double CRLF that stands between messages; None if it is none of the two (yet)."""
        held = self._held
        frame: Ping | Pong | None = None
        size = 2
        if len(held) < 2:
            return None
        if self.pong_awaited:
            self.pong_awaited = False
            frame = PONG
        elif self._half_ping:
            self._half_ping = False
            frame = PING
        elif held[:4] == b"\r\n\r\n":
            size = 4
            frame = PING
        elif held == b"\r\n\r":
            return None
        elif len(held) == 2:
            # It may be half of a ping, but a pong cannot wait until that is known.
            self._half_ping = True
            frame = PONG
        # RFC 3261 §7.5: implementations processing SIP messages over stream-oriented transports MUST
        # ignore any CRLF appearing before the start-line.
        del held[:size]
        return frame

    def _read_head(self) -> Request | Response | None:
        """Read the header section that is held, when it is whole, and with it where the body ends."""
        held = self._held
        most = self._limits.max_message_size
        self._half_ping = False
        end = held.find(b"\r\n\r\n", max(0, self._searched - 3))
        if end < 0:
            self._searched = len(held)
            if len(held) > most:
                # Nothing is read of it: without its end, its fields may be cut.
                raise MalformedMessage(513, f"header section larger than {most} bytes")
            return None
        if end + 4 > most:
            raise MalformedMessage(513, f"header section larger than {most} bytes")
        message = read_head(bytes(held[:end]), self._limits)
        lengths = message._rows.get("Content-Length")
        if lengths is None:
            # RFC 3261 §20.14: if a stream-based protocol is used as transport, Content-Length MUST be used.
            raise MalformedMessage(400, "Content-Length: missing in a stream", message)
        self._begin = end + 4
        self._end = self._begin + content_length(message, lengths)
        if self._end > most:
            raise MalformedMessage(513, f"message larger than {most} bytes", message)
        return message
