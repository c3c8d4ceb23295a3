"""AKA: what a SIM's answer makes of a digest challenge."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from sipactors.auth.aka import (
    AKAChallenge,
    AKAResponse,
    SynchronizationFailure,
    aka_password,
    auts_parameter,
    parse_auts,
    session_keys,
)
from sipactors.auth.session import AKASession
from sipactors.errors import ArgumentError, Forbidden, MalformedMessage
from sipactors.interfaces import IAKAProvider
from sipactors.message.credentials import AuthenticationInfo, Challenge, Credentials

# 3GPP TS 35.208, Milenage test set 1: RAND, and f2 to f4 of it.
RAND = bytes.fromhex("23553cbe9637a89d218ae64dae47bf35")
RES = bytes.fromhex("a54211d5e3ba50bf")
CK = bytes.fromhex("b40ba9a3c58b2a05bbf0d987b21bf8cb")
IK = bytes.fromhex("f769bcd751044604127672711c6d3441")
# SQN xor AK, AMF and MAC-A of the same set.
AUTN = bytes.fromhex("55f328b43577b9b94a9ffac354dfafb3")
AUTS = bytes(range(14))

USER, REALM, URI = "jon.dough@mobile.biz", "RoamingUsers@mobile.biz", "sip:home.mobile.biz"


@implementer(IAKAProvider)
class SIM:
    """Answers the one challenge it knows; takes other genuine ones for out of sequence."""

    def authenticate(self, rand: bytes, autn: bytes) -> AKAResponse | SynchronizationFailure | None:
        if rand != RAND:
            return None
        return AKAResponse(RES, CK, IK) if autn == AUTN else SynchronizationFailure(AUTS)


def challenge(
    algorithm: str = "AKAv1-MD5", autn: bytes = AUTN, rand: bytes = RAND, **params: str
) -> Challenge:
    nonce = str(AKAChallenge(rand, autn, b"server data"))
    rows = {"realm": REALM, "nonce": nonce, "qop": "auth,auth-int", "algorithm": algorithm, **params}
    return Challenge("Digest", rows)


def answered(*challenges: Challenge) -> AKASession:
    session = AKASession(REALM, USER, lambda n: bytes.fromhex("0a4f113b"), prefer_integrity=True)
    assert session.challenged(challenges)
    asked = session.aka_challenge
    session.answered(SIM().authenticate(asked.rand, asked.autn))
    return session


def by_hand(credentials: Credentials, password: bytes, method: str, body: bytes, base: str = "md5") -> str:
    """RFC 3310 §3.3 and RFC 7616 §3.4.1 written out with hashlib alone."""

    def h(data: bytes) -> str:
        return hashlib.new(base, data).hexdigest()

    p = {name: value or "" for name, value in credentials.params.items()}
    a1 = h(f"{USER}:{REALM}:".encode() + password)
    a2 = h(f"{method}:{p['uri']}:{h(body)}".encode())
    return h(f"{a1}:{p['nonce']}:{p['nc']}:{p['cnonce']}:{p['qop']}:{a2}".encode())


def test_a_sim_fulfils_its_contract() -> None:
    """IAKAProvider is what a SIM is to the stack."""
    assert verifyObject(IAKAProvider, SIM())


@pytest.mark.accepts("I8")
def test_the_nonce_carries_rand_and_autn() -> None:
    """RFC 3310 §3.2: nonce-value = base64 of RAND, AUTN and server specific data."""
    nonce = base64.b64encode(RAND + AUTN + b"xyz").decode()
    read = AKAChallenge.parse(nonce)
    assert (read.rand, read.autn, read.server_data) == (RAND, AUTN, b"xyz")
    assert str(read) == nonce
    assert AKAChallenge.parse(nonce.rstrip("=")) == read
    assert AKAChallenge.parse(str(AKAChallenge(RAND, AUTN))).server_data == b""


@pytest.mark.accepts("I8")
def test_the_nonce_of_the_example_in_rfc_3310() -> None:
    """RFC 3310 §4: nonce="CjPk9mRqNuT25eRkajM09uTl9nM09uTl9nMz5OX25PZz==" has RAND and AUTN in it."""
    read = AKAChallenge.parse("CjPk9mRqNuT25eRkajM09uTl9nM09uTl9nMz5OX25PZz")
    assert read.rand.hex() == "0a33e4f6646a36e4f6e5e4646a3334f6"
    assert read.autn.hex() == "e4e5f67334f6e4e5f67333e4e5f6e4f6"
    assert read.server_data == b"s"
    assert AKAChallenge.parse("CjPk9mRqNuT25eRkajM09uTl9nM09uTl9nMz5OX25PZz==") == read


@pytest.mark.accepts("I8")
@pytest.mark.parametrize("nonce", ["", "AAAA", "*" * 44, "\u00e9" * 44, base64.b64encode(b"x" * 31).decode()])
def test_a_nonce_without_rand_and_autn_is_malformed(nonce: str) -> None:
    """RFC 3310 §3.2: RAND and AUTN are mandatory in the nonce."""
    with pytest.raises(MalformedMessage):
        AKAChallenge.parse(nonce)
    session = AKASession(REALM, USER, os.urandom)
    assert not session.challenged([challenge(nonce=nonce)])


@pytest.mark.accepts("I8")
def test_res_is_the_password_of_version_1() -> None:
    """RFC 3310 §3.3: the resulting AKA RES parameter is treated as a "password", in binary form."""
    session = answered(challenge(opaque="5ccc069c403ebaf9f0171e9517f40e41"))
    credentials = session.credentials("REGISTER", URI, b"body")
    params = dict(credentials.params.items())
    assert params["response"] == by_hand(credentials, RES, "REGISTER", b"body")
    assert (params["username"], params["qop"], params["nc"]) == (USER, "auth-int", "00000001")
    assert params["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"
    assert "algorithm=AKAv1-MD5" in str(credentials)
    assert session_keys("AKAv1-MD5", AKAResponse(RES, CK, IK)) == (CK, IK)


@pytest.mark.accepts("I8")
@pytest.mark.parametrize(("name", "base"), [("AKAv2-MD5", "md5"), ("AKAv2-SHA-256", "sha256")])
def test_version_2_binds_the_password_to_the_session_keys(name: str, base: str) -> None:
    """RFC 4169 §2.1: the password is base64(PRF(RES||IK||CK, "http-digest-akav2-password"))."""
    session = answered(challenge(name))
    credentials = session.credentials("REGISTER", URI, b"body")
    password = base64.b64encode(hmac.digest(RES + IK + CK, b"http-digest-akav2-password", base))
    assert aka_password(name, AKAResponse(RES, CK, IK)) == password
    assert credentials.params.get("response") == by_hand(credentials, password, "REGISTER", b"body", base)
    ck, ik = session_keys(name, AKAResponse(RES, CK, IK))
    assert ck == hmac.digest(CK, b"http-digest-akav2-cipherkey", base)
    assert ik == hmac.digest(IK, b"http-digest-akav2-integritykey", base)


@pytest.mark.accepts("I8")
def test_version_2_is_chosen_where_both_are_offered() -> None:
    """RFC 4169 §4.1: the user agent MUST choose "AKAv2" if both "AKAv1" and "AKAv2" are present."""
    session = answered(challenge("MD5"), challenge("AKAv1-MD5"), challenge("AKAv2-MD5"))
    assert session.challenge is not None
    assert session.challenge.params.get("algorithm") == "AKAv2-MD5"


@pytest.mark.accepts("I8")
def test_a_synchronization_failure_is_told_with_auts_and_an_empty_password() -> None:
    """RFC 3310 §3.4: the auts parameter carries AUTS; the response is calculated with an empty password."""
    session = answered(challenge(autn=bytes(16)))
    credentials = session.credentials("REGISTER", URI)
    assert credentials.params.get("response") == by_hand(credentials, b"", "REGISTER", b"")
    assert f'auts="{base64.b64encode(AUTS).decode()}"' in str(credentials)
    assert parse_auts(credentials.params.get("auts") or "") == SynchronizationFailure(AUTS)
    assert auts_parameter(SynchronizationFailure(AUTS)) == base64.b64encode(AUTS).decode()
    # RFC 3310 §3.4: the server answers with a fresh challenge, in sequence now.
    assert session.challenged([challenge()])
    assert not session.ready
    session.answered(SIM().authenticate(RAND, AUTN))
    assert "auts" not in session.credentials("REGISTER", URI).params


@pytest.mark.accepts("I8")
def test_a_network_that_is_not_genuine_gets_no_answer() -> None:
    """RFC 3310 §3.3: the client verifies AUTN; without that, the server has not authenticated itself."""
    session = AKASession(REALM, USER, os.urandom)
    session.challenged([challenge(rand=bytes(16))])
    with pytest.raises(Forbidden):
        session.answered(None)
    assert not session.ready


@pytest.mark.accepts("I8")
def test_an_answered_challenge_serves_the_next_requests_too() -> None:
    """RFC 7616 §3.4: nc counts on; a nextnonce of AKA wants the SIM again."""
    session = answered(challenge())
    first, second = session.credentials("REGISTER", URI), session.credentials("REGISTER", URI)
    assert (first.params.get("nc"), second.params.get("nc")) == ("00000001", "00000002")
    following = str(AKAChallenge(RAND, AUTN, b"following"))
    assert session.confirmed(AuthenticationInfo({"nextnonce": following}), second) is None
    assert not session.ready
    session.answered(SIM().authenticate(session.aka_challenge.rand, session.aka_challenge.autn))
    assert session.credentials("REGISTER", URI).params.get("nonce") == following


@pytest.mark.accepts("I8")
def test_the_first_register_names_its_user() -> None:
    """3GPP TS 24.229 §5.1.1.2: the first REGISTER carries the private identity, nonce and response empty."""
    credentials = AKASession(REALM, USER, os.urandom).blank_credentials(URI)
    assert str(credentials) == (
        f'Digest username="{USER}", realm="{REALM}", nonce="", uri="{URI}", response=""'
    )


def test_mistakes_raise_at_once() -> None:
    """The caller's mistakes raise ArgumentError, a stranger's MalformedMessage."""
    good = AKAResponse(RES, CK, IK)
    for mistake in (
        lambda: AKAResponse(b"abc", CK, IK),
        lambda: AKAResponse(RES, CK[:1], IK),
        lambda: SynchronizationFailure(b""),
        lambda: aka_password("MD5", good),
        lambda: AKASession(REALM, USER, os.urandom).answered(good),
        lambda: AKASession(REALM, USER, os.urandom).aka_challenge,
    ):
        with pytest.raises(ArgumentError):
            mistake()
    for text in ("", "AAAA", "****", "\u00e9"):
        with pytest.raises(MalformedMessage):
            parse_auts(text)
    assert RES.hex() not in repr(good)
