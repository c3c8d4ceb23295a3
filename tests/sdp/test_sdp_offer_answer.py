"""Offer and answer by the rules of RFC 3264: directions, formats, slots, versions, glare, refusals."""

from __future__ import annotations

import pytest

from sipactors.errors import ArgumentError, MalformedMessage, OfferPending, RequestPending, UnacceptableOffer
from sipactors.sdp import (
    Direction,
    Format,
    LocalMedia,
    OfferAnswer,
    OfferAnswerState,
    Origin,
    SessionDescription,
    answer,
    answer_to,
    audio_offer,
    new_origin,
    offer,
)

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
ORIGIN = Origin("-", "7", 7, "192.0.2.9")
S, R, B, N = Direction.SENDONLY, Direction.RECVONLY, Direction.SENDRECV, Direction.INACTIVE


def described(*lines: str) -> SessionDescription:
    return SessionDescription.parse(HEAD + "".join(line + "\r\n" for line in lines), strict=True)


def side(*media: LocalMedia, number: int = 1, **more: object) -> OfferAnswer:
    return OfferAnswer(f"192.0.2.{number}", media, session_id=number, **more)  # type: ignore[arg-type]


def connected() -> tuple[OfferAnswer, OfferAnswer]:
    a, b = side(LocalMedia(4000)), side(LocalMedia(5000), number=2)
    exchange(a, b)
    return a, b


def exchange(offerer: OfferAnswer, answerer: OfferAnswer) -> tuple[SessionDescription, SessionDescription]:
    made = offerer.offer()
    answerer.offer_received(made.render())
    answered = answerer.answer()
    offerer.answer_received(answered.render())
    return made, answered


@pytest.mark.accepts("C13")
@pytest.mark.parametrize(
    ("offered", "wanted", "answered"),
    [
        (B, B, B), (B, S, S), (B, R, R), (B, N, N),
        (S, B, R), (S, S, N), (S, R, R), (S, N, N),
        (R, B, S), (R, S, S), (R, R, N), (R, N, N),
        (N, B, N), (N, S, N), (N, R, N), (N, N, N),
    ],
)  # fmt: skip
@pytest.mark.parametrize("level", ["session", "media"])
def test_the_answers_direction_is_what_both_allow(
    offered: Direction, wanted: Direction, answered: Direction, level: str
) -> None:
    """RFC 3264 §6.1: sendonly is answered by recvonly or inactive, recvonly by sendonly or inactive."""
    description = described("m=audio 9 RTP/AVP 0")
    (description if level == "session" else description.media[0]).direction = offered
    result = answer(description, [LocalMedia(4000, direction=wanted)], ORIGIN)
    assert result.direction_of(result.media[0]) is answered


@pytest.mark.accepts("C13")
@pytest.mark.parametrize(("before", "held"), [(B, S), (S, S), (R, N), (N, N)])
def test_hold_leaves_what_is_sent_and_resume_restores_all(before: Direction, held: Direction) -> None:
    """RFC 3264 §8.4: a stream that was sendrecv is held by sendonly, one that was recvonly by inactive."""
    a, b = side(LocalMedia(4000, direction=before)), side(LocalMedia(5000), number=2)
    exchange(a, b)
    a.hold()
    made, answered = exchange(a, b)
    assert made.direction_of(made.media[0]) is held
    assert answered.direction_of(answered.media[0]) is held.reversed
    assert made.origin.version == (2 if held is not before else 1)
    # The peer's own offer in between does not end our hold.
    _, answered = exchange(b, a)
    assert not answered.direction_of(answered.media[0]).receives
    a.resume()
    made, answered = exchange(a, b)
    assert made.direction_of(made.media[0]) is before
    (stream,) = b.negotiated
    assert stream is not None
    assert stream.direction is before.reversed
    assert stream.held_by_peer is (not before.receives)


@pytest.mark.accepts("C13")
def test_both_sides_may_hold() -> None:
    a, b = connected()
    a.hold(0)
    exchange(a, b)
    b.hold()
    made, answered = exchange(b, a)
    assert (made.media[0].direction, answered.media[0].direction) == (S, N)
    a.resume()
    made, answered = exchange(a, b)
    assert (made.media[0].direction, answered.media[0].direction) == (B, S)
    b.resume()
    exchange(b, a)
    assert [stream and stream.direction for stream in a.negotiated] == [B]


