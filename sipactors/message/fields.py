"""The plain header values, tokens and text; and every other typed value under one roof."""

from __future__ import annotations

import re

from sipactors.errors import MalformedMessage
from sipactors.message.cseq import CSeq, RAck
from sipactors.message.events import Event, SubscriptionState
from sipactors.message.grammar import read_number
from sipactors.message.identity import Identity, Privacy
from sipactors.message.media import MediaType
from sipactors.message.parameterized import FeatureSet, LanguageRange, NetworkName, ParameterizedToken
from sipactors.message.reasons import Reason, Warning
from sipactors.message.references import Join, Replaces, TargetDialog, read_call_id
from sipactors.message.timing import Date, MinSE, RetryAfter, SessionExpires, Timestamp
from sipactors.message.values import is_token

_mime_version = re.compile(r"[0-9]+\.[0-9]+\Z")


def read_token(text: str) -> str:
    """One token, as Require, Allow and Supported list them; MalformedMessage(400) when it is none."""
    text = text.strip(" \t")
    if not is_token(text):
        raise MalformedMessage(400, f"not a token: {text[:80]!r}")
    return text


def read_text(text: str) -> str:
    """Any text, as Subject, Organization and User-Agent hold it."""
    return text.strip(" \t")


def read_max_forwards(text: str) -> int:
    """A number of hops; MalformedMessage(400) when it is none of 0..255."""
    # RFC 3261 §20.22: the Max-Forwards value is an integer in the range 0-255.
    return read_number(text.strip(" \t"), 255)


def read_seconds(text: str) -> int:
    """A number of seconds; MalformedMessage(400) when it is none of 0..2**32 - 1 (RFC 3261 §20.19)."""
    return read_number(text.strip(" \t"))


def read_rseq(text: str) -> int:
    """The number of a reliable provisional response; MalformedMessage(400) when it is none."""
    # RFC 3262 §7.1: the value is in the range 1 to 2**32 - 1.
    number = read_number(text.strip(" \t"))
    if number == 0:
        raise MalformedMessage(400, "number out of range")
    return number


def read_mime_version(text: str) -> str:
    """The version of MIME, "1.0"; MalformedMessage(400) when it is none (RFC 3261 §20.24)."""
    text = text.strip(" \t")
    if not _mime_version.match(text):
        raise MalformedMessage(400, f"not a version: {text[:80]!r}")
    return text


__all__ = [
    "CSeq",
    "Date",
    "Event",
    "FeatureSet",
    "Identity",
    "Join",
    "LanguageRange",
    "MediaType",
    "MinSE",
    "NetworkName",
    "ParameterizedToken",
    "Privacy",
    "RAck",
    "Reason",
    "Replaces",
    "RetryAfter",
    "SessionExpires",
    "SubscriptionState",
    "TargetDialog",
    "Timestamp",
    "Warning",
    "read_call_id",
    "read_max_forwards",
    "read_mime_version",
    "read_number",
    "read_rseq",
    "read_seconds",
    "read_text",
    "read_token",
]
