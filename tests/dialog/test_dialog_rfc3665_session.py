"""Session establishment of RFC 3665, §3.1 to §3.11, message by message: the ladder is the expected value."""

from __future__ import annotations

from typing import Any

import pytest
from call_proxies import ScriptedProxy
from call_scenes import ANSWER, Scene, reply, sdp

from sipactors.client import Digest, InviteUsage
from sipactors.locating import SRV
from sipactors.testing.agents import Phone
from sipactors.testing.dns import StaticResolver

pytestmark = pytest.mark.accepts("G7", "G14", "G16")

ENDING = [
    "bob -> alice BYE",
    "alice -> bob 200 BYE",
]


def arrows(text: str) -> list[str]:
    """The ladder, written as one line `alice p1 INVITE` for each message."""
    lines = [line.split(None, 2) for line in text.strip().splitlines()]
    return [f"{source} -> {destination} {what}" for source, destination, what in lines]


def proxied(**options: Any) -> tuple[Scene, ScriptedProxy, ScriptedProxy]:
    """Alice behind proxy p1, Bob behind proxy p2."""
    scene = Scene(**options)
    second = ScriptedProxy(scene.network, "p2", "10.0.0.12", "10.0.0.2")
    first = ScriptedProxy(scene.network, "p1", "10.0.0.11", "10.0.0.12")
    scene.alice.stack.access_points[0].point.outbound_proxy = "sip:10.0.0.11;lr"
    return scene, first, second


def test_3_1_successful_session_establishment() -> None:
    """RFC 3665 §3.1: "Alice completes a call to Bob directly"; INVITE with SDP, 180, 200 with SDP, ACK,
    BYE."""
    scene = Scene()
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    scene.bob.calls[-1].bye()
    scene.wait()
    assert scene.ladder() == arrows("""
        alice bob INVITE
        bob alice 180 INVITE
        bob alice 200 INVITE
        alice bob ACK
        bob alice BYE
        alice bob 200 BYE
    """)
    assert usage.dialog.state == "TERMINATED"
    scene.nothing_left()


def test_3_2_session_establishment_through_two_proxies() -> None:
    """RFC 3665 §3.2: both proxies stay in the path by Record-Route, so ACK and BYE pass them."""
    scene, _, _ = proxied()
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    scene.bob.calls[-1].bye()
    scene.wait()
    assert scene.ladder() == arrows("""
        alice p1 INVITE
        p1 alice 100 INVITE
        p1 p2 INVITE
        p2 p1 100 INVITE
        p2 bob INVITE
        bob p2 180 INVITE
        p2 p1 180 INVITE
        p1 alice 180 INVITE
        bob p2 200 INVITE
        p2 p1 200 INVITE
        p1 alice 200 INVITE
        alice p1 ACK
        p1 p2 ACK
        p2 bob ACK
        bob p2 BYE
        p2 p1 BYE
        p1 alice BYE
        alice p1 200 BYE
        p1 p2 200 BYE
        p2 bob 200 BYE
    """)
    assert [str(route) for route in usage.dialog.route_set] == ["<sip:10.0.0.11;lr>", "<sip:10.0.0.12;lr>"]
    scene.nothing_left()


def test_3_3_session_with_multiple_proxy_authentication() -> None:
    """RFC 3665 §3.3: each proxy challenges with 407; the INVITE comes again with the credentials of both, in
    one dialog: the same Call-ID and From tag, a higher CSeq."""
    scene, first, second = proxied()
    first.challenge, second.challenge = "atlanta", "biloxi"
    digest = Digest(scene.alice.client)
    digest.preload("atlanta", "alice", "one")
    digest.preload("biloxi", "alice", "two")
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    scene.bob.calls[-1].bye()
    scene.wait()
    invites = [m for m in scene.messages("INVITE") if len(m.vias) == 1]
    assert len({(m.call_id, m.from_tag) for m in invites}) == 1
    assert [m.cseq.number for m in invites] == [1, 2, 3]
    acks = [m for m in scene.messages("ACK") if len(m.vias) == 1 and m.cseq.number == 3]
    assert len(acks[0].get_all("Proxy-Authorization")) == 2
    assert scene.ladder() == arrows("""
        alice p1 INVITE
        p1 alice 407 INVITE
        alice p1 ACK
        alice p1 INVITE
        p1 alice 100 INVITE
        p1 p2 INVITE
        p2 p1 407 INVITE
        p1 p2 ACK
        p1 alice 407 INVITE
        alice p1 ACK
        alice p1 INVITE
        p1 alice 100 INVITE
        p1 p2 INVITE
        p2 p1 100 INVITE
        p2 bob INVITE
        bob p2 180 INVITE
        p2 p1 180 INVITE
        p1 alice 180 INVITE
        bob p2 200 INVITE
        p2 p1 200 INVITE
        p1 alice 200 INVITE
        alice p1 ACK
        p1 p2 ACK
        p2 bob ACK
        bob p2 BYE
        p2 p1 BYE
        p1 alice BYE
        alice p1 200 BYE
        p1 p2 200 BYE
        p2 bob 200 BYE
    """)
    assert usage.dialog.state == "TERMINATED"