@pytest.mark.accepts("C13")
def test_formats_keep_the_offers_numbers_and_order() -> None:
    """RFC 3264 §6.1: the same payload type number SHOULD be used, in the same relative order."""
    description = described(
        "m=audio 9 RTP/AVP 18 96 8 0 120 13",
        "a=rtpmap:96 opus/48000/2",
        "a=fmtp:96 useinbandfec=1",
        "a=rtpmap:120 telephone-event/8000",
        "a=fmtp:120 0-16",
        "a=ptime:30",
    )
    local = LocalMedia(4000, ["PCMU/8000", "opus/48000/2", "telephone-event/8000", "G722/8000"])
    (stream,) = answer(description, [local], ORIGIN).media
    assert stream.render_lines() == [
        "m=audio 4000 RTP/AVP 96 0 120",
        "a=rtpmap:96 opus/48000/2",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:120 telephone-event/8000",
        "a=fmtp:120 0-15",
        "a=ptime:30",
    ]
    (stream,) = answer(description, [local], ORIGIN, prefer="answer").media
    assert stream.formats == ["0", "96", "120"]
    (stream,) = answer(description, [local], ORIGIN, prefer="answer", single=True).media
    assert stream.formats == ["0", "120"]
    (stream,) = answer(description, [LocalMedia(4000, ["G729/8000"], ptime="20")], ORIGIN).media
    assert stream.lines == ["a=rtpmap:18 G729/8000", "a=ptime:20"]


@pytest.mark.accepts("C13")
def test_the_answer_has_the_offers_streams_in_their_order_and_its_times() -> None:
    """RFC 3264 §6: for each m= line in the offer there MUST be a corresponding m= line in the answer."""
    description = described(
        "m=video 9 RTP/AVP 31",
        "m=audio 0 RTP/AVP 0",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "m=audio 9 RTP/SAVP 0",
        "m=audio 11 RTP/AVP 0",
        "m=image 13 udptl t38",
    )
    description.lines[description.lines.index("t=0 0")] = "t=3724394400 3724398000"
    local = [LocalMedia(4000), LocalMedia(4002, ["t38"], "image", "udptl")]
    result = answer(description, local, ORIGIN)
    assert [media.render_lines()[0] for media in result.media] == [
        "m=video 0 RTP/AVP 31",
        "m=audio 0 RTP/AVP 0",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 4000 RTP/AVP 0",
        "m=image 4002 udptl t38",
    ]
    assert result.times == description.times


@pytest.mark.accepts("C13")
@pytest.mark.parametrize(
    "lines",
    [
        ["m=video 9 RTP/AVP 31"],
        ["m=audio 9 RTP/AVP 18"],
        ["m=audio 9 RTP/AVP 18 101", "a=rtpmap:101 telephone-event/8000"],
        ["m=audio 9 RTP/SAVP 0"],
        ["m=audio 0 RTP/AVP 0", "m=audio 9 RTP/AVP 18"],
    ],
)
def test_an_offer_with_nothing_in_common_is_told_apart(lines: list[str]) -> None:
    """RFC 3261 §21.4.26: 488 (Not Acceptable Here) is for a session description that cannot be accepted."""
    with pytest.raises(UnacceptableOffer) as caught:
        answer_to(described(*lines).render(), "192.0.2.9", 4000)
    assert caught.value.status == 488
    agent = side(LocalMedia(4000))
    agent.offer_received(described(*lines))
    with pytest.raises(UnacceptableOffer):
        agent.answer()
    # The offer is rejected with that, and another may come.
    assert agent.state is OfferAnswerState.IDLE
    agent.offer_received(described("m=audio 9 RTP/AVP 0"))
    agent.answer()


def test_answer_to_and_audio_offer_need_nothing_more() -> None:
    made = audio_offer("192.0.2.1", 4000)
    answered = answer_to(made.render(), "2001:db8::9", 5000)
    assert answered.media[0].formats == made.media[0].formats == ["0", "8", "101"]
    assert answered.connection is not None
    assert (answered.connection.address_type, answered.connection.address) == ("IP6", "2001:db8::9")
    # RFC 3264 §8: one version is one body, so a repeated offer gets the same answer.
    assert answer_to(made, "2001:db8::9", 5000) == answered
    assert answer_to(made, "2001:db8::9", 5002).origin.session_id != answered.origin.session_id
    assert answer_to(made, "192.0.2.9", 5000, session_id=5).origin == Origin("-", "5", 5, "192.0.2.9")
    avpf = described("m=audio 9 RTP/AVPF 0", "m=audio 11 RTP/AVP 0")
    assert [media.port for media in answer_to(avpf, "192.0.2.9", 5000).media] == [5000, 0]
    for host, port in (("192.0.2.9", 0), ("192.0.2.9", 70000), ("[::1]", 5000), ("a b", 5000)):
        with pytest.raises(ArgumentError, match="SDP "):
            answer_to(made, host, port)


