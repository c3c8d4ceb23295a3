"""Observers: a base that hears everything and does nothing, and one for a single request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from sipactors.actor import tell
from sipactors.interfaces import IConnectionObserver, IRequestOwner, ISIPObserver

if TYPE_CHECKING:
    from sipactors.client.transactions import ClientTransaction
    from sipactors.errors import SIPError
    from sipactors.interfaces import IDialogHost


@implementer(ISIPObserver)
class SIPObserver:
    """A client's observer that does nothing: requests without a Connection are refused in time."""

    def request_received(self, access_point: str, transaction: Any) -> None:
        """See ISIPObserver."""

    def timed_out(self, transaction: Any) -> None:
        """See ISIPObserver."""


@implementer(IConnectionObserver)
class ConnectionObserver:
    """An observer that does nothing: derive from it and override what you want to hear."""

    def request_received(self, transaction: Any) -> None:
        """See IConnectionObserver."""

    def dialog_request_received(self, transaction: Any, dialog: Any) -> None:
        """See IConnectionObserver."""

    def response_received(self, transaction: Any) -> None:
        """See IConnectionObserver."""

    def dialog_response_received(self, transaction: Any, usage: Any) -> None:
        """See IConnectionObserver."""

    def dialog_forked(self, transaction: Any, usage: Any) -> None:
        """See IConnectionObserver."""

    def registration_response_received(self, transaction: Any, binding: Any) -> None:
        """See IConnectionObserver."""

    def transaction_failed(self, error: Any, transaction: Any) -> None:
        """See IConnectionObserver."""

    def registration_failed(self, error: Any, binding: Any, transaction: Any) -> None:
        """See IConnectionObserver."""

    def usage_failed(self, error: Any, usage: Any, transaction: Any) -> None:
        """See IConnectionObserver."""

    def refresh_failed(self, error: Any, refresh: Any) -> None:
        """See IConnectionObserver."""

    def invite_completed(self, transaction: Any) -> None:
        """See IConnectionObserver."""

    def invite_canceled(self, transaction: Any) -> None:
        """See IConnectionObserver."""

    def connection_state_changed(self, state: str) -> None:
        """See IConnectionObserver."""


@implementer(IRequestOwner)
class StandAlone:
    """A request outside of dialogs that has an observer of its own."""

    __slots__ = ("_connection", "_observer")

    def __init__(self, connection: IDialogHost, observer: IConnectionObserver) -> None:
        self._connection = connection
        self._observer = observer

    def response_received(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        tell(self._connection.dispatcher.metrics, self._observer.response_received, transaction)

    def transaction_failed(self, error: SIPError, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
        tell(self._connection.dispatcher.metrics, self._observer.transaction_failed, error, transaction)

    def transaction_ended(self, transaction: ClientTransaction) -> None:
        """See IRequestOwner."""
