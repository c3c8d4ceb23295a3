"""RFC 3263 against real DNS servers on the loopback interface: right ones, lame, slow and lying ones."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.names import dns
from twisted.names.authority import FileAuthority
from twisted.names.common import ResolverBase
from twisted.names.server import DNSServerFactory
from twisted.trial.unittest import TestCase

from sipactors.dice import Dice
from sipactors.errors import ResolvingFailure
from sipactors.locating import CachingResolver, DNSResolver, Locator
from sipactors.message.uri import SIPURI
from sipactors.settings import Locating

reactor: Any = installed_reactor
BOTH = [(transport, family) for transport in ("UDP", "TCP", "TLS") for family in (4, 6)]


class Zone(FileAuthority):
    """An authority for example.com that has its records in memory."""

    soa = (
        b"example.com",
        dns.Record_SOA(b"ns.example.com", b"root.example.com", minimum=60, expire=60, ttl=60),
    )

    def loadFile(self, records: dict[str, list[Any]]) -> None:
        self.records = {name.encode(): rows for name, rows in records.items()}


class Strange(ResolverBase):
    """A server that does to each name what the test says; any other name does not exist."""

    def __init__(self, deeds: dict[str, Callable[[bytes, int], Any]]) -> None:
        super().__init__()
        self.deeds = {name.encode(): deed for name, deed in deeds.items()}
        self.asked: list[tuple[str, int]] = []

    def _lookup(self, name: bytes, cls: int, type: int, timeout: Any) -> Any:
        self.asked.append((name.decode(), type))
        deed = self.deeds.get(name.lower())
        return deed(name, type) if deed else fail(dns.DomainError(name))


def row(name: bytes, payload: Any, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name, payload.TYPE, dns.IN, ttl, payload)


def naptr(order: int, service: bytes, replacement: str) -> dns.Record_NAPTR:
    return dns.Record_NAPTR(order, 1, b"s", service, b"", replacement.encode(), ttl=60)


def srv(priority: int, port: int, target: str, weight: int = 0) -> dns.Record_SRV:
    return dns.Record_SRV(priority, weight, port, target.encode(), ttl=60)


ZONE = {
    "example.com": [
        naptr(20, b"SIP+D2T", "_sip._tcp.example.com"),
        naptr(10, b"SIPS+D2T", "_sips._tcp.example.com"),
        naptr(30, b"SIP+D2U", "_sip._udp.example.com"),
        dns.Record_A("127.0.0.9", ttl=60),
    ],
    "_sip._tcp.example.com": [srv(2, 5062, "b.example.com"), srv(1, 5061, "a.example.com")],
    "_sip._udp.example.com": [srv(1, 5060, "a.example.com")],
    "_sips._tcp.example.com": [srv(0, 0, "")],
    "a.example.com": [dns.Record_A("127.0.0.1", ttl=60), dns.Record_AAAA("::1", ttl=60)],
    "b.example.com": [dns.Record_CNAME(b"c.example.com", ttl=60)],
    "c.example.com": [dns.Record_A("127.0.0.3", ttl=60)],
    "_sip._udp.big.example.com": [srv(n, 6000 + n, "a.example.com") for n in range(90)],
}


class Garbage(DatagramProtocol):
    """A server whose answers have the right number and nothing else right."""

    def __init__(self) -> None:
        self.dice = random.Random(1)
        self.answered = 0

    def datagramReceived(self, data: bytes, address: Any) -> None:
        self.answered += 1
        number, question = data[:2], data[12:]
        header = struct.pack("!HHHHH", 0x8180, 1, 3, 0, 0)
        answers = [
            # A compression pointer to itself, one beyond the end, a record longer than the datagram, noise.
            header
            + question
            + struct.pack("!HHHIH", 0xC000 | (12 + len(question)), 33, 1, 60, 8)
            + b"\0" * 8,
            header + question + struct.pack("!HHHIH", 0xFFFF, 33, 1, 60, 8) + b"\0" * 8,
            header + question + struct.pack("!HHHIH", 0xC00C, 33, 1, 60, 65535) + b"\0" * 3,
            header + self.dice.randbytes(400),
            header[:5],
            b"",
            self.dice.randbytes(500),
        ]
        assert self.transport is not None
        self.transport.write(number + answers[self.answered % len(answers)], address)


class LocatingByDNS(TestCase):
    """Each test runs its own servers, and leaves neither socket nor timer behind."""

    timeout = 20

    def serve(self, *authorities: Any) -> tuple[str, int]:
        """Run a server over UDP and TCP on one free port; its address."""
        factory = DNSServerFactory(authorities=list(authorities))
        factory.noisy = False
        while True:
            tcp = reactor.listenTCP(0, factory, interface="127.0.0.1")
            port: int = tcp.getHost().port
            try:
                udp = reactor.listenUDP(
                    port, dns.DNSDatagramProtocol(factory, reactor), interface="127.0.0.1"
                )
            except CannotListenError:
                tcp.stopListening()
                continue
            break

        def stop() -> Any:
            for connection in list(factory.connections):
                connection.transport.abortConnection()
            udp.stopListening()
            return tcp.stopListening()

        self.addCleanup(stop)
        return "127.0.0.1", port

    def locator(self, *servers: tuple[str, int], transports: Any = BOTH, **settings: Any) -> Locator:
        how = Locating(**settings)
        dns_resolver = DNSResolver(reactor, servers, hosts=None, timeouts=(0.3, 0.3))
        self.addCleanup(dns_resolver.close)
        self.resolver = CachingResolver(dns_resolver, reactor, how)
        self.addCleanup(self.resolver.close)
        return Locator(self.resolver, reactor, Dice(), transports=transports, settings=how)

    async def found(self, locator: Locator, host: str, **params: str) -> list[str]:
        """The targets of a URI; the first question to a server is always waited for."""
        result = locator.locate(SIPURI(None, host, params=params or None))
        targets = await result if isinstance(result, Deferred) else result
        return [str(target) for target in targets]

    @pytest.mark.accepts("J6")
    async def test_naptr_srv_and_addresses_lead_to_targets(self) -> None:
        """RFC 3263 §4.1: the most preferred transport protocol of the server that is supported by the
        client, as well as an SRV record for the server; TLS is decidedly not available here."""
        locator = self.locator(self.serve(Zone(ZONE)))
        expected = [
            "TCP 127.0.0.1:5061 (example.com)",
            "TCP [::1]:5061 (example.com)",
            "TCP 127.0.0.3:5062 (example.com)",
        ]
        assert await self.found(locator, "example.com") == expected
        assert isinstance(locator.locate(SIPURI(None, "example.com")), list)
        udp = self.locator(self.serve(Zone(ZONE)), transports=[("UDP", 6)])
        assert await self.found(udp, "example.com") == ["UDP [::1]:5060 (example.com)"]

    @pytest.mark.accepts("J6")
    async def test_a_failed_target_goes_last(self) -> None:
        """RFC 3263 §4.3: if a failure occurs, the client SHOULD send to the next element in the list."""
        locator = self.locator(self.serve(Zone(ZONE)))
        await self.found(locator, "example.com")
        known = locator.locate(SIPURI(None, "example.com"))
        assert isinstance(known, list)
        walk = locator.candidates(known)
        assert walk.next() == known[0]
        assert walk.failed() == known[1]
        assert locator.locate(SIPURI(None, "example.com")) == [*known[1:], known[0]]
        assert locator.locate(SIPURI(None, "example.com"), prefer=known[2]) == [known[2], known[1], known[0]]

    async def test_no_srv_record_means_the_addresses_of_the_domain(self) -> None:
        """RFC 3263 §4.2: If no SRV records were found, the client performs an A or AAAA record lookup."""
        locator = self.locator(self.serve(Zone(ZONE)))
        expected = ["UDP 127.0.0.1:5060 (a.example.com)", "UDP [::1]:5060 (a.example.com)"]
        assert await self.found(locator, "a.example.com") == expected
        assert await self.found(locator, "b.example.com") == ["UDP 127.0.0.3:5060 (b.example.com)"]

    async def test_an_answer_too_large_for_a_datagram_comes_by_tcp(self) -> None:
        """RFC 7766 §5: a truncated answer is asked for again over TCP."""
        locator = self.locator(self.serve(Zone(ZONE)), transports=[("UDP", 4)], max_hosts=50)
        targets = await self.found(locator, "big.example.com")
        assert targets[0] == "UDP 127.0.0.1:6000 (big.example.com)"
        assert len(targets) == Locating().max_targets

    async def test_a_name_that_does_not_exist_is_not_asked_for_again(self) -> None:
        """RFC 2308 §5: the TTL of a negative answer is the minimum of its SOA's MINIMUM and TTL."""
        soa = dns.Record_SOA(b"ns.no.example", b"root.no.example", minimum=30, ttl=30)

        def empty(name: bytes, kind: int) -> Any:
            return succeed(([], [row(b"no.example", soa, 30)], []))

        server = Strange(dict.fromkeys(("no.example", "_sip._udp.no.example"), empty))
        locator = self.locator(self.serve(server), transports=[("UDP", 4)])
        with pytest.raises(ResolvingFailure, match=r"no\.example: no address"):
            await self.found(locator, "no.example")
        with pytest.raises(ResolvingFailure):
            locator.locate(SIPURI(None, "no.example"))
        assert len(server.asked) == 3
        with pytest.raises(ResolvingFailure):
            await self.found(locator, "nothing.example")

    async def test_the_next_server_is_asked_when_one_is_lame(self) -> None:
        """RFC 1034 §5.3.3: if the response contains a server failure or other bizarre contents, delete the
        server and go back; a referral is no answer to a stub resolver either."""

        def refer(name: bytes, kind: int) -> Any:
            return succeed(([], [row(b"example.com", dns.Record_NS(b"ns.else.example"))], []))

        lame = self.serve(Strange(dict.fromkeys(ZONE, refer)))

        def broken(name: bytes, kind: int) -> Any:
            raise ZeroDivisionError

        failing = self.serve(Strange(dict.fromkeys(ZONE, broken)))
        locator = self.locator(lame, failing, self.serve(Zone(ZONE)), transports=[("UDP", 4)])
        assert await self.found(locator, "example.com") == ["UDP 127.0.0.1:5060 (example.com)"]
        alone = self.locator(lame, failing, transports=[("UDP", 4)])
        with pytest.raises(ResolvingFailure):
            await self.found(alone, "example.com")
        self.flushLoggedErrors(ZeroDivisionError)

    async def test_the_next_server_is_asked_when_one_is_dead(self) -> None:
        """RFC 1035 §4.2.1: UDP queries may be lost, and a server may be gone."""
        silent = self.serve(Strange({name: lambda name, kind: Deferred() for name in ZONE}))
        locator = self.locator(silent, self.serve(Zone(ZONE)), transports=[("UDP", 4)])
        assert await self.found(locator, "example.com") == ["UDP 127.0.0.1:5060 (example.com)"]

    @pytest.mark.accepts("J6")
    async def test_a_slow_server_costs_bounded_time(self) -> None:
        """A resolver that hangs ends in ResolvingFailure when the deadline comes, and says why."""
        slow = self.serve(Strange({name: lambda name, kind: Deferred() for name in ZONE}))
        locator = self.locator(slow, transports=[("UDP", 4)], deadline=0.6, query_timeout=0.4)
        began = reactor.seconds()
        with pytest.raises(ResolvingFailure, match=r"no answer within 0\.4 s"):
            await self.found(locator, "example.com")
        assert reactor.seconds() - began < 5

    @pytest.mark.accepts("J6")
    async def test_records_of_other_names_are_none_of_the_answer(self) -> None:
        """RFC 2181 §5.4.1: what was not asked for, and nobody vouches for, is not to be believed."""

        def lie(name: bytes, kind: int) -> Any:
            rows = [
                row(b"_sip._udp.bank.example", srv(1, 666, "evil.example")),
                row(b"bank.example", dns.Record_A("127.0.0.66")),
                row(b"evil.example", dns.Record_A("127.0.0.66")),
            ]
            return succeed((rows, [], rows))

        server = Strange(dict.fromkeys(("honest.example", "_sip._udp.honest.example"), lie))
        locator = self.locator(self.serve(server), transports=[("UDP", 4)])
        with pytest.raises(ResolvingFailure):
            await self.found(locator, "honest.example")
        with pytest.raises(ResolvingFailure):
            await self.found(locator, "bank.example")

    async def test_aliases_that_run_in_a_circle_end(self) -> None:
        """RFC 1034 §5.2.2: CNAME loops must be signalled as an error."""
        server = Strange(
            {
                "one.example": lambda name, kind: succeed(
                    ([row(name, dns.Record_CNAME(b"two.example"))], [], [])
                ),
                "two.example": lambda name, kind: succeed(
                    ([row(name, dns.Record_CNAME(b"one.example"))], [], [])
                ),
                "self.example": lambda name, kind: succeed(([row(name, dns.Record_CNAME(name))], [], [])),
            }
        )
        locator = self.locator(self.serve(server), transports=[("UDP", 4)])
        for host in ("one.example", "self.example"):
            with pytest.raises(ResolvingFailure):
                await self.found(locator, host)
        assert len(server.asked) < 60

    async def test_an_alias_without_its_address_is_followed(self) -> None:
        """RFC 1034 §3.6.2: the query is restarted at the canonical name."""
        alias = dns.Record_CNAME(b"a.example.com")
        server = Strange({"alias.example": lambda name, kind: succeed(([row(name, alias)], [], []))})
        locator = self.locator(self.serve(server, Zone(ZONE)), transports=[("UDP", 4)])
        assert await self.found(locator, "alias.example", transport="udp") == [
            "UDP 127.0.0.1:5060 (alias.example)"
        ]

    @pytest.mark.accepts("J6")
    async def test_garbage_is_survived(self) -> None:
        """RFC 1035 §4.1.4: a pointer refers to a prior occurrence of the name; any other is an error."""
        garbage = Garbage()
        port = reactor.listenUDP(0, garbage, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        locator = self.locator(
            ("127.0.0.1", port.getHost().port),
            transports=[("UDP", 4)],
            deadline=3,
            query_timeout=1,
            failure_ttl=0,
        )
        for _ in range(4):
            with pytest.raises(ResolvingFailure):
                await self.found(locator, "example.com", transport="udp")
        assert garbage.answered >= 7

    async def test_a_closed_resolver_holds_no_socket_and_no_timer(self) -> None:
        """Closing in the midst of a question leaves a clean reactor: trial looks for what is left."""
        slow = self.serve(Strange({name: lambda name, kind: Deferred() for name in ZONE}))
        locator = self.locator(slow)
        waiting = locator.locate(SIPURI(None, "example.com"))
        assert isinstance(waiting, Deferred)
        locator.close()
        self.resolver.close()
        await self.assertFailure(waiting, Exception)
