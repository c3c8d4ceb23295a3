"""Registrations: arguments, legality, the context, what is sent and what a 2xx must say."""

from __future__ import annotations

from typing import Any

import pytest
from registration_scene import ALICE, BOB, Town, answer_later

from sipactors.client import (
    Connection,
    InviteUsage,
    MessageElements,
    Refresh,
    RegistrationBinding,
    RequestElements,
)
from sipactors.errors import (
    AlreadyExists,
    ArgumentError,
    InvalidContact,
    InvalidRegistrarResponse,
    InvalidRegistrationState,
    InvalidURIType,
    MalformedMessage,
    RegistrationExpired,
    RequestPending,
    ResourceNotAvailable,
    TransactionTimeout,
    TransportFailure,
)
from sipactors.message import Address


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.mark.accepts("F1", "B5")
@pytest.mark.parametrize(
    ("aor", "contact", "how", "error"),
    [
        ("sip:example.com", None, {}, ArgumentError),
        ("<sip:alice@example.com>;tag=1", None, {}, ArgumentError),
        ("sip:alice@example.com?Subject=x", None, {}, ArgumentError),
        ("tel:+358401234567", None, {}, InvalidURIType),
        ("nonsense", None, {}, ArgumentError),
        (ALICE, "sip:10.0.0.1", {}, InvalidContact),
        (ALICE, "*", {}, InvalidContact),
        (ALICE, "<sip:alice@10.0.0.1>;expires=59", {}, InvalidContact),
        (ALICE, "<sip:alice@10.0.0.1>;expires=0", {}, InvalidContact),
        (ALICE, "mailto:alice@example.com", {}, InvalidURIType),
        ("sips:alice@example.com", "sip:alice@10.0.0.1", {}, InvalidURIType),
        ("sips:alice@example.com", None, {"outbound_proxy": "sip:10.0.0.9"}, InvalidURIType),
        ("sips:alice@example.com", None, {"registrar": "sip:10.0.0.9"}, InvalidURIType),
        (ALICE, None, {"registrar": "sip:alice@example.com"}, ArgumentError),
        (ALICE, None, {"from_": "<sip:bob@example.com>;tag=2"}, ArgumentError),
    ],
)
def test_arguments_that_cannot_be_registered_are_refused(
    town: Town, aor: str, contact: Any, how: Any, error: Any
) -> None:
    """AOR with user, no tag; Contact with user, expires ≥ 60; sips AOR wants sips Contact and proxy."""
    with pytest.raises(error):
        town.binding(contact, aor=aor, **how)
    town.clock.advance(1)
    assert not town.network.capture
    assert not town.connection._children


@pytest.mark.accepts("F1")
def test_the_same_aor_and_contact_are_registered_once(town: Town) -> None:
    """The same AOR and Contact twice: AlreadyExists, until the first one is gone."""
    first = town.binding("sip:alice@10.0.0.1")
    with pytest.raises(AlreadyExists):
        town.binding("<sip:alice@10.0.0.1>;expires=100", refresh=Refresh())
    town.binding()
    with pytest.raises(AlreadyExists):
        town.binding()
    town.binding("sip:alice@10.0.0.2")
    first.close()
    again = town.binding("sip:alice@10.0.0.1")
    again.register()
    town.clock.advance(1)
    again.deregister()
    town.clock.advance(1)
    town.binding("sip:alice@10.0.0.1")
    with pytest.raises(AlreadyExists):
        again.register()


@pytest.mark.accepts("F2")
def test_what_is_legal_when(town: Town) -> None:
    """Register when unregistered, update and deregister when registered, else InvalidRegistrationState."""
    binding = town.binding()
    for call in (binding.update, binding.deregister):
        with pytest.raises(InvalidRegistrationState):
            call()
    first = binding.register()
    with pytest.raises(RequestPending):
        binding.register()
    town.clock.advance(1)
    with pytest.raises(InvalidRegistrationState):
        binding.register()
    second = binding.update()
    with pytest.raises(RequestPending):
        binding.deregister()
    town.clock.advance(1)
    third = binding.deregister()
    with pytest.raises(InvalidRegistrationState):
        binding.update()
    town.clock.advance(1)
    assert town.events() == [
        ("registration_response_received", transaction, binding) for transaction in (first, second, third)
    ]
    assert len(town.sent()) == 3


