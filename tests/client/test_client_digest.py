"""Challenges to requests outside of dialogs: who is asked, what is answered, what is remembered."""

from __future__ import annotations

from hashlib import md5
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from digest_scene import ALICE, BOB, Scene
from sipactors.auth import HA1, DigestSession
from sipactors.client import Digest, Login, RequestElements, ResponseElements
from sipactors.errors import AlreadyExists, ArgumentError, Forbidden, NotFound

SECRET = Login("alice", "secret")


@pytest.mark.accepts("I1", "K1")
def test_a_challenge_is_answered_and_never_reaches_the_connection_observer(scene: Scene) -> None:
    """RFC 3261 §22.2: "When a UAC receives a 401, it SHOULD re-originate the request with credentials"."""
    scene.protect()
    scene.digest(lambda source: SECRET)
    transaction = scene.send(body=b"hi", content_type="text/plain")
    assert transaction.response.status == 200
    assert scene.names() == ["response_received"]
    assert scene.names("bob") == ["admitted"]
    first, second = scene.sent("MESSAGE")
    # RFC 3261 §8.1.3.5: the same Call-ID, To and From, the CSeq one higher; a new branch.
    assert second.cseq.number == first.cseq.number + 1
    for name in ("Call-ID", "From", "To"):
        assert first.get(name) == second.get(name)
    assert first.via.branch != second.via.branch
    assert first.body == second.body == b"hi"


@pytest.mark.accepts("I1", "I3")
@pytest.mark.parametrize("status", [401, 407, 494])
def test_without_a_digest_object_a_challenge_is_forbidden(scene: Scene, status: int) -> None:
    """RFC 3261 §22.2: without credentials the challenge is a failure, and nothing is sent again."""
    scene.guard.answer = lambda transaction: transaction.answer(status)
    transaction = scene.send()
    assert scene.names() == ["transaction_failed"]
    error, failed = scene.recorder.last("transaction_failed").args
    assert isinstance(error, Forbidden)
    assert failed is transaction
    assert transaction.response.status == status
    assert len(scene.sent("MESSAGE")) == 1


@pytest.mark.accepts("I1")
@pytest.mark.parametrize("status", [401, 407, 494])
def test_a_response_without_a_challenge_that_can_be_answered_is_forbidden(scene: Scene, status: int) -> None:
    """RFC 3261 §21.4.2: a 401 has a WWW-Authenticate; where it has none, there is nothing to answer."""
    rows = [("WWW-Authenticate", 'Bearer authz_server="x"'), ("Proxy-Authenticate", "Digest realm=")]
    scene.guard.answer = lambda transaction: transaction.answer(status, rows if status != 494 else [])
    scene.digest(lambda source: SECRET)
    scene.send()
    assert scene.names() == ["transaction_failed"]
    assert scene.names("digest") == []
    assert scene.idle()


def both(scene: Scene, realms: tuple[str, str]) -> None:
    """Bob challenges for two realms in one response, as a proxy that forks does (RFC 3261 §16.7)."""
    one, other = scene.protect(realms[0]), scene.protect(realms[1], proxy=True)

    real = scene.guard.admits

    def admit_both(transaction: Any) -> bool:
        if "Authorization" in transaction.request and "Proxy-Authorization" in transaction.request:
            return real(transaction)
        transaction.answer(401, [*one.challenges(), *other.challenges()])
        return False

    scene.guard.admits = admit_both  # type: ignore[method-assign]


@pytest.mark.accepts("I2")
def test_nothing_is_sent_before_every_realm_is_answered(scene: Scene) -> None:
    """RFC 3261 §22.3: an Authorization for each WWW-Authenticate, a Proxy-Authorization for each proxy's."""
    both(scene, ("example.com", "proxy.net"))
    digest = scene.digest()
    transaction = scene.send()
    assert scene.names("digest") == ["challenge_received"]
    assert scene.recorder.last("challenge_received").args == (transaction,)
    assert transaction.challenges == ("example.com", "proxy.net")
    assert transaction.state == "PROCEEDING"
    digest.set_credentials(transaction, "proxy.net", "alice", "secret")
    scene.clock.advance(1)
    assert transaction.challenges == ("example.com",)
    assert len(scene.sent()) == 1
    digest.set_credentials(transaction, "example.com", "alice", "secret")
    scene.clock.advance(1)
    assert transaction.challenges == ()
    assert scene.recorder.last(who="bob").args == ("MESSAGE", "alice", "alice")
    assert [request.get_all("Authorization") != [] for request in scene.sent()] == [False, True]
    assert scene.names() == ["response_received"]


