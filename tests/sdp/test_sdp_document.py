"""Documents: every field of RFC 8866 read, kept and written; strict and lenient reading; limits."""

from __future__ import annotations

import pathlib

import pytest

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.sdp import (
    Bandwidth,
    Connection,
    Direction,
    MediaDescription,
    Origin,
    Repeat,
    SessionDescription,
    TimeDescription,
    ZoneAdjustment,
)

CORPUS = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "corpora" / "rfc4475"


def crlf(text: str) -> bytes:
    return text.strip("\n").replace("\n", "\r\n").encode() + b"\r\n"


RFC_8866_5 = crlf(
    """
v=0
o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1
s=Call to John Smith
i=SDP Offer #1
u=http://www.jdoe.example.com/home.html
e=Jane Doe <jane@jdoe.example.com>
p=+1 617 555-6011
c=IN IP4 198.51.100.1
t=0 0
m=audio 49170 RTP/AVP 0
m=audio 49180 RTP/AVP 0
m=video 51372 RTP/AVP 99
c=IN IP6 2001:db8::2
a=rtpmap:99 h263-1998/90000
"""
)
EVERYTHING = crlf(
    """
v=0
o=jdoe 0007 3724394405 IN IP4 198.51.100.1
s=All of it
i=A Seminar on the session description protocol
u=http://www.example.com/seminars/sdp.pdf
e=j.doe@example.com (Jane Doe)
e=j.doe@example.com
p=+1 617 555-6011 (Jane Doe)
p=Jane Doe <+1 617 555-6011>
c=IN IP4 233.252.0.1/127/3
b=X-YZ:128
b=AS:64
t=3724394400 3724398000
r=7d 1h 0 25h
r=604800 3600 0 90000
z=3730928400 -1h 3749680800 0
t=3824394400 0
k=base64:ZWFzdXJlLg==
a=recvonly
a=group:BUNDLE a b
a=x-strange:with: colons
m=audio 049170/2 RTP/AVP 0 96
i=The voice
c=IN IP6 FF15::101/3
c=IN IP6 FF15::201
b=TIAS:48000
k=prompt
a=mid:a
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1; stereo=0
a=ptime:20
a=candidate:1 1 UDP 2130706431 198.51.100.1 49170 typ host
m=message 49172 TCP/MSRP *
a=path:msrp://198.51.100.1:49172/s;tcp
"""
)


@pytest.mark.accepts("C11")
@pytest.mark.parametrize("text", [RFC_8866_5, EVERYTHING])
@pytest.mark.parametrize("strict", [True, False])
def test_every_field_is_kept_and_goes_out_as_it_came(text: bytes, strict: bool) -> None:
    """RFC 8866 §5: an SDP description consists of a number of lines of text of the form <type>=<value>."""
    assert SessionDescription.parse(text, strict=strict).render() == text


@pytest.mark.accepts("C11")
def test_every_field_has_a_typed_reading() -> None:
    """RFC 8866 §5: session-level and media-level lines, each with its meaning."""
    session = SessionDescription.parse(EVERYTHING, strict=True)
    assert session.origin == Origin("jdoe", "0007", 3724394405, "198.51.100.1")
    assert session.name == "All of it"
    assert session.information == "A Seminar on the session description protocol"
    assert session.uri == "http://www.example.com/seminars/sdp.pdf"
    assert session.emails == ["j.doe@example.com (Jane Doe)", "j.doe@example.com"]
    assert session.phones == ["+1 617 555-6011 (Jane Doe)", "Jane Doe <+1 617 555-6011>"]
    assert session.connection == Connection("233.252.0.1", 127, 3)
    assert session.connection.multicast
    assert session.bandwidths == [Bandwidth("X-YZ", 128), Bandwidth("AS", 64)]
    assert session.times == [
        TimeDescription(
            3724394400,
            3724398000,
            [Repeat(604800, 3600, [0, 90000]), Repeat(604800, 3600, [0, 90000])],
            [ZoneAdjustment(3730928400, -3600), ZoneAdjustment(3749680800, 0)],
        ),
        TimeDescription(3824394400, 0),
    ]
    assert session.key == "base64:ZWFzdXJlLg=="
    assert session.direction is Direction.RECVONLY
    assert session.attribute("x-strange") == "with: colons"
    audio, message = session.media
    assert (audio.media, audio.port, audio.port_count, audio.protocol) == ("audio", 49170, 2, "RTP/AVP")
    assert audio.connection == Connection("FF15::101", None, 3, "IP6")
    assert audio.attribute("mid") == "a"
    assert audio.attribute("nothing") is None
    assert [each.name for each in audio.described_formats()] == ["PCMU/8000", "opus/48000/2"]
    assert audio.described_formats()[1].fmtp == "useinbandfec=1; stereo=0"
    assert session.direction_of(audio) is Direction.RECVONLY
    assert message.formats == ["*"]
    assert session.connection_of(message) == session.connection


