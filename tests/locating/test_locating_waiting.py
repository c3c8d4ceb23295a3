"""Answers that take their time, never come, or were there before: caching, deadlines, shared questions."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import globalLogPublisher
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from sipactors.dice import Dice
from sipactors.errors import ResolvingFailure, ResourceNotAvailable
from sipactors.interfaces import ILocator, IResolver
from sipactors.locating import NAPTR, SRV, Answer, CachingResolver, DNSResolver, Locator, Question
from sipactors.message.uri import SIPURI
from sipactors.settings import Locating
from sipactors.testing.clock import Clock
from sipactors.testing.dns import StaticResolver

ZONE: dict[str, list[Any]] = {
    "example.com": [NAPTR(10, 0, "s", "SIP+D2U", "", "_sip._udp.example.com")],
    "_sip._udp.example.com": [SRV(1, 0, 5060, "a.example.com"), SRV(2, 0, 5060, "b.example.com")],
    "a.example.com": ["192.0.2.1"],
    "b.example.com": ["192.0.2.2"],
}
DOMAIN = SIPURI(None, "example.com")
UDP = [("UDP", 4)]


class Outcome:
    """What became of a Deferred."""

    def __init__(self, deferred: Any) -> None:
        assert isinstance(deferred, Deferred), "the answer was there at once"
        self.hosts: list[str] | None = None
        self.error: BaseException | None = None
        deferred.addCallbacks(self._found, self._failed)

    def _found(self, targets: Any) -> None:
        self.hosts = [target.host for target in targets]

    def _failed(self, failure: Any) -> None:
        self.error = failure.value

    @property
    def waiting(self) -> bool:
        return self.hosts is None and self.error is None


class World:
    """A clock, a zone and a locator over them."""

    def __init__(
        self, zone: Any = None, transports: Any = UDP, settings: Locating | None = None, **how: Any
    ) -> None:
        self.clock = Clock()
        self.zone = StaticResolver(ZONE if zone is None else zone, self.clock, **how)
        self.resolver = CachingResolver(self.zone, self.clock, settings)
        self.locator = Locator(self.resolver, self.clock, Dice(), transports=transports, settings=settings)

    def locate(self, uri: SIPURI = DOMAIN) -> Any:
        return self.locator.locate(uri)

    @property
    def asked(self) -> list[str]:
        return [str(question) for question in self.zone.asked]


EVERY = dict.fromkeys(ZONE, 0.1)


def test_the_contracts_are_kept() -> None:
    """Whoever resolves names for us does it by the same interface."""
    for implementation in (CachingResolver, DNSResolver, StaticResolver):
        assert verifyClass(IResolver, implementation)
    assert verifyClass(ILocator, Locator)
    world = World()
    assert verifyObject(IResolver, world.resolver)
    assert verifyObject(ILocator, world.locator)


@pytest.mark.accepts("J6")
def test_an_answer_that_has_to_be_waited_for_comes_in_a_deferred() -> None:
    """RFC 3263 §4: the procedures are NAPTR, then SRV, then A or AAAA, each step after the one before."""
    world = World(delays=EVERY)
    outcome = Outcome(world.locate())
    world.clock.advance(0.25)
    assert outcome.waiting
    assert world.asked == [
        "NAPTR example.com",
        "SRV _sip._udp.example.com",
        "A a.example.com",
        "A b.example.com",
    ]
    world.clock.advance(0.05)
    assert outcome.hosts == ["192.0.2.1", "192.0.2.2"]
    assert world.clock.getDelayedCalls() == []


def test_what_is_known_is_told_at_once_until_its_ttl_is_over() -> None:
    """RFC 1035 §3.2.1: TTL is the time interval that the record may be cached before it should again be
    consulted."""
    world = World(delays=EVERY, ttl=60)
    Outcome(world.locate())
    world.clock.advance(1)
    for _ in range(3):
        assert [target.host for target in world.locate()] == ["192.0.2.1", "192.0.2.2"]
    assert len(world.asked) == 4
    world.clock.advance(60)
    assert isinstance(world.locate(), Deferred)


def test_none_is_an_answer_too() -> None:
    """RFC 2308 §5: negative answers are cached as the others are."""
    world = World({})
    for _ in range(3):
        with pytest.raises(ResolvingFailure):
            world.locate()
    assert world.asked == ["NAPTR example.com", "SRV _sip._udp.example.com", "A example.com"]
    world.clock.advance(301)
    world.zone.zone.update({name: list(records) for name, records in ZONE.items()})
    assert len(world.locate()) == 2


def test_an_answer_without_a_ttl_is_not_kept() -> None:
    """RFC 1035 §3.2.1: Zero values are interpreted to mean that the RR can only be used for the transaction
    in progress, and should not be cached."""
    world = World(ttl=0)
    assert len(world.locate()) == len(world.locate()) == 2
    assert len(world.asked) == 8
    assert len(world.resolver) == 0


def test_a_ttl_of_years_is_cut() -> None:
    """RFC 2181 §8: implementations are at liberty to place an upper bound on any TTL received."""
    world = World(ttl=1e9, settings=Locating(max_ttl=100))
    world.locate()
    world.clock.advance(101)
    world.locate()
    assert len(world.asked) == 8


def test_the_cache_is_bounded() -> None:
    """Strangers' names cannot fill the memory."""
    settings = Locating(max_cached=10)
    world = World({}, settings=settings)
    for number in range(50):
        with pytest.raises(ResolvingFailure):
            world.locate(SIPURI(None, f"n{number}.example"))
    assert len(world.resolver) == 10


