"""The calls that sip-agent takes: its sessions, what it refuses, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from sipactors.client import Capabilities, InviteUsage, MessageElements
from sipactors.sdp import SessionDescription
from sipactors.testing import Clock, Network, Phone, ladder
from sipactors.testing.agents import SDP, offer
from sipactors.twistd.answering import Call


@pytest.fixture
def network() -> Network:
    """A network on a clock of its own."""
    return Network(Clock())


def _agent(network: Network) -> Phone:
    def take(transaction: Any) -> None:
        Call().take(transaction, accept=True)

    anything = Capabilities(accept=("application/sdp", "*/*"))
    return Phone(network, "agent", "10.0.0.2", on_call=take, capabilities=anything)


def _sessions(network: Network) -> list[SessionDescription]:
    answers = [packet.data for packet in network.capture if b"SIP/2.0 200" in packet.data]
    bodies = [data.partition(b"\r\n\r\n")[2] for data in answers]
    return [SessionDescription.parse(body) for body in bodies if body]


def test_a_call_that_is_never_acknowledged_is_ended_with_bye(network: Network) -> None:
    """RFC 3261 §13.3.1.4: after 64*T1 without an ACK the session should be terminated by sending a BYE."""
    alice = Phone(network, "alice", "10.0.0.1")
    agent = _agent(network)
    network.drop("ACK", times=1000)
    alice.call(agent)
    network.clock.advance(40)
    assert "agent -> alice BYE" in ladder(network)
    network.clock.advance(100)
    assert agent.left_behind() == {}


def test_a_session_keeps_its_id_and_counts_its_version(network: Network) -> None:
    """RFC 3264 §8: the origin line MUST be the same, except that the version MUST increment by one."""
    alice = Phone(network, "alice", "10.0.0.1")
    usage = alice.call(_agent(network))
    network.clock.advance(1)
    for body in (SDP.replace(b"a=rtpmap", b"a=sendonly\r\na=rtpmap"), SDP, SDP):
        usage.invite(offer(body))
        network.clock.advance(1)
    sessions = _sessions(network)
    assert len({session.origin.session_id for session in sessions}) == 1
    first = sessions[0].origin.version
    assert [session.origin.version - first for session in sessions] == [0, 1, 2, 2]


@pytest.mark.parametrize(
    ("elements", "statuses"),
    [
        (MessageElements(body=b"x", content_type="application/unknown"), ["415"]),
        (MessageElements(body=b"x", content_type="application/sdp"), ["400"]),
        (offer(SDP.replace(b"RTP/AVP", b"RTP/SAVP")), ["488"]),
        (
            MessageElements(
                [("Content-Disposition", "session;handling=optional")],
                b"x",
                content_type="application/unknown",
            ),
            ["180", "200"],
        ),
        (
            MessageElements(
                body=b"--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
                + b"--b\r\nContent-Type: application/sdp\r\n\r\n"
                + SDP
                + b"\r\n--b--\r\n",
                content_type="multipart/mixed;boundary=b",
            ),
            ["180", "200"],
        ),
        (MessageElements(), ["180", "200"]),
    ],
    ids=["unknown body", "broken offer", "no stream in common", "optional body", "multipart", "no offer"],
)
def test_what_cannot_be_taken_is_refused_before_it_rings(
    network: Network, elements: MessageElements, statuses: list[str]
) -> None:
    """RFC 3261 §8.2.3: a body that is not understood and not optional is 415, with Accept."""
    alice = Phone(network, "alice", "10.0.0.1")
    agent = _agent(network)
    usage = InviteUsage.outgoing(alice.connection, agent.uri, from_=alice.uri)
    usage.invite(elements)
    network.clock.advance(0.1)
    answers = [line.split()[3] for line in ladder(network) if line.startswith("agent -> alice")]
    assert answers[: len(statuses)] == statuses
    if statuses == ["415"]:
        assert b"\r\nAccept: application/sdp\r\n" in network.capture[1].data
    if statuses == ["488"]:
        assert b"\r\nWarning: 304 " in network.capture[1].data