@pytest.mark.accepts("I2")
def test_one_realm_ignored_means_forbidden(scene: Scene) -> None:
    """RFC 3261 §22.3: credentials are for the realms that the user agent wishes to answer; else it fails."""
    both(scene, ("example.com", "proxy.net"))
    digest = scene.digest()
    transaction = scene.send()
    digest.ignore(transaction, "proxy.net")
    assert scene.names() == []
    digest.set_credentials(transaction, "example.com", "alice", "secret")
    scene.clock.advance(1)
    assert scene.names() == ["transaction_failed"]
    assert isinstance(transaction.error, Forbidden)
    assert len(scene.sent()) == 1
    assert scene.idle()


@pytest.mark.accepts("I2")
def test_one_realm_of_both_kinds_can_be_answered_apart(scene: Scene) -> None:
    """RFC 3261 §22.1: a realm's proxies and its servers each challenge with a header of their own."""
    both(scene, ("example.com", "example.com"))
    digest = scene.digest()
    transaction = scene.send()
    assert transaction.challenges == ("example.com",)
    digest.set_credentials(transaction, "example.com", "alice", "secret", proxy=True)
    with pytest.raises(NotFound):
        digest.set_credentials(transaction, "example.com", "alice", "secret", proxy=True)
    assert len(scene.sent()) == 1
    digest.set_credentials(transaction, "example.com", "alice", "secret", proxy=False)
    scene.clock.advance(1)
    assert transaction.response.status == 200


async def coroutine(source: object) -> Login:
    return SECRET


def set_at_once(scene: Scene) -> Any:
    def asked(source: Any) -> None:
        for realm in source.challenges:
            scene.client.digest.set_credentials(source, realm, "alice", "secret")  # type: ignore[union-attr]

    return asked


def fired(value: object) -> Any:
    def asked(source: object) -> Deferred[object]:
        deferred: Deferred[object] = Deferred()
        deferred.callback(value) if not isinstance(value, Exception) else deferred.errback(value)
        return deferred

    return asked


@pytest.mark.parametrize("how", ["object", "coroutine", "deferred", "call"])
def test_credentials_come_in_every_way_an_application_likes(scene: Scene, how: str) -> None:
    """RFC 3261 §22.2: the UA "may query the originating user" for credentials, in whatever way."""
    ways = {"object": lambda source: SECRET, "coroutine": coroutine, "deferred": fired(SECRET)}
    ways["call"] = set_at_once(scene)
    both(scene, ("example.com", "proxy.net"))
    scene.digest(ways[how])
    assert scene.send().response.status == 200


def raises(source: object) -> None:
    raise RuntimeError("an observer's own trouble")


@pytest.mark.accepts("A18")
@pytest.mark.parametrize(
    "asked", [raises, lambda source: "nonsense", fired(None), fired(RuntimeError("no")), fired(3)]
)
def test_an_observer_that_fails_to_answer_has_ignored_the_challenge(scene: Scene, asked: Any) -> None:
    """RFC 3261 §22.2: if no credentials can be located, the request is not tried again."""
    scene.protect()
    scene.digest(asked)
    transaction = scene.send()
    assert scene.names() == ["transaction_failed"]
    assert isinstance(transaction.error, Forbidden)
    assert scene.idle()


def test_credentials_that_come_later_are_taken_and_the_clock_is_stopped(scene: Scene) -> None:
    """RFC 3261 §22.2: the user may take a while to type a password; the transaction waits, PROCEEDING."""
    scene.protect()
    typed: Deferred[Login] = Deferred()
    scene.digest(lambda source: typed)
    transaction = scene.send()
    scene.clock.advance(60)
    assert transaction.state == "PROCEEDING"
    typed.callback(SECRET)
    scene.clock.advance(1)
    assert transaction.response.status == 200
    assert scene.idle()


