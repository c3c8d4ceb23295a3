"""Descriptions of listeners."""

from __future__ import annotations

import pytest

from sipactors.errors import ArgumentError
from sipactors.transport.description import Description, parse_description


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("udp:5060", Description("udp", 5060)),
        ("UDP:0", Description("udp", 0)),
        ("udp:5060:interface=127.0.0.1", Description("udp", 5060, "127.0.0.1")),
        ("tcp:5060:127.0.0.1", Description("tcp", 5060, "127.0.0.1")),
        (r"tcp:5060:interface=\:\:1", Description("tcp", 5060, "::1")),
        (r"tcp:port=5062:interface=fe80\:\:1%eth0", Description("tcp", 5062, "fe80::1%eth0")),
        ("tcp:5060:backlog=200", Description("tcp", 5060, options={"backlog": "200"})),
        ("udp:5060:advertised=203.0.113.5", Description("udp", 5060, advertised=("203.0.113.5", None))),
        (
            r"udp:5060:advertised=sip.example.com\:5070",
            Description("udp", 5060, advertised=("sip.example.com", 5070)),
        ),
        (r"udp:5060:advertised=2001\:db8\:\:1", Description("udp", 5060, advertised=("2001:db8::1", None))),
        (
            r"udp:5060:advertised=[2001\:db8\:\:1]\:5070",
            Description("udp", 5060, advertised=("2001:db8::1", 5070)),
        ),
    ],
)
def test_a_description_is_read(text: str, wanted: Description) -> None:
    """Descriptions have the form, and the escapes, of twisted.internet.endpoints."""
    assert parse_description(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "listen on one of udp, tcp"),
        ("sctp:5060", "listen on one of udp, tcp"),
        ("udp", "port is missing"),
        ("udp:", "'' is no port"),
        ("udp:sip", "'sip' is no port"),
        ("udp:-1", "'-1' is no port"),
        ("udp:65536", "'65536' is no port"),
        ("udp:٥٠٦٠", "is no port"),
        ("udp:5060:interface=localhost", "numeric address, not 'localhost'"),
        ("udp:5060:interface=::1", r"write the colons of an IPv6 address as \:"),
        ("udp:5060:backlog=5", "udp has no option 'backlog'"),
        ("tcp:5060:backlog=many", "'many' is no number of connections"),
        ("udp:5060:interface=127.0.0.1:interface=127.0.0.2", "interface stands twice"),
        ("udp:5060:port=5061", "port stands twice"),
        ("udp:5060\\", "backslash at the end"),
        (r"udp:5060:advertised=a b", "neither an address nor a host name"),
        (r"udp:5060:advertised=host\:", "where its port should stand"),
        (r"udp:5060:advertised=host\:0", "'0' is no port"),
        (r"udp:5060:advertised=[\:\:1", "is no address"),
        (r"udp:5060:advertised=", "neither an address nor a host name"),
    ],
)
def test_a_bad_description_is_refused_in_one_clear_line(text: str, said: str) -> None:
    """A bad description raises ArgumentError with one line that says what is wrong."""
    with pytest.raises(ArgumentError) as caught:
        parse_description(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
