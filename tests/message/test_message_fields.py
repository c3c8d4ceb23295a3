"""Every typed header: read, written, compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from header_samples import BAD, GOOD
from hypothesis import given
from hypothesis import strategies as st

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import (
    AuthenticationInfo,
    Challenge,
    Credentials,
    CSeq,
    Date,
    Event,
    FeatureSet,
    Identity,
    Join,
    LanguageRange,
    MediaType,
    MinSE,
    NetworkName,
    ParameterizedToken,
    Privacy,
    RAck,
    Reason,
    Replaces,
    RetryAfter,
    SessionExpires,
    SubscriptionState,
    TargetDialog,
    Timestamp,
    Warning,
)
from sipactors.message.registry import HEADERS, KEYS, MAX_KEYS, canonical

CONTRACT = """
Accept Accept-Contact Accept-Encoding Accept-Language Allow Allow-Events Authorization
Authentication-Info Call-ID Contact Content-Disposition Content-Encoding Content-Type CSeq Event
Expires From Max-Forwards Min-Expires P-Access-Network-Info P-Associated-URI Proxy-Authenticate
Proxy-Authorization Proxy-Require RAck Record-Route Refer-To Reply-To Require Retry-After Route RSeq
Security-Client Security-Server Security-Verify Service-Route Subscription-State Supported Timestamp
To Unsupported Via WWW-Authenticate Date Identity Join Min-SE P-Asserted-Identity Path Privacy
Reason Referred-By Replaces Session-Expires SIP-ETag SIP-If-Match Subject User-Agent Warning
"""

CASES = [(name, row) for name, rows in GOOD.items() for row in rows]


def values_of(name: str, row: str) -> list[Any]:
    value = HEADERS[name].read([row])
    return value if HEADERS[name].multiple else [value]


@pytest.mark.accepts("C4")
def test_every_header_of_the_contract_has_a_type_and_a_sample() -> None:
    """RFC 3261 §20 and its successors: each of these headers is read, written and compared here."""
    for name in CONTRACT.split():
        assert name in HEADERS
        assert name in GOOD
    assert HEADERS.keys() == GOOD.keys()


@pytest.mark.accepts("C4")
@pytest.mark.parametrize(("name", "row"), CASES)
def test_what_is_written_means_what_was_read(name: str, row: str) -> None:
    """RFC 3261 §7.3.1: field values; render(parse(x)) means x."""
    header = HEADERS[name]
    values = values_of(name, row)
    for value in values:
        text = str(value)
        again = header.parse(text)
        assert again == value
        assert type(again) is type(value)
        assert str(again) == text
        assert getattr(again, "params", None) == getattr(value, "params", None)
    if header.comma:
        assert header.read([", ".join(map(str, values))]) == values


@pytest.mark.accepts("C4")
@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in BAD.items() for row in rows])
def test_what_breaks_the_grammar_is_refused(name: str, row: str) -> None:
    """RFC 3261 §25.1: what the grammar does not derive is answered with 400, and the header is named."""
    with pytest.raises(MalformedMessage, match=f"^{name}: ") as caught:
        HEADERS[name].read([row])
    assert caught.value.status == 400


@pytest.mark.accepts("C4")
def test_what_may_stand_once_stands_once() -> None:
    """RFC 3261 §7.3.1: several rows of one name only if the value is a comma-separated list."""
    for name, header in HEADERS.items():
        rows = [GOOD[name][0]] * 2
        if header.multiple:
            assert len(header.read(rows)) == 2 * len(header.read(rows[:1]))
        else:
            with pytest.raises(MalformedMessage, match="stands more than once"):
                header.read(rows)


@pytest.mark.accepts("C7")
@pytest.mark.parametrize(
    ("compact", "name"),
    [
        ("a", "Accept-Contact"),
        ("b", "Referred-By"),
        ("c", "Content-Type"),
        ("d", "Request-Disposition"),
        ("e", "Content-Encoding"),
        ("f", "From"),
        ("i", "Call-ID"),
        ("j", "Reject-Contact"),
        ("k", "Supported"),
        ("l", "Content-Length"),
        ("m", "Contact"),
        ("n", "Identity-Info"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("s", "Subject"),
        ("t", "To"),
        ("u", "Allow-Events"),
        ("v", "Via"),
        ("x", "Session-Expires"),
        ("y", "Identity"),
    ],
)
def test_compact_forms_are_names(compact: str, name: str) -> None:
    """RFC 3261 §7.3.3: the compact form MAY be used at any time without changing the semantics."""
    assert canonical(compact) == canonical(compact.upper()) == name
    assert HEADERS[name].compact == compact


@pytest.mark.accepts("C6", "C7")
def test_names_compare_without_case() -> None:
    """RFC 3261 §7.3.1: when comparing header fields, field names are always case-insensitive."""
    for name in HEADERS:
        for spelled in (name, name.lower(), name.upper(), name.swapcase()):
            assert canonical(spelled) == name
    assert canonical("NewFangledHeader") == "newfangledheader"
    assert canonical("z") == "z"


def test_strangers_names_do_not_fill_the_memory() -> None:
    """D-40: everything is bounded before it is allocated."""
    before = dict(KEYS)
    try:
        for number in range(MAX_KEYS + 10):
            canonical(f"X-{number}")
        assert len(KEYS) <= MAX_KEYS
        canonical("x" * 65)
        assert "x" * 65 not in KEYS
        assert "a b" not in KEYS
    finally:
        KEYS.clear()
        KEYS.update(before)


@pytest.mark.accepts("C7")
def test_commas_in_quotes_and_brackets_do_not_separate() -> None:
    """RFC 3261 §7.3.1: a comma separates values, unless it stands in a quoted string or in <>."""
    contacts = HEADERS["Contact"].read(['"a, b" <sip:a,b@c>;x="d, \\" e", <sip:f@g>'])
    assert [contact.display_name for contact in contacts] == ["a, b", None]
    assert contacts[0].params.get("x") == 'd, " e'


def test_events_are_compared_byte_by_byte() -> None:
    """RFC 6665 §8.2.1: event types and "id" are compared byte-by-byte; other parameters do not count."""
    assert Event.parse("presence;id=a;x=1") == Event.parse("presence;x=2;id=a")
    assert Event("presence") != Event("Presence")
    assert Event("refer", {"id": "1"}) != Event("refer")
    assert Event("refer", {"id": "a"}) != Event("refer", {"id": "A"})
    assert (Event("a.winfo").package, Event("a", {"id": "2"}).id) == ("a.winfo", "2")


def test_tokens_are_compared_without_case_and_quoted_strings_with() -> None:
    """RFC 3261 §7.3.1: values are case-insensitive unless expressed as quoted strings."""
    assert ParameterizedToken.parse("Session;Handling=Optional") == ParameterizedToken.parse(
        "session;handling=optional"
    )
    assert ParameterizedToken.parse('a;b="c"') != ParameterizedToken.parse('a;b="C"')
    assert MediaType.parse("Application/SDP") == MediaType("application", "sdp")
    assert MediaType.parse("a/b;c=d") != MediaType.parse("a/b")
    assert Privacy.parse("ID;user") == Privacy(["user", "id"])
    assert "Id" in Privacy(["id"])
    assert CSeq.parse("1 INVITE") != CSeq.parse("1 invite")
    assert CSeq.parse("0001   INVITE") == CSeq(1, "INVITE")
    assert Replaces.parse("A;to-tag=1;from-tag=2") != Replaces.parse("a;to-tag=1;from-tag=2")
    assert Reason.parse("sip;cause=200") == Reason("SIP", {"cause": 200})
    assert Warning.parse('307 ISI.edu "x"') == Warning(307, "isi.edu", "x")
    assert Warning(307, "isi.edu", "x") != Warning(307, "isi.edu", "X")
    assert RetryAfter(5, "lunch") == RetryAfter(5)
    assert Event("a") != ParameterizedToken("a")


def test_a_media_range_includes_types() -> None:
    """RFC 3261 §20.1: the syntax and rules of Accept are those of HTTP: */*, type/*, parameters before q."""
    sdp = MediaType.parse("application/sdp;charset=utf-8")
    assert MediaType.parse("*/*").includes(sdp)
    assert MediaType.parse("application/*;q=0.5").includes(sdp)
    assert MediaType.parse("APPLICATION/SDP").includes(sdp)
    assert not MediaType.parse("application/sdp;level=1").includes(sdp)
    assert not MediaType.parse("text/*").includes(sdp)
    assert MediaType.parse("text/*;q=0.25").q == 0.25
    assert sdp.essence == "application/sdp"


