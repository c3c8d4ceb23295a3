"""The client's side: which challenge is answered, how, and when to give up."""

from __future__ import annotations

import base64
import hashlib

import pytest

from sipactors.auth.challenges import ChallengeGuard, by_realm, choose, strongest
from sipactors.auth.digest import HA1, Proof, known_algorithm, password_hash, session_hash
from sipactors.auth.session import DigestSession
from sipactors.errors import ArgumentError, Forbidden
from sipactors.message.credentials import AuthenticationInfo, Challenge, Credentials

CNONCE = bytes.fromhex("0a4f113b")
NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c093"


def challenge(scheme: str = "Digest", **params: str) -> Challenge:
    return Challenge(scheme, list({"realm": "biloxi.com", "nonce": NONCE, **params}.items()))


def bob(**options: object) -> DigestSession:
    secret = options.pop("secret", "zanzibar")
    return DigestSession("biloxi.com", "bob", secret, lambda n: CNONCE, **options)  # type: ignore[arg-type]


def sent(session: DigestSession, method: str = "INVITE", body: bytes = b"") -> dict[str, str | None]:
    return dict(session.credentials(method, "sip:bob@biloxi.com", body).params.items())


@pytest.mark.accepts("I7")
def test_the_strongest_of_several_challenges_is_answered() -> None:
    """RFC 8760 §2.4: several challenges of one realm are alternatives, of which the client takes one."""
    md5 = challenge(algorithm="MD5", nonce="1")
    sha256 = challenge(algorithm="SHA-256", nonce="2")
    sha512 = challenge(algorithm="SHA-512-256", nonce="3")
    later = challenge(algorithm="SHA-512-256", nonce="4")
    assert strongest([md5, sha256, sha512, later]) is sha512
    assert strongest([sha512, sha256, md5]) is sha512
    assert strongest([md5, sha256, sha512], ("MD5", "SHA-256")) is sha256
    assert strongest([challenge()]) is not None


@pytest.mark.accepts("I7")
@pytest.mark.parametrize(
    "unanswerable",
    [
        challenge(scheme="Basic"),
        challenge(scheme="Bearer"),
        challenge(algorithm="SHA-1"),
        challenge(algorithm="AKAv1-MD5"),
        challenge(qop="auth-conf"),
        Challenge("Digest", [("realm", "biloxi.com")]),
        Challenge("Digest", [("nonce", NONCE)]),
    ],
)
def test_what_nobody_knows_is_passed_over(unanswerable: Challenge) -> None:
    """RFC 7616 §3.7: a client SHOULD choose the first challenge it supports and ignore the others."""
    known = challenge(algorithm="MD5")
    assert strongest([unanswerable]) is None
    assert strongest([unanswerable, known]) is known


@pytest.mark.accepts("I7")
def test_every_realm_is_answered_for_itself() -> None:
    """RFC 3261 §22.3: a request may be challenged by several proxies at once, each with its realm."""
    one, two, weak = challenge(realm="a"), challenge(realm="b", algorithm="SHA-256"), challenge(realm="b")
    odd = challenge(realm="c", scheme="Basic")
    assert choose([one, weak, two, odd]) == {"a": one, "b": two, "c": None}
    assert by_realm([one, weak, two]) == {"a": [one], "b": [weak, two]}


@pytest.mark.accepts("I4")
def test_credentials_are_the_answer_to_their_challenge() -> None:
    """draft-smith-sipping-auth-examples-01 §3.3: bob's INVITE with qop auth and MD5."""
    session = bob()
    opaque = "5ccc069c403ebaf9f0171e9517f40e41"
    assert session.challenged([challenge(qop="auth,auth-int", algorithm="MD5", opaque=opaque)])
    credentials = session.credentials("INVITE", "sip:bob@biloxi.com")
    assert credentials.scheme == "Digest"
    assert list(credentials.params.items()) == [
        ("username", "bob"),
        ("realm", "biloxi.com"),
        ("nonce", NONCE),
        ("uri", "sip:bob@biloxi.com"),
        ("response", "89eb0059246c02b2f6ee02c7961d5ea3"),
        ("algorithm", "MD5"),
        ("opaque", opaque),
        ("cnonce", "0a4f113b"),
        ("qop", "auth"),
        ("nc", "00000001"),
    ]


