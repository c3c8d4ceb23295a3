"""The rules of RFC 3263 as tables: a URI, a zone, what the access point has -> the targets in order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from sipactors.dice import Dice
from sipactors.errors import ArgumentError, InvalidURIType, ResolvingFailure
from sipactors.locating import NAPTR, SRV, Locator, Question, Target
from sipactors.locating.targets import choose_services
from sipactors.message.uri import SIPURI, parse_uri
from sipactors.message.via import Via
from sipactors.testing.clock import Clock
from sipactors.testing.dns import StaticResolver

BOTH = [(transport, family) for transport in ("UDP", "TCP", "TLS") for family in (4, 6)]
IPV4 = [("UDP", 4), ("TCP", 4), ("TLS", 4)]
WEB = [("WS", 4), ("WSS", 4)]
ALL = [*IPV4, *WEB]


def uri(text: str) -> SIPURI:
    parsed = parse_uri(text)
    assert isinstance(parsed, SIPURI)
    return parsed


def locate(
    text: str,
    zone: dict[str, list[Any]] | None = None,
    transports: list[tuple[str, int]] | None = None,
    **how: Any,
) -> list[str]:
    """The targets as text, without the name; with a static resolver they must be there at once."""
    targets = locator(zone, transports).locate(uri(text), **how)
    assert isinstance(targets, list)
    return [shown(target) for target in targets]


def locator(zone: dict[str, list[Any]] | None = None, transports: Any = None) -> Locator:
    dice = Dice(random.Random(1).randbytes)
    return Locator(StaticResolver(zone or {}), Clock(), dice, transports=transports or ALL)


def shown(target: Target) -> str:
    return str(target).partition(" (")[0]


def naptr(order: int, service: str, replacement: str, preference: int = 50, flags: str = "s") -> NAPTR:
    return NAPTR(order, preference, flags, service, "", replacement)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:192.0.2.1", "UDP 192.0.2.1:5060"),
        ("sip:192.0.2.1:5070", "UDP 192.0.2.1:5070"),
        ("sips:192.0.2.1", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1:5071", "TLS 192.0.2.1:5071"),
        ("sip:192.0.2.1;transport=tcp", "TCP 192.0.2.1:5060"),
        ("sip:192.0.2.1;transport=TLS", "TLS 192.0.2.1:5061"),
        ("sips:192.0.2.1;transport=tcp", "TLS 192.0.2.1:5061"),
        ("sip:192.0.2.1;transport=ws", "WS 192.0.2.1:80"),
        ("sips:192.0.2.1;transport=ws", "WSS 192.0.2.1:443"),
        ("sip:192.0.2.1;transport=wss", "WSS 192.0.2.1:443"),
        ("sip:example.com;maddr=192.0.2.9", "UDP 192.0.2.9:5060"),
        ("sip:192.0.2.1:5070;maddr=192.0.2.9;transport=tcp", "TCP 192.0.2.9:5070"),
        ("sip:[2001:db8::1]", "UDP [2001:db8::1]:5060"),
        ("sips:[2001:db8::1]:5071", "TLS [2001:db8::1]:5071"),
    ],
)
def test_a_numeric_host_needs_no_dns(text: str, expected: str) -> None:
    """RFC 3263 §4.2: If TARGET is a numeric IP address, the client uses that address; if the URI also
    contains a port, it uses that port, else the default port for the particular transport protocol."""
    resolver = StaticResolver({})
    found = Locator(resolver, Clock(), Dice(), transports=[*BOTH, *WEB]).locate(uri(text))
    assert isinstance(found, list)
    assert [shown(target) for target in found] == [expected]
    assert resolver.asked == []


def test_the_name_of_a_target_is_the_domain_that_was_asked_for() -> None:
    """RFC 5922 §7.1: the certificate must prove the SIP domain to which the request was to go, whatever
    host a record or an maddr leads to."""
    zone = {"_sips._tcp.example.com": [SRV(1, 1, 5061, "a.example.net")], "a.example.net": ["192.0.2.1"]}
    target = Target("TLS", "192.0.2.1", 5061, "example.com")
    assert locator(zone).locate(uri("sips:example.com")) == [target]
    assert locator().locate(uri("sips:example.com;maddr=192.0.2.1")) == [target]


NAPTR_ZONE = {
    # The zone of RFC 3263 §4.1's example.
    "example.com": [
        naptr(50, "SIPS+D2T", "_sips._tcp.example.com"),
        naptr(90, "SIP+D2T", "_sip._tcp.example.com"),
        naptr(100, "SIP+D2U", "_sip._udp.example.com"),
    ],
    "_sips._tcp.example.com": [SRV(0, 1, 5061, "server1.example.com")],
    "_sip._tcp.example.com": [SRV(0, 1, 5060, "server1.example.com"), SRV(1, 2, 5060, "server2.example.com")],
    "_sip._udp.example.com": [SRV(0, 1, 5062, "server2.example.com")],
    "server1.example.com": ["192.0.2.1", "2001:db8::1"],
    "server2.example.com": ["192.0.2.2"],
}


@pytest.mark.accepts("J6")
@pytest.mark.parametrize(
    ("text", "transports", "expected"),
    [
        ("sip:example.com", IPV4, ["TLS 192.0.2.1:5061"]),
        ("sip:example.com", [("UDP", 4), ("TCP", 4)], ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"]),
        ("sip:example.com", [("UDP", 4)], ["UDP 192.0.2.2:5062"]),
        ("sips:example.com", IPV4, ["TLS 192.0.2.1:5061"]),
        ("sip:bob@example.com;user=phone", [("UDP", 4)], ["UDP 192.0.2.2:5062"]),
        ("sip:other.example;maddr=example.com", [("UDP", 4)], ["UDP 192.0.2.2:5062"]),
    ],
)
def test_naptr_chooses_the_transport(text: str, transports: Any, expected: list[str]) -> None:
    """RFC 3263 §4.1: The NAPTR processing will result in the discovery of the most preferred transport
    protocol of the server that is supported by the client, as well as an SRV record for the server."""
    assert locate(text, NAPTR_ZONE, transports) == expected


@pytest.mark.parametrize(
    ("records", "usable", "expected"),
    [
        # The lower order first, whatever the preference; within one order by preference.
        ([naptr(2, "SIP+D2U", "a", 1), naptr(1, "SIP+D2T", "b", 9)], IPV4, [["TCP b"], ["UDP a"]]),
        ([naptr(1, "SIP+D2U", "a", 2), naptr(1, "SIP+D2T", "b", 1)], IPV4, [["TCP b", "UDP a"]]),
        # Services of other transports and other kinds are no concern of ours.
        ([naptr(1, "SIP+D2S", "a"), naptr(1, "E2U+sip", "b"), naptr(1, "SIP+D2U", "c")], IPV4, [["UDP c"]]),
        ([naptr(1, "sip+d2u", "a", flags="S")], IPV4, [["UDP a"]]),
        ([naptr(1, "SIP+D2U", "a", flags="u"), naptr(1, "SIP+D2U", "a", flags="")], IPV4, []),
        ([NAPTR(1, 1, "s", "SIP+D2U", "!.*!b!", "a")], IPV4, []),
        ([naptr(1, "SIP+D2U", "."), naptr(1, "SIP+D2U", ""), naptr(1, "SIP+D2U", "a b")], IPV4, []),
        ([naptr(1, "SIP+D2W", "a"), naptr(1, "SIPS+D2W", "b")], WEB, [["WS a", "WSS b"]]),
        ([naptr(1, "SIP+D2W", "a"), naptr(1, "SIPS+D2W", "b")], [("WSS", 4)], [["WSS b"]]),
        ([naptr(1, "SIPS+D2U", "a")], IPV4, []),
    ],
)
def test_naptr_records_that_cannot_be_used_are_discarded(records: Any, usable: Any, expected: Any) -> None:
    """RFC 3263 §4.1: a client MUST discard any service fields that identify a resolution service whose
    value is not "D2X", for values of X that indicate transport protocols supported by the client."""
    groups = choose_services(records, [transport for transport, _ in usable])
    assert [[f"{transport} {name}" for transport, name in group] for group in groups] == expected


def test_a_sips_uri_never_leads_to_a_clear_transport() -> None:
    """RFC 3263 §4.1: a client resolving a SIPS URI MUST discard any services that do not contain "SIPS"
    as the protocol in the service field."""
    zone = {name: records for name, records in NAPTR_ZONE.items() if not name.startswith("_sips")}
    assert locate("sips:example.com", zone | {"example.com": [*zone["example.com"], "192.0.2.7"]}) == [
        "TLS 192.0.2.7:5061"
    ]
    for text in ("sips:example.com;transport=udp", "sips:192.0.2.1;transport=udp"):
        with pytest.raises(ResolvingFailure):
            locate(text, NAPTR_ZONE)
    with pytest.raises(ResolvingFailure):
        locate("sips:example.com", NAPTR_ZONE, [("UDP", 4), ("TCP", 4), ("WS", 4)])
    assert locate("sip:192.0.2.1", secure=True) == ["TLS 192.0.2.1:5061"]


def test_a_higher_order_is_no_escape_from_a_lower_one() -> None:
    """RFC 3403 §4.1: records of a higher order MUST NOT be considered once one of a lower order matched,
    so nobody is led from TLS to UDP by a TLS port that is blocked."""
    targets = locate("sip:example.com", NAPTR_ZONE)
    assert {target.split()[0] for target in targets} == {"TLS"}
    broken = {**NAPTR_ZONE, "_sips._tcp.example.com": [SRV(0, 0, 0, ".")]}
    assert locate("sip:example.com", broken) == ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060"]


SRV_ZONE = {
    "example.com": ["192.0.2.99"],
    "_sip._udp.example.com": [SRV(1, 0, 5062, "a.example.com")],
    "_sip._tcp.example.com": [SRV(1, 0, 5063, "a.example.com")],
    "_sips._tcp.example.com": [SRV(1, 0, 5064, "a.example.com")],
    "_sip._ws.example.com": [SRV(1, 0, 8080, "a.example.com")],
    "_sips._ws.example.com": [SRV(1, 0, 8443, "a.example.com")],
    "a.example.com": ["192.0.2.1"],
}


@pytest.mark.accepts("J6")
@pytest.mark.parametrize(
    ("text", "transports", "expected"),
    [
        ("sip:example.com", IPV4, ["UDP 192.0.2.1:5062", "TCP 192.0.2.1:5063", "TLS 192.0.2.1:5064"]),
        ("sip:example.com", [("TCP", 4), ("UDP", 4)], ["TCP 192.0.2.1:5063", "UDP 192.0.2.1:5062"]),
        ("sips:example.com", IPV4, ["TLS 192.0.2.1:5064"]),
        ("sips:example.com", ALL, ["TLS 192.0.2.1:5064", "WSS 192.0.2.1:8443"]),
        ("sip:example.com", [("WS", 4)], ["WS 192.0.2.1:8080"]),
    ],
)
def test_without_naptr_every_supported_transport_is_tried(text: str, transports: Any, expected: Any) -> None:
    """RFC 3263 §4.1: If no NAPTR records are found, the client constructs SRV queries for those transport
    protocols it supports, and does a query for each."""
    assert locate(text, SRV_ZONE, transports) == expected


@pytest.mark.parametrize(
    ("text", "how", "expected"),
    [
        ("sip:example.com;transport=udp", {}, "UDP 192.0.2.1:5062"),
        ("sip:example.com;transport=tcp", {}, "TCP 192.0.2.1:5063"),
        ("sip:example.com;transport=tls", {}, "TLS 192.0.2.1:5064"),
        ("sips:example.com;transport=tcp", {}, "TLS 192.0.2.1:5064"),
        ("sip:example.com;transport=ws", {}, "WS 192.0.2.1:8080"),
        ("sips:example.com;transport=ws", {}, "WSS 192.0.2.1:8443"),
        ("sip:example.com", {"transport": "TCP"}, "TCP 192.0.2.1:5063"),
        ("sip:example.com;transport=udp", {"transport": "tcp"}, "TCP 192.0.2.1:5063"),
        ("sip:example.com;transport=tcp", {"secure": True}, "TLS 192.0.2.1:5064"),
    ],
)
def test_an_explicit_transport_asks_for_its_srv_records_only(text: str, how: Any, expected: str) -> None:
    """RFC 3263 §4.2: because a transport was specified explicitly, the client performs an SRV query for
    that specific transport, using the service identifier "_sips" for SIPS URIs."""
    resolver = StaticResolver(SRV_ZONE)
    targets = Locator(resolver, Clock(), Dice(), transports=ALL).locate(uri(text), **how)
    assert [shown(target) for target in targets] == [expected]
    assert [question.kind for question in resolver.asked] == ["SRV", "A"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:example.com:5070", "UDP 192.0.2.99:5070"),
        ("sips:example.com:5071", "TLS 192.0.2.99:5071"),
        ("sip:example.com:5070;transport=tcp", "TCP 192.0.2.99:5070"),
    ],
)
def test_an_explicit_port_means_addresses_only(text: str, expected: str) -> None:
    """RFC 3263 §4.2: If the TARGET was not a numeric IP address, but a port is present in the URI, the
    client performs an A or AAAA record lookup of the domain name."""
    resolver = StaticResolver(SRV_ZONE)
    targets = Locator(resolver, Clock(), Dice(), transports=ALL).locate(uri(text))
    assert [shown(target) for target in targets] == [expected]
    assert resolver.asked == [Question("A", "example.com")]


@pytest.mark.parametrize(
    ("text", "transports", "expected"),
    [
        ("sip:pbx.example.com", IPV4, "UDP 192.0.2.5:5060"),
        ("sips:pbx.example.com", IPV4, "TLS 192.0.2.5:5061"),
        ("sip:pbx.example.com;transport=tcp", IPV4, "TCP 192.0.2.5:5060"),
        ("sip:pbx.example.com;transport=ws", WEB, "WS 192.0.2.5:80"),
        ("sips:pbx.example.com", WEB, "WSS 192.0.2.5:443"),
        ("sip:pbx.example.com", [("TCP", 4)], "TCP 192.0.2.5:5060"),
        ("sip:pbx.example.com", [("TLS", 4)], "TLS 192.0.2.5:5061"),
        ("sip:alias.example.com", IPV4, "UDP 192.0.2.5:5060"),
        ("sip:PBX.Example.COM.", IPV4, "UDP 192.0.2.5:5060"),
    ],
)
def test_without_srv_records_the_addresses_at_the_default_port(
    text: str, transports: Any, expected: str
) -> None:
    """RFC 3263 §4.2: If no SRV records were found, the client performs an A or AAAA record lookup of the
    domain name, to be contacted at the default port for that transport."""
    zone = {"pbx.example.com": ["192.0.2.5"], "alias.example.com": ["pbx.example.com"]}
    assert locate(text, zone, transports) == [expected]


def test_a_naptr_record_without_srv_records_still_gives_its_transport() -> None:
    """RFC 3263 §4.2: without SRV records the addresses of the domain, by the transport that was determined
    previously."""
    zone = {"example.com": [naptr(1, "SIP+D2T", "_sip._tcp.example.com"), "192.0.2.1"]}
    assert locate("sip:example.com", zone) == ["TCP 192.0.2.1:5060"]


def test_the_root_as_target_means_that_the_service_is_decidedly_not_available() -> None:
    """RFC 2782: A Target of "." means that the service is decidedly not available at this domain."""
    zone: dict[str, list[Any]] = {
        "example.com": ["192.0.2.1"],
        "_sip._udp.example.com": [SRV(0, 0, 0, ".")],
        "_sip._tcp.example.com": [SRV(0, 0, 5060, "a.example.com")],
        "a.example.com": ["192.0.2.2"],
    }
    assert locate("sip:example.com", zone) == ["TCP 192.0.2.2:5060"]
    with pytest.raises(ResolvingFailure, match=r"example\.com"):
        locate("sip:example.com;transport=udp", zone)
    del zone["_sip._tcp.example.com"]
    with pytest.raises(ResolvingFailure):
        locate("sip:example.com", zone)
    assert locate("sip:example.com;transport=tcp", zone) == ["TCP 192.0.2.1:5060"]


def test_transports_may_change_while_running() -> None:
    """The transports that count are those the access point has now."""
    offered = [("UDP", 4)]
    moving = locator(SRV_ZONE, lambda: offered)
    assert [shown(target) for target in moving.locate(uri("sip:example.com"))] == ["UDP 192.0.2.1:5062"]
    offered[:] = [("TCP", 4)]
    assert [shown(target) for target in moving.locate(uri("sip:example.com"))] == ["TCP 192.0.2.1:5063"]


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        (("UDP", "192.0.2.1", None), ["UDP 192.0.2.1:5060"]),
        (("TCP", "192.0.2.1", 5070), ["TCP 192.0.2.1:5070"]),
        (("TLS", "2001:db8::1", None), ["TLS [2001:db8::1]:5061"]),
        (("UDP", "a.example.com", 5070), ["UDP 192.0.2.1:5070"]),
        (("UDP", "example.com", None), ["UDP 192.0.2.1:5062"]),
        (("TCP", "example.com", None), ["TCP 192.0.2.1:5063"]),
        (("TLS", "example.com", None), ["TLS 192.0.2.1:5064"]),
        (("TLS", "a.example.com", None), ["TLS 192.0.2.1:5061"]),
    ],
)
def test_a_response_follows_the_sent_by_of_its_via(via: tuple[str, str, int | None], expected: Any) -> None:
    """RFC 3263 §5: the server examines the value of the sent-by construction in the topmost Via header."""
    targets = locator(SRV_ZONE, BOTH).locate_response(Via(*via))
    assert [shown(target) for target in targets] == expected


def test_a_response_by_a_transport_we_lack_cannot_be_sent() -> None:
    """RFC 3263 §5: using the transport protocol from the Via header, and no other."""
    for via in (Via("SCTP", "192.0.2.1"), Via("WS", "abc.invalid"), Via("UDP", "abc.invalid")):
        with pytest.raises(ResolvingFailure):
            locator({}, BOTH).locate_response(via)


def test_other_uris_are_the_callers_mistake() -> None:
    """RFC 3263 §4: a resource identified by a SIP or SIPS URI."""
    for text in ("tel:+4930123", "mailto:a@example.com"):
        with pytest.raises(InvalidURIType):
            locator().locate(parse_uri(text))
    for transports in ([("SCTP", 4)], [("UDP", 5)]):
        with pytest.raises(ArgumentError):
            locator({}, transports)
