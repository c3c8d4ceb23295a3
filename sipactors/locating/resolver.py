"""DNS for RFC 3263 by twisted.names: plain records, whatever a lame, slow or lying server sends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.names import dns
from twisted.names.client import Resolver
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DomainError
from twisted.names.hosts import searchFileForAll
from twisted.python.filepath import FilePath
from zope.interface import implementer

from sipactors.errors import ResolvingFailure, ResourceNotAvailable
from sipactors.interfaces import IResolver
from sipactors.locating.records import NAPTR, SRV, Answer, family_of, is_domain

MAX_ALIASES = 8
"CNAME records followed from one name, so that a loop of them ends."
HOSTS_TTL = 30.0
"Seconds for which what the hosts file says holds."
CHECK_INTERVAL = 5.0
"Seconds between two looks whether resolv.conf has changed."
_TTL_LIMIT = 1 << 31

_TYPES = {"NAPTR": dns.NAPTR, "SRV": dns.SRV, "A": dns.A, "AAAA": dns.AAAA}
# These two have no annotations of their own.
_client: Any = Resolver
_search_hosts: Any = searchFileForAll
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}


@implementer(IResolver)
class DNSResolver:
    """The system's DNS, or the servers given, asked one after the other until one of them knows.

    `servers` are (numeric host, port) pairs; without them those of `resolv_conf` are used, which is read
    again when it changes. `timeouts` are the seconds each server has in the first round, the second …
    Failures are ResolvingFailure. Keeps nothing: put a CachingResolver in front.
    """

    def __init__(
        self,
        reactor: Any,
        servers: Sequence[tuple[str, int]] | None = None,
        *,
        resolv_conf: str = "/etc/resolv.conf",
        hosts: str | None = "/etc/hosts",
        timeouts: Sequence[float] = (1.0, 2.0),
    ) -> None:
        self._reactor = _Tracking(reactor)
        self._resolv_conf = None if servers is not None else resolv_conf
        self._hosts = hosts
        self._timeouts = tuple(timeouts)
        self._clients = self._clients_for(servers or ())
        self._looked = float("-inf")
        self._mtime: float | None = None
        self._under_way: set[Deferred[Answer[Any]]] = set()
        self._closed = False

    def naptr(self, name: str) -> Deferred[Answer[NAPTR]]:
        """See IResolver."""
        return self._find("NAPTR", name, _naptr)

    def srv(self, name: str) -> Deferred[Answer[SRV]]:
        """See IResolver."""
        return self._find("SRV", name, _srv)

    def addresses(self, name: str, family: int) -> Answer[str] | Deferred[Answer[str]]:
        """See IResolver. The hosts file is read first."""
        plain = name.rstrip(".").lower()
        # RFC 6761 §6.3: name resolution SHOULD recognize localhost names and give the loopback address.
        if plain == "localhost" or plain.endswith(".localhost"):
            return Answer([_LOOPBACK[family]], HOSTS_TTL)
        if self._hosts is not None:
            listed = _search_hosts(FilePath(self._hosts), plain.encode("ascii", "replace"))
            if listed:
                return Answer([host for host in listed if family_of(host) == family], HOSTS_TTL)
        return self._find("A" if family == 4 else "AAAA", name, _address)

    def close(self) -> None:
        """Stop what is under way (ResolvingFailure) and hold no socket and no timer any more."""
        self._closed = True
        for lookup in list(self._under_way):
            lookup.cancel()
        for client in self._clients:
            for connection in list(client.connections):
                connection.transport.loseConnection()
        self._reactor.cancel_calls()

    def _find(self, kind: str, name: str, read: Callable[[Any], Any]) -> Deferred[Answer[Any]]:
        if self._closed:
            raise ResourceNotAvailable("the resolver has been closed")
        self._read_resolv_conf()
        lookup: Deferred[Answer[Any]] = ensureDeferred(self._answer(kind, name, read))
        self._under_way.add(lookup)

        def done(result: Any) -> Any:
            self._under_way.discard(lookup)
            return result

        return lookup.addBoth(done)

    async def _answer(self, kind: str, name: str, read: Callable[[Any], Any]) -> Answer[Any]:
        """Ask, and follow aliases that came without what they stand for."""
        ttl = float("inf")
        for _ in range(MAX_ALIASES):
            # RFC 6761 §6.4: users are free to use invalid names; they always get "there is none".
            if not is_domain(name) or name.rstrip(".").lower().endswith(".invalid"):
                return Answer([], HOSTS_TTL)
            rows, negative_ttl = await self._ask(kind, name)
            owner, alias_ttl, found = _rows_of(name, _TYPES[kind], rows)
            ttl = min(ttl, alias_ttl)
            if found:
                ttl = min(ttl, *(_ttl(row.ttl) for row in found))
                records = [record for record in map(read, found) if record is not None]
                return Answer(records, ttl)
            if owner == name.rstrip(".").lower():
                return Answer([], min(ttl, negative_ttl))
            name = owner
        raise ResolvingFailure(f"{kind} {name}: a chain of aliases without an end")

    async def _ask(self, kind: str, name: str) -> tuple[list[dns.RRHeader], float]:
        """The answer section of the first server that knows, and how long "there is none" would hold."""
        reason = "no DNS server is known"
        for seconds in self._timeouts:
            for client in list(self._clients):
                try:
                    query = dns.Query(name.rstrip(".").encode("ascii"), _TYPES[kind], dns.IN)
                    answers, authority, _ = await client.query(query, (seconds,))
                except DNSNameError as error:
                    message: Any = error.args[0] if error.args else None
                    return list(getattr(message, "answers", ())), _negative_ttl(
                        getattr(message, "authority", ())
                    )
                except (defer.TimeoutError, DNSQueryTimeoutError):
                    reason = "no answer"
                except CancelledError:
                    raise ResolvingFailure(f"{kind} {name}: given up") from None
                except (DomainError, OSError) as error:
                    reason = type(error).__name__
                except Exception as error:
                    # Whatever a stranger's bytes make a reader of DNS stumble over: try the next server.
                    reason = f"{type(error).__name__}: {error}"
                else:
                    if answers or not any(row.type == dns.NS for row in authority) or _has_soa(authority):
                        self._prefer(client)
                        return list(answers), _negative_ttl(authority)
                    # A referral is no answer to somebody who asked for recursion (a lame delegation).
                    reason = "a referral"
        raise ResolvingFailure(f"{kind} {name}: {reason}")

    def _prefer(self, client: Any) -> None:
        """A server that answered is asked first from now on."""
        if self._clients[0] is not client and client in self._clients:
            self._clients.remove(client)
            self._clients.insert(0, client)

    def _clients_for(self, servers: Sequence[tuple[str, int]]) -> list[Any]:
        return [_client(servers=[tuple(server)], reactor=self._reactor) for server in servers]

    def _read_resolv_conf(self) -> None:
        if self._resolv_conf is None or self._reactor.seconds() < self._looked + CHECK_INTERVAL:
            return
        self._looked = self._reactor.seconds()
        try:
            mtime = os.stat(self._resolv_conf).st_mtime
            if mtime == self._mtime:
                return
            with open(self._resolv_conf, encoding="utf-8", errors="replace") as lines:
                servers = list(_name_servers(lines))
        except OSError:
            mtime, servers = None, []
        self._mtime = mtime
        # resolv.conf(5): without a nameserver line, the one on the local machine.
        self._clients = self._clients_for(servers or [("127.0.0.1", dns.PORT)])


class _Tracking:
    """A reactor that remembers the calls made later through it, so that closing can take them back."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._calls: set[IDelayedCall] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def callLater(
        self, delay: float, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> IDelayedCall:
        self._calls = {call for call in self._calls if call.active()}
        call: IDelayedCall = self._reactor.callLater(delay, function, *args, **kwargs)
        self._calls.add(call)
        return call

    def cancel_calls(self) -> None:
        for call in self._calls:
            if call.active():
                call.cancel()
        self._calls.clear()


