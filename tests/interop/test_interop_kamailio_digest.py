"""Kamailio challenges our requests, as the registrars and proxies of half the world do."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor as installed_reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from peers import Kamailio
from programs import HOST
from sipactors.client import (
    AccessPoint,
    ClientTransaction,
    Connection,
    ConnectionObserver,
    Digest,
    InviteUsage,
    Login,
    MessageElements,
    RequestElements,
    ResponseElements,
    SIPClient,
    Stack,
)
from sipactors.dialog.dialog import CONFIRMED
from sipactors.errors import Forbidden
from starter import Starter

reactor: Any = installed_reactor
REALM = "kamailio.example"
ALICE = f"sip:alice@{REALM}"

# As a UAS it challenges by 401 and answers by itself; it counts nonces and proves itself in the 2xx.
UAS = f"""
if (!pv_www_authenticate("{REALM}", "secret", "0")) {{
    www_challenge("{REALM}", "1");
    exit;
}}
sl_send_reply("200", "OK $au");
"""

# As a proxy it challenges by 407 all but ACK and CANCEL, and stays in the dialogs' route.
PROXY = f"""
if (!is_method("ACK|CANCEL")) {{
    if (!pv_proxy_authenticate("{REALM}", "secret", "0")) {{
        proxy_challenge("{REALM}", "1");
        exit;
    }}
    consume_credentials();
}}
if (has_totag()) {{
    loose_route();
}} else {{
    record_route();
}}
t_relay();
"""

COUNTED = """
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", 300)
"""
PROVED = 'modparam("auth", "add_authinfo_hdr", 1)\n'


def settings(algorithm: str, more: str = COUNTED) -> str:
    return f'modparam("auth", "algorithm", "{algorithm}")\n{more}'


class Answering(ConnectionObserver):
    """Bob takes every call and every message."""

    def request_received(self, transaction: Any) -> None:
        if transaction.method == "INVITE":
            self.usage = InviteUsage.incoming(transaction)
        transaction.respond(ResponseElements(200))

    def dialog_request_received(self, transaction: Any, dialog: Any) -> None:
        if transaction.method != "ACK":
            transaction.respond(ResponseElements(200))


class Asked:
    """Knows alice's password, and counts how often it is asked for."""

    def __init__(self, password: str = "secret") -> None:
        self.password = password
        self.times = 0

    def challenge_received(self, source: object) -> Login:
        self.times += 1
        return Login("alice", self.password)


