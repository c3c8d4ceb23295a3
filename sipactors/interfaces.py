"""Every contract between two floors, and between sipactors and its users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

from sipactors.call_interfaces import ICallObserver as ICallObserver
from sipactors.call_interfaces import IMediaSession as IMediaSession
from sipactors.call_interfaces import ISubscriptionObserver as ISubscriptionObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred

    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.dialog import Dialog
    from sipactors.errors import MalformedMessage, SIPError
    from sipactors.locating import NAPTR, SRV, Answer, Candidates, Target
    from sipactors.message import URI, Address, MessageElements, Request, Response, Via


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

    def request_received(transaction: Any, flow: IFlow) -> None:
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


class ISIPObserver(Interface):
    """What a whole client hears: requests where it has no Connection yet."""

    def request_received(access_point: str, transaction: ServerTransaction) -> None:
        """A request for this client came on an access point where it has no Connection.

        Making the Connection, now or later, adopts the transaction; it then goes to the connection's
        own observer.
        """

    def timed_out(transaction: ServerTransaction) -> None:
        """The request was not taken up in time and has been refused."""


class IConnectionObserver(Interface):
    """What the owner of a Connection hears. `ConnectionObserver` is a base that does nothing.

    All states are final before any of these is called, so that each may call back into the stack.
    What a method raises is logged and stops nothing.
    """

    def request_received(transaction: ServerTransaction) -> None:
        """A request outside of dialogs, also the first INVITE, SUBSCRIBE or REFER of a new one."""

    def dialog_request_received(transaction: ServerTransaction, dialog: Dialog) -> None:
        """BYE, a further INVITE, UPDATE, PRACK, INFO, NOTIFY, or the ACK to a 2xx."""

    def response_received(transaction: ClientTransaction) -> None:
        """A response to a stand-alone request, to a fetch of registrations, or to CANCEL."""

    def dialog_response_received(transaction: ClientTransaction, usage: object) -> None:
        """A response to a request of a usage: 1xx, 2xx, a repeated 2xx, failures."""

    def dialog_forked(transaction: ClientTransaction, usage: object) -> None:
        """A response made another dialog; the application owns the new usage."""

    def registration_response_received(transaction: ClientTransaction, binding: object) -> None:
        """A response to a request of a registration."""

    def transaction_failed(error: SIPError, transaction: ClientTransaction | ServerTransaction) -> None:
        """A request outside of usages and registrations failed after it was sent."""

    def registration_failed(error: SIPError, binding: object, transaction: ClientTransaction | None) -> None:
        """A registration failed; `transaction` is None for one of its refreshes."""

    def usage_failed(error: SIPError, usage: object, transaction: object) -> None:
        """A usage failed; `transaction` is None for one of its refreshes."""

    def refresh_failed(error: SIPError, refresh: object) -> None:
        """The refresh of a stand-alone request failed or was ended."""

    def invite_completed(transaction: ClientTransaction) -> None:
        """64*T1 after the first 2xx to an INVITE: there will be no more forks."""

    def invite_canceled(transaction: ServerTransaction) -> None:
        """The peer canceled its INVITE, which has been answered 487."""

    def connection_state_changed(state: str) -> None:
        """The connection is in another state now; `connection.last_error` says why."""


class IBearerMonitor(Interface):
    """Something that knows whether an access point's network is there: a link, an address, a modem."""

    def watch(changed: Callable[[str], object]) -> None:
        """Call `changed` now and at each change with 'up', 'suspended', 'down' or 'unavailable'.

        'suspended' keeps what is there but lets nothing be sent; 'down' may come back; 'unavailable' is
        for good.
        """

    def unwatch() -> None:
        """Call no more."""


class IDialogHost(Interface):
    """What a dialog and its usages ask of the connection that they belong to."""

    dispatcher = Attribute("The transaction.Dispatcher, with its timers, timing, dice and metrics.")
    dialogs = Attribute("The dialog.DialogTable of the access point.")
    observer = Attribute("The IConnectionObserver of usages that have none of their own.")
    supported = Attribute("The option tags that the client supports (a tuple of str).")

    def check_active() -> None:
        """Raise ResourceNotAvailable or TransportFailure unless requests can be sent now."""

    def check_elements(elements: MessageElements | None) -> None:
        """Raise ArgumentError for headers that the stack sets by itself: credentials, while it does that."""

    def send(
        request: Request,
        next_hop: URI,
        owner: IRequestOwner,
        *,
        prepare: Callable[[Request, IFlow], object] | None = None,
        sequence: Callable[[], int] | None = None,
        hold: bool = False,
    ) -> ClientTransaction:
        """Send a request and tell `owner`; `sequence` gives the CSeq of each further try.

        With `hold` the transaction waits for its `release()`.
        """

    def send_ack(
        ack: Request, next_hop: URI, sent: Callable[[IFlow, bytes], object], invite: ClientTransaction
    ) -> None:
        """Send the ACK to a 2xx, with the credentials of its INVITE; `sent` gets flow and bytes."""

    def contact(flow: IFlow, local: Address | str, given: Address | None, secure: bool) -> str:
        """Our Contact on a flow: `given` or one made from the local address, with the flow's host."""

    def adopt(child: object) -> None:
        """Own a child: it is closed before the connection is."""

    def release(child: object) -> None:
        """Disown a child that has ended."""