def test_an_m_line_is_rewritten_only_once_it_changes() -> None:
    session = SessionDescription.parse(EVERYTHING, strict=True)
    session.media[0].port = 5004
    assert b"m=audio 5004/2 RTP/AVP 0 96\r\n" in session.render()
    session.media[0].port = 49170
    assert session.render() == EVERYTHING


STRICT_FAULTS = [
    (("v=0\r\n", ""), "SDP v= line"),
    (("v=0\r\n", "v=1\r\n"), "SDP v= line"),
    (("IN IP4 198.51.100.1\r\ns", "IP4 198.51.100.1\r\ns"), "SDP o= line"),
    (("o=jdoe 3724394400", "o=jdoe 37x"), "SDP o= line"),
    (("s=Call to John Smith\r\n", ""), "SDP s= line"),
    (("s=Call to John Smith", "s="), "SDP s= line"),
    (("u=http", "u=not a uri http"), "SDP u= line"),
    (("e=Jane Doe <jane@jdoe.example.com>", "e=Jane"), "SDP e= line"),
    (("p=+1", "p=call me"), "SDP p= line"),
    (("c=IN IP4 198.51.100.1\r\nt", "c=IN IP4 224.2.1.1\r\nt"), "SDP c= line"),
    (("c=IN IP4 198.51.100.1\r\nt", "c=IN IP4 198.51.100.1/5\r\nt"), "SDP c= line"),
    (("c=IN IP4 198.51.100.1\r\nt", "t"), "SDP c= line"),
    (("t=0 0\r\n", ""), "SDP t= line"),
    (("t=0 0", "t=0"), "SDP t= line"),
    (("t=0 0", "t=12 0"), "SDP t= line"),
    (("t=0 0", "t=0 0\r\nr=1h 1h"), "SDP r= line"),
    (("t=0 0", "t=0 0\r\nz=3730928400 -1h"), "SDP z= line"),
    (("t=0 0", "t=0 0\r\nk=secret"), "SDP k= line"),
    (("t=0 0", "b=AS\r\nt=0 0"), "SDP b= line"),
    (("t=0 0", "t=0 0\r\na=recvonly\r\nk=prompt"), "SDP k= line"),
    (("t=0 0", "t=0 0\r\nc=IN IP4 198.51.100.1"), "SDP c= line"),
    (("i=SDP Offer #1", "i=SDP Offer #1\r\ni=again"), "SDP i= line"),
    (("t=0 0", "t=0 0\r\nx=what"), "SDP line"),
    (("t=0 0", "t=0 0\r\nwhat"), "SDP line"),
    (("t=0 0", "t=0 0\r\na=ptime:0.0"), "SDP a=ptime line"),
    (("t=0 0", "t=0 0\r\na=:x"), "SDP a= line"),
    (("a=rtpmap:99 h263-1998/90000", "a=rtpmap:99 h263"), "SDP a=rtpmap line"),
    (("a=rtpmap:99 h263-1998/90000", "a=fmtp:99"), "SDP a=fmtp line"),
    (("m=audio 49170 RTP/AVP 0", "m=audio 49170 RTP/AVP"), "SDP m= line"),
    (("m=audio 49170 RTP/AVP 0", "m=audio  49170 RTP/AVP 0"), "SDP m= line"),
    (("m=audio 49170 RTP/AVP 0", "m=audio 65536 RTP/AVP 0"), "SDP m= line"),
    (("m=audio 49170 RTP/AVP 0", "m=audio 49170/0 RTP/AVP 0"), "SDP m= line"),
    (("\r\n", "\n"), "SDP line"),
]