@pytest.mark.accepts("F2")
def test_one_register_of_an_aor_at_a_time(town: Town) -> None:
    """RFC 3261 §10.2: no new registration until there is a final response to the previous one."""
    kept: list[Any] = []
    one, two = town.binding("sip:alice@10.0.0.1"), town.binding("sip:alice@10.0.0.1:5062")
    other = town.binding(aor=BOB)
    town.office.answers = [answer_later(kept)]
    one.register()
    fetch = RequestElements(from_=ALICE)
    for call in (two.register, lambda: town.connection.fetch_registrations(fetch)):
        with pytest.raises(RequestPending):
            call()
    other.register()
    town.clock.advance(1)
    kept[0].answer(200, town.office.keep(kept[0].request))
    town.clock.advance(1)
    two.register()
    town.clock.advance(1)
    assert (one.context_active, two.context_active, other.context_active) == (True, True, True)


@pytest.mark.accepts("F2", "A17", "B5")
def test_contact_and_expires_in_elements_are_refused(town: Town) -> None:
    """Contact or Expires in elements: MalformedMessage, with nothing sent."""
    binding = town.binding()
    for name, value in (("Contact", "<sip:x@10.0.0.1>"), ("m", "<sip:x@10.0.0.1>"), ("Expires", "100")):
        with pytest.raises(MalformedMessage):
            binding.register(MessageElements([(name, value)]))
        with pytest.raises(MalformedMessage):
            town.connection.fetch_registrations(RequestElements(from_=ALICE, headers=[(name, value)]))
    with pytest.raises(ArgumentError):
        binding.register(MessageElements([("Authorization", "Digest username=x")]))
    town.clock.advance(1)
    assert not town.network.capture
    binding.register()
    town.clock.advance(1)
    assert binding.context_active


@pytest.mark.accepts("F3")
def test_the_context_is_active_after_a_valid_2xx_only(town: Town) -> None:
    """Active only after a valid 2xx; until then requests and usages cannot use it."""
    kept: list[Any] = []
    binding = town.binding()
    message = RequestElements(BOB, "MESSAGE")

    def refused() -> bool:
        for call in (
            lambda: town.connection.send_request(message, context=binding),
            lambda: InviteUsage.outgoing(town.connection, BOB, context=binding),
        ):
            with pytest.raises(InvalidRegistrationState):
                call()
        return not binding.context_active

    assert refused()
    town.office.answers = [answer_later(kept)]
    binding.register()
    town.clock.advance(1)
    assert refused()
    kept[0].answer(200, town.office.keep(kept[0].request))
    town.clock.advance(1)
    assert binding.context_active
    town.connection.send_request(message, context=binding)
    town.clock.advance(1)
    assert town.sent("MESSAGE")[0].from_.uri == Address(ALICE).uri
    binding.deregister()
    assert refused()


@pytest.mark.accepts("F3", "F7")
def test_requests_and_usages_go_by_the_proxy_and_the_service_route(town: Town) -> None:
    """RFC 3608 §6.1: the service route is the preloaded route of requests, after the proxy."""
    town.office.headers = [
        ("Service-Route", "<sip:hop.example.com;lr>"),
        ("Service-Route", "<sip:orig@home.example.com;lr>"),
        ("P-Associated-URI", '"Alice" <sip:alice.smith@example.com>, <tel:+358401234567>'),
    ]
    binding = town.registered(outbound_proxy="sip:10.0.0.9;lr")
    assert [str(each) for each in binding.service_route] == [
        "<sip:hop.example.com;lr>",
        "<sip:orig@home.example.com;lr>",
    ]
    assert [str(each.uri) for each in binding.associated_uris] == [
        "sip:alice.smith@example.com",
        "tel:+358401234567",
    ]
    town.connection.send_request(RequestElements(BOB, "MESSAGE"), context=binding)
    usage = InviteUsage.outgoing(town.connection, BOB, context=binding)
    usage.invite()
    town.clock.advance(0.2)
    assert [request.method for request in town.office.requests] == ["MESSAGE", "INVITE"]
    for request in town.office.requests:
        assert [str(route) for route in request.routes] == [
            "<sip:10.0.0.9;lr>",
            "<sip:hop.example.com;lr>",
            "<sip:orig@home.example.com;lr>",
        ]
        assert str(request.from_.uri) == "sip:alice.smith@example.com"
        assert request.uri_text == BOB