def _name_servers(lines: Iterator[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and family_of(words[1]):
            yield words[1], dns.PORT


def _rows_of(name: str, kind: int, rows: list[dns.RRHeader]) -> tuple[str, float, list[dns.RRHeader]]:
    """Where the aliases of a name end, how long they hold, and the rows of the kind asked for there.

    Rows of any other owner are none of the answer, whoever sent them.
    """
    owner = name.rstrip(".").lower()
    ttl = float("inf")
    for _ in range(MAX_ALIASES):
        own = [row for row in rows if row.cls == dns.IN and _text(row.name) == owner]
        found = [row for row in own if row.type == kind]
        alias = next((row for row in own if row.type == dns.CNAME), None)
        if found or alias is None:
            return owner, ttl, found
        ttl = min(ttl, _ttl(alias.ttl))
        payload: Any = alias.payload
        owner = _text(payload.name)
    return owner, ttl, []


def _naptr(row: dns.RRHeader) -> NAPTR | None:
    naptr: Any = row.payload
    flags, service, regexp = (
        value.string.decode("ascii", "replace") for value in (naptr.flags, naptr.service, naptr.regexp)
    )
    return NAPTR(naptr.order, naptr.preference, flags, service, regexp, _text(naptr.replacement))


def _srv(row: dns.RRHeader) -> SRV | None:
    srv: Any = row.payload
    return SRV(srv.priority, srv.weight, srv.port, _text(srv.target))


def _address(row: dns.RRHeader) -> str | None:
    payload: Any = row.payload
    address = payload.address
    return str(ip_address(address)) if len(address) == (4 if row.type == dns.A else 16) else None


def _text(name: dns.Name) -> str:
    """A name as text in lower case; bytes that no host name has become '?', and so nobody's name."""
    return name.name.decode("ascii", "replace").rstrip(".").lower()


def _ttl(ttl: int | None) -> float:
    # RFC 2181 §8: a TTL with the most significant bit set is treated as zero.
    return float(ttl) if ttl is not None and 0 <= ttl < _TTL_LIMIT else 0.0


def _has_soa(authority: Sequence[dns.RRHeader]) -> bool:
    return any(row.type == dns.SOA for row in authority)


def _negative_ttl(authority: Sequence[dns.RRHeader]) -> float:
    # RFC 2308 §5: the minimum of the MINIMUM field of the SOA record and the TTL of the SOA itself;
    # negative responses without SOA records SHOULD NOT be cached.
    for row in authority:
        if row.type == dns.SOA:
            payload: Any = row.payload
            return min(_ttl(row.ttl), _ttl(payload.minimum))
    return 0.0