class IRequestOwner(Interface):
    """Whoever gets the outcome of a request that an application sent: a usage, a binding, a connection."""

    def response_received(transaction: ClientTransaction) -> None:
        """`transaction.response` is new (never 100, never a challenge that the stack answers)."""

    def transaction_failed(error: SIPError, transaction: ClientTransaction) -> None:
        """No final response will come."""

    def transaction_ended(transaction: ClientTransaction) -> None:
        """64*T1 after the first 2xx to INVITE."""


class IRefreshOwner(Interface):
    """What a Refresh keeps alive: a registration, a subscription, a stand-alone request."""

    host = Attribute("The IDialogHost, for its dispatcher's timers.")

    def refresh_due() -> ClientTransaction:
        """Send the request that refreshes, now; raises a SIPError when that cannot be done.

        The owner gets its outcome as IRequestOwner and calls `granted`, `again` or `end` of its refresh.
        """

    def refresh_failed(error: SIPError) -> None:
        """`refresh_due` raised this, or the peer granted no time at all (MalformedMessage).

        The owner tells its observer, and calls `end` or `again`; after MalformedMessage the refresh has
        ended already.
        """


class IRefresh(Interface):
    """What keeps something alive at a peer, as its owner sees it."""

    state = Attribute("INACTIVE until the first 2xx, ACTIVE, TERMINATED.")
    transaction = Attribute(
        "The ClientTransaction of the last refresh, with the response that ended it; or None."
    )

    def bind(owner: IRefreshOwner) -> None:
        """Serve this owner from now on. Raises AlreadyExists: a refresh is given once."""

    def granted(requested: float | None, granted: float | None) -> float:
        """A 2xx came: gives the seconds that count, and asks for `refresh_due` before they are over.

        `requested` is what the request said, `granted` what the 2xx says, None where it says nothing.
        A grant of 0 ends the refresh and calls `refresh_failed` of the owner, which is still in its call.
        """

    def again(seconds: float) -> None:
        """The refresh did not get through, but is not over: ask for `refresh_due` after so many seconds."""

    def end(error: SIPError | None = None, transaction: ClientTransaction | None = None) -> None:
        """It is over, for this reason: no timer runs any more. Idempotent."""


class IDigestChallengeObserver(Interface):
    """Whoever knows the users and passwords of a client; see sipactors.client.Digest."""

    def challenge_received(source: object) -> object:
        """A request wants credentials for the realms of `source.challenges`, which are not known yet.

        `source` is the ClientTransaction, or the Refresh whose silent request was challenged. Answer each
        realm by `digest.set_credentials(source, realm, user, password)` or `digest.ignore(source, realm)`,
        now or later, and return None. Or return credentials for all of them: an object with `user` and
        `password` (a string, or an HA1), such as sipactors.client.Login; or a Deferred or coroutine that
        gives them, or None to ignore the challenge. The Deferred is cancelled when the answer is not
        wanted any more. Called again for the same source when the realm refuses the password.
        """


class ISecurityMechanism(Interface):
    """A way to secure the first hop that can be agreed on by RFC 3329; found as a Twisted plug-in."""

    name = Attribute("The mechanism-name of RFC 3329, as 'digest', 'tls' or 'ipsec-3gpp' (str).")

    def usable() -> bool:
        """True when what it needs is there: libraries, keys, the system's support."""


class IAKAProvider(Interface):
    """Somebody's SIM, by which AKA challenges are answered (RFC 3310, RFC 4169)."""

    def authenticate(rand: bytes, autn: bytes) -> object:
        """Run the SIM on a challenge, 16 octets each.

        Gives, or returns a Deferred of, an AKAResponse (RES, CK, IK), a SynchronizationFailure (AUTS), or
        None when AUTN does not prove the network to be genuine.
        """
