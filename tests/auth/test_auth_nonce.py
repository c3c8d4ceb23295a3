"""A server's nonces: whose they are, how old they are, and which counts came with them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.auth.nonce import Freshness, NonceCounts, NonceMint
from sipactors.errors import ArgumentError


class Clock:
    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_nonce_is_fresh_until_its_lifetime_is_over() -> None:
    """RFC 7616 §5.4: a server may choose to expire a nonce after a while."""
    clock = Clock()
    mint = NonceMint("biloxi.com", b"s" * 16, clock, os.urandom, lifetime=60)
    nonce = mint.issue()
    assert mint.freshness(nonce) is Freshness.FRESH
    clock.now += 60
    assert mint.freshness(nonce) is Freshness.FRESH
    clock.now += 0.01
    assert mint.freshness(nonce) is Freshness.STALE
    clock.now -= 200
    assert mint.freshness(nonce) is Freshness.STALE


def test_only_the_own_signature_for_the_own_realm_counts() -> None:
    """RFC 7616 §5.3: a nonce is constructed so that only the server could have made it."""
    clock = Clock()
    mint = NonceMint("biloxi.com", b"s" * 16, clock, os.urandom)
    nonce = mint.issue()
    other_realm = NonceMint("atlanta.com", b"s" * 16, clock, os.urandom)
    other_secret = NonceMint("biloxi.com", b"t" * 16, clock, os.urandom)
    twin = NonceMint("biloxi.com", b"s" * 16, clock, os.urandom)
    assert twin.freshness(nonce) is Freshness.FRESH
    assert other_realm.freshness(nonce) is Freshness.FOREIGN
    assert other_secret.freshness(nonce) is Freshness.FOREIGN
    for at in range(len(nonce)):
        forged = nonce[:at] + ("B" if nonce[at] == "A" else "A") + nonce[at + 1 :]
        assert mint.freshness(forged) is Freshness.FOREIGN
    for forged in ("", nonce[:-4], nonce[:-1] + "\u00e9", "\n" * 44, nonce + "AAAA"):
        assert mint.freshness(forged) is Freshness.FOREIGN


def test_no_two_nonces_are_the_same() -> None:
    """RFC 7616 §3.3: the nonce is uniquely generated each time a 401 response is made."""
    mint = NonceMint("biloxi.com", b"s" * 16, Clock(), os.urandom)
    assert len({mint.issue() for _ in range(100)}) == 100


def test_a_count_is_taken_once() -> None:
    """RFC 7616 §3.4: if the same nc value is seen twice, then the request is a replay."""
    counts = NonceCounts(width=4)
    assert counts.use("n", 1.0, 1, "c")
    assert not counts.use("n", 1.0, 1)
    assert counts.use("n", 1.0, 5)
    assert counts.use("n", 1.0, 3)
    assert counts.use("n", 1.0, 2)
    assert not counts.use("n", 1.0, 3)
    assert not counts.use("n", 1.0, 1)
    assert counts.use("n", 1.0, 0xFFFFFFFF)
    assert not counts.use("n", 1.0, 6)
    assert counts.first_cnonce("n") == "c"


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 20))
def test_the_window_forgets_nothing_that_it_would_let_pass(uses: list[int], width: int) -> None:
    """Whatever the order, no count passes twice, and a new one within the window passes."""
    counts = NonceCounts(width=width)
    passed: set[int] = set()
    for nc in uses:
        expected = nc not in passed and (not passed or nc > max(passed) - width)
        assert counts.use("n", 1.0, nc) is expected
        if expected:
            passed.add(nc)


def test_a_full_table_lets_no_old_nonce_pass_again() -> None:
    """The memory is bounded, and what it forgot is used up rather than new."""
    counts = NonceCounts(max_nonces=2)
    assert counts.use("b", 2.0, 1)
    assert counts.use("c", 3.0, 1)
    assert not counts.use("a", 1.0, 1)
    assert counts.use("d", 4.0, 1)
    assert len(counts) == 2
    assert not counts.use("b", 2.0, 2)
    assert counts.use("c", 3.0, 2)


def test_expired_nonces_are_forgotten_for_good() -> None:
    """Also when the clock is set back, a forgotten nonce does not come to life again."""
    counts = NonceCounts()
    for at in range(10):
        counts.use(f"n{at}", float(at), 1)
    counts.expire(5.0)
    assert len(counts) == 5
    assert not counts.use("n4", 4.0, 2)
    assert counts.use("n5", 5.0, 2)


def test_a_mint_refuses_what_would_make_it_weak() -> None:
    """The caller's mistakes raise at once."""
    with pytest.raises(ArgumentError):
        NonceMint("biloxi.com", b"short", Clock(), os.urandom)
    with pytest.raises(ArgumentError):
        NonceMint("biloxi.com", b"s" * 16, Clock(), os.urandom, lifetime=0)
    with pytest.raises(ArgumentError):
        NonceCounts(max_nonces=0)
    with pytest.raises(ArgumentError):
        NonceCounts(width=0)
