"""The arithmetic of digest authentication against every vector that RFCs and drafts give."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipactors.auth.digest import (
    DEFAULT_ALGORITHMS,
    HA1,
    Proof,
    algorithm,
    available,
    digest,
    known_algorithm,
    password_hash,
    same,
    session_hash,
    strength,
    userhash,
)
from sipactors.errors import ArgumentError, NotSupported

SDP = (
    b"v=0\r\no=bob 2890844526 2890844526 IN IP4 media.biloxi.com\r\ns=-\r\nc=IN IP4 media.biloxi.com\r\n"
    b"t=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\nm=video 51372 RTP/AVP 31\r\n"
    b"a=rtpmap:31 H261/90000\r\nm=video 53000 RTP/AVP 32\r\na=rtpmap:32 MPV/90000\r\n"
)


@pytest.mark.accepts("I4", "I7")
def test_the_example_of_rfc_2617() -> None:
    """RFC 2617 §3.5: the response to the example challenge is 6629fae49393a05397450978507c4ef1."""
    alg = known_algorithm("MD5")
    a1 = password_hash(alg, "Mufasa", "testrealm@host.com", "Circle Of Life")
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    proof = Proof(alg, nonce, "/dir/index.html", "auth", "00000001", "0a4f113b")
    assert a1 == "939e7578ed9e3c518a452acee763bce9"
    assert proof.response(a1, "GET") == "6629fae49393a05397450978507c4ef1"


@pytest.mark.accepts("I4", "I7")
@pytest.mark.parametrize(
    ("name", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_with_sha_256_and_md5(name: str, response: str) -> None:
    """RFC 7616 §3.9.1: example with SHA-256 and MD5."""
    alg = known_algorithm(name)
    a1 = password_hash(alg, "Mufasa", "http-auth@example.org", "Circle of Life")
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    assert Proof(alg, nonce, "/dir/index.html", "auth", "00000001", cnonce).response(a1, "GET") == response


@pytest.mark.accepts("I4", "I7")
def test_the_example_with_sha_512_256_and_userhash() -> None:
    """RFC 7616 §3.9.2, with the values of erratum 4897: those printed are of a truncated SHA-512."""
    alg = known_algorithm("SHA-512-256")
    user, realm = "J\u00e4s\u00f8n Doe", "api@example.org"
    a1 = password_hash(alg, user, realm, "Secret, or not?")
    nonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK"
    cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v"
    hashed = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert userhash(alg, user, realm) == hashed
    response = Proof(alg, nonce, "/doe.json", "auth", "00000001", cnonce).response(a1, "GET")
    assert response == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"


@pytest.mark.accepts("I4", "I7")
@pytest.mark.parametrize(
    ("name", "qop", "response"),
    [
        ("MD5", None, "bf57e4e0d0bffc0fbaedce64d59add5e"),
        ("MD5", "auth", "89eb0059246c02b2f6ee02c7961d5ea3"),
        ("MD5-sess", "auth", "e4e4ea61d186d07a92c9e1f6919902e9"),
        ("MD5", "auth-int", "bdbeebb2da6adb6bca02599c2239e192"),
        ("MD5-sess", "auth-int", "91984da2d8663716e91554859c22ca70"),
    ],
)
def test_the_sip_examples_of_the_draft(name: str, qop: str | None, response: str) -> None:
    """draft-smith-sipping-auth-examples-01 §3: bob invites himself, with each qop and -sess."""
    alg = known_algorithm(name)
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    a1 = session_hash(alg, password_hash(alg, "bob", "biloxi.com", "zanzibar"), nonce, "0a4f113b")
    proof = Proof(alg, nonce, "sip:bob@biloxi.com", qop, "00000001", "0a4f113b")
    assert proof.response(a1, "INVITE", SDP) == response


def by_hand(name: str, user: str, realm: str, password: str, method: str, proof: Proof, body: bytes) -> str:
    """RFC 7616 §3.4.1 written out with hashlib alone, as an opinion that knows nothing of ours."""
    base = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}[name.removesuffix("-sess")]

    def h(text: str) -> str:
        return hashlib.new(base, text.encode()).hexdigest()

    a1 = f"{user}:{realm}:{password}"
    if name.endswith("-sess"):
        a1 = f"{h(a1)}:{proof.nonce}:{proof.cnonce}"
    a2 = f"{method}:{proof.uri}"
    if proof.qop == "auth-int":
        a2 += ":" + hashlib.new(base, body).hexdigest()
    if proof.qop is None:
        return h(f"{h(a1)}:{proof.nonce}:{h(a2)}")
    return h(f"{h(a1)}:{proof.nonce}:{proof.nc}:{proof.cnonce}:{proof.qop}:{h(a2)}")


@given(
    name=st.sampled_from(DEFAULT_ALGORITHMS),
    qop=st.sampled_from([None, "auth", "auth-int"]),
    texts=st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=8)] * 5),
    body=st.binary(max_size=32),
)
def test_responses_are_those_of_the_formula(
    name: str, qop: str | None, texts: tuple[str, str, str, str, str], body: bytes
) -> None:
    """RFC 7616 §3.4.1: response = KD(H(A1), nonce:nc:cnonce:qop:H(A2))."""
    user, realm, password, nonce, cnonce = texts
    alg = known_algorithm(name)
    proof = Proof(alg, nonce, "sip:a@b", qop, "0000000a", cnonce)
    a1 = session_hash(alg, password_hash(alg, user, realm, password), nonce, cnonce)
    assert proof.response(a1, "BYE", body) == by_hand(name, user, realm, password, "BYE", proof, body)
    assert proof.rspauth(a1, body) == by_hand(name, user, realm, password, "", proof, body)


def test_octets_that_are_not_utf_8_are_hashed_as_they_came() -> None:
    """RFC 7616 §3.4.1: H(data) is of the octets, whatever text they are."""
    came = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert digest("MD5", came) == hashlib.md5(b"caf\xe9").hexdigest()


@pytest.mark.accepts("I7")
def test_algorithms_are_known_by_name_in_any_case() -> None:
    """RFC 7616 §3.3: if the algorithm parameter is not present, it is assumed to be "MD5"."""
    assert known_algorithm("md5-SESS").name == "MD5-sess"
    assert known_algorithm("akaV1-md5").name == "AKAv1-MD5"
    default = algorithm(None)
    assert default is not None
    assert default.name == "MD5"
    for unknown in ("", "MD4", "SHA-1", "MD5-", "MD5 ", "AKAv3-MD5", "SHA-512-256-sess-sess"):
        assert algorithm(unknown) is None
    with pytest.raises(ArgumentError):
        known_algorithm("token")


@pytest.mark.accepts("I7")
def test_the_order_of_strength() -> None:
    """RFC 8760 §2.1: SHA-512/256 and SHA-256 replace the obsolete MD5."""
    names = ["MD5", "SHA-256", "SHA-512-256", "AKAv1-MD5", "AKAv2-MD5"]
    assert sorted(names, key=lambda name: strength(known_algorithm(name))) == names


def test_an_ha1_serves_the_hash_it_was_made_with() -> None:
    """An HA1 of one hash says nothing about the same password under another."""
    md5 = known_algorithm("MD5-sess")
    kept = HA1(password_hash(md5, "bob", "biloxi.com", "zanzibar").upper())
    assert password_hash(md5, "bob", "biloxi.com", kept) == kept.value == kept.value.lower()
    assert kept.value not in repr(kept)
    with pytest.raises(ArgumentError):
        password_hash(known_algorithm("SHA-256"), "bob", "biloxi.com", kept)
    for value, name in (("zz", "MD5"), ("a" * 32, "SHA-256"), ("a" * 32, "SHA-1"), ("g" * 32, "MD5")):
        with pytest.raises(ArgumentError):
            HA1(value, name)


@pytest.mark.accepts("I7")
def test_an_interpreter_without_the_hash_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """SHA-512/256 comes from OpenSSL, which may lack it."""

    def new(name: str, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(f"unsupported hash type {name}")

    monkeypatch.setattr(hashlib, "new", new)
    assert not available(known_algorithm("SHA-512-256"))
    with pytest.raises(NotSupported, match="SHA-512-256"):
        digest("SHA-512-256", "a")


def test_digests_compare_in_any_case_of_their_digits() -> None:
    """RFC 7616 §3.4: a response is lower-case hexadecimal, yet upper-case digits mean the same number."""
    assert same("ABCDEF01", "abcdef01")
    assert not same("abcdef01", "abcdef02")
    assert not same("abcdef01", "\udce9")
