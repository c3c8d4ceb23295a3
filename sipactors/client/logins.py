"""What a client knows of realms: who it is there, and which of its requests want to be told so at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipactors.auth import DigestSession
from sipactors.errors import ArgumentError
from sipactors.message import SIPURI

if TYPE_CHECKING:
    from sipactors.auth import HA1, Random, Secret
    from sipactors.message import URI, Request

Key = tuple[str, bool]
"A realm, and whether its challenges are a proxy's."
Space = tuple[str, ...]
"A set of requests that the same server is known to challenge."

MAX_KNOWN = 10_000
"Spaces, and users' places in realms, that are remembered; the oldest is forgotten, and asked for again."


@dataclass(slots=True)
class Login:
    """A user and the password: what a challenge observer gives. The password may be an HA1 of it."""

    user: str
    password: str | HA1

    def __repr__(self) -> str:
        return f"Login({self.user!r}, <hidden>)"


class RealmLogin:
    """A user of one realm, with the digest sessions in which that user answers its challenges."""

    __slots__ = ("_how", "_sessions", "dropped", "realm", "secret", "user")

    def __init__(self, realm: str, user: str, secret: Secret, how: Answers) -> None:
        if not isinstance(user, str) or any(mark in user for mark in "\r\n\0"):
            raise ArgumentError("a user's name is text without line breaks")
        self.realm = realm
        self.user = user
        self.secret = secret
        self.dropped = False
        "True once this must not be used for further requests."
        self._how = how
        self._sessions: dict[bool, DigestSession] = {}
        self.session(False)

    def __repr__(self) -> str:
        return f"<RealmLogin {self.user!r} at {self.realm!r}>"

    def session(self, proxy: bool) -> DigestSession:
        """The session for the realm's WWW-Authenticate, or for its Proxy-Authenticate."""
        session = self._sessions.get(proxy)
        if session is None:
            how = self._how
            session = self._sessions[proxy] = DigestSession(
                self.realm,
                self.user,
                self.secret,
                how.random,
                proxy=proxy,
                algorithms=how.algorithms,
                prefer_integrity=how.prefer_integrity,
            )
        return session

    def same(self, other: RealmLogin) -> bool:
        """True when both say the same to the same realm."""
        return (self.realm, self.user) == (other.realm, other.user) and self.secret == other.secret


@dataclass(slots=True)
class Answers:
    """How challenges are answered."""

    random: Random
    algorithms: Sequence[str]
    prefer_integrity: bool


class Logins:
    """Users by realm, and the requests that are given credentials before anybody asks.

    A login that was preloaded serves every From of the client whose user it names, and all of them when it
    is the only one of its realm. One that was given for a request serves the From of that request.
    """

    def __init__(self) -> None:
        self._preloaded: dict[str, dict[str, RealmLogin]] = {}
        self._given: dict[tuple[str, str], RealmLogin] = {}
        self._spaces: dict[Space, dict[Key, RealmLogin]] = {}

    def __len__(self) -> int:
        return len(self._given) + sum(map(len, self._preloaded.values()))

    def preload(self, login: RealmLogin) -> None:
        """Use this login for its realm, and forget what was known of that user there."""
        self._preloaded.setdefault(login.realm, {})[login.user] = login
        for key, given in list(self._given.items()):
            if given.realm == login.realm and given.user == login.user:
                given.dropped = True
                del self._given[key]

    def give(self, login: RealmLogin, from_: URI) -> None:
        """Use this login for requests from there that its realm challenges."""
        _put(self._given, (login.realm, _place(from_)), login)

    def find(self, realm: str, from_: URI) -> RealmLogin | None:
        """Who a request from there is to this realm, or None."""
        login = self._given.get((realm, _place(from_)))
        if login is not None:
            return login
        ours = self._preloaded.get(realm)
        if not ours:
            return None
        if isinstance(from_, SIPURI) and from_.user is not None:
            login = ours.get(from_.user) or ours.get(f"{from_.user}@{from_.host}")
        if login is None and len(ours) == 1:
            login = next(iter(ours.values()))
        return login

    def refused(self, login: RealmLogin) -> None:
        """The realm refuses a login: the next request asks for another, unless it was preloaded."""
        # A registrar whose database is down for a minute must not cost a phone its configuration.
        if self._preloaded.get(login.realm, {}).get(login.user) is not login:
            login.dropped = True
            for key in [key for key, given in self._given.items() if given is login]:
                del self._given[key]

    def remove(self, realm: str | None) -> None:
        """Forget all users of a realm, or of all realms."""
        for name in list(self._preloaded) if realm is None else [realm]:
            for login in self._preloaded.pop(name, {}).values():
                login.dropped = True
        for key in [key for key in self._given if realm is None or key[0] == realm]:
            self._given.pop(key).dropped = True

    # ------------------------------------------------------------------ before anybody asks

    def learn(self, login: RealmLogin, proxy: bool, request: Request, next_hop: URI | None) -> None:
        """Requests like this one have been challenged, and can say at once who sends them."""
        for space in _spaces(request, next_hop, proxy):
            logins = self._spaces.get(space)
            if logins is None:
                logins = {}
                _put(self._spaces, space, logins)
            logins[login.realm, proxy] = login

    def known(self, request: Request, next_hop: URI | None) -> dict[Key, RealmLogin]:
        """The logins that a request is sent with although nobody has asked yet."""
        found: dict[Key, RealmLogin] = {}
        for space in (*_spaces(request, next_hop, False), *_spaces(request, next_hop, True)[1:]):
            logins = self._spaces.get(space)
            if logins is not None:
                found.update((key, login) for key, login in logins.items() if not login.dropped)
        return found


def _spaces(request: Request, next_hop: URI | None, proxy: bool) -> tuple[Space, ...]:
    # RFC 3261 §22.3: a UA "SHOULD incorporate credentials for that realm in all subsequent requests that
    # contain the same Call-ID".
    call: Space = ("call", request.call_id)
    if request.to_tag is not None:
        return (call,)
    from_ = _place(request.from_.uri)
    if not proxy:
        # Whose Request-URI is the same is the same server's. In SIP the realm alone would be the
        # protection domain (RFC 3261 §22.1), but which URIs are in it only its server knows.
        return call, ("uri", from_, _place(request.uri))
    # RFC 3261 §22.3: credentials "MUST NOT be cached across dialogs", but for the realm of the local
    # outbound proxy: what goes to the same next hop.
    return (call, ("hop", from_, _place(next_hop))) if next_hop is not None else (call,)


def _place(uri: URI) -> str:
    """What of a URI says where it is: without parameters, headers and password."""
    if isinstance(uri, SIPURI):
        return f"{uri.user}@{uri.host.lower()}:{uri.port}"
    return str(uri)


def _put(memory: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    memory[key] = value
    if len(memory) > MAX_KNOWN:
        del memory[next(iter(memory))]
