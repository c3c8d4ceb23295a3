"""What transactions, dialogs, registrations and refreshes ask of the floors above them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from collections.abc import Callable

    from sipactors.client.transactions import ClientTransaction
    from sipactors.errors import SIPError
    from sipactors.interfaces.wire import IFlow
    from sipactors.message import URI, Address, MessageElements, Request, Response


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
