"""Stacks, clients and connections: who gets what, which states there are, and how things end."""

from __future__ import annotations

import itertools
import socket
from typing import Any

import pytest

from sipactors.client import (
    AccessPoint,
    Capabilities,
    Connection,
    ConnectionObserver,
    InviteUsage,
    MessageElements,
    RequestElements,
    ResponseElements,
    SIPClient,
    Stack,
)
from sipactors.client.standalone import OWN_OBJECTS
from sipactors.errors import (
    AlreadyExists,
    ArgumentError,
    NotFound,
    ResourceNotAvailable,
    SIPError,
    TransportFailure,
)
from sipactors.interfaces import IConnectionObserver, ISIPObserver
from sipactors.testing import Clock, Network, Phone, Recorder, ladder
from sipactors.testing.agents import offer, ok


@pytest.fixture
def network() -> Network:
    """A network on a clock of its own."""
    return Network(Clock())


def _stack(network: Network, name: str, address: str) -> Stack:
    stack = Stack(network.host(name, address))
    stack.add_access_point(AccessPoint("lan", [f"udp:5060:interface={address}"]))
    stack.startService()
    return stack


def _message(to: str, **more: Any) -> RequestElements:
    return RequestElements(to, "MESSAGE", from_="sip:alice@10.0.0.1", **more)


# ---------------------------------------------------------------- who gets what


@pytest.mark.accepts("A1")
def test_two_clients_on_one_stack_each_get_their_own_requests(network: Network) -> None:
    """RFC 3261 §8.2.2.1: the UAS identified by the Request-URI processes the request."""
    alice = Phone(network, "alice", "10.0.0.1")
    stack = _stack(network, "office", "10.0.0.2")
    happened = Recorder()
    for name in ("bob", "carol"):
        observer = happened.observe(
            IConnectionObserver, name, then={"request_received": lambda t: t.respond(ResponseElements(200))}
        )
        client = SIPClient(
            stack, f"org.example.{name}", happened.observe(ISIPObserver, name), Capabilities(users=(name,))
        )
        Connection(client, "lan", observer)
    alice.send("MESSAGE", "sip:carol@10.0.0.2")
    alice.send("MESSAGE", "sip:bob@10.0.0.2")
    alice.send("MESSAGE", "sip:dave@10.0.0.2")
    network.clock.advance(1)
    assert [event.who for event in happened.of("request_received")] == ["carol", "bob"]
    assert "office -> alice 404 MESSAGE" in ladder(network)


@pytest.mark.accepts("A2")
def test_a_request_without_a_connection_goes_to_the_client_and_a_connection_adopts_it(
    network: Network,
) -> None:
    """RFC 3261 §8.2: a request may come before anybody is ready to serve it here."""
    alice = Phone(network, "alice", "10.0.0.1")
    stack = _stack(network, "bob", "10.0.0.2")
    happened = Recorder()
    client = SIPClient(stack, "bob", happened.observe(ISIPObserver, "bob"))
    sent = alice.send("MESSAGE", "sip:bob@10.0.0.2")
    network.clock.advance(1)
    event = happened.last("request_received")
    assert event.args[0] == "lan"
    transaction = event.args[1]
    before = transaction.connection
    connection = Connection(client, "lan", ConnectionObserver())
    assert (before, transaction.connection) == (None, connection)
    transaction.respond(ResponseElements(200))
    network.clock.advance(1)
    assert sent.response.status == 200
    network.clock.advance(100)
    assert happened.names() == ["request_received"]


@pytest.mark.accepts("A3")
def test_a_request_that_nobody_takes_up_is_refused_and_the_client_told(network: Network) -> None:
    """RFC 3261 §21.4.18: 480 when the callee is currently unavailable."""
    alice = Phone(network, "alice", "10.0.0.1")
    stack = _stack(network, "bob", "10.0.0.2")
    happened = Recorder(network.clock)
    SIPClient(stack, "bob", happened.observe(ISIPObserver, "bob"))
    usage = alice.call("sip:bob@10.0.0.2")
    network.clock.advance(31)
    assert happened.names() == ["request_received"]
    network.clock.advance(2)
    assert happened.names() == ["request_received", "timed_out"]
    assert "bob -> alice 480 INVITE" in ladder(network)
    assert usage.dialog.state == "TERMINATED"


@pytest.mark.accepts("A6", "A7")
def test_a_client_has_one_connection_on_an_access_point(network: Network) -> None:
    """The caller's mistakes raise at once: a second one AlreadyExists, an unknown place NotFound."""
    phone = Phone(network, "alice", "10.0.0.1")
    assert phone.client.connection("lan") is phone.connection
    assert phone.client.connection("wan") is None
    with pytest.raises(AlreadyExists):
        Connection(phone.client, "lan", ConnectionObserver())
    with pytest.raises(NotFound):
        Connection(phone.client, "wan", ConnectionObserver())
    phone.connection.close()
    assert phone.client.connection("lan") is None
    assert Connection(phone.client, "lan", ConnectionObserver()).state == "ACTIVE"


