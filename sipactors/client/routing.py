"""Which of the stack's clients gets a request that belongs to no dialog yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.message import SIPURI

if TYPE_CHECKING:
    from sipactors.client.client import SIPClient
    from sipactors.client.inspection import Refusal
    from sipactors.client.served import ServerTransaction
    from sipactors.client.stack import Stack


class Router:
    """Asks each client's capabilities: whose user the Request-URI names, and who takes the method."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def route(self, transaction: ServerTransaction) -> SIPClient | Refusal:
        """The client for a request, or the status and headers to refuse it with."""
        clients = self._stack.clients
        if len(clients) == 1 and clients[0].capabilities.users is None:
            return clients[0]
        request = transaction.request
        uri = request.uri
        user = uri.user if isinstance(uri, SIPURI) else None
        owners = [
            client
            for client in clients
            if client.capabilities.users is None or user in client.capabilities.users
        ]
        if not owners:
            # RFC 3261 §21.4.5: the server has "definitive information that the user does not exist".
            return 404, []
        owners.sort(key=lambda client: -client.capabilities.priority)
        for client in owners:
            if request.method in client.capabilities.methods:
                return client
        return owners[0]
