"""Addresses, From and To, Contact and Via."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import SIPURI, STAR, Address, Via, parse_uri
from sipactors.message.registry import HEADERS

pytestmark = pytest.mark.accepts("C4")


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ("<sip:a@b>", None, "sip:a@b", ""),
        ("sip:a@b", None, "sip:a@b", ""),
        ("sip:a@b;tag=x", None, "sip:a@b", ";tag=x"),
        ("sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n", None, None, ";tag=1918181833n"),
        ("<sip:a@b;x=y>;tag=z", None, "sip:a@b;x=y", ";tag=z"),
        ('"J Rosenberg \\\\\\""       <sip:j@example.com>  ;  tag = 98', 'J Rosenberg \\"', None, ";tag=98"),
        ("caller<sip:caller@example.com>;tag=323", "caller", None, ";tag=323"),
        (
            "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>",
            "token1~` token2'+_ token3*%!.-",
            None,
            "",
        ),
        ('"Bell, <sip:x@y>" <sip:a@b>', "Bell, <sip:x@y>", "sip:a@b", ""),
        ('"" <sip:a@b>', "", "sip:a@b", ""),
        ('"\u30b5\u30c3\u30d7" <sip:a@b>', "\u30b5\u30c3\u30d7", "sip:a@b", ""),
        (
            '<sip:a@b>;+sip.instance="<urn:uuid:f8>";reg-id=1',
            None,
            None,
            ';+sip.instance="<urn:uuid:f8>";reg-id=1',
        ),
        ("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>", None, None, ""),
        ("<sip:a@b>;received=[::1];x=::1", None, None, ";received=[::1];x=::1"),
        ("isbn:2983792873", None, "isbn:2983792873", ""),
        ("<http://www.example.com>;tag=3234233", None, None, ";tag=3234233"),
        ("<tel:+1-2>", None, "tel:+1-2", ""),
        ('"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:a@b>', "BEL:\x07 NUL:\x00 DEL:\x7f", "sip:a@b", ""),
        (" <sip:a@b>\t", None, "sip:a@b", ""),
    ],
)
def test_an_address_is_read(text: str, name: str | None, uri: str | None, params: str) -> None:
    """RFC 3261 §25.1: name-addr = [display-name] LAQUOT addr-spec RAQUOT."""
    address = Address.parse(text)
    assert address.display_name == name
    assert uri is None or str(address.uri) == uri
    assert str(address.params) == params
    assert_keeps_its_meaning(address)


def assert_keeps_its_meaning(address: Address) -> None:
    again = Address.parse(str(address))
    assert again == address
    assert str(again) == str(address)
    assert (again.display_name, again.params) == (address.display_name, address.params)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<>",
        "<sip:a@b",
        "sip:a@b>",
        '"Mr. J. User <sip:j.user@example.com>',
        "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
        '"Watson, Thomas" < sip:t.watson@example.org >',
        "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
        "sip:a,b@c",
        '"Joe" <sip:joe@example.org>;;;;',
        "<sip:a@b>;",
        "<sip:a@b>;tag=",
        "<sip:a@b>;tag=a;TAG=b",
        "<sip:a@b>;x=a b",
        "<sip:a@b> x",
        "<sip:a@b>,",
        '"a" "b" <sip:a@b>',
        'a "b" <sip:a@b>',
        "\u00e9 <sip:a@b>",
        "<sip:a@b\r\n>",
        "<sip:a@b>;x=y\r\nVia: z",
        '"a\r\n" <sip:a@b>',
        '"a\x00" <sip:a@b>',
        "<<sip:a@b>>",
        "<sip:a@1234>",
        "<sip:a@b:99999>",
        "<sip:a@b;lr;lr>",
        "*;tag=x",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """RFC 4475 §3.1.2.6, §3.1.2.13 to §3.1.2.15 and RFC 3261 §25.1: answered with 400."""
    with pytest.raises(MalformedMessage) as caught:
        _ = Address.parse(text).uri
    assert caught.value.status == 400


def test_parameters_behind_a_bare_uri_are_the_headers() -> None:
    """RFC 3261 §20: without angle brackets, any semicolon-delimited parameters are header-parameters."""
    address = Address.parse("sip:+19725552222@gw1.example.net;unknownparam")
    assert "unknownparam" in address.params
    assert not address.uri.params  # type: ignore[union-attr]
    assert str(address) == "<sip:+19725552222@gw1.example.net>;unknownparam"


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('"A" <sip:a@b>;tag=1', "sip:a@B;tag=1", True),
        ("<sip:a@b>;tag=1", "<sip:a@b>;tag=2", False),
        ("<sip:a@b>;tag=1", "<sip:a@b>", False),
        ("<sip:a@b>;x=1", "<sip:a@b>", True),
        ("<sip:a@b>;x=1", "<sip:a@b>;X=2", False),
        ("<sip:a@b>;x=ABC", "<sip:a@b>;x=abc", True),
        ('<sip:a@b>;x="ABC"', '<sip:a@b>;x="abc"', False),
        ("<sip:a@b>;expires=1", "<sip:a@b>", False),
        ("<sip:A@b>", "<sip:a@b>", False),
        ("*", "*", True),
        ("*", "<sip:a@b>", False),
    ],
)
def test_addresses_are_compared_by_uri_and_parameters(one: str, other: str, equal: bool) -> None:
    """RFC 3261 §20.20: equivalent if their URIs match, and their parameters match; display names do not matter."""
    assert (Address.parse(one) == Address.parse(other)) is equal
    assert (Address.parse(other) == Address.parse(one)) is equal


def test_the_usual_form_is_judged_like_any_other() -> None:
    """The short way through the usual form and the long way agree on what is read."""
    for text in (
        '"Alice" <sip:alice@atlanta.com:5060;transport=udp>;tag=1928301774',
        "Bob <sips:bob@192.0.2.1:65535>",
        "<sip:example.com;lr>",
        "<sip:a@b:12345>;tag",
    ):
        short, long = Address.parse(text), Address.parse(text.replace(">", ">  "))
        assert (short.display_name, short.uri, short.params) == (long.display_name, long.uri, long.params)
        assert (short.tag, str(short)) == (long.tag, str(long))


def test_an_address_is_made_and_changed() -> None:
    """RFC 3261 §20.10: display names that are no tokens are written as quoted strings."""
    address = Address(SIPURI("bob", "b.com"), "Bob", {"tag": "x"})
    assert str(address) == "Bob <sip:bob@b.com>;tag=x"
    address.display_name = 'Bo"b\\, Jr.'
    address.tag = None
    address.q = 0.5
    address.expires = 60
    assert str(address) == '"Bo\\"b\\\\, Jr." <sip:bob@b.com>;q=0.5;expires=60'
    assert (address.q, address.expires, address.tag) == (0.5, 60, None)
    twin = address.copy()
    twin.tag = "t"
    twin.uri = "sip:z@b.com"
    assert address.tag is None
    assert str(twin) == '"Bo\\"b\\\\, Jr." <sip:z@b.com>;q=0.5;expires=60;tag=t'
    assert twin.without_tag().tag is None
    read = Address.parse("<sip:a@b>;tag=1")
    read.tag = "2"
    assert (read.tag, str(read)) == ("2", "<sip:a@b>;tag=2")


def test_the_star_of_contact() -> None:
    """RFC 3261 §10.2.2: the "*" Contact applies to all registrations."""
    assert Address.parse(" * ").is_star
    assert Address.parse("*") == STAR
    assert str(STAR) == "*"
    assert not Address.parse("<sip:*@b>").is_star
    with pytest.raises(ValueError, match="has no URI"):
        _ = STAR.uri
    for name in ("From", "Route", "Reply-To"):
        with pytest.raises(MalformedMessage):
            HEADERS[name].read(["*"])


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("Contact", "<sip:a@b>;q=2"),
        ("Contact", "<sip:a@b>;q=0.1234"),
        ("Contact", "<sip:a@b>, "),
        ("Route", "sip:a@b;lr"),
        ("Record-Route", "sip:a@b"),
        ("From", "<sip:a@b>;tag"),
        ("To", '<sip:a@b>;tag="x"'),
        ("From", "<sip:a@b>, <sip:c@d>"),
        ("From", "<sip:a@b;lr;lr>"),
    ],
)
def test_what_a_header_asks_of_its_addresses(name: str, row: str) -> None:
    """RFC 3261 §25.1: Route and Record-Route hold name-addr, tag = "tag" EQUAL token, q is a qvalue."""
    with pytest.raises(MalformedMessage, match=f"^{name}: "):
        HEADERS[name].read([row])


def test_an_expiry_that_is_none_counts_as_an_hour() -> None:
    """RFC 3261 §20.10: malformed values SHOULD be treated as equivalent to 3600."""
    assert Address.parse("<sip:a@b>;expires=280297596632815").expires == 3600
    assert Address.parse("<sip:a@b>;expires=soon").expires == 3600
    assert Address.parse("<sip:a@b>;expires=0").expires == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Address("sip:a@b", "x\r\nVia: y"),
        lambda: Address("sip:a@b", params={"x": "y\r\n"}),
        lambda: Address("sip:a@b", params={"x y": "z"}),
        lambda: Address("nonsense"),
        lambda: Address(3),  # type: ignore[arg-type]
        lambda: Address("*", "x"),
        lambda: Address("sip:a@b", "x\0"),
        lambda: setattr(Address("sip:a@b"), "q", 2),
        lambda: setattr(Address("sip:a@b"), "tag", "\n"),
    ],
)
def test_parts_that_break_a_header_are_refused(make: object) -> None:
    """D-41: no CRLF from application input reaches the wire."""
    with pytest.raises(ArgumentError):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "transport", "sent_by", "branch"),
    [
        (
            "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
            "UDP",
            "erlang.bell-telephone.com:5060",
            "z9hG4bK87asdks7",
        ),
        ("SIP  /   2.0 /UDP    192.0.2.2;branch=390skdjuw", "UDP", "192.0.2.2", "390skdjuw"),
        (
            "SIP  / 2.0  / TCP     spindle.example.com   ; branch  =   z9hG4bK9ikj8",
            "TCP",
            "spindle.example.com",
            "z9hG4bK9ikj8",
        ),
        (
            "SIP/2.0/UNKNOWN T4.example.com;branch=z9hG4bKasd0f3en",
            "UNKNOWN",
            "t4.example.com",
            "z9hG4bKasd0f3en",
        ),
        (
            "SIP/2.0/TLS [2001:db8::9:1]:5061;branch=z9hG4bKas3-111;rport",
            "TLS",
            "[2001:db8::9:1]:5061",
            "z9hG4bKas3-111",
        ),
        ("SIP/2.0/UDP [::1]", "UDP", "[::1]", None),
        (
            "SIP/2.0/UDP first.example.com: 4000;ttl=16;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1",
            "UDP",
            "first.example.com:4000",
            "z9hG4bKa7c6a8dlze.1",
        ),
        (
            "SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~",
            "TCP",
            "host1.example.com",
            "z9hG4bK-.!%66*_+`'~",
        ),
        ("sip/2.0/udp a;rport;branch=x", "UDP", "a", "x"),
        ("SIP/2.0/UDP a;rport", "UDP", "a", None),
        (
            "SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bK56sdasks",
            "WSS",
            "df7jal23ls0d.invalid",
            "z9hG4bK56sdasks",
        ),
    ],
)
def test_a_via_is_read(text: str, transport: str, sent_by: str, branch: str | None) -> None:
    """RFC 3261 §20.42: white space between the sent-protocol's parts is allowed, as in its examples."""
    via = Via.parse(text)
    assert (via.transport, via.sent_by, via.branch) == (transport, sent_by, branch)
    assert Via.parse(str(via)) == via
    assert str(Via.parse(str(via))) == str(via)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 UDP a",
        "SIP/2.0/UDPa",
        "SIP/2.0/UDP 192.0.2.15;;",
        "SIP/2.0/UDP a;branch=",
        "SIP/2.0/UDP a;branch",
        "SIP/2.0/UDP a;branch=x;branch=y",
        "SIP/2.0/UDP a;rport;branch=y;rport",
        "SIP/2.0/UDP a:",
        "SIP/2.0/UDP a:99999",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP [::g]",
        "SIP/2.0/UDP ::1",
        "SIP/2.0/UDP 1234",
        "SIP/2.0/UDP a;received=x y",
        "SIP/2.0/UDP a;received",
        "SIP/2.0/UDP a;ttl=256",
        "SIP/2.0/UDP a;ttl=x",
        "SIP/2.0/UDP a;rport=x",
        "SIP/2.0/UDP a;rport=70000",
        "SIP/2.0/UDP a;branch=x\r\nX: y",
    ],
)
def test_what_is_no_via_is_refused(text: str) -> None:
    """RFC 3261 §25.1: via-parm = sent-protocol LWS sent-by *( SEMI via-params )."""
    with pytest.raises(MalformedMessage) as caught:
        Via.parse(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("SIP/2.0/UDP A.com;branch=x", "SIP / 2.0 / udp a.COM ; Branch=x", True),
        ("SIP/2.0/UDP a;branch=x;ttl=1", "SIP/2.0/UDP a;ttl=1;branch=x", True),
        ("SIP/2.0/UDP a;branch=x", "SIP/2.0/UDP a;branch=x;rport", False),
        ("SIP/2.0/UDP a;branch=x", "SIP/2.0/UDP a:5060;branch=x", False),
        ("SIP/2.0/UDP a;branch=x", "SIP/2.0/TCP a;branch=x", False),
        ("SIP/2.0/UDP a;branch=x", "SIP/2.0/UDP a;branch=y", False),
        ("SIP/2.0/UDP [::1]", "SIP/2.0/UDP [0:0:0:0:0:0:0:1]", True),
    ],
)
def test_vias_are_compared_whole(one: str, other: str, equal: bool) -> None:
    """RFC 3261 §20.42: equal if protocol and sent-by are equal, and both have the same set of parameters."""
    assert (Via.parse(one) == Via.parse(other)) is equal