def test_what_the_values_tell() -> None:
    """Each value has the parts of its RFC as attributes."""
    state = SubscriptionState.parse("Terminated;reason=Rejected;retry-after=60")
    assert (state.state, state.reason, state.retry_after, state.expires) == (
        "terminated",
        "rejected",
        60,
        None,
    )
    assert SubscriptionState("active", {"expires": 600}).expires == 600
    session = SessionExpires.parse("4000;refresher=UAC")
    assert (session.seconds, session.refresher) == (4000, "uac")
    assert MinSE(90).seconds == 90
    replaces = Replaces("a@b", {"to-tag": "1", "from-tag": "2", "early-only": None})
    assert (replaces.call_id, replaces.to_tag, replaces.from_tag, replaces.early_only) == (
        "a@b",
        "1",
        "2",
        True,
    )
    assert Join("a", {"to-tag": "1", "from-tag": "2"}).to_tag == "1"
    assert TargetDialog("a", {"local-tag": "1", "remote-tag": "2"}).remote_tag == "2"
    reason = Reason.parse('Q.850 ;cause=16 ;text="Terminated"')
    assert (reason.protocol, reason.cause, reason.text) == ("Q.850", 16, "Terminated")
    assert str(Reason("SIP", {"cause": 200, "text": "Elsewhere"})) == 'SIP;cause=200;text="Elsewhere"'
    retry = RetryAfter.parse("120 (I'm (still) in a meeting) ;duration=10")
    assert (retry.seconds, retry.comment, retry.duration) == (120, "I'm (still) in a meeting", 10)
    assert str(RetryAfter(5, "a ) b")) == "5 (a \\) b)"
    assert RAck.parse("776656 1 INVITE") == RAck(776656, 1, "INVITE")
    assert FeatureSet.parse("*;audio;require").require
    assert FeatureSet("*", {"explicit": None}).explicit
    assert LanguageRange("en-gb", {"q": "0.5"}).q == 0.5
    assert NetworkName('"a b"').value == '"a b"'
    identity = Identity("abc==", "https://x.com/y", {"alg": "ES256"})
    assert str(identity) == "abc==;info=<https://x.com/y>;alg=ES256"


