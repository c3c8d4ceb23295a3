"""Chance, as an argument: tags, branches and Call-IDs that nobody can guess, and fair random times."""

from __future__ import annotations

import os
from collections.abc import Callable

_POOL = 4096


class Dice:
    """A source of randomness; give it your own `random_bytes` to make a test repeat itself."""

    __slots__ = ("_at", "_pool", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._random_bytes = random_bytes
        self._pool = ""
        self._at = 0

    def token(self) -> str:
        """Sixteen hexadecimal digits: RFC 3261 §19.3 wants at least 32 bits of randomness in a tag."""
        at = self._at
        if at >= len(self._pool):
            # One system call serves hundreds of tokens.
            self._pool = self._random_bytes(_POOL).hex()
            at = 0
        self._at = at + 16
        return self._pool[at : at + 16]

    def octets(self, count: int) -> bytes:
        """So many bytes that nobody can guess."""
        return self._random_bytes(count)

    def random(self) -> float:
        """A number from 0 up to, but not including, 1."""
        return (int(self.token(), 16) >> 11) / (1 << 53)

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return low + (high - low) * self.random()

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit` - 1."""
        return int(self.random() * limit)
