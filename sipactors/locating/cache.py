"""Answers of DNS at hand: kept for their TTL, bounded, one question under way for all who ask it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sipactors.errors import ResolvingFailure, ResourceNotAvailable, SIPError
from sipactors.interfaces import IResolver
from sipactors.locating.records import NAPTR, SRV, Answer, Question
from sipactors.settings import Locating

log = Logger()

Found = Answer[Any]


@dataclass(slots=True)
class _Kept:
    """What is known of a question, and until when."""

    outcome: Found | SIPError
    until: float


@dataclass(slots=True)
class _Asked:
    """A question under way, those who wait for its answer, and the call that ends their waiting."""

    waiting: list[Deferred[Found]] = field(default_factory=list)
    timeout: IDelayedCall | None = None
    outcome: Found | SIPError | None = None


@implementer(IResolver)
class CachingResolver:
    """A resolver in front of another one, which gives what it knows at once and never waits for ever.

    An answer is kept for its TTL, one that says "there is none" as well (RFC 2308), a failure for
    `settings.failure_ttl`. Share one among all locators of a stack.
    """

    def __init__(self, resolver: IResolver, clock: IReactorTime, settings: Locating | None = None) -> None:
        self._clock = clock
        self._settings = settings or Locating()
        self._ask: dict[str, Callable[[str], Any]] = {
            "NAPTR": resolver.naptr,
            "SRV": resolver.srv,
            "A": lambda name: resolver.addresses(name, 4),
            "AAAA": lambda name: resolver.addresses(name, 6),
        }
        self._kept: dict[Question, _Kept] = {}
        self._asked: dict[Question, _Asked] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._kept)

    def naptr(self, name: str) -> Answer[NAPTR] | Deferred[Answer[NAPTR]]:
        """See IResolver."""
        return self.find(Question("NAPTR", name))

    def srv(self, name: str) -> Answer[SRV] | Deferred[Answer[SRV]]:
        """See IResolver."""
        return self.find(Question("SRV", name))

    def addresses(self, name: str, family: int) -> Answer[str] | Deferred[Answer[str]]:
        """See IResolver."""
        return self.find(Question("A" if family == 4 else "AAAA", name))

    def find(self, question: Question) -> Found | Deferred[Found]:
        """The answer when it is at hand, else a Deferred. Raises, or fails with, ResolvingFailure."""
        key = Question(question.kind, question.name.rstrip(".").lower())
        kept = self._kept.get(key)
        if kept is not None:
            if kept.until > self._clock.seconds():
                return _answer(kept.outcome)
            del self._kept[key]
        asked = self._asked.get(key)
        if asked is None:
            asked = self._start(key)
            if asked.outcome is not None:
                return _answer(asked.outcome)
        waiting = asked.waiting
        waiter: Deferred[Found] = Deferred(waiting.remove)
        waiting.append(waiter)
        return waiter

    def forget(self) -> None:
        """Drop every answer, as after the network has changed; questions under way go on."""
        self._kept.clear()

    def close(self) -> None:
        """Ask no more; whoever waits gets ResourceNotAvailable. May be called again."""
        self._closed = True
        self._kept.clear()
        for question in list(self._asked):
            self._end(question, self._asked[question], ResourceNotAvailable("the resolver has been closed"))

    def _start(self, question: Question) -> _Asked:
        """Ask; the outcome is there already when the resolver behind knew it at once."""
        if self._closed:
            raise ResourceNotAvailable("the resolver has been closed")
        if len(self._asked) >= self._settings.max_queries:
            raise ResolvingFailure(f"{question}: {len(self._asked)} questions are under way already")
        asked = self._asked[question] = _Asked()
        result = maybeDeferred(self._ask[question.kind], question.name)
        result.addCallback(self._checked)
        result.addCallbacks(
            lambda answer: self._end(question, asked, answer),
            lambda failure: self._end(question, asked, self._failed(question, failure)),
        )
        if asked.outcome is None:
            asked.timeout = self._clock.callLater(
                self._settings.query_timeout, self._late, question, asked, result
            )
        return asked

    def _late(self, question: Question, asked: _Asked, result: Deferred[None]) -> None:
        """The resolver behind hangs: nobody waits for it any longer."""
        asked.timeout = None
        seconds = self._settings.query_timeout
        self._end(question, asked, ResolvingFailure(f"{question}: no answer within {seconds:g} s"))
        # What comes of it now is nobody's; a resolver that can stop, stops.
        result.cancel()

    def _checked(self, answer: Found) -> Found:
        """The answer, cut to what may be kept of a stranger's."""
        settings = self._settings
        return Answer(list(answer.records[: settings.max_records]), min(answer.ttl, settings.max_ttl))

    def _failed(self, question: Question, failure: Failure) -> SIPError:
        """No answer, for whatever reason, is a ResolvingFailure."""
        if isinstance(failure.value, (ResolvingFailure, ResourceNotAvailable)):
            return failure.value
        if not isinstance(failure.value, CancelledError):
            log.failure("{question} met a fault in the resolver", failure, question=str(question))
        return ResolvingFailure(f"{question}: {failure.getErrorMessage()}")

    def _end(self, question: Question, asked: _Asked, outcome: Found | SIPError) -> None:
        """An answer or a failure: keep it as long as it is good, tell everybody who waits."""
        if asked.outcome is not None:
            return
        asked.outcome = outcome
        del self._asked[question]
        if asked.timeout is not None:
            asked.timeout.cancel()
            asked.timeout = None
        ttl = self._settings.failure_ttl if isinstance(outcome, SIPError) else outcome.ttl
        if ttl > 0 and not self._closed:
            self._keep(question, _Kept(outcome, self._clock.seconds() + ttl))
        waiting, asked.waiting = asked.waiting, []
        for waiter in waiting:
            if isinstance(outcome, SIPError):
                waiter.errback(type(outcome)(*outcome.args))
            else:
                waiter.callback(outcome)

    def _keep(self, question: Question, kept: _Kept) -> None:
        while len(self._kept) >= self._settings.max_cached > 0:
            del self._kept[next(iter(self._kept))]
        if self._settings.max_cached > 0:
            self._kept[question] = kept


def _answer(outcome: Found | SIPError) -> Found:
    """The answer; a failure is raised, as one's own so that its traceback does not grow."""
    if isinstance(outcome, SIPError):
        raise type(outcome)(*outcome.args)
    return outcome
