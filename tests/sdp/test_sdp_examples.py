"""The exchanges of RFC 3264 §10 and RFC 4317: two sides play them, and say what the RFCs print."""

from __future__ import annotations

import pytest

from sipactors.sdp import Direction, LocalMedia, OfferAnswer, SessionDescription

ALICE, BOB = "host.atlanta.example.com", "host.biloxi.example.com"
AUDIO = ("PCMU/8000", "PCMA/8000", "iLBC/8000")
VIDEO = ("H261/90000", "MPV/90000")
EVENTS = "telephone-event/8000"


def printed(description: SessionDescription) -> str:
    """Without the lines that all examples share, and without a=fmtp of events, which they leave out."""
    lines = description.render().decode().split("\r\n")
    return " | ".join(
        line for line in lines if line and line[:2] not in ("v=", "s=", "t=") and "fmtp" not in line
    )


def alice(*media: LocalMedia, **more: object) -> OfferAnswer:
    return OfferAnswer(ALICE, media, session_id=2890844526, username="alice", name=" ", **more)  # type: ignore[arg-type]


def bob(*media: LocalMedia, **more: object) -> OfferAnswer:
    return OfferAnswer(BOB, media, session_id=2808844564, username="bob", name=" ", **more)  # type: ignore[arg-type]


def dynamic(local: LocalMedia, **numbers: str) -> LocalMedia:
    """With the payload types that the RFC happens to use."""
    for each in local.known_formats:
        each.payload_type = numbers.get(each.encoding.replace("-", "_"), each.payload_type)
    return local


def exchange(offerer: OfferAnswer, answerer: OfferAnswer, *, full: bool = False) -> tuple[str, str]:
    made = offerer.offer(full=full)
    assert SessionDescription.parse(made.render(), strict=True) == made
    answerer.offer_received(made.render())
    answered = answerer.answer()
    assert SessionDescription.parse(answered.render(), strict=True) == answered
    offerer.answer_received(answered.render())
    return printed(made), printed(answered)


@pytest.mark.accepts("C13")
def test_rfc_4317_2_1_one_codec_of_each_kind_is_accepted() -> None:
    """RFC 4317 §2.1: multiple codecs are offered but only one is accepted."""
    a = alice(dynamic(LocalMedia(49170, AUDIO), iLBC="97"), LocalMedia(51372, VIDEO, "video"))
    b = bob(LocalMedia(49174, ["PCMU/8000"]), LocalMedia(49170, ["MPV/90000"], "video"))
    made, answered = exchange(a, b)
    assert made == (
        "o=alice 2890844526 2890844526 IN IP4 host.atlanta.example.com | c=IN IP4 host.atlanta.example.com"
        " | m=audio 49170 RTP/AVP 0 8 97 | a=rtpmap:0 PCMU/8000 | a=rtpmap:8 PCMA/8000"
        " | a=rtpmap:97 iLBC/8000"
        " | m=video 51372 RTP/AVP 31 32 | a=rtpmap:31 H261/90000 | a=rtpmap:32 MPV/90000"
    )
    assert answered == (
        "o=bob 2808844564 2808844564 IN IP4 host.biloxi.example.com | c=IN IP4 host.biloxi.example.com"
        " | m=audio 49174 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | m=video 49170 RTP/AVP 32 | a=rtpmap:32 MPV/90000"
    )
    for one, other in zip(a.negotiated, b.negotiated):
        assert one is not None
        assert other is not None
        assert (one.local_port, one.remote_port) == (other.remote_port, other.local_port)
        assert one.direction is other.direction is Direction.SENDRECV
    assert [stream and stream.codec and stream.codec.format.name for stream in a.negotiated] == [
        "PCMU/8000",
        "MPV/90000",
    ]