# ---------------------------------------------------------------- states


@pytest.mark.accepts("A8")
def test_every_transition_between_the_five_states() -> None:
    """Sending, registering and dialogs need ACTIVE; UNAVAILABLE is for good."""
    network = Network(Clock())
    states: list[str] = []

    class Observer(ConnectionObserver):
        def connection_state_changed(self, state: str) -> None:
            states.append(state)

    stack = Stack(network.host("alice", "10.0.0.1"))
    stack.add_access_point(AccessPoint("lan", ["udp:5060:interface=10.0.0.1"]))
    client = SIPClient(stack, "alice", Recorder().observe(ISIPObserver))
    connection = Connection(client, "lan", Observer())
    assert connection.state == "INIT"
    with pytest.raises(TransportFailure):
        connection.send_request(_message("sip:bob@10.0.0.2"))
    stack.startService()
    assert connection.state == "ACTIVE"
    error = TransportFailure("the bearer sleeps")
    for event, argument in (
        ("SUSPEND", error),
        ("UP", None),
        ("GONE", error),
        ("UP", None),
        ("SUSPEND", error),
        ("GONE", error),
        ("UP", None),
        ("UNAVAILABLE", error),
        ("UP", None),
    ):
        connection.feed(event, argument)
    assert states == [
        "ACTIVE",
        "SUSPENDED",
        "ACTIVE",
        "INACTIVE",
        "ACTIVE",
        "SUSPENDED",
        "INACTIVE",
        "ACTIVE",
        "UNAVAILABLE",
    ]
    with pytest.raises(TransportFailure):
        connection.send_request(_message("sip:bob@10.0.0.2"))
    connection.close()
    assert connection.closed
    with pytest.raises(ResourceNotAvailable):
        connection.send_request(_message("sip:bob@10.0.0.2"))


@pytest.mark.accepts("A9", "A10")
def test_what_is_on_a_connection_ends_before_its_state_is_told_once(network: Network) -> None:
    """RFC 3261 §17.1.4: when the transport is gone, so are the transactions that need it."""
    bob = Phone(network, "bob", "10.0.0.2", on_call="ring")
    seen: list[Any] = []
    alice = Phone(network, "alice", "10.0.0.1")

    def changed(state: str) -> None:
        seen.append((state, str(alice.connection.last_error), list(alice.connection.children)))

    alice.observer.connection_state_changed = changed
    usage = alice.call(bob)
    alice.send("MESSAGE", "sip:nobody@10.0.0.9")
    network.clock.advance(1)
    told = len(alice.recorder.events)
    alice.connection.feed("GONE", TransportFailure("the cable is out"))
    assert seen == [("INACTIVE", "the cable is out", [])]
    assert len(alice.recorder.events) == told
    assert usage.closed
    assert usage.dialog.state == "TERMINATED"
    network.clock.advance(200)
    assert len(alice.recorder.events) == told


@pytest.mark.accepts("A11")
def test_reconnect_asks_the_access_point_anew_and_tells_by_states(network: Network) -> None:
    """The outcome arrives as states."""
    alice = Phone(network, "alice", "10.0.0.1")
    alice.connection.feed("GONE", TransportFailure("gone"))
    assert alice.connection.state == "INACTIVE"
    alice.connection.reconnect()
    network.clock.advance(1)
    assert alice.connection.state == "ACTIVE"
    assert [event.args[0] for event in alice.recorder.of("connection_state_changed")] == [
        "ACTIVE",
        "INACTIVE",
        "ACTIVE",
    ]


