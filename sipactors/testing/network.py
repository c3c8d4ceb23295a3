"""A whole network in memory, on a clock that a test advances: hosts, the ways between them, their faults."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable
from typing import Any, TypeVar

from sipactors.errors import ArgumentError
from sipactors.testing.capture import Capture, Packet
from sipactors.testing.clock import Clock
from sipactors.testing.faults import Conditions, Link, check_conditions
from sipactors.testing.hosts import LOOPBACK, Host
from sipactors.testing.script import Alter, Drop, Hold, Proceed, Rule, Wanted
from sipactors.testing.streams import Stream

AnyRule = TypeVar("AnyRule", bound=Rule)


class Network:
    """Hosts that reach each other over datagrams and streams; nothing moves but by `clock.advance`.

    `seed` decides all chance: the same test has the same losses each time. `capture` bounds what
    `network.capture` keeps: None keeps all, 0 nothing.
    """

    largest_datagram = 65507
    "Bytes above which a datagram cannot be sent at all (MessageLengthError): 65,535 less IP and UDP headers."

    def __init__(
        self, clock: Clock, seed: int = 0, *, latency: float = 0.001, capture: int | None = None
    ) -> None:
        self.clock = clock
        self.conditions = Conditions(latency=latency)
        "How the ways between hosts are that were not used yet; `impair` sets it together with those in use."
        self.capture = Capture(bound=capture)
        "Every packet, in the order of sending."
        self.record = self.capture.append
        self.rules: list[Rule] = []
        self.hosts: dict[str, Host] = {}
        "Every host by its name."
        self.seed = seed
        "What all chance on this network, and of the ready agents on it, follows from."
        self._dice = random.Random(seed)
        self._links: dict[tuple[Host, Host], Link] = {}
        self._owners: dict[str, Host] = {}
        self._normal: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Network of {', '.join(self.hosts)}>"

    def host(self, name: str, *addresses: str) -> Host:
        """Make a host with these numeric addresses. Raises ArgumentError for a name or address in use."""
        if name in self.hosts:
            raise ArgumentError(f"there is a host {name} already")
        host = Host(self, name, addresses)
        self.hosts[name] = host
        return host

    # How the ways are.

    def link(self, source: Host, destination: Host) -> Link:
        """The way from one host to another; its attributes may be set."""
        link = self._links.get((source, destination))
        if link is None:
            link = Link(source, destination, self.conditions, self.clock, self._dice)
            self._links[source, destination] = link
        return link

    def impair(self, one: Host | None = None, other: Host | None = None, **conditions: Any) -> None:
        """Set conditions, as `loss=0.1` (see faults.Conditions), between two hosts, both ways.

        Without `other`: of every way from and to `one`. Without both: of every way, also those to come.
        For one direction use `link(one, other)`. Raises ArgumentError for an unknown condition.
        """
        check_conditions(conditions)
        if one is None:
            links: list[Any] = [self.conditions, *self._links.values()]
        else:
            others = self.hosts.values() if other is None else (other,)
            links = [link for far in others for link in (self.link(one, far), self.link(far, one))]
        for link in links:
            for name, value in conditions.items():
                setattr(link, name, value)
        if conditions.get("blocked") is False:
            self.thaw()

    def partition(self, *hosts: Host) -> None:
        """Cut these hosts off from all others, silently; among each other they go on."""
        self._block(hosts, True)

    def heal(self, *hosts: Host) -> None:
        """Undo partition and black_hole for these hosts, or without arguments everywhere.

        What streams had on their way arrives now; datagrams are gone.
        """
        if hosts:
            self._block(hosts, False)
        else:
            self.impair(blocked=False)
        self.thaw()

    def _block(self, hosts: tuple[Host, ...], blocked: bool) -> None:
        for host in hosts:
            for other in self.hosts.values():
                if other not in hosts:
                    self.link(host, other).blocked = blocked
                    self.link(other, host).blocked = blocked

    def black_hole(self, source: Host, destination: Host) -> None:
        """Let what goes from one host to the other vanish, in this direction; connections stay up."""
        self.link(source, destination).blocked = True

    def kill(self, one: Host, other: Host | None = None) -> int:
        """Reset every stream connection of a host (with `other`: those between the two); how many."""
        killed = 0
        for stream in one.streams:
            if stream.connected and (other is None or stream.link.destination is other):
                stream.kill()
                killed += 1
        return killed

    # What happens to single packets.

    def drop(
        self,
        wanted: Wanted,
        times: int | None = 1,
        *,
        source: Host | None = None,
        destination: Host | None = None,
    ) -> Drop:
        """Let the next packet (`times` of them; None is all) that is `wanted` never arrive."""
        return self._rule(Drop(wanted, times, source, destination))

    def hold(
        self,
        wanted: Wanted,
        times: int | None = None,
        *,
        source: Host | None = None,
        destination: Host | None = None,
    ) -> Hold:
        """Keep all packets that are `wanted` until the Hold's `release`, in whatever order you like."""
        return self._rule(Hold(wanted, times, source, destination))

    def alter(
        self,
        wanted: Wanted,
        change: Callable[[bytes], bytes],
        times: int | None = None,
        *,
        source: Host | None = None,
        destination: Host | None = None,
    ) -> Alter:
        """Change the bytes of all packets that are `wanted` on their way."""
        return self._rule(Alter(wanted, change, times, source, destination))

    def _rule(self, rule: AnyRule) -> AnyRule:
        self.rules.append(rule)
        return rule

    def scripted(self, packet: Packet, proceed: Proceed) -> bool:
        """Apply the rules to a packet; True when it does not go on by itself."""
        ended = False
        try:
            for rule in self.rules:
                if rule.wants(packet) and rule.apply(packet, proceed):
                    return True
                ended = ended or rule.times == 0
        finally:
            if ended:
                self.rules[:] = [rule for rule in self.rules if rule.times != 0]
        return False

    # What hosts and their ports need.

    def soon(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function at the clock's next step."""
        self.clock.callLater(0, function, *arguments)

    def normal(self, address: str) -> str:
        """A numeric address in its one normal form; ValueError when it is not numeric."""
        normal = self._normal.get(address)
        if normal is None:
            normal = self._normal[address] = ipaddress.ip_address(address).compressed
        return normal

    def claim(self, address: str, host: Host) -> None:
        """Give a host an address."""
        try:
            normal = self.normal(address)
        except ValueError as error:
            raise ArgumentError(str(error)) from None
        if normal in self._owners or normal in LOOPBACK:
            raise ArgumentError(f"{address} is somebody's already")
        self._owners[normal] = host

    def disclaim(self, address: str) -> None:
        """Take an address back."""
        del self._owners[address]

    def addresses_changed(self) -> None:
        """Make every port look its ways up anew."""
        for host in self.hosts.values():
            for port in host.datagram_ports.values():
                port.forget_routes()

    def addresses_of(self, name: str) -> list[str]:
        """The addresses of a host's name; a numeric address is its own; none when unknown."""
        if name in self.hosts:
            return list(self.hosts[name].addresses)
        if name == "localhost":
            return list(LOOPBACK)
        try:
            return [self.normal(name)]
        except ValueError:
            return []

    def look_up(self, name: str) -> str | None:
        """The first address of a name, or None."""
        return next(iter(self.addresses_of(name)), None)

    def way(self, host: Host, address: str, interface: str) -> tuple[Link | None, str]:
        """The link from a host to a numeric address, and the source address that is used on it.

        None when nobody has the address, or the host has no address of that IP version or not that
        `interface` any more.
        """
        version_6 = ":" in address
        if address in LOOPBACK:
            owner: Host | None = host
            sources = [LOOPBACK[version_6]]
        else:
            owner = self._owners.get(address)
            sources = [own for own in host.addresses if (":" in own) == version_6]
        if interface in ("0.0.0.0", "::"):
            source = sources[0] if sources else interface
        else:
            source = self.normal(interface)
            sources = [own for own in (*sources, *LOOPBACK) if own == source]
        if owner is None or not sources or (source in LOOPBACK and owner is not host):
            return None, source
        return self.link(host, owner), source

    def refuse(self, packet: Packet, host: Host) -> None:
        """Send an ICMP error for a datagram that reached a closed port of `host`."""
        sender = host if packet.source[0] in LOOPBACK else self._owners.get(packet.source[0])
        if sender is not None:
            back = self.link(host, sender)
            if not back.blocked:
                self.clock.callLater(back.latency, sender.datagram_refused, packet)

    def thaw(self) -> None:
        """Let streams go on where their way is open again."""
        streams: list[Stream] = [stream for host in self.hosts.values() for stream in host.streams]
        for stream in streams:
            if stream.far_end is not None:
                stream.thaw()
                stream.far_end.thaw()