@pytest.mark.accepts("C13", "B2")
def test_two_offers_at_once_are_glare() -> None:
    """RFC 3264 §4: an offer must not be made while another one waits; RFC 3311 §5.2: 491 and 500."""
    a, b = connected()
    made, other = a.offer(), b.offer()
    with pytest.raises(OfferPending) as caught:
        a.offer_received(other)
    assert caught.value.status == 491
    with pytest.raises(RequestPending):
        a.offer()
    a.offer_rejected()
    b.offer_rejected()
    assert (a.state, b.state) == (OfferAnswerState.STABLE, OfferAnswerState.STABLE)
    b.offer_received(made)
    with pytest.raises(OfferPending) as caught:
        b.offer_received(made)
    assert caught.value.status == 500
    with pytest.raises(OfferPending):
        b.offer()
    b.reject_offer()
    assert b.state is OfferAnswerState.STABLE
    for wrong in (b.answer, b.reject_offer, b.offer_rejected, lambda: b.answer_received(made)):
        with pytest.raises(ArgumentError):
            wrong()


@pytest.mark.accepts("C13")
def test_a_rejected_offer_changes_nothing_and_its_version_is_used_up() -> None:
    """RFC 3261 §14.1: if a re-INVITE fails, the session description remains as it was."""
    a, b = connected()
    before = a.local
    a.hold()
    made = a.offer()
    assert made.origin.version == 2
    a.offer_rejected()
    assert a.local is before
    assert [stream and stream.direction for stream in a.negotiated] == [B]
    # Asked for again, it is the same description, and so the same version.
    assert a.offer() == made
    a.offer_rejected()
    a.resume()
    made, _ = exchange(a, b)
    assert made.origin.version == 3


@pytest.mark.accepts("C13")
def test_an_offer_that_changes_nothing_has_the_same_version() -> None:
    """RFC 3264 §8: if the version in the origin line does not increment, the SDP MUST be identical."""
    a, b = connected()
    first_made, first_answered = a.local, b.local
    made, answered = exchange(a, b)
    assert (made, answered) == (first_made, first_answered)
    assert not a.remote_changed
    assert not b.remote_changed


@pytest.mark.accepts("C13")
def test_a_rejected_slot_is_used_again() -> None:
    """RFC 3264 §8.1: a new stream may be created by using the slot of one that was disabled."""
    a, b = side(LocalMedia(4000), LocalMedia(4002, ["H261/90000"], "video")), side(LocalMedia(5000), number=2)
    exchange(a, b)
    assert a.streams[1] is None
    a.add(LocalMedia(4004, ["PCMA/8000"]))
    b.media.append(LocalMedia(5004))
    made, answered = exchange(a, b)
    assert [media.port for media in made.media] == [4000, 4004]
    assert [media.port for media in answered.media] == [5000, 5004]
    a.add(LocalMedia(4006, ["PCMA/8000"]))
    made, answered = exchange(a, b)
    assert [media.port for media in made.media] == [4000, 4004, 4006]
    assert [media.port for media in answered.media] == [5000, 5004, 0]
    b.remove(1)
    made, answered = exchange(b, a)
    assert [media.port for media in made.media] == [5000, 0, 0]
    assert [media.port for media in answered.media] == [4000, 0, 0]
    with pytest.raises(ArgumentError):
        a.remove(1)
    with pytest.raises(ArgumentError):
        a.hold(7)


@pytest.mark.accepts("C13")
def test_a_stream_can_be_wanted_no_more_at_any_time() -> None:
    """RFC 3264 §8.2: existing media streams are removed by a new SDP with the port set to zero."""
    a, b = side(LocalMedia(4000), LocalMedia(4002)), side(LocalMedia(5000), LocalMedia(5002), number=2)
    exchange(a, b)
    video = LocalMedia(4004, ["H261/90000"], "video")
    a.add(video)
    assert len(a.offer().media) == 3
    a.offer_rejected()
    a.remove(video)
    made = a.offer()
    assert len(made.media) == 2
    # Removed while our offer waits: the answer does not bring it back.
    a.remove(1)
    b.offer_received(made)
    a.answer_received(b.answer())
    assert a.streams[1] is None
    made, answered = exchange(a, b)
    assert [made.media[1].port, answered.media[1].port] == [0, 0]
    with pytest.raises(ArgumentError):
        a.remove(video)