@pytest.mark.accepts("I4")
def test_the_wire_form_quotes_as_the_rfc_does() -> None:
    """RFC 7616 §3.4: username, realm, nonce, uri, response, cnonce, opaque MUST be quoted, others not."""
    session = bob()
    session.challenged([challenge(qop="auth", algorithm="MD5", opaque="ab", userhash="true")])
    wire = str(session.credentials("INVITE", "sip:bob@biloxi.com"))
    rows = dict(row.split("=", 1) for row in wire.removeprefix("Digest ").split(", "))
    assert rows.pop("username") == f'"{hashlib.md5(b"bob:biloxi.com").hexdigest()}"'
    assert rows.pop("response").startswith('"')
    assert rows == {
        "userhash": "true",
        "realm": '"biloxi.com"',
        "nonce": f'"{NONCE}"',
        "uri": '"sip:bob@biloxi.com"',
        "algorithm": "MD5",
        "opaque": '"ab"',
        "cnonce": '"0a4f113b"',
        "qop": "auth",
        "nc": "00000001",
    }
    assert str(Credentials.parse(wire)) == wire


@pytest.mark.accepts("I4")
def test_a_challenge_from_before_rfc_2617_is_answered_without_qop() -> None:
    """RFC 2069: without qop there is no cnonce and no nc."""
    session = bob()
    session.challenged([challenge()])
    params = sent(session)
    assert params["response"] == "bf57e4e0d0bffc0fbaedce64d59add5e"
    assert not {"qop", "nc", "cnonce", "algorithm", "opaque"} & params.keys()


@pytest.mark.accepts("I4")
def test_the_body_is_covered_where_the_server_or_the_user_wants_it() -> None:
    """RFC 7616 §3.4.3: with auth-int, A2 has the hash of the body."""
    session = bob()
    session.challenged([challenge(qop="auth-int")])
    assert sent(session)["qop"] == "auth-int"
    careful = bob(prefer_integrity=True)
    careful.challenged([challenge(qop="auth, AUTH-INT")])
    assert sent(careful, body=b"x")["qop"] == "auth-int"
    plain = bob()
    plain.challenged([challenge(qop="auth-conf, auth-int, auth")])
    assert sent(plain)["qop"] == "auth"


@pytest.mark.accepts("I4")
def test_uses_of_a_nonce_are_counted() -> None:
    """RFC 7616 §3.4: nc is the count of the requests that the client has sent with this nonce."""
    session = bob()
    session.challenged([challenge(qop="auth")])
    assert [sent(session)["nc"] for _ in range(3)] == ["00000001", "00000002", "00000003"]
    session.challenged([challenge(qop="auth")])
    assert sent(session)["nc"] == "00000004"
    session.challenged([challenge(qop="auth", nonce="new")])
    assert sent(session)["nc"] == "00000001"


@pytest.mark.accepts("I4")
def test_one_challenge_serves_all_later_requests() -> None:
    """RFC 3261 §22.2: a UAC SHOULD cache the credentials for later requests of the same realm."""
    session = bob(proxy=True)
    readiness = [session.ready]
    with pytest.raises(ArgumentError):
        session.credentials("INVITE", "sip:bob@biloxi.com")
    assert session.challenged([challenge(qop="auth")])
    readiness.append(session.ready)
    assert readiness == [False, True]
    assert session.header == "Proxy-Authorization"
    assert sent(session, "BYE")["response"] != sent(session, "BYE")["response"]


def test_a_challenge_for_another_realm_is_not_taken_up() -> None:
    """RFC 3261 §22.1: the realm alone determines which credentials are used."""
    session = bob()
    assert not session.challenged([challenge(realm="atlanta.com")])
    assert not session.challenged([challenge(realm="BILOXI.com"), challenge(algorithm="SHA-1")])
    assert not session.ready