@pytest.mark.accepts("B2", "C11")
@pytest.mark.parametrize(("change", "where"), STRICT_FAULTS)
def test_strict_reading_names_the_line_that_is_wrong(change: tuple[str, str], where: str) -> None:
    """RFC 8866 §9: the ABNF grammar for SDP."""
    text = RFC_8866_5.decode().replace(*change)
    with pytest.raises(MalformedMessage) as caught:
        SessionDescription.parse(text, strict=True)
    assert caught.value.status == 400
    assert caught.value.what.startswith(where + ": ")


LENIENT = {
    "bare LF, no last one": "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 9 RTP/AVP 0",
    "no s= and no t=": "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n",
    "a name of two words": "v=0\r\no=John Smith 1 1 IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\n",
    "lines out of order": "v=0\r\ns=-\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\na=x\r\ni=y\r\n",
    "unknown letters": "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nx=y\r\nm=audio 9 RTP/AVP 0\r\ny=f=v/2\r\n",
    "spaces, empty lines, a NUL": "v=0 \r\no=- 1 1 IN IP4 192.0.2.1\r\n\r\nm=audio  9 RTP/AVP  0 \r\n\0",
    "CR alone": "v=0\ro=- 1 1 IN IP4 192.0.2.1\rm=audio 9 RTP/AVP 0\r",
}