@pytest.mark.accepts("C13")
def test_rfc_4317_2_2_a_declined_stream_keeps_its_m_line() -> None:
    """RFC 4317 §2.2: a second offer with just one codec; the declined video stream still present."""
    audio = dynamic(LocalMedia(49170, AUDIO), iLBC="97")
    a = alice(audio, LocalMedia(51372, VIDEO, "video"))
    b = bob(LocalMedia(49172, ["PCMU/8000", "PCMA/8000"]))
    _, answered = exchange(a, b)
    assert answered.endswith(
        "m=audio 49172 RTP/AVP 0 8 | a=rtpmap:0 PCMU/8000 | a=rtpmap:8 PCMA/8000"
        " | m=video 0 RTP/AVP 31 | a=rtpmap:31 H261/90000"
    )
    audio.port, audio.formats = 51372, audio.known_formats[:1]
    made, answered = exchange(a, b, full=True)
    assert made == (
        "o=alice 2890844526 2890844527 IN IP4 host.atlanta.example.com | c=IN IP4 host.atlanta.example.com"
        " | m=audio 51372 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | m=video 0 RTP/AVP 31 | a=rtpmap:31 H261/90000"
    )
    assert answered == (
        "o=bob 2808844564 2808844565 IN IP4 host.biloxi.example.com | c=IN IP4 host.biloxi.example.com"
        " | m=audio 49172 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | m=video 0 RTP/AVP 31 | a=rtpmap:31 H261/90000"
    )
    assert a.negotiated[1] is None
    assert b.negotiated[1] is None


@pytest.mark.accepts("C13")
def test_rfc_4317_2_3_the_answer_may_number_a_codec_otherwise() -> None:
    """RFC 4317 §2.3: change of dynamic payload type from 97 to 99 is OK since the codec is the same."""
    a = alice(dynamic(LocalMedia(49170, AUDIO), iLBC="97"), LocalMedia(51372, VIDEO, "video"))
    answered = a.offer()
    answered.media[0].keep_format(97)
    answered.media[0].formats, answered.media[0].lines = ["99"], ["a=rtpmap:99 iLBC/8000"]
    answered.media[1].keep_format(31)
    a.answer_received(answered.render())
    (stream, _) = a.negotiated
    assert stream is not None
    assert stream.codec is not None
    assert (stream.codec.send_type, stream.codec.receive_type) == ("99", "97")


@pytest.mark.accepts("C13")
def test_rfc_4317_2_4_and_3_2_a_stream_of_tones_and_hold_of_the_other() -> None:
    """RFC 4317 §3.2: Bob puts Alice's audio stream on hold but not the tone stream."""
    a = alice(
        dynamic(LocalMedia(49170, ["PCMU/8000", "iLBC/8000"]), iLBC="97"),
        dynamic(LocalMedia(49172, [EVENTS], direction=Direction.SENDONLY), telephone_event="98"),
    )
    b = bob(LocalMedia(49172, ["iLBC/8000"]), LocalMedia(49174, [EVENTS]))
    made, answered = exchange(a, b)
    assert made.endswith(
        "m=audio 49170 RTP/AVP 0 97 | a=rtpmap:0 PCMU/8000 | a=rtpmap:97 iLBC/8000"
        " | m=audio 49172 RTP/AVP 98 | a=rtpmap:98 telephone-event/8000 | a=sendonly"
    )
    assert answered.endswith(
        "m=audio 49172 RTP/AVP 97 | a=rtpmap:97 iLBC/8000"
        " | m=audio 49174 RTP/AVP 98 | a=rtpmap:98 telephone-event/8000 | a=recvonly"
    )
    b.hold(0)
    assert b.streams[1] is not None
    b.streams[1].direction = Direction.RECVONLY
    made, answered = exchange(b, a)
    assert made == (
        "o=bob 2808844564 2808844565 IN IP4 host.biloxi.example.com | c=IN IP4 host.biloxi.example.com"
        " | m=audio 49172 RTP/AVP 97 | a=rtpmap:97 iLBC/8000 | a=sendonly"
        " | m=audio 49174 RTP/AVP 98 | a=rtpmap:98 telephone-event/8000 | a=recvonly"
    )
    assert answered == (
        "o=alice 2890844526 2890844527 IN IP4 host.atlanta.example.com | c=IN IP4 host.atlanta.example.com"
        " | m=audio 49170 RTP/AVP 97 | a=rtpmap:97 iLBC/8000 | a=recvonly"
        " | m=audio 49172 RTP/AVP 98 | a=rtpmap:98 telephone-event/8000 | a=sendonly"
    )
    held = a.negotiated[0]
    assert held is not None
    assert held.held_by_peer
    assert held.direction is Direction.RECVONLY


