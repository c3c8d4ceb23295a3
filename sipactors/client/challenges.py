"""The challenges to one request of ours, and the answers to them, through all its tries (RFC 3261 §22)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipactors.auth import ChallengeGuard, is_stale, strongest
from sipactors.client.logins import Key, Logins, RealmLogin
from sipactors.errors import Forbidden, MalformedMessage
from sipactors.message import AuthenticationInfo, Challenge

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IDelayedCall

    from sipactors.client.transactions import ClientTransaction
    from sipactors.message import Credentials, Request, Response

CHALLENGE_HEADERS = (("WWW-Authenticate", False), ("Proxy-Authenticate", True))
CREDENTIALS_HEADERS = (("Authorization", False), ("Proxy-Authorization", True))


@dataclass(slots=True)
class Wanted:
    """One realm that wants credentials; its challenges are alternatives (RFC 8760 §2.4)."""

    realm: str
    proxy: bool
    challenges: list[Challenge]
    login: RealmLogin | None = None
    ignored: bool = False

    @property
    def key(self) -> Key:
        """The realm, and whether it is a proxy's."""
        return self.realm, self.proxy

    @property
    def decided(self) -> bool:
        """True once the realm has a login, or the application wants to give none."""
        return self.ignored or self.login is not None

    @property
    def stale(self) -> bool:
        """True when the realm says that only the nonce was too old."""
        return any(map(is_stale, self.challenges))


def read_challenges(response: Response) -> list[Wanted]:
    """What a 401 or 407 asks for, realm by realm; rows that cannot be read ask for nothing."""
    wanted: dict[Key, Wanted] = {}
    # A forking proxy puts the challenges of several servers, of both kinds, into one response (§16.7).
    for header, proxy in CHALLENGE_HEADERS:
        for row in response.get_all(header):
            try:
                challenge = Challenge.parse(row)
            except MalformedMessage:
                continue
            realm = challenge.realm
            if realm is not None:
                wanted.setdefault((realm, proxy), Wanted(realm, proxy, [])).challenges.append(challenge)
    return list(wanted.values())


