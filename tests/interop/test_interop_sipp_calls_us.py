"""SIPp with scenarios of our own calls telephones made of sipactors.client."""

from __future__ import annotations

from typing import Any

from peers import SIPp
from sipactors.client import ResponseElements
from telephones import Call, Telephone, TelephoneTest, ended, until


class SIPpCallsUs(TelephoneTest):
    """Each scenario checks what it gets, and fails on any message that it does not expect."""

    async def run_scenario(self, scenario: str, phone: Telephone, *options: str, calls: int = 1) -> SIPp:
        """Run a scenario to its end: every call of it succeeds."""
        sipp = self.start.sipp(scenario, "-m", str(calls), *options, remote=phone.address)
        status = await ended(sipp, 60)
        counted = sipp.calls()
        assert (status, counted.successful, counted.failed) == (0, calls, 0)
        await until(lambda: not len(phone.connection.dialogs), "every dialog ends")
        phone.check_nothing_left()
        return sipp

    async def test_a_caller_that_requires_100rel(self) -> None:
        """RFC 3262 §3: "The UAS MUST send any non-100 provisional response reliably if the initial request
        contained a Require header field with the option tag 100rel." """
        phone = self.phone("bob", supported=["100rel"])

        def progress(call: Call) -> None:
            call.ring(183, session=True)

            def updated(transaction: Any) -> bool:
                # RFC 3311: the session changes before the call is answered; then it is.
                if transaction.method == "UPDATE":
                    call.on_request = None
                    call.usage.host.dispatcher.timers.later(0.05, call.accept)
                return False

            call.on_request = updated

        phone.on_call = progress
        sipp = await self.run_scenario("reliable_caller", phone)
        assert phone.calls[0].heard == ["PRACK", "UPDATE", "ACK", "BYE"]
        assert sipp.calls().retransmissions == 0

    async def test_a_session_interval_that_is_too_short(self) -> None:
        """RFC 4028 §8.1, §9: an interval below the minimum is refused with 422 and Min-SE."""
        phone = self.phone("bob", supported=["timer"])
        await self.run_scenario("short_session", phone)
        (call,) = phone.calls
        assert call.heard == ["ACK", "BYE"]

    async def test_glare_both_ways(self) -> None:
        """RFC 3261 §14.1: the INVITEs of both sides cross, both are refused with 491; ours is sent again
        after 0 to 2 s, for the Call-ID is not ours."""
        phone = self.phone("bob")
        sipp = self.start.sipp("glare_caller", "-m", "1", remote=phone.address)
        call = await phone.call()
        await call.hears("ACK")
        call.usage.invite(call.offer())
        assert await ended(sipp) == 0
        assert sipp.calls().successful == 1
        assert call.heard == ["ACK", "200 INVITE", "BYE"]
        assert call.usage.transaction is not None
        assert call.usage.transaction.tries == 1
        await until(lambda: not len(phone.connection.dialogs), "the dialog ends")

    async def test_a_cancel_that_crossed_our_200(self) -> None:
        """RFC 3261 §9.2: "If the UAS has issued a final response for that request, its behavior … has no
        effect": the CANCEL gets 200 all the same."""
        phone = self.phone("bob")
        await self.run_scenario("late_cancel", phone, calls=5)
        assert {tuple(call.heard) for call in phone.calls} == {("ACK", "BYE")}

    async def test_a_ringing_call_is_cancelled(self) -> None:
        """RFC 3261 §9.2: 487 to the INVITE, 200 to the CANCEL, and the application hears of it."""
        phone = self.phone("bob")
        phone.on_call = Call.ring
        await self.run_scenario("cancel", phone, calls=5)
        assert {tuple(call.heard) for call in phone.calls} == {("canceled",)}

    async def test_an_invite_without_an_offer(self) -> None:
        """RFC 3261 §13.2.1: without an offer in the INVITE the 2xx has it, and the ACK the answer."""
        phone = self.phone("bob")
        await self.run_scenario("late_offer_caller", phone)
        assert phone.calls[0].direction == "sendrecv"

    async def test_hold_resume_update_info_and_an_invite_without_an_offer(self) -> None:
        """RFC 3261 §14.2, RFC 3311 §5.2, RFC 6086: everything that may change a call within its dialog."""
        phone = self.phone("bob")
        held: list[str] = []

        def answer(call: Call) -> None:
            call.ring()
            call.accept()
            call.on_request = lambda transaction: self.late(call, transaction, held)

        phone.on_call = answer
        await self.run_scenario("modifying_caller", phone)
        (call,) = phone.calls
        expected = ["ACK", "INVITE", "ACK", "INVITE", "ACK", "UPDATE", "INFO", "INVITE", "ACK", "BYE"]
        assert call.heard == expected
        assert held == ["recvonly", "sendrecv", "inactive"]

    def late(self, call: Call, transaction: Any, held: list[str]) -> bool:
        """Offer something in the 200 when an INVITE within the dialog did not."""
        request = transaction.request
        if request.method not in ("INVITE", "UPDATE"):
            return False
        if request.method == "INVITE" and not request.body:
            call.invitation = transaction
            call.session.resume()
            call.accept()
            return True
        body = call.take(request)
        held.append(call.direction)
        transaction.respond(ResponseElements(200, body=body, content_type="application/sdp"))
        return True

    async def test_three_messages_of_ten_are_lost(self) -> None:
        """RFC 3261 §17: every call is made and ended through a network that loses three of ten."""
        phone = self.phone("bob")
        # Seventeen attempts are enough for all but one call in a hundred thousand.
        options = ("-lost", "30", "-max_retrans", "16", "-r", "50", "-m", "10")
        sipp = self.start.sipp("caller", *options, remote=phone.address)
        assert await ended(sipp, 60) == 0
        assert (sipp.calls().successful, sipp.calls().failed) == (10, 0)
        assert sipp.calls().retransmissions > 0
        # SIPp takes a repeated 200 to its INVITE for one to its BYE, which may then never come.
        over = [call for call in phone.calls if call.heard == ["ACK", "BYE"] or call.heard == ["BYE"]]
        assert len(over) >= 8
        assert phone.stack.metrics.faults == 0