@pytest.mark.accepts("F3")
def test_a_proxy_that_begins_the_service_route_stands_once(town: Town) -> None:
    """RFC 3608 §6.1: a service route that begins with the outbound proxy needs no second one before it."""
    town.office.headers = [("Service-Route", "<sip:10.0.0.9;lr>, <sip:home.example.com;lr>")]
    binding = town.registered(outbound_proxy="sip:10.0.0.9")
    assert [str(each) for each in binding.route] == ["<sip:10.0.0.9;lr>", "<sip:home.example.com;lr>"]
    assert [str(each) for each in binding.registrar_route] == ["<sip:10.0.0.9;lr>"]


@pytest.mark.accepts("F5")
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Contact", "<sip:alice@10.0.0.2:5060>;expires=100")],
        [("Contact", "<sip:bob@10.0.0.1:5060>;expires=100")],
        [("Contact", "<sip:alice@10.0.0.1>;expires=100")],
        [("Contact", "<sip:alice@10.0.0.1:5060;transport=tcp>;expires=100")],
        [("Contact", "<sip:alice@10.0.0.1:5060>;expires=0")],
        [("Contact", "<sip:alice@10.0.0.1:5060>"), ("Expires", 0)],
        [("Contact", "<sip:alice@10.0.0.1:5060>"), ("Expires", "soon")],
        [("Contact", "*")],
        [("Contact", "<sip:alice@10.0.0.1:5060")],
        [("Contact", "<sip:alice@10.0.0.1:5060>;expires=100"), ("Service-Route", "x")],
    ],
)
def test_a_2xx_that_does_not_confirm_the_binding_is_invalid(town: Town, headers: Any) -> None:
    """RFC 3261 §10.2.4: the 2xx lists the binding, found by the comparison rules of §19.1.4."""
    town.office.answers = [(200, headers)]
    binding = town.binding(refresh=Refresh())
    transaction = binding.register()
    town.clock.advance(1)
    [(name, error, which, told)] = town.events()
    assert (name, type(error), which, told) == (
        "registration_failed",
        InvalidRegistrarResponse,
        binding,
        transaction,
    )
    assert not binding.context_active
    assert transaction.response.status == 200
    assert town.times(10000) == []


@pytest.mark.accepts("F5")
def test_a_2xx_for_another_aor_is_invalid(town: Town) -> None:
    """F5: To is the AOR."""
    binding = town.binding()
    town.network.alter("SIP/2.0 200", lambda data: data.replace(b"To: <sip:alice@", b"To: <sip:carol@"))
    binding.register()
    town.clock.advance(1)
    assert [type(event[1]) for event in town.events()] == [InvalidRegistrarResponse]
    assert not binding.context_active


@pytest.mark.accepts("F5")
def test_a_contact_is_found_among_others_by_full_uri_equality(town: Town) -> None:
    """RFC 3261 §19.1.4: hosts are compared without case, unknown parameters may be missing."""
    town.office.answers = [
        (
            200,
            [
                ("Contact", "<sip:alice@192.0.2.9>;expires=10, <tel:+35840>;expires=20"),
                ("m", '"Me" <sip:%61lice@PHONE.example.com;Foo=bar>;q=0.5;expires=300'),
            ],
        )
    ]
    binding = town.binding("<sip:alice@phone.example.com;foo=BAR>;q=0.7")
    binding.register()
    town.clock.advance(1)
    assert binding.context_active
    assert binding.registered_contact.expires == 300
    assert binding.expires_at == pytest.approx(300, abs=0.1)


@pytest.mark.accepts("F6")
def test_an_expiry_that_is_too_brief_is_asked_for_again(town: Town) -> None:
    """RFC 3261 §10.2.8: after a 423 the UA may retry with an expiry of at least Min-Expires."""
    town.office.answers = [(423, [("Min-Expires", 3600)])]
    binding = town.binding("<sip:alice@10.0.0.1>;expires=60", refresh=Refresh())
    transaction = binding.register()
    town.clock.advance(1)
    requests = town.sent()
    assert [(each.get("Expires"), each.contacts[0].expires) for each in requests] == [
        ("60", 60),
        ("3600", 3600),
    ]
    assert [each.cseq.number for each in requests] == [1, 2]
    assert town.events() == [("registration_response_received", transaction, binding)]
    town.clock.advance(3001)
    assert [each.get("Expires") for each in town.sent()] == ["3600"]


@pytest.mark.accepts("F6")
def test_423_loops_are_capped(town: Town) -> None:
    """D-34: 423 loops are capped; the application then has the 423."""
    town.office.answers = [(423, [("Min-Expires", 4000 + each)]) for each in range(20)]
    binding = town.binding()
    transaction = binding.register()
    town.clock.advance(60)
    assert len(town.sent()) == 4
    assert town.events() == [("registration_response_received", transaction, binding)]
    assert transaction.response.status == 423
    town.office.answers = [(423, [("Min-Expires", 10)])]
    binding.register()
    town.clock.advance(1)
    assert len(town.sent()) == 1


