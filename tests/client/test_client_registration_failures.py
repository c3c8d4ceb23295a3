"""Registrations that fail: waiting times, other addresses, dead proxies, lost flows; what is told."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from registration_scene import ALICE, BOB, Town, answer_later

from sipactors.client import (
    Capabilities,
    Connection,
    Digest,
    InviteUsage,
    ProtectionDomain,
    Refresh,
    RegistrationBinding,
    RequestElements,
    SIPClient,
)
from sipactors.client.backoff import Backoff
from sipactors.dice import Dice
from sipactors.errors import (
    AlreadyExists,
    Forbidden,
    ICMPFailure,
    InvalidRegistrarResponse,
    OutboundProxyNotResponding,
    RegistrationExpired,
    TerminatedWithResponse,
    TransactionTimeout,
    TransportFailure,
)
from sipactors.locating import SRV, Target
from sipactors.message import Request

PROXY = "sip:10.0.0.9;lr"


@pytest.fixture
def town() -> Town:
    return Town()


class Loaded(Dice):
    """Dice that always fall the same."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.fraction = fraction

    def random(self) -> float:
        return self.fraction


def cut(town: Town) -> None:
    """Nothing of Alice's arrives any more."""
    town.network.black_hole(town.network.hosts["alice"], town.network.hosts["office"])


@pytest.mark.accepts("F15")
def test_waiting_times_double_to_half_an_hour_and_the_dice_leave_half_of_them_or_more() -> None:
    """min(30·2^n, 1800) s × 50–99 %, reset on success; Retry-After obeyed, for a day at most."""
    for fraction in (0.0, 0.5, 1.0):
        backoff = Backoff(Loaded(fraction))
        scale = 0.5 + 0.49 * fraction
        waits = [backoff.failed(None) / scale for _ in range(12)]
        assert waits == pytest.approx([30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800, 1800, 1800])
        backoff.succeeded()
        assert backoff.failed(None) == pytest.approx(30 * scale)
        assert backoff.failed(None, 400.0) == 400
        assert backoff.failed(None, 1.0) == pytest.approx(120 * scale)


@pytest.mark.accepts("F15")
def test_waiting_times_are_spread() -> None:
    """D-34: no re-registration storm after a server restart (jitter)."""
    waits = sorted(Backoff(Dice()).failed(None) for _ in range(500))
    assert 15 <= waits[0] < 16
    assert 28.7 < waits[-1] < 29.7
    assert all(late - early < 1 for early, late in itertools.pairwise(waits))


@pytest.mark.accepts("F15")
def test_after_nine_tries_at_one_address_it_is_given_up() -> None:
    """Nine tries per address, then the next address."""
    backoff = Backoff(Dice())
    one, other = Target("UDP", "10.0.0.9", 5060, "x"), Target("UDP", "10.0.0.8", 5060, "x")
    for _ in range(8):
        backoff.failed(one)
        assert backoff.exhausted is None
    backoff.failed(one)
    assert backoff.exhausted == one
    backoff.failed(other)
    assert backoff.exhausted is None


@pytest.mark.accepts("F15")
@pytest.mark.parametrize("failure", [408, 480, 500, 503, 504, (486, [("Retry-After", 20)]), None])
def test_one_failed_refresh_does_not_end_a_registration(town: Town, failure: Any) -> None:
    """D-33: one failed refresh does not end it; back-off; silent as long as the registration holds."""
    binding = town.refreshed()
    silent = failure in (None, 408)  # RFC 4320 §4.2: a 408 to a non-INVITE is not sent.
    if failure is None:
        cut(town)
    town.office.answers = [failure]
    assert town.times(3012) == pytest.approx([2999], abs=0.1)
    if silent:
        town.clock.advance(25)
        town.network.heal()
    [again] = town.times(30)
    # Timer F is 32 s; then 50 to 99 % of 30 s.
    assert 14 <= again + (3037 - 3031 if silent else 3012 - 2999) <= 30
    assert town.events() == []
    assert binding.context_active
    assert len(town.times(3100)) == 1