def test_3_4_successful_session_with_proxy_failure() -> None:
    """RFC 3665 §3.4: the primary proxy does not answer; after its INVITEs have timed out Alice uses the
    secondary one, which SRV names (RFC 3263 §4.3)."""
    scene = Scene()
    zone = {
        "_sip._udp.example.com": [SRV(1, 1, 5060, "a.example.com"), SRV(2, 1, 5060, "b.example.com")],
        "a.example.com": ["10.0.0.21"],
        "b.example.com": ["10.0.0.12"],
    }
    ScriptedProxy(scene.network, "p2", "10.0.0.12", "10.0.0.2").domain = "example.com"
    dead = scene.network.host("p1", "10.0.0.21")
    dead.refuses = False
    alice = Phone(
        *(scene.network, "carol", "10.0.0.5"), transports=("udp",), resolver=StaticResolver(zone, scene.clock)
    )
    alice.stack.access_points[0].point.outbound_proxy = "sip:example.com;lr"
    usage = alice.call(scene.bob)
    scene.wait(33)
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait(0.1)
    assert [line for line in scene.ladder() if "ACK" not in line] == arrows("""
        carol p1 INVITE (lost)
        carol p1 INVITE (lost)
        carol p1 INVITE (lost)
        carol p1 INVITE (lost)
        carol p1 INVITE (lost)
        carol p1 INVITE (lost)
        carol p1 INVITE (lost)
        carol p2 INVITE
        p2 carol 100 INVITE
        p2 bob INVITE
        bob p2 180 INVITE
        p2 carol 180 INVITE
        bob p2 200 INVITE
        p2 carol 200 INVITE
    """)
    assert usage.dialog.state == "CONFIRMED"


def test_3_5_session_through_a_sip_alg() -> None:
    """RFC 3665 §3.5: the gateway between Alice and Bob stays in the path and changes the session descriptions
    on their way; the agents see only each other's dialog."""
    scene = Scene()
    ScriptedProxy(scene.network, "alg", "10.0.0.15", "10.0.0.2")
    scene.network.alter(lambda p: p.source[0] == "10.0.0.15", lambda d: d.replace(b"192.0.2.", b"198.51.1"))
    scene.alice.stack.access_points[0].point.outbound_proxy = "sip:10.0.0.15;lr"
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    assert b"198.51.12" in usage.transaction.response.body
    usage.bye()
    scene.wait()
    assert scene.ladder() == arrows("""
        alice alg INVITE
        alg alice 100 INVITE
        alg bob INVITE
        bob alg 180 INVITE
        alg alice 180 INVITE
        bob alg 200 INVITE
        alg alice 200 INVITE
        alice alg ACK
        alg bob ACK
        alice alg BYE
        alg bob BYE
        bob alg 200 BYE
        alg alice 200 BYE
    """)


def test_3_6_session_via_redirect_and_proxy_servers_with_sdp_in_ack() -> None:
    """RFC 3665 §3.6: the redirect server names the proxy; the INVITE has no SDP, so the offer is in the 200
    and
    the answer in the ACK."""
    scene = Scene()
    redirecting = ScriptedProxy(scene.network, "p1", "10.0.0.11")
    redirecting.redirect = "<sip:bob@10.0.0.13>"
    ScriptedProxy(scene.network, "p3", "10.0.0.13", "10.0.0.2")
    usage = InviteUsage.outgoing(scene.alice.connection, "sip:bob@10.0.0.11", from_=scene.alice.uri)
    usage.follow_redirects = True
    usage.invite()
    scene.wait()
    scene.bob.invitations[-1].respond(reply(200, ANSWER))
    scene.wait()
    usage.ack(usage.transaction, sdp())
    scene.wait()
    assert scene.on_request("bob").request.body == sdp().body
    scene.bob.calls[-1].bye()
    scene.wait()
    assert scene.ladder() == arrows("""
        alice p1 INVITE
        p1 alice 302 INVITE
        alice p1 ACK
        alice p3 INVITE
        p3 alice 100 INVITE
        p3 bob INVITE
        bob p3 180 INVITE
        p3 alice 180 INVITE
        bob p3 200 INVITE
        p3 alice 200 INVITE
        alice p3 ACK
        p3 bob ACK
        bob p3 BYE
        p3 alice BYE
        alice p3 200 BYE
        p3 bob 200 BYE
    """)


