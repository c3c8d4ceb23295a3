"""What a REFER asks for, read from Refer-To and its kin (RFC 3515, RFC 3892, RFC 5589)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sipactors.errors import InvalidDialogState, MalformedMessage
from sipactors.message import SIPURI, Address, MessageElements, Replaces

if TYPE_CHECKING:
    from sipactors.dialog.dialog import Dialog
    from sipactors.message import URI, Request

MAY_BE_ASKED = frozenset(
    ("Accept-Contact", "Join", "Reject-Contact", "Replaces", "Request-Disposition", "Require", "Subject")
)
"""Headers that a stranger's Refer-To may put into our request; RFC 3261 §19.1.5 warns of obeying others."""


@dataclass(slots=True)
class Referral:
    """What the receiver of a REFER is asked to do."""

    uri: URI
    "Where the request goes: Refer-To without its headers and its method."
    method: str = "INVITE"
    headers: list[tuple[str, str]] = field(default_factory=list)
    "What goes into it: Replaces of an attended transfer, Referred-By, and others that do no harm."
    replaces: Replaces | None = None
    "The dialog that the request is to replace at its target, if any (RFC 5589 §7)."
    referred_by: Address | None = None
    "Who asks, as Referred-By says."

    def elements(self, body: bytes = b"", content_type: object = None) -> MessageElements:
        """The headers with a body, to give to `InviteUsage.invite`."""
        return MessageElements(self.headers, body, content_type)


def read_referral(request: Request) -> Referral:
    """What a REFER asks for; MalformedMessage(400) when it does not say so properly."""
    target: Address | None = request.typed("Refer-To")
    # RFC 3515 §2.4.2: a REFER with no Refer-To, or with more than one, is answered with a 400.
    if target is None:
        raise MalformedMessage(400, "Refer-To: exactly one is needed", request)
    referral = Referral(target.uri, referred_by=request.typed("Referred-By"))
    uri = target.uri
    if isinstance(uri, SIPURI):
        referral.method = uri.params.get("method") or "INVITE"
        for name, value in uri.headers:
            _add_header(referral, name, value)
        params = [(name, value) for name, value in uri.params.items() if name.lower() != "method"]
        referral.uri = uri.replace(params=params, headers=())
    if referral.referred_by is not None:
        # RFC 3892 §2.2: whoever is referred copies Referred-By into the request that it sends.
        referral.headers.append(("Referred-By", request.get("Referred-By") or ""))
    return referral


def _add_header(referral: Referral, name: str, value: str) -> None:
    canonical = next((each for each in MAY_BE_ASKED if each.lower() == name.lower()), None)
    if canonical is None or "\r" in value or "\n" in value:
        return
    if canonical == "Replaces":
        referral.replaces = Replaces.parse(value)
    referral.headers.append((canonical, value))


def replacing(dialog: Dialog, *, early_only: bool = False) -> SIPURI:
    """The Refer-To of an attended transfer: who calls this URI takes our place in the dialog (RFC 5589 §7.3).

    Raises InvalidDialogState when the dialog has no peer yet.
    """
    target = dialog.remote_target
    if dialog.remote_tag is None or not isinstance(target, SIPURI):
        raise InvalidDialogState("the dialog has no peer whose call could be replaced")
    # RFC 3891 §3: the tags are as its receiver sees them: to-tag is its own, from-tag is ours.
    params: dict[str, str | None] = {"to-tag": dialog.remote_tag, "from-tag": dialog.local_tag}
    if early_only:
        params["early-only"] = None
    return target.replace(headers=[("Replaces", str(Replaces(dialog.call_id, params)))])