@pytest.mark.accepts("C13")
def test_rfc_4317_2_5_an_answer_that_repeats_itself_repeats_its_version() -> None:
    """RFC 4317 §2.5: Bob changes his address; Alice accepts with the same SDP, the version unchanged."""
    a = alice(
        dynamic(LocalMedia(49170, ["iLBC/8000"]), iLBC="97"), LocalMedia(51372, ["H261/90000"], "video")
    )
    audio, video = LocalMedia(49174, ["iLBC/8000"]), LocalMedia(49170, ["H261/90000"], "video")
    b = bob(audio, video)
    first, _ = exchange(a, b)
    b.host, audio.port, video.port = "newhost.biloxi.example.com", 49178, 49188
    made, answered = exchange(b, a)
    assert made == (
        "o=bob 2808844564 2808844565 IN IP4 host.biloxi.example.com | c=IN IP4 newhost.biloxi.example.com"
        " | m=audio 49178 RTP/AVP 97 | a=rtpmap:97 iLBC/8000"
        " | m=video 49188 RTP/AVP 31 | a=rtpmap:31 H261/90000"
    )
    assert answered == first
    assert a.remote_changed
    assert not b.remote_changed
    assert [stream and stream.remote_host for stream in a.negotiated] == ["newhost.biloxi.example.com"] * 2


@pytest.mark.accepts("C13")
def test_rfc_4317_2_6_one_of_two_audio_streams_is_declined() -> None:
    """RFC 4317 §2.6: Bob declines the first one and accepts the second one."""
    a = alice(
        LocalMedia(49170, ["PCMU/8000"]),
        dynamic(LocalMedia(51372, ["iLBC/8000", EVENTS]), iLBC="97", telephone_event="101"),
    )
    b = bob(LocalMedia(49170, ["iLBC/8000", EVENTS]))
    _, answered = exchange(a, b)
    assert answered.endswith(
        "m=audio 0 RTP/AVP 0 | a=rtpmap:0 PCMU/8000"
        " | m=audio 49170 RTP/AVP 97 101 | a=rtpmap:97 iLBC/8000 | a=rtpmap:101 telephone-event/8000"
    )


@pytest.mark.accepts("C13")
def test_rfc_4317_2_8_a_stream_may_go_elsewhere() -> None:
    """RFC 4317 §2.8: the answerer wants the video sent to a different address than the audio."""
    a = alice(LocalMedia(49170, AUDIO[:2]), LocalMedia(51372, VIDEO, "video"))
    other = LocalMedia(49172, ["MPV/90000"], "video", host="otherhost.biloxi.example.com")
    _, answered = exchange(a, bob(LocalMedia(49174, ["PCMU/8000"]), other))
    assert answered.endswith(
        "m=video 49172 RTP/AVP 32 | c=IN IP4 otherhost.biloxi.example.com | a=rtpmap:32 MPV/90000"
    )
    assert [stream and stream.remote_host for stream in a.negotiated] == [BOB, "otherhost.biloxi.example.com"]


@pytest.mark.accepts("C13")
def test_rfc_4317_3_1_hold_in_the_answer_and_off_hold_in_the_next_offer() -> None:
    """RFC 4317 §3.1: when Bob answers he places Alice on hold, and takes her off it in the second offer."""
    local = dynamic(LocalMedia(49170, ["PCMU/8000", "iLBC/8000"]), iLBC="97")
    a, b = alice(local), bob(LocalMedia(49172, ["iLBC/8000"], held=True))
    _, answered = exchange(a, b)
    assert answered.endswith("m=audio 49172 RTP/AVP 97 | a=rtpmap:97 iLBC/8000 | a=sendonly")
    b.resume()
    local.port = 49178
    made, answered = exchange(b, a)
    assert made.startswith("o=bob 2808844564 2808844565 ")
    # RFC 4317 §3.1: a=sendrecv could be present in both second offer and answer exchange.
    assert made.endswith("m=audio 49172 RTP/AVP 97 | a=rtpmap:97 iLBC/8000 | a=sendrecv")
    assert answered.startswith("o=alice 2890844526 2890844527 ")
    assert answered.endswith("m=audio 49178 RTP/AVP 97 | a=rtpmap:97 iLBC/8000 | a=sendrecv")