def test_3_7_session_with_reinvite_for_a_changed_address() -> None:
    """RFC 3665 §3.7: Bob's address changes: his re-INVITE brings the new Contact, to which the BYE goes."""
    scene = Scene()
    alice, _ = scene.established()
    scene.bob.host.add_address("10.0.0.22")
    scene.bob.stack.access_points[0].transports.listen("udp:5060:interface=10.0.0.22")
    bob = scene.bob.calls[-1]
    bob.contact = "<sip:bob@10.0.0.22>"
    bob.invite(sdp(ANSWER))
    scene.wait()
    scene.on_request("alice").respond(reply(200, sdp().body))
    scene.wait()
    scene.network.capture.clear()
    assert str(alice.dialog.remote_target) == "sip:bob@10.0.0.22"
    alice.bye()
    scene.wait()
    assert scene.network.capture[0].destination == ("10.0.0.22", 5060)
    assert scene.ladder() == ["alice -> bob BYE", "bob -> alice 200 BYE"]


def test_3_8_unsuccessful_no_answer() -> None:
    """RFC 3665 §3.8: Bob does not answer; Alice's CANCEL passes hop by hop, the 487 comes back, each hop
    acknowledges it."""
    scene, _, _ = proxied()
    usage = scene.alice.call(scene.bob)
    scene.wait()
    scene.ladder()
    usage.transaction.cancel()
    scene.wait()
    assert scene.ladder() == arrows("""
        alice p1 CANCEL
        p1 alice 200 CANCEL
        p1 p2 CANCEL
        p2 p1 200 CANCEL
        p2 bob CANCEL
        bob p2 200 CANCEL
        bob p2 487 INVITE
        p2 bob ACK
        p2 p1 487 INVITE
        p1 p2 ACK
        p1 alice 487 INVITE
        alice p1 ACK
    """)
    assert usage.transaction.response.status == 487
    scene.nothing_left()


@pytest.mark.parametrize("status", [486, 480])
def test_3_9_and_3_11_unsuccessful_busy_or_temporarily_unavailable(status: int) -> None:
    """RFC 3665 §3.9: Bob answers 486 Busy Here; §3.11: 180, and later 480 Temporarily Unavailable."""
    scene, _, _ = proxied(on_call=486 if status == 486 else "ring")
    usage = scene.alice.call(scene.bob)
    scene.wait()
    ringing = ""
    if status == 480:
        scene.bob.invitations[-1].respond(reply(480))
        scene.wait()
        ringing = "bob p2 180 INVITE\np2 p1 180 INVITE\np1 alice 180 INVITE"
    assert scene.ladder() == arrows(
        f"""
        alice p1 INVITE
        p1 alice 100 INVITE
        p1 p2 INVITE
        p2 p1 100 INVITE
        p2 bob INVITE
        {ringing}
        bob p2 {status} INVITE
        p2 bob ACK
        p2 p1 {status} INVITE
        p1 p2 ACK
        p1 alice {status} INVITE
        alice p1 ACK
    """.replace("        \n", "")
    )
    assert usage.transaction.response.status == status
    assert usage.dialog.state == "TERMINATED"
    scene.nothing_left()


def test_3_10_unsuccessful_no_response_from_user_agent() -> None:
    """RFC 3665 §3.10: Bob's agent does not respond at all; the proxy gives up and answers 480."""
    scene, _, second = proxied()
    scene.network.drop(lambda p: p.destination[0] == "10.0.0.2", None)
    second.give_up = 8.0
    usage = scene.alice.call(scene.bob)
    scene.wait(9)
    assert scene.ladder() == [
        *arrows("""
            alice p1 INVITE
            p1 alice 100 INVITE
            p1 p2 INVITE
            p2 p1 100 INVITE
        """),
        "p2 -> bob INVITE (dropped)",
        *arrows("""
            p2 p1 480 INVITE
            p1 p2 ACK
            p1 alice 480 INVITE
            alice p1 ACK
        """),
    ]
    assert usage.transaction.response.status == 480
    scene.nothing_left()
