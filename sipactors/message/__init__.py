"""SIP messages and their parts: bytes in, values out, and back. Imports no reactor."""

from __future__ import annotations

from sipactors.message.address import STAR, Address
from sipactors.message.build import ack_for, can_answer, cancel_for, request, response_to
from sipactors.message.credentials import AuthenticationInfo, Challenge, Credentials
from sipactors.message.cseq import CSeq, RAck
from sipactors.message.elements import MessageElements, RequestElements, ResponseElements, as_address, as_uri
from sipactors.message.events import Event, SubscriptionState
from sipactors.message.framing import PING, PONG, Framer, Ping, Pong
from sipactors.message.identity import Identity, Privacy
from sipactors.message.media import MediaType
from sipactors.message.message import Message, Request, Response
from sipactors.message.parameterized import FeatureSet, LanguageRange, NetworkName, ParameterizedToken
from sipactors.message.parser import check_request, check_response, parse
from sipactors.message.reasons import Reason, Warning
from sipactors.message.references import Join, Replaces, TargetDialog
from sipactors.message.status import REASONS, reason_phrase
from sipactors.message.timing import Date, MinSE, RetryAfter, SessionExpires, Timestamp
from sipactors.message.uri import SIPURI, URI, OtherURI, TelURI, parse_uri
from sipactors.message.values import Parameters
from sipactors.message.via import Via

__all__ = [
    "PING",
    "PONG",
    "REASONS",
    "SIPURI",
    "STAR",
    "URI",
    "Address",
    "AuthenticationInfo",
    "CSeq",
    "Challenge",
    "Credentials",
    "Date",
    "Event",
    "FeatureSet",
    "Framer",
    "Identity",
    "Join",
    "LanguageRange",
    "MediaType",
    "Message",
    "MessageElements",
    "MinSE",
    "NetworkName",
    "OtherURI",
    "ParameterizedToken",
    "Parameters",
    "Ping",
    "Pong",
    "Privacy",
    "RAck",
    "Reason",
    "Replaces",
    "Request",
    "RequestElements",
    "Response",
    "ResponseElements",
    "RetryAfter",
    "SessionExpires",
    "SubscriptionState",
    "TargetDialog",
    "TelURI",
    "Timestamp",
    "Via",
    "Warning",
    "ack_for",
    "as_address",
    "as_uri",
    "can_answer",
    "cancel_for",
    "check_request",
    "check_response",
    "parse",
    "parse_uri",
    "reason_phrase",
    "request",
    "response_to",
]
