"""Kamailio as the proxy between registered telephones: it challenges, forks, and stays in the route."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from peers import Baresip, Kamailio
from programs import HOST
from sipactors.client import Digest, Login, RegistrationBinding, ResponseElements
from sipactors.interfaces import IDigestChallengeObserver
from telephones import Call, Telephone, TelephoneTest, until

DOMAIN = "kamailio.example"
MODULES = "tm rr usrloc registrar auth"
SETTINGS = """
modparam("usrloc", "db_mode", 0)
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("auth", "nonce_expire", 300)
modparam("registrar", "append_branches", 1)
"""

# It wants a password for everything: by 401 for REGISTER and, in a realm of its own, for BYE; by 407 else.
ROUTE = f"""
if (is_method("REGISTER")) {{
    if (!pv_www_authenticate("{DOMAIN}", "secret", "0")) {{
        www_challenge("{DOMAIN}", "1");
        exit;
    }}
    append_to_reply("Service-Route: <sip:{HOST}:$Rp;lr>\\r\\n");
    save("location");
    exit;
}}
if (is_method("CANCEL")) {{
    t_relay();
    exit;
}}
if (is_method("BYE")) {{
    if (!pv_www_authenticate("hangup.{DOMAIN}", "secret", "0")) {{
        www_challenge("hangup.{DOMAIN}", "1");
        exit;
    }}
    consume_credentials();
}} else if (!is_method("ACK")) {{
    if (!pv_proxy_authenticate("{DOMAIN}", "secret", "0")) {{
        proxy_challenge("{DOMAIN}", "1");
        exit;
    }}
    consume_credentials();
}}
if (has_totag()) {{
    loose_route();
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


@implementer(IDigestChallengeObserver)
class Password:
    """Types the user's password in, and counts."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.times = 0

    def challenge_received(self, source: object) -> Login:
        self.times += 1
        return Login(self.user, "secret")


class Line:
    """A telephone of ours that is registered at Kamailio."""

    def __init__(self, phone: Telephone, binding: RegistrationBinding, password: Password) -> None:
        self.phone = phone
        self.binding = binding
        self.password = password

    def dial(self, user: str) -> Call:
        """Call another user of the domain through Kamailio."""
        return self.phone.dial(f"sip:{user}@{DOMAIN}", context=self.binding)


class KamailioBetween(TelephoneTest):
    """Every telephone reaches the others by their addresses-of-record only."""

    def kamailio(self) -> Kamailio:
        """A registrar and proxy."""
        return self.start.kamailio(ROUTE, modules=MODULES, settings=SETTINGS)

    async def line(self, kamailio: Kamailio, user: str, transports: Sequence[str] = ("udp", "tcp")) -> Line:
        """A telephone of ours, once it is registered."""
        phone = self.phone(user, transports=transports)
        password = Password(user)
        Digest(phone.client, password)
        params = ";transport=tcp" if transports == ("tcp",) else ""
        proxy = f"sip:{HOST}:{kamailio.port}{params};lr"
        binding = RegistrationBinding(
            phone.connection, f"sip:{user}@{DOMAIN}", outbound_proxy=proxy, registrar=proxy
        )
        response = await binding.register().final_response()
        assert response.status == 200
        return Line(phone, binding, password)

    async def baresip(self, kamailio: Kamailio, user: str) -> Baresip:
        """baresip, once it is registered there."""
        account = f'<sip:{user}@{DOMAIN}>;auth_user={user};auth_pass=secret;regint=600;outbound="'
        account += f'sip:{HOST}:{kamailio.port}"'
        baresip = self.start.baresip(account=account)
        await until(lambda: "SIP/2.0 200" in baresip.output(), "baresip is registered")
        return baresip

    def check_path(self, call: Call, hops: int = 1) -> None:
        """The requests of the peer's came through the proxy, which stays in the route."""
        assert len(call.usage.dialog.route_set) == hops
        assert all(len(request.vias) >= 2 for request in call.requests)

    async def test_a_call_whose_invite_and_bye_are_challenged(self) -> None:
        """RFC 3261 §22: INVITE is challenged by 407 and BYE by 401; both go again with credentials, and the
        BYE takes the recorded route (§12.2.1.1)."""
        kamailio = self.kamailio()
        alice, bob = await self.line(kamailio, "alice"), await self.line(kamailio, "bob")
        call = alice.dial("bob")
        await call.hears("180 INVITE", "200 INVITE")
        answered = await bob.phone.call()
        await answered.hears("ACK")
        assert call.direction == answered.direction == "sendrecv"
        # Held and resumed by its callee, through the proxy, which challenges that too.
        answered.session.hold()
        assert (await answered.usage.invite(answered.offer()).final_response()).status == 200
        assert (answered.direction, call.direction) == ("sendonly", "recvonly")
        bye = call.usage.bye()
        assert (await bye.final_response()).status == 200
        await answered.hears("BYE")
        assert bye.tries == 1
        seen = [line[8:11] for line in alice.phone.wire.received_lines if line.startswith("SIP/2.0 4")]
        # One for REGISTER; the nonce of its realm serves INVITE too or is renewed; one for BYE.
        assert seen[0] == seen[-1] == "401"
        assert alice.password.times == 2
        assert not {"401 INVITE", "407 INVITE", "401 BYE"} & set(call.heard)
        self.check_path(answered)
        assert len(call.usage.dialog.route_set) == 1

    async def test_the_callee_hangs_up_through_the_route(self) -> None:
        """RFC 3261 §12.1.1: the callee's route set is the Record-Route in order; its BYE is challenged."""
        kamailio = self.kamailio()
        alice, bob = await self.line(kamailio, "alice"), await self.line(kamailio, "bob")
        call = alice.dial("bob")
        answered = await bob.phone.call()
        await answered.hears("ACK")
        bye = answered.usage.bye()
        assert (await bye.final_response()).status == 200
        assert bye.tries == 1
        await call.hears("200 INVITE", "BYE")
        self.check_path(call)

    async def test_a_call_between_tcp_and_udp(self) -> None:
        """RFC 5658 §3: the proxy records its route twice, once for each transport."""
        kamailio = self.kamailio()
        alice = await self.line(kamailio, "alice", ("tcp",))
        bob = await self.line(kamailio, "bob", ("udp",))
        for caller, called, user in ((alice, bob, "bob"), (bob, alice, "alice")):
            call = caller.dial(user)
            await call.hears("200 INVITE")
            answered = called.phone.calls[-1]
            await answered.hears("ACK")
            assert (await answered.usage.bye().final_response()).status == 200
            await call.hears("BYE")
            self.check_path(call, 2)
            self.check_path(answered, 2)

    async def test_one_address_of_record_with_two_telephones(self) -> None:
        """RFC 3261 §16.7: both ring, one answers, the other's INVITE is canceled by the proxy."""
        kamailio = self.kamailio()
        desk, mobile = await self.line(kamailio, "bob"), await self.line(kamailio, "bob")
        alice = await self.line(kamailio, "alice")
        desk.phone.on_call = mobile.phone.on_call = Call.ring
        call = alice.dial("bob")
        await call.hears("180 INVITE", "fork 180 INVITE")
        (mobile_call,) = mobile.phone.calls
        mobile_call.accept()
        await mobile_call.hears("ACK")
        (desk_call,) = desk.phone.calls
        await desk_call.hears("canceled")
        # The 2xx belongs to the fork whose 180 the mobile sent, whichever came first.
        usage = call.usage if "200 INVITE" in call.heard else call.forks[0]
        assert usage.dialog.remote_tag == mobile_call.usage.dialog.local_tag
        assert (await usage.bye().final_response()).status == 200
        await mobile_call.hears("BYE")
        assert desk_call.usage.dialog.state == "TERMINATED"

    async def test_our_cancel_ends_every_branch(self) -> None:
        """RFC 3261 §16.10: our CANCEL reaches both telephones, and we hear 487."""
        kamailio = self.kamailio()
        desk, mobile = await self.line(kamailio, "bob"), await self.line(kamailio, "bob")
        alice = await self.line(kamailio, "alice")
        desk.phone.on_call = mobile.phone.on_call = Call.ring
        call = alice.dial("bob")
        await call.hears("180 INVITE", "fork 180 INVITE")
        assert call.usage.transaction is not None
        call.usage.transaction.cancel()
        await call.hears("487 INVITE")
        for line in (desk, mobile):
            await line.phone.calls[0].hears("canceled")
        assert alice.phone.heard[-1] == "200 CANCEL"

    async def test_a_branch_that_is_out_of_service(self) -> None:
        """RFC 3261 §16.7: a 503 of one branch does not end the other."""
        kamailio = self.kamailio()
        broken, works = await self.line(kamailio, "bob"), await self.line(kamailio, "bob")
        alice = await self.line(kamailio, "alice")
        broken.phone.on_call = lambda call: call.invitation.respond(ResponseElements(503))
        call = alice.dial("bob")
        await call.hears("200 INVITE")
        assert (len(broken.phone.calls), len(works.phone.calls)) == (1, 1)
        assert (await call.usage.bye().final_response()).status == 200

    async def test_a_branch_that_has_moved(self) -> None:
        """RFC 3261 §8.1.3.4: a 302 comes back through the proxy; the caller follows it, and is challenged
        for the new Request-URI too."""
        kamailio = self.kamailio()
        bob, carol = await self.line(kamailio, "bob"), await self.line(kamailio, "carol")
        alice = await self.line(kamailio, "alice")

        def moved(call: Call) -> None:
            headers = [("Contact", f"<sip:carol@{DOMAIN}>")]
            call.invitation.respond(ResponseElements(302, headers=headers))

        bob.phone.on_call = moved
        call = alice.phone.prepare(f"sip:bob@{DOMAIN}", context=alice.binding)
        call.usage.follow_redirects = True
        call.usage.invite(call.offer())
        await call.hears("200 INVITE")
        answered = await carol.phone.call()
        assert call.heard == ["180 INVITE", "200 INVITE"]
        assert (await call.usage.bye().final_response()).status == 200
        await answered.hears("BYE")

    async def test_nobody_is_registered(self) -> None:
        """RFC 3261 §16.5: 404 of the proxy; also for who has removed the binding."""
        kamailio = self.kamailio()
        alice, bob = await self.line(kamailio, "alice"), await self.line(kamailio, "bob")
        assert (await bob.binding.deregister().final_response()).status == 200
        call = alice.dial("bob")
        await call.hears("404 INVITE")
        assert not bob.phone.calls

    async def test_we_call_baresip(self) -> None:
        """baresip, registered with its password, is called; it hangs up and is challenged."""
        kamailio = self.kamailio()
        baresip = await self.baresip(kamailio, "carol")
        alice = await self.line(kamailio, "alice")
        call = alice.dial("carol")
        await call.hears("200 INVITE")
        await until(lambda: call.sound.packets, "we hear baresip")
        baresip.order("hangup")
        await call.hears("BYE")
        self.check_path(call)

    async def test_baresip_calls_us(self) -> None:
        """baresip calls our registered telephone, holds, and hangs up."""
        kamailio = self.kamailio()
        baresip = await self.baresip(kamailio, "carol")
        bob = await self.line(kamailio, "bob")
        baresip.order("dial", f"sip:bob@{DOMAIN}")
        call = await bob.phone.call()
        await call.hears("ACK")
        await until(lambda: call.sound.packets, "we hear baresip")
        baresip.order("hold")
        await call.hears("ACK", "INVITE", "ACK")
        assert call.direction == "recvonly"
        baresip.order("hangup")
        await call.hears("BYE")
        self.check_path(call)