@pytest.mark.accepts("F15")
def test_retry_after_is_obeyed(town: Town) -> None:
    """RFC 3261 §20.33: Retry-After says how long the service is expected to be unavailable."""
    binding = town.refreshed()
    town.office.answers = [(503, [("Retry-After", "200 (back soon);duration=10")])]
    assert town.times(3300) == pytest.approx([2999, 3199], abs=0.1)
    assert town.events() == []
    assert binding.context_active


@pytest.mark.accepts("F15", "F12")
def test_a_registration_that_cannot_be_refreshed_expires_and_comes_back(town: Town) -> None:
    """The context goes inactive with the granted time, the tries go on, and the comeback is told."""
    town.office.grant = 100
    binding = town.refreshed()
    cut(town)
    town.clock.advance(98)
    assert binding.context_active
    town.clock.advance(2)
    [(name, error, which, transaction)] = town.events()
    assert (name, type(error), which, transaction) == (
        "registration_failed",
        RegistrationExpired,
        binding,
        None,
    )
    assert not binding.context_active
    town.clock.advance(10000)
    assert town.events() == []
    assert binding.retry_in is None or binding.retry_in <= 1800
    town.network.heal()
    town.clock.advance(1833)
    [(name, transaction, which)] = town.events()
    assert (name, which, transaction.response.status) == ("registration_response_received", binding, 200)
    assert binding.context_active
    assert len(town.times(500)) == pytest.approx(10, abs=1)


@pytest.mark.accepts("F15")
def test_a_first_registration_with_a_refresh_is_tried_again(town: Town) -> None:
    """What may pass is told and tried again, each time later; the application may try at once, or give up."""
    town.office.answers = [503] * 4
    binding = town.binding(refresh=Refresh())
    first = binding.register()
    town.clock.advance(0.5)
    assert town.events() == [("registration_response_received", first, binding)]
    assert 15 <= binding.retry_in <= 30
    assert len(town.times(240)) == 3
    assert town.events() == []
    second = binding.register()
    town.clock.advance(1)
    assert town.events() == [("registration_response_received", second, binding)]
    assert binding.context_active
    assert binding.retry_in is None
    town.office.answers = [503, 503]
    other = town.binding(aor=BOB, refresh=Refresh())
    other.register()
    town.clock.advance(1)
    other.deregister()
    town.clock.advance(1)
    assert other.retry_in is None
    assert not any(each.to.uri.user == "bob" for each in town.sent()[7:])
    town.forget()
    town.clock.advance(2000)
    assert town.sent() == []


@pytest.mark.accepts("F15")
def test_a_first_registration_without_a_refresh_is_not_tried_again(town: Town) -> None:
    """Without a refresh the application decides."""
    cut(town)
    binding = town.binding()
    transaction = binding.register()
    town.clock.advance(40)
    [(name, error, which, told)] = town.events()
    assert (name, type(error), which, told) == (
        "registration_failed",
        TransactionTimeout,
        binding,
        transaction,
    )
    assert town.times(5000) == []


@pytest.mark.accepts("E7", "F15", "B4")
@pytest.mark.parametrize("status", [302, 400, 403, 404, 606])
def test_a_refresh_that_is_refused_for_good_ends_the_registration(town: Town, status: int) -> None:
    """A refresh answered 300-699 ends with TerminatedWithResponse; the response is at the refresh."""
    binding = town.refreshed()
    town.office.answers = [status]
    town.clock.advance(3100)
    [(name, error, which, transaction)] = town.events()
    assert (name, type(error), which, transaction) == (
        "registration_failed",
        TerminatedWithResponse,
        binding,
        None,
    )
    refresh = binding.refresh
    assert (refresh.state, refresh.transaction.response.status) == ("TERMINATED", status)
    assert not binding.context_active
    assert town.times(10000) == []
    assert not town.connection._children


