"""What the registrations of a connection share: registrars, next hops, and who depends on these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.client.registrar import Registrar
from sipactors.errors import ICMPFailure, ResolvingFailure, SIPError, TransactionTimeout, TransportFailure
from sipactors.locating.targets import DEFAULT_PORTS
from sipactors.message import SIPURI
from sipactors.message.grammar import bracketed

if TYPE_CHECKING:
    from sipactors.client.binding import Binding
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dice import Dice
    from sipactors.interfaces import IFlow
    from sipactors.locating import Target
    from sipactors.message import URI, Via


class Hop:
    """One next hop: an outbound proxy, or a registrar that is reached directly."""

    __slots__ = ("bindings", "fixed", "target")

    def __init__(self) -> None:
        self.target: Target | None = None
        "The server that took the last registration: what comes next goes there if DNS still names it."
        self.fixed = False
        "True when that address is used without another look at DNS (`cache_proxy_address`)."
        self.bindings: dict[Binding, None] = {}
        "The registrations that go by this hop."

    def forget(self, target: Target | None = None) -> None:
        """Look the hop up again; with `target` only when that is the server in use."""
        if target is None or target == self.target:
            self.target = None
            self.fixed = False


def hop_key(uri: URI) -> str:
    """What makes two URIs the same next hop: host, port and transport, and whether it must be secure."""
    if not isinstance(uri, SIPURI):
        return str(uri)
    transport = uri.params.get("transport") if uri.params else None
    return f"{uri.scheme}:{uri.maddr or uri.host}:{uri.port};{transport or ''}".lower()


def proves_dead(error: SIPError, transaction: ClientTransaction) -> bool:
    """Whether a failed request of ours shows that its next hop does not respond."""
    if isinstance(error, TransactionTimeout):
        # RFC 4320 §4.1: a proxy does not answer a non-INVITE request in place of a server that is silent,
        # so only INVITE, which the hop itself answers with 100, and REGISTER say something of the hop.
        return not transaction.answered and transaction.method in ("INVITE", "REGISTER")
    return isinstance(error, TransportFailure | ICMPFailure | ResolvingFailure) and not transaction.answered


class Registrations:
    """All registrations of one connection."""

    def __init__(self, dice: Dice) -> None:
        self.bindings: dict[object, Binding] = {}
        "By address-of-record and Contact."
        self.hops: dict[str, Hop] = {}
        "The next hops they go by."
        self._registrars: dict[str, Registrar] = {}
        self._seen: dict[tuple[str, tuple[str, int]], str] = {}
        self._dice = dice

    def registrar(self, uri: URI) -> Registrar:
        """What is kept for a registrar."""
        key = str(uri)
        found = self._registrars.get(key)
        if found is None:
            found = self._registrars[key] = Registrar(self._dice)
        return found

    def hop(self, uri: URI | None) -> Hop | None:
        """What is known of a next hop; None when no registration goes by it."""
        return self.hops.get(hop_key(uri)) if self.hops and uri is not None else None

    def local_uri_host(self, flow: IFlow) -> str:
        """host:port for a Contact by which peers reach us over a flow: the one a registrar saw, if asked."""
        seen = self._seen.get((flow.transport, flow.local)) if self._seen else None
        return flow.local_uri_host if seen is None else seen

    def see(self, flow: IFlow, via: Via) -> bool:
        """Take the address that a registrar saw us at (RFC 3581 §4); True when it is not the one in use."""
        port = via.rport if via.rport is not None and via.rport is not True else via.port
        host = bracketed(via.received or via.host)
        seen = f"{host}:{DEFAULT_PORTS[flow.transport] if port is None else port}"
        if seen.lower() == self.local_uri_host(flow).lower():
            return False
        self._seen[flow.transport, flow.local] = seen
        return True

    def request_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """A request failed: when that shows that an outbound proxy is dead, its registrations hear of it."""
        hop = self.hop(transaction.next_hop)
        if hop is not None and proves_dead(error, transaction):
            hop.forget()
            for binding in list(hop.bindings):
                binding.proxy_failed(error, transaction)

    def resumed(self) -> None:
        """The connection can send again."""
        for binding in list(self.bindings.values()):
            binding.resumed()

    def closed(self) -> None:
        """The connection has closed its children: what was pending has been given up."""
        for registrar in self._registrars.values():
            registrar.forget()
