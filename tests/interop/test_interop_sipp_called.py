"""SIPp with scenarios of our own is called by telephones made of sipactors.client."""

from __future__ import annotations

from peers import SIPp
from programs import HOST
from sipactors.client import ClientTransaction, MessageElements, Timing
from telephones import SDP, Call, Telephone, TelephoneTest, ended, until


class SIPpIsCalled(TelephoneTest):
    """Each scenario checks what it gets, and fails on any message that it does not expect."""

    def sipp(self, scenario: str, *options: str, calls: int = 1) -> tuple[SIPp, str]:
        """SIPp that waits for calls, and the URI to call it by."""
        sipp = self.start.sipp(scenario, "-m", str(calls), *options)
        return sipp, f"sip:service@{HOST}:{sipp.port}"

    async def succeeds(self, sipp: SIPp, phone: Telephone, calls: int = 1) -> None:
        """Every call of the scenario succeeded, and nothing is left of them here."""
        status = await ended(sipp, 60)
        counted = sipp.calls()
        assert (status, counted.successful, counted.failed) == (0, calls, 0)
        await until(lambda: not len(phone.connection.dialogs), "every dialog ends")
        phone.check_nothing_left()

    async def test_reliable_provisional_responses(self) -> None:
        """RFC 3262 §4: each reliable provisional response gets a PRACK, whose RAck names it."""
        sipp, uri = self.sipp("reliable_answerer")
        phone = self.phone("alice", supported=["100rel"])
        call = phone.dial(uri)
        await call.hears("183 INVITE", "180 INVITE", "200 INVITE")
        # The answer came in the 183: the session stands before the call does.
        assert call.direction == "sendrecv"
        call.usage.bye()
        await self.succeeds(sipp, phone)
        assert call.heard == ["183 INVITE", "180 INVITE", "200 INVITE", "200 BYE"]

    async def test_two_answer_one_invite(self) -> None:
        """RFC 3261 §13.2.2.4: each 2xx with another To tag makes a dialog, and gets an ACK; the one that is
        not wanted is ended by BYE."""
        sipp, uri = self.sipp("forking_answerer")
        phone = self.phone("alice")
        call = phone.dial(uri)
        await call.hears("180 INVITE", "fork 180 INVITE", "200 INVITE", "other 200 INVITE")
        second = call.forks[-1]
        assert set(call.forks) == {second}
        assert (call.usage.dialog.remote_tag, second.dialog.remote_tag) == ("one1", "two1")
        await second.bye().final_response()
        assert call.usage.dialog.state == "CONFIRMED"
        await call.usage.bye().final_response()
        await self.succeeds(sipp, phone)

    async def test_a_session_interval_that_the_peer_finds_too_short(self) -> None:
        """RFC 4028 §7.3: after a 422 the INVITE goes again with the Min-SE of the response."""
        sipp, uri = self.sipp("long_session_answerer")
        phone = self.phone("alice", supported=["timer"])
        call = phone.prepare(uri)
        call.usage.session_expires = 90
        call.usage.invite(call.offer())
        await call.hears("200 INVITE")
        assert (call.usage.timer.state, call.usage.timer.interval) == ("REFRESHING", 120)
        call.usage.bye()
        await self.succeeds(sipp, phone)
        assert call.heard == ["200 INVITE", "200 BYE"]

    async def test_glare(self) -> None:
        """RFC 3261 §14.1: after a 491 the owner of the Call-ID tries again in 2.1 to 4 s."""
        sipp, uri = self.sipp("glare_answerer")
        phone = self.phone("alice")
        call = phone.dial(uri)
        await call.hears("200 INVITE")
        begun = phone.stack.reactor.seconds()
        again = call.usage.invite(call.offer())
        assert (await again.final_response()).status == 200
        assert 2.1 <= phone.stack.reactor.seconds() - begun < 5
        call.usage.bye()
        await self.succeeds(sipp, phone)

    async def test_our_cancel_meets_the_200(self) -> None:
        """RFC 3261 §9.1, §15: the CANCEL came too late: the 200 gets its ACK, and BYE ends the call."""
        sipp, uri = self.sipp("crossing_answerer")
        phone = self.phone("alice")
        call = phone.dial(uri)
        await call.hears("180 INVITE")
        assert call.usage.transaction is not None
        call.usage.transaction.cancel()
        await self.succeeds(sipp, phone)
        assert call.heard == ["180 INVITE", "200 INVITE", "200 BYE"]
        assert phone.heard == ["200 CANCEL"]

    async def test_a_302_is_followed_when_the_policy_says_so(self) -> None:
        """RFC 3261 §8.1.3.4: the contacts of a 3xx are tried, the one with the highest q first."""
        target = self.start.sipp("answerer", "-m", "1")
        sipp, uri = self.sipp("redirecting", "-key", "target", str(target.port))
        phone = self.phone("alice")
        call = phone.prepare(uri)
        call.usage.follow_redirects = True
        invite = call.usage.invite(call.offer())
        await call.hears("180 INVITE", "200 INVITE")
        assert str(invite.request.uri) == f"sip:moved@{HOST}:{target.port}"
        call.usage.bye()
        await self.succeeds(target, phone)
        await self.succeeds(sipp, phone)

    async def test_a_302_is_the_applications_otherwise(self) -> None:
        """RFC 3261 §8.1.3.4: without the policy the application gets the 302 with its contacts."""
        sipp, uri = self.sipp("redirecting", "-key", "target", "9")
        phone = self.phone("alice")
        call = phone.dial(uri)
        await call.hears("302 INVITE")
        assert [str(each.uri) for each in call.responses[0].contacts] == [
            f"sip:nobody@{HOST}:9;transport=udp",
            f"sip:moved@{HOST}:9",
        ]
        await self.succeeds(sipp, phone)
        assert call.heard == ["302 INVITE"]

    async def test_an_invite_without_an_offer(self) -> None:
        """RFC 3261 §13.2.1: the 2xx has the offer, and the ACK, which is the application's, the answer."""
        sipp, uri = self.sipp("late_offer_answerer")
        phone = self.phone("alice")
        call = phone.prepare(uri)

        def answer(transaction: ClientTransaction) -> None:
            response = transaction.response
            if response is not None and response.status == 200 and transaction.method == "INVITE":
                body = call.take(response)
                call.usage.ack(transaction, MessageElements(body=body, content_type=SDP))

        call.on_response = answer
        call.usage.invite()
        await call.hears("200 INVITE")
        assert call.direction == "sendrecv"
        call.usage.bye()
        await self.succeeds(sipp, phone)

    async def test_the_offer_comes_in_a_reliable_response(self) -> None:
        """RFC 3262 §5: the UAC "MUST generate an answer in the PRACK" to an offer in a reliable response."""
        sipp, uri = self.sipp("early_offer_answerer")
        phone = self.phone("alice", supported=["100rel"])
        call = phone.prepare(uri)

        def answer(transaction: ClientTransaction) -> None:
            response = transaction.response
            if response is not None and response.status == 183:
                body = call.take(response)
                call.usage.prack(transaction, MessageElements(body=body, content_type=SDP))

        call.on_response = answer
        call.usage.invite()
        await call.hears("183 INVITE", "200 PRACK", "200 INVITE")
        assert call.direction == "sendrecv"
        call.usage.bye()
        await self.succeeds(sipp, phone)

    async def test_info_and_update_of_ours(self) -> None:
        """RFC 6086 §4, RFC 3311 §5.1: INFO, and UPDATE with an offer, within the dialog."""
        sipp, uri = self.sipp("changed_answerer")
        phone = self.phone("alice")
        call = phone.dial(uri)
        await call.hears("200 INVITE")
        digit = MessageElements(body=b"Signal=5\r\nDuration=160\r\n", content_type="application/dtmf-relay")
        assert (await call.usage.send_request("INFO", digit).final_response()).status == 200
        call.session.hold()
        assert (await call.usage.update(call.offer()).final_response()).status == 200
        assert call.direction == "sendonly"
        call.usage.bye()
        await self.succeeds(sipp, phone)

    async def test_three_messages_of_ten_are_lost(self) -> None:
        """RFC 3261 §17: every call ends, by BYE or by a timeout, in a network that loses three of ten."""
        calls = 10
        sipp, uri = self.sipp("patient_answerer", "-lost", "30", "-max_retrans", "16", calls=10 * calls)
        phone = self.phone("alice", timing=Timing(t1=0.1))

        def hang_up(call: Call) -> Call:
            def answered(transaction: ClientTransaction) -> None:
                if call.heard[-1] == "200 INVITE" and not call.usage.ending:
                    call.usage.bye()

            call.on_response = answered
            return call

        made = [hang_up(phone.dial(uri)) for _ in range(calls)]

        def over() -> bool:
            ends = ("BYE", "Timeout INVITE")
            return all(any(name.endswith(ends) for name in call.heard) for call in made)

        await until(over, "every call ends", 50)
        # SIPp gives a call up that sends INVITE again before its ACK has come, and is silent then.
        good = [call for call in made if call.heard_all("200 INVITE", "200 BYE")]
        assert len(good) >= calls // 2, [call.heard for call in made]
        assert phone.stack.metrics.retransmissions_sent > 0
        phone.check_nothing_left()
        sipp.stop()
