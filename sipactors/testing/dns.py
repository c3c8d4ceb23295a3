"""DNS for tests, as a dict: names with their records, and names whose server is slow, dead or silent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from sipactors.errors import ResolvingFailure
from sipactors.interfaces import IResolver
from sipactors.locating import NAPTR, SRV, Answer, Question
from sipactors.locating.records import family_of

Entry = NAPTR | SRV | str | Exception
"A record, a numeric address, the name that this one is an alias of, or what a look-up fails with."


@implementer(IResolver)
class StaticResolver:
    """A resolver that knows what its `zone` says, and nothing else.

    StaticResolver({
        "example.com": [NAPTR(10, 0, "s", "SIP+D2U", "", "_sip._udp.example.com"), "192.0.2.1"],
        "_sip._udp.example.com": [SRV(10, 60, 5060, "a.example.com")],
        "a.example.com": ["192.0.2.2", "2001:db8::2"],
        "www.example.com": ["a.example.com"],
    })

    It answers at once; with a `clock`, names in `delays` (seconds) answer so much later, and names in
    `silent` never. `asked` lists every question in order. Change `zone` at any time.
    """

    def __init__(
        self,
        zone: Mapping[str, Iterable[Entry]],
        clock: IReactorTime | None = None,
        *,
        ttl: float = 300.0,
        delays: Mapping[str, float] | None = None,
        silent: Iterable[str] = (),
    ) -> None:
        self.zone: dict[str, list[Entry]] = {name.lower(): list(entries) for name, entries in zone.items()}
        self.ttl = ttl
        self.delays = dict(delays or {})
        self.silent = set(silent)
        self.asked: list[Question] = []
        self._clock = clock

    def naptr(self, name: str) -> Any:
        """See IResolver."""
        return self._answer(Question("NAPTR", name))

    def srv(self, name: str) -> Any:
        """See IResolver."""
        return self._answer(Question("SRV", name))

    def addresses(self, name: str, family: int) -> Any:
        """See IResolver."""
        return self._answer(Question("A" if family == 4 else "AAAA", name))

    def _answer(self, question: Question) -> Any:
        self.asked.append(question)
        name = question.name.lower()
        if name in self.silent:
            return Deferred()
        delay = self.delays.get(name)
        if delay is None:
            return Answer(self._records(question.kind, name), self.ttl)
        if self._clock is None:
            raise ValueError(f"{name} answers after {delay} s, which needs a clock")
        later: Deferred[Answer[Any]] = Deferred(lambda cancelled: call.cancel())
        call = self._clock.callLater(delay, self._come, later, question.kind, name)
        return later

    def _come(self, later: Deferred[Answer[Any]], kind: str, name: str) -> None:
        try:
            answer = Answer(self._records(kind, name), self.ttl)
        except Exception as error:
            later.errback(error)
        else:
            later.callback(answer)

    def _records(self, kind: str, name: str) -> list[Any]:
        for _ in range(8):
            entries = self.zone.get(name, [])
            for entry in entries:
                if isinstance(entry, Exception):
                    raise entry
            aliases = [entry.lower() for entry in entries if isinstance(entry, str) and not family_of(entry)]
            if not aliases:
                return [entry for entry in entries if _kind(entry) == kind]
            name = aliases[0]
        raise ResolvingFailure(f"{name} is an alias without an end")


def _kind(entry: Entry) -> str:
    if isinstance(entry, NAPTR):
        return "NAPTR"
    if isinstance(entry, SRV):
        return "SRV"
    return "A" if isinstance(entry, str) and family_of(entry) == 4 else "AAAA"
