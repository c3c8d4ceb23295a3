"""Letting in only whom one knows: requests are challenged, their retries verified (RFC 3261 §22)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger

from sipactors.auth import Accepted, DigestVerifier, NonceCounts, NonceMint, Outcome, Reason, Rejected, Stale
from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import Credentials

if TYPE_CHECKING:
    from sipactors.auth import Secret
    from sipactors.client.served import ServerTransaction
    from sipactors.client.stack import Stack
    from sipactors.message import Request

    Users = Callable[[str, str, str], "Secret | Deferred[Secret | None] | None"]

log = Logger()


class ProtectionDomain:
    """The requests that one realm guards (RFC 3261 §22.1 calls it so, and wants the realm globally unique).

    `users` gives for (user, realm, hash) the password, an HA1 of it, None when there is no such user, or
    a Deferred of these. A request is let in by `admit`. Algorithms are offered strongest first (RFC 8760),
    `qop` in this order; nonces live for `lifetime` seconds and are signed with `secret` (by default one of
    this process: give every server of a farm the same, and a `clock` of seconds since the epoch).
    With `proxy` it challenges by 407. The other arguments are those of DigestVerifier.
    """

    def __init__(
        self,
        stack: Stack,
        realm: str,
        users: Users,
        *,
        proxy: bool = False,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        qop: Sequence[str] = ("auth",),
        require_qop: bool = True,
        lifetime: float = 300.0,
        max_nonces: int = 50_000,
        secret: bytes | None = None,
        clock: Callable[[], float] | None = None,
        user_of_hash: Callable[[str, str, str], str | None] | None = None,
        willing: Callable[[str], bool] | None = None,
    ) -> None:
        dice = stack.dice
        mint = NonceMint(
            realm,
            dice.octets(32) if secret is None else secret,
            stack.reactor.seconds if clock is None else clock,
            dice.octets,
            lifetime,
        )
        self.realm = realm
        self.users = users
        self.failed_logins = 0
        "Requests whose user is unknown or whose password was wrong; a stale nonce is none of them."
        # The verifier asks nobody by itself: its users may have to be waited for.
        self._verifier = DigestVerifier(
            realm,
            lambda *_: None,
            mint,
            NonceCounts(max_nonces),
            algorithms=algorithms,
            qop=qop,
            require_qop=require_qop,
            proxy=proxy,
            user_of_hash=user_of_hash,
            willing=willing,
        )

    def admit(self, transaction: ServerTransaction) -> str | None:
        """The user who sent a request; None when the request has been answered with a challenge instead.

        For `users` that answer at once; else use `admitted`. A 2xx to the request will carry our proof
        (Authentication-Info). Raises ArgumentError for ACK and CANCEL, which cannot be challenged.
        """
        found: list[str | None] = []
        deferred = self.admitted(transaction).addCallback(found.append)
        if not found:
            deferred.addErrback(lambda failure: log.failure("users of {realm}", failure, realm=self.realm))
            raise ArgumentError("the users of this domain are waited for: use admitted()")
        return found[0]

    def admitted(self, transaction: ServerTransaction) -> Deferred[str | None]:
        """As `admit`, for `users` that may have to be waited for; when they fail, 500 is answered."""
        request = transaction.request
        if request.method in ("ACK", "CANCEL"):
            # RFC 3261 §22.1: "Servers MUST NOT attempt to challenge an ACK", nor a CANCEL.
            raise ArgumentError(f"{request.method} cannot be challenged")
        try:
            claim = self._verifier.claim(self._credentials(request))
        except MalformedMessage as error:
            transaction.answer(error.status)
            return succeed(None)
        if claim is None:
            return succeed(self._concluded(Rejected(Reason.NO_CREDENTIALS), transaction))
        found = claim
        if claim.user is None:
            asked: Deferred[Secret | None] = succeed(None)
        else:
            asked = maybeDeferred(self.users, claim.user, self.realm, claim.alg.base)  # type: ignore[call-overload]

        def judge(secret: Secret | None) -> str | None:
            outcome = self._verifier.judge(found, request.method, request.uri_text, request.body, secret)
            return self._concluded(outcome, transaction)

        return asked.addCallback(judge).addErrback(self._failed, transaction)

    def challenge(self, transaction: ServerTransaction, stale: bool = False) -> None:
        """Answer a request with 401, or 407, and new challenges."""
        transaction.answer(self._verifier.status, self.challenges(stale))

    def challenges(self, stale: bool = False) -> list[tuple[str, object]]:
        """New challenges as rows of a response, the strongest first; for one that asks for several realms."""
        header = self._verifier.challenge_header
        return [(header, challenge) for challenge in self._verifier.challenges(stale)]

    def _credentials(self, request: Request) -> list[Credentials]:
        # Credentials for other realms, of whatever form, are for others to read (RFC 3261 §22.3).
        found = []
        for row in request.get_all(self._verifier.credentials_header):
            try:
                credentials = Credentials.parse(row)
            except MalformedMessage:
                if f'"{self.realm}"' in row:
                    raise
                continue
            found.append(credentials)
        return found

    def _concluded(self, outcome: Outcome, transaction: ServerTransaction) -> str | None:
        if isinstance(outcome, Accepted):
            if not self._verifier.proxy:
                transaction.proof = outcome
            return outcome.user
        self.failed_logins += outcome.failed_login
        self.challenge(transaction, isinstance(outcome, Stale))
        return None

    def _failed(self, failure: object, transaction: ServerTransaction) -> None:
        log.failure("users of {realm} could not be had", failure, realm=self.realm)  # type: ignore[arg-type]
        transaction.answer(500)
