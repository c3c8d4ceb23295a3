"""Targets that failed go last for a while; a request walks over its targets one at a time."""

from __future__ import annotations

from typing import Any

import pytest

from sipactors.dice import Dice
from sipactors.locating import SRV, Locator, Target
from sipactors.message.uri import SIPURI
from sipactors.settings import Locating
from sipactors.testing.clock import Clock
from sipactors.testing.dns import StaticResolver

DOMAIN = SIPURI(None, "example.com", params={"transport": "udp"})
HOSTS = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


class World:
    def __init__(self, settings: Locating | None = None) -> None:
        self.clock = Clock()
        zone: dict[str, list[Any]] = {
            "_sip._udp.example.com": [SRV(number, 0, 5060, f"h{number}.example.com") for number in (1, 2, 3)]
        }
        zone |= {f"h{number}.example.com": [f"192.0.2.{number}"] for number in (1, 2, 3)}
        resolver = StaticResolver(zone, ttl=1e6)
        self.locator = Locator(resolver, self.clock, Dice(), transports=[("UDP", 4)], settings=settings)

    def targets(self, **how: Any) -> list[Target]:
        found = self.locator.locate(DOMAIN, **how)
        assert isinstance(found, list)
        return found

    def hosts(self, **how: Any) -> list[str]:
        return [target.host for target in self.targets(**how)]


@pytest.mark.accepts("J6")
def test_a_target_that_failed_goes_last_for_a_while() -> None:
    """RFC 3263 §4.3: the client SHOULD send to the next element in the list; and so do the requests after."""
    world = World()
    first = world.targets()[0]
    world.locator.failed(first)
    assert world.hosts() == ["192.0.2.2", "192.0.2.3", "192.0.2.1"]
    world.clock.advance(59)
    assert world.hosts()[-1] == "192.0.2.1"
    world.clock.advance(1)
    assert world.hosts() == HOSTS
    assert len(world.locator.failures) == 0


def test_retry_after_says_how_long() -> None:
    """RFC 3261 §21.5.4: it SHOULD NOT forward any other requests to that server for the duration specified
    in the Retry-After header field, if present."""
    world = World(Locating(max_avoidance=1000))
    first, second, _ = world.targets()
    world.locator.failed(first, retry_after=300)
    world.locator.failed(second, retry_after=1e12)
    world.clock.advance(299)
    assert world.hosts() == ["192.0.2.3", "192.0.2.1", "192.0.2.2"]
    world.clock.advance(1)
    assert world.hosts() == ["192.0.2.1", "192.0.2.3", "192.0.2.2"]
    world.clock.advance(700)
    assert world.hosts() == HOSTS
    world.locator.failed(first, retry_after=0)
    assert world.hosts() == HOSTS


def test_how_long_is_settable() -> None:
    """No RFC says how long a failure is remembered, so the user does."""
    world = World(Locating(avoidance=5))
    world.locator.failed(world.targets()[0])
    assert world.hosts()[-1] == "192.0.2.1"
    world.clock.advance(5)
    assert world.hosts() == HOSTS


def test_when_all_have_failed_all_are_tried_in_their_order() -> None:
    """RFC 2782: a client MUST attempt to contact the target host with the lowest priority it can reach."""
    world = World()
    for target in world.targets():
        world.locator.failed(target)
    assert world.hosts() == HOSTS


def test_a_target_that_answers_is_in_its_place_again() -> None:
    """A server that is back gets its share of the traffic at once."""
    world = World()
    first = world.targets()[0]
    world.locator.failed(first)
    world.locator.succeeded(first)
    assert world.hosts() == HOSTS


def test_what_failed_under_one_name_failed_under_all() -> None:
    """What failed is an address, a port and a transport, not a domain."""
    world = World()
    world.locator.failed(Target("UDP", "192.0.2.1", 5060, "other.example"))
    world.locator.failed(Target("TCP", "192.0.2.2", 5060, "example.com"))
    assert world.hosts() == ["192.0.2.2", "192.0.2.3", "192.0.2.1"]


def test_the_memory_of_failures_is_bounded() -> None:
    """Strangers' addresses, in Contact or Route, cannot fill the memory."""
    world = World(Locating(max_avoided=10))
    for number in range(100):
        world.locator.failed(Target("UDP", f"198.51.100.{number}", 5060, "x.example"))
    assert len(world.locator.failures) == 10
    world.locator.failed(world.targets()[0])
    assert world.hosts()[-1] == "192.0.2.1"


def test_stay_with_the_server_that_took_the_registration() -> None:
    """D-35: the target that served before comes first while it works and DNS still names it."""
    world = World()
    third = world.targets()[2]
    assert world.hosts(prefer=third) == ["192.0.2.3", "192.0.2.1", "192.0.2.2"]
    world.locator.failed(third)
    assert world.hosts(prefer=third) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    world.locator.succeeded(third)
    assert world.hosts(prefer=third)[0] == "192.0.2.3"
    gone = Target("UDP", "203.0.113.1", 5060, "example.com")
    assert world.hosts(prefer=gone) == HOSTS


@pytest.mark.accepts("J6")
def test_a_request_walks_over_its_targets() -> None:
    """RFC 3263 §4.3: if a failure occurs, the client SHOULD create a new request, sent to the next element
    in the list."""
    world = World()
    walk = world.locator.candidates(world.targets())
    assert walk.current is None
    assert [target.host for target in (walk.next(), walk.failed(), walk.failed(90)) if target] == HOSTS
    assert walk.failed() is None
    assert walk.next() is None
    assert world.hosts() == HOSTS
    world.clock.advance(70)
    assert world.hosts() == ["192.0.2.1", "192.0.2.3", "192.0.2.2"]


def test_a_walk_avoids_what_another_request_found_dead_meanwhile() -> None:
    """D-35: a hundred requests need not each find out that a server is dead."""
    world = World()
    walk = world.locator.candidates(world.targets())
    first = next(walk)
    assert first.host == "192.0.2.1"
    world.locator.failed(world.targets()[1])
    assert len(walk) == 2
    assert [target.host for target in walk] == ["192.0.2.3", "192.0.2.2"]


def test_a_walk_that_succeeds_restores_its_target() -> None:
    """A target that answers, even as the last resort, is no longer avoided."""
    world = World()
    targets = world.targets()
    world.locator.failed(targets[0])
    walk = world.locator.candidates(targets[:1])
    walk.succeeded()
    assert walk.next() == targets[0]
    walk.succeeded()
    assert world.hosts() == HOSTS