def test_a_refresh_whose_2xx_is_invalid_ends_the_registration(town: Town) -> None:
    """F5 holds for refreshes too."""
    binding = town.refreshed()
    town.office.answers = [200]
    town.clock.advance(3100)
    [(name, error, which, transaction)] = town.events()
    assert (name, type(error), transaction) == ("registration_failed", InvalidRegistrarResponse, None)
    assert not which.context_active
    assert which is binding


def test_an_update_that_is_refused_leaves_what_was_granted(town: Town) -> None:
    """The registrar keeps what it granted before; the refresh goes on when it would have."""
    binding = town.refreshed()
    town.clock.advance(1000)
    town.office.answers = [403]
    transaction = binding.update(expires=100)
    town.clock.advance(1)
    assert town.events() == [("registration_response_received", transaction, binding)]
    assert binding.context_active
    assert town.times(3000) == pytest.approx([1998], abs=0.1)


@pytest.mark.accepts("E7", "B4")
def test_a_refresh_while_suspended_fails_and_the_network_brings_it_back(town: Town) -> None:
    """Refresh while SUSPENDED -> TransportFailure. D-32: the network changes: re-register."""
    binding = town.refreshed()
    town.connection.feed("SUSPEND", TransportFailure("no bearer"))
    assert town.names() == ["connection_state_changed"]
    town.clock.advance(3100)
    [(name, error, which, transaction)] = town.events()
    assert (name, type(error), which, transaction) == ("registration_failed", TransportFailure, binding, None)
    assert not binding.context_active
    town.connection.feed("UP")
    town.clock.advance(1)
    assert [event[0] for event in town.events()] == [
        "connection_state_changed",
        "registration_response_received",
    ]
    assert binding.context_active
    town.connection.feed("SUSPEND", TransportFailure("no bearer"))
    town.connection.feed("UP")
    town.forget()
    assert town.times(1) == [0]


@pytest.mark.accepts("F11", "B4")
def test_every_registration_of_a_lost_flow_hears_of_it(town: Town) -> None:
    """F11: flow lost: every binding that used it: TransportFailure."""
    over = {"registrar": "sip:10.0.0.9;transport=tcp"}
    one = town.refreshed(**over)
    two = town.registered(aor=BOB, **over)
    other = town.registered("sip:alice@10.0.0.1:5062")
    town.network.kill(town.network.hosts["alice"])
    town.clock.advance(0.5)
    events = town.events()
    assert [(name, type(error), transaction) for name, error, _, transaction in events] == [
        ("registration_failed", TransportFailure, None)
    ] * 2
    assert {id(event[2]) for event in events} == {id(one), id(two)}
    assert (one.context_active, two.context_active, other.context_active) == (False, False, True)
    [again] = town.times(31)
    assert 14 <= again <= 30
    assert [event[0] for event in town.events()] == ["registration_response_received"]
    assert one.context_active


@pytest.mark.accepts("F11", "B4")
def test_a_dead_proxy_is_told_to_every_registration_that_used_it(town: Town) -> None:
    """F11: proxy dead: every binding that used it: OutboundProxyNotResponding."""
    one = town.refreshed(outbound_proxy=PROXY)
    two = town.registered(aor=BOB, outbound_proxy=PROXY)
    direct = town.registered("sip:alice@10.0.0.1:5062")
    cut(town)
    usage = InviteUsage.outgoing(town.connection, BOB, context=one)
    usage.invite()
    town.clock.advance(33)
    failed = [event for event in town.events() if event[0] == "registration_failed"]
    assert [(type(error), which, transaction) for _, error, which, transaction in failed] == [
        (OutboundProxyNotResponding, one, None),
        (OutboundProxyNotResponding, two, None),
    ]
    assert (one.context_active, two.context_active, direct.context_active) == (False, False, True)
    town.network.heal()
    town.clock.advance(31)
    assert (one.context_active, two.context_active) == (True, False)


