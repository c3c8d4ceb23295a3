"""baresip, a whole telephone, calls the agent."""

from __future__ import annotations

from starter import Starter


def test_baresip_calls_and_hangs_up(start: Starter) -> None:
    """baresip as a caller (`/dial`): the call stands, its media are agreed, and its BYE is answered."""
    agent = start.agent()
    baresip = start.baresip("-t", "3", "-e", f"/dial sip:echo@{agent.address}")
    baresip.wait_for("Call established")
    assert baresip.wait(20) == 0
    heard = baresip.output()
    assert "Set audio encoder: PCMU" in heard
    assert "SIP/2.0 180" in heard
    bye = heard[heard.index("BYE sip:") :]
    assert "SIP/2.0 200" in bye, "the BYE was not answered"


def test_baresip_calls_over_tcp(start: Starter) -> None:
    """A call whose every message goes over one TCP connection."""
    agent = start.agent()
    baresip = start.baresip("-t", "3", "-e", f"/dial sip:echo@{agent.address};transport=tcp")
    baresip.wait_for("Call established")
    assert baresip.wait(20) == 0
    assert "TCP 127.0.0.1" in baresip.output()
    assert "UDP 127.0.0.1" not in baresip.output()


def test_baresip_hears_that_we_are_busy(start: Starter) -> None:
    """`--on-call reject:486` is shown to the caller as the status it is."""
    agent = start.agent("--on-call=reject:486")
    baresip = start.baresip("-t", "3", "-e", f"/dial sip:echo@{agent.address}")
    baresip.wait_for("486 Busy Here")
    assert baresip.wait(20) == 0
    assert "Call established" not in baresip.output()


def test_baresip_hears_the_agent_hang_up(start: Starter) -> None:
    """On SIGTERM the agent sends BYE to live calls, and is done when it is answered."""
    agent = start.agent()
    baresip = start.baresip("-t", "30", "-e", f"/dial sip:echo@{agent.address}")
    baresip.wait_for("Call established")
    agent.finish(15)
    baresip.wait_for("session closed")
