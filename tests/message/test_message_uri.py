"""SIP, SIPS, tel and other URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import SIPURI, OtherURI, TelURI, parse_uri

pytestmark = pytest.mark.accepts("C8")

EQUAL = [
    ["sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"],
    ["sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"],
    [
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ],
    [
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ],
]
UNEQUAL = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
]


@pytest.mark.parametrize("group", EQUAL, ids=lambda group: str(group[0]))
def test_the_equal_examples_of_rfc_3261_are_equal(group: list[str]) -> None:
    """RFC 3261 §19.1.4: the URIs within each of the following sets are equivalent."""
    for one in group:
        for other in group:
            assert parse_uri(one) == parse_uri(other)
            assert hash(parse_uri(one)) == hash(parse_uri(other))


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_the_unequal_examples_of_rfc_3261_are_unequal(one: str, other: str) -> None:
    """RFC 3261 §19.1.4: the URIs within each of the following sets are not equivalent."""
    assert parse_uri(one) != parse_uri(other)
    assert parse_uri(other) != parse_uri(one)


def test_equality_is_not_transitive() -> None:
    """RFC 3261 §19.1.4: equality is not transitive: security=on and security=off both equal none."""
    plain, on, off = map(parse_uri, ("sip:c@d.com", "sip:c@d.com;security=on", "sip:c@d.com;security=off"))
    assert plain == on
    assert plain == off
    assert on != off


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:alice@atlanta.com", "sips:alice@atlanta.com"),
        ("sip:alice:a@atlanta.com", "sip:alice:A@atlanta.com"),
        ("sip:alice@atlanta.com", "sip:atlanta.com"),
        ("sip:a@b.com;user=phone", "sip:a@b.com"),
        ("sip:a@b.com;ttl=1", "sip:a@b.com"),
        ("sip:a@b.com;method=INVITE", "sip:a@b.com"),
        ("sip:a@b.com;maddr=192.0.2.1", "sip:a@b.com"),
        ("sip:a@b.com?a=1&a=2", "sip:a@b.com?a=2&a=1"),
        ("sip:a%3Bb@c.com", "sip:a;b@c.com"),
        ("sip:a@b.com;x=1", "tel:+1"),
    ],
)
def test_what_never_matches(one: str, other: str) -> None:
    """RFC 3261 §19.1.4: a user, ttl, method or maddr parameter appearing in only one URI never matches."""
    assert parse_uri(one) != parse_uri(other)
    assert parse_uri(other) != parse_uri(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:a@[2001:db8::1]", "sip:a@[2001:0DB8:0:0::0001]"),
        ("sip:bob@[::ffff:192.0.2.128]", "sip:bob@[::ffff:c000:280]"),
        ("sip:a@b.com;lr", "sip:a@b.com"),
        ("sip:a@b.com;x=%61", "sip:a@b.com;X=A"),
        ("sip:%c3%a9@b.com", "sip:%C3%A9@B.com"),
        (
            "sip:a@b.com?Contact=%3Csip:x@Y.com%3E",
            "sip:a@b.com?m=%3Csip:x@y.com%3E".replace("?m", "?contact"),
        ),
        ("SIPS:a@b.com", "sips:a@b.com"),
    ],
)
def test_what_matches_all_the_same(one: str, other: str) -> None:
    """RFC 5954 §4.2: IPv6 addresses are compared as addresses; RFC 3261 §19.1.4: hosts without case."""
    one, other = one.replace("x@Y", "x%40Y"), other.replace("x@y", "x%40y")
    assert parse_uri(one) == parse_uri(other)
    assert hash(parse_uri(one)) == hash(parse_uri(other))


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@atlanta.com",
        "sip:alice:secretword@atlanta.com;transport=tcp",
        "sips:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "sips:1212@gateway.com",
        "sip:alice@192.0.2.4",
        "sip:atlanta.com;method=REGISTER?to=alice%40atlanta.com",
        "sip:alice;day=tuesday@atlanta.com",
        "sip:a@[2001:db8::9:1]:5070;lr",
        "sip:[::1]",
        "sip:null-%00-null@example.com",
        "sip:sips%3Auser%40example.com@example.net",
        "sip:user;par=u%40example.net@example.com",
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31",
        "sip:user:@host",
        "sip:a@my_host.local",
        "sip:a@example.com.",
        "sip:a@b?x=",
        "tel:+1-201-555-0123",
        "tel:7042;phone-context=example.com",
        "tel:863-1234;phone-context=+1-914-555",
        "tel:*21#;phone-context=example.com",
        "urn:service:sos",
        "http://www.example.com/a?b=c&d",
        "mailto:a@b.com",
        "isbn:2983792873",
        "soap.beep://192.0.2.103:3002",
    ],
)
def test_a_uri_is_written_as_it_was_read(text: str) -> None:
    """RFC 3261 §19.1.1: the examples of SIP and SIPS URIs, and the odd ones of RFC 4475."""
    assert str(parse_uri(text)) == text
    assert parse_uri(text) == parse_uri(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        "sip:@host",
        "sip::pw@host",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@host",
        "sip:user@example.com; lr",
        " sip:a@b",
        "sip:a@b ",
        "<sip:a@b>",
        "sip:a@b:",
        "sip:a@b:70000",
        "sip:a@b:-1",
        "sip:a@b : 5060",
        "sip:a@host;",
        "sip:a@host;;lr",
        "sip:a@host;x=",
        "sip:a@host;lr;LR",
        "sip:a@host;x=1;%78=2",
        "sip:a@host?",
        "sip:a@host?x",
        "sip:a@host?x=1&",
        "sip:a@host?x=@",
        "sip:%4@host",
        "sip:%zz@host",
        "sip:a@host;x=%",
        "sip:a@1234",
        "sip:a@1.2.3.4.5",
        "sip:a@300.1.1.1",
        "sip:a@-host.com",
        "sip:a@host-.com",
        "sip:a@a..b",
        "sip:a@[::1",
        "sip:a@::1",
        "sip:a@[::g]",
        "sip:a@[fe80::1%eth0]",
        "sip:a@[]",
        'sip:"a"@host',
        "sip:a\r\n@host",
        "sip:a@host\n",
        "sip:\u00e9@host",
        "sip:a#b@host",
        "tel:",
        "tel:+",
        "tel:-",
        "tel:1234",
        "tel:+12ab",
        "tel:12;phone-context=",
        "tel:12;phone-context=-x",
        "tel:+1;ext=1;isub=2",
        "tel:+1;ext=",
        "tel:+1;ext=x",
        "1a:b",
        ":b",
        "http:",
        "http://a b",
        "http://a\n",
        "http://a/%4",
    ],
)
def test_what_is_no_uri_is_refused(text: str) -> None:
    """RFC 3261 §25.1: what the grammar does not derive is answered with 400."""
    with pytest.raises(MalformedMessage) as caught:
        parse_uri(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tel:+1-201-555-0123", "tel:+12015550123"),
        ("tel:+1(201)555.0123", "TEL:+12015550123"),
        ("tel:7042;phone-context=example.com", "tel:70-42;phone-context=EXAMPLE.com"),
        ("tel:863-1234;phone-context=+1-914-555", "tel:8631234;phone-context=+1914555"),
        ("tel:+1;ext=1-2", "tel:+1;EXT=12"),
        ("tel:+1;a=b;c=d", "tel:+1;c=D;a=b"),
        ("tel:aB;phone-context=x.com", "tel:Ab;phone-context=x.com"),
    ],
)
def test_telephone_numbers_that_are_the_same(one: str, other: str) -> None:
    """RFC 3966 §4: digits must be equal after removing all visual separators, without case."""
    assert parse_uri(one) == parse_uri(other)
    assert hash(parse_uri(one)) == hash(parse_uri(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tel:+12015550123", "tel:12015550123;phone-context=+1"),
        ("tel:7042;phone-context=example.com", "tel:7042;phone-context=example.org"),
        ("tel:+1;a=b", "tel:+1"),
        ("tel:+1;ext=1", "tel:+1;ext=2"),
        ("tel:+1;ext=1", "tel:+1;isub=1"),
    ],
)
def test_telephone_numbers_that_differ(one: str, other: str) -> None:
    """RFC 3966 §4: if one URI has a parameter name not found in the other, the two URIs are not equal."""
    assert parse_uri(one) != parse_uri(other)
    assert parse_uri(other) != parse_uri(one)


def test_the_parts_of_a_sip_uri() -> None:
    """RFC 3261 §19.1.1: sip:user:password@host:port;uri-parameters?headers"""
    uri = SIPURI.parse(
        "sips:%61%20b:p%3A@[2001:db8::1]:5061;transport=TCP;lr;maddr=[::1];gr;ob?Subject=a%20b"
    )
    assert (uri.user, uri.password, uri.host, uri.port) == ("a b", "p:", "2001:db8::1", 5061)
    assert uri.secure
    assert uri.lr
    assert uri.ob
    assert uri.gr is True
    assert (uri.transport, uri.maddr, uri.host_port) == ("tcp", "::1", "[2001:db8::1]:5061")
    assert uri.headers == [("Subject", "a b")]
    assert SIPURI.parse("sip:a@b;gr=urn:uuid:1").gr == "urn:uuid:1"
    assert SIPURI.parse("sip:a@b").gr is None


def test_a_uri_is_changed_by_making_another() -> None:
    """RFC 3261 §19.1.2: each component can be replaced on its own."""
    uri = SIPURI.parse("sip:a%3B:pw@b.com:5070;x=1;lr?Subject=y")
    assert str(uri.replace(host="c.com", port=None)) == "sip:a%3B:pw@c.com;x=1;lr?Subject=y"
    assert str(uri.replace(user="z", headers=None)) == "sip:z:pw@b.com:5070;x=1;lr"
    assert str(uri.replace(user=None)) == "sip:b.com:5070;x=1;lr?Subject=y"
    assert str(uri.replace(scheme="sips", params={"ob": None})) == "sips:a%3B:pw@b.com:5070;ob?Subject=y"
    assert str(uri.replace(password=None).without_params()) == "sip:a%3B@b.com:5070?Subject=y"
    assert str(uri.without_headers().without_params("lr")) == "sip:a%3B:pw@b.com:5070;x=1"
    assert str(uri.with_params(transport="tcp")) == "sip:a%3B:pw@b.com:5070;x=1;lr;transport=tcp?Subject=y"
    assert str(uri) == "sip:a%3B:pw@b.com:5070;x=1;lr?Subject=y"


def test_the_address_of_record_is_canonical() -> None:
    """RFC 3261 §10.3: all URI parameters MUST be removed, and escaped characters be unescaped."""
    uri = SIPURI.parse("sip:%61lice:pw@EXAMPLE.com:5060;user=phone?x=y")
    assert str(uri.address_of_record()) == "sip:alice@example.com:5060"


def test_users_are_escaped_when_they_have_to_be() -> None:
    """RFC 3261 §19.1.2: excluded and other characters in the user part MUST be escaped."""
    assert str(SIPURI("a b@c:\u00e9#", "host")) == "sip:a%20b%40c%3A%C3%A9%23@host"
    assert SIPURI("a b@c:\u00e9#", "host").user == "a b@c:\u00e9#"
    assert str(SIPURI("x\r\nVia: y", "host")) == "sip:x%0D%0AVia%3A%20y@host"


@pytest.mark.parametrize(
    "make",
    [
        lambda: SIPURI("a", "host\r\nVia: x"),
        lambda: SIPURI("a", ""),
        lambda: SIPURI("a", "h", 70000),
        lambda: SIPURI("a", "h", True),
        lambda: SIPURI("", "h"),
        lambda: SIPURI(None, "h", password="x"),
        lambda: SIPURI("a", "h", scheme="http"),
        lambda: SIPURI("a", "h", params={"": "x"}),
        lambda: SIPURI("a", "h", params={"x": ""}),
        lambda: SIPURI("a", "h", headers={"a b": "x"}),
        lambda: SIPURI("a", "h").replace(hosts="x"),
        lambda: SIPURI("a", "h").replace(host="x y"),
        lambda: TelURI("123"),
        lambda: TelURI("+1\r\n"),
        lambda: TelURI("x", {"phone-context": "a.com"}),
        lambda: OtherURI("http", "//a\r\nb"),
        lambda: OtherURI("sip", "a@b"),
        lambda: OtherURI("1", "a"),
        lambda: OtherURI("http", ""),
    ],
)
def test_parts_that_no_uri_can_hold_are_refused(make: object) -> None:
    """D-41: no CRLF from application input reaches the wire; the caller's mistakes raise at once."""
    with pytest.raises(ArgumentError):
        make()  # type: ignore[operator]


