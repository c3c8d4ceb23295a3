"""The server's side: who is let in, who is asked again, and who is turned away."""

from __future__ import annotations

import os

import pytest

from sipactors.auth.digest import HA1, Secret, known_algorithm, password_hash, userhash
from sipactors.auth.nonce import NonceCounts, NonceMint
from sipactors.auth.outcomes import Accepted, Outcome, Reason, Rejected, Stale
from sipactors.auth.session import DigestSession
from sipactors.auth.verifier import DigestVerifier, corresponds
from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.credentials import AuthenticationInfo, Challenge, Credentials

REALM = "biloxi.com"
URI = "sip:biloxi.com"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A verifier and a client, which speak through the text of their header fields."""

    def __init__(self, secret: Secret | None = "zanzibar", user: str = "bob", **options: object) -> None:
        self.clock = Clock()
        self.mint = NonceMint(REALM, b"s" * 16, self.clock, os.urandom, lifetime=60)
        self.counts = NonceCounts()
        self.asked: list[tuple[str, str, str]] = []
        self.secret = secret
        self.verifier = DigestVerifier(REALM, self.source, self.mint, self.counts, **options)  # type: ignore[arg-type]
        self.client = DigestSession(REALM, user, "zanzibar", os.urandom)

    def source(self, user: str, realm: str, algorithm: str) -> Secret | None:
        self.asked.append((user, realm, algorithm))
        return self.secret

    def challenge(self, stale: bool = False) -> list[Challenge]:
        challenges = [Challenge.parse(str(each)) for each in self.verifier.challenges(stale)]
        assert self.client.challenged(challenges)
        return challenges

    def answer(self, method: str = "REGISTER", body: bytes = b"") -> Credentials:
        made: Credentials = Credentials.parse(str(self.client.credentials(method, URI, body)))
        return made

    def verify(self, *credentials: Credentials, method: str = "REGISTER", body: bytes = b"") -> Outcome:
        return self.verifier.verify(method, URI, body, credentials)


def changed(credentials: Credentials, **changes: str | None) -> Credentials:
    params = {**dict(credentials.params.items()), **changes}
    return Credentials("Digest", [(name, value) for name, value in params.items() if value is not None])


@pytest.mark.accepts("I4", "I7")
@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256"])
@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_whoever_knows_the_password_is_let_in(algorithm: str, qop: str) -> None:
    """RFC 3261 §22.1: the server authenticates the originator by the credentials of its request."""
    site = Site(algorithms=[algorithm], qop=[qop])
    site.challenge()
    for _ in range(3):
        credentials = site.answer(body=b"sdp")
        outcome = site.verify(credentials, body=b"sdp")
        assert isinstance(outcome, Accepted)
        assert outcome.user == "bob"
        info = AuthenticationInfo.parse(str(outcome.authentication_info(b"reply")))
        assert site.client.confirmed(info, credentials, b"reply") is True


@pytest.mark.accepts("I7")
def test_challenges_are_offered_strongest_first() -> None:
    """RFC 8760 §2.3: the UAS adds a header field for each algorithm, in the order of its preference."""
    site = Site(algorithms=["MD5", "SHA-512-256", "SHA-256"], qop=["auth", "auth-int"])
    offered = site.verifier.challenges(stale=True)
    assert [each.params.get("algorithm") for each in offered] == ["SHA-512-256", "SHA-256", "MD5"]
    wire = str(offered[0])
    assert f'realm="{REALM}"' in wire
    assert 'qop="auth,auth-int"' in wire
    assert "algorithm=SHA-512-256" in wire
    assert "stale=true" in wire
    assert "stale" not in str(site.verifier.challenges()[0])


def test_a_proxy_asks_with_407() -> None:
    """RFC 3261 §22.3: a proxy challenges with 407 and Proxy-Authenticate."""
    proxy, server = Site(proxy=True).verifier, Site().verifier
    assert (proxy.status, server.status) == (407, 401)
    assert (proxy.challenge_header, server.challenge_header) == ("Proxy-Authenticate", "WWW-Authenticate")
    assert (proxy.credentials_header, server.credentials_header) == ("Proxy-Authorization", "Authorization")


def test_a_request_without_credentials_is_no_failed_login() -> None:
    """RFC 3261 §22.1: a request without credentials is challenged; nobody has tried anything yet."""
    site = Site()
    site.challenge()
    mine = site.answer()
    for none in (
        [],
        [changed(mine, realm="atlanta.com")],
        [changed(mine, algorithm="SHA-1")],
        [changed(mine, algorithm="SHA-512-256")],
        [changed(mine, response="", nonce="")],
        [Credentials.parse("Basic Ym9iOnphbnppYmFy")],
    ):
        outcome = site.verify(*none)
        assert outcome == Rejected(Reason.NO_CREDENTIALS)
        assert not outcome.failed_login
    assert isinstance(site.verify(changed(mine, realm="atlanta.com"), mine), Accepted)


def test_a_wrong_password_and_an_unknown_user_are_failed_logins() -> None:
    """Guards against guessing count these two, and nothing else."""
    wrong = Site(secret="carpathia")
    wrong.challenge()
    outcome = wrong.verify(wrong.answer())
    assert outcome == Rejected(Reason.WRONG_PASSWORD, "bob")
    assert outcome.failed_login
    unknown = Site(secret=None)
    unknown.challenge()
    outcome = unknown.verify(unknown.answer())
    assert outcome == Rejected(Reason.UNKNOWN_USER, "bob")
    assert outcome.failed_login
    assert len(unknown.counts) == len(wrong.counts) == 0


def test_a_reused_nonce_is_no_failed_login() -> None:
    """D-22: a valid nonce with a higher count is let in; one that is too old is stale, and no failure."""
    site = Site()
    site.challenge()
    assert isinstance(site.verify(site.answer()), Accepted)
    assert isinstance(site.verify(site.answer()), Accepted)
    site.clock.now += 61
    outcome = site.verify(site.answer())
    assert outcome == Stale("bob")
    assert not outcome.failed_login
    assert not outcome.accepted
    site.challenge(stale=True)
    assert isinstance(site.verify(site.answer()), Accepted)
    assert len(site.counts) == 1


def test_stale_is_said_only_to_those_who_know_the_password() -> None:
    """RFC 7616 §3.3: stale is set only if the digest is valid for the nonce that is not."""
    site = Site(secret="carpathia")
    site.challenge()
    site.clock.now += 61
    assert site.verify(site.answer()) == Rejected(Reason.WRONG_PASSWORD, "bob")


def test_a_nonce_of_the_life_before_a_restart_is_stale() -> None:
    """RFC 7616 §3.3: the client may retry with a new nonce without asking the user again."""
    site = Site()
    alien = NonceMint(REALM, b"t" * 16, site.clock, os.urandom)
    site.client.challenged([Challenge("Digest", {"realm": REALM, "nonce": alien.issue(), "qop": "auth"})])
    assert site.verify(site.answer()) == Stale("bob")


def test_a_replay_is_not_let_in() -> None:
    """RFC 7616 §3.4: if the same nc value is seen twice, then the request is a replay."""
    site = Site()
    site.challenge()
    first, second, third = site.answer(), site.answer(), site.answer()
    assert isinstance(site.verify(third), Accepted)
    assert isinstance(site.verify(first), Accepted)
    assert site.verify(first) == Stale("bob")
    assert site.verify(third) == Stale("bob")
    assert isinstance(site.verify(second), Accepted)


@pytest.mark.parametrize("change", [{"method": "INVITE"}, {"body": b"other"}])
def test_credentials_prove_their_own_request_alone(change: dict[str, object]) -> None:
    """RFC 7616 §3.4.3: A2 holds the method and, with auth-int, the hash of the body."""
    site = Site(qop=["auth-int"])
    site.challenge()
    outcome = site.verify(site.answer(body=b"sdp"), **{"body": b"sdp", **change})  # type: ignore[arg-type]
    assert outcome == Rejected(Reason.WRONG_PASSWORD, "bob")


def test_the_uri_may_differ_where_the_server_is_willing() -> None:
    """RFC 3261 §22.4: it is not necessarily a failure if the uri and the Request-URI are not equivalent."""
    site = Site()
    site.challenge()
    outcome = site.verifier.verify("REGISTER", "sip:carol@10.0.0.1", b"", [site.answer()])
    assert outcome == Rejected(Reason.WRONG_URI, "bob")
    assert not outcome.failed_login
    willing = Site(willing=lambda uri: uri == URI)
    willing.challenge()
    outcome = willing.verifier.verify("REGISTER", "sip:carol@10.0.0.1", b"", [willing.answer()])
    assert isinstance(outcome, Accepted)


@pytest.mark.parametrize(
    ("uri", "request_uri", "same"),
    [
        ("sip:bob@biloxi.com", "sip:bob@BILOXI.com:5060;transport=tcp", True),
        ("sips:biloxi.com", "sip:biloxi.com", True),
        ("sip:bob@biloxi.com", "sip:carol@biloxi.com", False),
        ("sip:bob@biloxi.com", "sip:bob@atlanta.com", False),
        ("tel:+1-201-555-0123", "tel:+12015550123", True),
        ("tel:+12015550123", "sip:+12015550123@biloxi.com", False),
        ("nonsense", "nonsense", True),
        ("nonsense", "sip:bob@biloxi.com", False),
    ],
)
def test_which_uris_correspond(uri: str, request_uri: str, same: bool) -> None:
    """RFC 3261 §22.4: the two may differ in what proxies and clients leave out or add."""
    assert corresponds(uri, request_uri) is same


def test_qop_is_needed_unless_old_clients_are_let_in() -> None:
    """RFC 3261 §22.4: a client that receives a qop parameter MUST send one; RFC 2069's clients know none."""
    strict, mild = Site(), Site(require_qop=False)
    for site in (strict, mild):
        nonce = site.mint.issue()
        site.client.challenged([Challenge("Digest", {"realm": REALM, "nonce": nonce})])
    assert strict.verify(strict.answer()) == Rejected(Reason.NO_QOP, "bob")
    outcome = mild.verify(mild.answer())
    assert isinstance(outcome, Accepted)
    assert "rspauth" not in outcome.authentication_info().params
    assert mild.verify(mild.answer()) == Stale("bob")


