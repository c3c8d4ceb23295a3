"""A ladder of every message as text: one line a message, with the time, both ends and an arrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from sipactors.interfaces import IFlow, ITrace

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

_CSEQ = re.compile(rb"\r\nCSeq[ \t]*:[ \t]*(\d{1,10})[ \t]+([^\r\n]{1,40})", re.IGNORECASE)
_CALL_ID = re.compile(rb"\r\n(?:Call-ID|i)[ \t]*:[ \t]*([^\r\n]{1,200})", re.IGNORECASE)


def describe(data: bytes) -> str:
    """What one message is, in a few words: `INVITE sip:bob@example.com` or `180 Ringing (INVITE)`."""
    line = data[: data.find(b"\r\n")] if b"\r\n" in data[:2048] else data[:80]
    cseq = _CSEQ.search(data, 0, 16384)
    number, method = (cseq[1].decode(), _text(cseq[2]).strip()) if cseq else ("?", "?")
    if line.startswith(b"SIP/"):
        _, _, rest = line.partition(b" ")
        return f"{_text(rest)} ({number} {method})"
    start, _, _ = line.rpartition(b" ")
    return f"{_text(start)} ({number})"


def call_id(data: bytes) -> bytes | None:
    """The Call-ID of one message as it is written, None when none is found near its beginning."""
    found = _CALL_ID.search(data, 0, 16384)
    return found[1].rstrip() if found else None


def _text(data: bytes) -> str:
    return data[:160].decode("utf-8", "backslashreplace").encode("unicode_escape").decode("ascii")


def _place(address: tuple[str, int]) -> str:
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@implementer(ITrace)
class Ladder:
    """Writes each message as one line: `12.003 UDP 10.0.0.1:5060 --> 10.0.0.2:5060 INVITE sip:bob@… (1)`."""

    def __init__(
        self, write: Callable[[str], object], clock: IReactorTime, *, call_ids: bool = False
    ) -> None:
        self._write = write
        self._clock = clock
        self._call_ids = call_ids

    def received(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        self._line(flow, "<--", data)

    def sent(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        self._line(flow, "-->", data)

    def note(self, actor: object, text: str) -> None:
        """See ITrace."""
        self._write(f"{self._clock.seconds():.3f} {type(actor).__name__}: {text}")

    def _line(self, flow: IFlow, arrow: str, data: bytes) -> None:
        ends = f"{flow.transport} {_place(flow.local)} {arrow} {_place(flow.peer)}"
        known = call_id(data) if self._call_ids else None
        tail = f" [{_text(known)}]" if known else ""
        self._write(f"{self._clock.seconds():.3f} {ends} {describe(data)}{tail}")


@implementer(ITrace)
class Traces:
    """Several traces at once, as a ladder and a capture file."""

    def __init__(self, traces: Sequence[ITrace]) -> None:
        self._traces = tuple(traces)

    def received(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        for trace in self._traces:
            trace.received(flow, data)

    def sent(self, flow: IFlow, data: bytes) -> None:
        """See ITrace."""
        for trace in self._traces:
            trace.sent(flow, data)

    def note(self, actor: object, text: str) -> None:
        """See ITrace."""
        for trace in self._traces:
            trace.note(actor, text)