@pytest.mark.accepts("F8")
def test_one_call_id_and_cseq_for_each_registrar(town: Town) -> None:
    """RFC 3261 §10.2: one Call-ID for all registrations to a registrar, and CSeq grows by one for each."""
    first = town.registered("sip:alice@10.0.0.1", refresh=Refresh())
    requests = []
    second = town.binding("sip:alice@10.0.0.1:5062", refresh=Refresh())
    second.register()
    town.clock.advance(1)
    third = town.binding(aor=BOB)
    third.register()
    town.clock.advance(1)
    first.update()
    town.clock.advance(1)
    town.connection.fetch_registrations(RequestElements(from_=ALICE))
    town.clock.advance(3600)
    requests = town.sent()
    assert {each.call_id for each in requests} == {requests[0].call_id}
    assert [each.cseq.number for each in requests] == list(range(2, 2 + len(requests)))
    elsewhere = town.binding("sip:alice@10.0.0.1:5063", registrar="sip:10.0.0.9")
    elsewhere.register()
    town.clock.advance(1)
    [request] = town.sent()
    assert request.call_id != requests[0].call_id
    assert request.cseq.number == 1


@pytest.mark.accepts("F9")
@pytest.mark.parametrize(
    ("contact", "registrar", "sent"),
    [
        (None, "sip:10.0.0.9", "<sip:alice@10.0.0.1:5060>"),
        (None, "sip:10.0.0.9;transport=tcp", "<sip:alice@10.0.0.1:5060;transport=tcp>"),
        (None, "sip:[2001:db8::9]", "<sip:alice@[2001:db8::1]:5060>"),
        ("sip:ann@localhost", "sip:10.0.0.9", "<sip:ann@10.0.0.1:5060>"),
        (
            '"Ann" <sip:ann@localhost;ob>;q=0.5;+sip.instance="<urn:x>"',
            "sip:[2001:db8::9]",
            'Ann <sip:ann@[2001:db8::1]:5060;ob>;q=0.5;+sip.instance="<urn:x>"',
        ),
        ("sip:alice@[::]", "sip:[2001:db8::9]", "<sip:alice@[2001:db8::1]:5060>"),
        ("sip:alice@phone.example.com:5999", "sip:10.0.0.9", "<sip:alice@phone.example.com:5999>"),
    ],
)
def test_the_host_of_the_contact_is_filled_in(town: Town, contact: Any, registrar: str, sent: str) -> None:
    """F9: the host is filled in from the flow, IPv6 in brackets; a host that was given stays."""
    binding = town.binding(contact, registrar=registrar)
    binding.register()
    town.clock.advance(1)
    [request] = town.sent()
    assert request.get("Contact") == sent
    assert binding.context_active
    assert binding.registered_contact.uri == Address.parse(sent).uri


@pytest.mark.accepts("F9")
def test_the_address_that_the_registrar_saw_is_used_when_asked() -> None:
    """RFC 3581 §4: received and rport tell the address behind a NAT; the Contact then names it."""
    town = Town(contact_from_received=True)

    def nat(data: bytes) -> bytes:
        return data.replace(b"rport=5060", b"rport=40000").replace(
            b"received=10.0.0.1", b"received=192.0.2.7"
        )

    town.network.alter("SIP/2.0 200", nat, times=None)
    binding = town.binding(refresh=Refresh())
    transaction = binding.register()
    town.clock.advance(1)
    assert [each.get_all("Contact") for each in town.sent()] == [
        ["<sip:alice@10.0.0.1:5060>"],
        ["<sip:alice@192.0.2.7:40000>", "<sip:alice@10.0.0.1:5060>;expires=0"],
    ]
    assert town.events() == [("registration_response_received", transaction, binding)]
    assert str(binding.registered_contact.uri) == "sip:alice@192.0.2.7:40000"
    assert list(town.office.bindings[ALICE]) == ["sip:alice@192.0.2.7:40000"]
    InviteUsage.outgoing(town.connection, BOB, context=binding).invite()
    town.clock.advance(0.1)
    assert town.sent("INVITE")[0].get("Contact") == "<sip:alice@192.0.2.7:40000>"
    town.clock.advance(3000)
    assert [each.get_all("Contact") for each in town.sent()] == [["<sip:alice@192.0.2.7:40000>"]]


