"""A server's nonces: signed and dated, so that none is remembered before a right password came with it.

A nonce is base64(date, dice, signature). Its date and signature tell whether it is ours and how old it is;
only the counts of nonces that were used with a right password are kept, in bounded memory.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import heapq
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from sipactors.auth.digest import Random, octets
from sipactors.errors import ArgumentError

_DATE = 8
_DICE = 9
_SIGNATURE = 16
_LENGTH = 44
"Characters of a nonce: 33 octets in base64, so that no bit is left over and a nonce has one spelling."


class Freshness(enum.Enum):
    """What a nonce is worth to its server."""

    FRESH = "fresh"
    STALE = "stale"
    "Ours, but too old."
    FOREIGN = "foreign"
    "Not signed by us for this realm: forged, or from before our secret changed."


class NonceMint:
    """Issues nonces for one realm and tells its own from others.

    `secret` signs them (16 octets at least; give every server of a farm the same one), `clock` gives the
    seconds since the epoch, `random` the dice. `lifetime` is in seconds.
    """

    __slots__ = ("_clock", "_random", "_realm", "_secret", "lifetime")

    def __init__(
        self, realm: str, secret: bytes, clock: Callable[[], float], random: Random, lifetime: float = 300.0
    ) -> None:
        if len(secret) < 16:
            raise ArgumentError("a nonce is signed with a secret of 16 octets at least")
        if lifetime <= 0:
            raise ArgumentError("a nonce lives longer than no time")
        self._realm = octets(realm)
        self._secret = secret
        self._clock = clock
        self._random = random
        self.lifetime = lifetime

    def issue(self) -> str:
        """A new nonce, which nobody can foretell (RFC 7616 §5.3)."""
        dated = int(self._clock() * 1000).to_bytes(_DATE, "big") + self._random(_DICE)
        return base64.b64encode(dated + self._signature(dated)).decode("ascii")

    def issued(self, nonce: str) -> float | None:
        """When this nonce was issued (in the clock's seconds), or None when it is not one of ours."""
        if len(nonce) != _LENGTH:
            return None
        try:
            raw = base64.b64decode(nonce.encode("ascii"), validate=True)
        except (UnicodeEncodeError, binascii.Error):
            return None
        dated, signature = raw[: _DATE + _DICE], raw[_DATE + _DICE :]
        if not hmac.compare_digest(signature, self._signature(dated)):
            return None
        return int.from_bytes(dated[:_DATE], "big") / 1000

    def age(self, issued: float) -> float:
        """Seconds since then."""
        return self._clock() - issued

    def freshness(self, nonce: str) -> Freshness:
        """Whether this nonce may still be answered."""
        issued = self.issued(nonce)
        if issued is None:
            return Freshness.FOREIGN
        # A date in the future comes of a clock that was set back; such a nonce must not live for years.
        fresh = -self.lifetime <= self.age(issued) <= self.lifetime
        return Freshness.FRESH if fresh else Freshness.STALE

    def _signature(self, dated: bytes) -> bytes:
        return hmac.new(self._secret, dated + self._realm, hashlib.sha256).digest()[:_SIGNATURE]


@dataclass(slots=True)
class _Window:
    """The counts seen with one nonce: the highest, and a bit for each of the ones just below it."""

    highest: int
    seen: int
    first_cnonce: str


class NonceCounts:
    """Remembers which counts (nc) each nonce has been used with, so that no request passes twice.

    `max_nonces` bounds the memory, a nonce takes about 400 octets. When it is full the oldest nonce goes,
    and all that were issued before it count as used up: their owners are asked again, none slips through.
    `width` is how far a count may lag behind the highest, for requests that overtake each other on UDP.
    """

    __slots__ = ("_by_age", "_floor", "_windows", "max_nonces", "width")

    def __init__(self, max_nonces: int = 50_000, width: int = 128) -> None:
        if max_nonces < 1 or width < 1:
            raise ArgumentError("max_nonces and width are at least 1")
        self.max_nonces = max_nonces
        self.width = width
        self._windows: dict[str, _Window] = {}
        self._by_age: list[tuple[float, str]] = []
        self._floor = float("-inf")

    def __len__(self) -> int:
        return len(self._windows)

    def first_cnonce(self, nonce: str) -> str | None:
        """The cnonce that a nonce was first used with, to which a -sess A1 is bound; None if it is unused."""
        window = self._windows.get(nonce)
        return None if window is None else window.first_cnonce

    def use(self, nonce: str, issued: float, nc: int, cnonce: str = "") -> bool:
        """Count one use. False when this count was used before, or so long ago that nobody can tell."""
        window = self._windows.get(nonce)
        if window is None:
            if issued <= self._floor:
                return False
            if len(self._windows) >= self.max_nonces:
                if issued <= self._by_age[0][0]:
                    return False
                self._forget_oldest()
            self._windows[nonce] = _Window(nc, 1, cnonce)
            heapq.heappush(self._by_age, (issued, nonce))
            return True
        lag = window.highest - nc
        if lag < 0:
            # The window slides; what falls out of it counts as used.
            window.seen = (window.seen << min(-lag, self.width) | 1) & ((1 << self.width) - 1)
            window.highest = nc
            return True
        if lag >= self.width or window.seen >> lag & 1:
            return False
        window.seen |= 1 << lag
        return True

    def expire(self, before: float) -> None:
        """Forget the nonces issued before that time, which the mint calls stale anyway."""
        while self._by_age and self._by_age[0][0] < before:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        issued, nonce = heapq.heappop(self._by_age)
        del self._windows[nonce]
        # Also when the clock is set back later, a forgotten nonce does not come to life again.
        self._floor = max(self._floor, issued)
