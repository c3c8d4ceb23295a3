"""`twistd -n sip-agent`: a user agent that answers OPTIONS, echoes MESSAGE and takes calls."""

from __future__ import annotations

from typing import Any

from twisted.application.service import MultiService
from twisted.logger import Logger
from twisted.python import usage

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    ConnectionObserver,
    Policies,
    RequestElements,
    ResponseElements,
    ServerTransaction,
    SIPClient,
    SIPObserver,
    Stack,
)
from sipactors.errors import ArgumentError, SIPError
from sipactors.message import SIPURI, Address, as_address
from sipactors.transport.description import parse_description
from sipactors.twistd.answering import Call
from sipactors.twistd.common import OneLineService, make_trace

DEFAULT_LISTEN = ("udp:5060:interface=127.0.0.1", "tcp:5060:interface=127.0.0.1")
log = Logger()


class Options(usage.Options):
    """The command line of sip-agent."""

    synopsis = "[options]"
    longdesc = "A SIP user agent: answers OPTIONS, sends every MESSAGE back, takes calls."

    optParameters = [
        ["aor", None, "sip:echo@127.0.0.1", "Our address of record."],
        ["on-call", None, "accept", "What to do with a call: accept, ring, or reject:STATUS."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self["listen"] = []
        self["trace"] = []

    def opt_listen(self, description: str) -> None:
        """Listen here, as udp:5060:interface=127.0.0.1 or tcp:5060:interface=\\:\\:1; may be repeated."""
        try:
            parse_description(description)
        except ArgumentError as error:
            raise usage.UsageError(f"--listen: {error}") from None
        self["listen"].append(description)

    def opt_trace(self, where: str) -> None:
        """Show every message: ladder, ladder:FILE, pcap:FILE or hep:HOST:PORT; may be repeated."""
        self["trace"].append(where)

    def postOptions(self) -> None:
        """Check what was given; one clear line for what is wrong."""
        try:
            aor = as_address(self["aor"], "--aor").uri
        except ArgumentError as error:
            raise usage.UsageError(str(error)) from None
        if not isinstance(aor, SIPURI):
            raise usage.UsageError(f"--aor: a sip: or sips: URI, not {self['aor']!r}")
        self["reject"] = _reject_status(self["on-call"])


def _reject_status(rule: str) -> int | None:
    """The status that a call is refused with, or None when it is not."""
    if rule in ("accept", "ring"):
        return None
    kind, _, status = rule.partition(":")
    if kind == "reject" and status.isascii() and status.isdigit() and 300 <= int(status) <= 699:
        return int(status)
    raise usage.UsageError(f"--on-call: accept, ring or reject:STATUS (300 to 699), not {rule!r}")


class Agent(ConnectionObserver):
    """What the agent does with what it hears."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._aor = Address(as_address(options["aor"], "aor").uri)
        self.connection: Connection | None = None

    def request_received(self, transaction: ServerTransaction) -> None:
        """See IConnectionObserver."""
        if transaction.method == "INVITE":
            self._call(transaction)
        elif transaction.method == "MESSAGE":
            self._echo(transaction)
        else:
            transaction.respond(ResponseElements(200))

    def _call(self, transaction: ServerTransaction) -> None:
        if self._options["reject"] is not None:
            transaction.respond(ResponseElements(self._options["reject"]))
            return
        Call().take(transaction, accept=self._options["on-call"] == "accept")

    def _echo(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        transaction.respond(ResponseElements(200))
        # Nobody echoes an echo: two such agents would talk to each other for ever.
        if self.connection is None or not request.body or request.from_.uri == self._aor.uri:
            return
        contacts = request.contacts
        target = contacts[0].uri if contacts else _source(transaction)
        echo = RequestElements(
            target,
            "MESSAGE",
            to=Address(request.from_.uri),
            from_=self._aor,
            body=request.body,
            content_type=request.get("Content-Type") or "text/plain",
        )
        try:
            self.connection.send_request(echo)
        except SIPError as error:
            log.info("no echo: {error}", error=error)


def _source(transaction: ServerTransaction) -> SIPURI:
    host, port = transaction.flow.peer
    return SIPURI(None, host, port, params={"transport": transaction.flow.transport.lower()})


def makeService(options: Options) -> Any:
    """The agent as a service; see Options."""
    from twisted.internet import reactor

    stack = Stack(reactor, trace=make_trace(options["trace"], reactor))
    stack.add_access_point(AccessPoint("agent", options["listen"] or DEFAULT_LISTEN))
    observer = Agent(options)
    client = SIPClient(
        stack,
        "sip-agent",
        SIPObserver(),
        Capabilities(accept=("application/sdp", "*/*")),
        Policies(user_agent="sipactors"),
    )
    observer.connection = Connection(client, "agent", observer)
    parent = MultiService()
    OneLineService(stack).setServiceParent(parent)  # type: ignore[no-untyped-call]
    return parent
