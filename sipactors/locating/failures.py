"""Which targets failed lately, and the walk over targets that tries those last."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.internet.interfaces import IReactorTime

from sipactors.locating.targets import Hop, Target
from sipactors.settings import Locating


class FailedTargets:
    """A memory of places that did not answer; it forgets by itself, and is bounded."""

    def __init__(self, clock: IReactorTime, settings: Locating) -> None:
        self._clock = clock
        self._settings = settings
        self._until: dict[Hop, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def add(self, target: Target, retry_after: float | None = None) -> None:
        """The target failed: it goes last for `retry_after` seconds, or for `avoidance` of the settings."""
        settings = self._settings
        seconds = settings.avoidance
        if retry_after is not None:
            # RFC 3261 §21.5.4: the client SHOULD NOT forward any other requests to that server for the
            # duration specified in the Retry-After header field, if present.
            seconds = min(max(retry_after, 0.0), settings.max_avoidance)
        until = self._until
        # Removed and added, so that the dict stays ordered by when a failure was last seen.
        until.pop(target.address, None)
        while len(until) >= settings.max_avoided > 0:
            del until[next(iter(until))]
        if settings.max_avoided > 0 and seconds > 0:
            until[target.address] = self._clock.seconds() + seconds

    def discard(self, target: Target) -> None:
        """The target works."""
        self._until.pop(target.address, None)

    def __contains__(self, target: Target) -> bool:
        if not self._until:
            return False
        until = self._until.get(target.address)
        if until is None:
            return False
        if until > self._clock.seconds():
            return True
        del self._until[target.address]
        return False

    def sorted(self, targets: list[Target], prefer: Target | None = None) -> list[Target]:
        """The same targets: `prefer` first if it is one of them, those that failed lately last."""
        if prefer is not None:
            place = prefer.address
            targets = sorted(targets, key=lambda target: target.address != place)
        if self._until:
            # sorted() keeps the order of equals, so priorities and lots still count among each other.
            targets = sorted(targets, key=self.__contains__)
        return targets


class Candidates:
    """The targets of one request, one at a time: the next one is chosen when it is asked for.

    So a target that another request found dead meanwhile goes behind the others. An iterator, too.
    """

    def __init__(self, targets: list[Target], failures: FailedTargets) -> None:
        self._left = list(targets)
        self._failures = failures
        self.current: Target | None = None
        "The target given last, None before the first."

    def next(self) -> Target | None:
        """The next target to try, or None when all have been tried."""
        if not self._left:
            return None
        chosen = 0
        for index, target in enumerate(self._left):
            if target not in self._failures:
                chosen = index
                break
        self.current = self._left.pop(chosen)
        return self.current

    def failed(self, retry_after: float | None = None) -> Target | None:
        """The current target failed (503, timeout, transport or ICMP error, RFC 3263 §4.3): the next one."""
        if self.current is not None:
            self._failures.add(self.current, retry_after)
        return self.next()

    def succeeded(self) -> None:
        """The current target answered."""
        if self.current is not None:
            self._failures.discard(self.current)

    def __len__(self) -> int:
        return len(self._left)

    def __iter__(self) -> Iterator[Target]:
        return self

    def __next__(self) -> Target:
        target = self.next()
        if target is None:
            raise StopIteration
        return target
