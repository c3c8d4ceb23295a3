"""From SRV records to addresses: priorities, lots, families, and records that strangers made up."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.dice import Dice
from sipactors.errors import ResolvingFailure
from sipactors.locating import NAPTR, SRV, Locator, Question, Target
from sipactors.locating.records import family_of, is_domain
from sipactors.locating.targets import order_hosts
from sipactors.message.uri import SIPURI, parse_uri
from sipactors.settings import Locating
from sipactors.testing.clock import Clock
from sipactors.testing.dns import StaticResolver

BOTH = [(transport, family) for transport in ("UDP", "TCP", "TLS") for family in (4, 6)]
IPV4 = [("UDP", 4), ("TCP", 4), ("TLS", 4)]
ALL = [*IPV4, ("WS", 4), ("WSS", 4)]


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


def test_both_address_families_take_turns_and_the_access_point_says_which_comes_first() -> None:
    """RFC 8305 §4: addresses of both families are interleaved, the preferred family first."""
    zone = {"example.com": ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]}
    six_first = [("UDP", 6), ("UDP", 4)]
    assert locate("sip:example.com:5060", zone, six_first) == [
        "UDP [2001:db8::1]:5060",
        "UDP 192.0.2.1:5060",
        "UDP 192.0.2.2:5060",
        "UDP 192.0.2.3:5060",
    ]
    assert locate("sip:example.com:5060", zone, BOTH)[:2] == ["UDP 192.0.2.1:5060", "UDP [2001:db8::1]:5060"]
    assert locate("sip:example.com:5060", zone, [("UDP", 6)]) == ["UDP [2001:db8::1]:5060"]


def test_a_family_that_the_access_point_lacks_is_not_asked_for() -> None:
    """An IPv4 access point has no use for AAAA records, nor can it send to an IPv6 address."""
    resolver = StaticResolver({"example.com": ["2001:db8::1"]})
    with pytest.raises(ResolvingFailure):
        Locator(resolver, Clock(), Dice(), transports=IPV4).locate(uri("sip:example.com:5060"))
    assert resolver.asked == [Question("A", "example.com")]
    with pytest.raises(ResolvingFailure):
        locate("sip:[2001:db8::1]", {}, IPV4)
    with pytest.raises(ResolvingFailure):
        locate("sip:[2001:db8::1];transport=tcp", {}, IPV4)


def test_a_numeric_host_gets_a_transport_that_has_its_family() -> None:
    """RFC 3263 §4.1: the client SHOULD use UDP for a SIP URI; what it has no UDP for goes by what it has."""
    mixed = [("UDP", 4), ("TCP", 6), ("TLS", 4)]
    assert locate("sip:[2001:db8::1]", {}, mixed) == ["TCP [2001:db8::1]:5060"]
    with pytest.raises(ResolvingFailure):
        locate("sips:[2001:db8::1]", {}, mixed)


def test_srv_records_are_tried_by_priority() -> None:
    """RFC 2782: A client MUST attempt to contact the target host with the lowest-numbered priority it can
    reach."""
    zone = {
        "_sip._udp.example.com": [
            SRV(30, 9, 3, "c.example"),
            SRV(10, 0, 1, "a.example"),
            SRV(20, 5, 2, "b.example"),
        ],
        "a.example": ["192.0.2.1"],
        "b.example": ["192.0.2.2"],
        "c.example": ["192.0.2.3"],
    }
    expected = ["UDP 192.0.2.1:1", "UDP 192.0.2.2:2", "UDP 192.0.2.3:3"]
    assert locate("sip:example.com;transport=udp", zone) == expected


@pytest.mark.accepts("J6")
def test_srv_weights_decide_how_often_a_host_comes_first() -> None:
    """RFC 2782: Larger weights SHOULD be given a proportionately higher probability of being selected."""
    records = [SRV(1, weight, 5060, f"w{weight}") for weight in (600, 300, 100, 0)]
    dice = Dice(random.Random(3263).randbytes)
    draws = [order_hosts(records, dice) for _ in range(5000)]
    first = Counter(draw[0].weight for draw in draws)
    assert 0.57 < first[600] / 5000 < 0.63
    assert 0.27 < first[300] / 5000 < 0.33
    assert 0.08 < first[100] / 5000 < 0.12
    # RFC 2782: in the presence of records containing weights greater than 0, records with weight 0 should
    # have a very small chance of being selected.
    assert first[0] / 5000 < 0.01
    # Who comes second is drawn among those that are left: 300 : 100 after 600.
    second = Counter(draw[1].weight for draw in draws if draw[0].weight == 600)
    assert 0.70 < second[300] / first[600] < 0.80
    assert all(sorted(record.weight for record in draw) == [0, 100, 300, 600] for draw in draws)


def test_equal_srv_records_are_all_kept_in_the_order() -> None:
    """RFC 2782: Continue the ordering process until there are no unordered SRV RRs."""
    records = [SRV(1, 5, 5060, "a"), SRV(1, 5, 5060, "a"), SRV(1, 0, 5060, "b"), SRV(1, 0, 5060, "b")]
    ordered = order_hosts(records, Dice())
    assert sorted(srv.target for srv in ordered) == ["a", "a", "b", "b"]


def test_what_cannot_be_asked_for_fails_at_once() -> None:
    """RFC 1035 §2.3.4: labels are 63 octets or less, names 255 octets or less."""
    resolver = StaticResolver({})
    with pytest.raises(ResolvingFailure, match="no domain name"):
        Locator(resolver, Clock(), Dice(), transports=ALL).locate(SIPURI(None, "a" * 64 + ".example"))
    assert resolver.asked == []
    assert is_domain("_sip._udp.example.com.")
    assert not any(map(is_domain, ("", ".", "a..b", "a b", "-a.b", "a" * 64, "ä.de", "a.b\n")))
    assert [family_of(host) for host in ("1.2.3.4", "::1", "1.2.3", "a.b", "1.2.3.256", ":")] == [
        4,
        6,
        0,
        0,
        0,
        0,
    ]


def test_a_stranger_cannot_make_us_ask_or_keep_without_end() -> None:
    """An SRV answer may name as many hosts as fit; we look at `max_hosts`, and keep `max_targets`."""
    settings = Locating(max_records=50, max_hosts=5, max_targets=8)
    zone: dict[str, list[Any]] = {
        "_sip._udp.example.com": [SRV(1, 1, 5060, f"h{n}.example") for n in range(500)]
    }
    for n in range(500):
        zone[f"h{n}.example"] = [f"192.0.2.{m}" for m in range(1, 60)]
    resolver = StaticResolver(zone)
    found = Locator(resolver, Clock(), Dice(), transports=BOTH, settings=settings).locate(
        uri("sip:example.com;transport=udp")
    )
    assert isinstance(found, list)
    assert len(found) == 8
    assert len(resolver.asked) == 1 + 2 * 5


def test_lies_in_srv_records_lead_nowhere() -> None:
    """RFC 2782: There MUST be one or more address records for this name; what has none leads nowhere."""
    loop = "_sip._udp.example.com"
    zone: dict[str, list[Any]] = {
        loop: [
            SRV(1, 1, 5060, loop),
            SRV(1, 1, 0, "a.example"),
            SRV(1, 1, 5060, "a b c"),
            SRV(1, 1, 5060, "x" * 300),
            SRV(1, 1, 5060, "192.0.2.77"),
            SRV(2, 1, 5060, "lying.example"),
            SRV(3, 1, 5060, "a.example"),
        ],
        "a.example": ["192.0.2.1"],
        "lying.example": ["not an address at all", "lying.example"],
    }
    assert locate("sip:example.com;transport=udp", zone) == ["UDP 192.0.2.77:5060", "UDP 192.0.2.1:5060"]


NAMES = ["example.com", "_sip._udp.example.com", "a.example"]
HOSTS = st.sampled_from([*NAMES, ".", "", "a b", "\0", "ü", "192.0.2.1", "::1"])
SERVICES = st.sampled_from(["SIP+D2U", "sips+d2t", "?"])
NUMBER = st.integers(0, 65535)
RECORDS = st.lists(
    st.one_of(
        st.builds(NAPTR, NUMBER, NUMBER, st.sampled_from("sSua"), SERVICES, st.just(""), HOSTS),
        st.builds(SRV, st.integers(0, 3), NUMBER, NUMBER, HOSTS),
        st.sampled_from(["192.0.2.1", "2001:db8::1", "not numeric", "fe80::1%eth0", "1.2.3"]),
    ),
    max_size=6,
)


@given(st.dictionaries(st.sampled_from(NAMES), RECORDS))
def test_whatever_a_zone_says_there_are_targets_or_a_failure(zone: dict[str, list[Any]]) -> None:
    """Lying answers never crash: every target can be sent to, or there is ResolvingFailure."""
    subject = Locator(StaticResolver(zone), Clock(), Dice(random.Random(1).randbytes), transports=BOTH)
    try:
        targets = subject.locate(uri("sip:example.com"))
    except ResolvingFailure:
        return
    assert isinstance(targets, list)
    assert targets
    for target in targets:
        assert (target.transport, family_of(target.host)) in BOTH
        assert 0 < target.port < 65536
        assert target.name == "example.com"
