"""SIPp, the tool that SIP engineers load their servers with, calls the agent."""

from __future__ import annotations

import os
import signal

import pytest

from peers import SCENARIOS
from programs import HOST, wait_until
from starter import Starter

FULL = os.environ.get("SIPACTORS_FULL") == "1"
"SIPACTORS_FULL=1 makes 10,000 calls at 200 a second; a run of the suite makes fewer."
CALLS, RATE = (10_000, 200) if FULL else (200, 100)
LOSSY_CALLS = 1_000 if FULL else 50


@pytest.mark.accepts("J1")
@pytest.mark.parametrize(
    ("transport", "host"),
    [("u1", HOST), ("t1", HOST), ("u1", "::1"), ("t1", "::1")],
    ids=["udp", "tcp", "udp-ipv6", "tcp-ipv6"],
)
def test_every_call_of_sipp_completes(start: Starter, transport: str, host: str) -> None:
    """`sipp -sn uac`, also `-t t1` and over [::1]: no call fails, nothing is sent twice without a loss."""
    agent = start.agent(host=host)
    options = ("-t", transport, "-m", str(CALLS), "-r", str(RATE))
    sipp = start.sipp("uac", *options, remote=agent.address, host=host, seconds=CALLS // RATE + 60)
    assert sipp.wait(CALLS // RATE + 70) == 0
    calls = sipp.calls()
    assert (calls.successful, calls.failed, calls.unexpected) == (CALLS, 0, 0)
    assert calls.retransmissions == 0


def test_calls_complete_through_a_network_that_loses_three_of_ten(start: Starter) -> None:
    """`sipp -sn uac -lost 30`: requests and responses are lost, and still every call is made and ended."""
    agent = start.agent()
    # By default SIPp gives a BYE up after eight attempts, of which one in two gets there and back; that
    # alone fails one call in two hundred. With seventeen attempts, loss explains one in a hundred thousand.
    options = ("-lost", "30", "-max_retrans", "16", "-m", str(LOSSY_CALLS), "-r", "50")
    sipp = start.sipp("uac", *options, remote=agent.address, seconds=150)
    sipp.wait(160)
    calls = sipp.calls()
    # An INVITE is sent seven times at the most before Timer B (RFC 3261 §17.1.1.2); each time the way there
    # and one of two answers get through in 64 of 100, so that loss ends one call in about 1,200.
    assert calls.successful + calls.failed == LOSSY_CALLS
    assert calls.failed <= max(2, LOSSY_CALLS // 200)
    assert calls.retransmissions > 0
    # SIPp takes a repeated 200 to its INVITE for that to its BYE, and leaves calls behind of which the agent
    # has seen no ACK; to end those in order takes 64*T1, and other tests show it.
    agent.stop(signal.SIGKILL)


@pytest.mark.parametrize("transport", ["u1", "t1"], ids=["udp", "tcp"])
def test_options_are_answered(start: Starter, transport: str) -> None:
    """RFC 3261 §11.2: the answer to an OPTIONS is the one an INVITE would get: 200 when it would be taken."""
    agent = start.agent()
    sipp = start.sipp("options", "-t", transport, "-m", "100", "-r", "100", remote=agent.address)
    assert sipp.wait(30) == 0
    assert (sipp.calls().successful, sipp.calls().retransmissions) == (100, 0)


def test_a_ringing_call_can_be_cancelled(start: Starter) -> None:
    """RFC 3261 §9.2: the UAS answers 200 to the CANCEL, and 487 to the INVITE that it cancels."""
    agent = start.agent("--on-call=ring")
    sipp = start.sipp("cancel", "-m", "20", "-r", "20", remote=agent.address)
    assert sipp.wait(30) == 0
    assert (sipp.calls().successful, sipp.calls().retransmissions) == (20, 0)


def test_calls_are_rejected_with_the_status_asked_for(start: Starter) -> None:
    """`--on-call reject:486`: every caller hears that we are busy, and its ACK is taken."""
    agent = start.agent("--on-call=reject:486")
    sipp = start.sipp("rejected", "-m", "20", "-r", "20", remote=agent.address)
    assert sipp.wait(30) == 0
    assert (sipp.calls().successful, sipp.calls().retransmissions) == (20, 0)


def test_a_message_comes_back_to_its_sender(start: Starter) -> None:
    """The agent echoes MESSAGE to its sender: 200 to the one that came, then a MESSAGE of its own."""
    agent = start.agent()
    log = start.folder / "echoed.txt"
    options = ("-oocsf", str(SCENARIOS / "message_answerer.xml"), "-trace_logs", "-log_file", str(log))
    # SIPp ends with its last call; the call that waits keeps it there until the echo has come.
    sipp = start.sipp("message", *options, "-m", "2", "-r", "1", remote=agent.address)
    wait_until(lambda: log.exists() and "Watson, come here." in log.read_text(), "the message comes back")
    assert sipp.wait(30) == 0


def test_the_agent_ends_a_call_that_is_left_when_it_stops(start: Starter) -> None:
    """Stops gracefully on SIGTERM: BYE to live calls, done within 32 s."""
    agent = start.agent()
    log = start.folder / "held.txt"
    sipp = start.sipp("held", "-m", "1", "-trace_logs", "-log_file", str(log), remote=agent.address)
    wait_until(lambda: log.exists() and "established" in log.read_text(), "the call stands")
    agent.finish(32)
    assert sipp.wait(20) == 0
