"""The errors: one class each, with the code that the SIP client API gave it."""

from __future__ import annotations

import pytest

from sipactors import errors
from sipactors.errors import ArgumentError, MalformedMessage, SIPError

CODES = {
    "MalformedMessage": -17700,
    "InvalidRegistrarResponse": -17701,
    "RequestPending": -17702,
    "InvalidTransactionState": -17703,
    "InvalidDialogState": -17704,
    "InvalidDialogRequest": -17705,
    "InvalidDialogResponse": -17706,
    "TransportFailure": -17707,
    "NoAckReceived": -17708,
    "InvalidRegistrationState": -17709,
    "InvalidContact": -17710,
    "ResourceNotAvailable": -17711,
    "ResolvingFailure": -17712,
    "Forbidden": -17713,
    "MaxCompartmentsInUse": -17714,
    "TerminatedWithResponse": -17715,
    "OutboundProxyNotResponding": -17716,
    "InvalidURIType": -17717,
    "ICMPFailure": -17718,
}


@pytest.mark.accepts("B1")
def test_each_error_has_its_code() -> None:
    """One class each, with `.code`."""
    for name, code in CODES.items():
        error = getattr(errors, name)
        assert issubclass(error, SIPError)
        assert error.code == code


@pytest.mark.accepts("B1")
def test_no_two_classes_share_a_code_but_a_class_and_its_kinds() -> None:
    """A code names one cause."""
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    own = [cls for cls in classes if "code" in vars(cls) and cls is not SIPError]
    assert len({cls.code for cls in own}) == len(own)


@pytest.mark.accepts("B3")
def test_an_argument_error_is_a_value_error() -> None:
    """The caller's mistakes are caught as any other wrong value is."""
    assert issubclass(ArgumentError, ValueError)
    for name in ("ArgumentError", "AlreadyExists", "NotFound", "NotSupported", "TransactionTimeout"):
        assert issubclass(getattr(errors, name), SIPError)


def test_what_was_malformed_is_said_with_its_status() -> None:
    """RFC 3261 §21.4.1: the Reason-Phrase SHOULD identify the syntax problem in more detail."""
    error = MalformedMessage(400, "CSeq: missing")
    assert str(error) == "CSeq: missing (400)"
    assert (error.status, error.what, error.message) == (400, "CSeq: missing", None)