@pytest.mark.accepts("I4")
def test_the_next_nonce_comes_before_the_old_one_ends() -> None:
    """RFC 7616 §3.5: nextnonce lets the client go on without being challenged."""
    site = Site()
    site.challenge()
    site.clock.now += 31
    credentials = site.answer()
    outcome = site.verify(credentials)
    assert isinstance(outcome, Accepted)
    info = AuthenticationInfo.parse(str(outcome.authentication_info()))
    assert site.client.confirmed(info, credentials) is True
    site.clock.now += 31
    assert isinstance(site.verify(site.answer()), Accepted)


@pytest.mark.accepts("I7")
def test_a_hidden_user_is_found_by_his_hash() -> None:
    """RFC 7616 §3.4.4: the server looks the user up by H(username:realm)."""
    hashed = userhash(known_algorithm("SHA-256"), "J\u00e4s\u00f8n Doe", REALM)
    users = {(hashed, REALM, "SHA-256"): "J\u00e4s\u00f8n Doe"}
    site = Site(user="J\u00e4s\u00f8n Doe", user_of_hash=lambda *key: users.get(key))
    site.challenge()
    credentials = site.answer()
    assert credentials.params.get("username") == hashed
    outcome = site.verify(credentials)
    assert isinstance(outcome, Accepted)
    assert outcome.user == "J\u00e4s\u00f8n Doe"
    users.clear()
    assert site.verify(site.answer()) == Rejected(Reason.UNKNOWN_USER)
    assert len(site.asked) == 1


