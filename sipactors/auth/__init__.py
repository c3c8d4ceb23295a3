"""Digest authentication of SIP, both sides of it, and AKA: pure arithmetic and state, without a reactor."""

from __future__ import annotations

from sipactors.auth.aka import AKAChallenge, AKAResponse, SynchronizationFailure, aka_password
from sipactors.auth.challenges import ChallengeGuard, by_realm, choose, is_stale, strongest
from sipactors.auth.digest import (
    DEFAULT_ALGORITHMS,
    HA1,
    Random,
    Secret,
    known_algorithm,
    password_hash,
    userhash,
)
from sipactors.auth.nonce import NonceCounts, NonceMint
from sipactors.auth.outcomes import Accepted, Outcome, Reason, Rejected, Stale
from sipactors.auth.session import AKASession, DigestSession
from sipactors.auth.verifier import Claim, DigestVerifier, SecretSource

__all__ = [
    "DEFAULT_ALGORITHMS",
    "HA1",
    "AKAChallenge",
    "AKAResponse",
    "AKASession",
    "Accepted",
    "ChallengeGuard",
    "Claim",
    "DigestSession",
    "DigestVerifier",
    "NonceCounts",
    "NonceMint",
    "Outcome",
    "Random",
    "Reason",
    "Rejected",
    "Secret",
    "SecretSource",
    "Stale",
    "SynchronizationFailure",
    "aka_password",
    "by_realm",
    "choose",
    "is_stale",
    "known_algorithm",
    "password_hash",
    "strongest",
    "userhash",
]
