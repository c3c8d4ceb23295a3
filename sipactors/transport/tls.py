"""TLS around stream connections: handshakes, the names that certificates prove, and why one was refused."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from sipactors.actor import TERMINATED
from sipactors.errors import ArgumentError, TransportFailure
from sipactors.transport.certificates import Certificates
from sipactors.transport.connections import Connections, StreamListener
from sipactors.transport.flow import Site, family_of
from sipactors.transport.identities import Identities, is_for_sip, read_identities

if TYPE_CHECKING:
    from OpenSSL.crypto import X509

    from sipactors.transport.description import Description
    from sipactors.transport.stream import StreamFlow

ASKING = {
    "no": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
"What `verify=` of a description means for those who connect."

_GATHERS = "clock" in inspect.signature(TLSMemoryBIOFactory).parameters
"Newer releases of Twisted gather small writes until the reactor's next turn."

WRONG_PURPOSE = 26
"X509_V_ERR_INVALID_PURPOSE of OpenSSL."

# The numbers of <openssl/x509_vfy.h> that people meet, in words for the person at the terminal.
_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is self-signed",
    19: "is signed by an unknown authority",
    20: "is signed by an unknown authority",
    21: "is signed by an unknown authority",
    23: "has been revoked",
    24: "is signed by what is no authority",
    WRONG_PURPOSE: "is for another purpose",
    66: "has a key that is too weak",
    67: "is signed with a key that is too weak",
    68: "is signed with a digest that is too weak",
}


class TLSListener(StreamListener):
    """A listening port for TLS, and where connections by TLS come from (RFC 3261 §26.3.1)."""

    transport = "TLS"
    secure = True

    def __init__(self, site: Site, description: Description, connections: Connections) -> None:
        super().__init__(site, description, connections)
        options = description.options
        if self.listens and "certFile" not in options:
            raise ArgumentError(
                f"{description.kind} needs certFile=… to listen, or listen=no to connect to others only"
            )
        if "keyFile" in options and "certFile" not in options:
            raise ArgumentError(f"{description.kind}: keyFile=… without certFile=…")
        self.certificates = Certificates(options, site.reactor.seconds)
        self.asking = ASKING[options.get("verify", "no")]

    def reload(self) -> None:
        """Read the certificate files again, now; connections that are open stay.

        They are read again by themselves when they change. Raises ArgumentError, and uses what was read
        before, when they cannot be used.
        """
        self.certificates.reload()

    def server_factory(self, accepting: ServerFactory) -> ServerFactory:
        """See StreamListener."""
        inner = super().server_factory(accepting)
        return cast(ServerFactory, _TLSFactory(self, False, inner, None))

    def client_factory(self, opening: ClientFactory, flow: StreamFlow) -> ClientFactory:
        """See StreamListener."""
        inner = super().client_factory(opening, flow)
        return cast(ClientFactory, _TLSFactory(self, True, inner, flow.name))


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class _Creator:
    """Makes OpenSSL's side of each connection."""

    def __init__(self, listener: TLSListener, name: str | None) -> None:
        self._listener = listener
        self._name = name

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See IOpenSSLClientConnectionCreator."""
        connection = SSL.Connection(self._listener.certificates.context, None)
        connection.set_connect_state()
        name = self._name
        if name is not None and family_of(name.strip("[]")) is None and name.isascii():
            # RFC 6066 §3: the host name that is asked for; literal addresses are not permitted.
            connection.set_tlsext_host_name(name.rstrip(".").encode("ascii"))
        connection.set_verify(SSL.VERIFY_PEER, tlsProtocol.wrappedProtocol.verify)
        return connection

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """See IOpenSSLServerConnectionCreator."""
        connection = SSL.Connection(self._listener.certificates.context, None)
        connection.set_accept_state()
        connection.set_verify(self._listener.asking, tlsProtocol.wrappedProtocol.verify)
        return connection


class _Transport(TLSMemoryBIOFactory.protocol):  # type: ignore[misc, valid-type]
    """TLS that ends when we end it."""

    def loseConnection(self) -> None:
        """See ITransport."""
        super().loseConnection()
        if self.disconnecting and self.transport is not None:
            # RFC 8446 §6.1: having sent its close_notify, a side need not wait for the one of its peer.
            self.transport.loseConnection()


class _TLSFactory(TLSMemoryBIOFactory):
    """Puts TLS between connections and what another factory makes for them."""

    noisy = False
    protocol = _Transport

    def __init__(self, listener: TLSListener, client: bool, inner: Any, name: str | None) -> None:
        clock = (listener.site.reactor,) if _GATHERS else ()
        super().__init__(_Creator(listener, name), client, inner, *clock)
        self._listener = listener

    def buildProtocol(self, addr: Any) -> Any:
        """See IProtocolFactory: None closes the connection at once."""
        inner = self.wrappedFactory.buildProtocol(addr)
        return None if inner is None else self.protocol(self, SecuredProtocol(inner, self._listener))


@implementer(IHandshakeListener)
class SecuredProtocol(Protocol):
    """What TLS calls for one connection: the protocol inside begins when the handshake is done."""

    def __init__(self, inner: Any, listener: TLSListener) -> None:
        self._inner = inner
        self._listener = listener
        self.flow: StreamFlow = inner.flow
        self._identities = Identities()
        self._refusal: str | None = None
        self._shaken = False

    def connectionMade(self) -> None:
        """See IProtocol; the handshake begins, with a deadline."""
        transport = cast(Any, self.transport)
        if self.flow.state is TERMINATED:
            transport.abortConnection()
            return
        self.flow.abandon = transport.abortConnection
        if not self.flow.accepted:
            self.flow.start_late()

    def verify(self, _: SSL.Connection, certificate: X509, error: int, depth: int, valid: bool) -> bool:
        """Judge one certificate of the peer's chain; OpenSSL tells the peer when it is refused."""
        try:
            if not valid and not (
                error == WRONG_PURPOSE and depth == 0 and is_for_sip(certificate.to_cryptography())
            ):
                whose = "the certificate" if depth == 0 else "the certificate of its issuer"
                self._refusal = f"{whose} {_REASONS.get(error, f'cannot be verified (error {error})')}"
                return False
            if depth == 0:
                self._identities = read_identities(certificate.to_cryptography())
                asked = self.flow.name
                # RFC 5922 §7.3: the client verifies that the SIP domain it asked for is among the identities.
                if asked is not None and not self._identities.prove(asked):
                    self._refusal = f"the certificate is for {self._identities}, not for {asked}"
                    return False
            return True
        except Exception as problem:
            # An exception would be lost in OpenSSL, and with it the refusal.
            self._refusal = f"the certificate cannot be read: {problem}"
            return False

    def handshakeCompleted(self) -> None:
        """See IHandshakeListener."""
        if self._shaken or self.flow.state is TERMINATED:
            return
        self._shaken = True
        self.flow.peer_identities = self._identities.uris
        self._inner.makeConnection(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """See IProtocol."""
        self._inner.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol; a refusal by either side is told in words."""
        text = self._refusal
        if text is None and reason.check(SSL.Error):
            text = _told_by_openssl(cast(SSL.Error, reason.value))
        elif text is None and not self._shaken:
            text = f"no TLS handshake: {reason.getErrorMessage()}"
        if text is None:
            self._inner.connectionLost(reason)
            return
        self._listener.site.handshake_failed(self.flow, text)
        self._inner.connectionLost(Failure(TransportFailure(text)))


def _told_by_openssl(problem: SSL.Error) -> str:
    """OpenSSL's reason in one line; an alert is what the peer says of us."""
    rows = problem.args[0] if problem.args else None
    if not isinstance(rows, list) or not rows:
        return f"TLS failed: {problem}"
    text = str(rows[-1][-1])
    _, alert, said = text.partition(" alert ")
    return f"the peer refused: {said}" if alert else f"TLS failed: {text}"