@pytest.mark.accepts("F11")
def test_a_silent_far_end_does_not_prove_that_the_proxy_is_dead(town: Town) -> None:
    """RFC 4320 §4.1: a proxy does not answer a non-INVITE for a silent server: its timeout proves nothing."""
    binding = town.refreshed(outbound_proxy=PROXY)
    town.office.answers = [answer_later([])]
    town.connection.send_request(RequestElements(BOB, "MESSAGE"), context=binding)
    town.clock.advance(40)
    assert town.names() == ["transaction_failed"]
    assert binding.context_active


@pytest.mark.accepts("F11", "B4")
def test_a_refresh_through_a_dead_proxy(town: Town) -> None:
    """The registration that finds its proxy dead says so, told once, and is tried again."""
    binding = town.refreshed(outbound_proxy=PROXY)
    cut(town)
    town.clock.advance(3040)
    [(name, error, which, transaction)] = town.events()
    assert (name, type(error), which, transaction) == (
        "registration_failed",
        OutboundProxyNotResponding,
        binding,
        None,
    )
    assert not binding.context_active
    town.clock.advance(600)
    assert town.events() == []
    first = town.binding(aor=BOB, outbound_proxy=PROXY)
    transaction = first.register()
    town.clock.advance(33)
    assert [(type(event[1]), event[2], event[3]) for event in town.events()] == [
        (OutboundProxyNotResponding, first, transaction)
    ]


@pytest.mark.accepts("F11")
def test_an_icmp_error_from_the_proxy_is_told_at_once(town: Town) -> None:
    """RFC 3261 §18.4: an ICMP error is a transport failure of the hop."""
    binding = town.refreshed(outbound_proxy=PROXY)
    direct = town.refreshed(aor=BOB)
    town.office_stack.access("lan").stop()
    town.connection.send_request(RequestElements(BOB, "MESSAGE"), context=binding)
    town.clock.advance(1)
    failed = [event for event in town.events() if event[0] == "registration_failed"]
    assert sorted((type(error).__name__, str(which.aor.uri)) for _, error, which, _ in failed) == [
        (ICMPFailure.__name__, BOB),
        (OutboundProxyNotResponding.__name__, ALICE),
    ]
    assert not binding.context_active
    assert not direct.context_active


def srv_town() -> Town:
    """A domain with two registrars: the office, and a second one at 10.0.0.8 that is less preferred."""
    town = Town()
    second = town.stack("second", "10.0.0.8")
    town.resolver.zone["example.com"] = []
    town.resolver.zone["_sip._udp.example.com"] = [
        SRV(10, 1, 5060, "a.example.com"),
        SRV(20, 1, 5060, "b.example.com"),
    ]
    town.resolver.zone["a.example.com"] = ["10.0.0.9"]
    town.resolver.zone["b.example.com"] = ["10.0.0.8"]
    served = SIPClient(second, "second", None, Capabilities(methods=("REGISTER", "MESSAGE")))
    Connection(served, "lan", town.office)
    return town


def places(town: Town) -> list[str]:
    """Where Alice's new requests went since the last look."""
    found: dict[str, str] = {}
    for packet in town.network.capture.take():
        if packet.source[0] == "10.0.0.1" and packet.data[:8] in (b"REGISTER", b"MESSAGE "):
            found.setdefault(str(packet.data.partition(b"branch=")[2][:24]), packet.destination[0])
    return list(found.values())


def test_another_server_takes_over_and_keeps_registrations_and_requests() -> None:
    """D-35: SRV failover for REGISTER and calls; stay with the server that took the registration."""
    town = srv_town()
    cut(town)
    binding = town.binding(refresh=Refresh())
    binding.register()
    town.clock.advance(33)
    assert binding.context_active
    assert places(town) == ["10.0.0.9", "10.0.0.8"]
    town.network.heal()
    town.clock.advance(4000)
    town.connection.send_request(RequestElements("sip:carol@example.com", "MESSAGE"), context=binding)
    town.clock.advance(1)
    assert places(town) == ["10.0.0.8", "10.0.0.8"]


