"""Kamailio as the registrar of our phones: they register there, call and are called through it."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import pytest
from twisted.internet import reactor as installed_reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from peers import Kamailio
from programs import HOST, ROOT, Program
from sipactors.client import (
    AccessPoint,
    Connection,
    ConnectionObserver,
    Digest,
    InviteUsage,
    Login,
    MessageElements,
    Refresh,
    RegistrationBinding,
    RequestElements,
    ResponseElements,
    SIPClient,
    Stack,
)
from sipactors.errors import Forbidden
from starter import Starter

reactor: Any = installed_reactor
DOMAIN = "kamailio.example"
ALICE = f"sip:alice@{DOMAIN}"
BOB = f"sip:bob@{DOMAIN}"

MODULES = "tm rr usrloc registrar auth"
SETTINGS = """
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 3600)
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", 300)
modparam("auth", "algorithm", "{algorithm}")
"""

# A registrar that answers what the user's name says, and a proxy to whoever is registered.
ROUTE = f"""
if (is_method("REGISTER")) {{
    if ($tU == "busy") {{
        append_to_reply("Retry-After: 120\\r\\n");
        sl_send_reply("503", "Service Unavailable");
        exit;
    }}
    if ($tU == "moved") {{
        append_to_reply("Contact: <sip:elsewhere.example>\\r\\n");
        sl_send_reply("302", "Moved Temporarily");
        exit;
    }}
    if (!pv_www_authenticate("{DOMAIN}", "secret", "0")) {{
        www_challenge("{DOMAIN}", "1");
        exit;
    }}
    if ($hdr(Expires) != $null && $(hdr(Expires){{s.int}}) > 0 && $(hdr(Expires){{s.int}}) < 300) {{
        append_to_reply("Min-Expires: 300\\r\\n");
        sl_send_reply("423", "Interval Too Brief");
        exit;
    }}
    append_to_reply("Service-Route: <sip:{HOST}:$Rp;lr>\\r\\n");
    save("location");
    exit;
}}
if (has_totag()) {{
    loose_route();
    t_relay();
    exit;
}}
if (is_method("CANCEL")) {{
    t_relay();
    exit;
}}
record_route();
remove_hf("Route");
if (!lookup("location")) {{
    sl_send_reply("404", "Not Found");
    exit;
}}
t_relay();
"""


class Answering(ConnectionObserver):
    """Takes every call and every message, and remembers what its registration heard."""

    def __init__(self) -> None:
        self.failures: list[Any] = []
        self.requests: list[Any] = []

    def request_received(self, transaction: Any) -> None:
        self.requests.append(transaction.request)
        if transaction.method == "INVITE":
            self.usage = InviteUsage.incoming(transaction)
            transaction.respond(ResponseElements(180))
        transaction.respond(ResponseElements(200))

    def dialog_request_received(self, transaction: Any, dialog: Any) -> None:
        if transaction.method != "ACK":
            transaction.respond(ResponseElements(200))

    def registration_failed(self, error: Any, binding: Any, transaction: Any) -> None:
        self.failures.append(error)


class Password:
    """Types in the password of whoever is asked."""

    def __init__(self, user: str, password: str = "secret") -> None:
        self.login = Login(user, password)

    def challenge_received(self, source: object) -> Login:
        return self.login


class RegisteredAtKamailio(TestCase):
    """Real sockets, the real reactor, a real registrar."""

    timeout = 40

    @pytest.fixture(autouse=True)
    def _take_starter(self, start: Starter) -> None:
        self.start = start

    def kamailio(self, algorithm: str = "MD5") -> Kamailio:
        settings = SETTINGS.replace("{algorithm}", algorithm)
        return self.start.kamailio(ROUTE, modules=MODULES, settings=settings)

    def phone(self, user: str, password: str = "secret") -> tuple[Connection, Answering]:
        stack = Stack(reactor)
        stack.add_access_point(AccessPoint("lo", [f"udp:0:interface={HOST}", f"tcp:0:interface={HOST}"]))
        stack.startService()
        self.addCleanup(stack.close)
        observer = Answering()
        connection = Connection(SIPClient(stack, user, None), "lo", observer)
        Digest(connection.client, Password(user, password))
        return connection, observer

    def binding(
        self, connection: Connection, kamailio: Kamailio, aor: str, **how: Any
    ) -> RegistrationBinding:
        params = how.pop("params", "")
        server = f"sip:{HOST}:{kamailio.port}{params}"
        return RegistrationBinding(connection, aor, registrar=server, outbound_proxy=f"{server};lr", **how)

    async def contacts(self, connection: Connection, kamailio: Kamailio, aor: str) -> list[str]:
        elements = RequestElements(f"sip:{HOST}:{kamailio.port}", to=aor, from_=aor)
        response = await connection.fetch_registrations(elements).final_response()
        assert response.status == 200
        return [str(contact.uri) for contact in response.contacts]

    async def lives(self, algorithm: str, params: str = "") -> None:
        kamailio = self.kamailio(algorithm)
        connection, observer = self.phone("alice")
        refresh = Refresh(interval=0.4)
        binding = self.binding(connection, kamailio, ALICE, refresh=refresh, params=params)
        transaction = binding.register()
        response = await transaction.final_response()
        assert (response.status, transaction.tries, binding.context_active) == (200, 1, True)
        (credentials,) = transaction.request.typed("Authorization")
        assert (credentials.params.get("algorithm") or "MD5") == algorithm
        # RFC 3608 §6.1: the Service-Route is used; it stands for the proxy that it names itself.
        service = f"<sip:{HOST}:{kamailio.port};lr>"
        proxy = [f"<sip:{HOST}:{kamailio.port}{params};lr>"] if params else []
        assert [str(route) for route in binding.route] == [*proxy, service]
        assert binding.registered_contact is not None
        assert binding.registered_contact.expires in range(3590, 3601)
        await deferLater(reactor, 1.5, lambda: None)
        assert refresh.transaction is not None
        assert refresh.transaction.request.cseq.number >= 4
        assert refresh.transaction.request.call_id == transaction.request.call_id
        assert await self.contacts(connection, kamailio, ALICE) == [str(binding.registered_contact.uri)]
        assert (await binding.deregister().final_response()).status == 200
        assert await self.contacts(connection, kamailio, ALICE) == []
        assert observer.failures == []

    @pytest.mark.accepts("F3", "F8", "F13", "I7")
    async def test_a_registration_with_md5_is_kept_and_removed(self) -> None:
        """RFC 3261 §10.2: registered, refreshed, fetched, removed; Kamailio's usrloc agrees each time."""
        await self.lives("MD5")

    @pytest.mark.accepts("F3", "F8", "F13", "I7")
    async def test_a_registration_with_sha_256_is_kept_and_removed(self) -> None:
        """RFC 8760 §2.1: the same with algorithm=SHA-256."""
        await self.lives("SHA-256")

    @pytest.mark.accepts("F9")
    async def test_a_registration_over_tcp(self) -> None:
        """RFC 3261 §19.1.5: the Contact says transport=tcp; the registrar lists it so."""
        await self.lives("SHA-256", ";transport=tcp")

    @pytest.mark.accepts("F6")
    async def test_423_of_a_real_registrar(self) -> None:
        """RFC 3261 §10.2.8: asked again with the Min-Expires of a 423."""
        kamailio = self.kamailio()
        connection, _ = self.phone("alice")
        binding = self.binding(connection, kamailio, ALICE, contact="<sip:alice@localhost>;expires=60")
        transaction = binding.register()
        assert (await transaction.final_response()).status == 200
        assert transaction.request.get("Expires") == "300"
        assert binding.registered_contact is not None
        assert binding.registered_contact.expires in range(295, 301)

    @pytest.mark.accepts("F15")
    async def test_503_and_302(self) -> None:
        """RFC 3261 §21.5.4: a 503 may name a Retry-After, which is obeyed; a 302 is the application's."""
        kamailio = self.kamailio()
        connection, _ = self.phone("busy")
        busy = self.binding(connection, kamailio, f"sip:busy@{DOMAIN}", refresh=Refresh())
        assert (await busy.register().final_response()).status == 503
        assert busy.retry_in is not None
        assert 118 < busy.retry_in <= 120
        moved = self.binding(connection, kamailio, f"sip:moved@{DOMAIN}", refresh=Refresh())
        assert (await moved.register().final_response()).status == 302
        assert (moved.retry_in, moved.context_active) == (None, False)

    @pytest.mark.accepts("I5")
    async def test_a_wrong_password_is_refused(self) -> None:
        """RFC 3665 §2.5: 401, and 401 again; nothing more is sent."""
        kamailio = self.kamailio()
        connection, observer = self.phone("alice", "guess")
        binding = self.binding(connection, kamailio, ALICE, refresh=Refresh())
        with pytest.raises(Forbidden):
            await binding.register().final_response()
        assert [type(error) for error in observer.failures] == [Forbidden]
        assert binding.retry_in is None

    @pytest.mark.accepts("F3")
    async def test_calling_and_being_called_through_the_proxy(self) -> None:
        """RFC 3261 §4: a call reaches the callee by the Contact that it registered."""
        kamailio = self.kamailio()
        phones = {user: self.phone(user) for user in ("alice", "bob")}
        bindings = {}
        for user, (connection, _) in phones.items():
            binding = bindings[user] = self.binding(connection, kamailio, f"sip:{user}@{DOMAIN}")
            assert (await binding.register().final_response()).status == 200
        for caller, called in (("alice", "bob"), ("bob", "alice")):
            connection, _ = phones[caller]
            usage = InviteUsage.outgoing(connection, f"sip:{called}@{DOMAIN}", context=bindings[caller])
            offer = MessageElements(body=b"v=0\r\n", content_type="application/sdp")
            assert (await usage.invite(offer).final_response()).status == 200
            assert len(usage.dialog.route_set) == 1
            assert (await usage.bye().final_response()).status == 200
            request = phones[called][1].requests[-1]
            assert str(request.from_.uri) == f"sip:{caller}@{DOMAIN}"
        await bindings["bob"].deregister().final_response()
        connection, _ = phones["alice"]
        message = RequestElements(BOB, "MESSAGE", body=b"hi", content_type="text/plain")
        transaction = connection.send_request(message, context=bindings["alice"])
        assert (await transaction.final_response()).status == 404

    @pytest.mark.accepts("A16")
    async def test_a_stack_that_stops_unregisters(self) -> None:
        """Row A16: `shutdown` un-REGISTERs."""
        kamailio = self.kamailio()
        connection, _ = self.phone("alice")
        binding = self.binding(connection, kamailio, ALICE, refresh=Refresh())
        await binding.register().final_response()
        await connection.client.stack.stopService()
        other, _ = self.phone("alice")
        assert await self.contacts(other, kamailio, ALICE) == []


def test_the_registered_phone_of_the_examples(start: Starter, tmp_path: pathlib.Path) -> None:
    """docs/examples/registered_phone.py registers with its password, and un-registers when it is ended."""
    settings = SETTINGS.replace("{algorithm}", "SHA-256")
    kamailio = start.kamailio(ROUTE, modules=MODULES, settings=settings)
    example = str(ROOT / "docs" / "examples" / "registered_phone.py")
    phone = Program(
        [sys.executable, example, ALICE, "secret", HOST, f"sip:{HOST}:{kamailio.port}"],
        tmp_path / "phone.log",
        environment={"PYTHONPATH": str(ROOT)},
    )
    try:
        phone.wait_for("200 OK")
    finally:
        phone.stop()
    assert phone.output() == "200 OK\n200 OK\n"
