"""AKA for digest: a SIM's answer stands in for the password (AKAv1 of RFC 3310, AKAv2 of RFC 4169).

The challenge's nonce carries RAND and AUTN for the SIM. An `IAKAProvider` hands them to it and gives back
an `AKAResponse`, a `SynchronizationFailure`, or None when the network could not prove itself.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from functools import partial

from sipactors.auth.digest import Algorithm, known_algorithm, new_hash
from sipactors.errors import ArgumentError, MalformedMessage

RAND_LENGTH = 16
AUTN_LENGTH = 16
AUTS_LENGTH = 14

AKA_ALGORITHMS = ("AKAv2-SHA-512-256", "AKAv2-SHA-256", "AKAv2-MD5", "AKAv1-MD5")
"What a client with a SIM answers, the strongest first."


@dataclass(slots=True, repr=False)
class AKAResponse:
    """What the SIM computes when it takes AUTN as the network's proof."""

    res: bytes
    "The response, 4 to 16 octets."
    ck: bytes
    "The cipher key, 16 octets."
    ik: bytes
    "The integrity key, 16 octets."

    def __post_init__(self) -> None:
        if not 4 <= len(self.res) <= 16 or len(self.ck) != 16 or len(self.ik) != 16:
            raise ArgumentError("RES has 4 to 16 octets, CK and IK have 16 each")


@dataclass(slots=True)
class SynchronizationFailure:
    """What the SIM gives when AUTN is genuine but its sequence number is out of range."""

    auts: bytes
    "The parameter by which the network finds the right sequence number, 14 octets."

    def __post_init__(self) -> None:
        if len(self.auts) != AUTS_LENGTH:
            raise ArgumentError(f"AUTS has {AUTS_LENGTH} octets")


@dataclass(slots=True)
class AKAChallenge:
    """The nonce of an AKA challenge, taken apart."""

    rand: bytes
    autn: bytes
    server_data: bytes = b""

    @classmethod
    def parse(cls, nonce: str) -> AKAChallenge:
        """Read a nonce. Raises MalformedMessage when it does not hold RAND and AUTN."""
        # RFC 3310 §3.2: the nonce is the base64 of RAND, AUTN and, optionally, some server data.
        try:
            # The example of RFC 3310 §4 has padding that it should not have, others have none.
            text = nonce.rstrip("=").encode("ascii")
            raw = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
        except (UnicodeEncodeError, binascii.Error):
            raise MalformedMessage(400, "AKA nonce: not base64") from None
        if len(raw) < RAND_LENGTH + AUTN_LENGTH:
            raise MalformedMessage(400, "AKA nonce: too short for RAND and AUTN")
        end = RAND_LENGTH + AUTN_LENGTH
        return cls(raw[:RAND_LENGTH], raw[RAND_LENGTH:end], raw[end:])

    def __str__(self) -> str:
        return base64.b64encode(self.rand + self.autn + self.server_data).decode("ascii")


def aka_password(name: str, response: AKAResponse) -> bytes:
    """The digest password that this answer of the SIM makes under the named algorithm.

    The server, which computes its own XRES, CK and IK, makes its copy the same way. Raises ArgumentError
    when the algorithm is not one of AKA.
    """
    alg = _aka(name)
    if alg.aka == 1:
        # RFC 3310 §3.3: the RES is treated as a "password", in binary form.
        return response.res
    # RFC 4169 §2.1: the password is the base64 of PRF(RES||IK||CK, "http-digest-akav2-password").
    made = _prf(alg, response.res + response.ik + response.ck, b"http-digest-akav2-password")
    return base64.b64encode(made)


def session_keys(name: str, response: AKAResponse) -> tuple[bytes, bytes]:
    """(CK, IK) as other protections, such as IPsec, may use them after this authentication."""
    alg = _aka(name)
    if alg.aka == 1:
        return response.ck, response.ik
    # RFC 4169 §2.2: the original session keys MUST NOT be directly re-used; IK' and CK' are derived of them.
    return (
        _prf(alg, response.ck, b"http-digest-akav2-cipherkey"),
        _prf(alg, response.ik, b"http-digest-akav2-integritykey"),
    )


def auts_parameter(failure: SynchronizationFailure) -> str:
    """The auts parameter that tells the server of a synchronization failure (RFC 3310 §3.4)."""
    return base64.b64encode(failure.auts).decode("ascii")


def parse_auts(text: str) -> SynchronizationFailure:
    """Read an auts parameter, as a server does. Raises MalformedMessage when it is none."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise MalformedMessage(400, "auts: not base64") from None
    if len(raw) != AUTS_LENGTH:
        raise MalformedMessage(400, f"auts: not {AUTS_LENGTH} octets")
    return SynchronizationFailure(raw)


def _aka(name: str) -> Algorithm:
    alg = known_algorithm(name)
    if not alg.aka:
        raise ArgumentError(f"{name} is not an algorithm of AKA")
    return alg


def _prf(alg: Algorithm, key: bytes, label: bytes) -> bytes:
    # RFC 4169 §2.1: the PRF is HMAC with the hash that makes the digest.
    return hmac.new(key, label, partial(new_hash, alg.base)).digest()