@pytest.mark.accepts("A12")
def test_a_socket_option_is_set_on_open_and_future_sockets(network: Network) -> None:
    """RFC 4594 §4.2: signalling is marked with a DSCP of its own, on every socket."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    alice.connection.set_socket_option(socket.IPPROTO_IP, socket.IP_TOS, 0x60)
    alice.send("MESSAGE", f"{bob.uri};transport=tcp")
    network.clock.advance(1)
    assert alice.stack.access_points[0].transports.site.socket_options == [
        (socket.IPPROTO_IP, socket.IP_TOS, 0x60)
    ]
    with pytest.raises(ArgumentError):
        alice.connection.set_socket_option(socket.IPPROTO_IP, socket.IP_TOS, "nonsense")  # type: ignore[arg-type]


@pytest.mark.accepts("A13")
def test_the_local_address_is_there_while_the_connection_is_active(network: Network) -> None:
    """The address is fresh after each ACTIVE."""
    alice = Phone(network, "alice", "10.0.0.1")
    addresses = [alice.connection.local_address]
    alice.connection.feed("GONE", TransportFailure("gone"))
    addresses.append(alice.connection.local_address)
    alice.connection.reconnect()
    network.clock.advance(1)
    addresses.append(alice.connection.local_address)
    assert addresses == [("10.0.0.1", 5060), None, ("10.0.0.1", 5060)]


# ---------------------------------------------------------------- the end


@pytest.mark.accepts("A14")
@pytest.mark.parametrize("order", list(itertools.permutations(["usage", "connection", "client", "stack"])))
def test_closing_in_any_order_never_crashes_and_what_is_left_says_so(
    network: Network, order: tuple[str, ...]
) -> None:
    """A child of something closed answers ResourceNotAvailable; close is idempotent and sends nothing."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    usage = alice.call(bob)
    network.clock.advance(1)
    sent = len(network.capture)
    parts: dict[str, Any] = {
        "usage": usage,
        "connection": alice.connection,
        "client": alice.client,
        "stack": alice.stack,
    }
    for name in order:
        parts[name].close()
        parts[name].close()
        with pytest.raises(ResourceNotAvailable):
            usage.bye()
        if name == "connection":
            with pytest.raises(ResourceNotAvailable):
                alice.send("MESSAGE", bob)
        if name == "client":
            with pytest.raises(ResourceNotAvailable):
                Connection(alice.client, "lan", ConnectionObserver())
        if name == "stack":
            with pytest.raises(ResourceNotAvailable):
                SIPClient(alice.stack, "late", alice.client.observer)
    assert len(network.capture) == sent


@pytest.mark.accepts("A15")
@pytest.mark.parametrize("method", ["request_received", "dialog_request_received"])
def test_closing_a_connection_inside_its_own_callback_works(network: Network, method: str) -> None:
    """Run to completion: an observer may call back into the stack, and end it, too."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")

    def close(transaction: Any, *_: Any) -> None:
        bob.connection.close()

    if method == "request_received":
        bob.on_call = close
    else:
        bob.observer.dialog_request_received = close
    usage = alice.call(bob)
    network.clock.advance(1)
    assert bob.connection.closed
    assert bob.connection.children == []
    if method == "request_received":
        assert usage.dialog.state != "CONFIRMED"
    network.clock.advance(100)
    assert bob.stack.metrics.faults == alice.stack.metrics.faults == 0


@pytest.mark.accepts("A16")
def test_close_sends_nothing_and_shutdown_ends_calls_with_bye(network: Network) -> None:
    """RFC 3261 §15: a BYE ends the session; what only forgets it leaves the peer waiting."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    alice.call(bob)
    network.clock.advance(1)
    done: list[Any] = []
    alice.connection.shutdown().addCallback(done.append)
    assert not done
    network.clock.advance(1)
    assert done
    assert alice.connection.closed
    assert ladder(network)[-2:] == ["alice -> bob BYE", "bob -> alice 200 BYE"]
    bob.connection.close()
    assert ladder(network)[-1] == "bob -> alice 200 BYE"


@pytest.mark.accepts("A16")
def test_d_45_shutdown_has_a_deadline(network: Network) -> None:
    """RFC 3261 §17.1.2.2: a BYE that nobody answers is given up after 64*T1, which is 32 s."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    alice.call(bob)
    network.clock.advance(1)
    bob.host.go_down()
    done: list[Any] = []
    alice.connection.shutdown(deadline=5).addCallback(done.append)
    network.clock.advance(4.9)
    assert not done
    network.clock.advance(0.2)
    assert done
    network.clock.advance(100)
    assert alice.left_behind() == {}


@pytest.mark.accepts("A16")
def test_d_45_a_stack_that_stops_refuses_new_work_and_ends_the_rest(network: Network) -> None:
    """RFC 3261 §21.5.4: 503 when the server is unable to process requests due to maintenance."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    alice.call(bob)
    network.clock.advance(1)
    network.hold("SIP/2.0 200", source=alice.host)
    done: list[Any] = []
    bob.stack.stopService().addCallback(done.append)
    late = alice.send("MESSAGE", bob)
    network.clock.advance(1)
    assert late.response.status == 503
    assert late.response.get("Retry-After") == "5"
    assert "bob -> alice BYE" in ladder(network)
    network.clock.advance(32)
    assert done