@pytest.mark.accepts("F15")
def test_after_nine_failures_at_one_server_the_next_one_is_asked() -> None:
    """Nine tries per address, then the next address."""
    town = srv_town()
    binding = town.binding(refresh=Refresh())
    town.office.answers = [500] * 9
    binding.register()
    town.clock.advance(12000)
    assert binding.context_active
    assert places(town)[:10] == ["10.0.0.9"] * 9 + ["10.0.0.8"]


def test_the_address_of_a_proxy_is_cached_when_asked(town: Town) -> None:
    """J7: the outbound proxy's address is cached when asked; found anew when it does not respond."""
    town.resolver.zone["proxy.example.com"] = ["10.0.0.9"]
    town.resolver.ttl = 1
    binding = town.refreshed(outbound_proxy="sip:proxy.example.com", cache_proxy_address=True)
    town.resolver.zone["proxy.example.com"] = ["10.0.0.77"]
    town.resolver.asked.clear()
    town.clock.advance(3000)
    town.connection.send_request(RequestElements(BOB, "MESSAGE"), context=binding)
    town.clock.advance(1)
    assert town.names() == ["response_received"]
    assert town.resolver.asked == []
    cut(town)
    town.clock.advance(3100)
    assert town.names() == ["registration_failed"]
    assert {question.name for question in town.resolver.asked} >= {"proxy.example.com"}


def test_two_registrations_of_one_aor_refresh_one_after_the_other(town: Town) -> None:
    """RFC 3261 §10.2: the refresh that finds another REGISTER of its AOR under way has its turn later."""
    one, two = town.refreshed(), town.refreshed(contact="sip:alice@10.0.0.1:5062")
    kept: list[Any] = []
    town.clock.advance(2990)
    town.office.answers = [answer_later(kept)]
    town.clock.advance(15)
    kept[0].answer(200, town.office.keep(kept[0].request))
    town.clock.advance(15)
    assert len(town.sent()) == 2
    assert town.events() == []
    assert one.context_active
    assert two.context_active


def test_digest_answers_registers_and_refreshes(town: Town) -> None:
    """RFC 3261 §22.2: the request goes again with credentials, the same Call-ID and the next CSeq."""
    domain = ProtectionDomain(town.office_stack, "example.com", lambda user, realm, base: "secret")
    usual = town.office.request_received

    def guarded(transaction: Any) -> None:
        if domain.admit(transaction) is not None:
            usual(transaction)

    town.office.request_received = guarded  # type: ignore[method-assign]
    binding = town.binding(refresh=Refresh())
    transaction = binding.register()
    town.clock.advance(1)
    [(name, error, which, told)] = town.events()
    assert (name, type(error), which, told) == ("registration_failed", Forbidden, binding, transaction)
    assert transaction.response.status == 401
    Digest(town.client).preload("example.com", "alice", "secret")
    binding.register()
    town.clock.advance(3100)
    assert town.names() == ["registration_response_received"]
    requests = [each for each in town.messages() if isinstance(each, Request)]
    assert [each.cseq.number for each in requests] == [1, 2, 3, 4, 5]
    assert len({each.call_id for each in requests}) == 1
    # The first one, and the second one without credentials; then what is known goes along at once.
    assert [("Authorization" in each) for each in requests] == [False, False, True, True, True]
    assert binding.context_active


def test_refreshing_again_needs_the_last_refresh_to_have_ended(town: Town) -> None:
    """A registration has one refresh at a time."""
    binding = town.refreshed()
    with pytest.raises(AlreadyExists):
        binding.refresh = Refresh()
    plain = RegistrationBinding(town.connection, BOB)
    plain.register()
    town.clock.advance(1)
    plain.refresh = Refresh()
    town.forget()
    assert len(town.times(3100)) == 2