@pytest.mark.accepts("F7")
def test_a_service_route_that_changes_on_refresh_is_registered_anew(town: Town) -> None:
    """Service-Route: kept, used; changed on refresh -> registered anew, once and silently."""
    town.office.headers = [("Service-Route", "<sip:one.example.com;lr>")]
    binding = town.refreshed()
    town.office.headers = [("Service-Route", "<sip:two.example.com;lr>")]
    assert town.times(3001) == pytest.approx([2999, 2999], abs=0.1)
    assert [str(each) for each in binding.route] == ["<sip:two.example.com;lr>"]
    assert town.events() == []
    assert town.times(3000) == pytest.approx([2998], abs=0.2)


def test_the_elements_of_register_are_in_every_refresh(town: Town) -> None:
    """What an application says of itself holds for refreshes too, until it says something else."""
    binding = town.binding(refresh=Refresh())
    binding.register(MessageElements({"Supported": "path", "X-Phone": "1"}))
    town.clock.advance(3001)
    binding.update(elements=MessageElements({"X-Phone": "2"}))
    town.clock.advance(3001)
    shown = [(each.get("Supported"), each.get("X-Phone")) for each in town.sent()]
    assert shown == [("path", "1"), ("path", "1"), (None, "2"), (None, "2")]


def test_expires_is_what_the_contact_says_or_an_hour_or_left_to_the_registrar(town: Town) -> None:
    """RFC 3261 §10.2.1.1: the expiry is asked for by header or parameter, else the server chooses."""
    town.registered()
    town.registered("<sip:alice@10.0.0.1:5070>;expires=300")
    free = town.registered("sip:alice@10.0.0.1:5071", send_expires=False)
    assert free.expires_at == pytest.approx(3600, abs=4)
    free.update(expires=200)
    town.clock.advance(1)
    town.binding("sip:alice@10.0.0.1:5072", send_expires=False).register()
    town.clock.advance(1)
    shown = [(each.get("Expires"), each.get("Contact")) for each in town.sent()]
    assert shown == [
        ("200", "<sip:alice@10.0.0.1:5071>"),
        (None, "<sip:alice@10.0.0.1:5072>"),
    ]
    with pytest.raises(ArgumentError):
        free.update(expires=0)


def test_a_third_party_registers(town: Town) -> None:
    """RFC 3261 §10.2: From is the person responsible for the registration, To the one who is registered."""
    town.binding("sip:alice@192.0.2.55", from_="Secretary <sip:sec@example.com>").register()
    town.clock.advance(1)
    [request] = town.sent()
    assert str(request.from_.uri) == "sip:sec@example.com"
    assert (request.from_.display_name, request.to.uri) == ("Secretary", Address(ALICE).uri)
    assert request.uri_text == "sip:example.com"


@pytest.mark.accepts("F13")
@pytest.mark.parametrize("answer", [200, 403, 500, 503, None])
def test_any_outcome_of_a_deregistration_removes_the_binding(town: Town, answer: int | None) -> None:
    """Any final answer or error removes it."""
    binding = town.refreshed()
    refresh = binding.refresh
    if answer is None:
        town.network.black_hole(town.network.hosts["alice"], town.network.hosts["office"])
    town.office.answers = [answer]
    transaction = binding.deregister()
    assert (binding.context_active, refresh.state) == (False, "TERMINATED")
    town.clock.advance(33)
    [event] = town.events()
    if answer is None:
        assert (event[0], type(event[1])) == ("registration_failed", TransactionTimeout)
        assert event[2:] == (binding, transaction)
    else:
        assert event == ("registration_response_received", transaction, binding)
        [request] = town.sent()
        assert (request.get("Expires"), request.contacts[0].expires) == ("0", 0)
    assert town.times(10000) == []
    assert not town.connection._children
    town.network.heal()
    binding.refresh = Refresh()
    binding.register()
    town.clock.advance(1)
    assert binding.context_active
    assert town.times(3000) == pytest.approx([2999], abs=0.1)


@pytest.mark.accepts("F12")
def test_an_expiry_without_refresh_is_told(town: Town) -> None:
    """F12: a callback, and the context goes inactive."""
    binding = town.registered()
    town.clock.advance(3598)
    assert town.events() == []
    town.clock.advance(2)
    [(name, error, which, transaction)] = town.events()
    assert (name, type(error), which, transaction) == (
        "registration_failed",
        RegistrationExpired,
        binding,
        None,
    )
    assert (binding.context_active, binding.expires_at, binding.registered_contact) == (False, None, None)
    binding.register()
    town.clock.advance(1)
    assert binding.context_active


