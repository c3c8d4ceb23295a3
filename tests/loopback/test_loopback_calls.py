"""A call and a MESSAGE between two stacks over real sockets, by every transport, over IPv4 and IPv6."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor

from sipactors.client import AccessPoint, Connection, InviteUsage, RequestElements, SIPClient, Stack
from sipactors.interfaces import IConnectionObserver, ISIPObserver
from sipactors.testing.agents import offer, ok
from sipactors.testing.certificates import Authority
from sipactors.testing.dns import StaticResolver
from sipactors.testing.recorder import Recorder

KINDS = ["udp", "tcp", "tls", "ws", "wss"]
ADDRESSES = ["127.0.0.1", "::1"]
EVERY_WAY = list(itertools.product(KINDS, ADDRESSES))


class Agent:
    """One user agent with a stack of its own."""

    def __init__(self, place: Place, name: str, description: str) -> None:
        self.name = name
        self.events = Recorder()
        resolver = StaticResolver({"bob.example.com": [place.address], "alice.example.com": [place.address]})
        self.stack = Stack(place.reactor, resolver=resolver)
        self.stack.add_access_point(AccessPoint("here", [description]))
        self.stack.startService()
        client = SIPClient(self.stack, name, self.events.observe(ISIPObserver))
        answers = {"request_received": self._answer}
        self.connection = Connection(client, "here", self.events.observe(IConnectionObserver, then=answers))
        self.calls: list[InviteUsage] = []
        self.flows: list[Any] = []

    def _answer(self, transaction: Any) -> None:
        self.flows.append(transaction.flow)
        if transaction.method == "INVITE":
            self.calls.append(InviteUsage.incoming(transaction))
        transaction.respond(ok())

    @property
    def layer(self) -> Any:
        (access,) = self.stack.access_points
        return access.transports

    def statuses(self, name: str) -> list[int]:
        return [event.args[0].response.status for event in self.events.of(name)]

    def methods(self) -> list[str]:
        return [event.args[0].method for event in self.events.of("dialog_request_received")]


class Place:
    """A reactor that turns only while a test waits, and the certificates for its agents."""

    def __init__(self, kind: str, address: str, authority: Authority) -> None:
        self.reactor: Any = EPollReactor()
        self.kind = kind
        self.address = address
        self.authority = authority
        self.agents: list[Agent] = []

    def agent(self, name: str, options: str = "", port: int = 0) -> Agent:
        address = self.address.replace(":", r"\:")
        description = f"{self.kind}:{port}:interface={address}{options}"
        if self.kind in ("tls", "wss"):
            description += f":caFile={self.authority.path}"
            if "listen=no" not in options:
                certificate = self.authority.issue(name, f"{name}.example.com")
                description += f":certFile={certificate}:advertised={name}.example.com"
        agent = Agent(self, name, description)
        self.agents.append(agent)
        return agent

    def uri(self, agent: Agent, scheme: str = "sip") -> str:
        host = f"{agent.name}.example.com"
        return f"{scheme}:{agent.name}@{host}:{agent.layer.addresses[0][2]};transport={self.kind}"

    def until(self, done: Callable[[], object], what: str = "", seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"it did not happen in time: {what}"
            self.reactor.iterate(0.005)

    def close(self) -> None:
        for agent in self.agents:
            closed = agent.stack.close()
            for connection in agent.layer.connections:
                if connection.wire is not None:
                    connection.wire.abortConnection()
            self.until(lambda closed=closed: closed.called, "the stack is closed")  # type: ignore[misc]
        for selectable in self.reactor.removeAll():
            selectable.connectionLost(None)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def place(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Place]:
    place = Place(*request.param, authority)
    yield place
    place.close()


def call_and_message(place: Place, alice: Agent, bob: Agent, scheme: str = "sip") -> InviteUsage:
    """Alice sends a MESSAGE and calls; gives her side of the call, once its ACK is there."""
    uri = place.uri(bob, scheme)
    elements = RequestElements(
        uri, "MESSAGE", from_="sip:alice@example.com", body=b"hello", content_type="text/plain"
    )
    alice.connection.send_request(elements)
    place.until(lambda: alice.statuses("response_received") == [200], "MESSAGE is answered")
    assert bob.flows[0].transport == place.kind.upper()
    assert bob.flows[0].secure == (place.kind in ("tls", "wss"))
    usage = InviteUsage.outgoing(alice.connection, uri, from_="sip:alice@example.com")
    usage.invite(offer())
    place.until(lambda: alice.statuses("dialog_response_received") == [200], "INVITE is answered")
    place.until(lambda: "ACK" in bob.methods(), "ACK")
    return usage


@pytest.mark.accepts("J1", "J3")
@pytest.mark.parametrize("place", EVERY_WAY, indirect=True, ids=lambda way: "-".join(way))
def test_a_call_and_a_message(place: Place) -> None:
    """J1, J3: udp, tcp, tls, ws and wss over IPv4 and IPv6: MESSAGE, INVITE, ACK and BYE."""
    alice, bob = place.agent("alice"), place.agent("bob")
    usage = call_and_message(place, alice, bob)
    usage.bye()
    place.until(lambda: alice.statuses("dialog_response_received")[-2:] == [200, 200], "BYE is answered")
    assert bob.methods() == ["ACK", "BYE"]
    assert alice.stack.metrics.faults == bob.stack.metrics.faults == 0
    assert bob.stack.metrics.handshakes_failed == 0


@pytest.mark.accepts("J1", "J3")
@pytest.mark.parametrize("place", EVERY_WAY, indirect=True, ids=lambda way: "-".join(way))
def test_the_called_one_hangs_up(place: Place) -> None:
    """The way back: a BYE to the Contact of whoever called, by the same transport."""
    alice, bob = place.agent("alice"), place.agent("bob")
    call_and_message(place, alice, bob)
    bob.calls[0].bye()
    place.until(lambda: bob.statuses("dialog_response_received") == [200], "BYE is answered")
    assert alice.methods() == ["BYE"]


@pytest.mark.accepts("J3")
@pytest.mark.parametrize(
    "place", list(itertools.product(KINDS[1:], ADDRESSES)), indirect=True, ids=lambda way: "-".join(way)
)
def test_a_client_that_cannot_be_connected_to_is_called_back(place: Place) -> None:
    """D-27, RFC 7118 §5: a .invalid Contact is reached over the flow it came by, in and out of dialogs."""
    alice, bob = place.agent("alice", ":listen=no"), place.agent("bob")
    call_and_message(place, alice, bob)
    contact = bob.calls[0].dialog.remote_target
    assert str(contact.host).endswith(".invalid")
    bob.calls[0].bye()
    place.until(lambda: bob.statuses("dialog_response_received") == [200], "BYE is answered")
    assert alice.methods() == ["BYE"]
    elements = RequestElements(contact, "OPTIONS", from_="sip:bob@example.com")
    bob.connection.send_request(elements)
    place.until(lambda: bob.statuses("response_received") == [200], "OPTIONS is answered")
    assert len(bob.layer.connections) == len(alice.layer.connections) == 1


@pytest.mark.accepts("J3")
@pytest.mark.parametrize(
    "place", [("tls", "127.0.0.1"), ("wss", "::1")], indirect=True, ids=lambda way: "-".join(way)
)
def test_a_sips_call_goes_by_tls_alone(place: Place) -> None:
    """RFC 5630 §3.1.3: a sips URI is reached over TLS, and so are both Contacts of its dialog."""
    alice, bob = place.agent("alice"), place.agent("bob")
    call_and_message(place, alice, bob, "sips")
    assert bob.calls[0].dialog.secure
    assert str(bob.calls[0].dialog.remote_target).startswith("sips:")
    bob.calls[0].bye()
    place.until(lambda: bob.statuses("dialog_response_received") == [200], "BYE is answered")


@pytest.mark.accepts("J3")
@pytest.mark.parametrize("place", [("tls", "127.0.0.1")], indirect=True, ids=lambda way: "-".join(way))
def test_a_server_with_another_name_is_refused(place: Place) -> None:
    """RFC 5922 §7.3, D-29: the request fails at once, and says whom the certificate is for."""
    alice, bob = place.agent("alice"), place.agent("bob")
    port = bob.layer.addresses[0][2]
    elements = RequestElements(
        f"sip:x@alice.example.com:{port};transport=tls", "OPTIONS", from_="sip:a@example.com"
    )
    alice.connection.send_request(elements)
    place.until(lambda: alice.events.of("transaction_failed"), "it fails")
    reason = str(alice.events.last("transaction_failed").args[0])
    assert reason.endswith("the certificate is for bob.example.com, not for alice.example.com")


@pytest.mark.accepts("J3")
@pytest.mark.parametrize("place", [("tls", "127.0.0.1")], indirect=True, ids=lambda way: "-".join(way))
def test_a_new_certificate_serves_while_a_call_goes_on(place: Place) -> None:
    """D-29: certificates are read again without dropping calls."""
    alice, bob, carol = place.agent("alice"), place.agent("bob"), place.agent("carol")
    usage = call_and_message(place, alice, bob)
    serial = place.authority.issue("bob", "bob.example.com").read_bytes()
    bob.layer.listeners[0].reload()
    flow = carol.layer.flow_to("TLS", place.address, bob.layer.addresses[0][2], "bob.example.com")
    place.until(lambda: flow.state == "OPEN", "carol is connected")
    from cryptography import x509

    shown = flow.wire.getPeerCertificate().to_cryptography().serial_number
    assert shown == x509.load_pem_x509_certificate(serial).serial_number
    usage.bye()
    place.until(lambda: alice.statuses("dialog_response_received")[-2:] == [200, 200], "BYE is answered")
    assert len(bob.layer.connections) == 2
