"""sipsak, the SIP engineer's ping, asks the agent."""

from __future__ import annotations

from starter import Starter


def test_sipsak_gets_its_answer(start: Starter) -> None:
    """`sipsak -vv -s sip:echo@127.0.0.1`: OPTIONS is answered 200, at the first attempt."""
    agent = start.agent()
    sipsak = start.sipsak("-vv", "-s", f"sip:echo@{agent.address}")
    assert sipsak.wait(15) == 0
    assert "SIP/2.0 200" in sipsak.output()
    assert "timeout" not in sipsak.output()


def test_sipsak_reads_what_the_agent_can_do(start: Starter) -> None:
    """RFC 3261 §11.2: Allow, Accept and Supported SHOULD be present in a 200 to OPTIONS."""
    agent = start.agent()
    sipsak = start.sipsak("-vvv", "-s", f"sip:echo@{agent.address}")
    assert sipsak.wait(15) == 0
    for name in ("Allow:", "Accept:", "Supported:"):
        assert name in sipsak.output()


def test_sipsak_over_tcp(start: Starter) -> None:
    """The answer comes back over the connection that the request came by."""
    agent = start.agent()
    sipsak = start.sipsak("-vv", "-E", "tcp", "-s", f"sip:echo@{agent.address}")
    assert sipsak.wait(15) == 0
    assert "SIP/2.0 200" in sipsak.output()


def test_sipsak_sends_a_message(start: Starter) -> None:
    """RFC 3428 §7: a UAS that takes a MESSAGE answers it 200."""
    agent = start.agent()
    lines = (
        f"MESSAGE sip:echo@{agent.address} SIP/2.0",
        "From: <sip:sipsak@127.0.0.1>;tag=8a",
        f"To: <sip:echo@{agent.address}>",
        "Call-ID: 4242@127.0.0.1",
        "CSeq: 1 MESSAGE",
        "Max-Forwards: 70",
        "Content-Type: text/plain",
        "Content-Length: 18",
        "",
        "Watson, come here.",
    )
    # Debian's sipsak 0.9.8.1 crashes on its own -M before it sends anything; it adds the Via to a file.
    message = start.folder / "message.sip"
    message.write_text("\n".join(lines))
    sipsak = start.sipsak("-vv", "-f", str(message), "-s", f"sip:echo@{agent.address}")
    assert sipsak.wait(15) == 0
    assert "SIP/2.0 200" in sipsak.output()