def test_a_via_is_marked() -> None:
    """RFC 3581 §4: received is added, and rport gets the port, when it was asked for."""
    for text in ("SIP/2.0/UDP a:5060;branch=x;rport", "SIP/2.0/UDP a:5060;rport;branch=x"):
        via = Via.parse(text)
        assert (via.rport, via.received) == (True, None)
        via.received = "192.0.2.9"
        via.rport = 1024
        again = Via.parse(str(via))
        assert (again.rport, again.received, again.branch) == (1024, "192.0.2.9", "x")
    assert Via.parse("SIP/2.0/UDP a;branch=rport").rport is None
    assert Via.parse("SIP/2.0/UDP a;branch=x;rport").branch == "x"


def test_received_is_an_ipv6_address_in_any_dress() -> None:
    """D-28 and RFC 5118 §4.5: received is read with and without brackets, and written without."""
    for value in ("2001:db8::9:255", "[2001:db8::9:255]"):
        via = Via.parse(f"SIP/2.0/UDP [2001:db8::9:1];received={value};branch=x")
        assert via.received == "2001:db8::9:255"
    via.received = "[::1]"
    assert str(via) == "SIP/2.0/UDP [2001:db8::9:1];received=::1;branch=x"


def test_a_via_is_made() -> None:
    """RFC 3261 §8.1.1.7: a request's Via has transport, sent-by and branch."""
    via = Via("udp", "2001:db8::1", 5060, {"branch": "z9hG4bK1", "rport": None})
    assert str(via) == "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1;rport"
    twin = via.copy()
    twin.ttl = 3
    twin.params["maddr"] = "224.2.0.1"
    assert (twin.ttl, twin.maddr, via.ttl) == (3, "224.2.0.1", None)
    for make in (
        lambda: Via("U DP", "a"),
        lambda: Via("UDP", "a\r\n"),
        lambda: Via("UDP", "a", -1),
        lambda: Via("UDP", "a", 1, {"branch": "\r\n"}),
    ):
        with pytest.raises(ArgumentError):
            make()


