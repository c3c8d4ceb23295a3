"""baresip, a whole telephone, and telephones made of sipactors.client call each other."""

from __future__ import annotations

from typing import Any

from peers import Baresip
from programs import HOST
from sipactors.client import InviteUsage, NotifyUsage, ReferUsage, ResponseElements, read_referral
from sipactors.client.capabilities import METHODS
from telephones import Call, TelephoneTest, until


class BaresipAndWe(TelephoneTest):
    """baresip is told what to do as its user would tell it."""

    def baresip(self, *options: str) -> Baresip:
        """A baresip that answers at once."""
        return self.start.baresip(*options)

    async def says(self, baresip: Baresip, text: str) -> None:
        """Return once baresip has written this."""
        await until(lambda: text in baresip.output(), f"baresip writes {text!r}")

    async def is_called(self) -> tuple[Baresip, Call]:
        """A call of baresip's to us, with media."""
        baresip, bob = self.baresip(), self.phone("bob")
        baresip.order("dial", bob.uri)
        call = await bob.call()
        await call.hears("ACK")
        await until(lambda: call.sound.packets, "we hear baresip")
        return baresip, call

    async def test_baresip_calls_and_hangs_up(self) -> None:
        """RFC 3261 §13, §15: INVITE, 180, 200, ACK; baresip's BYE is answered."""
        baresip, call = await self.is_called()
        assert call.direction == "sendrecv"
        baresip.order("hangup")
        await call.hears("BYE")
        assert call.usage.dialog.state == "TERMINATED"

    async def test_baresip_calls_and_we_hang_up(self) -> None:
        """RFC 3261 §15.1.1: our BYE, as the callee's."""
        baresip, call = await self.is_called()
        assert (await call.usage.bye().final_response()).status == 200
        await self.says(baresip, "session closed")

    async def test_baresip_holds_and_resumes(self) -> None:
        """RFC 3264 §8.4: baresip's INVITEs put the call on hold and take it back."""
        baresip, call = await self.is_called()
        call.heard.clear()
        baresip.order("hold")
        await call.hears("INVITE", "ACK")
        assert call.direction in ("recvonly", "inactive")
        held = call.direction
        baresip.order("resume")
        await call.hears("INVITE", "ACK", "INVITE", "ACK")
        assert (held, call.direction) == ("recvonly", "sendrecv")
        heard = call.sound.packets
        await until(lambda: call.sound.packets > heard, "we hear baresip again")
        baresip.order("hangup")
        await call.hears("BYE")

    async def test_we_call_hold_resume_and_hang_up(self) -> None:
        """RFC 3261 §14.1: our INVITEs within the dialog, from either side of the call."""
        baresip, alice = self.baresip(), self.phone("alice")
        call = alice.dial(f"sip:alice@{HOST}:{baresip.port}")
        await call.hears("200 INVITE")
        await until(lambda: call.sound.packets, "we hear baresip")
        call.session.hold()
        assert (await call.usage.invite(call.offer()).final_response()).status == 200
        assert call.direction == "sendonly"
        call.session.resume()
        assert (await call.usage.invite(call.offer()).final_response()).status == 200
        assert call.direction == "sendrecv"
        assert (await call.usage.bye().final_response()).status == 200
        await self.says(baresip, "session closed")

    async def test_we_call_and_baresip_hangs_up(self) -> None:
        """RFC 3261 §15.1.2: the BYE of the callee ends the call."""
        baresip, alice = self.baresip(), self.phone("alice")
        call = alice.dial(f"sip:alice@{HOST}:{baresip.port}")
        await call.hears("200 INVITE")
        await self.says(baresip, "Call established")
        baresip.order("hangup")
        await call.hears("BYE")
        assert call.usage.dialog.state == "TERMINATED"

    async def test_we_cancel_a_call_that_rings(self) -> None:
        """RFC 3261 §9.1: CANCEL, its 200, the 487 to the INVITE and its ACK."""
        baresip, alice = self.start.baresip(answers=False), self.phone("alice")
        call = alice.dial(f"sip:alice@{HOST}:{baresip.port}")
        await call.hears("180 INVITE")
        assert call.usage.transaction is not None
        call.usage.transaction.cancel()
        await call.hears("487 INVITE")
        assert alice.heard == ["200 CANCEL"]

    async def test_baresip_transfers_us(self) -> None:
        """RFC 5589 §6.1: baresip's REFER sends us to carol: we call her, tell by NOTIFY how it went, and
        baresip leaves."""
        baresip, carol = self.baresip(), self.phone("carol")
        bob = self.phone("bob", methods=(*METHODS, "REFER"))
        third: list[Call] = []

        def refer(transaction: Any) -> bool:
            if transaction.method != "REFER":
                return False
            referral = read_referral(transaction.request)
            notifier = NotifyUsage(transaction, observer=bob)
            transaction.respond(ResponseElements(202))
            made = bob.prepare(str(referral.uri))
            offer = made.offer()
            invite = made.usage.invite(referral.elements(offer.body, offer.content_type))
            invite.final_response().addCallback(lambda response: notifier.progress(response.status, "OK"))
            third.append(made)
            return True

        bob.on_request = refer
        baresip.order("dial", bob.uri)
        call = await bob.call()
        await call.hears("ACK")
        baresip.order("transfer", carol.uri)
        await call.hears("BYE")
        answered = await carol.call()
        await answered.hears("ACK")
        assert third[0].heard[-1] == "200 INVITE"
        assert bob.heard.count("REFER") == 1
        await until(lambda: len(bob.connection.dialogs) == 1, "only the call to carol is left")
        third[0].usage.bye()
        await answered.hears("BYE")

    async def test_we_transfer_baresip(self) -> None:
        """RFC 5589 §6.1: our REFER sends baresip to carol; its NOTIFYs tell how it goes, and we leave."""
        baresip, carol = self.baresip(), self.phone("carol")
        alice = self.phone("alice")
        call = alice.dial(f"sip:alice@{HOST}:{baresip.port}")
        await call.hears("200 INVITE")
        refer = ReferUsage.in_dialog(call.usage.dialog, carol.uri, observer=alice)
        refer.refer()
        answered = await carol.call()
        await answered.hears("ACK")
        await until(lambda: refer.progress is not None and refer.progress.status == 200, "a NOTIFY with 200")
        call.usage.bye()
        await call.hears("200 BYE")
        await until(lambda: not len(alice.connection.dialogs), "the dialog of the transfer ends")
        assert isinstance(answered.usage, InviteUsage)
        assert (await answered.usage.bye().final_response()).status == 200
