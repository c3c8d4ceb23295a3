"""What a server finds when it looks at the credentials of a request."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar

from sipactors.auth.digest import Proof
from sipactors.message.credentials import AuthenticationInfo


class Reason(enum.Enum):
    """Why a request was not let in."""

    NO_CREDENTIALS = "no credentials for this realm"
    "The usual first request, or an answer with an algorithm that is not offered: challenge it."
    NO_QOP = "a quality of protection that is not offered"
    UNKNOWN_USER = "no such user"
    WRONG_PASSWORD = "wrong password"
    WRONG_URI = "credentials made for another request"


@dataclass(slots=True)
class Accepted:
    """The request is from this user."""

    user: str
    proof: Proof
    a1: str = field(repr=False)
    nextnonce: str | None = None
    accepted: ClassVar[bool] = True
    failed_login: ClassVar[bool] = False

    def authentication_info(self, body: bytes = b"") -> AuthenticationInfo:
        """The Authentication-Info for the 2xx with this body: our proof, and the next nonce if it is time.

        Its parameters are empty when there is nothing to say; then leave the header field out. A proxy
        sends none: RFC 3261 has it between a UAS and a UAC only.
        """
        proof = self.proof
        params: list[tuple[str, str | None]] = []
        if self.nextnonce is not None:
            params.append(("nextnonce", self.nextnonce))
        if proof.qop is not None:
            # RFC 7616 §3.5: cnonce and nc MUST be the ones for the client request.
            params += [("qop", proof.qop), ("rspauth", proof.rspauth(self.a1, body))]
            params += [("cnonce", proof.cnonce), ("nc", proof.nc)]
        return AuthenticationInfo(params)


@dataclass(slots=True)
class Stale:
    """The password is right, but its nonce is used up: challenge again with stale=true. No failed login."""

    user: str
    accepted: ClassVar[bool] = False
    failed_login: ClassVar[bool] = False


@dataclass(slots=True)
class Rejected:
    """The request is not let in; challenge it anew."""

    reason: Reason
    user: str | None = None
    "The name that was claimed, or None when no name could be read."
    accepted: ClassVar[bool] = False

    @property
    def failed_login(self) -> bool:
        """True when a user was named and the password not known: what a guard against guessing counts."""
        return self.reason in (Reason.UNKNOWN_USER, Reason.WRONG_PASSWORD)


Outcome = Accepted | Stale | Rejected
