"""The server's side: challenges requests and verifies their credentials (RFC 3261 §22, RFC 8760)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from sipactors.auth.digest import (
    Algorithm,
    Proof,
    Secret,
    algorithm,
    available,
    known_algorithm,
    password_hash,
    same,
    session_hash,
    strength,
)
from sipactors.auth.nonce import Freshness, NonceCounts, NonceMint
from sipactors.auth.outcomes import Accepted, Outcome, Reason, Rejected, Stale
from sipactors.errors import ArgumentError, MalformedMessage, NotSupported
from sipactors.message.credentials import Challenge, Credentials
from sipactors.message.uri import SIPURI, parse_uri

SecretSource = Callable[[str, str, str], "Secret | None"]
"(user, realm, hash) -> the password, an HA1 made with that hash ('MD5', 'SHA-256' …), or None: no such user."

_NC = re.compile(r"[0-9A-Fa-f]{8}")


@dataclass(slots=True)
class Claim:
    """What the credentials of a request claim, before anything is proved."""

    alg: Algorithm
    user: str | None
    "None when a userhash was given that belongs to nobody."
    proof: Proof
    response: str


def corresponds(uri: str, request_uri: str) -> bool:
    """True when both name the same user at the same host; ports and parameters may differ."""
    if uri == request_uri:
        return True
    try:
        one, other = parse_uri(uri), parse_uri(request_uri)
    except MalformedMessage:
        return False
    if isinstance(one, SIPURI) and isinstance(other, SIPURI):
        return one.user == other.user and one.host.lower() == other.host.lower()
    return one == other


class DigestVerifier:
    """Guards one realm: makes its challenges and verifies the answers.

    `source` knows the users. `mint` makes the nonces and `counts` remembers their use. `algorithms` are
    offered strongest first; `qop` in the given order. `require_qop=False` lets in clients from before
    RFC 2617, each of whose requests must then answer a nonce of its own. `user_of_hash` gives the user for
    (userhash, realm, hash) or None; with it, userhash is offered. `proxy` makes it challenge with 407.

    RFC 3261 §22.4 allows the uri of the credentials to differ from the Request-URI, since proxies on the
    way retarget: `willing` tells whether requests for such a uri are accepted here. Without it, the two
    must name the same user and host.

    ACK and CANCEL cannot be challenged (RFC 3261 §22.1): do not bring them here.
    """

    def __init__(
        self,
        realm: str,
        source: SecretSource,
        mint: NonceMint,
        counts: NonceCounts | None = None,
        *,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        qop: Sequence[str] = ("auth",),
        require_qop: bool = True,
        proxy: bool = False,
        user_of_hash: Callable[[str, str, str], str | None] | None = None,
        willing: Callable[[str], bool] | None = None,
    ) -> None:
        known = [known_algorithm(name) for name in algorithms]
        if not known or not qop or any(option not in ("auth", "auth-int") for option in qop):
            raise ArgumentError("a verifier offers an algorithm, and a qop of auth or auth-int")
        for alg in known:
            if alg.aka:
                raise ArgumentError(f"{alg.name} wants nonces of an authentication centre, not of a mint")
            if not available(alg):
                raise NotSupported(f"this Python's OpenSSL has no {alg.base}")
        # RFC 8760 §2.3: the UAS adds its header fields in the order it prefers, the strongest on top.
        self.algorithms = sorted(known, key=strength, reverse=True)
        self.realm = realm
        self.qop = tuple(qop)
        self.require_qop = require_qop
        self.proxy = proxy
        self._source = source
        self._mint = mint
        self._counts = NonceCounts() if counts is None else counts
        self._user_of_hash = user_of_hash
        self._willing = willing

    @property
    def status(self) -> int:
        """The status that asks for credentials: 401, or 407 from a proxy."""
        return 407 if self.proxy else 401

    @property
    def challenge_header(self) -> str:
        """The header field that carries the challenges, one row each."""
        return "Proxy-Authenticate" if self.proxy else "WWW-Authenticate"

    @property
    def credentials_header(self) -> str:
        """The header field that carries the answers."""
        return "Proxy-Authorization" if self.proxy else "Authorization"

    def challenges(self, stale: bool = False) -> list[Challenge]:
        """New challenges, one for each algorithm, strongest first; `stale` after a `Stale` outcome."""
        nonce = self._mint.issue()
        made = []
        for alg in self.algorithms:
            params: list[tuple[str, str | None]] = [("realm", self.realm), ("nonce", nonce)]
            # RFC 3261 §22.4: servers MUST always send a qop parameter in a challenge.
            params += [("algorithm", alg.name), ("qop", ",".join(self.qop))]
            if stale:
                params.append(("stale", "true"))
            if self._user_of_hash is not None:
                params += [("charset", "UTF-8"), ("userhash", "true")]
            made.append(Challenge("Digest", params))
        return made

    def verify(
        self, method: str, request_uri: str, body: bytes, credentials: Iterable[Credentials]
    ) -> Outcome:
        """Look at all credentials of a request and tell who sent it.

        Raises MalformedMessage(400) when the credentials for this realm lack something.
        """
        claim = self.claim(credentials)
        if claim is None:
            return Rejected(Reason.NO_CREDENTIALS)
        secret = None if claim.user is None else self._source(claim.user, self.realm, claim.alg.base)
        return self.judge(claim, method, request_uri, body, secret)

    def claim(self, credentials: Iterable[Credentials]) -> Claim | None:
        """The credentials for this realm, or None when there are none that answer our challenges.

        This and `judge` are for servers that have to wait for their users' secrets; see `verify`.
        """
        best: tuple[Algorithm, Credentials] | None = None
        for each in credentials:
            if each.scheme.lower() != "digest" or each.params.get("realm") != self.realm:
                continue
            # IMS's first REGISTER names its user with an empty response: nothing is claimed yet.
            if each.params.get("response") == "":
                continue
            alg = algorithm(each.params.get("algorithm"))
            if alg is None or alg not in self.algorithms:
                continue
            if best is None or strength(alg) > strength(best[0]):
                best = (alg, each)
        return None if best is None else self._read(*best)

    def judge(
        self, claim: Claim, method: str, request_uri: str, body: bytes, secret: Secret | None
    ) -> Outcome:
        """Verify a claim with the user's secret; None for a user that does not exist."""
        proof = claim.proof
        if self.require_qop if proof.qop is None else proof.qop not in self.qop:
            return Rejected(Reason.NO_QOP, claim.user)
        # An unknown user costs the same time as a wrong password.
        ha1 = password_hash(claim.alg, claim.user or "", self.realm, b"" if secret is None else secret)
        a1 = self._proved(claim, ha1, method, body)
        if secret is None or claim.user is None:
            return Rejected(Reason.UNKNOWN_USER, claim.user)
        if a1 is None:
            return Rejected(Reason.WRONG_PASSWORD, claim.user)
        if not corresponds(proof.uri, request_uri) and not (self._willing and self._willing(proof.uri)):
            return Rejected(Reason.WRONG_URI, claim.user)
        # RFC 7616 §3.3: the server only sets stale to "true" if the digest is valid but the nonce is not.
        issued = self._mint.issued(proof.nonce)
        if issued is None or self._mint.freshness(proof.nonce) is not Freshness.FRESH:
            return Stale(claim.user)
        age = self._mint.age(issued)
        self._counts.expire(issued + age - self._mint.lifetime)
        # RFC 7616 §3.4: if the same nc value is seen twice, the request is a replay. It is not let in; its
        # sender, who may just not count, can answer a new nonce.
        nc = int(proof.nc, 16) if proof.nc else 1
        if not self._counts.use(proof.nonce, issued, nc, proof.cnonce):
            return Stale(claim.user)
        # A -sess A1 stays bound to the nonce of the challenge, so nothing may follow that.
        turn = proof.qop is not None and not claim.alg.session and age > self._mint.lifetime / 2
        return Accepted(claim.user, proof, a1, self._mint.issue() if turn else None)

    def _proved(self, claim: Claim, ha1: str, method: str, body: bytes) -> str | None:
        """The H(A1) under which the response is right, or None."""
        proof = claim.proof
        cnonces = [proof.cnonce]
        if claim.alg.session:
            # RFC 7616 §3.4.2: a -sess A1 has the cnonce of the first request after the challenge. Many
            # clients take that of each request; either shows that they know the password.
            first = self._counts.first_cnonce(proof.nonce)
            if first is not None and first != proof.cnonce:
                cnonces.insert(0, first)
        for cnonce in cnonces:
            a1 = session_hash(claim.alg, ha1, proof.nonce, cnonce)
            if same(proof.response(a1, method, body), claim.response):
                return a1
        return None

    def _read(self, alg: Algorithm, credentials: Credentials) -> Claim:
        params = credentials.params

        def needed(name: str) -> str:
            value = params.get(name)
            if value is None:
                raise MalformedMessage(400, f"{self.credentials_header}: {name} is missing")
            return value

        nonce, uri, response = needed("nonce"), needed("uri"), needed("response")
        qop = params.get("qop")
        nc = cnonce = ""
        if qop is not None:
            # RFC 7616 §3.4: with qop, cnonce and nc MUST be specified; nc is eight hexadecimal digits.
            nc = needed("nc")
            if not _NC.fullmatch(nc):
                raise MalformedMessage(400, f"{self.credentials_header}: nc is not eight hexadecimal digits")
        if qop is not None or alg.session:
            cnonce = needed("cnonce")
        proof = Proof(alg, nonce, uri, None if qop is None else qop.lower(), nc, cnonce)
        return Claim(alg, self._user(alg, credentials), proof, response)

    def _user(self, alg: Algorithm, credentials: Credentials) -> str | None:
        params = credentials.params
        plain, extended = params.get("username"), params.get("username*")
        # RFC 7616 §3.4: a server MUST NOT accept both username and username*, nor username* with userhash.
        hashed = (params.get("userhash") or "").lower() == "true"
        if (plain is None) == (extended is None) or (hashed and plain is None):
            raise MalformedMessage(400, f"{self.credentials_header}: one of username and username* is needed")
        if plain is not None:
            if not hashed:
                return plain
            return None if self._user_of_hash is None else self._user_of_hash(plain, self.realm, alg.base)
        charset, _, rest = (extended or "").partition("'")
        _, quote, text = rest.partition("'")
        try:
            if charset.upper() != "UTF-8" or not quote:
                raise ValueError
            return unquote(text, errors="strict")
        except ValueError:
            raise MalformedMessage(400, f"{self.credentials_header}: username* is not UTF-8''text") from None
