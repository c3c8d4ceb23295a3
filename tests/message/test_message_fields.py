"""Every typed header: read, written, compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import (
    AuthenticationInfo,
    Challenge,
    Credentials,
    CSeq,
    Date,
    Event,
    FeatureSet,
    Identity,
    Join,
    LanguageRange,
    MediaType,
    MinSE,
    NetworkName,
    ParameterizedToken,
    Privacy,
    RAck,
    Reason,
    Replaces,
    RetryAfter,
    SessionExpires,
    SubscriptionState,
    TargetDialog,
    Timestamp,
    Warning,
)
from sipactors.message.registry import HEADERS, KEYS, MAX_KEYS, canonical

CONTRACT = """Accept, Accept-Contact, Accept-Encoding, Accept-Language, Allow, Allow-Events, Authorization,
Authentication-Info, Call-ID, Contact, Content-Disposition, Content-Encoding, Content-Type, CSeq, Event, Expires,
From, Max-Forwards, Min-Expires, P-Access-Network-Info, P-Associated-URI, Proxy-Authenticate, Proxy-Authorization,
Proxy-Require, RAck, Record-Route, Refer-To, Reply-To, Require, Retry-After, Route, RSeq, Security-Client,
Security-Server, Security-Verify, Service-Route, Subscription-State, Supported, Timestamp, To, Unsupported, Via,
WWW-Authenticate, Date, Identity, Join, Min-SE, P-Asserted-Identity, Path, Privacy, Reason, Referred-By, Replaces,
Session-Expires, SIP-ETag, SIP-If-Match, Subject, User-Agent, Warning"""

GOOD: dict[str, list[str]] = {
    "Accept": ["application/sdp;level=1, application/x-private, text/html", "", "*/*;q=0.2", "text/*"],
    "Accept-Contact": ['*;+sip.message="TRUE";require, *;audio;explicit', '*;mobility="fixed"'],
    "Accept-Encoding": ["gzip", "", "compress;q=0.5, gzip;q=1.0", "*;q=0"],
    "Accept-Language": ["da, en-gb;q=0.8, en;q=0.7", "*", ""],
    "Accept-Resource-Priority": ["dsn.flash, dsn.routine"],
    "Alert-Info": ["<http://www.example.com/sounds/moo.wav>", "<urn:alert:source:external>;x=y"],
    "Allow": ["INVITE, ACK, OPTIONS, CANCEL, BYE", "", "x!y"],
    "Allow-Events": ["presence, message-summary", "presence.winfo"],
    "Answer-Mode": ["Manual", "Auto;require"],
    "Authentication-Info": [
        'nextnonce="47364c23432d2e131a5fb210812c"',
        'qop=auth,rspauth="a",cnonce="b",nc=00000001',
    ],
    "Authorization": [
        'Digest username="Alice", realm="atlanta.com", nonce="84a4cc6f3082121f32b42a2187831a9e",'
        ' response="7587245234b3434cc3412213e5f113a5432", uri="sip:b@c", qop=auth, nc=00000001',
        "NoOneKnowsThisScheme opaque-data=here",
        "Bearer eyJhbGciOi.eyJ-_~+/.x==",
        'Digest username="private@home1.net", realm="home1.net", nonce="", uri="sip:home1.net", response=""',
    ],
    "CSeq": ["4711 INVITE", "0009 \t INVITE", "139122385 !interesting-Method0123456789_*+`.%indeed'~", "0 x"],
    "Call-ID": [
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@foo.bar.com",
        "x",
        "word%ZK-!.*_+'@word`~)(><:\\/\"][?}{",
    ],
    "Call-Info": [
        "<http://www.example.com/alice/photo.jpg> ;purpose=icon, <http://x.com/alice/> ;purpose=info"
    ],
    "Contact": [
        '"Mr. Watson" <sip:watson@w.bell-telephone.com> ;q=0.7; expires=3600, "Mr. Watson" <mailto:w@b.com> ;q=0.1',
        "*",
        "<sips:bob@192.0.2.4>;expires=60",
        'sip:a@b, "x, y" <sip:c@d;lr>;x="a,b"',
        "<name:John_Smith>",
    ],
    "Content-Disposition": ["session", "session;handling=optional", "x-y"],
    "Content-Encoding": ["gzip", "tar, gzip"],
    "Content-Language": ["fr", "en-US, de"],
    "Content-Length": ["0", "349", "0000150"],
    "Content-Type": [
        "application/sdp",
        "text/html; charset=ISO-8859-4",
        'multipart/mixed;boundary="a b;,"',
        "A / b",
    ],
    "Date": ["Sat, 13 Nov 2010 23:29:00 GMT"],
    "Diversion": ["<sip:a@b>;reason=unconditional;counter=1"],
    "Error-Info": ["<sip:not-in-service-recording@atlanta.com>"],
    "Event": ["presence", "refer;id=93809824", "presence.winfo"],
    "Expires": ["5", "4294967295", "0"],
    "Feature-Caps": ['*;+g.3gpp.srvcc;+x="y"'],
    "Flow-Timer": ["120"],
    "From": [
        '"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s',
        "sip:+12125551212@server.phone2net.com;tag=887s",
    ],
    "Geolocation": ["<sips:3sdefrhy2jj7@lis.atlanta.example.com>"],
    "History-Info": ["<sip:a@b>;index=1, <sip:c@d?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1"],
    "Identity": [
        "eyJhbGciOiJF.eyJk.rq3pjT1hoRwakE-_Gw==;info=<https://biloxi.example.org/b.cert>;alg=ES256;ppt=shaken",
        '"ZYNBbHC00VMZr2kZt6VmCvPonWJMGvQTBDqghoWeLxJfzB2a1pxAr3VgrB0SsSAa=";alg=rsa-sha1',
        "..abc;alg=ES256;info = <https://x/y>",
    ],
    "Identity-Info": ["<https://atlanta.example.com/atlanta.cer>;alg=rsa-sha1"],
    "In-Reply-To": ['70710@saturn.bell-tel.com, 17320@saturn.bell-tel.com,"<'],
    "Info-Package": ["foo;x=y"],
    "Join": ["12adf2f34456gs5;to-tag=12345;from-tag=54321"],
    "MIME-Version": ["1.0"],
    "Max-Breadth": ["60"],
    "Max-Forwards": ["6", "0068", "0", "255"],
    "Min-Expires": ["60"],
    "Min-SE": ["60", "90;lr"],
    "Organization": ["Boxes by Bob", "\u5927"],
    "P-Access-Network-Info": ['3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11, IEEE-802.11;x="y,z"'],
    "P-Asserted-Identity": ['"Cullen Jennings" <sip:fluffy@cisco.com>, tel:+14085264000'],
    "P-Associated-URI": ["<sip:a@b>, <tel:+1>"],
    "P-Called-Party-ID": ["<sip:user1-business@example.com>"],
    "P-Early-Media": ["sendrecv, gated"],
    "P-Preferred-Identity": ["<sip:fluffy@cisco.com>"],
    "P-Visited-Network-ID": ['other.net, "Visited network number 1";x=y'],
    "Path": ["<sip:P3.EXAMPLEHOME.COM;lr>,<sip:P1.EXAMPLEVISITED.COM;lr>"],
    "Priority": ["emergency"],
    "Priv-Answer-Mode": ["Auto"],
    "Privacy": ["id", "header ; user;critical"],
    "Proxy-Authenticate": [
        'Digest realm="atlanta.com", domain="sip:ss1.carrier.com", qop="auth,auth-int",'
        ' nonce="f84f1cec41e6cbe5aea9c8e88d359", opaque="", stale=FALSE, algorithm=MD5'
    ],
    "Proxy-Authentication-Info": ['nextnonce="x"'],
    "Proxy-Authorization": ['Digest username="A\\"l", realm="a"'],
    "Proxy-Require": ["foo", "foo, bar"],
    "RAck": ["776656 1 INVITE"],
    "RSeq": ["988789", "4294967295"],
    "Reason": ['SIP ;cause=200 ;text="Call completed elsewhere"', 'Q.850;cause=16;text="Terminated", X;y'],
    "Record-Route": ["<sip:server10.biloxi.com;lr>, <sip:bigbox3.site3.atlanta.com;lr>"],
    "Recv-Info": ["", "P, R;x=y"],
    "Refer-Sub": ["false", "true;x"],
    "Refer-To": [
        "<sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>",
        "sip:alice@atlanta.example.com",
        "<http://www.ietf.org>;x=y",
    ],
    "Referred-By": ['sip:r@ref.example;cid="2UWQFN309shb3@ref.example"', "<sip:r@ref.example>"],
    "Reject-Contact": ['*;actor="msg-taker";video'],
    "Remote-Party-ID": ['"A" <sip:a@b>;party=calling;screen=yes;privacy=off'],
    "Replaces": [
        "98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff",
        'a"<;to-tag=1;from-tag=2;early-only',
    ],
    "Reply-To": ["Bob <sip:bob@biloxi.com>"],
    "Request-Disposition": ["proxy, recurse, parallel"],
    "Require": ["100rel", "100rel, timer"],
    "Resource-Priority": ["dsn.flash"],
    "Retry-After": ["18000;duration=3600", "120 (I'm in a meeting)", "1 (a (b) \\( c);x=y", "0"],
    "Route": ["<sip:bigbox3.site3.atlanta.com;lr>, <sip:server10.biloxi.com;lr>"],
    "SIP-ETag": ["dx200xyz"],
    "SIP-If-Match": ["dx200xyz"],
    "Security-Client": ["ipsec-ike;q=0.1, tls;q=0.2", "digest;d-alg=MD5;q=0.5"],
    "Security-Server": ['digest;d-qop=auth;d-ver="0000000000000000000000000000a0b2"'],
    "Security-Verify": ["tls;q=0.2"],
    "Server": ["HomeServer v2"],
    "Service-Route": ["<sip:P2.HOME.EXAMPLE.COM;lr>,<sip:HSP.HOME.EXAMPLE.COM;lr>"],
    "Session-Expires": ["4000;refresher=uac", "1800", "90;refresher=UAS;x"],
    "Session-ID": ["ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000"],
    "Subject": ["Need more boxes", "", "Tech Support, now"],
    "Subscription-State": [
        "active;expires=600000",
        'terminated;reason=timeout;retry-after=5;x="y"',
        "pending",
    ],
    "Supported": ["100rel", "", "replaces, timer"],
    "Suppress-If-Match": ["*"],
    "Target-Dialog": ["fa77as7dad8-sd98ajzz@host.example.com ;local-tag=kkaz-;remote-tag=6544"],
    "Timestamp": ["54", "54.28", "54.", "54.28 0.1", "54 .5"],
    "To": ["The Operator <sip:operator@cs.columbia.edu>;tag=287447", "sip:+12125551212@server.phone2net.com"],
    "Unsupported": ["foo"],
    "User-Agent": ["Softphone Beta1.5", "a (b; c) d/1"],
    "Via": [
        "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
        "SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1, SIP/2.0/TCP b",
    ],
    "WWW-Authenticate": [
        'Digest realm="a, b", qop="auth", nonce="x", userhash=true, charset=UTF-8',
        "Negotiate",
    ],
    "Warning": [
        '307 isi.edu "Session parameter \'foo\' not understood", 301 isi.edu:5060 "x, \\"y\\""',
        '399 [::1] ""',
    ],
}

BAD: dict[str, list[str]] = {
    "Accept": ["text", "text/", "/html", "text/html/x", "text/html;", "text/html,,x/y"],
    "Accept-Contact": ["<sip:a@b>", "a;b", "*;"],
    "Accept-Encoding": [";q=1", "gzip deflate", ","],
    "Accept-Language": ["en_GB", "toolongalanguage"],
    "Allow": ["INVITE,", "INVITE ACK", '"x"'],
    "Allow-Events": ["", "a b"],
    "Authentication-Info": ["", "x", "x=", "x=y,", "x=y z=w", "x=y,x=z"],
    "Authorization": [
        "",
        "Digest",
        "Digest x",
        "Digest a=b,",
        'Digest a="b',
        'Digest a=b, A="c"',
        "Digest a=b c=d",
        '"x" a=b',
    ],
    "CSeq": [
        "",
        "INVITE",
        "1",
        "1INVITE",
        "-1 INVITE",
        "2147483648 INVITE",
        "36893488147419103232 INVITE",
        "1 A B",
        "\u0661 A",
    ],
    "Call-ID": ["", "a b", "a@b@c", "@", "a@", "a,b", "\u00e9"],
    "Contact": ["", "<sip:a@b>,", "sip:user@example.com?Route=%3Csip:x%3E"],
    "Content-Disposition": ["", "a/b", "session;handling="],
    "Content-Length": ["-999", "1 2", "", "0x1", "+1", "99999999999"],
    "Content-Type": ["", "application", "a/b;c=", "a/b, c/d", "a/b;c=d;C=e"],
    "Date": [
        "",
        "Fri, 01 Jan 2010 16:00:00 EST",
        "Sat, 32 Nov 2010 23:29:00 GMT",
        "13 Nov 2010",
        "sat, 13 nov 2010 23:29:00 gmt",
    ],
    "Event": ["", "a b", ";id=1", "presence, refer"],
    "Expires": ["", "-1", "4294967296", "1" + "0" * 99, "5 ", "5;x"][:4],
    "From": ["", "<sip:a@b>;tag"],
    "Identity": [
        "",
        ";info=<https://x>",
        "a;info=https://x",
        "a;info=<x>",
        "a;info=<a:b>;info=<a:b>",
        '"a',
        "a;",
    ],
    "Identity-Info": ["https://x"],
    "In-Reply-To": ["", "a,,b", "a b"],
    "Join": ["a;to-tag=1", "a", ";to-tag=1;from-tag=2", "a;to-tag=1;from-tag=2;from-tag=3"],
    "MIME-Version": ["", "1", "1.0 x"],
    "Max-Forwards": ["256", "300", "-1", "", "x"],
    "Min-SE": ["", "x", "60 x"],
    "P-Asserted-Identity": ["", "Fluffy"],
    "Path": ["sip:a@b;lr", ""],
    "Privacy": ["", "id;", "a b", "id, user"],
    "Proxy-Require": ["", "a b"],
    "RAck": ["1 INVITE", "1 2", "4294967296 1 INVITE", "1 2147483648 INVITE", ""],
    "RSeq": ["0", "4294967296", "", "x"],
    "Reason": ["", "SIP;cause=x", 'SIP;text="x', "SIP cause"],
    "Refer-To": ["", "sip:a@b?x=y", "<sip:a@b>, <sip:c@d>"],
    "Replaces": ["a;from-tag=1", 'a;to-tag="1";from-tag=2', ""],
    "Require": ["", ",", "a;b"],
    "Retry-After": ["", "x", "1 (", "1 (a", "1 )", "1 (a)(b)", "4294967296", "1;duration=x", "1 x"],
    "Route": ["", "sip:a@b", "<sip:a@b", "<sip:a@b>;"],
    "SIP-ETag": ["", "a b"],
    "Security-Client": ["", "tls;q" + "=", "a/b"],
    "Session-Expires": ["", "x", "90;refresher=me", "90;refresher", "4294967296"],
    "Subscription-State": ["", "active;expires=x", "active;expires", "a b"],
    "Target-Dialog": ["a;local-tag=1"],
    "Timestamp": ["", "x", ".5", "1 2 3", "1.2.3", "-1", "1" * 101],
    "To": ["", '"Mr. J. User <sip:j.user@example.com>'],
    "Via": ["", "SIP/2.0/UDP 192.0.2.15;;,;,,", "SIP/2.0/UDP a,"],
    "WWW-Authenticate": ["", "Digest", 'Digest realm="a" nonce="b"'],
    "Warning": [
        "",
        '1812 overture "In Progress"',
        "307 isi.edu x",
        '307 "x"',
        '307 a b "x"',
        '307 isi.edu "x',
    ],
}

CASES = [(name, row) for name, rows in GOOD.items() for row in rows]


def values_of(name: str, row: str) -> list[Any]:
    value = HEADERS[name].read([row])
    return value if HEADERS[name].multiple else [value]


@pytest.mark.accepts("C4")
def test_every_header_of_the_contract_has_a_type_and_a_sample() -> None:
    """RFC 3261 §20 and its successors: each of these headers is read, written and compared here."""
    for name in CONTRACT.replace("\n", " ").split(","):
        assert name.strip() in HEADERS
        assert name.strip() in GOOD
    assert HEADERS.keys() == GOOD.keys()


@pytest.mark.accepts("C4")
@pytest.mark.parametrize(("name", "row"), CASES)
def test_what_is_written_means_what_was_read(name: str, row: str) -> None:
    """RFC 3261 §7.3.1: field values; render(parse(x)) means x."""
    header = HEADERS[name]
    values = values_of(name, row)
    for value in values:
        text = str(value)
        again = header.parse(text)
        assert again == value
        assert type(again) is type(value)
        assert str(again) == text
        assert getattr(again, "params", None) == getattr(value, "params", None)
    if header.comma:
        assert header.read([", ".join(map(str, values))]) == values


@pytest.mark.accepts("C4")
@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in BAD.items() for row in rows])
def test_what_breaks_the_grammar_is_refused(name: str, row: str) -> None:
    """RFC 3261 §25.1: what the grammar does not derive is answered with 400, and the header is named."""
    with pytest.raises(MalformedMessage, match=f"^{name}: ") as caught:
        HEADERS[name].read([row])
    assert caught.value.status == 400


@pytest.mark.accepts("C4")
def test_what_may_stand_once_stands_once() -> None:
    """RFC 3261 §7.3.1: several rows of one name only if the value is a comma-separated list."""
    for name, header in HEADERS.items():
        rows = [GOOD[name][0]] * 2
        if header.multiple:
            assert len(header.read(rows)) == 2 * len(header.read(rows[:1]))
        else:
            with pytest.raises(MalformedMessage, match="stands more than once"):
                header.read(rows)


@pytest.mark.accepts("C7")
@pytest.mark.parametrize(
    ("compact", "name"),
    [
        ("a", "Accept-Contact"),
        ("b", "Referred-By"),
        ("c", "Content-Type"),
        ("d", "Request-Disposition"),
        ("e", "Content-Encoding"),
        ("f", "From"),
        ("i", "Call-ID"),
        ("j", "Reject-Contact"),
        ("k", "Supported"),
        ("l", "Content-Length"),
        ("m", "Contact"),
        ("n", "Identity-Info"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("s", "Subject"),
        ("t", "To"),
        ("u", "Allow-Events"),
        ("v", "Via"),
        ("x", "Session-Expires"),
        ("y", "Identity"),
    ],
)
def test_compact_forms_are_names(compact: str, name: str) -> None:
    """RFC 3261 §7.3.3: the compact form MAY be used at any time without changing the semantics."""
    assert canonical(compact) == canonical(compact.upper()) == name
    assert HEADERS[name].compact == compact


@pytest.mark.accepts("C6", "C7")
def test_names_compare_without_case() -> None:
    """RFC 3261 §7.3.1: when comparing header fields, field names are always case-insensitive."""
    for name in HEADERS:
        for spelled in (name, name.lower(), name.upper(), name.swapcase()):
            assert canonical(spelled) == name
    assert canonical("NewFangledHeader") == "newfangledheader"
    assert canonical("z") == "z"


def test_strangers_names_do_not_fill_the_memory() -> None:
    """D-40: everything is bounded before it is allocated."""
    before = dict(KEYS)
    try:
        for number in range(MAX_KEYS + 10):
            canonical(f"X-{number}")
        assert len(KEYS) <= MAX_KEYS
        canonical("x" * 65)
        assert "x" * 65 not in KEYS
        assert "a b" not in KEYS
    finally:
        KEYS.clear()
        KEYS.update(before)


@pytest.mark.accepts("C7")
def test_commas_in_quotes_and_brackets_do_not_separate() -> None:
    """RFC 3261 §7.3.1: a comma separates values, unless it stands in a quoted string or in <>."""
    contacts = HEADERS["Contact"].read(['"a, b" <sip:a,b@c>;x="d, \\" e", <sip:f@g>'])
    assert [contact.display_name for contact in contacts] == ["a, b", None]
    assert contacts[0].params.get("x") == 'd, " e'


def test_events_are_compared_byte_by_byte() -> None:
    """RFC 6665 §8.2.1: event types and "id" are compared byte-by-byte; other parameters do not count."""
    assert Event.parse("presence;id=a;x=1") == Event.parse("presence;x=2;id=a")
    assert Event("presence") != Event("Presence")
    assert Event("refer", {"id": "1"}) != Event("refer")
    assert Event("refer", {"id": "a"}) != Event("refer", {"id": "A"})
    assert (Event("a.winfo").package, Event("a", {"id": "2"}).id) == ("a.winfo", "2")


def test_tokens_are_compared_without_case_and_quoted_strings_with() -> None:
    """RFC 3261 §7.3.1: values are case-insensitive unless expressed as quoted strings."""
    assert ParameterizedToken.parse("Session;Handling=Optional") == ParameterizedToken.parse(
        "session;handling=optional"
    )
    assert ParameterizedToken.parse('a;b="c"') != ParameterizedToken.parse('a;b="C"')
    assert MediaType.parse("Application/SDP") == MediaType("application", "sdp")
    assert MediaType.parse("a/b;c=d") != MediaType.parse("a/b")
    assert Privacy.parse("ID;user") == Privacy(["user", "id"])
    assert "Id" in Privacy(["id"])
    assert CSeq.parse("1 INVITE") != CSeq.parse("1 invite")
    assert CSeq.parse("0001   INVITE") == CSeq(1, "INVITE")
    assert Replaces.parse("A;to-tag=1;from-tag=2") != Replaces.parse("a;to-tag=1;from-tag=2")
    assert Reason.parse("sip;cause=200") == Reason("SIP", {"cause": 200})
    assert Warning.parse('307 ISI.edu "x"') == Warning(307, "isi.edu", "x")
    assert Warning(307, "isi.edu", "x") != Warning(307, "isi.edu", "X")
    assert RetryAfter(5, "lunch") == RetryAfter(5)
    assert Event("a") != ParameterizedToken("a")


def test_a_media_range_includes_types() -> None:
    """RFC 3261 §20.1: the syntax and rules of Accept are those of HTTP: */*, type/*, parameters before q."""
    sdp = MediaType.parse("application/sdp;charset=utf-8")
    assert MediaType.parse("*/*").includes(sdp)
    assert MediaType.parse("application/*;q=0.5").includes(sdp)
    assert MediaType.parse("APPLICATION/SDP").includes(sdp)
    assert not MediaType.parse("application/sdp;level=1").includes(sdp)
    assert not MediaType.parse("text/*").includes(sdp)
    assert MediaType.parse("text/*;q=0.25").q == 0.25
    assert sdp.essence == "application/sdp"


