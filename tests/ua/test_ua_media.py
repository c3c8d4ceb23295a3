"""A media session as calls drive it, and calls whose INVITE was forked."""

from __future__ import annotations

from typing import Any

import pytest
from ua_scene import Town, sdp
from zope.interface import implementer

from sipactors.errors import UnacceptableOffer
from sipactors.interfaces import IMediaSession
from sipactors.message import parse
from sipactors.sdp import answer_to
from sipactors.ua import Call, CallRejected, UserAgent

BOB = "sip:bob@10.0.0.2"


@implementer(IMediaSession)
class Media:
    """Notes what the call asks of it."""

    def __init__(self, host: str, call: Call | None) -> None:
        self.host = host
        self.call = call
        self.heard: list[Any] = []
        self.deaf = False

    def offer(self) -> object:
        self.heard.append("offer")
        return sdp(self.host, 8000)

    def answer(self, offer: Any) -> object:
        self.heard.append("answer")
        if self.deaf:
            raise UnacceptableOffer("nothing fits")
        return answer_to(offer, self.host, 9000)

    def start(self, streams: Any) -> None:
        self.heard += [("start", each.direction.value, each.remote_port) for each in streams if each]

    def hold(self, held: bool) -> None:
        self.heard.append(("hold", held))

    def stop(self) -> None:
        self.heard.append("stop")


@pytest.fixture
def town() -> Town:
    return Town()


def with_media(town: Town, name: str, address: str, medias: list[Media], deaf: bool = False) -> UserAgent:
    def make(call: Call | None) -> Media:
        medias.append(Media(address, call))
        medias[-1].deaf = deaf
        return medias[-1]

    agent = town.agent(name, address, media=make)
    agent.on_call(lambda call: call.accept())
    return agent


@pytest.mark.accepts("N2")
def test_a_call_drives_its_media_sessions(town: Town) -> None:
    """IMediaSession: offer, answer, start, hold, stop."""
    alices: list[Media] = []
    bobs: list[Media] = []
    alice = with_media(town, "alice", "10.0.0.1", alices)
    with_media(town, "bob", "10.0.0.2", bobs)
    call = town.wait(alice.call(BOB))
    town.wait(call.hold())
    town.wait(call.resume())
    town.wait(call.hangup())
    assert alices[0].heard == [
        "offer",
        ("start", "sendrecv", 9000),
        ("start", "sendonly", 9000),
        ("hold", True),
        ("start", "sendonly", 9000),
        ("start", "sendrecv", 9000),
        ("hold", False),
        ("start", "sendrecv", 9000),
        "stop",
    ]
    assert bobs[0].heard == [
        "answer",
        ("start", "sendrecv", 8000),
        ("start", "recvonly", 8000),
        ("start", "sendrecv", 8000),
        "stop",
    ]
    assert isinstance(bobs[0].call, Call)
    assert town.left_behind() == {}


def test_media_that_fits_nothing_refuses_the_call(town: Town) -> None:
    """RFC 3261 §13.3.1.3: 488, and the media session is stopped."""
    alices: list[Media] = []
    bobs: list[Media] = []
    alice = with_media(town, "alice", "10.0.0.1", alices)
    with_media(town, "bob", "10.0.0.2", bobs, deaf=True)
    with pytest.raises(CallRejected, match="488"):
        town.wait(alice.call(BOB))
    assert alices[0].heard == ["offer", "stop"]
    assert bobs[0].heard == ["answer", "stop"]


def test_an_invite_without_an_offer_is_offered_by_the_media_session(town: Town) -> None:
    """RFC 3261 §13.2.1: the 2xx has the offer, the ACK the answer."""
    bobs: list[Media] = []
    with_media(town, "bob", "10.0.0.2", bobs)
    alice = town.agent("alice", "10.0.0.1")
    call = town.wait(alice.call(BOB))
    assert bobs[0].heard == ["offer", ("start", "sendrecv", 9)]
    town.wait(call.hangup())
    assert town.left_behind() == {}


def forked(town: Town, data: bytes, *changes: tuple[bytes, bytes]) -> None:
    """Let the response come from another UAS that a proxy forked the INVITE to as well."""
    for old, new in changes:
        data = data.replace(old, new)
    body = data.partition(b"\r\n\r\n")[2]
    response = parse(data)
    assert len(body) == len(response.body) or not response.body
    bob = town.network.hosts["bob"]
    port = bob.listenUDP(0, _Sender(), "10.0.0.2")
    port.write(data, ("10.0.0.1", 5060))


class _Sender:
    def makeConnection(self, transport: Any) -> None: ...

    def datagramReceived(self, data: bytes, address: Any) -> None: ...

    def doStart(self) -> None: ...

    def doStop(self) -> None: ...


def last(town: Town, status: bytes) -> bytes:
    return next(p.data for p in reversed(town.network.capture) if p.data.startswith(b"SIP/2.0 " + status))


@pytest.mark.accepts("N2")
def test_the_first_fork_that_answers_has_the_call(town: Town) -> None:
    """RFC 3261 §13.2.2.4: of the dialogs that one INVITE made, those that are not wanted end with BYE."""
    alice, bob = town.agent("alice", "10.0.0.1"), town.agent("bob", "10.0.0.2")
    bob.on_call(lambda call: call.ring())
    call = alice.dial(BOB, sdp("10.0.0.1"), observer=town.observer("alice"))
    town.clock.advance(1)
    ringing = parse(last(town, b"180"))
    tag = ringing.to_tag.encode()
    bob.calls[0].accept(sdp("10.0.0.2", 5000))
    town.clock.advance(1)
    answer = last(town, b"200")
    assert call.usage.dialog.remote_tag == tag.decode()
    town.ladder()
    forked(town, answer, (tag, b"f" * len(tag)), (b"m=audio 5000", b"m=audio 5555"))
    town.clock.advance(1)
    lines = town.ladder()
    assert "alice -> bob ACK" in lines
    assert "alice -> bob BYE" in lines
    assert call.state == "CONFIRMED"
    assert [stream.remote_port for stream in call.media.streams if stream] == [5000]
    assert town.recorder.names("alice") == ["progressed", "answered"]
    town.wait(call.hangup())
    assert town.left_behind() == {}


@pytest.mark.accepts("N2")
def test_another_fork_than_the_one_that_rang_may_answer(town: Town) -> None:
    """RFC 3261 §13.2.2.4: a 2xx with another tag makes a new dialog, which is then the call's."""
    alice, bob = town.agent("alice", "10.0.0.1"), town.agent("bob", "10.0.0.2")
    bob.on_call(lambda call: call.early_media(sdp("10.0.0.2", 5000)))
    call = alice.dial(BOB, sdp("10.0.0.1"))
    town.clock.advance(1)
    early = last(town, b"183")
    tag = parse(early).to_tag.encode()
    forked(
        town,
        early,
        (b"SIP/2.0 183 Session Progress", b"SIP/2.0 200 OK"),
        (tag, b"f" * len(tag)),
        (b"m=audio 5000", b"m=audio 5555"),
        (b"Require: 100rel\r\n", b""),
    )
    town.clock.advance(1)
    assert call.state == "CONFIRMED"
    assert call.usage.dialog.remote_tag == "f" * len(tag)
    assert [stream.remote_port for stream in call.media.streams if stream] == [5555]
    assert town.wait(call.answered()) is call
