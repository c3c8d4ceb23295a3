"""What a UAS looks at before the application sees a request, in the order of RFC 3261 §8.2."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sipactors.client.capabilities import KNOWN_METHODS, Capabilities, Policies
from sipactors.events import package_of
from sipactors.message.headers import CheckedRows

if TYPE_CHECKING:
    from sipactors.message import Request

Refusal = tuple[int, list[tuple[str, object]]]

SCHEMES = ("sip:", "sips:", "tel:")


def inspect(request: Request, capabilities: Capabilities, policies: Policies) -> Refusal | None:
    """The status and headers to refuse a request with, or None when the application may see it.

    Raises MalformedMessage for a header that does not read.
    """
    method = request.method
    if policies.check_method and method not in capabilities.methods:
        if method not in KNOWN_METHODS:
            return 501, [("Allow", ", ".join(capabilities.methods))]
        # RFC 3261 §8.2.1: "The UAS MUST also add an Allow header field to the 405".
        return 405, [("Allow", ", ".join(capabilities.methods))]
    if policies.check_scheme and not request.uri_text.lower().startswith(SCHEMES):
        # RFC 3261 §8.2.2.1: "If the Request-URI uses a scheme not supported by the UAS, it SHOULD
        # reject the request with a 416".
        return 416, []
    if policies.check_require and "Require" in request:
        missing = [tag for tag in request.require if tag.lower() not in capabilities.supported]
        if missing:
            # RFC 3261 §8.2.2.3: "420 … The UAS MUST add an Unsupported header field, and list in it
            # those options it does not understand".
            return 420, [("Unsupported", ", ".join(missing))]
    if capabilities.supported and method in ("INVITE", "UPDATE"):
        refusal = _inspect_timer(request, capabilities, policies)
        if refusal is not None:
            return refusal
    if policies.check_content and request.body:
        return _inspect_content(request, capabilities)
    return None


def inspect_subscription(request: Request, capabilities: Capabilities, policies: Policies) -> Refusal | None:
    """What to refuse a SUBSCRIBE or a REFER with that begins something, or None. Raises MalformedMessage."""
    expires = request.expires
    if request.method == "REFER":
        # RFC 3515 §2.4.2: a REFER with no Refer-To, or with more than one, MUST be answered with a 400.
        return None if request.typed("Refer-To") is not None else (400, [])
    event = request.typed("Event")
    if policies.check_event and (event is None or event.package not in capabilities.allow_events):
        # RFC 6665 §4.2.1.1: an event package that is not understood is answered with a 489, which
        # says in Allow-Events what is (§8.3.2).
        allowed = ", ".join(capabilities.allow_events)
        return 489, [("Allow-Events", allowed)] if allowed else []
    # RFC 6665 §4.2.1.1: a 423 MUST NOT be sent for a duration of an hour or more; 0 is never too brief.
    least = min(policies.min_subscription, 3600)
    if expires and expires < least:
        return 423, [("Min-Expires", str(least))]
    return None


def _inspect_timer(request: Request, capabilities: Capabilities, policies: Policies) -> Refusal | None:
    # What the answer depends on later is read here, where what does not read is still a 400.
    supported = request.supported
    request.typed("Min-SE")
    expires = request.typed("Session-Expires")
    if expires is None or "timer" not in supported or "timer" not in capabilities.supported:
        return None
    if expires.seconds >= policies.min_session_expires:
        return None
    # RFC 4028 §9: "When sending the 422 response, the UAS MUST include a Min-SE header field with the
    # value of its minimum interval."
    return 422, [("Min-SE", str(max(policies.min_session_expires, 90)))]


def _inspect_content(request: Request, capabilities: Capabilities) -> Refusal | None:
    types = request.get_all("Content-Type")
    plain = "Content-Encoding" not in request and "Content-Disposition" not in request
    if plain and len(types) == 1 and types[0] in capabilities.accept:
        return None
    disposition = request.typed("Content-Disposition")
    if disposition is not None and (disposition.params.get("handling") or "").lower() == "optional":
        # RFC 3261 §20.11: handling "optional": the UAS MUST ignore the body if it does not understand.
        return None
    encodings = request.get("Content-Encoding")
    if encodings is not None and encodings.strip().lower() != "identity":
        return 415, [("Accept-Encoding", "identity")]
    content_type = request.content_type
    if content_type is None:
        return None
    name = f"{content_type.type}/{content_type.subtype}".lower()
    accepted = capabilities.accept
    if request.method == "NOTIFY" and request.typed("Event") is not None:
        # Who subscribes to an event package takes its bodies.
        bodies = package_of(request.typed("Event").package).accept
        accepted = (*accepted, *(body.partition(";")[0] for body in bodies))
    if name in accepted or name.startswith("multipart/") or "*/*" in accepted:
        return None
    if f"{content_type.type.lower()}/*" in accepted:
        return None
    # RFC 3261 §8.2.3: "415 … The response MUST contain an Accept header field listing the types of all
    # bodies it understands".
    return 415, [("Accept", ", ".join(accepted))]


def options_headers(capabilities: Capabilities) -> CheckedRows:
    """What an answer to OPTIONS says of us (RFC 3261 §11.2)."""
    return _options_headers(
        tuple(capabilities.methods),
        tuple(capabilities.accept),
        tuple(capabilities.supported),
        tuple(capabilities.allow_events),
    )


@lru_cache(maxsize=64)
def _options_headers(
    methods: tuple[str, ...], accept: tuple[str, ...], supported: tuple[str, ...], events: tuple[str, ...]
) -> CheckedRows:
    headers: list[tuple[str, object]] = [
        ("Allow", ", ".join(methods)),
        ("Accept", ", ".join(accept)),
        ("Accept-Encoding", "identity"),
        ("Accept-Language", "en"),
        ("Supported", ", ".join(supported)),
    ]
    if events:
        headers.append(("Allow-Events", ", ".join(events)))
    return CheckedRows(headers)
