"""A host of the in-memory network: the reactor that real protocol code gets in a test."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
)
from twisted.internet.protocol import ClientFactory, DatagramProtocol, ServerFactory
from zope.interface import implementer

from sipactors.errors import ArgumentError
from sipactors.testing.capture import Address, Packet
from sipactors.testing.clock import DelayedCall
from sipactors.testing.connecting import Connector, StreamPort
from sipactors.testing.datagrams import DatagramPort
from sipactors.testing.names import NameResolver
from sipactors.testing.streams import Stream

if TYPE_CHECKING:
    from sipactors.testing.network import Network

ANY = ("0.0.0.0", "::")
LOOPBACK = ("127.0.0.1", "::1")
FIRST_PORT, LAST_PORT = 49152, 65535
"The ports that are given out where none was asked for (RFC 6335 §6)."


@implementer(IReactorTime, IReactorUDP, IReactorTCP, IReactorPluggableNameResolver)
class Host:
    """One machine: give it to code that wants a reactor. Make one with Network.host."""

    def __init__(self, network: Network, name: str, addresses: Sequence[str]) -> None:
        self.network = network
        self.name = name
        self.up = True
        "False after go_down."
        self.refuses = True
        "False where a firewall drops what comes for a closed port, instead of refusing it."
        self.addresses: list[str] = []
        "Numeric addresses in their normal form; the first of each IP version is used for sending."
        self.datagram_ports: dict[Address, DatagramPort] = {}
        self.stream_ports: dict[Address, StreamPort] = {}
        self.nameResolver: IHostnameResolver = NameResolver(network)
        self._streams: dict[Stream, None] = {}
        self._stream_addresses: dict[Address, int] = {}
        self._next_port = FIRST_PORT
        for address in addresses:
            self.add_address(address)

    def __repr__(self) -> str:
        return f"<Host {self.name} {' '.join(self.addresses)}{'' if self.up else ', down'}>"

    def __contains__(self, address: object) -> bool:
        """True for a numeric address of this host."""
        return address in self.addresses

    # IReactorTime

    def seconds(self) -> float:
        """See IReactorTime: the network's clock."""
        return self.network.clock.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> DelayedCall:
        """See IReactorTime: the network's clock makes the call."""
        return self.network.clock.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[DelayedCall]:
        """See IReactorTime; the calls of all hosts, for the clock is one."""
        return self.network.clock.getDelayedCalls()

    # IReactorUDP, IReactorTCP, IReactorPluggableNameResolver

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> DatagramPort:
        """See IReactorUDP. '' is every IPv4 address of this host, '::' every IPv6 address."""
        listening = DatagramPort(self, port, protocol, interface, maxPacketSize)
        listening.startListening()
        return listening

    def listenTCP(
        self, port: int, factory: ServerFactory, backlog: int = 50, interface: str = ""
    ) -> StreamPort:
        """See IReactorTCP. '' is every IPv4 address of this host, '::' every IPv6 address."""
        listening = StreamPort(self, port, factory, interface)
        listening.startListening()
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float | None = 30.0,
        bindAddress: Address | None = None,
    ) -> Connector:
        """See IReactorTCP. `host` is numeric or the name of a host of this network."""
        connector = Connector(self, host, port, factory, timeout, bindAddress)
        connector.connect()
        return connector

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """See IReactorPluggableNameResolver; the default one knows the network's hosts by name."""
        previous, self.nameResolver = self.nameResolver, resolver
        return previous

    def local_address(self, address: str) -> str | None:
        """The address of this host from which it sends to a numeric one; None when there is no way."""
        any_address = "::" if ":" in address else "0.0.0.0"
        link, source = self.network.way(self, self.network.normal(address), any_address)
        return source if link is not None else None

    # What tests do to a host.

    @property
    def streams(self) -> list[Stream]:
        """This host's ends of its stream connections, those that still connect included."""
        return list(self._streams)

    def go_down(self) -> None:
        """Nothing gets in or out any more; connections are not told and stay up, as with a cable pulled."""
        self.up = False

    def go_up(self) -> None:
        """Undo go_down; what streams had on their way comes now."""
        self.up = True
        self.network.thaw()

    def add_address(self, address: str) -> None:
        """Have one more address. Raises ArgumentError when it is not numeric or somebody's already."""
        self.network.claim(address, self)
        self.addresses.append(self.network.normal(address))
        self.network.addresses_changed()

    def remove_address(self, address: str, silent: bool = False) -> None:
        """Have this address no more: datagrams for it are lost, connections over it are dead.

        Both ends see that at the clock's next step; with `silent` only this host does, and the far ends
        go on believing in their connections. Listening ports stay, and serve the address again when it
        is added again. Raises ArgumentError when this host has no such address.
        """
        address = self.network.normal(address)
        if address not in self.addresses:
            raise ArgumentError(f"{self.name} has no address {address}")
        self.addresses.remove(address)
        self.network.disclaim(address)
        for stream in self.streams:
            if stream.local[0] == address:
                if silent:
                    stream.kill_this_end()
                else:
                    stream.kill()
        self.network.addresses_changed()

    # What ports and streams of this host need.

    def bind(self, port: Any, table: dict[Address, Any], interface: str, number: int) -> tuple[str, int]:
        """Enter a port into a table of this host; OSError says why that cannot be."""
        address = self.network.normal(interface) if interface else "0.0.0.0"
        if address not in ANY and address not in LOOPBACK and address not in self.addresses:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        if number:
            if not self._is_free(table, address, number):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        else:
            number = self._free_port(lambda number: self._is_free(table, address, number))
        table[address, number] = port
        return address, number

    def _is_free(self, table: dict[Address, Any], address: str, number: int) -> bool:
        if (address, number) in table or (_wildcard(address), number) in table:
            return False
        if address not in ANY:
            return True
        version_6 = ":" in address
        return not any(number == taken and (":" in other) == version_6 for other, taken in table)

    def _free_port(self, is_free: Callable[[int], bool]) -> int:
        for _ in range(FIRST_PORT, LAST_PORT + 1):
            number = self._next_port
            self._next_port = number + 1 if number < LAST_PORT else FIRST_PORT
            if is_free(number):
                return number
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

    def free_stream_port(self, address: str, number: int) -> int:
        """A local port for a connection of ours: `number`, or any when that is 0."""

        def is_free(number: int) -> bool:
            return (address, number) not in self._stream_addresses and self._is_free(
                self.stream_ports, address, number
            )

        if not number:
            return self._free_port(is_free)
        if (address, number) in self._stream_addresses:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        return number

    def stream_began(self, stream: Stream) -> None:
        """One more end of a connection."""
        self._streams[stream] = None
        self._stream_addresses[stream.local] = self._stream_addresses.get(stream.local, 0) + 1

    def stream_ended(self, stream: Stream) -> None:
        """One end of a connection less."""
        if self._streams.pop(stream, stream) is None:
            left = self._stream_addresses[stream.local] - 1
            if left:
                self._stream_addresses[stream.local] = left
            else:
                del self._stream_addresses[stream.local]

    def stream_port(self, destination: Address) -> StreamPort | None:
        """Who accepts connections to this address, if anybody."""
        ports = self.stream_ports
        port = ports.get(destination) or ports.get((_wildcard(destination[0]), destination[1]))
        return port if port is not None and port.connected else None

    def datagram_arrived(self, packet: Packet) -> None:
        """A datagram is here: hand it to its port."""
        destination = packet.destination
        ports = self.datagram_ports
        port = ports.get(destination)
        if port is None:
            port = ports.get((_wildcard(destination[0]), destination[1]))
        if not self.up or (destination[0] not in self.addresses and destination[0] not in LOOPBACK):
            packet.fate = "lost"
        elif port is not None and port.connected:
            port.received(packet)
        elif self.refuses:
            packet.fate = "refused"
            self.network.refuse(packet, self)
        else:
            packet.fate = "lost"

    def datagram_refused(self, packet: Packet) -> None:
        """An ICMP error is here: tell the port that sent the datagram."""
        port = self.datagram_ports.get(packet.source) or self.datagram_ports.get(
            (_wildcard(packet.source[0]), packet.source[1])
        )
        if self.up and port is not None and port.connected:
            port.was_refused(packet)


def _wildcard(address: str) -> str:
    return "::" if ":" in address else "0.0.0.0"
