"""What an application can do, which decides the requests it gets and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "MESSAGE", "INFO", "UPDATE", "PRACK", "NOTIFY")
"""Methods that an application takes unless it says otherwise; a NOTIFY comes only to who subscribed."""

KNOWN_METHODS = frozenset(
    [
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "OPTIONS",
        "REGISTER",
        "PRACK",
        "UPDATE",
        "INFO",
        "MESSAGE",
        "SUBSCRIBE",
        "NOTIFY",
        "REFER",
        "PUBLISH",
    ]
)
"Methods that the stack knows: one that is not wanted is 405, any other 501 (RFC 3261 §8.2.1, §21.5.2)."


@dataclass(slots=True)
class Capabilities:
    """What one client takes; `None` means that it does not say, and takes anything."""

    methods: tuple[str, ...] = METHODS
    "Methods for Allow."
    accept: tuple[str, ...] = ("application/sdp", "text/plain")
    "Body types for Accept."
    supported: tuple[str, ...] = ()
    "Option tags for Supported, and that a Require may name."
    allow_events: tuple[str, ...] = ()
    "Event packages for Allow-Events."
    feature_tags: dict[str, object] = field(default_factory=dict)
    "Media feature tags of RFC 3840, for Contact and for caller preferences."
    sdp: bytes | None = None
    "What an OPTIONS that accepts SDP is shown of our media (RFC 3261 §11.2)."
    priority: float = 0.0
    "Among several clients that could take a request, the highest gets it."
    users: tuple[str, ...] | None = None
    "User parts of the Request-URI that are this client's; None: all of them."

    @property
    def allow_value(self) -> str:
        """What Allow says."""
        return ", ".join(self.methods)

    @property
    def supported_value(self) -> str:
        """What Supported says."""
        return ", ".join(self.supported)


@dataclass(slots=True)
class Policies:
    """What the stack does by itself for a client; each may be switched off."""

    answer_options: bool = True
    "OPTIONS outside of a dialog is answered with what the client can do (RFC 3261 §11.2)."
    check_scheme: bool = True
    "416 when the Request-URI is neither sip, sips nor tel."
    check_method: bool = True
    "501 for a method nobody knows, 405 with Allow for one that is not wanted."
    check_require: bool = True
    "420 with Unsupported for an option tag that is not supported."
    check_content: bool = True
    "415 with Accept for a body that is not understood."
    min_session_expires: int = 90
    "Session intervals below so many seconds are refused with 422, by a client that supports `timer`."
    check_event: bool = True
    "489 with Allow-Events for a SUBSCRIBE to an event package that is not among `allow_events`."
    min_subscription: int = 0
    "SUBSCRIBEs for fewer seconds than so many, up to 3600, are refused with 423; 0 takes any."
    accept_unsolicited: bool = False
    "A NOTIFY outside of dialogs is the application's instead of a 481; some voice mail systems send such."
    contact_from_received: bool = False
    "A registration's Contact names the address that the registrar saw us at (RFC 3581): for NATs."
    user_agent: str | None = None
    "User-Agent of requests and Server of responses; None sends none."