class Answering:
    """Everything between one request of ours and the realms that challenge it."""

    __slots__ = (
        "_algorithms",
        "_answered",
        "_guard",
        "_logins",
        "_refused",
        "_sent",
        "_table",
        "asking",
        "deadline",
        "deferred",
        "given",
        "response",
        "source",
        "transaction",
        "waiting",
        "wanted",
    )

    def __init__(
        self,
        transaction: ClientTransaction,
        logins: Logins,
        algorithms: Sequence[str],
        table: dict[object, Answering],
    ) -> None:
        self.transaction = transaction
        self._table = table
        self._logins = logins
        self._algorithms = algorithms
        self._guard = ChallengeGuard()
        self.given: dict[Key, RealmLogin] = {}
        "The logins that every further try of the request carries."
        self._answered: set[Key] = set()
        self._refused: list[RealmLogin] = []
        self._sent: dict[Key, tuple[RealmLogin, Credentials]] = {}
        self.source: object = transaction
        "What the application knows the request by: its refresh, or the transaction itself."
        self.response: Response | None = None
        "The challenging response that came last."
        self.wanted: list[Wanted] = []
        "What it asks for."
        self.waiting = False
        "True while the application is to decide."
        self.asking = False
        "True while the observer is being called."
        self.deadline: IDelayedCall | None = None
        self.deferred: Deferred[object] | None = None

    @property
    def open(self) -> list[Wanted]:
        """The realms that are still to be decided."""
        return [wanted for wanted in self.wanted if not wanted.decided]

    @property
    def realms(self) -> tuple[str, ...]:
        """The names of the realms that are still to be decided, each once."""
        return tuple(dict.fromkeys(wanted.realm for wanted in self.open)) if self.waiting else ()

    def challenged(self, response: Response) -> None:
        """Take up a challenging response, and answer from memory what can be.

        Raises Forbidden when nothing can be answered, or nothing new.
        """
        self.response = response
        self.wanted = wanted = read_challenges(response)
        if self.transaction.method == "CANCEL" or self.transaction.canceled:
            # RFC 3261 §22.1: a CANCEL cannot be resubmitted, so servers MUST NOT challenge it.
            raise Forbidden(f"{response.status}: challenged while it is being canceled")
        if response.status == 494 or not wanted:
            raise Forbidden(f"{response.status}: there is no challenge that could be answered")
        credentials = [each for _, each in self._sent.values()]
        try:
            self._guard.challenged([each for one in wanted for each in one.challenges], credentials)
        except Forbidden:
            for one in wanted:
                if one.key in self._sent and not one.stale:
                    self._logins.refused(self._sent[one.key][0])
            raise
        for one in wanted:
            if strongest(one.challenges, self._algorithms) is None:
                raise Forbidden(f"{one.realm}: no challenge with a scheme and algorithm known here")
            self._remember(one)

    def _remember(self, wanted: Wanted) -> None:
        login = None
        if wanted.key in self._sent:
            login, _ = self._sent[wanted.key]
            # Many servers omit stale. What was sent before this request was challenged had an old nonce.
            if not wanted.stale and wanted.key in self._answered:
                # RFC 3261 §22.2: a UAC "MUST NOT re-attempt requests with the credentials that have just
                # been rejected (though the request may be retried if the nonce was stale)".
                self._refused.append(login)
                self._logins.refused(login)
                login = None
        if login is None:
            login = self._logins.find(wanted.realm, self.transaction.request.from_.uri)
        if login is None or self._is_refused(login):
            return
        if strongest(wanted.challenges, login.session(wanted.proxy).algorithms) is not None:
            wanted.login = login

    def _is_refused(self, login: RealmLogin) -> bool:
        return any(login.same(other) for other in self._refused)

    def conclude(self) -> None:
        """Every realm is decided: let further tries carry the logins. Raises Forbidden if one has none."""
        for wanted in self.wanted:
            login = wanted.login
            if login is None:
                raise Forbidden(f"{wanted.realm}: the challenge was ignored")
            if self._is_refused(login):
                raise Forbidden(f"{wanted.realm} has refused this user and password")
            if not login.session(wanted.proxy).challenged(wanted.challenges):
                raise Forbidden(f"{wanted.realm}: no challenge that this kind of password can answer")
        transaction = self.transaction
        request = transaction.request
        for wanted in self.wanted:
            assert wanted.login is not None
            self._answered.add(wanted.key)
            self.given[wanted.key] = wanted.login
            self._logins.give(wanted.login, request.from_.uri)
            self._logins.learn(wanted.login, wanted.proxy, request, transaction.next_hop)

    def put_credentials(self, request: Request, known: dict[Key, RealmLogin]) -> None:
        """Give the request as it goes out now its credentials, counted anew: one for each realm."""
        self._sent.clear()
        rows: dict[bool, list[Credentials]] = {False: [], True: []}
        for key, login in {**known, **self.given}.items():
            session = login.session(key[1])
            if session.ready:
                credentials = session.credentials(request.method, request.uri_text, request.body)
                self._sent[key] = login, credentials
                rows[key[1]].append(credentials)
        for header, proxy in CREDENTIALS_HEADERS:
            request.set(header, rows[proxy])

    def confirmed(self, response: Response) -> bool:
        """Read the Authentication-Info of a 2xx; False when the server fails to prove who it is."""
        row = response.get("Authentication-Info")
        if row is None:
            return True
        try:
            info = AuthenticationInfo.parse(row)
        except MalformedMessage:
            return True
        # RFC 3261 §20.6: Authentication-Info is a UAS's. It does not name its realm, and there is hardly
        # ever more than one.
        proofs = [
            login.session(False).confirmed(info, credentials, response.body)
            for (_, proxy), (login, credentials) in self._sent.items()
            if not proxy
        ]
        return True in proofs or False not in proofs

    def wait(self) -> None:
        """The application is to decide: its calls find this by the source."""
        transaction = self.transaction
        self.source = transaction if transaction.refresh is None else transaction.refresh
        self.waiting = True
        self._table[self.source] = self

    def stop_waiting(self) -> None:
        """The application need not decide any more. Idempotent."""
        self.waiting = False
        if self._table.get(self.source) is self:
            del self._table[self.source]
        if self.deadline is not None and self.deadline.active():
            self.deadline.cancel()
        self.deadline = None
        deferred, self.deferred = self.deferred, None
        if deferred is not None and not deferred.called:
            deferred.cancel()
