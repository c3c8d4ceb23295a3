"""The registration flows of RFC 3665 §2, message by message."""

from __future__ import annotations

from typing import Any

import pytest
from registration_scene import ALICE, BOB, Town

from sipactors.client import Digest, Login, ProtectionDomain, Refresh, RequestElements
from sipactors.errors import ArgumentError, Forbidden, RequestPending, TransactionTimeout
from sipactors.interfaces import IDigestChallengeObserver


class Guarded(Town):
    """The office wants Bob's password for every REGISTER."""

    def __init__(self) -> None:
        super().__init__()
        self.domain = ProtectionDomain(
            self.office_stack, "atlanta.example.com", lambda user, realm, base: "secret"
        )
        usual = self.office.request_received

        def guarded(transaction: Any) -> None:
            if self.domain.admit(transaction) is not None:
                usual(transaction)

        self.office.request_received = guarded  # type: ignore[method-assign]

    def password(self, password: str) -> Digest:
        """What Bob types in when he is asked."""
        observer = self.recorder.observe(
            IDigestChallengeObserver,
            "digest",
            then={"challenge_received": lambda source: Login("bob", password)},
        )
        return Digest(self.client, observer)


@pytest.fixture
def town() -> Guarded:
    return Guarded()


def registered(town: Guarded) -> Any:
    """RFC 3665 §2.1, up to its end."""
    town.password("secret")
    binding = town.binding(aor=BOB)
    transaction = binding.register()
    town.clock.advance(1)
    assert town.events() == [
        ("challenge_received", transaction),
        ("registration_response_received", transaction, binding),
    ]
    return binding


@pytest.mark.accepts("F3", "I1")
def test_successful_new_registration(town: Guarded) -> None:
    """RFC 3665 §2.1: REGISTER, 401, REGISTER with credentials, 200 with the Contact list."""
    registered(town)
    assert town.ladder("CSeq", "Contact", "Expires") == (
        "alice -> office  REGISTER sip:example.com  CSeq: 1 REGISTER"
        "  Contact: <sip:bob@10.0.0.1:5060>  Expires: 3600\n"
        "office -> alice  401 Unauthorized  CSeq: 1 REGISTER\n"
        "alice -> office  REGISTER sip:example.com  CSeq: 2 REGISTER"
        "  Contact: <sip:bob@10.0.0.1:5060>  Expires: 3600\n"
        "office -> alice  200 OK  CSeq: 2 REGISTER  Contact: <sip:bob@10.0.0.1:5060>;expires=3600"
    )


@pytest.mark.accepts("F1")
def test_update_of_contact_list(town: Guarded) -> None:
    """RFC 3665 §2.2: another Contact is added; the 200 lists both."""
    registered(town)
    town.forget()
    town.binding("sip:bob@192.0.2.4", aor=BOB).register()
    town.clock.advance(1)
    assert town.ladder("CSeq", "Contact") == (
        "alice -> office  REGISTER sip:example.com  CSeq: 3 REGISTER  Contact: <sip:bob@192.0.2.4>\n"
        "office -> alice  200 OK  CSeq: 3 REGISTER  Contact: <sip:bob@10.0.0.1:5060>;expires=3600"
        "  Contact: <sip:bob@192.0.2.4>;expires=3600"
    )


@pytest.mark.accepts("F8")
def test_request_for_current_contact_list(town: Guarded) -> None:
    """RFC 3665 §2.3: a REGISTER without Contact; the 200 has the current list."""
    registered(town)
    town.forget()
    transaction = town.connection.fetch_registrations(RequestElements(from_=BOB))
    town.clock.advance(1)
    assert town.ladder("CSeq", "Contact", "Expires", "To") == (
        "alice -> office  REGISTER sip:example.com  CSeq: 3 REGISTER  To: <sip:bob@example.com>\n"
        "office -> alice  200 OK  CSeq: 3 REGISTER  Contact: <sip:bob@10.0.0.1:5060>;expires=3600"
        f"  To: <sip:bob@example.com>;tag={transaction.response.to_tag}"
    )
    assert town.events() == [("response_received", transaction)]
    assert [contact.expires for contact in transaction.response.contacts] == [3600]


@pytest.mark.accepts("F13")
def test_cancellation_of_registration(town: Guarded) -> None:
    """RFC 3665 §2.4: Expires 0 removes it. We remove our own Contact only: "*" would remove others' too."""
    binding = registered(town)
    town.forget()
    transaction = binding.deregister()
    town.clock.advance(1)
    assert town.ladder("CSeq", "Contact", "Expires") == (
        "alice -> office  REGISTER sip:example.com  CSeq: 3 REGISTER"
        "  Contact: <sip:bob@10.0.0.1:5060>;expires=0  Expires: 0\n"
        "office -> alice  200 OK  CSeq: 3 REGISTER"
    )
    assert town.events() == [("registration_response_received", transaction, binding)]
    assert town.office.bindings[BOB] == {}


@pytest.mark.accepts("I5")
def test_unsuccessful_registration(town: Guarded) -> None:
    """RFC 3665 §2.5: the credentials are refused with another 401, and are not sent again."""
    town.password("wrong")
    binding = town.binding(aor=BOB, refresh=Refresh())
    transaction = binding.register()
    town.clock.advance(1)
    assert town.ladder("CSeq") == (
        "alice -> office  REGISTER sip:example.com  CSeq: 1 REGISTER\n"
        "office -> alice  401 Unauthorized  CSeq: 1 REGISTER\n"
        "alice -> office  REGISTER sip:example.com  CSeq: 2 REGISTER\n"
        "office -> alice  401 Unauthorized  CSeq: 2 REGISTER"
    )
    name, error, *rest = town.events()[-1]
    assert (name, type(error), rest) == ("registration_failed", Forbidden, [binding, transaction])
    assert transaction.response.status == 401
    assert town.times(5000) == []


def test_fetching_for_somebody_else_and_elsewhere() -> None:
    """RFC 3261 §10.2: To is who is registered, From who asks; the Request-URI names the registrar."""
    town = Town()
    elements = RequestElements("sip:10.0.0.9", to=ALICE, from_=BOB)
    transaction = town.connection.fetch_registrations(elements)
    with pytest.raises(RequestPending):
        town.connection.fetch_registrations(elements)
    town.clock.advance(1)
    [request] = town.sent()
    assert (request.uri_text, str(request.to.uri), str(request.from_.uri)) == ("sip:10.0.0.9", ALICE, BOB)
    assert transaction.response.status == 200
    binding = town.registered(aor=BOB, outbound_proxy="sip:10.0.0.9")
    town.connection.fetch_registrations(RequestElements(to=ALICE), context=binding)
    town.clock.advance(1)
    [request] = town.sent()
    assert (str(request.from_.uri), request.get("Route")) == (BOB, "<sip:10.0.0.9;lr>")
    for wrong in (RequestElements(), RequestElements("sip:10.0.0.9", "OPTIONS", from_=ALICE)):
        with pytest.raises(ArgumentError):
            town.connection.fetch_registrations(wrong)
    town.forget()
    town.network.black_hole(town.network.hosts["alice"], town.network.hosts["office"])
    transaction = town.connection.fetch_registrations(RequestElements(from_=ALICE))
    town.clock.advance(33)
    [(name, error, which)] = town.events()
    assert (name, type(error), which) == ("transaction_failed", TransactionTimeout, transaction)
    town.connection.fetch_registrations(RequestElements(from_=ALICE)).close()
    town.connection.fetch_registrations(RequestElements(from_=ALICE))
