"""Addresses: From and To, Contact, Route and their kin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import SIPURI, STAR, Address, parse_uri
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
    """RFC 3261 §20.20: equivalent if their URIs match, and their parameters match; names do not matter."""
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
    """Strangers' input raises one thing, MalformedMessage; what reads means the same when written."""
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
            if error.status != 400:
                raise
        else:
            assert_keeps_its_meaning(address)