class ChallengedByKamailio(TestCase):
    """Real sockets, the real reactor, a real server."""

    timeout = 30

    @pytest.fixture(autouse=True)
    def _take_starter(self, start: Starter) -> None:
        self.start = start

    def agent(self, observer: Any, *listen: str) -> Connection:
        """A client of its own stack on a free port."""
        stack = Stack(reactor)
        stack.add_access_point(AccessPoint("lo", listen or [f"udp:0:interface={HOST}"]))
        stack.startService()
        self.addCleanup(stack.close)
        return Connection(SIPClient(stack, "test", None), "lo", observer)

    def phone(self, password: str = "secret", **how: Any) -> tuple[Connection, Asked]:
        """Alice, whose Digest has an observer."""
        asked = Asked(password)
        connection = self.agent(ConnectionObserver(), f"udp:0:interface={HOST}", f"tcp:0:interface={HOST}")
        Digest(connection.client, asked, **how)
        return connection, asked

    async def send(self, connection: Connection, kamailio: Kamailio, method: str, params: str = "") -> Any:
        uri = f"sip:service@{HOST}:{kamailio.port}{params}"
        body = {"body": b"hi", "content_type": "text/plain"} if method == "MESSAGE" else {}
        transaction = connection.send_request(RequestElements(uri, method, from_=ALICE, **body))
        self.transaction: ClientTransaction = transaction
        return await transaction.final_response()

    async def passes(self, algorithm: str, params: str = "", more: str = COUNTED) -> None:
        kamailio = self.start.kamailio(UAS, modules="auth", settings=settings(algorithm, more))
        connection, asked = self.phone()
        for method in ("MESSAGE", "OPTIONS", "MESSAGE"):
            response = await self.send(connection, kamailio, method, params)
            assert (response.status, response.reason) == (200, "OK alice")
        # The first request was challenged; the others carried what it had learnt.
        (credentials,) = self.transaction.request.typed("Authorization")
        assert (asked.times, self.transaction.tries) == (1, 0)
        assert credentials.params.get("nc") == "00000003"
        assert (credentials.params.get("algorithm") or "MD5") == algorithm
        assert connection.client.stack.metrics.false_proofs == 0

    @pytest.mark.accepts("I4", "I6", "I7")
    async def test_md5(self) -> None:
        """RFC 7616 §3.4: nc counts; Kamailio's nonce_count refuses what was seen before."""
        await self.passes("MD5")

    @pytest.mark.accepts("I4", "I6", "I7")
    async def test_sha_256(self) -> None:
        """RFC 8760 §2.1: algorithm=SHA-256."""
        await self.passes("SHA-256")

    @pytest.mark.accepts("I4", "I6", "I7")
    async def test_sha_256_over_tcp(self) -> None:
        """RFC 8760 §2.1: algorithm=SHA-256, over a stream."""
        await self.passes("SHA-256", ";transport=tcp")

    @pytest.mark.accepts("I5")
    async def test_a_wrong_password_is_sent_once(self) -> None:
        """RFC 3261 §22.2: a UAC "MUST NOT re-attempt requests with the credentials that have just been
        rejected"."""
        kamailio = self.start.kamailio(UAS, modules="auth", settings=settings("MD5"))
        connection, asked = self.phone("guess")
        with pytest.raises(Forbidden):
            await self.send(connection, kamailio, "MESSAGE")
        assert (asked.times, self.transaction.tries) == (2, 1)
        assert self.transaction.response is not None
        assert self.transaction.response.status == 401

    @pytest.mark.accepts("I4")
    async def test_d_20_nonces_that_expire_are_renewed_without_asking(self) -> None:
        """RFC 7616 §3.3: stale=true: retry with a new nonce, without asking the user again."""
        expiring = 'modparam("auth", "nonce_expire", 1)\n'
        kamailio = self.start.kamailio(UAS, modules="auth", settings=settings("SHA-256", expiring))
        connection, asked = self.phone()
        for _ in range(2):
            response = await self.send(connection, kamailio, "MESSAGE")
            assert response.status == 200
            await deferLater(reactor, 2.5, lambda: None)
        assert (asked.times, self.transaction.tries) == (1, 1)

    async def called(self, algorithm: str) -> None:
        modules, how = "auth tm rr", settings(algorithm)
        kamailio = self.start.kamailio(PROXY, modules=modules, settings=how)
        answering = Answering()
        bob = self.agent(answering)
        address = bob.local_address
        assert address is not None
        connection, asked = self.phone()
        point = connection.access.point
        point.outbound_proxy = f"sip:{HOST}:{kamailio.port};lr"
        usage = InviteUsage.outgoing(connection, f"sip:bob@{HOST}:{address[1]}", from_=ALICE)
        offer = MessageElements(body=b"v=0\r\n", content_type="application/sdp")
        invite = usage.invite(offer)
        response = await invite.final_response()
        assert (response.status, invite.tries, usage.dialog.state) == (200, 1, CONFIRMED)
        assert len(usage.dialog.route_set) == 1
        # RFC 3261 §22.3: what follows with the same Call-ID has its credentials at once.
        again = usage.invite(offer)
        assert (await again.final_response()).status == 200
        bye = usage.bye()
        assert (await bye.final_response()).status == 200
        assert (again.tries, bye.tries, asked.times) == (0, 0, 1)
        assert bye.request.cseq.number == 4
        assert answering.usage.dialog.state == usage.dialog.state == "TERMINATED"
        # So has the next call, to the same outbound proxy.
        message = RequestElements(
            f"sip:bob@{HOST}:{address[1]}", "MESSAGE", from_=ALICE, body=b"hi", content_type="text/plain"
        )
        transaction = connection.send_request(message)
        assert (await transaction.final_response()).status == 200
        assert (transaction.tries, asked.times) == (0, 1)

    @pytest.mark.accepts("I1", "I6", "K1")
    async def test_d_23_a_call_through_a_proxy_that_challenges_every_request(self) -> None:
        """RFC 3261 §22.3: INVITE, re-INVITE and BYE are challenged by 407; ACK is not."""
        await self.called("MD5")

    @pytest.mark.accepts("I1", "I6", "K1")
    async def test_d_23_a_call_through_a_proxy_with_sha_256(self) -> None:
        """RFC 8760 §2.1: the same with algorithm=SHA-256."""
        await self.called("SHA-256")

    @pytest.mark.accepts("I4")
    async def test_the_proof_of_kamailio_is_right(self) -> None:
        """RFC 7616 §3.5: rspauth proves that the server knows the password."""
        await self.passes("MD5", more=COUNTED + PROVED)
        assert self.transaction.response is not None
        assert "rspauth" in (self.transaction.response.get("Authentication-Info") or "")