@pytest.mark.accepts("I7")
def test_an_extended_user_name_is_read() -> None:
    """RFC 7616 §3.4: username* is UTF-8''text."""
    site = Site(user="J\u00e4s\u00f8n Doe")
    challenges = site.verifier.challenges()
    challenges[0].params["charset"] = "UTF-8"
    site.client.challenged(challenges)
    credentials = site.answer()
    assert "username" not in credentials.params
    outcome = site.verify(credentials)
    assert isinstance(outcome, Accepted)
    assert outcome.user == "J\u00e4s\u00f8n Doe"
    for bad in ("UTF-8''%FF", "latin-1''bob", "bob"):
        with pytest.raises(MalformedMessage):
            site.verify(changed(credentials, **{"username*": bad}))


def test_an_ha1_serves_as_well_as_the_password() -> None:
    """RFC 7616 §5.13: what is stored is H(username:realm:password)."""
    site = Site(HA1(password_hash(known_algorithm("SHA-256"), "bob", REALM, "zanzibar"), "SHA-256"))
    site.challenge()
    assert isinstance(site.verify(site.answer()), Accepted)
    assert site.asked == [("bob", REALM, "SHA-256")]


@pytest.mark.accepts("I7")
def test_a_session_key_is_taken_from_the_first_request_or_from_this_one() -> None:
    """RFC 7616 §3.4.2: A1 has the first cnonce; clients that take a new one each time are understood too."""
    site = Site(algorithms=["SHA-256-sess"])
    challenges = site.challenge()
    assert isinstance(site.verify(site.answer()), Accepted)
    forgetful = DigestSession(REALM, "bob", "zanzibar", os.urandom)
    forgetful.challenged(challenges)
    forgetful.credentials("REGISTER", URI)
    assert isinstance(site.verify(forgetful.credentials("REGISTER", URI)), Accepted)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": None},
        {"uri": None},
        {"response": None},
        {"username": None},
        {"username*": "UTF-8''bob"},
        {"cnonce": None},
        {"nc": None},
        {"nc": "1"},
        {"nc": "0000000g"},
        {"username": None, "username*": "UTF-8''bob", "userhash": "true"},
    ],
)
def test_credentials_that_lack_something_are_refused(change: dict[str, str | None]) -> None:
    """RFC 7616 §3.4: if a required parameter is missing or malformed, the server replies with 400."""
    site = Site()
    site.challenge()
    with pytest.raises(MalformedMessage) as caught:
        site.verify(changed(site.answer(), **change))
    assert caught.value.status == 400


@pytest.mark.parametrize("response", ["", "x", "\udce9", "0" * 100_000])
def test_no_response_does_harm(response: str) -> None:
    """Strangers' input is refused, whatever it is."""
    site = Site()
    site.challenge()
    credentials = Credentials.parse(str(changed(site.answer(), response=response)))
    assert not site.verify(credentials).accepted


def test_a_verifier_refuses_what_it_cannot_offer() -> None:
    """The caller's mistakes raise at once."""
    for algorithms in ([], ["AKAv1-MD5"], ["x"]):
        with pytest.raises(ArgumentError):
            Site(algorithms=algorithms)
    with pytest.raises(ArgumentError):
        Site(qop=["auth-conf"])