def test_what_the_values_tell() -> None:
    """Each value has the parts of its RFC as attributes."""
    state = SubscriptionState.parse("Terminated;reason=Rejected;retry-after=60")
    assert (state.state, state.reason, state.retry_after, state.expires) == (
        "terminated",
        "rejected",
        60,
        None,
    )
    assert SubscriptionState("active", {"expires": 600}).expires == 600
    session = SessionExpires.parse("4000;refresher=UAC")
    assert (session.seconds, session.refresher) == (4000, "uac")
    assert MinSE(90).seconds == 90
    replaces = Replaces("a@b", {"to-tag": "1", "from-tag": "2", "early-only": None})
    assert (replaces.call_id, replaces.to_tag, replaces.from_tag, replaces.early_only) == (
        "a@b",
        "1",
        "2",
        True,
    )
    assert Join("a", {"to-tag": "1", "from-tag": "2"}).to_tag == "1"
    assert TargetDialog("a", {"local-tag": "1", "remote-tag": "2"}).remote_tag == "2"
    reason = Reason.parse('Q.850 ;cause=16 ;text="Terminated"')
    assert (reason.protocol, reason.cause, reason.text) == ("Q.850", 16, "Terminated")
    assert str(Reason("SIP", {"cause": 200, "text": "Elsewhere"})) == 'SIP;cause=200;text="Elsewhere"'
    retry = RetryAfter.parse("120 (I'm (still) in a meeting) ;duration=10")
    assert (retry.seconds, retry.comment, retry.duration) == (120, "I'm (still) in a meeting", 10)
    assert str(RetryAfter(5, "a ) b")) == "5 (a \\) b)"
    assert RAck.parse("776656 1 INVITE") == RAck(776656, 1, "INVITE")
    assert FeatureSet.parse("*;audio;require").require
    assert FeatureSet("*", {"explicit": None}).explicit
    assert LanguageRange("en-gb", {"q": "0.5"}).q == 0.5
    assert NetworkName('"a b"').value == '"a b"'
    identity = Identity("abc==", "https://x.com/y", {"alg": "ES256"})
    assert str(identity) == "abc==;info=<https://x.com/y>;alg=ES256"


