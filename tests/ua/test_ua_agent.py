"""An agent as a service: registration, messages, subscriptions, publications, the program of section 12."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from ua_scene import Town, result_of, sdp

from sipactors.errors import ArgumentError, Forbidden, ResourceNotAvailable, TransactionTimeout
from sipactors.events import Presence, PresenceTuple, write_presence
from sipactors.interfaces import ISubscriptionObserver
from sipactors.message import MessageElements, SubscriptionState
from sipactors.ua import Call, CallRejected, RequestRejected, UserAgent

PIDF = "application/pidf+xml"


@pytest.mark.accepts("N1", "N2", "N3", "N4")
def test_the_program_of_the_contract_runs_as_it_stands() -> None:
    """agent = UserAgent(reactor, "sip:alice@example.com", password="…", listen=["udp:5060"]) and so on."""
    town = Town(guarded=True)
    heard: list[Any] = []

    bob = town.agent("bob", "10.0.0.2")

    async def answer(call: Call) -> None:
        call.ring()
        await call.accept(sdp("10.0.0.2"))

    async def received(message: Any) -> None:
        heard.append((str(message.sender), message.text))

    bob.on_call(answer)
    bob.on_message(received)
    reactor = town.network.host("alice", "10.0.0.1")

    async def program() -> None:
        agent = UserAgent(
            reactor,
            "sip:alice@example.com",
            password="secret",
            listen=["udp:5060"],
            resolver=town.resolver,
        )
        await agent.register()
        assert agent.registered
        call = await agent.call("sip:bob@example.com", offer=sdp("10.0.0.1"))
        await call.hangup()
        await agent.message("sip:bob@10.0.0.2", "hi")
        states: list[Any] = []
        subscription = agent.subscribe("presence", "sip:bob@example.com", states.append)
        assert subscription.state == "NOTIFY_WAIT"
        with pytest.raises(CallRejected) as caught:
            await agent.call("sip:nobody@example.com", offer=sdp("10.0.0.1"))
        assert caught.value.status == 404
        await agent.stopService()

    town.wait(bob.register())
    town.wait(program(), 60)
    assert heard == [("sip:alice@example.com", "hi")]
    assert list(town.office.bindings) == ["sip:bob@example.com"]


@pytest.mark.accepts("N1")
def test_a_registration_is_kept_and_removed_with_the_service() -> None:
    """Register, re-register, un-register on stopService, without a line of SIP in the application."""
    town = Town(guarded=True)
    changes: list[Any] = []
    alice = town.agent("alice", "10.0.0.1")
    alice.on_registration(lambda registered, error: changes.append((registered, error)))
    assert town.wait(alice.register()) is None
    town.clock.advance(7000)
    assert len(town.office.requests) >= 3
    assert {request.call_id for request in town.office.requests} == {town.office.requests[0].call_id}
    assert alice.registered
    town.wait(alice.stopService(), 40)
    assert town.office.bindings == {}
    assert not alice.registered
    assert changes == [(True, None), (False, None)]
    assert town.left_behind() == {}


@pytest.mark.accepts("N1")
def test_a_service_that_starts_again_registers_again() -> None:
    """A service may be stopped and started."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    town.wait(alice.register())
    town.wait(alice.stopService(), 40)
    alice.startService()
    town.wait(alice.register())
    assert list(town.office.bindings) == ["sip:alice@example.com"]


