"""What digest must survive: stale nonces, wrong passwords, servers that never have enough, false proofs."""

from __future__ import annotations

from typing import Any

import pytest

from digest_scene import BOB, Scene
from sipactors.auth import DigestSession, is_stale
from sipactors.client import Login
from sipactors.errors import Forbidden
from sipactors.message import AuthenticationInfo, Challenge

SECRET = Login("alice", "secret")


def nonces(scene: Scene) -> list[str | None]:
    return [each and each.params.get("nonce") for each in scene.credentials()]


@pytest.mark.accepts("I4")
def test_d_20_a_stale_nonce_is_answered_anew_without_asking(scene: Scene) -> None:
    """RFC 7616 §3.3: "If stale is true, the client may wish to simply retry the request with a new encrypted
    response, without re-prompting the user for a new username and password."
    """
    domain = scene.protect(lifetime=30)
    scene.digest(lambda source: SECRET)
    scene.send()
    scene.clock.advance(60)
    assert scene.send().response.status == 200
    assert scene.names("digest") == ["challenge_received"]
    none, one, old, new = nonces(scene)
    assert (none, one == old, old == new) == (None, True, False)
    assert domain.failed_logins == 0


@pytest.mark.accepts("I4")
def test_d_20_a_server_that_omits_stale_is_answered_once_more(scene: Scene) -> None:
    """RFC 3261 §22.2: what was sent before anybody asked had an old nonce, and may be retried."""
    scene.protect(lifetime=30)
    scene.digest(lambda source: SECRET)
    scene.send()
    scene.clock.advance(60)
    scene.network.alter(b"stale=true", lambda data: data.replace(b", stale=true", b""))
    assert scene.send().response.status == 200
    assert scene.names("digest") == ["challenge_received"]


@pytest.mark.accepts("I5")
def test_d_20_a_server_for_which_everything_is_stale_is_left_alone(scene: Scene) -> None:
    """RFC 3261 §22.2: a request may be retried if the nonce was stale; but not for ever."""
    domain = scene.protect()
    scene.guard.admits = lambda transaction: domain.challenge(transaction, stale=True)  # type: ignore
    scene.digest(lambda source: SECRET)
    transaction = scene.send()
    assert isinstance(transaction.error, Forbidden)
    assert scene.names() == ["transaction_failed"]
    assert len(scene.sent()) == 4
    assert scene.idle()


@pytest.mark.accepts("I4", "K1")
def test_d_20_a_407_and_then_a_401_are_both_answered(scene: Scene) -> None:
    """RFC 3261 §22.3: the credentials for the proxy stay in the request that the UAS challenges then."""
    scene.protect("proxy.net", proxy=True)
    scene.protect("example.com")
    scene.digest(lambda source: SECRET)
    assert scene.send().response.status == 200
    rows = [
        (bool(request.get("Proxy-Authorization")), bool(request.get("Authorization")), request.cseq.number)
        for request in scene.sent()
    ]
    assert rows == [(False, False, 1), (True, False, 2), (True, True, 3)]
    assert [event.args[0].method for event in scene.recorder.of("challenge_received")] == ["MESSAGE"] * 2


@pytest.mark.accepts("I4")
def test_d_20_every_request_counts(scene: Scene) -> None:
    """RFC 7616 §3.4: nc "is the hexadecimal count of the number of requests (including the current request)
    that the client has sent with the nonce value in this request".
    """
    scene.protect()
    scene.digest(lambda source: SECRET)
    for _ in range(3):
        scene.send()
    counts = [each and each.params.get("nc") for each in scene.credentials()]
    assert counts == [None, "00000001", "00000002", "00000003"]
    cnonces = {each.params.get("cnonce") for each in scene.credentials() if each}
    assert len(cnonces) == 3


def test_d_22_a_nonce_that_is_used_again_is_no_failed_login(scene: Scene) -> None:
    """RFC 7616 §3.4: a count seen twice is a replay; who does not count is asked again, with stale=true, and
    has not guessed at a password.
    """
    domain = scene.protect()
    scene.client.security_handling = False
    challenges = scene.send().response.typed("WWW-Authenticate")
    answered = []
    for _ in range(3):
        session = DigestSession("example.com", "alice", "secret", scene.dice.octets)
        session.challenged(challenges)
        response = scene.send(headers=[("Authorization", session.credentials("MESSAGE", BOB))]).response
        answered.append(response.status)
        if response.status == 401:
            assert all(map(is_stale, response.typed("WWW-Authenticate")))
    # One that counts may use the nonce as often as it likes.
    for _ in range(2):
        answer = session.credentials("MESSAGE", BOB)
        answered.append(scene.send(headers=[("Authorization", answer)]).response.status)
    assert answered == [200, 401, 401, 200, 200]
    assert domain.failed_logins == 0


@pytest.mark.accepts("I5")
def test_the_same_wrong_password_is_not_sent_twice(scene: Scene) -> None:
    """RFC 3261 §22.2: a UAC "MUST NOT re-attempt requests with the credentials that have just been
    rejected".
    """
    domain = scene.protect()
    scene.digest(lambda source: Login("alice", "guess"))
    transaction = scene.send()
    assert isinstance(transaction.error, Forbidden)
    assert domain.failed_logins == 1
    assert scene.names("digest") == ["challenge_received"] * 2
    assert len(scene.sent()) == 2


@pytest.mark.accepts("I5")
def test_another_password_may_be_tried_but_not_many(scene: Scene) -> None:
    """RFC 3261 §22.2: the user may be asked again, for other credentials."""
    scene.protect()
    guesses = iter(["first", "secret", *map(str, range(9))])
    digest = scene.digest(lambda source: Login("alice", next(guesses)))
    assert scene.send().response.status == 200
    digest.remove()
    transaction = scene.send()
    assert isinstance(transaction.error, Forbidden)
    # After three rounds of one realm nobody is asked any more.
    assert scene.names("digest") == ["challenge_received"] * 5


