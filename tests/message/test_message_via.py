"""Via: read, written, compared and marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import Via

pytestmark = pytest.mark.accepts("C4")


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


@given(words, words, words)
def test_any_text_is_a_via_or_malformed(one: str, two: str, three: str) -> None:
    """Strangers' input raises one thing, MalformedMessage; what reads means the same when written."""
    for text in (
        one,
        f"SIP/2.0/UDP {one};{two}={three}",
        f"SIP/{one}/UDP a;{two}",
        f"SIP/2.0/UDP a:{one};branch={two}",
    ):
        try:
            via = Via.parse(text)
        except MalformedMessage as error:
            if error.status != 400:
                raise
        else:
            assert Via.parse(str(via)) == via
