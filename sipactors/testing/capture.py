"""What went over the in-memory network: every datagram and stream chunk, when, from where and to where."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import SupportsIndex, overload

Address = tuple[str, int]


class Packet:
    """One datagram, or one chunk of a stream, on its way between two hosts."""

    __slots__ = ("data", "destination", "fate", "source", "time", "transport")

    def __init__(
        self, time: float, source: Address, destination: Address, data: bytes, transport: str
    ) -> None:
        self.time = time
        "When it was sent, in seconds of the clock."
        self.source = source
        "(host, port) of the sender; the host is numeric and without brackets."
        self.destination = destination
        "(host, port) that it was sent to."
        self.data = data
        "The bytes."
        self.transport = transport
        "'UDP' or 'TCP'."
        self.fate = "sent"
        """What became of it.

        'sent' while it travels, 'delivered', 'held' and 'dropped' by a test's rule, 'lost' by the network,
        'refused' when nobody listened there.
        """

    @property
    def first_line(self) -> str:
        """The first line of the data, as of a SIP message; bytes that are no UTF-8 show as \\x…"""
        return self.data.partition(b"\r\n")[0].decode("utf-8", "backslashreplace")

    def __repr__(self) -> str:
        (source, source_port), (destination, destination_port) = self.source, self.destination
        fate = "" if self.fate in ("sent", "delivered") else f" ({self.fate})"
        return (
            f"{self.time:.3f} {self.transport} {_bracketed(source)}:{source_port} -> "
            f"{_bracketed(destination)}:{destination_port} {self.first_line}{fate}"
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class Capture(deque[Packet]):
    """Every packet in the order of sending; with a bound, only the last so many.

    `capture[-1]`, `capture[2:]`, `len(capture)` as of a list; `str(capture)` is one line for each packet.
    """

    def __init__(self, packets: Iterable[Packet] = (), bound: int | None = None) -> None:
        super().__init__(packets, bound)

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Packet: ...

    @overload
    def __getitem__(self, index: slice, /) -> Capture: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Packet | Capture:
        if isinstance(index, slice):
            return Capture(list(self)[index])
        return super().__getitem__(index)

    def first_lines(self) -> list[str]:
        """The first line of each packet: for SIP over datagrams, what was said, in order."""
        return [packet.first_line for packet in self]

    def take(self) -> Capture:
        """All packets until now; the next capture starts empty."""
        taken = Capture(self)
        self.clear()
        return taken

    def __str__(self) -> str:
        return "\n".join(map(repr, self))