@pytest.mark.accepts("A14", "A16")
def test_close_sends_nothing_and_shutdown_unregisters(town: Town) -> None:
    """`close()` sends nothing; `shutdown()` un-REGISTERs, what is pending included."""
    closed = town.refreshed()
    closed.close()
    closed.close()
    for call in (closed.register, closed.update, closed.deregister, lambda: closed.route):
        with pytest.raises(ResourceNotAvailable):
            call()
    town.refreshed()
    town.registered("sip:alice@10.0.0.1:5062")
    pending = town.binding(aor=BOB)
    pending.register()
    done: list[Any] = []
    town.connection.shutdown().addCallback(done.append)
    town.clock.advance(1)
    assert sorted((each.to.uri.user, each.get("Expires")) for each in town.sent()) == [
        ("alice", "0"),
        ("alice", "0"),
        ("bob", "0"),
        ("bob", "3600"),
    ]
    assert done == [None]
    assert town.office.bindings[BOB] == {}
    assert town.connection.closed
    town.clock.advance(64)
    assert town.clock.getDelayedCalls() == []


@pytest.mark.accepts("A9", "A14")
def test_a_connection_that_goes_inactive_ends_registrations_silently(town: Town) -> None:
    """All children terminated first, then one `connection_state_changed`; no per-object errors."""
    binding = town.refreshed()
    kept: list[Any] = []
    town.office.answers = [answer_later(kept)]
    town.connection.fetch_registrations(RequestElements(from_=BOB))
    town.alice.access("lan").stop()
    assert town.events() == [("connection_state_changed", "INACTIVE")]
    assert binding.closed
    with pytest.raises(TransportFailure):
        town.binding().register()
    town.clock.advance(1)
    town.alice.access("lan").start()
    town.connection.fetch_registrations(RequestElements(from_=BOB))
    again = town.binding("sip:alice@localhost")
    again.register()
    town.clock.advance(1)
    assert again.context_active
    town.connection.close()
    with pytest.raises(ResourceNotAvailable):
        again.update()
    with pytest.raises(ResourceNotAvailable):
        town.binding("sip:alice@localhost")


def test_an_observer_of_its_own_gets_the_events(town: Town) -> None:
    """Every usage, binding and stand-alone transaction takes an `observer=` of its own."""
    from sipactors.interfaces import IConnectionObserver

    own = town.recorder.observe(IConnectionObserver, "own")
    binding = town.binding(observer=own)
    binding.register()
    town.connection.fetch_registrations(RequestElements(from_=BOB), observer=own)
    town.clock.advance(1)
    assert sorted((event.who, event.name) for event in town.recorder.take()) == [
        ("own", "registration_response_received"),
        ("own", "response_received"),
    ]


@pytest.mark.accepts("A18")
def test_an_observer_that_raises_changes_nothing(town: Town) -> None:
    """Logged, contained; the stack's state is intact."""
    from sipactors.interfaces import IConnectionObserver

    broken = town.recorder.observe(IConnectionObserver, "broken", raises=True)
    binding = town.binding(observer=broken, refresh=Refresh())
    binding.register()
    town.clock.advance(3001)
    town.office.answers = [403]
    town.clock.advance(3001)
    assert town.names() == ["registration_response_received", "registration_failed"]
    assert not binding.context_active
    assert town.alice.metrics.observer_errors == 2


def test_closing_inside_its_own_callback_works(town: Town) -> None:
    """Row A15: closing inside a callback works."""
    from sipactors.interfaces import IConnectionObserver

    then: dict[str, Any] = {"registration_response_received": lambda t, b: town.connection.close()}
    observer = town.recorder.observe(IConnectionObserver, "closing", then=then)
    town.office.headers = [("Service-Route", "<sip:one.example.com;lr>")]
    binding = RegistrationBinding(town.connection, ALICE, refresh=Refresh(), observer=observer)
    binding.register()
    town.clock.advance(1)
    assert binding.closed
    assert town.names() == ["registration_response_received"]
    assert isinstance(binding.connection, Connection)


@pytest.mark.accepts("F3")
def test_context_ids_differ(town: Town) -> None:
    """`.context_id` names a context."""
    assert town.binding().context_id != town.binding(aor=BOB).context_id
