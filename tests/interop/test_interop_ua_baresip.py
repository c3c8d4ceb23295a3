"""baresip and agents of sipactors.ua call each other: held, resumed, transferred, attended too."""

from __future__ import annotations

from twisted.internet import reactor

from peers import Baresip
from programs import HOST
from sipactors.sdp import audio_offer
from sipactors.ua import Call, UserAgent
from telephones import TelephoneTest, until


class BaresipAndAgents(TelephoneTest):
    """Two agents on free ports, and baresip, which answers at once."""

    def agent(self, name: str) -> UserAgent:
        """An agent that takes every call."""
        agent = UserAgent(reactor, f"sip:{name}@{HOST}", listen=[f"udp:0:interface={HOST}"])
        agent.startService()
        self.addCleanup(agent.stack.close)
        self.addCleanup(agent.stopService)

        @agent.on_call
        async def answer(call: Call) -> None:
            call.ring()
            await call.accept(audio_offer(HOST, 4000))

        return agent

    def uri(self, of: UserAgent | Baresip) -> str:
        """Where somebody is called directly."""
        if isinstance(of, Baresip):
            return f"sip:alice@{HOST}:{of.port}"
        address = of.connection.local_address
        assert address is not None
        return f"sip:x@{HOST}:{address[1]}"

    async def test_a_call_is_held_and_resumed(self) -> None:
        """RFC 3264 §8.4: hold and resume, each agreed on by baresip."""
        baresip, alice = self.start.baresip(), self.agent("alice")
        call = await alice.call(self.uri(baresip), audio_offer(HOST, 4002))
        await call.hold()
        (audio,) = call.media.streams
        assert audio is not None
        assert audio.direction.value in ("sendonly", "inactive")
        await call.resume()
        assert not call.on_hold
        await call.hangup()
        await until(lambda: "session closed" in baresip.output(), "baresip's call ends")

    async def test_an_agent_is_transferred_to_baresip_attended(self) -> None:
        """RFC 5589 §7: bob calls baresip, which does not know Replaces; both calls of the transferor end."""
        baresip, alice, bob = self.start.baresip(), self.agent("alice"), self.agent("bob")
        call = await alice.call(self.uri(bob), audio_offer(HOST, 4002))
        await call.hold()
        consultation = await alice.call(self.uri(baresip), audio_offer(HOST, 4004))
        await call.transfer(consultation)
        await consultation.ended()
        assert alice.calls == []
        await until(lambda: len(bob.calls) == 1, "bob's call with alice ends")
        (talk,) = bob.calls
        assert talk.state == "CONFIRMED"
        assert not talk.held_by_peer
        await talk.hangup()

    async def test_baresip_is_transferred(self) -> None:
        """RFC 5589 §6.1: our REFER sends baresip to carol; its NOTIFY says that she has answered."""
        baresip, alice, carol = self.start.baresip(), self.agent("alice"), self.agent("carol")
        call = await alice.call(self.uri(baresip), audio_offer(HOST, 4002))
        await call.transfer(self.uri(carol))
        assert call.state == "TERMINATED"
        (talk,) = carol.calls
        assert talk.state == "CONFIRMED"
        await talk.hangup()

    async def test_baresip_calls_and_transfers_an_agent(self) -> None:
        """RFC 5589 §6.1: baresip's REFER is followed, told by NOTIFY, and baresip leaves."""
        baresip, bob, carol = self.start.baresip(), self.agent("bob"), self.agent("carol")
        baresip.order("dial", self.uri(bob))
        await until(lambda: bob.calls and bob.calls[0].state == "CONFIRMED", "the call is established")
        first = bob.calls[0]
        await until(lambda: first._answered.done, "the ACK")
        baresip.order("transfer", self.uri(carol))
        await first.ended()
        await until(lambda: carol.calls and carol.calls[0].state == "CONFIRMED", "carol talks to bob")
        (talk,) = bob.calls
        await talk.hangup()