WEB = (
    "a=group:BUNDLE v a",
    "a=ice-options:trickle",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "a=mid:v",
    "a=rtpmap:96 VP8/90000",
    "a=ice-ufrag:abcd",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "b=AS:64",
    "a=mid:a",
    "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789abcdefghijkl",
    "a=fingerprint:sha-256 AB:CD",
    "a=setup:actpass",
    "a=candidate:1 1 UDP 2130706431 192.0.2.1 9 typ host",
    "a=rtcp-mux",
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
)


@pytest.mark.accepts("C13")
def test_bundle_ice_and_dtls_attributes_stay_untouched() -> None:
    """RFC 9143 §7.3: the answer's stream carries the mid of the offer's; what we do not know, we keep."""
    ours = described(*WEB)
    a = side(number=1)
    assert a.offer(ours).render() == ours.render()
    opus = LocalMedia(
        5000,
        [Format("opus", 48000, "2", feedback=["transport-cc", "nack"])],
        protocol="UDP/TLS/RTP/SAVPF",
        attributes=[("ice-ufrag", "wxyz"), ("setup", "active"), ("rtcp-mux", None)],
    )
    b = side(opus, number=2, attributes=[("group", "BUNDLE a v")])
    b.offer_received(ours)
    answered = b.answer()
    assert answered.attribute("group") == "BUNDLE a"
    assert answered.media[0].render_lines()[:2] == ["m=video 0 UDP/TLS/RTP/SAVPF 96", "a=mid:v"]
    assert answered.media[1].render_lines() == [
        "m=audio 5000 UDP/TLS/RTP/SAVPF 111",
        "a=rtpmap:111 opus/48000/2",
        "a=rtcp-fb:111 transport-cc",
        "a=mid:a",
        "a=ice-ufrag:wxyz",
        "a=setup:active",
        "a=rtcp-mux",
    ]
    a.answer_received(answered)
    a.hold()
    made = a.offer()
    assert made.attribute("group") == "BUNDLE a"
    assert made.media[1].lines == [*ours.media[1].lines, "a=sendonly"]
    b.offer_received(made)
    again = b.answer()
    a.answer_received(again)
    assert again.media[1].lines == [*answered.media[1].lines, "a=recvonly"]
    # An answer from our side of what the application wrote repeats all of it.
    b.offer_received(a.offer())
    b.answer()
    a.resume()
    a.answer_received(b.answer() if b.pending else b.local)  # type: ignore[arg-type]
    a.offer_received(b.offer())
    assert set(ours.media[1].lines) <= {*a.answer().media[1].lines}


@pytest.mark.accepts("C13")
@pytest.mark.parametrize(
    "wrong",
    [
        "v=0\r\n",
        HEAD,
        HEAD + "m=audio 9 RTP/AVP 0\r\nm=audio 9 RTP/AVP 0\r\nm=audio 9 RTP/AVP 0\r\n",
        HEAD + "m=video 9 RTP/AVP 0\r\nm=audio 0 RTP/AVP 0\r\n",
    ],
)
def test_an_answer_that_does_not_fit_is_refused_and_the_offer_still_waits(wrong: str) -> None:
    """RFC 3264 §6: the answer MUST contain exactly the same number of m= lines as the offer."""
    a = side(LocalMedia(4000), LocalMedia(4002, ["H261/90000"], "video"))
    a.offer()
    with pytest.raises(MalformedMessage, match="SDP ") as caught:
        a.answer_received(wrong)
    assert caught.value.status == 400
    assert a.state is OfferAnswerState.LOCAL_OFFER
    a.answer_received(HEAD + "m=audio 9 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n")


@pytest.mark.accepts("C13")
def test_a_new_offer_never_drops_m_lines() -> None:
    """RFC 3264 §8: the new offer MUST have at least as many m= lines as the SDP before."""
    a, b = connected()
    with pytest.raises(ArgumentError, match="fewer m= lines"):
        a.offer(described())
    fewer = a.offer()
    a.offer_rejected()
    fewer.media.clear()
    with pytest.raises(MalformedMessage, match="SDP offer: 0 m= lines, 1 before"):
        b.offer_received(fewer)
    assert b.state is OfferAnswerState.STABLE
    # A peer that has become another one (RFC 3725) starts afresh.
    fewer.origin = Origin("-", "99", 1, "192.0.2.77")
    b.offer_received(fewer)
    assert b.answer().media == []


@pytest.mark.accepts("C13")
def test_strict_reading_wants_a_new_version_for_a_new_body() -> None:
    a, b = side(LocalMedia(4000)), side(LocalMedia(5000), number=2, strict=True)
    exchange(a, b)
    made = a.offer()
    made.media[0].port = 4444
    with pytest.raises(MalformedMessage, match="SDP o= line: the body changed"):
        b.offer_received(made)


