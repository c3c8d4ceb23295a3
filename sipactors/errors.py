"""Every exception that sipactors raises or hands to an observer."""

from __future__ import annotations

from typing import Any, ClassVar


class SIPError(Exception):
    """Something of SIP went wrong; `code` is the number that the SIP client API gave this cause."""

    code: ClassVar[int] = 0


class MalformedMessage(SIPError):
    """A message, or a part of one, breaks the grammar or a rule of RFC 3261.

    The one exception for strangers' input. `status` is what a UAS answers (400, 413, 505 …), `what`
    names the element, and `message` is as much of the message as could be read, or None.
    """

    code = -17700

    def __init__(self, status: int, what: str, message: Any = None) -> None:
        super().__init__(status, what)
        self.status = status
        self.what = what
        self.message = message

    def __str__(self) -> str:
        return f"{self.what} ({self.status})"


class UnacceptableOffer(MalformedMessage):
    """An SDP offer that can be read, but none of whose streams can be accepted: answered 488."""

    def __init__(self, what: str, message: Any = None) -> None:
        super().__init__(488, what, message)


class InvalidRegistrarResponse(SIPError):
    """A 2xx to REGISTER that does not confirm the binding that was asked for."""

    code = -17701


class RequestPending(SIPError):
    """The same kind of request is still waiting for its final response."""

    code = -17702


class OfferPending(RequestPending):
    """An SDP offer came, or was to be made, while another waits for its answer (RFC 3264 §4).

    `status` is what a UAS answers: 491 when the other offer is ours, 500 when it is the peer's.
    """

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what


class InvalidTransactionState(SIPError):
    """The transaction is past the state in which this can be done."""

    code = -17703


class InvalidDialogState(SIPError):
    """The dialog's state does not allow this request."""

    code = -17704


class InvalidDialogRequest(SIPError):
    """A request of the peer's that breaks the rules of its dialog."""

    code = -17705


class InvalidDialogResponse(SIPError):
    """A response that breaks the rules of the dialog it came for."""

    code = -17706


class TransportFailure(SIPError):
    """The transport could not carry a message, or was lost while something waited on it."""

    code = -17707


class NoAckReceived(SIPError):
    """The 2xx to an INVITE was never acknowledged (RFC 3261 §13.3.1.4)."""

    code = -17708


class InvalidRegistrationState(SIPError):
    """The binding's state does not allow this: register when unregistered, update when registered."""

    code = -17709


class RegistrationExpired(InvalidRegistrationState):
    """The time that the registrar granted is over, and the registration was not refreshed."""


class InvalidContact(SIPError):
    """The Contact cannot be used here."""

    code = -17710


class ResourceNotAvailable(SIPError):
    """The object, or the one it belonged to, has been closed."""

    code = -17711


class ResolvingFailure(SIPError):
    """The destination's name could not be resolved to an address (RFC 3263)."""

    code = -17712


class Forbidden(SIPError):
    """The peer wants credentials that were not given, or refuses those that were."""

    code = -17713


class MaxCompartmentsInUse(SIPError):
    """The compressor has no room for another compartment (RFC 3320)."""

    code = -17714


class TerminatedWithResponse(SIPError):
    """A usage or refresh was ended by a response, which is at hand in its transaction."""

    code = -17715


class OutboundProxyNotResponding(SIPError):
    """The outbound proxy of a registration does not answer."""

    code = -17716


class InvalidURIType(SIPError):
    """A URI has a scheme that cannot be used here, as sip where sips is required."""

    code = -17717


class ICMPFailure(SIPError):
    """An ICMP error came back for a datagram: nobody listens there, or the way is closed."""

    code = -17718


class ArgumentError(SIPError, ValueError):
    """The caller gave something that SIP, or this place of it, does not allow; nothing was sent."""


class RequestRejected(SIPError):
    """A request of ours was answered with a failure: `status` and `reason` say which, `response` all of it.

    `status` is 300 to 699. `response` is None when the failure was told by somebody else, as in a transfer.
    """

    def __init__(self, status: int, reason: str = "", response: Any = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.response = response

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".rstrip()


class CallRejected(RequestRejected):
    """A call of ours was refused, redirected, or given up before it was answered (487)."""


class AlreadyExists(SIPError):
    """There may be only one of these, and there is one already."""


class NotFound(SIPError):
    """There is none of that name."""


class NotSupported(SIPError):
    """This needs a plug-in, an extra or a feature that is not there."""


class TransactionTimeout(SIPError):
    """No final response came in time (Timer B, Timer F or Timer C of RFC 3261 §17)."""