@pytest.mark.accepts("I7")
def test_an_ha1_answers_the_algorithms_of_its_hash_alone() -> None:
    """A hash of the password serves where the password is not at hand."""
    kept = HA1(password_hash(known_algorithm("MD5"), "bob", "biloxi.com", "zanzibar"))
    session = bob(secret=kept)
    assert not session.challenged([challenge(algorithm="SHA-256", qop="auth")])
    assert session.challenged([challenge(algorithm="SHA-256", qop="auth"), challenge(qop="auth")])
    assert sent(session)["response"] == "89eb0059246c02b2f6ee02c7961d5ea3"


@pytest.mark.accepts("I7")
def test_a_session_key_is_made_once() -> None:
    """RFC 7616 §3.4.2: a -sess A1 is calculated with the nonce and cnonce of the first request only."""
    dice = iter(range(1, 9))
    session = DigestSession("biloxi.com", "bob", "zanzibar", lambda n: bytes([next(dice)]) * n)
    session.challenged([challenge(algorithm="SHA-256-sess", qop="auth")])
    first, second = sent(session), sent(session)
    assert first["cnonce"] == second["cnonce"] == "01" * 16
    info = AuthenticationInfo([("nextnonce", "following")])
    session.confirmed(info, session.credentials("INVITE", "sip:bob@biloxi.com"))
    third = sent(session)
    alg = known_algorithm("SHA-256-sess")
    a1 = session_hash(alg, password_hash(alg, "bob", "biloxi.com", "zanzibar"), NONCE, "01" * 16)
    proof = Proof(alg, "following", "sip:bob@biloxi.com", "auth", "00000001", "01" * 16)
    assert third["response"] == proof.response(a1, "INVITE")
    session.challenged([challenge(algorithm="SHA-256-sess", qop="auth", nonce="again")])
    assert sent(session)["cnonce"] != "01" * 16