def test_a_timestamp_keeps_its_digits() -> None:
    """RFC 3261 §8.2.6.1: a 100 copies the Timestamp, with a delay if there was one."""
    assert str(Timestamp.parse("54.280")) == "54.280"
    assert str(Timestamp("54.280", 0.25)) == "54.280 0.25"
    assert str(Timestamp(0.0000001)) == "0.0000001"
    for wrong in ("x", "-1", "", "1e5", float("nan"), "1\r\n"):
        with pytest.raises(ArgumentError):
            Timestamp(wrong)


def test_a_date_is_in_gmt() -> None:
    """RFC 3261 §20.17: the time zone in SIP-date is restricted to "GMT"."""
    date = Date.parse("Sat, 13 Nov 2010 23:29:00 GMT")
    assert date.when == datetime(2010, 11, 13, 23, 29, tzinfo=timezone.utc)
    assert date.timestamp == 1289690940
    assert Date(datetime(2010, 11, 14, 1, 29, 0, 5, tzinfo=timezone(timedelta(hours=2)))) == date
    assert str(date) == "Sat, 13 Nov 2010 23:29:00 GMT"
    with pytest.raises(ArgumentError):
        Date(datetime(2010, 1, 1))


def test_digest_parameters_are_quoted_as_they_must_be() -> None:
    """RFC 7616 §3.3, §3.4: realm, nonce, uri … MUST be quoted; algorithm, stale, nc, a client's qop not."""
    params = {
        "realm": "a",
        "nonce": "n",
        "qop": "auth",
        "algorithm": "SHA-256",
        "stale": "true",
        "opaque": "",
    }
    assert str(Challenge("Digest", params)) == (
        'Digest realm="a", nonce="n", qop="auth", algorithm=SHA-256, stale=true, opaque=""'
    )
    sent = {"username": "a", "uri": "sip:b", "response": "0", "qop": "auth", "nc": "00000001", "cnonce": "c"}
    assert str(Credentials("Digest", sent)) == (
        'Digest username="a", uri="sip:b", response="0", qop=auth, nc=00000001, cnonce="c"'
    )
    assert (
        str(AuthenticationInfo({"nextnonce": "x", "qop": "auth", "nc": "1"}))
        == 'nextnonce="x", qop=auth, nc=1'
    )
    assert str(Credentials("Digest", {"username*": "UTF-8''J%C3%A4s"})) == "Digest username*=UTF-8''J%C3%A4s"
    assert str(Credentials("Bearer", token="a.b-c==")) == "Bearer a.b-c=="
    challenge = Challenge.parse('DIGEST Realm="a, b", NONCE="x\\"y" ,qop="auth,auth-int"')
    assert (challenge.realm, challenge.params.get("nonce")) == ("a, b", 'x"y')
    assert challenge == Challenge("Digest", {"nonce": 'x"y', "realm": "a, b", "qop": "auth,auth-int"})
    assert challenge != Challenge("Digest", {"nonce": 'x"y', "realm": "A, b", "qop": "auth,auth-int"})
    assert "x" not in repr(Credentials("Bearer", token="xxx"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CSeq(-1, "A"),
        lambda: CSeq(2**31, "A"),
        lambda: CSeq(1, "A\r\n"),
        lambda: CSeq(True, "A"),
        lambda: RAck(1, 1, ""),
        lambda: MediaType("a b", "c"),
        lambda: MediaType("a", "c", {"d": "\r\n"}),
        lambda: ParameterizedToken("a\r\nb"),
        lambda: ParameterizedToken("a", {"b\n": None}),
        lambda: Event(""),
        lambda: SubscriptionState("active", {"expires": "x"}),
        lambda: FeatureSet("a"),
        lambda: SessionExpires(-1),
        lambda: SessionExpires(90, {"refresher": "x"}),
        lambda: MinSE(2**32),
        lambda: Replaces("a"),
        lambda: Replaces("a b", {"to-tag": "1", "from-tag": "2"}),
        lambda: Reason("SIP", {"text": "a\r\nb"}),
        lambda: Warning(99, "a", "b"),
        lambda: Warning(399, "a b", "b"),
        lambda: Warning(399, "a", "b\r\n"),
        lambda: RetryAfter(-1),
        lambda: RetryAfter(1, "a\r\nb"),
        lambda: RetryAfter(1, None, {"a": "\0"}),
        lambda: Challenge("Dig est"),
        lambda: Challenge("Digest", {"realm": "a\r\nb"}),
        lambda: Challenge("Digest", {"realm": None}),
        lambda: Credentials("Bearer", {"a": "b"}, token="c"),
        lambda: Credentials("Bearer", token="a b"),
        lambda: Identity("a b"),
        lambda: Identity("a", "x y"),
        lambda: Identity("a", "a:b", {"info": "x"}),
        lambda: Privacy([]),
        lambda: Privacy(["a;b"]),
        lambda: LanguageRange("en_GB"),
        lambda: NetworkName("a b"),
    ],
)
def test_what_an_application_cannot_send_is_refused(make: Callable[[], object]) -> None:
    """D-41: no CRLF from application input reaches the wire; the caller's mistakes raise at once."""
    with pytest.raises(ArgumentError):
        make()


