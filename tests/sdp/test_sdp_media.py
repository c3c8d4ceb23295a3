"""One stream's formats: keeping, removing, rejecting, and what tells two formats apart."""

from __future__ import annotations

import pytest

from sipactors.errors import ArgumentError
from sipactors.sdp import Format, MediaDescription, SessionDescription, fmtp_parameters

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
VIDEO = """m=video 5006 RTP/AVPF 31 96 97
a=mid:v
a=rtpmap:31 H261/90000
a=rtpmap:96 H264/90000
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1
a=rtcp-fb:96 nack pli
a=rtcp-fb:* ccm fir
a=rtpmap:97 VP8/90000
a=rtcp-fb:97 nack
a=candidate:1 1 UDP 1 192.0.2.1 5006 typ host
a=sendonly
"""


def video() -> MediaDescription:
    return SessionDescription.parse(HEAD + VIDEO.replace("\n", "\r\n"), strict=True).media[0]


@pytest.mark.accepts("C12")
def test_keep_format_keeps_one_with_its_rtpmap_fmtp_and_feedback() -> None:
    """RFC 3264 §6.1: formats that are not wanted are left out of the answer's m= line."""
    media = video()
    media.keep_format(96)
    assert media.render_lines() == [
        "m=video 5006 RTP/AVPF 96",
        "a=mid:v",
        "a=rtpmap:96 H264/90000",
        "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:* ccm fir",
        "a=candidate:1 1 UDP 1 192.0.2.1 5006 typ host",
        "a=sendonly",
    ]


@pytest.mark.accepts("C12")
def test_remove_format_takes_its_rtpmap_fmtp_and_feedback_along() -> None:
    media = video()
    media.remove_format("96")
    media.remove_format("31")
    assert media.render_lines() == [
        "m=video 5006 RTP/AVPF 97",
        "a=mid:v",
        "a=rtcp-fb:* ccm fir",
        "a=rtpmap:97 VP8/90000",
        "a=rtcp-fb:97 nack",
        "a=candidate:1 1 UDP 1 192.0.2.1 5006 typ host",
        "a=sendonly",
    ]
    with pytest.raises(ArgumentError, match="SDP m= line: no format would be left"):
        media.remove_format(97)
    with pytest.raises(ArgumentError, match="SDP m= line: no format 96"):
        media.remove_format(96)
    with pytest.raises(ArgumentError, match="SDP m= line: no format 8"):
        media.keep_format(8)


@pytest.mark.accepts("C12")
def test_reject_leaves_a_slot_and_tells_no_addresses() -> None:
    """RFC 3264 §6: To reject an offered stream, the port number in the answer MUST be set to zero."""
    media = video()
    media.reject()
    assert media.rejected
    assert media.render_lines() == ["m=video 0 RTP/AVPF 31", "a=mid:v", "a=rtpmap:31 H261/90000"]


def test_formats_are_described_by_rtpmap_or_by_rfc_3551() -> None:
    text = "m=audio 9 RTP/AVP 0 13 96 97 98\r\na=rtpmap:97 opus/48000/2\r\na=rtpmap:98 broken\r\n"
    media = SessionDescription.parse(HEAD + text).media[0]
    described = media.described_formats()
    # 96 is explained by nothing, and 98 by nothing that can be read.
    assert [(each.payload_type, each.name) for each in described] == [
        ("0", "PCMU/8000"),
        ("13", "CN/8000"),
        ("97", "opus/48000/2"),
    ]
    assert video().described_formats()[1].feedback == ["nack pli", "ccm fir"]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (Format("PCMU", 8000), Format("pcmu", 8000, "1"), True),
        (Format("PCMU", 8000), Format("PCMU", 16000), False),
        (Format("L16", 44100, "2"), Format("L16", 44100), False),
        (Format("H264", 90000, fmtp="profile-level-id=42e01f;packetization-mode=1"),
         Format("H264", 90000, fmtp="packetization-mode=1; profile-level-id=428014"), True),
        (Format("H264", 90000, fmtp="profile-level-id=42e01f;packetization-mode=1"),
         Format("H264", 90000, fmtp="profile-level-id=42e01f"), False),
        (Format("H264", 90000, fmtp="profile-level-id=42e01f"),
         Format("H264", 90000, fmtp="profile-level-id=64001f"), False),
        (Format("H264", 90000), Format("H264", 90000, fmtp="profile-level-id=64001f"), True),
        (Format("AMR", 8000, fmtp="octet-align=1"), Format("AMR", 8000, fmtp="octet-align=0"), False),
        (Format("opus", 48000, "2", fmtp="stereo=1"), Format("opus", 48000, "2", fmtp="stereo=0"), True),
        (Format("t38"), Format("T38"), True),
    ],
)  # fmt: skip
def test_formats_are_one_when_name_rate_channels_and_telling_parameters_are(
    left: Format, right: Format, same: bool
) -> None:
    """RFC 6184 §8.2.2: profile-level-id and packetization-mode must be used symmetrically."""
    assert left.matches(right) is same
    assert right.matches(left) is same


def test_format_names_that_cannot_be_read_are_the_applications_mistake() -> None:
    for wrong in ("PCMU/", "PCMU/x", "a b", "", "PCMU/8000/1/2"):
        with pytest.raises(ArgumentError, match="SDP a=rtpmap line"):
            Format.of(wrong)
    assert Format.of("t38") == Format("t38")
    assert Format.of("telephone-event/8000").fmtp == "0-15"


def test_add_format_wants_a_payload_type_of_its_own() -> None:
    media = video()
    media.add_format(Format("VP9", 90000, payload_type="98", fmtp="profile-id=0", feedback=["nack"]))
    assert media.lines[8:11] == ["a=rtpmap:98 VP9/90000", "a=fmtp:98 profile-id=0", "a=rtcp-fb:98 nack"]
    for wrong in (Format("VP9", 90000), Format("AV1", 90000, payload_type="98")):
        with pytest.raises(ArgumentError):
            media.add_format(wrong)


def test_fmtp_parameters_are_pairs() -> None:
    assert fmtp_parameters("A=1; b ;c=x=y;;a=2") == {"a": "1", "b": "", "c": "x=y"}