@pytest.mark.accepts("C13")
def test_rfc_4317_4_1_and_4_2_streams_are_added() -> None:
    """RFC 4317 §4.1: the second exchange adds a second audio stream for telephone events."""
    a = alice(LocalMedia(49170, ["PCMU/8000", "iLBC/8000"]))
    b = bob(dynamic(LocalMedia(49170, ["iLBC/8000"]), iLBC="97"))
    exchange(a, b)
    b.add(
        dynamic(
            LocalMedia(48282, [EVENTS], direction=Direction.RECVONLY, host="mediaserver.biloxi.example.com"),
            telephone_event="98",
        )
    )
    a.media.append(LocalMedia(49172, [EVENTS], host=ALICE))
    made, answered = exchange(b, a)
    assert made.endswith(
        " | m=audio 48282 RTP/AVP 98 | c=IN IP4 mediaserver.biloxi.example.com"
        " | a=rtpmap:98 telephone-event/8000 | a=recvonly"
    )
    assert answered.endswith(
        " | m=audio 49172 RTP/AVP 98 | c=IN IP4 host.atlanta.example.com"
        " | a=rtpmap:98 telephone-event/8000 | a=sendonly"
    )
    assert answered.startswith("o=alice 2890844526 2890844527 ")


@pytest.mark.accepts("C13")
def test_rfc_4317_4_3_a_stream_is_deleted() -> None:
    """RFC 4317 §4.3: in a second exchange, Bob deletes the video session."""
    a = alice(LocalMedia(49170, ["PCMU/8000"]), LocalMedia(51372, ["H261/90000"], "video"))
    b = bob(LocalMedia(49174, ["PCMU/8000"]), LocalMedia(49170, ["H261/90000"], "video"))
    exchange(a, b)
    b.remove(1)
    made, answered = exchange(b, a)
    assert made.startswith("o=bob 2808844564 2808844565 ")
    assert made.endswith(" | m=video 0 RTP/AVP 31 | a=rtpmap:31 H261/90000")
    assert answered.startswith("o=alice 2890844526 2890844527 ")
    assert answered.endswith(" | m=video 0 RTP/AVP 31 | a=rtpmap:31 H261/90000")
    assert a.negotiated[1] is None
    assert a.streams[1] is None


@pytest.mark.accepts("C13")
def test_rfc_4317_5_1_an_offer_without_streams() -> None:
    """RFC 4317 §5.1: the first offer contains no media lines, so Bob accepts with no media lines."""
    a, b = alice(), bob(LocalMedia(49172, ["iLBC/8000"]))
    _, answered = exchange(a, b)
    assert answered == (
        "o=bob 2808844564 2808844564 IN IP4 host.biloxi.example.com | c=IN IP4 host.biloxi.example.com"
    )
    a.add(dynamic(LocalMedia(49170, ["iLBC/8000"]), iLBC="97"))
    made, answered = exchange(a, b)
    assert made.startswith("o=alice 2890844526 2890844527 ")
    assert answered.startswith("o=bob 2808844564 2808844565 ")
    assert answered.endswith(" | m=audio 49172 RTP/AVP 97 | a=rtpmap:97 iLBC/8000")


@pytest.mark.accepts("C13")
def test_rfc_4317_5_2_and_5_3_an_address_of_zeros_is_not_sent_to() -> None:
    """RFC 3264 §8.4: 0.0.0.0 means that neither RTP nor RTCP should be sent to the peer."""
    a = alice(dynamic(LocalMedia(23442, ["iLBC/8000"]), iLBC="97"))
    b = bob(LocalMedia(49170, ["iLBC/8000"]))
    a.host = "0.0.0.0"
    made, answered = exchange(a, b)
    assert "c=IN IP4 0.0.0.0" in made
    # RFC 4317 §5.2: Bob accepts with normal SDP.
    assert answered.endswith(
        "c=IN IP4 host.biloxi.example.com | m=audio 49170 RTP/AVP 97 | a=rtpmap:97 iLBC/8000"
    )
    (held,) = b.negotiated
    assert held is not None
    assert held.held_by_peer
    assert held.direction is Direction.RECVONLY
    a.host = ALICE
    again = answered
    _, answered = exchange(a, b)
    # RFC 4317 §5.2: the answer is the same, and so is its version.
    assert answered == again
    (resumed,) = b.negotiated
    assert resumed is not None
    assert resumed.direction is Direction.SENDRECV


