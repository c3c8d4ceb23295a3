"""What an application implements: observers, credentials, media."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from sipactors.client.served import ServerTransaction
    from sipactors.client.transactions import ClientTransaction
    from sipactors.dialog.dialog import Dialog
    from sipactors.errors import SIPError


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
