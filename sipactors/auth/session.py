"""The client's memory of one realm: once challenged, it answers every further request without being asked."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from sipactors.auth.aka import (
    AKA_ALGORITHMS,
    AKAChallenge,
    AKAResponse,
    SynchronizationFailure,
    aka_password,
    auts_parameter,
)
from sipactors.auth.challenges import challenge_algorithm, offered_qop, strongest
from sipactors.auth.digest import (
    DEFAULT_ALGORITHMS,
    HA1,
    Proof,
    Random,
    Secret,
    algorithm,
    known_algorithm,
    password_hash,
    same,
    session_hash,
    userhash,
)
from sipactors.errors import ArgumentError, Forbidden, MalformedMessage
from sipactors.message.credentials import AuthenticationInfo, Challenge, Credentials

_MAX_NC = 0xFFFFFFFF
_REMEMBERED = 8
"Nonces whose A1 is kept, for responses that come after the next challenge."


class DigestSession:
    """Answers the challenges of one realm for one user.

    `secret` is the password, or an HA1 of it; then only the algorithms of its hash can be answered.
    `random` gives the cnonces. `proxy` tells whether this answers Proxy-Authenticate or WWW-Authenticate.
    With `prefer_integrity` the body is covered wherever the server offers auth-int; it is also where the
    server offers nothing else.
    """

    def __init__(
        self,
        realm: str,
        user: str,
        secret: Secret | None,
        random: Random,
        *,
        proxy: bool = False,
        algorithms: Sequence[str] = DEFAULT_ALGORITHMS,
        prefer_integrity: bool = False,
    ) -> None:
        known = [known_algorithm(name) for name in algorithms]
        if isinstance(secret, HA1):
            known = [alg for alg in known if alg.base == secret.algorithm]
        self.realm = realm
        self.user = user
        self.proxy = proxy
        self.prefer_integrity = prefer_integrity
        self.challenge: Challenge | None = None
        "The challenge that is being answered."
        self.algorithms = tuple(alg.name for alg in known)
        self._secret = secret
        self._random = random
        self._nonce = ""
        self._nc = 0
        self._a1 = ""
        self._session_cnonce: str | None = None
        self._a1_of: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.user!r} at {self.realm!r}, nc {self._nc}>"

    @property
    def header(self) -> str:
        """The header field that carries this session's credentials."""
        return "Proxy-Authorization" if self.proxy else "Authorization"

    @property
    def ready(self) -> bool:
        """True when the next request can be given credentials at once."""
        return self.challenge is not None and self._secret is not None and self._nc < _MAX_NC

    def challenged(self, challenges: Iterable[Challenge]) -> bool:
        """Take up the strongest challenge for this realm; False when none of them can be answered."""
        mine = [each for each in challenges if each.params.get("realm") == self.realm and self._answers(each)]
        found = strongest(mine, self.algorithms)
        if found is None:
            return False
        before = None if self.challenge is None else challenge_algorithm(self.challenge)
        nonce = found.params.get("nonce") or ""
        self.challenge = found
        if nonce != self._nonce or before != challenge_algorithm(found):
            self._session_cnonce = None
            self._begin(nonce)
        return True

    def credentials(self, method: str, uri: str, body: bytes = b"") -> Credentials:
        """The credentials for one request; each call counts as one use of the nonce.

        `uri` is the Request-URI as it stands in the request line. Call this for every request anew, also
        for one that is sent again. Raises ArgumentError unless `ready`.
        """
        challenge, secret = self.challenge, self._secret
        alg = None if challenge is None else challenge_algorithm(challenge)
        if challenge is None or secret is None or alg is None or self._nc >= _MAX_NC:
            raise ArgumentError(f"no challenge of {self.realm} to answer")
        user, secret = self._prepared(challenge, secret)
        self._nc += 1
        cnonce = self._session_cnonce or self._random(16).hex()
        if not self._a1:
            if alg.session:
                self._session_cnonce = cnonce
            ha1 = password_hash(alg, user, self.realm, secret)
            self._a1 = session_hash(alg, ha1, self._nonce, cnonce)
        self._remember(self._nonce, self._a1)
        qop = self._qop(challenge)
        proof = Proof(alg, self._nonce, uri, qop, f"{self._nc:08x}", cnonce)
        params: list[tuple[str, str | None]] = [*self._names(challenge, user), ("realm", self.realm)]
        params += [("nonce", self._nonce), ("uri", uri), ("response", proof.response(self._a1, method, body))]
        # RFC 7616 §3.4: algorithm and opaque are those of the challenge, sent back unchanged.
        params += [(n, challenge.params.get(n)) for n in ("algorithm", "opaque") if n in challenge.params]
        if qop is not None or alg.session:
            # RFC 2617 §3.2.2: cnonce MUST NOT be specified without qop; but a -sess A1 cannot do without.
            params.append(("cnonce", cnonce))
        if qop is not None:
            params += [("qop", qop), ("nc", proof.nc)]
        params += self._extra()
        return Credentials("Digest", params)

    def confirmed(self, info: AuthenticationInfo, sent: Credentials, body: bytes = b"") -> bool | None:
        """Read the Authentication-Info of a 2xx: True when the server has proved to know the password.

        `sent` are the credentials that the request carried, `body` is the response's. None when the server
        gave no proof, or a proof for a challenge long gone; False when the proof is wrong, which means that
        this response is not from who we think. A nextnonce is taken up unless the proof is wrong.
        """
        right = self._proved(info, sent, body)
        following = info.params.get("nextnonce")
        # RFC 7616 §3.5: the client should use nextnonce for its next request. One that comes behind a
        # later challenge is of the past.
        if right is not False and following and sent.params.get("nonce") == self._nonce != following:
            self._begin(following)
        return right

    def _proved(self, info: AuthenticationInfo, sent: Credentials, body: bytes) -> bool | None:
        given, asked = info.params, sent.params
        rspauth, nonce = given.get("rspauth"), asked.get("nonce") or ""
        alg, a1 = algorithm(asked.get("algorithm")), self._a1_of.get(nonce)
        if rspauth is None or alg is None or a1 is None:
            return None
        # RFC 7616 §3.5: the cnonce and nc values MUST be the ones for the client request.
        for name in ("cnonce", "nc"):
            echoed = given.get(name)
            if echoed is not None and echoed.lower() != (asked.get(name) or "").lower():
                return False
        qop = given.get("qop") or asked.get("qop")
        uri, nc, cnonce = (asked.get(name) or "" for name in ("uri", "nc", "cnonce"))
        proof = Proof(alg, nonce, uri, qop.lower() if qop else None, nc, cnonce)
        return same(proof.rspauth(a1, body), rspauth)

    def _answers(self, challenge: Challenge) -> bool:
        return True

    def _extra(self) -> list[tuple[str, str | None]]:
        return []

    def _begin(self, nonce: str) -> None:
        # RFC 7616 §3.4: nc counts the requests sent with this nonce; one that comes again is counted on.
        if nonce != self._nonce:
            self._nonce, self._nc = nonce, 0
        # RFC 7616 §3.4.2: a -sess A1 is computed only once, on the first request after a challenge; a
        # nextnonce leaves it as it is.
        if self._session_cnonce is None:
            self._a1 = ""

    def _remember(self, nonce: str, a1: str) -> None:
        self._a1_of[nonce] = a1
        if len(self._a1_of) > _REMEMBERED:
            del self._a1_of[next(iter(self._a1_of))]

    def _qop(self, challenge: Challenge) -> str | None:
        # RFC 3261 §22.4: a client that receives a qop parameter in a challenge MUST send it in its answer.
        offered = offered_qop(challenge)
        if not offered:
            return None
        wanted = ("auth-int", "auth") if self.prefer_integrity else ("auth", "auth-int")
        return next(option for option in wanted if option in offered)

    def _prepared(self, challenge: Challenge, secret: Secret) -> tuple[str, Secret]:
        # RFC 7616 §4: with charset=UTF-8 the names and passwords are in Unicode Normalization Form C.
        if (challenge.params.get("charset") or "").upper() != "UTF-8":
            return self.user, secret
        if isinstance(secret, str):
            secret = unicodedata.normalize("NFC", secret)
        return unicodedata.normalize("NFC", self.user), secret

    def _names(self, challenge: Challenge, user: str) -> list[tuple[str, str | None]]:
        alg = challenge_algorithm(challenge)
        if alg is not None and (challenge.params.get("userhash") or "").lower() == "true":
            # RFC 7616 §3.4.4: the client sends H(username:realm) when the server supports userhash.
            return [("username", userhash(alg, user, self.realm)), ("userhash", "true")]
        if not user.isascii() and (challenge.params.get("charset") or "").upper() == "UTF-8":
            # RFC 7616 §3.4: username* carries what ASCII cannot, to a server that is known to read it.
            return [("username*", "UTF-8''" + quote(user, safe="", errors="surrogateescape"))]
        return [("username", user)]


