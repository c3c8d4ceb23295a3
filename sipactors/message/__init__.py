"""SIP messages and their parts: bytes in, values out, and back. Imports no reactor."""

from __future__ import annotations

from sipactors.message.address import Address
from sipactors.message.build import ack_for, can_answer, cancel_for, request, response_to
from sipactors.message.cseq import CSeq, RAck
from sipactors.message.framing import PING, PONG, Framer, Ping, Pong
from sipactors.message.message import Message, Request, Response
from sipactors.message.parser import check_request, check_response, parse
from sipactors.message.status import REASONS, reason_phrase
from sipactors.message.uri import URI, OtherURI, SIPURI, TelURI, parse_uri
from sipactors.message.values import Parameters
from sipactors.message.via import Via

__all__ = [
    "PING",
    "PONG",
    "REASONS",
    "SIPURI",
    "URI",
    "Address",
    "CSeq",
    "Framer",
    "Message",
    "OtherURI",
    "Parameters",
    "Ping",
    "Pong",
    "RAck",
    "Request",
    "Response",
    "TelURI",
    "Via",
    "ack_for",
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