def test_ipv6_hosts_take_and_give_no_brackets() -> None:
    """D-28: IPv6 brackets belong to the wire form; RFC 3261 §25.1: IPv6reference = "[" IPv6address "]"."""
    assert str(SIPURI("a", "[::1]", 5060)) == str(SIPURI("a", "::1", 5060)) == "sip:a@[::1]:5060"
    assert parse_uri("sip:a@[::1]").host == "::1"  # type: ignore[union-attr]


users = st.text(min_size=1, max_size=12)
tokens = st.text("abcXYZ019-_.!~*'+", min_size=1, max_size=8)
hosts = st.sampled_from(["example.com", "EXAMPLE.com", "a", "192.0.2.1", "::1", "2001:db8::9", "x-1.y"])


@given(
    user=st.none() | users,
    host=hosts,
    port=st.none() | st.integers(0, 65535),
    params=st.dictionaries(tokens, st.none() | st.text(min_size=1, max_size=8), max_size=3),
    headers=st.dictionaries(tokens, st.text(max_size=8), max_size=3),
    scheme=st.sampled_from(["sip", "sips"]),
)
def test_any_uri_that_can_be_made_reads_back(
    user: str | None,
    host: str,
    port: int | None,
    params: dict[str, str | None],
    headers: dict[str, str],
    scheme: str,
) -> None:
    """RFC 3261 §19.1.4: a URI equals what is read of its own text, whatever stood in its parts."""
    uri = SIPURI(user, host, port, params=params, headers=headers, scheme=scheme)
    again = SIPURI.parse(str(uri))
    assert again == uri
    assert hash(again) == hash(uri)
    assert (again.user, again.host, again.port, again.headers) == (user, host, port, list(headers.items()))
    assert str(again) == str(uri)
    assert "\r" not in str(uri)
    assert "\n" not in str(uri)


@given(st.text('sipstel:;=?&@%[]0aF+-. <>"#/\\é\r\n', max_size=40))
def test_any_text_is_a_uri_or_malformed(text: str) -> None:
    """Strangers' input raises one thing, MalformedMessage; what reads, renders and reads the same."""
    for candidate in (text, f"sip:{text}", f"sip:a@{text}", f"tel:{text}", f"x:{text}"):
        try:
            uri = parse_uri(candidate)
        except MalformedMessage as error:
            if error.status != 400:
                raise
        else:
            assert parse_uri(str(uri)) == uri
            assert str(parse_uri(str(uri))) == str(uri)
