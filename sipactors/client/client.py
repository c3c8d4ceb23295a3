"""One application on a stack: who it is, what it can do, and its connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.client.capabilities import Capabilities, Policies
from sipactors.client.security import mechanisms
from sipactors.errors import Forbidden, ResourceNotAvailable
from sipactors.message import SIPURI, as_uri

if TYPE_CHECKING:
    from sipactors.client.connection import Connection
    from sipactors.client.digest import Digest
    from sipactors.client.served import ServerTransaction
    from sipactors.client.stack import Stack
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import ISIPObserver
    from sipactors.message import URI, Response


class SIPClient:
    """An application's place on a stack.

    `app_id` names it, `observer` hears of requests on access points where it has no Connection yet,
    `capabilities` decide which requests are its own. Raises ResourceNotAvailable on a closed stack.
    """

    def __init__(
        self,
        stack: Stack,
        app_id: str,
        observer: ISIPObserver,
        capabilities: Capabilities | None = None,
        policies: Policies | None = None,
    ) -> None:
        if stack.closed:
            raise ResourceNotAvailable("the stack is closed")
        self.stack = stack
        self.app_id = app_id
        self.observer = observer
        self.capabilities = Capabilities() if capabilities is None else capabilities
        self.policies = Policies() if policies is None else policies
        self.security_handling = True
        "False: 401, 407 and 494 reach the application, which may set the credentials' headers itself."
        self.digest: Digest | None = None
        "What answers challenges, once a Digest was made for this client."
        self.untaken: list[tuple[str, ServerTransaction]] = []
        self._negotiated: dict[str, str] = {}
        self._connections: dict[str, Connection] = {}
        self._closed = False
        stack.clients.append(self)

    @property
    def closed(self) -> bool:
        """True after close."""
        return self._closed

    @property
    def connections(self) -> list[Connection]:
        """The client's connections."""
        return list(self._connections.values())

    @property
    def supported_security_mechanisms(self) -> list[str]:
        """The mechanism names of RFC 3329 that there are here: digest, tls, and those of plug-ins."""
        return [mechanism.name for mechanism in mechanisms()]

    @property
    def sigcomp_supported(self) -> bool:
        """True when a plug-in compresses messages (RFC 3320), so that `comp=sigcomp` can be obeyed."""
        return self.stack.compressor is not None

    def negotiated_security_mechanism(self, hop: URI | str) -> str | None:
        """The mechanism that was agreed on with the next hop by RFC 3329; None when nothing was."""
        return self._negotiated.get(_hop(hop))

    def security_negotiated(self, hop: URI | str, mechanism: str | None) -> None:
        """A mechanism was agreed on with the next hop; None: it holds no more."""
        if mechanism is None:
            self._negotiated.pop(_hop(hop), None)
        else:
            self._negotiated[_hop(hop)] = mechanism

    def connection(self, name: str) -> Connection | None:
        """The client's Connection on an access point, or None."""
        return self._connections.get(name)

    def connect(self, connection: Connection) -> None:
        """A Connection of this client begins."""
        self._connections[connection.name] = connection

    def disconnect(self, connection: Connection) -> None:
        """A Connection of this client has ended."""
        if self._connections.get(connection.name) is connection:
            del self._connections[connection.name]

    def challenged(self, transaction: ClientTransaction, response: Response) -> None:
        """A 401, 407 or 494 came: answer it, or fail the transaction with Forbidden."""
        if self.digest is not None:
            self.digest.challenged(transaction, response)
        else:
            transaction.fail_with_response(Forbidden(f"{response.status}: credentials are wanted"), response)

    def close(self) -> None:
        """End everything of this client at once and silently. Idempotent."""
        if not self._closed:
            self._closed = True
            for connection in self.connections:
                connection.close()
            if self in self.stack.clients:
                self.stack.clients.remove(self)


def _hop(hop: URI | str) -> str:
    """A next hop by its host, port and transport: what else its URI says does not matter."""
    uri = as_uri(hop, "the hop")
    if not isinstance(uri, SIPURI):
        return str(uri)
    return f"{uri.scheme}:{uri.host.lower()}:{uri.port};{(uri.transport or '').lower()}"
