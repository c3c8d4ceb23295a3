"""The rules of RFC 3263: which transport, address and port a URI or a Via means, and in which order.

Theory of operation: a *plan* is a generator. It yields batches of DNS questions that may be asked all
at once, is sent one list of records for each of them (empty when there is none, or no answer), and
returns the targets, the best first. It knows neither network nor clock; `Locator` runs it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any

from sipactors.dice import Dice
from sipactors.errors import ArgumentError, ResolvingFailure
from sipactors.locating.records import NAPTR, SRV, Question, family_of, is_domain
from sipactors.settings import Locating

Plan = Generator[list[Question], list[list[Any]], list["Target"]]
Supported = dict[str, tuple[int, ...]]
"Transport, as Via names it -> address families (4, 6); both the preferred ones first."
Hop = tuple[str, str, int]
"A transport, a host whose address is still to be found, and a port."

DEFAULT_PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061, "WS": 80, "WSS": 443}
SECURED = {"TCP": "TLS", "TLS": "TLS", "WS": "WSS", "WSS": "WSS"}
"What `;transport=` of a sips URI means (RFC 3261 §26.2.2, RFC 7118 §5)."
SECURE = ("TLS", "WSS")
# RFC 3263 §4.1, RFC 7118 §7: the service fields of NAPTR.
SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS", "SIP+D2W": "WS", "SIPS+D2W": "WSS"}
# RFC 3263 §4.2: "_sips" for TLS, "_sip" otherwise.
PREFIXES = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp", "WS": "_sip._ws", "WSS": "_sips._ws"}


@dataclass(slots=True, unsafe_hash=True)
class Target:
    """One place to send a request to: a transport, a numeric address and a port (RFC 3263 §4)."""

    transport: str
    "As Via names it: 'UDP', 'TCP', 'TLS', 'WS' or 'WSS'."
    host: str
    "A numeric address, without brackets."
    port: int
    name: str
    "The SIP domain that was asked for, which a TLS certificate must prove (RFC 5922 §7.1)."

    @property
    def address(self) -> Hop:
        """(transport, host, port): what makes two targets the same place."""
        return self.transport, self.host, self.port

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport} {host}:{self.port} ({self.name})"


def supported(pairs: Iterable[tuple[str, int]]) -> Supported:
    """('UDP', 4), ('UDP', 6), ('TCP', 4) … in order of preference -> the table that plans read.

    Raises ArgumentError for a transport or an address family that there is not.
    """
    table: dict[str, list[int]] = {}
    for transport, family in pairs:
        if transport.upper() not in DEFAULT_PORTS or family not in (4, 6):
            raise ArgumentError(f"no transport {transport!r} with IPv{family}")
        families = table.setdefault(transport.upper(), [])
        if family not in families:
            families.append(family)
    return {transport: tuple(families) for transport, families in table.items()}


def wanted_transport(parameter: str | None, secure: bool, offered: Supported) -> str | None:
    """The transport that a URI's `transport` parameter asks for; None when it leaves that open.

    Raises ResolvingFailure when it cannot be had.
    """
    if parameter is None:
        return None
    transport: str | None = parameter.upper()
    if secure:
        transport = SECURED.get(parameter.upper())
    if transport not in offered:
        scheme = "sips" if secure else "sip"
        raise ResolvingFailure(f"{scheme} by {parameter.upper()} is not possible from this access point")
    return transport


def default_transport(secure: bool, offered: Supported, family: int = 0) -> str:
    """The transport of a URI that does not let DNS choose one, to a host of a known family if given.

    Raises ResolvingFailure when there is none.
    """
    # RFC 3263 §4.1: the client SHOULD use UDP for a SIP URI, and TCP for a SIPS URI (TLS over it).
    if not secure and "UDP" in offered and (not family or family in offered["UDP"]):
        return "UDP"
    for transport in SECURE if secure else (*(name for name in offered if name not in SECURE), *offered):
        if transport in offered and (not family or family in offered[transport]):
            return transport
    raise ResolvingFailure("this access point has no transport for " + ("sips" if secure else "sip"))


def plan_request(
    target: str, name: str, port: int | None, transport: str | None, secure: bool, offered: Supported,
    dice: Dice, settings: Locating,
) -> Plan:  # fmt: skip
    """Where a request goes (RFC 3263 §4): TARGET is the URI's maddr or host, `name` the URI's host."""
    places = _Places(name, offered, dice, settings)
    # RFC 3263 §4.2: If TARGET is a numeric IP address, the client uses that address.
    # RFC 3263 §4.2: a port present in the URI is used with the A or AAAA records of the name.
    family = family_of(target)
    if port is not None or family:
        transport = transport or default_transport(secure, offered, family)
        return (yield from places.addresses([(transport, target, port or DEFAULT_PORTS[transport])]))
    if transport is not None:
        # RFC 3263 §4.2: because a transport was specified explicitly, SRV for that specific transport.
        return (yield from places.services(target, [[(transport, _service(transport, target))]], [transport]))
    default = default_transport(secure, offered)
    usable = [t for t in offered if t in SECURE or not secure]
    # RFC 3263 §4.1: if no transport protocol or port is specified, and the target is not a numeric IP
    # address, the client SHOULD perform a NAPTR query for the domain in the URI.
    [records] = yield [Question("NAPTR", _checked(target))]
    groups = choose_services(records, usable)
    if groups:
        return (yield from places.services(target, groups, [t for group in groups for t, _ in group]))
    # RFC 3263 §4.1: If no NAPTR records are found, the client constructs SRV queries for those
    # transport protocols it supports, and does a query for each.
    group = [(t, _service(t, target)) for t in usable]
    return (yield from places.services(target, [group], [default]))


def plan_response(
    transport: str, host: str, port: int | None, offered: Supported, dice: Dice, settings: Locating
) -> Plan:
    """Where a response goes when the way the request came by has failed (RFC 3263 §5)."""
    if transport not in offered:
        raise ResolvingFailure(f"a response by {transport} is not possible from this access point")
    places = _Places(host, offered, dice, settings)
    # RFC 3263 §5: for a numeric sent-by that address; for a domain name and a port number A or AAAA records.
    if port is not None or family_of(host):
        return (yield from places.addresses([(transport, host, port or DEFAULT_PORTS[transport])]))
    # RFC 3263 §5: a domain name and no port: SRV records, "_sips" if the Via transport is TLS, else "_sip".
    return (yield from places.services(host, [[(transport, _service(transport, host))]], [transport]))


def choose_services(records: list[NAPTR], usable: list[str]) -> list[list[tuple[str, str]]]:
    """The SRV names that NAPTR records lead to: one list for each order, in it the preferred first."""
    groups: dict[int, list[tuple[str, str]]] = {}
    for record in sorted(records, key=lambda naptr: (naptr.order, naptr.preference)):
        # RFC 3263 §4.1: the client MUST discard any service fields that identify a resolution service
        # whose value is not "D2X", for values of X that indicate transport protocols it supports.
        transport = SERVICES.get(record.service.upper(), "")
        # RFC 3263 §4.1: resolving a SIPS URI it MUST discard those without "SIPS" (`usable` sees to it).
        if transport not in usable or record.flags.upper() != "S" or record.regexp:
            continue
        if is_domain(record.replacement):
            groups.setdefault(record.order, []).append((transport, record.replacement.rstrip(".")))
    return list(groups.values())


def order_hosts(records: list[SRV], dice: Dice) -> list[SRV]:
    """SRV records in the order to try them in (RFC 2782): by priority, within one by lots of their weight."""
    ordered: list[SRV] = []
    for priority in sorted({record.priority for record in records}):
        # RFC 2782: in any order, except that all those with weight 0 are placed at the beginning of the list.
        waiting = sorted((r for r in records if r.priority == priority), key=lambda r: r.weight > 0)
        total = sum(record.weight for record in waiting)
        while waiting:
            # RFC 2782: choose a uniform random number between 0 and the sum computed (inclusive), and
            # select the RR whose running sum value is the first which is greater than or equal to it.
            lot = dice.below(total + 1)
            for record in waiting:
                lot -= record.weight
                if lot <= 0:
                    break
            total -= record.weight
            # By identity: two equal records are two lots.
            waiting = [other for other in waiting if other is not record]
            ordered.append(record)
    return ordered


class _Places:
    """The second half of a plan: from service names to hosts, and from hosts to targets."""

    def __init__(self, name: str, offered: Supported, dice: Dice, settings: Locating) -> None:
        self.name = name
        self.offered = offered
        self.dice = dice
        self.settings = settings

    def services(self, domain: str, groups: list[list[tuple[str, str]]], fallback: list[str]) -> Plan:
        """The targets of the first group of (transport, SRV name) that has any.

        When there is no SRV record for the first of `fallback`, its addresses at the default port.
        """
        known: set[str] = set()
        # RFC 3403 §4.1: no record of a higher order is considered once one of a lower order has matched.
        for group in groups:
            answers = yield [Question("SRV", _checked(name)) for _, name in group]
            hops: list[Hop] = []
            for (transport, _), records in zip(group, answers):
                if records:
                    known.add(transport)
                hops += self._hops(transport, records)
            if hops:
                targets = yield from self._found(hops)
                if targets:
                    return targets
        for transport in fallback:
            # RFC 3263 §4.2: If no SRV records were found, the client performs an A or AAAA record lookup of
            # the domain name, for the transport determined previously, at the default port for it.
            if transport not in known:
                return (yield from self.addresses([(transport, domain, DEFAULT_PORTS[transport])]))
        raise ResolvingFailure(f"{domain} has SIP services, but no host that this access point can reach")

    def _hops(self, transport: str, records: list[SRV]) -> list[Hop]:
        """Transport, host and port of SRV records, in the order to try them in."""
        # RFC 2782: a Target of "." means that the service is decidedly not available at this domain.
        offers = [srv for srv in records if srv.target.rstrip(".") and 0 < srv.port < 65536]
        offers = order_hosts(offers, self.dice)
        return [(transport, srv.target.rstrip("."), srv.port) for srv in offers[: self.settings.max_hosts]]

    def addresses(self, hops: list[Hop]) -> Plan:
        """The targets of some hops. Raises ResolvingFailure when there are none."""
        targets = yield from self._found(hops)
        if not targets:
            hosts = ", ".join(dict.fromkeys(host for _, host, _ in hops))
            raise ResolvingFailure(f"{hosts}: no address that this access point can reach")
        return targets

    def _found(self, hops: list[Hop]) -> Plan:
        wanted: dict[Question, None] = {}
        hosts: set[str] = set()
        for transport, host, _ in hops:
            # What is no host name cannot have an address, and a stranger's SRV record may say anything.
            if (
                (host in hosts or len(hosts) < self.settings.max_hosts)
                and not family_of(host)
                and is_domain(host)
            ):
                hosts.add(host)
                for family in self.offered[transport]:
                    wanted[Question("A" if family == 4 else "AAAA", host)] = None
        questions = list(wanted)
        known = dict(zip(questions, (yield questions) if questions else []))
        targets: dict[Hop, Target] = {}
        for transport, host, port in hops:
            for address in _interleaved(host, self.offered[transport], known):
                targets.setdefault((transport, address, port), Target(transport, address, port, self.name))
        return list(targets.values())[: self.settings.max_targets]


def _interleaved(host: str, families: tuple[int, ...], known: dict[Question, list[str]]) -> list[str]:
    """A host's addresses, one of each family in turn, the preferred family first (RFC 8305 §4)."""
    if family_of(host):
        return [host] if family_of(host) in families else []
    columns = [
        [address for address in known.get(Question("A" if family == 4 else "AAAA", host), ())
         if family_of(address) == family]
        for family in families
    ]  # fmt: skip
    longest = max(map(len, columns), default=0)
    return [column[row] for row in range(longest) for column in columns if row < len(column)]


def _service(transport: str, domain: str) -> str:
    return f"{PREFIXES[transport]}.{domain}"


def _checked(name: str) -> str:
    """The name itself. Raises ResolvingFailure when DNS could not even be asked for it."""
    if not is_domain(name):
        raise ResolvingFailure(f"{name[:80]!r} is no domain name")
    return name
