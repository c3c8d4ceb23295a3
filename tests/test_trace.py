"""The ladder trace: every message is one line that can be read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sipactors.interfaces import ITrace
from sipactors.testing import Clock
from sipactors.trace import Ladder, Traces, describe

FLOW: Any = SimpleNamespace(transport="UDP", local=("10.0.0.1", 5060), peer=("10.0.0.2", 5070))
FLOW_6: Any = SimpleNamespace(transport="TCP", local=("2001:db8::1", 5060), peer=("2001:db8::2", 5060))

INVITE = b"INVITE sip:bob@example.com SIP/2.0\r\nVia: x\r\ni: call-1@x\r\nCSeq: 7 INVITE\r\n\r\n"
RINGING = b"SIP/2.0 180 Ringing\r\nCSeq : 7   INVITE \r\nCall-ID: call-1@x\r\n\r\n"


@pytest.fixture
def lines() -> list[str]:
    return []


def test_each_message_is_one_line_with_an_arrow(lines: list[str]) -> None:
    """Time, transport, both ends, an arrow, and what the message is."""
    clock = Clock()
    ladder = Ladder(lines.append, clock)
    ladder.sent(FLOW, INVITE)
    clock.advance(0.25)
    ladder.received(FLOW, RINGING)
    ladder.received(FLOW_6, INVITE)
    assert lines == [
        "0.000 UDP 10.0.0.1:5060 --> 10.0.0.2:5070 INVITE sip:bob@example.com (7)",
        "0.250 UDP 10.0.0.1:5060 <-- 10.0.0.2:5070 180 Ringing (7 INVITE)",
        "0.250 TCP [2001:db8::1]:5060 <-- [2001:db8::2]:5060 INVITE sip:bob@example.com (7)",
    ]


def test_call_ids_on_demand(lines: list[str]) -> None:
    """With many calls at once the Call-ID tells which is which, also in its short form."""
    ladder = Ladder(lines.append, Clock(), call_ids=True)
    ladder.sent(FLOW, INVITE)
    ladder.sent(FLOW, RINGING)
    assert [line.rpartition(" ")[2] for line in lines] == ["[call-1@x]", "[call-1@x]"]


def test_a_note_names_its_actor(lines: list[str]) -> None:
    """A stray event or a failure is a line of its own."""
    ladder = Ladder(lines.append, Clock(), call_ids=True)
    ladder.note(SimpleNamespace(), "TIMER_D ignored in CALLING")
    assert lines == ["0.000 SimpleNamespace: TIMER_D ignored in CALLING"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\xfe",
        b"INVITE",
        b"SIP/2.0",
        b"SIP/2.0 200 \xff\r\nCSeq: 1 \xc3\x28\r\n\r\n",
        b"OPTIONS sip:\x1b[31m\x07 SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n",
        b"A" * 100_000,
        b"OPTIONS " + b"x" * 100_000 + b" SIP/2.0\r\n\r\n",
    ],
)
def test_strangers_bytes_stay_one_printable_line(data: bytes) -> None:
    """D-41: no line break and no control character of a stranger's reaches a terminal or a log."""
    text = describe(data)
    assert text.isprintable()
    assert len(text) < 1500


def test_several_traces_at_once(lines: list[str]) -> None:
    """A ladder and another one, as a capture file: each gets all."""
    other: list[str] = []
    traces = Traces([Ladder(lines.append, Clock()), Ladder(other.append, Clock())])
    verifyObject(ITrace, traces)
    traces.sent(FLOW, INVITE)
    traces.received(FLOW, RINGING)
    traces.note(SimpleNamespace(), "x")
    assert lines == other
    assert len(lines) == 3
