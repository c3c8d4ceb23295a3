"""Every contract between two floors, and between sipactors and its users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from sipactors.errors import MalformedMessage, SIPError
    from sipactors.message import Request, Response


class IFlow(Interface):
    """One way to one peer: a pair of UDP addresses, or a stream connection (RFC 5626 §3)."""

    transport = Attribute("The transport as Via names it: 'UDP', 'TCP', 'TLS', 'WS' or 'WSS'.")
    reliable = Attribute("True when the transport retransmits by itself (all but UDP).")
    secure = Attribute("True when the flow is TLS (sips: may use it).")
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

    def response_flow(request: Request, flow: IFlow) -> IFlow:
        """Where the responses to a request that came by `flow` go (RFC 3261 §18.2.2, RFC 3581 §4)."""

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


class IServerTransactionUser(Interface):
    """Whoever answers one request: what its server transaction tells."""

    def canceled(cancel: Request) -> None:
        """The peer cancels this INVITE, which has no final response yet (RFC 3261 §9.2)."""

    def acknowledged() -> None:
        """The ACK to our failure response came (RFC 3261 §17.2.1, Confirmed)."""

    def server_transaction_failed(error: SIPError) -> None:
        """No ACK to our failure response (TransactionTimeout), or nothing was answered in time."""


class IRequestReceiver(Interface):
    """The floor above the transactions, which every new request and every ACK to a 2xx goes to."""

    def request_received(transaction: object, flow: IFlow) -> None:
        """A request of a new server transaction, `transaction.request`; set its `user` and answer it.

        May raise MalformedMessage, whose status is then answered.
        """

    def ack_received(ack: Request, flow: IFlow) -> None:
        """An ACK that belongs to no failure response: to a 2xx, or a stray."""


class IClientTransactionUser(Interface):
    """Whoever sent one request: what its client transaction tells."""

    def response_received(response: Response, transaction: object) -> None:
        """A response, in the order of arrival; a 2xx to INVITE comes here as often as it comes."""

    def client_transaction_failed(error: SIPError, transaction: object) -> None:
        """No final response will come: TransactionTimeout, TransportFailure or ICMPFailure."""

    def client_transaction_ended(transaction: object) -> None:
        """64*T1 after the first 2xx to INVITE: no further 2xx is taken (RFC 6026 Timer M)."""