def test_a_registration_can_be_ended_and_begun_again() -> None:
    """`unregister` removes the binding; `register` while registered registers anew."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1", account={"expires": 120})
    assert town.wait(alice.unregister()) is None
    first, second = alice.register(), alice.register()
    town.wait(first)
    town.wait(second)
    assert len(town.office.requests) == 1
    assert town.office.bindings["sip:alice@example.com"][1] == 120
    town.wait(alice.register())
    assert len(town.office.requests) == 2
    town.wait(alice.unregister())
    assert town.office.bindings == {}
    town.wait(alice.register())
    assert alice.registered


def test_a_wrong_password_is_told() -> None:
    """The credentials are refused: Forbidden, after a bounded number of tries."""
    town = Town(guarded=True)
    alice = town.agent("alice", "10.0.0.1", password="wrong")
    with pytest.raises(Forbidden):
        town.wait(alice.register())
    assert not alice.registered
    assert len(town.ladder()) <= 8


def test_a_password_is_for_its_realm_only() -> None:
    """`realm` limits the password to challenges of that realm."""
    town = Town(guarded=True)
    alice = town.agent("alice", "10.0.0.1", account={"realm": "elsewhere"})
    with pytest.raises(Forbidden):
        town.wait(alice.register())


def test_a_refused_registration_raises_its_status() -> None:
    """RequestRejected when the registrar refuses."""
    town = Town()
    town.office.answers.append((403, []))
    alice = town.agent("alice", "10.0.0.1")
    with pytest.raises(RequestRejected) as caught:
        town.wait(alice.register())
    assert caught.value.status == 403


def test_a_registrar_that_sleeps_is_tried_again() -> None:
    """What may pass is tried again all the same; on_registration hears of it."""
    town = Town()
    changes: list[Any] = []
    alice = town.agent("alice", "10.0.0.1")
    alice.on_registration(lambda registered, error: changes.append(registered))
    town.network.hosts["office"].go_down()
    with pytest.raises(TransactionTimeout):
        town.wait(alice.register(), 35)
    town.network.hosts["office"].go_up()
    town.clock.advance(60)
    assert alice.registered
    assert changes == [False, True]


def test_arguments_are_checked_at_once() -> None:
    """The caller's mistakes raise at once, at the caller."""
    host = Town().network.host("x", "10.0.0.1")
    for aor in ("sip:example.com", "tel:+358401234567", "nonsense"):
        with pytest.raises(ArgumentError):
            UserAgent(host, aor)
    with pytest.raises(ArgumentError):
        UserAgent(host, "sip:a@example.com", account={"expires": 10})
    with pytest.raises(ResourceNotAvailable):
        UserAgent(host, "sip:a@example.com").connection  # noqa: B018


@pytest.mark.accepts("N4")
def test_an_agent_is_a_service_of_any_application() -> None:
    """A Service in any Twisted application: it listens and stops with its parent."""
    town = Town()
    application = MultiService()  # type: ignore[no-untyped-call]
    host = town.network.host("alice", "10.0.0.1")
    agent = UserAgent(host, "sip:alice@example.com", listen=["udp:5060"], resolver=town.resolver)
    agent.setServiceParent(application)  # type: ignore[no-untyped-call]
    application.startService()
    town.wait(agent.register())
    town.wait(application.stopService(), 40)
    assert town.office.bindings == {}
    with pytest.raises(ResourceNotAvailable):
        agent.connection  # noqa: B018


def test_several_agents_share_a_stack() -> None:
    """With a `stack` several agents share its listeners; each gets the calls for its own user."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    work = UserAgent(
        alice.reactor, "sip:work@example.com", stack=alice.stack, access_point="alice", password="x"
    )
    work.startService()
    alice.client.capabilities.users = ("alice",)
    alice.on_call(lambda call: call.reject(486))
    work.on_call(lambda call: call.reject(600))
    bob = town.agent("bob", "10.0.0.2")
    for user, status in (("alice", 486), ("work", 600), ("nobody", 404)):
        with pytest.raises(CallRejected) as caught:
            town.wait(bob.call(f"sip:{user}@10.0.0.1", sdp("10.0.0.2")))
        assert caught.value.status == status
    town.wait(work.register())
    town.wait(work.stopService(), 40)
    assert town.office.bindings == {}
    assert town.wait(bob.options("sip:alice@10.0.0.1")).status == 200


# ---------------------------------------------------------------------- messages


@pytest.mark.accepts("N3")
def test_messages_go_both_ways() -> None:
    """MESSAGE is answered 200 when the application's function is done (RFC 3428 §7)."""
    town = Town()
    alice, bob = town.agent("alice", "10.0.0.1"), town.agent("bob", "10.0.0.2")
    later: Deferred[None] = Deferred()
    heard: list[Any] = []

    @bob.on_message
    async def received(message: Any) -> None:
        heard.append((message.text, message.content_type))
        if message.text == "no":
            message.reject(488)
        if message.text == "wait":
            await later
        if message.text == "bug":
            raise ValueError("a bug")

    assert town.wait(alice.message("sip:bob@10.0.0.2", "grüß dich")).status == 200
    assert heard[0][0] == "grüß dich"
    with pytest.raises(RequestRejected, match="488"):
        town.wait(alice.message("sip:bob@10.0.0.2", "no"))
    with pytest.raises(RequestRejected, match="500"):
        town.wait(alice.message("sip:bob@10.0.0.2", "bug"))
    waiting = result_of(alice.message("sip:bob@10.0.0.2", "wait"))
    town.clock.advance(2)
    assert waiting == []
    later.callback(None)
    town.clock.advance(2)
    assert waiting[0].status == 200
    assert town.wait(alice.message("sip:bob@10.0.0.2", b"{}", "application/json")).status == 200
    assert heard[-1] == ("{}", "application/json")


