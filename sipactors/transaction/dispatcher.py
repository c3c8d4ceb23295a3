"""Brings every message to the transaction it belongs to, and starts the transactions of new ones."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from twisted.logger import Logger
from zope.interface import implementer

from sipactors.errors import MalformedMessage
from sipactors.interfaces import IMessageReceiver
from sipactors.message import Request, can_answer, check_request, check_response, parse, response_to
from sipactors.transaction.client import NonInviteClient
from sipactors.transaction.invite_client import InviteClient
from sipactors.transaction.invite_server import InviteServer
from sipactors.transaction.keys import MAGIC_COOKIE, client_key, merge_key, server_key
from sipactors.transaction.lanes import Lanes
from sipactors.transaction.server import NonInviteServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sipactors.actor import Machine
    from sipactors.dice import Dice
    from sipactors.interfaces import (
        IClientTransactionUser,
        IFlow,
        IRequestReceiver,
        ITrace,
        ITransportLayer,
    )
    from sipactors.message import Response
    from sipactors.metrics import Metrics
    from sipactors.settings import Limits, Timing
    from sipactors.timers import Timers

ClientTransaction: TypeAlias = "InviteClient | NonInviteClient"
ServerTransaction: TypeAlias = "InviteServer | NonInviteServer"

log = Logger()

_OTHERS = (
    *("BYE", "INFO", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK"),
    *("PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
)
"What else a CANCEL may name, without effect."


@implementer(IMessageReceiver)
class Dispatcher:
    """All transactions of one access point, in two tables: those of our requests, those of the peers'."""

    transports: ITransportLayer
    "The layer that carries messages; set once, since each of the two needs the other."

    def __init__(
        self,
        receiver: IRequestReceiver,
        timers: Timers,
        timing: Timing,
        limits: Limits,
        dice: Dice,
        metrics: Metrics,
        trace: ITrace | None = None,
    ) -> None:
        self.receiver = receiver
        self.timers = timers
        self.timing = timing
        self.limits = limits
        self.dice = dice
        self.metrics = metrics
        self.trace = trace
        self.lanes = Lanes(timers, timing)
        self.clients: dict[str, ClientTransaction] = {}
        self.servers: dict[str, ServerTransaction] = {}
        self.unanswered = 0
        "Server transactions that still wait for their final response."
        self._merged: dict[str, ServerTransaction] = {}
        self._secret = dice.token().encode()

    # ------------------------------------------------------------------ what comes

    def message_received(self, message: Request | Response, flow: IFlow) -> None:
        """See IMessageReceiver. Whatever happens, nothing is raised: the bytes were a stranger's."""
        try:
            if isinstance(message, Request):
                self._request_received(message, flow)
            else:
                self._response_received(message)
        except MalformedMessage as error:
            error.message = message
            self.malformed_received(error, flow)
        except Exception:
            self.metrics.faults += 1
            log.failure("a message could not be dispatched")

    def malformed_received(self, error: MalformedMessage, flow: IFlow) -> None:
        """See IMessageReceiver: answered with its status when enough of it could be read, and counted."""
        self.metrics.malformed += 1
        if self.trace is not None:
            self.trace.note(self, f"malformed: {error}")
        message = error.message
        if isinstance(message, Request) and can_answer(message):
            try:
                self.reply(message, flow, error.status)
            except MalformedMessage:
                return  # What its response would have to repeat cannot be read.

    def _response_received(self, response: Response) -> None:
        check_response(response)
        client = self.clients.get(client_key(response))
        if client is None or not _via_fits(response, client.request):
            # RFC 6026 §7.2: a response that matches no transaction is dropped, also a 2xx to INVITE.
            self.metrics.stray_responses += 1
            return
        client.response_received(response)

    def _request_received(self, request: Request, flow: IFlow) -> None:
        check_request(request)
        method = request.method
        if method == "ACK":
            self._ack_received(request, flow)
            return
        key = server_key(request, method)
        server = self.servers.get(key)
        if server is not None:
            self.metrics.retransmissions_received += 1
            server.feed("INVITE" if method == "INVITE" else "REQUEST")
        elif method == "CANCEL":
            self._cancel_received(request, key, flow)
        else:
            self._new_request(request, method, key, flow)

    def _new_request(self, request: Request, method: str, key: str, flow: IFlow) -> None:
        limits = self.limits
        if (
            self.unanswered >= limits.max_transactions
            or len(self.servers) >= limits.max_lingering_transactions
        ):
            self.refuse_overload(request, flow)
            return
        merged = None
        if request.to_tag is None:
            merged = merge_key(request, method)
            if merged in self._merged:
                # RFC 3261 §8.2.2.2: "If the request has no tag in the To header field, the UAS core
                # MUST check the request against ongoing transactions"; it came twice by two ways.
                self.metrics.merged_refused += 1
                self.reply(request, flow, 482)
                return
        self._serve(request, method, key, flow, merged)

    def _serve(self, request: Request, method: str, key: str, flow: IFlow, merged: str | None) -> None:
        self.metrics.server_transactions += 1
        reply_flow = self.transports.response_flow(request, flow)
        server: ServerTransaction
        if method == "INVITE":
            server = InviteServer(self, key, request, reply_flow, merged)
        else:
            server = NonInviteServer(self, key, request, reply_flow, merged)
        self.servers[key] = server
        if merged is not None:
            self._merged[merged] = server
        self.unanswered += 1
        try:
            self.receiver.request_received(server, flow)
        except MalformedMessage as error:
            self.metrics.malformed += 1
            if self.trace is not None:
                self.trace.note(server, f"malformed: {error}")
            self._fail(server, request, error.status)
        except Exception:
            self.metrics.faults += 1
            log.failure("a {method} request could not be taken", method=method)
            self._fail(server, request, 500)
        server.delivered()

    def _fail(self, server: ServerTransaction, request: Request, status: int) -> None:
        if server.request is not None:
            server.respond(response_to(request, status, to_tag=server.tag))

    def _cancel_received(self, cancel: Request, key: str, flow: IFlow) -> None:
        # RFC 3261 §9.2: the CANCEL is matched "as if it were" the request that it cancels.
        target = self.servers.get(server_key(cancel, "INVITE")) or self._same_invite(cancel)
        if target is None:
            # RFC 3261 §9.2: a CANCEL has no effect on any other request, but then that one was found.
            status = 200 if self._other_request(cancel) else 481
            self.reply(cancel, flow, status)
            return
        if len(self.servers) >= self.limits.max_lingering_transactions:
            self.refuse_overload(cancel, flow)
            return
        server = NonInviteServer(self, key, cancel, self.transports.response_flow(cancel, flow), None)
        self.servers[key] = server
        self.unanswered += 1
        # RFC 3261 §9.2: "The To tag of the response to the CANCEL and the To tag in the response to
        # the original request SHOULD be the same."
        server.respond(response_to(cancel, 200, to_tag=target.tag))
        if target.state == "PROCEEDING" and target.user is not None:
            target.user.canceled(cancel)

    def _same_invite(self, request: Request) -> ServerTransaction | None:
        # A NAT that changes the sent-by between INVITE and CANCEL, or ACK, does not change the rest.
        target = self._merged.get(merge_key(request, "INVITE"))
        if target is not None and target.key.startswith(f"{request.via.branch} "):
            return target
        return None

    def _other_request(self, cancel: Request) -> bool:
        return any(server_key(cancel, method) in self.servers for method in _OTHERS)

    def _ack_received(self, ack: Request, flow: IFlow) -> None:
        server = self.servers.get(server_key(ack, "INVITE")) or self._same_invite(ack)
        if server is not None:
            server.feed("ACK", ack)
        else:
            self.pass_ack(ack, flow)

    def pass_ack(self, ack: Request, flow: IFlow) -> None:
        """Hand an ACK to a 2xx, or a stray one, to the floor above."""
        self.receiver.ack_received(ack, flow)

    # ------------------------------------------------------------------ answers without a transaction

    def reply(
        self, request: Request, flow: IFlow, status: int, headers: Iterable[tuple[str, object]] = ()
    ) -> None:
        """Answer and forget (RFC 3261 §8.2.7). Raises MalformedMessage if the Via is unreadable."""
        if request.method == "ACK":
            return
        # RFC 3261 §8.2.7: a stateless UAS must make the same To tag for every copy of the request.
        via, call_id = request.get("Via") or "", request.get("Call-ID") or ""
        seed = f"{via} {call_id}".encode("utf-8", "surrogateescape")
        tag = hashlib.blake2b(seed, key=self._secret, digest_size=8).hexdigest()
        response = response_to(request, status, to_tag=tag, headers=headers)
        self.transports.response_flow(request, flow).send(response.render())

    def refuse_overload(self, request: Request, flow: IFlow) -> None:
        """Answer 503 with Retry-After and keep nothing (RFC 3261 §21.5.4)."""
        self.metrics.overload_refused += 1
        self.reply(request, flow, 503, [("Retry-After", str(self.limits.retry_after))])

    def another_way(self, wire: bytes, flow: IFlow) -> IFlow:
        """The flow for a response whose own flow is closed: towards the sent-by (RFC 3261 §18.2.2)."""
        return self.transports.response_flow(parse(wire), flow)

    # ------------------------------------------------------------------ what goes

    def new_branch(self) -> str:
        """A branch for a new transaction of ours (RFC 3261 §8.1.1.7)."""
        return MAGIC_COOKIE + self.dice.token()

    def send_request(
        self,
        request: Request,
        flow: IFlow,
        user: IClientTransactionUser | None,
        branch: str,
        wire: bytes | None = None,
    ) -> ClientTransaction:
        """Start the client transaction of a request whose top Via has that branch; `user` is told of it."""
        self.metrics.client_transactions += 1
        method = request.method
        key = f"{branch} {method}"
        client: ClientTransaction
        if method == "INVITE":
            client = InviteClient(self, key, request, flow, user)
        else:
            client = NonInviteClient(self, key, request, flow, user)
        self.clients[key] = client
        client.start(wire if wire is not None else request.render())
        return client

    # ------------------------------------------------------------------ what transactions tell

    def answered(self, server: ServerTransaction) -> None:
        """A server transaction has sent its final response, or ended without one."""
        self.unanswered -= 1

    def server_left(self, server: ServerTransaction) -> None:
        """A server transaction has ended."""
        self.servers.pop(server.key, None)
        if server.merge_key is not None:
            self._merged.pop(server.merge_key, None)

    def client_left(self, client: ClientTransaction) -> None:
        """A client transaction has ended."""
        self.clients.pop(client.key, None)

    def stray(self, machine: Machine, event: str) -> None:
        """An event came that the machine's state has no row for."""
        self.metrics.stray_events += 1
        if self.trace is not None:
            self.trace.note(machine, f"{event} ignored in {machine.state}")

    def close(self) -> None:
        """End every transaction at once and silently."""
        for machine in [*self.clients.values(), *self.servers.values()]:
            machine.close()


def _via_fits(response: Response, request: Request | None) -> bool:
    """Whether a response has no more Via values than the request that it answers."""
    # RFC 3261 §8.1.3.3: "If more than one Via header field value is present in a response, the UAC SHOULD
    # discard the message"; a proxy's request had more than one itself.
    values = response.get_all("Via")
    if len(values) == 1 and "," not in values[0]:
        return True
    return request is None or len(response.vias) <= len(request.vias)