@pytest.mark.accepts("C13")
@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([], "0 m= lines for 1"),
        (["m=video 9 RTP/AVP 0"], "is video, not audio"),
        (["m=audio 9 RTP/SAVP 0"], "is RTP/SAVP, not RTP/AVP"),
        (["m=audio 9 RTP/AVP 0", "a=sendonly"], "is sendonly, at most recvonly"),
    ],
)
def test_an_applications_answer_is_checked_against_the_offer(lines: list[str], what: str) -> None:
    b = side(number=2)
    b.offer_received(described("m=audio 9 RTP/AVP 0", "a=sendonly"))
    with pytest.raises(ArgumentError, match=what):
        b.answer(described(*lines))
    answered = b.answer(described("m=audio 9 RTP/AVP 0", "a=recvonly"))
    assert answered.origin.session_id == "1"
    # Recvonly was all that the offer allowed; the next offer of ours says what we want.
    assert b.offer().media[0].direction is B


@pytest.mark.accepts("C13")
def test_an_invite_without_an_offer_is_answered_with_all_formats() -> None:
    """RFC 3261 §14.2: the offer SHOULD include as many media formats as the UA is willing to support."""
    a = side(LocalMedia(4000, ["PCMU/8000"]))
    b = side(LocalMedia(5000, ["opus/48000/2", "PCMU/8000", "iLBC/8000"]), number=2)
    _, answered = exchange(a, b)
    assert answered.media[0].formats == ["0"]
    assert b.offer().media[0].formats == ["0"]
    b.offer_rejected()
    assert b.offer(full=True).media[0].formats == ["96", "0", "97"]


def test_payload_type_numbers_hold_for_the_session() -> None:
    """RFC 3264 §8.3.2: the mapping from a payload type number to a codec MUST NOT change."""
    b = side(
        LocalMedia(5000, ["opus/48000/2", Format("iLBC", 8000, payload_type="97"), "telephone-event/8000"])
    )
    b.offer_received(
        described("m=audio 9 RTP/AVP 97 96", "a=rtpmap:97 opus/48000/2", "a=rtpmap:96 telephone-event/8000")
    )
    assert b.answer().media[0].formats == ["97", "96"]
    (stream,) = b.offer(full=True).media
    assert [(each.payload_type, each.encoding) for each in stream.described_formats()] == [
        ("97", "opus"),
        ("98", "iLBC"),
        ("96", "telephone-event"),
    ]


@pytest.mark.accepts("C13")
def test_a_multicast_stream_is_answered_as_it_was_offered() -> None:
    """RFC 3264 §6.2: for multicast, address, port and directionality MUST equal those of the offer."""
    description = described("m=audio 9000/2 RTP/AVP 0", "c=IN IP4 233.252.0.1/127", "a=recvonly")
    (stream,) = answer(description, [LocalMedia(4000)], ORIGIN).media
    assert stream.render_lines() == [
        "m=audio 9000/2 RTP/AVP 0",
        "c=IN IP4 233.252.0.1/127",
        "a=rtpmap:0 PCMU/8000",
        "a=recvonly",
    ]


def test_video_parameters_that_tell_formats_apart_are_repeated() -> None:
    """RFC 4588 §8.6: apt names the payload type that is retransmitted."""
    description = described(
        "m=video 9 RTP/AVP 96 97 98 99",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=rtpmap:98 VP8/90000",
        "a=rtpmap:99 rtx/90000",
        "a=fmtp:99 apt=98",
    )
    (stream,) = answer(description, [LocalMedia(4000, ["H264/90000", "rtx/90000"], "video")], ORIGIN).media
    assert stream.render_lines() == ["m=video 4000 RTP/AVP 96 97", *description.media[0].lines[:4]]


def test_the_pieces_check_what_they_are_given() -> None:
    with pytest.raises(ArgumentError):
        LocalMedia(0)
    with pytest.raises(ArgumentError):
        LocalMedia(4000, [])
    with pytest.raises(ArgumentError):
        new_origin("192.0.2.1", 2**62)
    with pytest.raises(ArgumentError):
        offer(ORIGIN, [LocalMedia(4000, [f"x{number}/8000" for number in range(40)])])
    with pytest.raises(ArgumentError):
        offer(ORIGIN, [LocalMedia(4000, attributes=[("x", "a\r\nb")])])
    with pytest.raises(ArgumentError):
        side().offer(SessionDescription(["v=0"]))
    with pytest.raises(ArgumentError, match="SDP b= line"):
        side().offer(SessionDescription.parse(HEAD + "m=audio 9 RTP/AVP 0\r\nb=AS\r\n"))