def test_a_timestamp_keeps_its_digits() -> None:
    """RFC 3261 §8.2.6.1: a 100 copies the Timestamp, with a delay if there was one."""
    assert str(Timestamp.parse("54.280")) == "54.280"
    assert str(Timestamp("54.280", 0.25)) == "54.280 0.25"
    assert str(Timestamp(0.0000001)) == "0.0000001"
    for wrong in ("x", "-1", "", "1e5", float("nan"), "1\r\n"):
        with pytest.raises(ArgumentError):
            Timestamp(wrong)


def test_a_date_is_in_gmt() -> None:
    """RFC 3261 §20.17: the time zone in SIP-date is restricted to "GMT"."""
    date = Date.parse("Sat, 13 Nov 2010 23:29:00 GMT")
    assert date.when == datetime(2010, 11, 13, 23, 29, tzinfo=timezone.utc)
    assert date.timestamp == 1289690940
    assert Date(datetime(2010, 11, 14, 1, 29, 0, 5, tzinfo=timezone(timedelta(hours=2)))) == date
    assert str(date) == "Sat, 13 Nov 2010 23:29:00 GMT"
    with pytest.raises(ArgumentError):
        Date(datetime(2010, 1, 1))


def test_digest_parameters_are_quoted_as_they_must_be() -> None:
    """RFC 7616 §3.3, §3.4: realm, nonce, uri … MUST be quoted; algorithm, stale, nc and a client's qop not."""
    params = {
        "realm": "a",
        "nonce": "n",
        "qop": "auth",
        "algorithm": "SHA-256",
        "stale": "true",
        "opaque": "",
    }
    assert str(Challenge("Digest", params)) == (
        'Digest realm="a", nonce="n", qop="auth", algorithm=SHA-256, stale=true, opaque=""'
    )
    sent = {"username": "a", "uri": "sip:b", "response": "0", "qop": "auth", "nc": "00000001", "cnonce": "c"}
    assert str(Credentials("Digest", sent)) == (
        'Digest username="a", uri="sip:b", response="0", qop=auth, nc=00000001, cnonce="c"'
    )
    assert (
        str(AuthenticationInfo({"nextnonce": "x", "qop": "auth", "nc": "1"}))
        == 'nextnonce="x", qop=auth, nc=1'
    )
    assert str(Credentials("Digest", {"username*": "UTF-8''J%C3%A4s"})) == "Digest username*=UTF-8''J%C3%A4s"
    assert str(Credentials("Bearer", token="a.b-c==")) == "Bearer a.b-c=="
    challenge = Challenge.parse('DIGEST Realm="a, b", NONCE="x\\"y" ,qop="auth,auth-int"')
    assert (challenge.realm, challenge.params.get("nonce")) == ("a, b", 'x"y')
    assert challenge == Challenge("Digest", {"nonce": 'x"y', "realm": "a, b", "qop": "auth,auth-int"})
    assert challenge != Challenge("Digest", {"nonce": 'x"y', "realm": "A, b", "qop": "auth,auth-int"})
    assert "x" not in repr(Credentials("Bearer", token="xxx"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CSeq(-1, "A"),
        lambda: CSeq(2**31, "A"),
        lambda: CSeq(1, "A\r\n"),
        lambda: CSeq(True, "A"),
        lambda: RAck(1, 1, ""),
        lambda: MediaType("a b", "c"),
        lambda: MediaType("a", "c", {"d": "\r\n"}),
        lambda: ParameterizedToken("a\r\nb"),
        lambda: ParameterizedToken("a", {"b\n": None}),
        lambda: Event(""),
        lambda: SubscriptionState("active", {"expires": "x"}),
        lambda: FeatureSet("a"),
        lambda: SessionExpires(-1),
        lambda: SessionExpires(90, {"refresher": "x"}),
        lambda: MinSE(2**32),
        lambda: Replaces("a"),
        lambda: Replaces("a b", {"to-tag": "1", "from-tag": "2"}),
        lambda: Reason("SIP", {"text": "a\r\nb"}),
        lambda: Warning(99, "a", "b"),
        lambda: Warning(399, "a b", "b"),
        lambda: Warning(399, "a", "b\r\n"),
        lambda: RetryAfter(-1),
        lambda: RetryAfter(1, "a\r\nb"),
        lambda: RetryAfter(1, None, {"a": "\0"}),
        lambda: Challenge("Dig est"),
        lambda: Challenge("Digest", {"realm": "a\r\nb"}),
        lambda: Challenge("Digest", {"realm": None}),
        lambda: Credentials("Bearer", {"a": "b"}, token="c"),
        lambda: Credentials("Bearer", token="a b"),
        lambda: Identity("a b"),
        lambda: Identity("a", "x y"),
        lambda: Identity("a", "a:b", {"info": "x"}),
        lambda: Privacy([]),
        lambda: Privacy(["a;b"]),
        lambda: LanguageRange("en_GB"),
        lambda: NetworkName("a b"),
    ],
)
def test_what_an_application_cannot_send_is_refused(make: Callable[[], object]) -> None:
    """D-41: no CRLF from application input reaches the wire; the caller's mistakes raise at once."""
    with pytest.raises(ArgumentError):
        make()


cuts = st.sampled_from(
    ['"', "\\", ",", ";", "=", "<", ">", "(", ")", " ", "\t", "\r\n", "\0", "a", "1", "@", ":", "[", "é", ""]
)


@pytest.mark.accepts("C4")
@given(st.sampled_from(CASES), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 3), cuts), max_size=3))
def test_a_damaged_header_reads_or_is_malformed(
    case: tuple[str, str], wounds: list[tuple[int, int, str]]
) -> None:
    """Strangers' input raises one thing, MalformedMessage; what reads keeps its meaning when it is written."""
    name, row = case
    for at, length, put in wounds:
        row = row[:at] + put + row[at + length :]
    header = HEADERS[name]
    try:
        values = values_of(name, row)
    except MalformedMessage as error:
        assert error.status == 400
        return
    for value in values:
        text = str(value)
        assert header.parse(text) == value
        assert str(header.parse(text)) == text


@given(st.sampled_from(sorted(HEADERS)), st.text(max_size=30))
def test_any_text_reads_or_is_malformed(name: str, row: str) -> None:
    """Strangers' input raises one thing, MalformedMessage."""
    try:
        HEADERS[name].read([row])
    except MalformedMessage as error:
        assert error.status == 400