def test_an_application_that_never_answers_leaks_nothing(scene: Scene) -> None:
    """RFC 3261 §22.2: without credentials the request fails; here after a bounded time."""
    scene.protect()
    canceled: list[object] = []
    scene.digest(lambda source: Deferred(canceled.append), patience=20)
    transaction = scene.send()
    scene.clock.advance(18)
    assert scene.names() == []
    scene.clock.advance(2)
    assert scene.names() == ["transaction_failed"]
    assert isinstance(transaction.error, Forbidden)
    assert len(canceled) == 1
    assert scene.idle()


def test_a_connection_that_closes_takes_what_waits_for_credentials_along(scene: Scene) -> None:
    """RFC 3261 §22.2: nobody is left who could want the answer: Forbidden, and not a word to observers."""
    scene.protect()
    digest = scene.digest()
    transaction = scene.send()
    ended: list[Any] = []
    transaction.final_response().addErrback(ended.append)
    scene.connection.close()
    assert ended[0].check(Forbidden)
    assert scene.names() == []
    with pytest.raises(NotFound):
        digest.set_credentials(transaction, "example.com", "alice", "secret")
    assert scene.idle()


def test_a_digest_that_closes_ends_what_waits_and_answers_no_more(scene: Scene) -> None:
    """RFC 3261 §22.2: without credentials a challenge is a failure."""
    scene.protect()
    digest = scene.digest()
    scene.send()
    digest.close()
    digest.close()
    assert scene.names() == ["transaction_failed"]
    scene.send()
    assert scene.names() == ["transaction_failed", "transaction_failed"]
    assert scene.digest(lambda source: SECRET)
    assert scene.send().response.status == 200


@pytest.mark.accepts("B3")
def test_calls_that_are_wrong_raise_at_once(scene: Scene) -> None:
    """RFC 3261 §25.1: a quoted string holds no line break; what nobody asked for cannot be answered."""
    scene.protect()
    digest = scene.digest()
    with pytest.raises(AlreadyExists):
        Digest(scene.client)
    transaction = scene.send()
    with pytest.raises(NotFound):
        digest.set_credentials(transaction, "elsewhere", "alice", "secret")
    with pytest.raises(NotFound):
        digest.ignore(object(), "example.com")
    for wrong in ("alice\r\nX: y", None):
        with pytest.raises(ArgumentError):
            digest.set_credentials(transaction, "example.com", wrong, "secret")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError):
        digest.preload("example.com", "al\nice", "secret")
    assert transaction.challenges == ("example.com",)


@pytest.mark.accepts("I6")
def test_the_second_request_is_answered_without_asking_and_before_anybody_asks(scene: Scene) -> None:
    """RFC 7616 §3.6: a client may remember user, password and nonce, to be sent without a new challenge."""
    scene.protect()
    scene.digest(lambda source: SECRET)
    scene.send()
    scene.send()
    scene.send("OPTIONS")
    assert scene.names("digest") == ["challenge_received"]
    first, *others = scene.credentials()
    assert first is None
    assert [each and each.params.get("nc") for each in others] == ["00000001", "00000002", "00000003"]
    assert scene.names("bob") == ["admitted"] * 3


@pytest.mark.accepts("I6")
def test_another_server_of_the_realm_is_answered_from_memory_once_it_asks(scene: Scene) -> None:
    """RFC 3261 §22.1: the realm string alone defines the protection domain; who is in it, it must say."""
    scene.protect()
    scene.digest(lambda source: SECRET)
    scene.send()
    scene.send(uri="sip:carol@10.0.0.2")
    assert scene.names("digest") == ["challenge_received"]
    assert [each is not None for each in scene.credentials()] == [False, True, False, True]


@pytest.mark.accepts("I6")
def test_a_proxy_is_known_by_the_next_hop(scene: Scene) -> None:
    """RFC 3261 §22.3: who knows the realm of its outbound proxy may cache credentials across dialogs."""
    scene.protect(proxy=True)
    scene.digest(lambda source: SECRET)
    scene.alice.access("lan").point.outbound_proxy = "sip:10.0.0.2;lr"  # type: ignore[union-attr]
    for user in ("bob", "carol"):
        assert scene.send(uri=f"sip:{user}@10.0.0.2").response.status == 200
    credentials = scene.credentials(header="Proxy-Authorization")
    assert [each is not None for each in credentials] == [False, True, True]


