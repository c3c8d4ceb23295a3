"""A socket that carries nothing and remembers the options that were set on it."""

from __future__ import annotations

import socket

from sipactors.testing.capture import Address


class FakeSocket:
    """What `transport.getHandle()` gives over the in-memory network: options go in and come out again."""

    def __init__(
        self,
        family: socket.AddressFamily,
        kind: socket.SocketKind,
        name: Address,
        peer: Address | None = None,
    ) -> None:
        self.family = family
        self.type = kind
        self.proto = 0
        self.options: dict[tuple[int, int], int | bytes] = {}
        "Every option that was set: {(level, option): value}."
        self.closed = False
        self._name = name
        self._peer = peer

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Remember an option's value."""
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        self.options[level, option] = value

    def getsockopt(self, level: int, option: int, length: int = 0) -> int | bytes:
        """An option's value as it was set; 0 (or as many zero bytes as asked for) when it was not."""
        return self.options.get((level, option), bytes(length) if length else 0)

    def getsockname(self) -> Address:
        """The (host, port) of this end."""
        return self._name

    def getpeername(self) -> Address:
        """The (host, port) of the other end; raises OSError when there is none."""
        if self._peer is None:
            raise OSError(107, "Transport endpoint is not connected")
        return self._peer

    def fileno(self) -> int:
        """No file stands behind it: -1, as of a closed socket."""
        return -1
