"""Which challenges of a response a client answers, and when answering another one would be in vain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sipactors.auth.digest import DEFAULT_ALGORITHMS, Algorithm, algorithm, available, strength
from sipactors.errors import Forbidden
from sipactors.message.credentials import Challenge, Credentials


def is_stale(challenge: Challenge) -> bool:
    """True when the server says that only the nonce was too old, not that the password was wrong."""
    # RFC 7616 §3.3: stale is a case-insensitive flag.
    return (challenge.params.get("stale") or "").lower() == "true"


def offered_qop(challenge: Challenge) -> list[str]:
    """The qualities of protection that a challenge offers, in lower case; [] before RFC 2617."""
    offered = challenge.params.get("qop") or ""
    return [option for option in (part.strip().lower() for part in offered.split(",")) if option]


def challenge_algorithm(challenge: Challenge) -> Algorithm | None:
    """What this challenge asks to be computed, or None when nobody here can answer it.

    That is so of other schemes than Digest, of unknown algorithms, of those that this interpreter lacks,
    of a challenge without realm or nonce, and of one that offers only unknown qualities of protection.
    """
    params = challenge.params
    if challenge.scheme.lower() != "digest" or params.get("realm") is None or params.get("nonce") is None:
        return None
    offered = offered_qop(challenge)
    # RFC 7616 §3.3: unrecognized options of qop MUST be ignored.
    if offered and "auth" not in offered and "auth-int" not in offered:
        return None
    alg = algorithm(params.get("algorithm"))
    return alg if alg is not None and available(alg) else None


def strongest(
    challenges: Iterable[Challenge], algorithms: Sequence[str] = DEFAULT_ALGORITHMS
) -> Challenge | None:
    """The challenge with the strongest of these algorithms, the first of equals; None when there is none.

    RFC 8760 §2.4 lets a client take the topmost it supports unless a local policy dictates otherwise; ours
    is that a weaker hash placed on top by somebody on the way must gain nothing.
    """
    best: Challenge | None = None
    best_strength = -1
    for challenge in challenges:
        alg = challenge_algorithm(challenge)
        if alg is not None and alg.name in algorithms and strength(alg) > best_strength:
            best, best_strength = challenge, strength(alg)
    return best


def by_realm(challenges: Iterable[Challenge]) -> dict[str, list[Challenge]]:
    """The challenges of a response under their realms, both in the order of the response.

    A challenge without a realm, which no one could answer, is left out.
    """
    realms: dict[str, list[Challenge]] = {}
    for challenge in challenges:
        realm = challenge.params.get("realm")
        if realm is not None:
            realms.setdefault(realm, []).append(challenge)
    return realms


def choose(
    challenges: Iterable[Challenge], algorithms: Sequence[str] = DEFAULT_ALGORITHMS
) -> dict[str, Challenge | None]:
    """For each realm that a response challenges for, the one challenge to answer.

    None stands for a realm none of whose challenges can be answered with these algorithms.
    """
    # RFC 8760 §2.4: several challenges of one realm are alternatives, different realms want an answer each.
    return {realm: strongest(group, algorithms) for realm, group in by_realm(challenges).items()}


class ChallengeGuard:
    """Tells when to stop answering the challenges to one request; make one for each request.

    It stays with the request through its resubmissions. `max_rounds` is how often one realm may challenge
    it, `max_total` how often all together: a request may meet several proxies that each ask in turn.
    """

    __slots__ = ("_nonces", "_realm_rounds", "_rounds", "max_rounds", "max_total")

    def __init__(self, max_rounds: int = 3, max_total: int = 10) -> None:
        self.max_rounds = max_rounds
        self.max_total = max_total
        self._rounds = 0
        self._realm_rounds: dict[str, int] = {}
        self._nonces: set[tuple[str, str]] = set()

    def challenged(self, challenges: Iterable[Challenge], sent: Iterable[Credentials] = ()) -> None:
        """Account for one 401 or 407 to the request.

        `challenges` are all of the response, `sent` the credentials that the refused request carried.
        Raises Forbidden when credentials were refused that another try cannot better: the same user and
        password refused twice with one nonce, or too many rounds.
        """
        self._rounds += 1
        if self._rounds > self.max_total:
            raise Forbidden(f"still challenged after {self.max_total} rounds")
        refused = {(each.params.get("realm"), each.params.get("nonce")) for each in sent}
        for realm, group in by_realm(challenges).items():
            rounds = self._realm_rounds.get(realm, 0) + 1
            self._realm_rounds[realm] = rounds
            if rounds > self.max_rounds:
                raise Forbidden(f"{realm} still challenges after {self.max_rounds} rounds")
            # RFC 3261 §22.2: a UAC MUST NOT re-attempt a request with credentials that have just been
            # rejected, though the request may be retried if the nonce was stale.
            if any(is_stale(challenge) for challenge in group):
                continue
            for nonce in {challenge.params.get("nonce") for challenge in group}:
                if nonce is None:
                    continue
                if (realm, nonce) in self._nonces and (realm, nonce) in refused:
                    raise Forbidden(f"{realm} refuses the credentials")
                self._nonces.add((realm, nonce))