def test_those_who_ask_the_same_share_one_question() -> None:
    """A hundred requests to one domain are one NAPTR query, one SRV query, one of each host."""
    world = World(delays=EVERY)
    outcomes = [Outcome(world.locate()) for _ in range(100)]
    outcomes += [Outcome(world.locate(SIPURI("bob", "EXAMPLE.com")))]
    world.clock.advance(1)
    assert all(outcome.hosts == ["192.0.2.1", "192.0.2.2"] for outcome in outcomes)
    assert len(world.asked) == 4


def test_locators_of_one_stack_share_what_is_known() -> None:
    """What DNS says does not depend on the access point that asks."""
    world = World()
    world.locate()
    other = Locator(world.resolver, world.clock, Dice(), transports=[("UDP", 4), ("TCP", 4)])
    assert len(other.locate(DOMAIN)) == 2
    assert len(world.asked) == 4


@pytest.mark.accepts("J6")
@pytest.mark.parametrize("silent", sorted(ZONE))
def test_a_server_that_never_answers_ends_in_bounded_time(silent: str) -> None:
    """A lame or silent server costs bounded time, whichever question hangs."""
    world = World(silent=[silent])
    outcome = Outcome(world.locate())
    world.clock.advance(20.1)
    assert not outcome.waiting
    if silent in ("a.example.com", "b.example.com"):
        # The other host is as good as ever.
        assert outcome.hosts == [{"a": "192.0.2.2", "b": "192.0.2.1"}[silent[0]]]
    assert world.clock.getDelayedCalls() == []


def test_a_resolver_that_hangs_in_everything_is_left_at_the_deadline() -> None:
    """A resolver that hangs ends in ResolvingFailure, which says what was asked in vain."""
    settings = Locating(deadline=7, query_timeout=3)
    world = World(
        silent=[*ZONE, "_sip._tcp.example.com"], settings=settings, transports=[("UDP", 4), ("TCP", 4)]
    )
    outcome = Outcome(world.locate())
    world.clock.advance(6.9)
    assert outcome.waiting
    world.clock.advance(0.1)
    assert isinstance(outcome.error, ResolvingFailure)
    assert "NAPTR example.com: no answer within 3 s" in str(outcome.error)
    assert "not found within 7 s" in str(outcome.error)
    world.clock.advance(10)
    assert world.clock.getDelayedCalls() == []


def test_the_deadline_gives_what_has_been_found_so_far() -> None:
    """One host that is found is enough to begin with."""
    settings = Locating(deadline=1, query_timeout=30)
    world = World(delays={"a.example.com": 0.5}, silent=["b.example.com"], settings=settings)
    outcome = Outcome(world.locate())
    world.clock.advance(1)
    assert outcome.hosts == ["192.0.2.1"]


def test_after_the_deadline_only_answers_at_hand_count() -> None:
    """When the deadline has come there is no second round of waiting."""
    settings = Locating(deadline=1, query_timeout=30)
    world = World(silent=["example.com"], delays=dict.fromkeys(list(ZONE)[1:], 0.3), settings=settings)
    outcome = Outcome(world.locate())
    world.clock.advance(1)
    assert isinstance(outcome.error, ResolvingFailure)
    # The questions that were asked on the way are answered, and known the next time.
    world.clock.advance(0.3)
    assert world.resolver.find(Question("SRV", "_sip._udp.example.com")) == Answer(
        ZONE["_sip._udp.example.com"], 300
    )


def test_a_failed_question_is_not_repeated_at_once() -> None:
    """RFC 2308 §7.1: a resolver may cache a server failure, for no longer than five minutes."""
    world = World({"example.com": [ResolvingFailure("SERVFAIL")], "a.example.com": ["192.0.2.1"]})
    for _ in range(2):
        with pytest.raises(ResolvingFailure, match="SERVFAIL"):
            world.locate()
    assert world.asked.count("NAPTR example.com") == 1
    world.clock.advance(5.1)
    world.zone.zone["example.com"] = ["192.0.2.9"]
    assert [target.host for target in world.locate()] == ["192.0.2.9"]


