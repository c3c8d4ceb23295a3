"""Digest for a client: asks the application for credentials once, and remembers them (RFC 3261 §22)."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger

from sipactors.auth import DEFAULT_ALGORITHMS
from sipactors.client.challenges import Answering
from sipactors.client.logins import Answers, Logins, RealmLogin
from sipactors.errors import AlreadyExists, Forbidden, NotFound, ResourceNotAvailable

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from sipactors.auth import HA1
    from sipactors.client.client import SIPClient
    from sipactors.client.transactions import ClientTransaction
    from sipactors.interfaces import IDigestChallengeObserver
    from sipactors.message import Request, Response

log = Logger()

PATIENCE = 180.0
"Seconds that an application may take to answer a challenge, unless it is said otherwise."


class Digest:
    """Answers the challenges to a client's requests; without one of these each ends in Forbidden.

    `observer` is asked for users and passwords; None: there are only those of `preload`. What it gave is
    remembered for its realm and the From of the request, and used without asking until it is refused.
    `algorithms` are those that are answered, of which the strongest offered is taken; `prefer_integrity`
    covers bodies (auth-int) where the server offers it; `patience` is how long a request waits for the
    observer's answer, in seconds, before it fails.

    Raises AlreadyExists when the client has one, ResourceNotAvailable when it is closed.
    """

    def __init__(
        self,
        client: SIPClient,
        observer: IDigestChallengeObserver | None = None,
        *,
        algorithms: Sequence[str] = DEFAULT_ALGORITHMS,
        prefer_integrity: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        if client.closed:
            raise ResourceNotAvailable("the client is closed")
        if client.digest is not None:
            raise AlreadyExists("the client has a Digest already")
        self.client = client
        self.observer = observer
        self.patience = patience
        self._how = Answers(client.stack.dice.octets, algorithms, prefer_integrity)
        self._logins = Logins()
        self._waiting: dict[object, Answering] = {}
        client.digest = self

    def close(self) -> None:
        """Forget everything; what waits for credentials fails, as do challenges from now on. Idempotent."""
        if self.client.digest is self:
            self.client.digest = None
        self._logins.remove(None)
        for answering in list(self._waiting.values()):
            self._refuse(answering, Forbidden("the Digest was closed"))

    # ------------------------------------------------------------------ what the application says

    def set_credentials(
        self, source: object, realm: str, user: str, password: str | HA1, proxy: bool | None = None
    ) -> None:
        """Answer a challenge that `source` (a transaction or a refresh) waits with.

        The request is sent again once every realm of `source.challenges` is answered. With `proxy` only
        the challenges of a proxy (True), or of a UAS (False), are answered. Raises NotFound when `source`
        does not wait for credentials of that realm, ArgumentError for a user that cannot be sent.
        """
        answering, wanted = self._find(source, realm, proxy)
        login = RealmLogin(realm, user, password, self._how)
        for one in wanted:
            one.login = login
        self._settle(answering)

    def ignore(self, source: object, realm: str) -> None:
        """Give no credentials to a realm: the request fails with Forbidden. Raises NotFound."""
        answering, wanted = self._find(source, realm, None)
        for one in wanted:
            one.ignored = True
        self._settle(answering)

    def preload(self, realm: str, user: str, password_or_ha1: str | HA1) -> None:
        """Know the credentials of a realm before anybody asks, and for as long as this Digest lives.

        They serve requests whose From names `user`, and all requests while the realm has no other user.
        """
        self._logins.preload(RealmLogin(realm, user, password_or_ha1, self._how))

    def remove(self, realm: str | None = None) -> None:
        """Forget the credentials of a realm, or all of them; the next challenge is asked about again."""
        self._logins.remove(realm)

    def _find(self, source: object, realm: str, proxy: bool | None) -> tuple[Answering, list[Any]]:
        # A request that a refresh sends is found by itself as well.
        answering = self._waiting.get(source) or getattr(source, "answering", None)
        wanted = answering.open if answering is not None and answering.waiting else []
        wanted = [one for one in wanted if one.realm == realm and proxy in (None, one.proxy)]
        if answering is None or not wanted:
            raise NotFound(f"no challenge of {realm!r} waits for an answer")
        return answering, wanted

    # ------------------------------------------------------------------ what requests ask

    def put_credentials(self, transaction: ClientTransaction, request: Request) -> None:
        """A request goes out now: give it the credentials that it was asked for, or is known to need."""
        known = self._logins.known(request, transaction.next_hop)
        answering = transaction.answering
        if answering is None:
            if not known:
                return
            answering = self._answering(transaction)
        answering.put_credentials(request, known)

    def challenged(self, transaction: ClientTransaction, response: Response) -> None:
        """A 401, 407 or 494 came: send the request again, ask the application, or fail it."""
        answering = transaction.answering
        if answering is None:
            answering = self._answering(transaction)
        try:
            answering.challenged(response)
        except Forbidden as error:
            transaction.fail_with_response(error, response)
            return
        answering.wait()
        if not answering.open:
            self._settle(answering)
        elif self.observer is None:
            self._refuse(answering, Forbidden(f"no credentials for {answering.realms[0]}"))
        else:
            later = transaction.connection.dispatcher.timers.later
            answering.deadline = later(self.patience, self._too_late, answering)
            self._ask(answering, self.observer)

    def _answering(self, transaction: ClientTransaction) -> Answering:
        answering = Answering(transaction, self._logins, self._how.algorithms, self._waiting)
        transaction.answering = answering
        return answering

    # ------------------------------------------------------------------ asking

    def _ask(self, answering: Answering, observer: IDigestChallengeObserver) -> None:
        wanted = answering.wanted
        answering.asking = True
        try:
            answer: Any = observer.challenge_received(answering.source)
            if iscoroutine(answer):
                answer = ensureDeferred(answer)
            if isinstance(answer, Deferred):
                answering.deferred = answer
            elif answer is not None:
                self._take(answering, answer)
        except Exception:
            # Whoever raised will hardly answer later: it counts as ignored, unless it had answered.
            self._failed(answering, "an observer raised in challenge_received")
        finally:
            answering.asking = False
        deferred = answering.deferred
        if deferred is not None:
            deferred.addCallback(self._answer_came, answering, wanted)
            deferred.addErrback(self._no_answer_came, answering, wanted)
        self._settle(answering)

    def _answer_came(self, answer: object, answering: Answering, wanted: object) -> None:
        if answering.waiting and answering.wanted is wanted:
            self._take(answering, answer)
            self._settle(answering)

    def _no_answer_came(self, failure: Failure, answering: Answering, wanted: object) -> None:
        if answering.waiting and answering.wanted is wanted:
            if failure.check(CancelledError) is None:
                self._failed(answering, "credentials could not be had", failure)
            else:
                self._take(answering, None)
            self._settle(answering)

    def _take(self, answering: Answering, answer: Any) -> None:
        """Answer all realms that are open with what the observer gave; None ignores them."""
        for one in answering.open:
            if answer is None:
                one.ignored = True
            else:
                one.login = RealmLogin(one.realm, answer.user, answer.password, self._how)

    def _failed(self, answering: Answering, what: str, failure: Failure | None = None) -> None:
        self.client.stack.metrics.observer_errors += 1
        log.failure(what, failure)
        self._take(answering, None)

    def _too_late(self, answering: Answering) -> None:
        self._refuse(answering, Forbidden(f"no credentials came within {self.patience} s"))

    # ------------------------------------------------------------------ the outcome

    def _settle(self, answering: Answering) -> None:
        if not answering.waiting or answering.asking or answering.open:
            return
        answering.stop_waiting()
        try:
            answering.conclude()
        except Forbidden as error:
            self._refuse(answering, error)
            return
        answering.transaction.resend()

    def _refuse(self, answering: Answering, error: Forbidden) -> None:
        answering.stop_waiting()
        response = answering.response
        assert response is not None
        answering.transaction.fail_with_response(error, response)