@pytest.mark.accepts("N3")
def test_without_a_function_messages_are_not_allowed() -> None:
    """RFC 3261 §8.2.1: a method that is not supported is answered 405 with Allow."""
    town = Town()
    alice, _bob = town.agent("alice", "10.0.0.1"), town.agent("bob", "10.0.0.2")
    with pytest.raises(RequestRejected) as caught:
        town.wait(alice.message("sip:bob@10.0.0.2", "hi"))
    assert caught.value.status == 405
    assert "MESSAGE" not in caught.value.response.get("Allow")


@pytest.mark.accepts("N3")
def test_options_tells_what_somebody_can_do() -> None:
    """Any final response says that somebody is there."""
    town = Town()
    alice, _bob = town.agent("alice", "10.0.0.1"), town.agent("bob", "10.0.0.2")
    response = town.wait(alice.options("sip:bob@10.0.0.2"))
    assert response.status == 200
    assert "REFER" in response.get("Allow")
    town.office.answers.append((404, []))
    town.office_connection.client.policies.answer_options = False
    assert town.wait(alice.options("sip:x@example.com")).status == 404


# ---------------------------------------------------------------------- subscriptions


def presence(note: str, basic: str) -> bytes:
    return write_presence(Presence("sip:bob@example.com", [PresenceTuple("t", basic)], []))


@pytest.mark.accepts("N3")
def test_presence_is_watched() -> None:
    """`agent.subscribe("presence", uri, observer)`: each state that is told, until `unsubscribe`."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    states: list[Any] = []
    subscription = alice.subscribe("presence", "sip:bob@example.com", states.append)
    town.clock.advance(1)
    town.office.notify(presence("", "open"), PIDF)
    town.clock.advance(1)
    assert subscription.state == "ACTIVE"
    assert [state.tuples[0].basic for state in states] == ["open"]
    town.office.notify(presence("", "closed"), PIDF)
    town.clock.advance(1)
    assert subscription.value is states[-1]
    assert states[-1].tuples[0].basic == "closed"
    assert town.wait(subscription.first()) is states[0]
    town.clock.advance(4000)
    assert subscription.state == "ACTIVE"
    assert town.wait(subscription.unsubscribe()) is None
    assert subscription.state == "TERMINATED"
    assert alice.subscriptions == []
    assert town.left_behind() == {}


@pytest.mark.accepts("N3")
def test_an_observer_hears_the_end() -> None:
    """RFC 6665 §4.1.3: after reason "noresource" the subscriber must not subscribe again."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    observer = town.recorder.observe(ISubscriptionObserver, "alice")
    subscription = alice.subscribe("x-test", "sip:bob@example.com", observer, accept=["text/plain"])
    town.clock.advance(1)
    town.office.notify(b"7", "text/plain")
    town.clock.advance(1)
    town.office.notify(b"8", "text/plain", SubscriptionState("terminated", {"reason": "noresource"}))
    town.clock.advance(1)
    assert [event.args[1] for event in town.recorder.of("state_received")] == [b"7", b"8"]
    assert isinstance(town.recorder.last("subscription_ended").args[1], RequestRejected)
    assert subscription.over


def test_a_subscription_that_is_deactivated_is_made_again() -> None:
    """RFC 6665 §4.1.3: "deactivated": the subscriber SHOULD retry at once."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    subscription = alice.subscribe("x-test", "sip:bob@example.com", accept=["text/plain"])
    town.clock.advance(1)
    town.office.notify(b"7", "text/plain", SubscriptionState("terminated", {"reason": "deactivated"}))
    town.clock.advance(2)
    assert subscription.state == "ACTIVE"
    town.office.notify(b"7", "text/plain")
    probation = SubscriptionState("terminated", {"reason": "probation", "retry-after": "90"})
    town.office.notify(b"8", "text/plain", probation)
    town.clock.advance(80)
    assert subscription.state == "TERMINATED"
    assert not subscription.over
    town.clock.advance(12)
    assert subscription.state == "ACTIVE"
    town.wait(subscription.unsubscribe())
    assert town.left_behind() == {}


def test_a_refused_subscription_ends() -> None:
    """The answer to the first SUBSCRIBE reaches the observer and whoever waits."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    town.office.answers.append((403, []))
    observer = town.recorder.observe(ISubscriptionObserver, "alice")
    subscription = alice.subscribe("presence", "sip:bob@example.com", observer)
    with pytest.raises(RequestRejected, match="403"):
        town.wait(subscription.first())
    assert town.recorder.names() == ["subscription_ended"]
    assert town.wait(subscription.unsubscribe()) is None


