"""The other side of digest: a domain that lets in only whom it knows."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from digest_scene import Guarded, Scene
from sipactors.client import Login, ProtectionDomain, ResponseElements
from sipactors.errors import ArgumentError

SECRET = Login("alice", "secret")


def waiting_for(scene: Scene, users: Any) -> ProtectionDomain:
    """Bob asks `users`, which may have to be waited for."""
    domain = ProtectionDomain(scene.bob, "example.com", users)

    def request_received(transaction: Any) -> None:
        domain.admitted(transaction).addCallback(
            lambda user: user and transaction.respond(ResponseElements(200, user))
        )

    scene.guard.request_received = request_received  # type: ignore[method-assign]
    scene.digest(lambda source: SECRET)
    return domain


def test_users_may_be_waited_for(scene: Scene) -> None:
    """RFC 3261 §22.1: the server looks the user's password up, wherever that is; also on another machine."""
    asked: list[tuple[str, str, str]] = []
    found: Deferred[str | None] = Deferred()

    def users(*question: Any) -> Deferred[str | None]:
        asked.append(question)
        return found

    waiting_for(scene, users)
    transaction = scene.send()
    assert asked == [("alice", "example.com", "SHA-256")]
    assert transaction.response is None
    found.callback("secret")
    scene.clock.advance(1)
    assert (transaction.response.status, transaction.response.reason) == (200, "alice")


def test_users_that_cannot_be_had_are_a_server_error(scene: Scene) -> None:
    """RFC 3261 §21.5.1: the server encountered an unexpected condition: not the client's fault, so no 401."""
    domain = waiting_for(scene, lambda *question: fail(RuntimeError("the database is gone")))
    assert scene.send().response.status == 500
    assert domain.failed_logins == 0
    domain.users = lambda *question: succeed("secret")
    assert scene.send().response.status == 200


def test_admit_wants_users_that_answer_at_once(scene: Scene) -> None:
    """RFC 3261 §22: who must wait for the password waits with `admitted`; the mistake is told at once."""
    raised: list[Exception] = []
    domain = scene.protect()
    domain.users = lambda *question: Deferred()

    def admits(transaction: Any) -> bool:
        try:
            return domain.admit(transaction) is not None
        except ArgumentError as error:
            raised.append(error)
            transaction.answer(500)
            return False

    scene.guard.admits = admits  # type: ignore[method-assign]
    scene.digest(lambda source: SECRET)
    assert scene.send().response.status == 500
    assert len(raised) == 1


def test_an_ack_is_not_challenged(scene: Scene) -> None:
    """RFC 3261 §22.1: "Servers MUST NOT attempt to challenge an ACK"."""
    raised: list[Exception] = []

    class Strict(Guarded):
        def admits(self, transaction: Any) -> bool:
            try:
                return domain.admit(transaction) is not None
            except ArgumentError as error:
                raised.append(error)
                return False

    domain = scene.protect()
    scene.guard.__class__ = Strict
    scene.guard.dialog_request_received = (  # type: ignore[method-assign]
        lambda transaction, dialog: scene.guard.admits(transaction)
    )
    scene.digest(lambda source: SECRET)
    usage, _ = scene.call()
    assert usage.dialog.state == "CONFIRMED"
    assert len(raised) == 1


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ('Digest realm="example.com", nonce="1"', 400),
        ('Digest realm="example.com" nonce', 400),
        ('Digest realm="elsewhere" nonce', 401),
        ('Digest realm="elsewhere", nonce="1"', 401),
        ("Basic YWxpY2U6c2VjcmV0", 401),
    ],
)
def test_credentials_for_others_are_not_read(scene: Scene, row: str, status: int) -> None:
    """RFC 3261 §22.3: a server looks for the credentials with its own realm; those that break are 400."""
    scene.protect()
    scene.client.security_handling = False
    assert scene.send(headers=[("Authorization", row)]).response.status == status


def test_a_domain_offers_its_algorithms_strongest_first(scene: Scene) -> None:
    """RFC 8760 §2.3: the UAS adds its challenges "in the order in which it would prefer to see them used"."""
    scene.protect(algorithms=("MD5", "SHA-512-256", "SHA-256"), qop=("auth", "auth-int"))
    scene.client.security_handling = False
    challenges = scene.send().response.typed("WWW-Authenticate")
    assert [each.params.get("algorithm") for each in challenges] == ["SHA-512-256", "SHA-256", "MD5"]
    # RFC 3261 §22.4: servers MUST always send a qop parameter.
    assert {each.params.get("qop") for each in challenges} == {"auth,auth-int"}
    assert len({each.params.get("nonce") for each in challenges}) == 1


def test_a_farm_shares_its_secret(scene: Scene) -> None:
    """RFC 7616 §3.3: the nonce is opaque to the client: any server that shares the secret knows it."""
    secret = b"sixteen octets or more"
    one, other = (
        ProtectionDomain(scene.bob, "example.com", lambda *question: "secret", secret=secret)
        for _ in range(2)
    )
    turn = iter((one, other, one, other))
    scene.guard.admits = lambda transaction: next(turn).admit(transaction) is not None  # type: ignore
    scene.digest(lambda source: SECRET)
    assert scene.send().response.status == 200
    assert scene.send().response.status == 200
    assert scene.names("digest") == ["challenge_received"]
    assert len(scene.sent()) == 3