cuts = st.sampled_from(
    ['"', "\\", ",", ";", "=", "<", ">", "(", ")", " ", "\t", "\r\n", "\0", "a", "1", "@", ":", "[", "é", ""]
)


@pytest.mark.accepts("C4")
@given(st.sampled_from(CASES), st.lists(st.tuples(st.integers(0, 80), st.integers(0, 3), cuts), max_size=3))
def test_a_damaged_header_reads_or_is_malformed(
    case: tuple[str, str], wounds: list[tuple[int, int, str]]
) -> None:
    """Strangers' input raises one thing, MalformedMessage; what reads means the same when written."""
    name, row = case
    for at, length, put in wounds:
        row = row[:at] + put + row[at + length :]
    header = HEADERS[name]
    try:
        values = values_of(name, row)
    except MalformedMessage as error:
        if error.status == 400:
            return
        raise
    for value in values:
        text = str(value)
        assert header.parse(text) == value
        assert str(header.parse(text)) == text


@given(st.sampled_from(sorted(HEADERS)), st.text(max_size=30))
def test_any_text_reads_or_is_malformed(name: str, row: str) -> None:
    """Strangers' input raises one thing, MalformedMessage."""
    try:
        HEADERS[name].read([row])
    except MalformedMessage as error:
        if error.status != 400:
            raise