words = st.text('aB0-_. "\\,;<>é\t', max_size=10)


@given(
    name=st.none()
    | st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=12),
    params=st.dictionaries(
        st.text("abz-0.", min_size=1, max_size=5),
        st.none()
        | st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=8),
        max_size=3,
    ),
)
def test_any_address_that_can_be_made_reads_back(name: str | None, params: dict[str, str | None]) -> None:
    """RFC 3261 §25.1: what is written as a quoted string means the same when it is read."""
    address = Address(parse_uri("sip:a@b"), name, params)
    again = Address.parse(str(address))
    assert again == address
    assert (again.display_name, dict(again.params.items())) == (name, params)


@given(words, words, words)
def test_any_text_is_an_address_or_malformed(one: str, two: str, three: str) -> None:
    """Strangers' input raises one thing, MalformedMessage; what reads keeps its meaning when it is written."""
    for text in (
        one,
        f"{one}<sip:a@b>{two}",
        f"<sip:{one}>;{two}={three}",
        f"sip:a@b;{one}",
        f'"{one}" <sip:{two}>',
    ):
        try:
            address = Address.parse(text)
            _ = address.is_star or address.uri
        except MalformedMessage as error:
            assert error.status == 400
        else:
            assert_keeps_its_meaning(address)
    for text in (
        one,
        f"SIP/2.0/UDP {one};{two}={three}",
        f"SIP/{one}/UDP a;{two}",
        f"SIP/2.0/UDP a:{one};branch={two}",
    ):
        try:
            via = Via.parse(text)
        except MalformedMessage as error:
            assert error.status == 400
        else:
            assert Via.parse(str(via)) == via