OFFER_3264 = """v=0
o=alice 2890844526 2890844526 IN IP4 host.anywhere.com
s= 
c=IN IP4 host.anywhere.com
t=0 0
m=audio 49170 RTP/AVP 0
a=rtpmap:0 PCMU/8000
m=video 51372 RTP/AVP 31
a=rtpmap:31 H261/90000
m=video 53000 RTP/AVP 32
a=rtpmap:32 MPV/90000
"""  # noqa: W291


@pytest.mark.accepts("C13")
def test_rfc_3264_10_1_basic_exchange() -> None:
    """RFC 3264 §10.1: Bob refuses the first video stream, later moves his audio and adds tones."""
    a = OfferAnswer("host.anywhere.com", session_id=1, name=" ")
    a.offer(SessionDescription.parse(OFFER_3264.replace("\n", "\r\n"), strict=True))
    audio, video = LocalMedia(49920, ["PCMU/8000"]), LocalMedia(53000, ["MPV/90000"], "video")
    b = OfferAnswer("host.example.com", [audio, video], session_id=2890844730, username="bob", name=" ")
    assert a.pending is not None
    b.offer_received(a.pending.render())
    answered = b.answer()
    a.answer_received(answered.render())
    assert printed(answered) == (
        "o=bob 2890844730 2890844730 IN IP4 host.example.com | c=IN IP4 host.example.com"
        " | m=audio 49920 RTP/AVP 0 | a=rtpmap:0 PCMU/8000 | m=video 0 RTP/AVP 31 | a=rtpmap:31 H261/90000"
        " | m=video 53000 RTP/AVP 32 | a=rtpmap:32 MPV/90000"
    )
    audio.port = 65422
    made = b.offer()
    tones = LocalMedia(51434, ["telephone-events/8000"], direction=Direction.RECVONLY)
    b.offer_rejected()
    b.add(dynamic(tones, telephone_events="110"))
    made = b.offer()
    # The slot of the refused video stream would do as well (§8.1); an m= line of its own is what §10.1 shows.
    assert "m=audio 65422 RTP/AVP 0" in printed(made)
    assert "m=audio 51434 RTP/AVP 110 | a=rtpmap:110 telephone-events/8000 | a=recvonly" in printed(made)
    a.media.append(LocalMedia(53122, ["telephone-events/8000"]))
    a.offer_received(made.render())
    answered = a.answer()
    assert answered.origin.version == 2890844527
    assert "m=audio 49170 RTP/AVP 0 | a=rtpmap:0 PCMU/8000" in printed(answered)
    assert "m=video 53000 RTP/AVP 32 | a=rtpmap:32 MPV/90000" in printed(answered)
    assert "m=audio 53122 RTP/AVP 110 | a=rtpmap:110 telephone-events/8000 | a=sendonly" in printed(answered)


@pytest.mark.accepts("C13")
def test_rfc_3264_10_2_one_of_n_codecs() -> None:
    """RFC 3264 §10.2: all codecs are offered inactive, and the one to be used is offered then."""
    local = LocalMedia(62986, ["PCMU/8000", "G723/8000", "G729/8000"], direction=Direction.INACTIVE)
    a, b = alice(local), bob(LocalMedia(54344, ["PCMU/8000", "G723/8000"]))
    made, answered = exchange(a, b)
    assert made.endswith(
        "m=audio 62986 RTP/AVP 0 4 18 | a=rtpmap:0 PCMU/8000 | a=rtpmap:4 G723/8000 | a=rtpmap:18 G729/8000"
        " | a=inactive"
    )
    assert answered.endswith(
        "m=audio 54344 RTP/AVP 0 4 | a=rtpmap:0 PCMU/8000 | a=rtpmap:4 G723/8000 | a=inactive"
    )
    assert a.local is not None
    chosen = a.local.copy()
    chosen.media[0].keep_format(4)
    chosen.media[0].direction = Direction.SENDRECV
    made_again = a.offer(chosen)
    b.offer_received(made_again.render())
    answered_again = b.answer()
    a.answer_received(answered_again.render())
    assert printed(made_again).endswith("m=audio 62986 RTP/AVP 4 | a=rtpmap:4 G723/8000 | a=sendrecv")
    assert printed(answered_again).endswith("m=audio 54344 RTP/AVP 4 | a=rtpmap:4 G723/8000 | a=sendrecv")
    assert (made_again.origin.version, answered_again.origin.version) == (2890844527, 2808844565)