@pytest.mark.accepts("A17", "B5")
def test_elements_given_to_a_call_that_raises_are_still_the_callers(network: Network) -> None:
    """After a raise nothing was sent, and the elements can be used again."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2")
    elements = _message(bob.uri, headers=[("Subject", "hi")], body=b"x", content_type="text/plain")
    alice.connection.feed("SUSPEND", TransportFailure("asleep"))
    with pytest.raises(TransportFailure):
        alice.connection.send_request(elements)
    network.clock.advance(1)
    assert len(network.capture) == 0
    alice.connection.feed("UP")
    transaction = alice.connection.send_request(elements)
    again = alice.connection.send_request(elements)
    network.clock.advance(1)
    assert transaction.response is not None
    assert again.response is not None
    assert elements.headers == [("Subject", "hi")]


@pytest.mark.accepts("A18")
@pytest.mark.parametrize("name", sorted(IConnectionObserver.names()))
def test_an_observer_that_raises_stops_nothing(network: Network, name: str) -> None:
    """What an observer raises is logged and contained; the stack's state is intact."""
    happened = Recorder()
    alice = Phone(network, "alice", "10.0.0.1", recorder=happened)
    bob = Phone(network, "bob", "10.0.0.2", recorder=happened)
    for phone in (alice, bob):
        told = getattr(phone.observer, name)

        def raising(*arguments: Any, told: Any = told) -> None:
            told(*arguments)
            raise RuntimeError("an application's bug")

        setattr(phone.observer, name, raising)
    usage = alice.call(bob)
    network.clock.advance(1)
    assert usage.dialog.state == "CONFIRMED"
    bob.calls[-1].invite(offer())
    network.clock.advance(0.1)
    alice.recorder.last("dialog_request_received").args[0].respond(ok())
    network.clock.advance(1)
    usage.bye()
    ringing = alice.call(bob)
    bob.on_call = "ring"
    canceled = alice.call(bob)
    network.clock.advance(0.5)
    canceled_transaction = happened.of("dialog_response_received")[-1].args[0]
    if canceled_transaction.cancel_allowed:
        canceled_transaction.cancel()
    network.clock.advance(40)
    alice.send("MESSAGE", "sip:nobody@10.0.0.77")
    network.clock.advance(40)
    if ringing.dialog.state != "TERMINATED":
        ringing.bye()
    network.clock.advance(100)
    assert canceled.dialog.state == "TERMINATED"
    assert alice.left_behind() == {}
    assert bob.left_behind() == {}


# ---------------------------------------------------------------- mistakes of the caller


@pytest.mark.accepts("B3", "B5")
def test_a_request_without_what_it_needs_raises_and_sends_nothing(network: Network) -> None:
    """RFC 3261 §8.1.1: a valid request has a Request-URI, a From and a method."""
    alice = Phone(network, "alice", "10.0.0.1")
    for elements in (
        RequestElements(method="MESSAGE", from_="sip:alice@10.0.0.1"),
        RequestElements("sip:bob@10.0.0.2", from_="sip:alice@10.0.0.1"),
        RequestElements("sip:bob@10.0.0.2", "MESSAGE"),
    ):
        with pytest.raises(ArgumentError):
            alice.connection.send_request(elements)
    for method in OWN_OBJECTS:
        with pytest.raises(ArgumentError):
            alice.connection.send_request(
                RequestElements("sip:bob@10.0.0.2", method, from_="sip:alice@10.0.0.1")
            )
    with pytest.raises(SIPError):
        alice.send("MESSAGE", "mailto:bob@example.com")
    with pytest.raises(ArgumentError):
        InviteUsage.outgoing(alice.connection, "sip:bob@10.0.0.2")
    network.clock.advance(1)
    assert len(network.capture) == 0
    assert alice.left_behind() == {}


def test_an_invite_is_not_accepted_without_a_usage(network: Network) -> None:
    """RFC 3261 §12.1: a 2xx to INVITE makes a dialog, which somebody must own."""
    alice = Phone(network, "alice", "10.0.0.1")
    bob = Phone(network, "bob", "10.0.0.2", on_call="ignore")
    alice.call(bob)
    network.clock.advance(0.1)
    transaction = bob.invitations[0]
    with pytest.raises(ArgumentError):
        transaction.respond(ResponseElements(180))
    with pytest.raises(ArgumentError):
        transaction.respond(ok())
    transaction.respond(ResponseElements(486))
    network.clock.advance(1)
    assert "bob -> alice 486 INVITE" in ladder(network)


def test_an_early_elements_object_serves_many_calls(network: Network) -> None:
    """Elements are values: a call does not change them."""
    alice = Phone(network, "alice", "10.0.0.1")
    elements = MessageElements([("Subject", "x")])
    for number in range(2):
        bob = Phone(network, f"bob{number}", f"10.0.1.{number + 1}")
        usage = InviteUsage.outgoing(alice.connection, bob.uri, from_=alice.uri)
        usage.invite(elements)
        network.clock.advance(1)
        assert bob.invitations[0].request.get("Subject") == "x"