class AKASession(DigestSession):
    """Answers AKA challenges of one realm with the help of a SIM.

    After `challenged` gave True, `aka_challenge` is what the SIM wants; `answered` takes what it gives. A
    nextnonce is a new challenge too: the session is not `ready` before the SIM has answered it.
    """

    def __init__(
        self,
        realm: str,
        user: str,
        random: Random,
        *,
        proxy: bool = False,
        algorithms: Sequence[str] = AKA_ALGORITHMS,
        prefer_integrity: bool = False,
    ) -> None:
        super().__init__(
            realm, user, None, random, proxy=proxy, algorithms=algorithms, prefer_integrity=prefer_integrity
        )
        self._failure: SynchronizationFailure | None = None

    @property
    def aka_challenge(self) -> AKAChallenge:
        """RAND and AUTN for the SIM. Raises ArgumentError before any challenge, MalformedMessage if bad."""
        if self.challenge is None:
            raise ArgumentError(f"no challenge of {self.realm}")
        return AKAChallenge.parse(self._nonce)

    def answered(self, answer: AKAResponse | SynchronizationFailure | None) -> None:
        """Take the SIM's answer to `aka_challenge`. Raises Forbidden for None: the network is not genuine."""
        if self.challenge is None:
            raise ArgumentError(f"no challenge of {self.realm}")
        self._a1 = ""
        self._failure = None
        if answer is None:
            self._secret = None
            raise Forbidden(f"{self.realm} failed to prove itself to the SIM")
        if isinstance(answer, AKAResponse):
            alg = challenge_algorithm(self.challenge)
            self._secret = aka_password(alg.name if alg else "", answer)
        else:
            # RFC 3310 §3.4: on a synchronization failure the response is calculated with an empty password.
            self._secret = b""
            self._failure = answer

    def blank_credentials(self, uri: str) -> Credentials:
        """Credentials without an answer: how the first REGISTER of IMS names its private identity."""
        # 3GPP TS 24.229 §5.1.1.2: username, realm and uri are set, nonce and response are empty.
        names = [("username", self.user), ("realm", self.realm)]
        return Credentials("Digest", [*names, ("nonce", ""), ("uri", uri), ("response", "")])

    def _answers(self, challenge: Challenge) -> bool:
        alg = challenge_algorithm(challenge)
        if alg is None or not alg.aka:
            return False
        try:
            AKAChallenge.parse(challenge.params.get("nonce") or "")
        except MalformedMessage:
            return False
        return True

    def _begin(self, nonce: str) -> None:
        super()._begin(nonce)
        self._secret = None
        self._failure = None

    def _extra(self) -> list[tuple[str, str | None]]:
        return [] if self._failure is None else [("auts", auts_parameter(self._failure))]
