"""Which of the challenges of a realm is answered, and with which algorithm."""

from __future__ import annotations

import pytest

from digest_scene import Scene
from sipactors.auth import userhash
from sipactors.auth.digest import known_algorithm
from sipactors.client import Login
from sipactors.errors import Forbidden
from sipactors.message import Challenge

SECRET = Login("alice", "secret")
ALGORITHMS = ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"]


@pytest.mark.accepts("I7")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_lets_a_client_in(scene: Scene, algorithm: str) -> None:
    """RFC 8760 §2.1: MD5, SHA-256, SHA-512-256 and their -sess variants, each offered alone."""
    scene.protect(algorithms=(algorithm,))
    scene.digest(lambda source: SECRET)
    for _ in range(3):
        assert scene.send().response.status == 200
    assert {each.params.get("algorithm") for each in scene.credentials() if each} == {algorithm}
    assert scene.names("digest") == ["challenge_received"]
    assert scene.alice.metrics.false_proofs == 0


@pytest.mark.accepts("I7")
def test_d_21_the_strongest_challenge_of_a_realm_is_answered_alone(scene: Scene) -> None:
    """RFC 8760 §2.4: "the UAC MUST ... select the topmost header field that it supports"; we take the
    strongest, and send one Authorization for its realm.
    """
    scene.protect(algorithms=("MD5", "SHA-512-256", "SHA-256"))
    scene.digest(lambda source: SECRET)
    transaction = scene.send()
    assert transaction.response.status == 200
    (row,) = scene.sent()[-1].get_all("Authorization")
    assert "algorithm=SHA-512-256" in row


@pytest.mark.accepts("I7")
def test_d_21_a_client_that_knows_only_md5_answers_that(scene: Scene) -> None:
    """RFC 8760 §2.3: a UAS adds a challenge for each algorithm, so that old clients find theirs."""
    scene.protect(algorithms=("MD5", "SHA-256"))
    scene.digest(lambda source: SECRET, algorithms=("MD5",))
    assert scene.send().response.status == 200
    assert scene.credentials()[-1].params.get("algorithm") == "MD5"  # type: ignore[union-attr]


@pytest.mark.accepts("I7")
def test_algorithms_that_nobody_here_knows_are_forbidden_without_asking(scene: Scene) -> None:
    """RFC 7616 §3.3: "If the algorithm is not understood, the challenge should be ignored"."""
    rows = [
        ("WWW-Authenticate", Challenge("Digest", {"realm": "x", "nonce": "1", "algorithm": "SHA-3"})),
        ("WWW-Authenticate", Challenge("Digest", {"realm": "x", "nonce": "1", "qop": "auth-conf"})),
    ]
    scene.guard.answer = lambda transaction: transaction.answer(401, rows)
    scene.digest(lambda source: SECRET)
    transaction = scene.send()
    assert isinstance(transaction.error, Forbidden)
    assert scene.names("digest") == []


@pytest.mark.accepts("I7")
@pytest.mark.parametrize("user", ["alice", "Jäsøn Doe"])
def test_the_user_is_hidden_from_those_on_the_way(scene: Scene, user: str) -> None:
    """RFC 7616 §3.4.4: userhash: username = H( unq(username) ":" unq(realm) )."""

    def named(value: str, realm: str, base: str) -> str | None:
        return user if value == userhash(known_algorithm(base), user, realm) else None

    scene.protect(users={user: "secret"}, user_of_hash=named)
    scene.digest(lambda source: Login(user, "secret"))
    assert scene.send().response.status == 200
    assert scene.recorder.last(who="bob").args == ("MESSAGE", user)
    assert user.encode() not in scene.sent()[-1].get("Authorization").encode()  # type: ignore[union-attr]


def test_a_server_from_before_rfc_2617_is_answered(scene: Scene) -> None:
    """RFC 3261 §22.4: without qop the response is computed as RFC 2069 says."""
    domain = scene.protect(require_qop=False, algorithms=("MD5",))
    real = domain.challenges

    def challenges(stale: bool = False) -> list[tuple[str, object]]:
        rows = real(stale)
        for _, challenge in rows:
            challenge.params.pop("qop")  # type: ignore[attr-defined]
        return rows

    domain.challenges = challenges  # type: ignore[method-assign]
    scene.digest(lambda source: SECRET)
    for _ in range(3):
        assert scene.send().response.status == 200
    assert all("nc" not in each.params and "qop" not in each.params for each in scene.credentials() if each)
    assert scene.names("digest") == ["challenge_received"]
