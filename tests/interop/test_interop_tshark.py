"""Wireshark's reading of what the agent sends."""

from __future__ import annotations

import pytest

from starter import Starter


@pytest.mark.parametrize("transport", ["u1", "t1"], ids=["udp", "tcp"])
def test_wireshark_finds_nothing_wrong_with_a_call(start: Starter, transport: str) -> None:
    """Every message of a call is SIP to Wireshark, none malformed; each 200 carries a tag of ours."""
    agent = start.agent()
    capture = start.capture(agent.port)
    sipp = start.sipp("uac", "-t", transport, "-m", "5", "-r", "10", remote=agent.address)
    assert sipp.wait(30) == 0
    capture.finish()
    assert capture.read("_ws.malformed", "frame.number") == []
    statuses = [row[0] for row in capture.read("sip.Status-Line", "sip.Status-Code")]
    codes = [code for row in statuses for code in row.split(",")]
    assert codes.count("180") == 5
    assert codes.count("200") == 10
    assert all(tag for (tag,) in capture.read("sip.Status-Code == 200", "sip.to.tag"))