def test_a_lame_answer_to_naptr_does_not_hide_the_srv_records() -> None:
    """RFC 3263 §4.1: If no NAPTR records are found, the client constructs SRV queries."""
    world = World({**ZONE, "example.com": [ResolvingFailure("NOTIMP")]})
    assert [target.host for target in world.locate()] == ["192.0.2.1", "192.0.2.2"]


def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    """A request that is given up before it was sent needs no address any more."""
    world = World(silent=["example.com"])
    other = Outcome(world.locate())
    search = world.locate()
    outcome = Outcome(search)
    search.cancel()
    assert outcome.error is not None
    assert other.waiting
    world.clock.advance(30)
    assert other.hosts == ["192.0.2.1", "192.0.2.2"]
    assert world.clock.getDelayedCalls() == []


def test_closing_ends_every_search_and_question() -> None:
    """Nobody waits for ever on something closed."""
    world = World(silent=list(ZONE))
    outcome = Outcome(world.locate())
    direct = world.resolver.srv("_sip._udp.example.com")
    world.locator.close()
    assert isinstance(outcome.error, ResourceNotAvailable)
    world.locator.close()
    with pytest.raises(ResourceNotAvailable):
        world.locate()
    world.resolver.close()
    world.resolver.close()
    assert isinstance(direct, Deferred)
    seen: list[Any] = []
    direct.addErrback(lambda failure: seen.append(failure.value))
    assert isinstance(seen[0], ResourceNotAvailable)
    with pytest.raises(ResourceNotAvailable):
        world.resolver.srv("_sip._udp.example.com")
    assert world.clock.getDelayedCalls() == []


def test_questions_under_way_are_bounded() -> None:
    """Strangers' URIs, in Contact or Route, must not make us ask without end."""
    silent = [f"n{number}.example" for number in range(20)]
    world = World({}, silent=silent, settings=Locating(max_queries=10))
    outcomes = [Outcome(world.locate(SIPURI(None, name, 5060))) for name in silent[:10]]
    with pytest.raises(ResolvingFailure, match="under way"):
        world.locate(SIPURI(None, silent[10], 5060))
    assert len(world.zone.asked) == 10
    world.clock.advance(6)
    assert all(outcome.error for outcome in outcomes)


def test_after_forgetting_everything_is_asked_again() -> None:
    """What was learnt in another network need not hold in this one (D-32)."""
    world = World()
    world.locate()
    world.resolver.forget()
    world.locate()
    assert len(world.asked) == 8


@implementer(IResolver)
class Odd:
    """Somebody's own resolver: Deferreds that have fired, plain answers, exceptions of any kind."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    def naptr(self, name: str) -> Any:
        return fail(KeyError(name))

    def srv(self, name: str) -> Any:
        return succeed(Answer([SRV(1, 1, 5060, "a.example")], 60))

    def addresses(self, name: str, family: int) -> Any:
        if family == 6:
            return Deferred(lambda gone: self.cancelled.append(name))
        return Answer(["192.0.2.1", "bogus", "2001:db8::1"], 60)


def test_a_resolver_of_ones_own_may_answer_as_it_likes() -> None:
    """RFC 3263 §4.2: The result will be a list of IP addresses, and what is none is left out."""
    clock = Clock()
    odd = Odd()
    found = Locator(odd, clock, Dice(), transports=UDP).locate(DOMAIN)
    assert isinstance(found, list)
    assert [target.host for target in found] == ["192.0.2.1"]
    outcome = Outcome(Locator(odd, clock, Dice(), transports=[("UDP", 6)]).locate(DOMAIN))
    clock.advance(10)
    assert isinstance(outcome.error, ResolvingFailure)
    assert odd.cancelled == ["a.example"]


def test_a_fault_of_a_resolver_leaves_nobody_waiting() -> None:
    """Whatever a resolver does wrong, the request fails and does not hang."""

    @implementer(IResolver)
    class Faulty:
        def naptr(self, name: str) -> Any:
            return succeed(None)

        def srv(self, name: str) -> Any:
            raise ZeroDivisionError

        def addresses(self, name: str, family: int) -> Any:
            later: Deferred[Any] = Deferred()
            clock.callLater(1, later.callback, "no answer object")
            return later

    clock = Clock()
    outcome = Outcome(Locator(Faulty(), clock, Dice(), transports=UDP).locate(DOMAIN))
    clock.advance(1)
    assert isinstance(outcome.error, ResolvingFailure)
    assert clock.getDelayedCalls() == []


def test_nobody_is_left_with_an_unhandled_failure() -> None:
    """A question that a search in a hurry does not wait for fails in silence, and not in the log."""
    settings = Locating(deadline=1, query_timeout=3)
    world = World(silent=list(ZONE), settings=settings)
    outcome = Outcome(world.locate())
    logged: list[Any] = []

    def observe(event: Any) -> None:
        if event.get("log_failure") is not None:
            logged.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        world.clock.advance(10)
        world.resolver.close()
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert isinstance(outcome.error, ResolvingFailure)
    assert logged == []