@pytest.mark.accepts("C11")
@pytest.mark.parametrize("text", LENIENT.values(), ids=LENIENT)
def test_lenient_reading_takes_what_is_met_in_the_field(text: str) -> None:
    """RFC 8866 §5: parsers SHOULD be tolerant and also accept records terminated with a single newline."""
    session = SessionDescription.parse(text)
    assert session.origin.version == 1
    assert [(media.media, media.port, media.formats) for media in session.media] == [("audio", 9, ["0"])]
    assert SessionDescription.parse(session.render()) == session
    with pytest.raises(MalformedMessage):
        SessionDescription.parse(text, strict=True)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "SDP v= line"),
        ("o=- 1 1 IN IP4 192.0.2.1\r\n", "SDP v= line"),
        ("v=2\r\no=- 1 1 IN IP4 192.0.2.1\r\n", "SDP v= line"),
        ("v=0\r\n", "SDP o= line"),
        ("v=0\r\no=- 1 x IN IP4 192.0.2.1\r\n", "SDP o= line"),
        ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4\r\n", "SDP c= line"),
        ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio x RTP/AVP 0\r\n", "SDP m= line"),
        ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP <0>\r\n", "SDP m= line"),
        ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=a\0b\r\n", "SDP s= line"),
        ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nhello\r\n", "SDP line"),
    ],
)
@pytest.mark.accepts("B2")
def test_lenient_reading_refuses_what_nobody_can_understand(text: str, where: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        SessionDescription.parse(text)
    assert caught.value.status == 400
    assert caught.value.what.startswith(where + ": ")


def test_limits_are_checked_first() -> None:
    """D-40: everything bounded before it is allocated."""
    with pytest.raises(MalformedMessage) as caught:
        SessionDescription.parse(RFC_8866_5, max_size=len(RFC_8866_5) - 1)
    assert caught.value.status == 413
    with pytest.raises(MalformedMessage, match="SDP m= line: more than 2"):
        SessionDescription.parse(RFC_8866_5, max_media=2)
    assert len(SessionDescription.parse(RFC_8866_5, max_media=3).media) == 3


@pytest.mark.accepts("C11")
@pytest.mark.parametrize("name", ["sdp01", "wsinv"])
def test_torture_bodies_are_read(name: str) -> None:
    """RFC 4475 §3.3.10 and §3.1.1.1: sdp01 wants a body type we may lack; its SDP is sound enough."""
    path = CORPUS / f"{name}.dat"
    if not path.exists():
        pytest.skip("the torture messages of RFC 4475 are not beside this repository")
    body = path.read_bytes().partition(b"\r\n\r\n")[2]
    session = SessionDescription.parse(body)
    assert session.render() == body
    assert [media.media for media in session.media] == ["audio", "video"]
    # Its a=rtpmap:31 LPC has no clock rate: kept, but RFC 3551's payload type 31 is what counts.
    assert [each.name for each in session.media[1].described_formats()] == ["H261/90000"]


def test_all_torture_bodies_are_read_or_refused_as_malformed() -> None:
    if not CORPUS.exists():
        pytest.skip("the torture messages of RFC 4475 are not beside this repository")
    for path in CORPUS.glob("*.dat"):
        body = path.read_bytes().partition(b"\r\n\r\n")[2]
        what = "SDP "
        try:
            SessionDescription.parse(body)
        except MalformedMessage as error:
            what = error.what
        assert what.startswith("SDP ")


def test_setters_write_in_the_place_that_the_grammar_wants() -> None:
    """RFC 8866 §5: when present, lines must appear in exactly the order given here."""
    session = SessionDescription.create(Origin("-", "1", 1, "192.0.2.1"))
    session.add_attribute("tool", "test")
    session.bandwidths = [Bandwidth("AS", 64)]
    session.connection = Connection.to("192.0.2.1")
    session.phones = ["+1 617 555-6011"]
    session.emails = ["j@example.com"]
    session.uri = "http://example.com/"
    session.information = "about"
    session.times = [TimeDescription(3724394400, 3724398000, [Repeat(604800, 3600, [0])])]
    media = MediaDescription([], "audio", 9, "RTP/AVP", ["0"])
    media.direction = Direction.SENDONLY
    media.bandwidths = [Bandwidth("AS", 64)]
    media.connection = Connection("FF15::101", None, 3, "IP6")
    media.information = "voice"
    session.media.append(media)
    assert SessionDescription.parse(session.render(), strict=True) == session
    assert [line[0] for line in session.lines] == list("vosiuepcbtra")
    assert [line[0] for line in media.lines] == list("icba")
    session.uri = None
    media.connection = None
    media.direction = None
    assert (session.uri, media.connection, media.direction) == (None, None, None)


@pytest.mark.accepts("B2")
@pytest.mark.parametrize(
    "wrong",
    [
        lambda session: session.add_attribute("x", "y\r\na=evil"),
        lambda session: session.add_attribute("na me"),
        lambda session: session.set_attribute("ptime", "soon"),
        lambda session: setattr(session, "name", ""),
        lambda session: setattr(session, "origin", Origin("a b", "1", 1, "192.0.2.1")),
        lambda session: setattr(session, "connection", Connection("192.0.2.1 x")),
        lambda session: setattr(session, "times", []),
        lambda session: (session.lines.append("a=x\r\nm=evil"), session.render()),
        lambda session: (setattr(session.media[0], "port", 70000), session.render()),
        lambda session: (setattr(session.media[0], "formats", ["0\r\n"]), session.render()),
        lambda session: (session.lines.append("s=\ud800"), session.render()),
    ],
)
def test_the_application_cannot_write_what_breaks_the_document(wrong: object) -> None:
    """D-41: no CRLF from application input reaches the wire."""
    assert callable(wrong)
    session = SessionDescription.parse(RFC_8866_5)
    with pytest.raises(ArgumentError, match="SDP "):
        wrong(session)


def test_attributes_are_added_set_and_removed_by_name() -> None:
    media = SessionDescription.parse(EVERYTHING).media[0]
    media.set_attribute("ptime", "30")
    media.set_attribute("maxptime", "60")
    media.add_attribute("rtcp-mux")
    assert media.attribute("rtcp-mux") == ""
    assert (media.values("ptime"), media.values("maxptime")) == (["30"], ["60"])
    assert [each.name for each in media.attributes][-4:] == ["ptime", "candidate", "maxptime", "rtcp-mux"]
    media.remove_attribute("ptime")
    media.remove_attribute("ptime")
    assert media.attribute("ptime") is None
    assert media.attribute("maxptime") == "60"


@pytest.mark.accepts("C13")
def test_two_descriptions_are_compared_without_their_versions() -> None:
    """RFC 3264 §8: if the version in the origin line does not increment, the SDP MUST be identical."""
    before = SessionDescription.parse(RFC_8866_5)
    same = before.copy()
    assert not same.follows(before)
    same.media[0].port = 4
    with pytest.raises(MalformedMessage, match="SDP o= line: the body changed"):
        same.follows(before)
    origin = same.origin
    origin.version += 1
    same.origin = origin
    assert same.follows(before)
    assert not same.same_but_version(before)
