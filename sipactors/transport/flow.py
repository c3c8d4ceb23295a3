"""What all flows share: addresses as text, the names by which peers reach us, and telling of a loss."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from sipactors.actor import tell
from sipactors.dice import Dice
from sipactors.message.grammar import bracketed
from sipactors.transport.named import Named

if TYPE_CHECKING:
    from sipactors.errors import SIPError
    from sipactors.interfaces import IFlow, IFlowWatcher, IMessageReceiver, ITrace
    from sipactors.metrics import Metrics
    from sipactors.settings import Limits
    from sipactors.timers import Timers
    from sipactors.transport.description import Description

log = Logger()

Address = tuple[str, int]

MAX_ROUTES = 4096
"Peers for which the address of ours is remembered; then all are asked for anew."
FAILURES_LOGGED = 60.0
"Seconds in which only one failed handshake is logged; all are counted."
ROUTE_SECONDS = 30.0
"How long the kernel's choice of an address of ours towards one peer is believed."


def family_of(host: str) -> socket.AddressFamily | None:
    """AF_INET or AF_INET6 for a numeric address without brackets, None for anything else."""
    if isIPAddress(host):
        return socket.AF_INET
    if isIPv6Address(host):
        return socket.AF_INET6
    return None


def host_port(host: str, port: int) -> str:
    """`host:port` as sent-by and URIs have it: an IPv6 address in brackets, without its zone."""
    # RFC 3261 §25.1: IPv6reference = "[" IPv6address "]"; it has no room for the zone of RFC 4007.
    return f"{bracketed(host.partition('%')[0])}:{port}"


def is_wildcard(host: str) -> bool:
    """True for 0.0.0.0 and ::, which stand for all addresses of a family."""
    return ipaddress.ip_address(host.partition("%")[0]).is_unspecified


def kernel_address(host: str) -> str | None:
    """The address of ours from which the kernel would send to this numeric host; None without a route."""
    family = family_of(host)
    if family is None:
        return None
    # Connecting a UDP socket sends nothing: the kernel only chooses the route and its source address.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            address: str = probe.getsockname()[0]
            return address
    except OSError:
        return None


class Routes:
    """Which address of ours a peer sees, remembered for a short while."""

    def __init__(
        self, seconds: Callable[[], float], probe: Callable[[str], str | None] = kernel_address
    ) -> None:
        self._seconds = seconds
        self._probe = probe
        self._known: dict[str, tuple[str, float]] = {}

    def local_address(self, host: str) -> str:
        """The numeric address of ours towards a numeric host; loopback when there is no route at all."""
        now = self._seconds()
        known = self._known.get(host)
        if known is not None and now < known[1]:
            return known[0]
        if len(self._known) >= MAX_ROUTES:
            self._known.clear()
        address = self._probe(host) or ("::1" if ":" in host else "127.0.0.1")
        self._known[host] = (address, now + ROUTE_SECONDS)
        return address

    def forget(self) -> None:
        """Ask the kernel again: the network has changed."""
        self._known.clear()


@dataclass(slots=True)
class Site:
    """What the flows and listeners of one transport layer have in common."""

    reactor: Any
    "IReactorTime, and IReactorUDP and IReactorTCP as far as such listeners are asked for."
    receiver: IMessageReceiver
    limits: Limits
    metrics: Metrics
    timers: Timers
    routes: Routes
    trace: ITrace | None = None
    names: set[str] = field(default_factory=set)
    "Every sent-by of ours, in lower case: responses must name one (RFC 3261 §18.1.2)."
    socket_options: list[tuple[int, int, Any]] = field(default_factory=list)
    "What set_socket_option was asked for, for the sockets yet to come."

    named: Named = field(default_factory=Named)
    "Peers that are reached only by the connections that they opened."
    dice: Dice = field(default_factory=Dice)
    failures_logged: float = float("-inf")
    "When a failed handshake was last logged, by the reactor's clock."

    def handshake_failed(self, flow: IFlow, why: str) -> None:
        """A connection by TLS or WebSocket did not come about, or was refused at once, for this reason."""
        self.metrics.handshakes_failed += 1
        if self.trace is not None:
            self.trace.note(flow, why)
        now = self.reactor.seconds()
        if now - self.failures_logged >= FAILURES_LOGGED:
            self.failures_logged = now
            host, port = flow.peer
            log.info(
                "{kind} with {host} port {port}: {why}", kind=flow.transport, host=host, port=port, why=why
            )

    def fault(self, flow: IFlow) -> None:
        """What the exception at hand says is a bug of the stack's: nobody else's messages suffer from it."""
        self.metrics.faults += 1
        log.failure("a message by {flow!r} broke its receiver", flow=flow)


class Listener:
    """One bound address of ours: what Via and Contact call it, towards each peer."""

    transport: str
    "As Via names it."
    secure = False

    def __init__(self, site: Site, description: Description) -> None:
        self.site = site
        self.description = description
        self.family = family_of(description.interface)
        self.host = description.interface
        "The bound host; 0.0.0.0 or :: when all addresses are."
        self.port = description.port
        "The bound port, once listening."
        self.wildcard = is_wildcard(self.host)
        self.closed = False
        self._advertised = description.advertised
        self._name: str | None = None

    @property
    def advertised(self) -> tuple[str, int | None] | None:
        """The host, and the port when it differs, by which peers reach us; may be set at any time."""
        return self._advertised

    @advertised.setter
    def advertised(self, advertised: tuple[str, int | None] | None) -> None:
        self._advertised = advertised
        self._settle_name()

    def _settle_name(self) -> None:
        """Fix the name as far as it is the same towards every peer."""
        if self._advertised is not None:
            host, port = self._advertised
            self._name = host_port(host, self.port if port is None else port)
        elif not self.wildcard:
            self._name = host_port(self.host, self.port)
        else:
            self._name = None
            return
        self.site.names.add(self._name.lower())

    def local_host(self, peer: str) -> str:
        """The numeric address of ours that this numeric peer sees."""
        return self.site.routes.local_address(peer) if self.wildcard else self.host

    def name_towards(self, peer: str) -> str:
        """`host:port` by which this numeric peer reaches this listener: our sent-by and Contact."""
        if self._name is not None:
            return self._name
        name = host_port(self.site.routes.local_address(peer), self.port)
        self.site.names.add(name)
        return name


class Watchers:
    """Who is to be told, once, when a flow is lost."""

    __slots__ = ("_told", "_watchers")

    def __init__(self) -> None:
        self._watchers: dict[IFlowWatcher, IFlow] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    def add(self, watcher: IFlowWatcher, flow: IFlow) -> None:
        """Tell this one too, and of this flow."""
        self._watchers[watcher] = flow

    def discard(self, watcher: IFlowWatcher) -> None:
        """Do not tell this one; no error when it was never to be told."""
        self._watchers.pop(watcher, None)

    def tell(self, error: SIPError, metrics: Metrics) -> None:
        """Tell all, each once; one who is withdrawn by what another does is not told."""
        watchers = self._watchers
        for watcher in list(watchers):
            flow = watchers.pop(watcher, None)
            if flow is not None:
                tell(metrics, watcher.flow_lost, flow, error)


def set_option(port: Any, option: tuple[int, int, Any]) -> OSError | None:
    """Set an option of the socket behind a port or transport; the refusal, where there is one."""
    try:
        port.getHandle().setsockopt(*option)
    except OSError as refused:
        return refused
    except AttributeError:
        # Closed by now, or never a socket.
        pass
    return None


def reason_of(problem: CannotListenError) -> str:
    """Why a port could not be bound, without the error's number."""
    return getattr(problem.socketError, "strerror", None) or str(problem.socketError)
