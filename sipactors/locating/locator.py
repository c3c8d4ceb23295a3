"""From a URI, or a Via, to the targets a message may be sent to: at once when that is known already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from sipactors.dice import Dice
from sipactors.errors import InvalidURIType, ResolvingFailure, ResourceNotAvailable
from sipactors.interfaces import ILocator, IResolver
from sipactors.locating.cache import CachingResolver, Found
from sipactors.locating.failures import Candidates, FailedTargets
from sipactors.locating.records import Question, family_of
from sipactors.locating.targets import (
    DEFAULT_PORTS,
    Plan,
    Supported,
    Target,
    default_transport,
    plan_request,
    plan_response,
    supported,
    wanted_transport,
)
from sipactors.message import SIPURI
from sipactors.settings import Locating

if TYPE_CHECKING:
    from sipactors.message import URI, Via

Records = list[Any] | Deferred[Found]
"What is known of one question, or will be."
Offered = Iterable[tuple[str, int]] | Callable[[], Iterable[tuple[str, int]]]
"Pairs of transport and address family (4 or 6) in order of preference, or a callable that tells them."


@implementer(ILocator)
class Locator:
    """Finds where requests and responses go (RFC 3263), and remembers which targets failed lately.

    `transports` tells what the access point can send by, the preferred first:
    [("UDP", 4), ("UDP", 6), ("TCP", 4) …]; a callable is asked anew each time. Give all locators of a
    stack the same CachingResolver, so that they share what it knows.
    """

    def __init__(
        self,
        resolver: IResolver,
        clock: IReactorTime,
        dice: Dice,
        *,
        transports: Offered,
        settings: Locating | None = None,
    ) -> None:
        self._clock = clock
        self._dice = dice
        self._settings = settings or Locating()
        if isinstance(resolver, CachingResolver):
            self._resolver = resolver
        else:
            self._resolver = CachingResolver(resolver, clock, self._settings)
        self._transports = transports
        # What does not change is read once.
        self._fixed = None if callable(transports) else supported(transports)
        self._searches: set[_Search] = set()
        self._closed = False
        self.failures = FailedTargets(clock, self._settings)
        "Which targets failed lately; may be shared by several locators."

    def locate(
        self,
        uri: URI,
        *,
        transport: str | None = None,
        secure: bool | None = None,
        prefer: Target | None = None,
    ) -> list[Target] | Deferred[list[Target]]:
        """The targets of a URI, the best first; a list when all is known, else a Deferred. See ILocator."""
        if not isinstance(uri, SIPURI):
            raise InvalidURIType(f"{uri} is neither a SIP nor a SIPS URI: nothing can be sent there")
        if secure is None:
            secure = uri.scheme == "sips"
        # RFC 3263 §4: TARGET is the value of the maddr parameter of the URI, if present, otherwise the host.
        target = _bare(uri.maddr or uri.host)
        offered = self._offered()
        # RFC 3263 §4.1: If the URI specifies a transport protocol, that transport protocol SHOULD be used.
        wanted = wanted_transport(transport or uri.transport, secure, offered)
        port = _valid(uri.port)
        family = family_of(target)
        if family:
            # The same as the plan below would say, for the many requests that go to a numeric host.
            wanted = wanted or default_transport(secure, offered, family)
            if family in offered[wanted]:
                return [Target(wanted, target, port or DEFAULT_PORTS[wanted], uri.host)]
        plan = plan_request(target, uri.host, port, wanted, secure, offered, self._dice, self._settings)
        return self._run(plan, prefer)

    def locate_response(self, via: Via) -> list[Target] | Deferred[list[Target]]:
        """Where a response may go when the way its request came by has failed (RFC 3263 §5). See ILocator."""
        offered = self._offered()
        host = _bare(via.host)
        port = _valid(via.port)
        plan = plan_response(via.transport.upper(), host, port, offered, self._dice, self._settings)
        return self._run(plan, None)

    def candidates(self, targets: Iterable[Target]) -> Candidates:
        """Targets as one request tries them: one at a time, those that failed lately last."""
        return Candidates(list(targets), self.failures)

    def failed(self, target: Target, retry_after: float | None = None) -> None:
        """See ILocator."""
        self.failures.add(target, retry_after)

    def succeeded(self, target: Target) -> None:
        """See ILocator."""
        self.failures.discard(target)

    def close(self) -> None:
        """Whoever still waits gets ResourceNotAvailable. May be called again."""
        self._closed = True
        for search in list(self._searches):
            search.end(ResourceNotAvailable("the locator has been closed"))

    def _offered(self) -> Supported:
        if self._closed:
            raise ResourceNotAvailable("the locator has been closed")
        if self._fixed is not None:
            return self._fixed
        assert callable(self._transports)
        return supported(self._transports())

    def _run(self, plan: Plan, prefer: Target | None) -> list[Target] | Deferred[list[Target]]:
        """Run a plan as far as answers are at hand; the rest of it is a search that waits for them."""
        reasons: list[str] = []
        try:
            questions = next(plan)
            while True:
                answers = [self._ask(question, reasons) for question in questions]
                if any(isinstance(answer, Deferred) for answer in answers):
                    break
                questions = plan.send(_known(answers))
        except StopIteration as end:
            return self.failures.sorted(end.value, prefer)
        except ResolvingFailure as failure:
            raise _because(failure, reasons) from None
        search = _Search(self, plan, reasons, prefer)
        self._searches.add(search)
        search.wait(answers, self._clock.callLater(self._settings.deadline, search.late))
        return search.result

    def _ask(self, question: Question, reasons: list[str]) -> Records:
        try:
            answer = self._resolver.find(question)
        except ResolvingFailure as failure:
            reasons.append(str(failure))
            return []
        return answer if isinstance(answer, Deferred) else answer.records


class _Search:
    """The rest of a plan that waits for DNS; it ends with targets, a failure, or when cancelled."""

    def __init__(self, locator: Locator, plan: Plan, reasons: list[str], prefer: Target | None) -> None:
        self._locator = locator
        self._plan = plan
        self._reasons = reasons
        self._prefer = prefer
        self._deadline: IDelayedCall | None = None
        self._answers: list[Records] = []
        self._missing = 0
        self._round = 0
        self._hurried = False
        self.result: Deferred[list[Target]] = Deferred(lambda result: self._leave())

    def wait(self, answers: list[Records], deadline: IDelayedCall | None = None) -> None:
        """Go on when the last of these answers has come."""
        if deadline is not None:
            self._deadline = deadline
        self._answers = answers
        self._round += 1
        waiting = [(index, answer) for index, answer in enumerate(answers) if isinstance(answer, Deferred)]
        self._missing = len(waiting)
        for index, answer in waiting:
            answer.addCallbacks(
                self._found, self._lost, callbackArgs=(self._round, index), errbackArgs=(self._round, index)
            )

    def late(self) -> None:
        """The deadline has come: go on with what is known, and ask nothing that has to be waited for."""
        self._deadline = None
        self._hurried = True
        self._reasons.append(f"not found within {self._locator._settings.deadline:g} s")
        self._round += 1
        self._go_on(_known(self._answers))

    def end(self, outcome: list[Target] | Exception) -> None:
        """Tell the outcome, hold nothing any more."""
        self._leave()
        if not self.result.called:
            if isinstance(outcome, Exception):
                self.result.errback(outcome)
            else:
                self.result.callback(outcome)

    def _found(self, answer: Found, round: int, index: int) -> None:
        if round == self._round:
            self._arrived(index, answer.records)

    def _lost(self, failure: Failure, round: int, index: int) -> None:
        if round == self._round:
            self._reasons.append(failure.getErrorMessage())
            self._arrived(index, [])

    def _arrived(self, index: int, records: list[Any]) -> None:
        self._answers[index] = records
        self._missing -= 1
        if not self._missing:
            self._go_on(_known(self._answers))

    def _go_on(self, answers: list[list[Any]]) -> None:
        locator = self._locator
        try:
            while True:
                questions = self._plan.send(answers)
                asked = [locator._ask(question, self._reasons) for question in questions]
                later = [answer for answer in asked if isinstance(answer, Deferred)]
                if later and not self._hurried:
                    return self.wait(asked)
                for answer in later:
                    # It will be known the next time; nobody waits for it now.
                    answer.addErrback(lambda failure: None)
                answers = _known(asked)
        except StopIteration as end:
            self.end(locator.failures.sorted(end.value, self._prefer))
        except ResolvingFailure as failure:
            self.end(_because(failure, self._reasons))
        except Exception as fault:
            # A fault of a user's resolver, or of ours, must not leave anybody waiting.
            self.end(ResolvingFailure(f"{type(fault).__name__}: {fault}"))

    def _leave(self) -> None:
        self._round += 1
        self._locator._searches.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._plan.close()


def _known(answers: list[Records]) -> list[list[Any]]:
    """The records that are at hand; what has not come counts as none."""
    return [[] if isinstance(answer, Deferred) else answer for answer in answers]


def _because(failure: ResolvingFailure, reasons: list[str]) -> ResolvingFailure:
    """The failure, with what DNS said on the way."""
    return ResolvingFailure("; ".join([str(failure), *dict.fromkeys(reasons)])) if reasons else failure


def _bare(host: str) -> str:
    """A host without the brackets of an IPv6 reference and the dot that may end a name."""
    return host[1:-1] if host.startswith("[") else host.rstrip(".") or host


def _valid(port: int | None) -> int | None:
    if port is not None and not 0 < port < 65536:
        raise ResolvingFailure(f"nothing can be sent to port {port}")
    return port
