"""The headers that sipactors knows: their names, compact forms, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sipactors.errors import MalformedMessage
from sipactors.message.address import read_address, read_contact, read_name_addr, read_party
from sipactors.message.credentials import AuthenticationInfo, Challenge, Credentials
from sipactors.message.fields import (
    CSeq,
    Date,
    Event,
    FeatureSet,
    Identity,
    Join,
    LanguageRange,
    MediaType,
    MinSE,
    NetworkName,
    ParameterizedToken,
    Privacy,
    RAck,
    Reason,
    Replaces,
    RetryAfter,
    SessionExpires,
    SubscriptionState,
    TargetDialog,
    Timestamp,
    Warning,
    read_call_id,
    read_max_forwards,
    read_mime_version,
    read_rseq,
    read_seconds,
    read_text,
    read_token,
)
from sipactors.message.sip_uri import SIPURI
from sipactors.message.values import is_token, split_commas
from sipactors.message.via import Via


@dataclass(slots=True)
class HeaderType:
    """What is known of one header."""

    name: str
    "The name as it is written."
    parse: Callable[[str], Any]
    "Reads one value, not a whole comma list; raises MalformedMessage(400) without the header's name."
    multiple: bool = False
    "Whether it may stand several times: its typed value is then a list."
    comma: bool = False
    "Whether several values may stand in one row, separated by commas."
    empty: bool = False
    "Whether a row without any value is allowed, as Supported is (RFC 3261 §25.1)."
    words: bool = False
    "Whether quotes and brackets are letters like others in it, as they are in In-Reply-To."
    compact: str | None = None
    "The compact form of the name (RFC 3261 §7.3.3), or None."

    def split(self, row: str) -> list[str]:
        """The raw values of one row; MalformedMessage(400) for an empty one where that is not allowed."""
        if not row and self.empty:
            return []
        if not self.comma or "," not in row:
            return [row]
        return row.split(",") if self.words else split_commas(row)

    def read(self, rows: list[str]) -> Any:
        """The typed value of all rows of this header; MalformedMessage(400, "Name: …") when there is none."""
        try:
            if self.multiple:
                return [self.parse(value) for row in rows for value in self.split(row)]
            # RFC 3261 §7.3.1: several rows of a name only if its value is a comma-separated list.
            if len(rows) != 1:
                raise MalformedMessage(400, "stands more than once")
            return self.parse(rows[0])
        except MalformedMessage as error:
            raise MalformedMessage(error.status, f"{self.name}: {error.what}", error.message) from None


_COMPACT = {
    "Accept-Contact": "a",
    "Allow-Events": "u",
    "Call-ID": "i",
    "Contact": "m",
    "Content-Encoding": "e",
    "Content-Length": "l",
    "Content-Type": "c",
    "Event": "o",
    "From": "f",
    "Identity": "y",
    "Identity-Info": "n",
    "Refer-To": "r",
    "Referred-By": "b",
    "Reject-Contact": "j",
    "Request-Disposition": "d",
    "Session-Expires": "x",
    "Subject": "s",
    "Supported": "k",
    "To": "t",
    "Via": "v",
}
"RFC 3261 §20 and the registry that followed it; each letter has one header."


def _one(parse: Callable[[str], Any], *names: str) -> list[HeaderType]:
    return [HeaderType(name, parse, compact=_COMPACT.get(name)) for name in names]


def _rows(parse: Callable[[str], Any], *names: str) -> list[HeaderType]:
    return [HeaderType(name, parse, compact=_COMPACT.get(name), multiple=True) for name in names]


def _list(parse: Callable[[str], Any], *names: str, empty: bool = False) -> list[HeaderType]:
    return [
        HeaderType(name, parse, compact=_COMPACT.get(name), multiple=True, comma=True, empty=empty)
        for name in names
    ]


HEADERS: dict[str, HeaderType] = {
    header.name: header
    for header in (
        # RFC 3261 §20.
        *_list(Via.parse, "Via"),
        *_list(read_name_addr, "Route", "Record-Route"),
        *_list(read_token, "Proxy-Require", "Require", "Unsupported"),
        *_one(read_max_forwards, "Max-Forwards", "Max-Breadth"),
        *_one(read_party, "From", "To"),
        *_one(read_call_id, "Call-ID"),
        *_one(CSeq.parse, "CSeq"),
        *_list(read_contact, "Contact"),
        *_list(read_token, "Supported", "Allow", empty=True),
        *_list(MediaType.parse, "Accept", empty=True),
        *_list(ParameterizedToken.parse, "Accept-Encoding", empty=True),
        *_list(LanguageRange.parse, "Accept-Language", empty=True),
        *_list(read_name_addr, "Alert-Info", "Call-Info", "Error-Info"),
        *_rows(Challenge.parse, "WWW-Authenticate", "Proxy-Authenticate"),
        *_rows(Credentials.parse, "Authorization", "Proxy-Authorization"),
        *_one(AuthenticationInfo.parse, "Authentication-Info", "Proxy-Authentication-Info"),
        *_one(ParameterizedToken.parse, "Content-Disposition"),
        *_list(read_token, "Content-Encoding", "Content-Language"),
        *_one(MediaType.parse, "Content-Type"),
        *_one(read_seconds, "Content-Length", "Expires", "Min-Expires"),
        *_one(Date.parse, "Date"),
        HeaderType("In-Reply-To", read_call_id, multiple=True, comma=True, words=True),
        *_one(read_mime_version, "MIME-Version"),
        *_one(read_text, "Organization", "Server", "Subject", "User-Agent"),
        *_one(read_token, "Priority"),
        *_one(read_address, "Reply-To"),
        *_one(RetryAfter.parse, "Retry-After"),
        *_one(Timestamp.parse, "Timestamp"),
        *_list(Warning.parse, "Warning"),
        # Events and publication: RFC 6665, RFC 3903, RFC 5839.
        *_one(Event.parse, "Event"),
        *_list(read_token, "Allow-Events"),
        *_one(SubscriptionState.parse, "Subscription-State"),
        *_one(read_token, "SIP-ETag", "SIP-If-Match", "Suppress-If-Match"),
        # Reliable responses, session timers: RFC 3262, RFC 4028.
        *_one(RAck.parse, "RAck"),
        *_one(read_rseq, "RSeq"),
        *_one(SessionExpires.parse, "Session-Expires"),
        *_one(MinSE.parse, "Min-SE"),
        # Transfer: RFC 3515, RFC 3892, RFC 3891, RFC 3911, RFC 4538, RFC 4488.
        *_one(read_address, "Refer-To", "Referred-By"),
        *_one(Replaces.parse, "Replaces"),
        *_one(Join.parse, "Join"),
        *_one(TargetDialog.parse, "Target-Dialog"),
        *_one(ParameterizedToken.parse, "Refer-Sub"),
        # Registration: RFC 3327, RFC 3608, RFC 5626.
        *_list(read_name_addr, "Path", "Service-Route"),
        *_one(read_seconds, "Flow-Timer"),
        # Who calls: RFC 3323, RFC 3325, RFC 7315, RFC 8224, RFC 7044, RFC 5806.
        *_one(Privacy.parse, "Privacy"),
        *_list(read_address, "P-Asserted-Identity", "P-Preferred-Identity", "P-Associated-URI"),
        *_one(read_address, "P-Called-Party-ID"),
        *_list(NetworkName.parse, "P-Visited-Network-ID"),
        *_list(ParameterizedToken.parse, "P-Access-Network-Info"),
        *_rows(Identity.parse, "Identity"),
        *_one(read_name_addr, "Identity-Info"),
        *_list(read_name_addr, "History-Info", "Diversion", "Geolocation"),
        *_list(read_address, "Remote-Party-ID"),
        # Caller preferences, security agreement: RFC 3841, RFC 3329.
        *_list(FeatureSet.parse, "Accept-Contact", "Reject-Contact"),
        *_list(read_token, "Request-Disposition"),
        *_list(ParameterizedToken.parse, "Security-Client", "Security-Server", "Security-Verify"),
        # Others: RFC 3326, RFC 6086, RFC 7989, RFC 5373, RFC 4412, RFC 5009, RFC 6809.
        *_list(Reason.parse, "Reason"),
        *_one(ParameterizedToken.parse, "Info-Package", "Session-ID", "Answer-Mode", "Priv-Answer-Mode"),
        *_list(ParameterizedToken.parse, "Recv-Info", empty=True),
        *_list(read_token, "Resource-Priority", "Accept-Resource-Priority", "P-Early-Media"),
        *_list(FeatureSet.parse, "Feature-Caps"),
    )
}
"Every known header under its name."

KEYS: dict[str, str] = {}
"Spelled name -> canonical name: a memo for the parser. It is bounded; use canonical() for any name."

MAX_KEYS = 4096

_lower: dict[str, str] = {}


def canonical(name: str) -> str:
    """The name under which a message keeps a header: "Via" for "v" and "VIA", lower case if it is unknown."""
    key = KEYS.get(name)
    if key is None:
        lower = name.lower()
        key = _lower.get(lower, lower)
        # A stranger's names must not fill our memory: the memo has a limit, in number and in length.
        if len(KEYS) < MAX_KEYS and len(name) <= 64 and is_token(name):
            KEYS[name] = key
    return key


def _fill() -> None:
    for name, header in HEADERS.items():
        _lower[name.lower()] = name
        if header.compact:
            _lower[header.compact] = name
    for lower, name in _lower.items():
        for spelled in (lower, lower.upper(), name):
            KEYS[spelled] = name


def _same_header(name: str, one: str, other: str) -> bool:
    """Whether two values of a header mean the same; for those in URIs (RFC 3261 §19.1.4)."""
    if one == other:
        return True
    header = HEADERS.get(canonical(name))
    if header is None:
        return False
    try:
        return bool(header.read([one]) == header.read([other]))
    except MalformedMessage:
        return False


_fill()
# RFC 3261 §19.1.4: the matching rules of URI headers are those of each header field in Section 20.
SIPURI.compare_header = staticmethod(_same_header)
