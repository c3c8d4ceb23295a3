"""What carries messages, and what watches it: flows, transports, resolvers, bearers, traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred

    from sipactors.errors import MalformedMessage, SIPError
    from sipactors.locating import NAPTR, SRV, Answer, Candidates, Target
    from sipactors.message import URI, Request, Response, Via


class IFlow(Interface):
    """One way to one peer: a pair of UDP addresses, or a stream connection (RFC 5626 §3)."""

    transport = Attribute("The transport as Via names it: 'UDP', 'TCP', 'TLS', 'WS' or 'WSS'.")
    reliable = Attribute("True when the transport retransmits by itself (all but UDP).")
    secure = Attribute("True when the flow is TLS (sips: may use it).")
    peer_identities = Attribute(
        "SIP URIs that the peer's certificate proves (RFC 5922): sip:example.com, sip:alice@example.com; "
        "a tuple of str, empty without a certificate."
    )
    local = Attribute("Our (host, port); the host is numeric and without brackets.")
    peer = Attribute("The peer's (host, port), likewise.")
    closed = Attribute("True when nothing can be sent any more.")
    sent_by = Attribute("host or host:port, IPv6 in brackets, as our Via names this flow's listener (str).")
    local_uri_host = Attribute("host:port (IPv6 in brackets) for a Contact by which this end is reached.")

    def send(data: bytes) -> None:
        """Send one message. Never raises: a failure is told to the flow's watchers later."""

    def watch(watcher: IFlowWatcher) -> None:
        """Tell `watcher` once when this flow is lost. A UDP flow tells of ICMP errors only."""

    def unwatch(watcher: IFlowWatcher) -> None:
        """Undo watch; no error when not watched."""


class IFlowWatcher(Interface):
    """Somebody whose work depends on a flow: a pending transaction, a registration."""

    def flow_lost(flow: IFlow, error: SIPError) -> None:
        """The flow is gone (TransportFailure) or its peer cannot be reached (ICMPFailure)."""


class IMessageReceiver(Interface):
    """What transports hand their messages to: the transaction dispatcher."""

    def message_received(message: Request | Response, flow: IFlow) -> None:
        """A whole message came by `flow`; a request's top Via is already marked received/rport."""

    def malformed_received(error: MalformedMessage, flow: IFlow) -> None:
        """Bytes came that are no message; `error.message` is what could be read of them, or None."""


class ITransportLayer(Interface):
    """All transports of one access point."""

    def flow_to(transport: str, host: str, port: int, name: str | None = None) -> IFlow:
        """A flow to a numeric address at once: a reused or new one (a stream connects meanwhile and queues).

        `name` is the SIP domain asked for, which a TLS certificate must prove (RFC 5922).
        Raises TransportFailure when this access point has no such transport or address family.
        """

    def flow_named(host: str) -> IFlow | None:
        """The open flow of a peer whose Contact has this host under .invalid (RFC 7118 §5); None: no such.

        Such a peer has no address; it is reached only by the connection that it opened.
        """

    def response_flow(message: Request | Response, flow: IFlow) -> IFlow:
        """Where the responses to a request that came by `flow` go (RFC 3261 §18.2.2, RFC 3581 §4).

        `message` is the request or its response: the top Via is the same.
        """

    def supports(transport: str, host: str) -> bool:
        """True when flow_to could serve this transport and this numeric host's address family."""


class ITrace(Interface):
    """Something that watches every message and every stray event; the stack holds None when nobody does."""

    def received(flow: IFlow, data: bytes) -> None:
        """These bytes of one message came by `flow`, TLS already taken off."""

    def sent(flow: IFlow, data: bytes) -> None:
        """These bytes of one message went by `flow`."""

    def note(actor: object, text: str) -> None:
        """An actor did something worth knowing that is no message: a stray event, a failure."""


class IBearerMonitor(Interface):
    """Something that knows whether an access point's network is there: a link, an address, a modem."""

    def watch(changed: Callable[[str], object]) -> None:
        """Call `changed` now and at each change with 'up', 'suspended', 'down' or 'unavailable'.

        'suspended' keeps what is there but lets nothing be sent; 'down' may come back; 'unavailable' is
        for good.
        """

    def unwatch() -> None:
        """Call no more."""


class IResolver(Interface):
    """Where names are looked up. The records are those of sipactors.locating: NAPTR, SRV, plain addresses.

    Each method gives an Answer at once when it is at hand, else a Deferred of one: the records of exactly
    that name (aliases followed), none when there is none, and for how long that holds. When nothing could
    be learnt the Deferred fails with ResolvingFailure. Names have no dot at the end.
    """

    def naptr(name: str) -> Answer[NAPTR] | Deferred[Answer[NAPTR]]:
        """The NAPTR records of a domain."""

    def srv(name: str) -> Answer[SRV] | Deferred[Answer[SRV]]:
        """The SRV records of a service name such as _sip._udp.example.com."""

    def addresses(name: str, family: int) -> Answer[str] | Deferred[Answer[str]]:
        """The numeric addresses of a host in family 4 or 6, without brackets."""


class ILocator(Interface):
    """Where messages go: RFC 3263 for one access point, with a memory of targets that failed."""

    def locate(
        uri: URI, *, transport: str | None = None, secure: bool | None = None, prefer: Target | None = None
    ) -> list[Target] | Deferred[list[Target]]:
        """The targets of a SIP or SIPS URI, the best first, never none.

        A list when they are known (a numeric host, answers at hand), else a Deferred of it. `transport`
        overrides the URI's parameter, `secure` its scheme; `prefer` is the target that served this
        registration or dialog before: it goes first if it is still one of them.
        Raises, or fails with, ResolvingFailure in bounded time; raises InvalidURIType for other URIs.
        Cancelling the Deferred ends the search.
        """

    def locate_response(via: Via) -> list[Target] | Deferred[list[Target]]:
        """The targets for a response whose request's own way is gone, by the top Via (RFC 3263 §5)."""

    def candidates(targets: Iterable[Target]) -> Candidates:
        """An iterator over targets for one request: `next()`, `failed()` gives the next, `succeeded()`."""

    def failed(target: Target, retry_after: float | None = None) -> None:
        """The target failed (503, timeout, transport or ICMP error): it goes last for a while, in seconds."""

    def succeeded(target: Target) -> None:
        """The target answered: it is in its place again."""
