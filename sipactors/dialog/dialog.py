"""A dialog (RFC 3261 §12): what two user agents know of each other between the first answer and the last BYE.

    INIT ---1xx with tag--> EARLY ---2xx--> CONFIRMED ---last usage ends--> TERMINATED ---reuse--> INIT

Applications meet dialogs through their usages, and never make one themselves (RFC 5057).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sipactors.actor import TERMINATED, Machine, Table
from sipactors.errors import ArgumentError, InvalidDialogState, MalformedMessage
from sipactors.message import SIPURI, Address, Request, parse_uri
from sipactors.message import request as build_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sipactors.client.served import ServerTransaction
    from sipactors.dialog.table import DialogTable
    from sipactors.dialog.usage import Usage
    from sipactors.interfaces import IDialogHost
    from sipactors.message import URI, Response

INIT = "INIT"
EARLY = "EARLY"
CONFIRMED = "CONFIRMED"

TARGET_REFRESH = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))
"Requests whose Contact replaces the remote target (RFC 3261 §12.2, RFC 3311, RFC 6665)."


SAVED = (
    *("call_id", "local", "local_tag", "local_sequence"),
    *("remote", "remote_tag", "remote_sequence", "secure", "initiator"),
)
"What `save` keeps as it is."


class Dialog(Machine):
    """One dialog with its identifiers, sequence numbers, route set and remote target."""

    __slots__ = (
        "_asked",
        "_first",
        "_key",
        "_routes",
        "_target",
        "call_id",
        "host",
        "initiator",
        "local",
        "local_sequence",
        "local_tag",
        "referred",
        "remote",
        "remote_sequence",
        "remote_tag",
        "secure",
        "table",
        "usages",
    )

    INITIAL = INIT

    def __init__(self, host: IDialogHost, *, call_id: str, local: str, local_tag: str, remote: str) -> None:
        self.state = INIT
        self._waiting = None
        self.host = host
        self.table: DialogTable = host.dialogs
        self.call_id = call_id
        self.local = local
        "Our From or To as it goes on the wire, with its tag."
        self.local_tag = local_tag
        self.remote = remote
        "The peer's From or To as it goes on the wire, with its tag once there is one."
        self.remote_tag: str | None = None
        self.local_sequence = 0
        self.remote_sequence: int | None = None
        self._target: URI | str | None = None
        self._routes: tuple[str, ...] = ()
        self.secure = False
        "RFC 3261 §12.1: the dialog was made by a sips request over TLS."
        self.initiator = True
        "We made the Call-ID: it decides who waits longer after a 491 (RFC 3261 §14.1)."
        self.usages: list[Usage] = []
        self.referred = False
        "The peer has sent a REFER in this dialog: NOTIFYs for a further one need an id (RFC 3515 §2.4.6)."
        self._key: str | None = None
        self._asked = remote
        self._first: tuple[URI | None, tuple[str, ...]] | None = None

    # ------------------------------------------------------------------ what an application reads

    @property
    def remote_target(self) -> URI | None:
        """Where the peer's Contact has requests go, None before there was one; read on first use."""
        target = self._target
        if isinstance(target, str):
            target = self._target = parse_uri(target)
        return target

    @remote_target.setter
    def remote_target(self, target: URI | None) -> None:
        self._target = target

    @property
    def local_uri(self) -> URI:
        """Our URI, as From and To carry it."""
        return Address.parse(self.local).uri

    @property
    def remote_uri(self) -> URI:
        """The peer's URI, as From and To carry it."""
        return Address.parse(self.remote).uri

    @property
    def route_set(self) -> list[Address]:
        """The proxies that requests pass, the next one first (RFC 3261 §12.1)."""
        return [Address.parse(route) for route in self._routes]

    def __repr__(self) -> str:
        return f"<Dialog {self.state} {self.call_id} {self.local_tag} {self.remote_tag}>"

    def stray(self, event: str) -> None:
        """See Machine."""
        self.host.dispatcher.stray(self, event)

    # ------------------------------------------------------------------ how it is made

    def accept_request(self, request: Request) -> None:
        """Take the peer's first request as the making of this dialog (RFC 3261 §12.1.1)."""
        self.initiator = False
        self.remote_tag = request.from_tag
        # RFC 3261 §12.1.1: the route set is "the list of URIs in the Record-Route header field from
        # the request, taken in order".
        self._routes = routes_of(request)
        self.remote_sequence = request.cseq.number
        self._target = contact_of(request).uri_text
        self.secure = request.uri_text[:5].lower() == "sips:"

    def accept_response(self, response: Response) -> None:
        """Let a response of the peer's make or confirm this dialog (RFC 3261 §12.1.2, §13.2.2.4)."""
        if self.remote_tag is None:
            self.remote_tag = response.to_tag
        self.remote = response.get("To") or self.remote
        if self.state == INIT or (self.state == EARLY and response.status >= 200):
            # RFC 3261 §12.1.2: "taken in reverse order"; §13.2.2.4: recomputed with the 2xx.
            self._routes = routes_of(response)[::-1]
        self.refresh_target(response)
        self.feed("1xx" if response.status < 200 else "2xx")

    def accept_notify(self, request: Request) -> None:
        """Let the peer's NOTIFY make this dialog, when it came before any 2xx (RFC 6665 §4.4.1)."""
        self._target = contact_of(request).uri_text
        self.remote_tag = request.from_tag
        self.remote = request.get("From") or self.remote
        # RFC 6665 §4.4.1: the subscriber computes the route set as a UAS does, from the NOTIFY.
        self._routes = tuple(map(str, request.record_routes))
        self.feed("2xx")

    def refresh_target(self, message: Request | Response) -> None:
        """Send later requests to the Contact of a target refresh, if it has one that can be used."""
        contacts = message.contacts
        if contacts and contacts[0].is_sip:
            self._target = contacts[0].uri_text

    def preload(self, routes: Sequence[str]) -> None:
        """Send the first request by these routes (RFC 3261 §8.1.2); the answer's route set replaces them."""
        self._routes = tuple(routes)
        self._first = self.remote_target, self._routes

    def reuse(self) -> Dialog:
        """Back to INIT with the same Call-ID and From tag, for another try after a 3xx, 401 or 421.

        The next request goes where the first one went; set `remote_target` for another place. Raises
        InvalidDialogState unless the dialog is TERMINATED and a request of ours began it.
        """
        if self.state != TERMINATED or self._first is None:
            raise InvalidDialogState("only a dialog of ours that has ended can be used again")
        self.feed("REUSED")
        return self

    def begin_again(self, target: URI | None = None) -> None:
        """Forget what the answers to a first request made of the dialog; it goes out again, to `target`."""
        if self.state == EARLY:
            self.feed("ENDED")
            self.feed("REUSED")
        if target is not None:
            self.remote_target = target

    def save(self) -> dict[str, Any]:
        """What a restart needs to go on with this dialog and its usages, as plain values for JSON.

        `InviteUsage.restore` takes it. Raises InvalidDialogState unless the dialog is CONFIRMED.
        """
        if self.state != CONFIRMED:
            raise InvalidDialogState("only a confirmed dialog can be saved")
        return {
            **{name: getattr(self, name) for name in SAVED},
            "remote_target": str(self.remote_target),
            "routes": list(self._routes),
            "usages": [usage.save() for usage in self.usages],
        }

    @classmethod
    def restore(cls, host: IDialogHost, saved: Mapping[str, Any]) -> Dialog:
        """A dialog that `save` described; ArgumentError when that is no such description."""
        try:
            names = {name: saved[name] for name in ("call_id", "local", "local_tag", "remote")}
            dialog = cls(host, **names)
            for name in SAVED:
                setattr(dialog, name, saved[name])
            dialog.remote_target = parse_uri(saved["remote_target"])
            dialog._routes = tuple(str(Address.parse(route)) for route in saved["routes"])
        except (KeyError, TypeError, AttributeError, MalformedMessage) as error:
            raise ArgumentError(f"not a saved dialog: {error!r}") from None
        dialog.feed("2xx")
        return dialog

    def fork(self, host: IDialogHost) -> Dialog:
        """Another dialog that the same request of ours made (RFC 3261 §13.2.2.4)."""
        sibling = Dialog(
            host, call_id=self.call_id, local=self.local, local_tag=self.local_tag, remote=self.remote
        )
        sibling.local_sequence = self.local_sequence
        sibling.secure = self.secure
        return sibling

    # ------------------------------------------------------------------ requests of ours

    def next_sequence(self) -> int:
        """The CSeq number of a new request: they "MUST contain strictly monotonically increasing" ones."""
        self.local_sequence += 1
        return self.local_sequence

    def address(self) -> tuple[URI, Sequence[str], URI]:
        """Request-URI, routes and next hop of a request sent now (RFC 3261 §12.2.1.1)."""
        target = self.remote_target
        if target is None:
            raise InvalidDialogState("the dialog has no remote target yet")
        uri: URI = target
        routes = self._routes
        next_hop = target
        if routes:
            first = Address.parse(routes[0]).uri
            next_hop = first
            if not (isinstance(first, SIPURI) and first.lr):
                # RFC 3261 §12.2.1.1: without lr, a strict router: its URI becomes the Request-URI and
                # the remote target goes to the end of the route.
                uri, routes = first, (*routes[1:], f"<{target}>")
        return uri, routes, next_hop

    def make_request(self, method: str, sequence: int | None = None) -> tuple[Request, URI]:
        """A request within the dialog (RFC 3261 §12.2.1.1), and the URI of its next hop."""
        uri, routes, next_hop = self.address()
        made = build_request(
            method,
            uri,
            from_=self.local,
            to=self.remote,
            call_id=self.call_id,
            cseq=self.next_sequence() if sequence is None else sequence,
            routes=routes,
        )
        return made, next_hop

    # ------------------------------------------------------------------ requests of the peer's

    def request_received(self, transaction: ServerTransaction) -> None:
        """Bring a request within the dialog to the usage that it is for."""
        request = transaction.request
        method = request.method
        number = request.cseq.number
        if method != "ACK":
            if self.remote_sequence is not None and number < self.remote_sequence:
                # RFC 3261 §12.2.2: "If the remote sequence number was not empty, but the sequence number
                # of the request is lower … the request is out of order and MUST be rejected with a 500".
                transaction.answer(500, [("Retry-After", str(self.host.dispatcher.dice.below(11)))])
                return
            self.remote_sequence = number
        for usage in self.usages:
            if usage.concerns(request):
                if method in TARGET_REFRESH:
                    self.refresh_target(request)
                usage.request_received(transaction)
                return
        self._request_for_nobody(transaction)

    def concerned(self, request: Request) -> bool:
        """Whether a request within the dialog is for one of its usages."""
        return any(usage.concerns(request) for usage in self.usages)

    def _request_for_nobody(self, transaction: ServerTransaction) -> None:
        # RFC 5057 §5: a request that belongs to no usage of this dialog is 481; one that belongs to
        # none by its nature (MESSAGE, OPTIONS, INFO, a new SUBSCRIBE or REFER) is the application's.
        method = transaction.request.method
        if method == "NOTIFY":
            # RFC 6665 §4.1.3: 481 when there is no such subscription, 489 when it is to another event.
            packages = {usage.event.package for usage in self.usages if hasattr(usage, "event")}
            event = transaction.request.typed("Event")
            known = not packages or (event is not None and event.package in packages)
            transaction.answer(481 if known else 489)
        elif method in ("BYE", "UPDATE", "PRACK", "INFO"):
            transaction.answer(481)
        else:
            transaction.offer(self)

    # ------------------------------------------------------------------ usages

    def add(self, usage: Usage) -> None:
        """One more usage shares the dialog."""
        self.usages.append(usage)

    def remove(self, usage: Usage) -> None:
        """A usage has ended; the dialog ends with the last one (RFC 5057 §4)."""
        if usage in self.usages:
            self.usages.remove(usage)
        if not self.usages and self.state != TERMINATED:
            self.feed("ENDED")

    def _enter(self, _: object) -> None:
        if self._key is None:
            self._key = self.table.add(self)

    def _leave(self, _: object) -> None:
        if self._key is not None:
            self.table.remove(self._key, self)
            self._key = None

    def _renew(self, _: object) -> None:
        self.remote_tag = None
        self.remote = self._asked
        self.remote_sequence = None
        if self._first is not None:
            self.remote_target, self._routes = self._first

    def enter(self) -> None:
        """Be found by the peer's requests from now on (the side that answers knows both tags at once)."""
        self._enter(None)

    TABLE: ClassVar[Table] = {
        INIT: {
            "1xx": (EARLY, _enter),
            "2xx": (CONFIRMED, _enter),
            "ENDED": (TERMINATED, _leave),
        },
        EARLY: {
            "1xx": (EARLY, None),
            "2xx": (CONFIRMED, None),
            "ENDED": (TERMINATED, _leave),
        },
        CONFIRMED: {
            "1xx": (CONFIRMED, None),
            "2xx": (CONFIRMED, None),
            "ENDED": (TERMINATED, _leave),
        },
        TERMINATED: {
            "REUSED": (INIT, _renew),
        },
    }


def contact_of(request: Request) -> Address:
    """The one Contact that makes a dialog; MalformedMessage(400) unless there is exactly one."""
    contacts = request.contacts
    # RFC 3261 §8.1.1.8: "The Contact header field MUST be present and contain exactly one SIP or SIPS
    # URI in any request that can result in the establishment of a dialog."
    if len(contacts) != 1 or not contacts[0].is_sip:
        raise MalformedMessage(400, "Contact: exactly one SIP URI is needed", request)
    return contacts[0]


def routes_of(message: Request | Response) -> tuple[str, ...]:
    """The Record-Route of a message, as Route repeats it; MalformedMessage(400) unless all are SIP URIs."""
    routes = message.record_routes
    for route in routes:
        if not route.is_sip:
            raise MalformedMessage(400, "Record-Route: not a SIP URI", message)
    return tuple(map(str, routes))