@pytest.mark.accepts("I6")
def test_each_from_has_its_own_user(scene: Scene) -> None:
    """RFC 3261 §22.1: credentials are a user's; what serves alice says nothing of another identity here."""
    scene.protect(users={"alice": "secret", "sales": "other"})
    scene.digest(lambda source: Login("sales", "other") if "sales" in str(source.request.from_) else SECRET)
    scene.send()
    elements = RequestElements(BOB, "MESSAGE", from_="sip:sales@example.com")
    scene.connection.send_request(elements)
    scene.clock.advance(1)
    assert [event.args[1] for event in scene.recorder.of("admitted")] == ["alice", "sales"]
    assert scene.names("digest") == ["challenge_received"] * 2


@pytest.mark.accepts("I6")
@pytest.mark.parametrize(
    "secret", ["secret", HA1(md5(b"alice:example.com:secret").hexdigest())], ids=["password", "ha1"]
)
def test_what_was_preloaded_is_used_without_asking(scene: Scene, secret: Any) -> None:
    """RFC 3261 §22.2: credentials may be known beforehand, as for the realm of a configured registrar."""
    scene.protect()
    digest = Digest(scene.client)
    digest.preload("example.com", "alice", secret)
    assert scene.send().response.status == 200
    algorithm = scene.credentials()[-1].params.get("algorithm")  # type: ignore[union-attr]
    assert algorithm == ("MD5" if isinstance(secret, HA1) else "SHA-256")
    digest.remove()
    assert scene.send().response.status == 401
    assert len(digest._logins) == 0


@pytest.mark.accepts("I6")
def test_the_user_named_by_from_is_chosen_among_several(scene: Scene) -> None:
    """RFC 3261 §22.1: one realm has many users; From says who of them this request is from."""
    scene.protect(users={"alice": "secret", "bob": "wrong"})
    digest = scene.digest()
    digest.preload("example.com", "bob", "wrong")
    digest.preload("example.com", "alice", "secret")
    scene.send()
    scene.send(uri="sip:x@10.0.0.2")
    assert {event.args[1] for event in scene.recorder.of("admitted")} == {"alice"}
    assert scene.names("digest") == []
    digest.remove("example.com")
    scene.send(uri="sip:y@10.0.0.2")
    assert scene.names("digest") == ["challenge_received"]


@pytest.mark.accepts("A5", "I10")
def test_raw_mode_delivers_the_challenge_and_lets_the_application_answer(scene: Scene) -> None:
    """RFC 3261 §22.2: an application may do the arithmetic itself, while the stack leaves all of it alone."""
    domain = scene.protect()
    digest = scene.digest(lambda source: SECRET)
    elements = RequestElements(BOB, "MESSAGE", from_=ALICE, headers=[("Authorization", "Digest realm=x")])
    for refused in (elements, RequestElements(BOB, "OPTIONS", headers=[("proxy-authorization", "Basic x")])):
        with pytest.raises(ArgumentError):
            scene.connection.send_request(refused)
    assert scene.sent() == []
    scene.client.security_handling = False
    transaction = scene.send()
    assert scene.names() == ["response_received"]
    assert transaction.response.status == 401
    session = DigestSession("example.com", "alice", "secret", lambda size: b"x" * size)
    assert session.challenged(transaction.response.typed("WWW-Authenticate"))
    answer = session.credentials("MESSAGE", BOB)
    assert scene.send(headers=[("Authorization", answer)]).response.status == 200
    assert scene.names("digest") == []
    assert domain.failed_logins == 0
    scene.guard.answer = lambda transaction: transaction.respond(ResponseElements(494))
    scene.guard.domains.clear()
    assert scene.send().response.status == 494
    assert digest is scene.client.digest


@pytest.mark.accepts("A4")
def test_a_client_names_its_security_mechanisms(scene: Scene) -> None:
    """RFC 3329 §2.2: mechanism-name = "digest" / "tls" / "ipsec-ike" / "ipsec-man" / token."""
    assert scene.client.supported_security_mechanisms[:2] == ["digest", "tls"]
    assert not scene.client.sigcomp_supported
    assert scene.client.negotiated_security_mechanism("sip:10.0.0.2") is None
    scene.client.security_negotiated("sip:10.0.0.2;lr", "tls")
    assert scene.client.negotiated_security_mechanism("sip:10.0.0.2") == "tls"
    scene.client.security_negotiated("sip:10.0.0.2", None)
    assert scene.client.negotiated_security_mechanism("sip:10.0.0.2") is None