@pytest.mark.accepts("I5")
def test_credentials_refused_with_one_nonce_are_not_bettered_by_another_try(scene: Scene) -> None:
    """RFC 3261 §22.2: the nonce was not stale, so the credentials were rejected."""
    challenge = Challenge("Digest", {"realm": "example.com", "nonce": "always", "qop": "auth"})
    scene.guard.answer = lambda transaction: transaction.answer(401, [("WWW-Authenticate", challenge)])
    guesses = iter("abcdefgh")
    scene.digest(lambda source: Login("alice", next(guesses)))
    transaction = scene.send()
    assert isinstance(transaction.error, Forbidden)
    assert len(scene.sent()) == 2
    # The next request does not start with what was refused.
    scene.send()
    assert scene.credentials()[2] is None


def test_a_preloaded_password_survives_a_server_that_refuses_it_for_a_while(scene: Scene) -> None:
    """RFC 3261 §22.2: what was just rejected is not sent again for this request; the next one is another."""
    users = {"alice": "secret"}
    scene.protect(users=users)
    digest = scene.digest()
    digest.preload("example.com", "alice", "secret")
    del users["alice"]
    scene.send()
    assert scene.names("digest") == ["challenge_received"]
    users["alice"] = "secret"
    assert scene.send().response.status == 200


@pytest.mark.accepts("I4")
def test_nextnonce_is_used_for_the_next_request(scene: Scene) -> None:
    """RFC 7616 §3.5: "If the nextnonce field is present, the client SHOULD use it when constructing the
    Authorization header field for its next request."
    """
    scene.protect(lifetime=100)
    scene.digest(lambda source: SECRET)
    scene.send()
    scene.clock.advance(60)
    scene.send()
    scene.send()
    _, first, second, third = nonces(scene)
    assert first == second != third
    assert [each.params.get("nc") for each in scene.credentials()[1:]] == [  # type: ignore[union-attr]
        "00000001",
        "00000002",
        "00000001",
    ]
    assert scene.alice.metrics.false_proofs == 0


@pytest.mark.accepts("I4")
def test_a_server_that_does_not_know_the_password_is_not_believed(scene: Scene) -> None:
    """RFC 7616 §3.5: rspauth "proves that the server knows the user's secret"; here it is somebody else."""
    scene.protect()
    scene.digest(lambda source: SECRET)
    scene.network.alter(b"rspauth=", lambda data: data.replace(b'rspauth="', b'rspauth="0'), times=None)
    transaction = scene.send()
    assert isinstance(transaction.error, Forbidden)
    assert transaction.response.status == 200
    assert scene.alice.metrics.false_proofs == 1


@pytest.mark.accepts("I4")
def test_a_call_made_by_a_server_that_does_not_know_the_password_is_ended(scene: Scene) -> None:
    """RFC 7616 §3.5: rspauth proves who the server is; RFC 3261 §15: what was accepted is ended by BYE."""
    scene.protect()
    scene.digest(lambda source: SECRET)
    scene.network.alter(b"rspauth=", lambda data: data.replace(b'rspauth="', b'rspauth="0'), times=1)
    scene.call()
    assert [request.method for request in scene.sent()] == ["INVITE", "ACK", "INVITE", "ACK", "BYE"]
    assert scene.alice.metrics.false_proofs == 1


@pytest.mark.parametrize("row", ["rspauth=", 'nc=1, rspauth="zz"', "", 'nextnonce=""'])
def test_an_authentication_info_that_cannot_be_read_changes_nothing(scene: Scene, row: str) -> None:
    """RFC 3261 §20.6: Authentication-Info is optional; what says nothing proves nothing."""
    scene.protect()
    scene.digest(lambda source: SECRET)

    def change(data: bytes) -> bytes:
        head, _, rest = data.partition(b"Authentication-Info: ")
        return head + b"Authentication-Info: " + row.encode() + b"\r\n" + rest.partition(b"\r\n")[2]

    scene.network.alter(b"Authentication-Info", change)
    transaction = scene.send()
    wrong = row.startswith("nc=1")
    assert isinstance(transaction.error, Forbidden) if wrong else transaction.response.status == 200


@pytest.mark.accepts("I4")
@pytest.mark.parametrize("prefer", [False, True])
@pytest.mark.parametrize("offered", [("auth",), ("auth", "auth-int"), ("auth-int",)], ids=str)
def test_the_body_is_covered_where_that_is_wanted(scene: Scene, offered: Any, prefer: bool) -> None:
    """RFC 7616 §3.4.3: if the qop value is "auth-int", then A2 covers H(entity-body)."""
    scene.protect(qop=offered)
    scene.guard.body = b"the answer"
    scene.digest(lambda source: SECRET, prefer_integrity=prefer)
    assert scene.send(body=b"hi", content_type="text/plain").response.status == 200
    expected = "auth-int" if "auth-int" in offered and (prefer or "auth" not in offered) else "auth"
    assert scene.credentials()[-1].params.get("qop") == expected  # type: ignore[union-attr]
    response = scene.recorder.last("response_received").args[0].response
    info = AuthenticationInfo.parse(response.get("Authentication-Info"))
    assert info.params.get("qop") == expected
    assert info.params.get("rspauth")
    assert scene.alice.metrics.false_proofs == 0
    # A body that somebody on the way has changed is refused.
    scene.network.alter(b"another", lambda data: data.replace(b"another", b"changed"))
    scene.send(body=b"another", content_type="text/plain")
    assert (len(scene.names("digest")) == 1) == (expected == "auth")