@pytest.mark.accepts("I7")
def test_the_user_is_hidden_where_the_server_can_find_him() -> None:
    """RFC 7616 §3.9.2 with erratum 4897: the username is H(username:realm), and userhash=true says so."""
    session = DigestSession(
        "api@example.org",
        "Ja\u0308s\u00f8n Doe",
        "Secret, or not?",
        lambda n: base64.b64decode("NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"),
    )
    offered = {"realm": "api@example.org", "algorithm": "SHA-512-256", "charset": "UTF-8", "userhash": "true"}
    assert session.challenged([challenge(qop="auth", **offered)])
    params = dict(session.credentials("GET", "/doe.json").params.items())
    assert params["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert params["userhash"] == "true"
    assert "username*" not in params


@pytest.mark.accepts("I7")
def test_a_name_beyond_ascii_goes_as_the_server_reads_it() -> None:
    """RFC 7616 §3.4: username* carries the name where userhash is not used: UTF-8''J%C3%A4s%C3%B8n%20Doe."""
    session = DigestSession("r", "J\u00e4s\u00f8n Doe", "Secret, or not?", lambda n: CNONCE)
    session.challenged([challenge(realm="r", qop="auth", charset="UTF-8")])
    credentials = session.credentials("GET", "/doe.json")
    assert credentials.params.get("username*") == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
    assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe," in str(credentials)
    assert "username" not in credentials.params
    session.challenged([challenge(realm="r", qop="auth", nonce="other")])
    assert session.credentials("GET", "/doe.json").params.get("username") == "J\u00e4s\u00f8n Doe"


def info_for(credentials: Credentials, body: bytes = b"", **changes: str) -> AuthenticationInfo:
    asked = dict(credentials.params.items())
    alg = known_algorithm(asked.get("algorithm") or "MD5")
    a1 = password_hash(alg, "bob", "biloxi.com", "zanzibar")
    qop, nc, cnonce = asked["qop"] or "", asked["nc"] or "", asked["cnonce"] or ""
    proof = Proof(alg, asked["nonce"] or "", asked["uri"] or "", qop, nc, cnonce)
    given = {"qop": qop, "rspauth": proof.rspauth(a1, body), "cnonce": cnonce, "nc": nc, **changes}
    return AuthenticationInfo(list(given.items()))


@pytest.mark.accepts("I4")
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_the_server_proves_itself(qop: str) -> None:
    """RFC 7616 §3.5: rspauth supports mutual authentication, the server proves that it knows the secret."""
    session = bob()
    session.challenged([challenge(qop=qop)])
    credentials = session.credentials("INVITE", "sip:bob@biloxi.com")
    assert session.confirmed(info_for(credentials, b"sdp"), credentials, b"sdp") is True
    assert session.confirmed(info_for(credentials, rspauth="0" * 32), credentials) is False
    assert session.confirmed(info_for(credentials, nc="00000009"), credentials) is False
    assert session.confirmed(info_for(credentials, cnonce="beef"), credentials) is False
    assert session.confirmed(AuthenticationInfo([]), credentials) is None
    changed = session.confirmed(info_for(credentials, b"sdp"), credentials, b"other")
    assert changed is (qop == "auth")


@pytest.mark.accepts("I4")
def test_a_response_that_comes_behind_the_next_challenge_is_still_verified() -> None:
    """The proof is for the nonce of its request, not for the latest one."""
    session = bob()
    session.challenged([challenge(qop="auth")])
    credentials = session.credentials("INVITE", "sip:bob@biloxi.com")
    session.challenged([challenge(qop="auth", nonce="later")])
    sent(session)
    assert session.confirmed(info_for(credentials, nextnonce="old"), credentials) is True
    assert sent(session)["nonce"] == "later"


@pytest.mark.accepts("I4")
def test_the_next_nonce_is_used_from_then_on() -> None:
    """RFC 7616 §3.5: nextnonce is the nonce the server wishes the client to use for a future request."""
    session = bob()
    session.challenged([challenge(qop="auth")])
    credentials = session.credentials("INVITE", "sip:bob@biloxi.com")
    session.confirmed(info_for(credentials, rspauth="0" * 32, nextnonce="evil"), credentials)
    assert sent(session)["nonce"] == NONCE
    assert session.confirmed(info_for(credentials, nextnonce="following"), credentials) is True
    params = sent(session)
    assert (params["nonce"], params["nc"]) == ("following", "00000001")


def test_the_same_credentials_refused_twice_with_one_nonce_are_not_sent_again() -> None:
    """RFC 3261 §22.2: a UAC MUST NOT re-attempt requests with credentials that have just been rejected."""
    session, guard, asked = bob(), ChallengeGuard(), [challenge(qop="auth")]
    guard.challenged(asked)
    session.challenged(asked)
    credentials = session.credentials("INVITE", "sip:bob@biloxi.com")
    with pytest.raises(Forbidden):
        guard.challenged(asked, [credentials])


def test_remembered_credentials_get_a_second_chance() -> None:
    """D-20: servers that omit stale refuse an old nonce, or a count out of order, as if it were wrong."""
    session, guard, asked = bob(), ChallengeGuard(), [challenge(qop="auth")]
    session.challenged(asked)
    guard.challenged(asked, [session.credentials("INVITE", "sip:bob@biloxi.com")])
    session.challenged(asked)
    with pytest.raises(Forbidden):
        guard.challenged(asked, [session.credentials("INVITE", "sip:bob@biloxi.com")])


def test_a_stale_nonce_is_answered_but_not_for_ever() -> None:
    """D-20: stale=true is answered, and capped."""
    session, guard = bob(), ChallengeGuard(max_rounds=2)
    for nonce in ("1", "2"):
        asked = [challenge(qop="auth", nonce=nonce, stale="TRUE")]
        guard.challenged(asked, [session.credentials("BYE", "sip:b@b")] if session.ready else [])
        session.challenged(asked)
    with pytest.raises(Forbidden):
        guard.challenged([challenge(nonce="3", stale="true")], [session.credentials("BYE", "sip:b@b")])


def test_a_proxy_and_then_the_server_may_both_ask() -> None:
    """D-20: 407, then 401 on one request; and all rounds together are capped."""
    guard = ChallengeGuard(max_total=3)
    guard.challenged([challenge(realm="proxy")])
    guard.challenged([challenge(realm="server")])
    guard.challenged([challenge(realm="third")])
    with pytest.raises(Forbidden):
        guard.challenged([challenge(realm="fourth")])