def test_a_state_is_asked_for_once() -> None:
    """RFC 6665 §4.4.3: a SUBSCRIBE with Expires 0 fetches the state."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    town.office.state = MessageElements(body=b"7", content_type="text/plain")
    subscription = alice.subscribe("x-test", "sip:bob@example.com", expires=0, accept=["text/plain"])
    assert town.wait(subscription.first()) == b"7"
    assert alice.subscriptions == []


# ---------------------------------------------------------------------- publications


@pytest.mark.accepts("N3")
def test_presence_is_published_refreshed_changed_and_removed() -> None:
    """RFC 3903 §4.1: the entity tag of the last 2xx goes into the next request."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    state = Presence("sip:alice@example.com", [PresenceTuple("t", "open")], [])
    publication = town.wait(alice.publish("presence", state, expires=600))
    assert publication.active
    town.clock.advance(400)
    assert town.wait(publication.update(presence("", "closed"))) is publication
    town.wait(publication.remove())
    assert not publication.active
    tags = [tag for tag, _, _ in town.office.published]
    assert tags == [None, "tag1", "tag2", "tag3"]
    assert [expires for _, expires, _ in town.office.published] == [600, 600, 600, 0]
    assert [bool(body) for _, _, body in town.office.published] == [True, False, True, False]


@pytest.mark.accepts("N3")
def test_a_publication_that_cannot_be_kept_is_told() -> None:
    """What ends a publication reaches `failed`."""
    town = Town()
    alice = town.agent("alice", "10.0.0.1")
    failures: list[Any] = []
    town.office.answers.append((489, []))
    with pytest.raises(RequestRejected, match="489"):
        town.wait(alice.publish("x-test", b"1", content_type="text/plain"))
    publication = town.wait(alice.publish("presence", presence("", "open"), failed=failures.append))
    town.office.answers.append((403, []))
    town.clock.advance(3600)
    assert failures == [publication.error]
    with pytest.raises(ArgumentError):
        alice.publish("x-test", b"1")
    with pytest.raises(ArgumentError):
        alice.subscribe("x-test", "sip:bob@example.com")


def test_what_strangers_write_badly_is_answered_and_raises_nowhere() -> None:
    """Strangers' input raises only MalformedMessage, with the status to answer."""
    town = Town()
    alice, bob = town.agent("alice", "10.0.0.1"), town.agent("bob", "10.0.0.2")
    bob.on_message(lambda message: None)
    bob.on_call(lambda call: call.accept())

    def spoil(old: bytes, new: bytes, **where: Any) -> None:
        town.network.alter(old, lambda data: data.replace(old, new), 1, **where)

    spoil(b"text/plain;charset=utf-8", b"text/")
    with pytest.raises(RequestRejected, match="400"):
        town.wait(alice.message("sip:bob@10.0.0.2", "hi"))
    spoil(b"application/sdp\r\n", b"application/txt\r\n")
    with pytest.raises(CallRejected, match="415"):
        town.wait(alice.call("sip:bob@10.0.0.2", sdp("10.0.0.1")))
    spoil(b"v=0\r\n", b"z=0\r\n")
    with pytest.raises(CallRejected, match="400"):
        town.wait(alice.call("sip:bob@10.0.0.2", sdp("10.0.0.1")))
    call = town.wait(alice.call("sip:bob@10.0.0.2", sdp("10.0.0.1")))
    spoil(b"application/dtmf-relay", b"application/")
    with pytest.raises(RequestRejected, match="400"):
        town.wait(call.dtmf("1"))
    spoil(b"m=audio", b"m=adieu")
    with pytest.raises(RequestRejected):
        town.wait(call.hold())
    assert call.state == "CONFIRMED"
    spoil(b"Refer-To: <sip:", b"Refer-To: <xyz:")
    with pytest.raises(RequestRejected):
        town.wait(call.transfer("sip:carol@10.0.0.3"))
    assert bob.stack.metrics.observer_errors == 0
    town.wait(call.hangup())
    assert town.left_behind() == {}
