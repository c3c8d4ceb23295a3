"""The arithmetic of digest authentication, the same on both sides: RFC 7616 §3.4, and RFC 8760 for SIP.

A response is H(H(A1):nonce:nc:cnonce:qop:H(A2)). A1 proves the password, A2 names the request. What a
realm's user is known by is a `Secret`: a password, or the `HA1` that was once made of it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass

from sipactors.errors import ArgumentError, NotSupported

Random = Callable[[int], bytes]
"The dice: gives so many unpredictable bytes, as secrets.token_bytes does."

DEFAULT_ALGORITHMS = ("SHA-512-256", "SHA-512-256-sess", "SHA-256", "SHA-256-sess", "MD5", "MD5-sess")
"What a client answers with a password, the strongest first (RFC 8760 §2.1)."

_OPENSSL = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_HEX_LENGTH = {"SHA-512-256": 64, "SHA-256": 64, "MD5": 32}
_ALGORITHM = re.compile(r"(?:AKAv([12])-)?(SHA-512-256|SHA-256|MD5)(-sess)?", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(slots=True)
class Algorithm:
    """One value of the algorithm parameter, taken apart."""

    name: str
    "As it stands on the wire, spelled as registered: 'SHA-256-sess', 'AKAv1-MD5'."
    base: str
    "The hash: 'SHA-512-256', 'SHA-256' or 'MD5'."
    session: bool
    "True for the -sess variants, whose A1 is bound to the first nonce and cnonce."
    aka: int
    "The version of AKA (RFC 3310: 1, RFC 4169: 2) that makes the password, or 0."


@dataclass(slots=True)
class HA1:
    """A hash kept in place of a password: H(user:realm:password), good for one realm and one hash."""

    value: str
    "In hexadecimal."
    algorithm: str = "MD5"
    "The hash that it was made with: 'MD5', 'SHA-256' or 'SHA-512-256'."

    def __post_init__(self) -> None:
        length = _HEX_LENGTH.get(self.algorithm)
        self.value = self.value.lower()
        if length is None or len(self.value) != length or not _HEX.fullmatch(self.value):
            raise ArgumentError(f"not a hexadecimal HA1 of {self.algorithm}")

    def __repr__(self) -> str:
        return f"HA1(<hidden>, {self.algorithm!r})"


Secret = str | bytes | HA1
"How a user is known: the password (str, or bytes as AKA makes them) or an HA1 of it."


def algorithm(name: str | None) -> Algorithm | None:
    """The algorithm of that name, in any case, or None when nobody here knows it."""
    # RFC 7616 §3.3: if the algorithm parameter is not present, it is assumed to be "MD5".
    match = _ALGORITHM.fullmatch("MD5" if name is None else name)
    if match is None:
        return None
    aka, base, session = int(match[1] or 0), match[2].upper(), match[3] is not None
    spelled = (f"AKAv{aka}-" if aka else "") + base + ("-sess" if session else "")
    return Algorithm(spelled, base, session, aka)


def known_algorithm(name: str) -> Algorithm:
    """The algorithm that a caller names. Raises ArgumentError when there is none of that name."""
    known = algorithm(name)
    if known is None:
        raise ArgumentError(f"no digest algorithm {name!r}")
    return known


def strength(alg: Algorithm) -> int:
    """Larger is stronger: SHA-512-256, SHA-256, MD5 (RFC 8760 §2.1); AKAv2, AKAv1 (RFC 4169 §4.1)."""
    return 10 * alg.aka + ("MD5", "SHA-256", "SHA-512-256").index(alg.base)


def available(alg: Algorithm) -> bool:
    """True when this interpreter's OpenSSL can compute the hash."""
    try:
        new_hash(alg.base)
    except NotSupported:
        return False
    return True


def octets(text: str | bytes) -> bytes:
    """The octets that a text is on the wire, those that were not UTF-8 unchanged."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def new_hash(base: str, data: bytes = b"") -> hashlib._Hash:
    """The hash itself, fed with `data`. Raises NotSupported when this interpreter's OpenSSL has none such."""
    try:
        return hashlib.new(_OPENSSL[base], data, usedforsecurity=False)
    except ValueError as error:
        raise NotSupported(f"this Python's OpenSSL has no {base}") from error


def digest(base: str, *parts: str | bytes) -> str:
    """H of the parts with ":" between them, in lower-case hexadecimal.

    Raises NotSupported when this interpreter's OpenSSL has no such hash.
    """
    return new_hash(base, b":".join(map(octets, parts))).hexdigest()


def password_hash(alg: Algorithm, user: str, realm: str, secret: Secret) -> str:
    """H(user:realm:password). Raises ArgumentError when the secret is an HA1 of another hash."""
    if isinstance(secret, HA1):
        if secret.algorithm != alg.base:
            raise ArgumentError(f"an HA1 of {secret.algorithm} cannot serve {alg.name}")
        return secret.value
    return digest(alg.base, user, realm, secret)


def session_hash(alg: Algorithm, ha1: str, nonce: str, cnonce: str) -> str:
    """H(A1) for a nonce: the password's hash itself, or for -sess bound to this nonce and cnonce."""
    # RFC 7616 §3.4.2: if the algorithm is a -sess variant, A1 is calculated using the nonce value provided
    # in the challenge and the cnonce value from the first request.
    return digest(alg.base, ha1, nonce, cnonce) if alg.session else ha1


def userhash(alg: Algorithm, user: str, realm: str) -> str:
    """What stands for the user's name when it is not to be seen on the way (RFC 7616 §3.4.4)."""
    return digest(alg.base, user, realm)


@dataclass(slots=True)
class Proof:
    """What a response digest covers beside the password; the same on both sides."""

    alg: Algorithm
    nonce: str
    uri: str
    qop: str | None = None
    "'auth', 'auth-int', or None as before RFC 2617."
    nc: str = ""
    "Eight hexadecimal digits."
    cnonce: str = ""

    def response(self, a1: str, method: str, body: bytes = b"") -> str:
        """The response parameter of a request with this method and body; `a1` is H(A1)."""
        # RFC 7616 §3.4.3: A2 = Method ":" request-uri, and with auth-int ":" H(entity-body) after it.
        a2: list[str | bytes] = [method, self.uri]
        if self.qop == "auth-int":
            a2.append(digest(self.alg.base, body))
        ha2 = digest(self.alg.base, *a2)
        if self.qop is None:
            # RFC 3261 §22.4 (RFC 2069): without qop the digest is H(H(A1):nonce:H(A2)).
            return digest(self.alg.base, a1, self.nonce, ha2)
        return digest(self.alg.base, a1, self.nonce, self.nc, self.cnonce, self.qop, ha2)

    def rspauth(self, a1: str, body: bytes = b"") -> str:
        """The rspauth parameter of a response with this body: the server's proof of knowing the password."""
        # RFC 7616 §3.5: the A2 of response-auth has no method: A2 = ":" request-uri.
        return self.response(a1, "", body)


def same(one: str, other: str) -> bool:
    """True when two hexadecimal digests are equal, found in a time that does not tell where they differ."""
    return hmac.compare_digest(octets(one.lower()), octets(other.lower()))
