"""TLS and WebSocket with other people's programs: OpenSSL's own client and server, and Kamailio."""

from __future__ import annotations

import os
import pathlib
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor

from programs import HOST, free_port
from sipactors.client import AccessPoint, Connection, InviteUsage, RequestElements, SIPClient, Stack
from sipactors.interfaces import IConnectionObserver, ISIPObserver
from sipactors.testing.agents import offer, ok
from sipactors.testing.certificates import EXPIRED, Authority
from sipactors.testing.dns import StaticResolver
from sipactors.testing.recorder import Recorder
from starter import Starter

OPTIONS = (
    b"OPTIONS sip:echo@example.com SIP/2.0\r\nVia: SIP/2.0/TLS peer.invalid;branch=z9hG4bK1;rport\r\n"
    b"Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=a\r\nTo: <sip:echo@example.com>\r\nCall-ID: 1\r\n"
    b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class OpenSSL:
    """`openssl s_client` or `s_server`, spoken to through its standard input and output."""

    def __init__(self, path: str, *arguments: str) -> None:
        self.output = b""
        self.process = subprocess.Popen(
            [path, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)

    def read(self, seconds: float = 0.0) -> bytes:
        """All that it has written by now."""
        assert self.process.stdout is not None
        while select.select([self.process.stdout], [], [], seconds)[0]:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            self.output += data
        return self.output

    def wait_for(self, text: bytes, seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while text not in self.read(0.05):
            assert time.monotonic() < end, f"no {text!r} in {self.output!r}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def openssl(require_peer: Callable[[str], str]) -> Iterator[Callable[..., OpenSSL]]:
    started: list[OpenSSL] = []

    def run(*arguments: str) -> OpenSSL:
        started.append(OpenSSL(require_peer("openssl"), *arguments))
        return started[-1]

    yield run
    for each in started:
        each.close()


class Ours:
    """A user agent of ours in this process; its reactor turns only while a test waits."""

    def __init__(self, *listen: str) -> None:
        self.reactor: Any = EPollReactor()
        self.events = Recorder()
        names = {name: [HOST] for name in ("example.com", "kamailio.example.com")}
        self.stack = Stack(self.reactor, resolver=StaticResolver(names))
        self.stack.add_access_point(AccessPoint("here", listen))
        self.stack.startService()
        client = SIPClient(self.stack, "ours", self.events.observe(ISIPObserver))
        self.requests: list[Any] = []
        self.calls: list[InviteUsage] = []
        then = {"request_received": self._answer}
        self.connection = Connection(client, "here", self.events.observe(IConnectionObserver, then=then))

    def _answer(self, transaction: Any) -> None:
        self.requests.append(transaction)
        if transaction.method == "INVITE":
            self.calls.append(InviteUsage.incoming(transaction))
        transaction.respond(ok())

    def ask(self, uri: str, method: str = "OPTIONS") -> None:
        elements = RequestElements(uri, method, from_="sip:alice@example.com")
        self.connection.send_request(elements)

    def until(self, done: Callable[[], object], what: str = "", seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"{what}: {[event.name for event in self.events]}"
            self.reactor.iterate(0.01)

    def statuses(self, name: str) -> list[int]:
        return [event.args[0].response.status for event in self.events.of(name)]

    def failure(self) -> str:
        self.until(lambda: self.events.of("transaction_failed"), "a failure")
        return str(self.events.last("transaction_failed").args[0])

    def close(self) -> None:
        closed = self.stack.close()
        for access in self.stack.access_points:
            for connection in access.transports.connections:
                if connection.wire is not None:
                    connection.wire.abortConnection()
        self.until(lambda: closed.called)
        for selectable in self.reactor.removeAll():
            selectable.connectionLost(None)


@pytest.fixture
def ours() -> Iterator[Callable[..., Ours]]:
    made: list[Ours] = []

    def make(*listen: str) -> Ours:
        made.append(Ours(*listen))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.accepts("J3")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client_asks_our_agent(
    start: Starter, openssl: Callable[..., OpenSSL], authority: Authority, version: str
) -> None:
    """`openssl s_client` verifies the agent's certificate and gets its 200, by TLS 1.2 and 1.3."""
    port = free_port()
    certificate = authority.issue("agent", "example.com")
    start.agent(f"--listen=tls:{port}:interface={HOST}:certFile={certificate}")
    trust = ("-CAfile", str(authority.path), "-verify_return_error", "-verify_hostname", "example.com")
    client = openssl("s_client", "-connect", f"{HOST}:{port}", "-servername", "example.com", version, *trust)
    client.wait_for(b"Verify return code: 0 (ok)")
    client.write(OPTIONS)
    client.wait_for(b"SIP/2.0 200 OK")


def test_s_client_without_a_certificate_is_refused(
    start: Starter, openssl: Callable[..., OpenSSL], authority: Authority
) -> None:
    """verify=required: who shows no certificate, or one that has expired, is told so by an alert."""
    port = free_port()
    files = f"certFile={authority.issue('strict', 'example.com')}:caFile={authority.path}"
    start.agent(f"--listen=tls:{port}:interface={HOST}:{files}:verify=required")
    client = openssl("s_client", "-connect", f"{HOST}:{port}", "-ign_eof")
    client.wait_for(b"certificate required")
    expired = str(authority.issue("expired", "a.example.com", end=EXPIRED))
    client = openssl("s_client", "-connect", f"{HOST}:{port}", "-ign_eof", "-cert", expired, "-key", expired)
    client.wait_for(b"certificate expired")
    good = str(authority.issue("good", "a.example.com"))
    client = openssl("s_client", "-connect", f"{HOST}:{port}", "-ign_eof", "-cert", good, "-key", good)
    client.wait_for(b"Verify return code")
    client.write(OPTIONS)
    client.wait_for(b"SIP/2.0 200 OK")


def test_s_client_with_an_old_version_is_refused(
    start: Starter, openssl: Callable[..., OpenSSL], authority: Authority
) -> None:
    """RFC 8996: TLS 1.0 and TLS 1.1 MUST NOT be used."""
    port = free_port()
    certificate = authority.issue("modern", "example.com")
    start.agent(f"--listen=tls:{port}:interface={HOST}:certFile={certificate}")
    old = openssl(
        "s_client", "-connect", f"{HOST}:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-ign_eof"
    )
    old.wait_for(b"alert protocol version")


@pytest.mark.accepts("J3")
def test_our_agent_asks_s_server(
    openssl: Callable[..., OpenSSL], ours: Callable[..., Ours], authority: Authority
) -> None:
    """`openssl s_server` sees the name asked for, our certificate, and the request; we see its answer."""
    port = free_port()
    certificate = str(authority.issue("server", "sip:example.com"))
    server = openssl(
        *("s_server", "-accept", f"{HOST}:{port}", "-cert", certificate, "-key", certificate, "-CAfile"),
        *(str(authority.path), "-Verify", "1", "-verify_return_error", "-servername", "example.com"),
        *("-cert2", certificate, "-key2", certificate, "-servername_fatal"),
    )
    server.wait_for(b"ACCEPT")
    client = authority.issue("client", "sip:alice@example.com")
    alice = ours(f"tls:0:interface={HOST}:listen=no:caFile={authority.path}:certFile={client}")
    alice.ask(f"sip:example.com:{port};transport=tls")
    alice.until(lambda: b"CSeq: 1 OPTIONS" in server.read() and b"\r\n\r\n" in server.output, "the request")
    text = server.output[server.output.index(b"OPTIONS sip:") :].decode()
    assert re.search(r"^Via: SIP/2.0/TLS [0-9a-f]{16}\.invalid;branch=", text, re.M)
    kept = "".join(
        f"{line}\r\n" for line in re.findall(r"^(?:Via|From|To|Call-ID|CSeq):[^\r\n]*", text, re.M)
    )
    server.write(f"SIP/2.0 200 OK\r\n{kept}Content-Length: 0\r\n\r\n".encode())
    alice.until(lambda: alice.statuses("response_received") == [200], "the answer")
    assert b"example.com" in server.output


@pytest.mark.parametrize(
    ("names", "how", "reason"),
    [
        (("example.org",), {}, "the certificate is for example.org, not for example.com"),
        (("example.com",), {"end": EXPIRED}, "the certificate has expired"),
        (("example.com",), {"self_signed": True}, "the certificate is self-signed"),
    ],
)
def test_a_bad_s_server_is_refused(
    openssl: Callable[..., OpenSSL], ours: Callable[..., Ours], authority: Authority, names: Any, how: Any,
    reason: str,
) -> None:  # fmt: skip
    """Wrong name, expired, self-signed: refused, and the failure says why."""
    port = free_port()
    certificate = str(authority.issue("bad", *names, **how))
    server = openssl("s_server", "-accept", f"{HOST}:{port}", "-cert", certificate, "-key", certificate)
    server.wait_for(b"ACCEPT")
    alice = ours(f"tls:0:interface={HOST}:listen=no:caFile={authority.path}")
    alice.ask(f"sip:example.com:{port};transport=tls")
    assert alice.failure() == f"TLS to {HOST} port {port}: {reason}"


def kamailio(start: Starter, authority: Authority, route: str = "") -> tuple[Any, int, int]:
    """Kamailio with TLS and WebSocket; gives it and its ports for TLS (and WSS), and for WS."""
    modules = pathlib.Path("/usr/lib/x86_64-linux-gnu/kamailio/modules")
    if not all((modules / f"{name}.so").exists() for name in ("tls", "websocket")):
        pytest.skip("kamailio-tls-modules and kamailio-websocket-modules are not installed")
    secure, plain = free_port(), free_port()
    certificate = authority.issue("kamailio", "kamailio.example.com", HOST)
    settings = f"""
enable_tls=yes
tcp_accept_no_cl=yes
listen=tls:{HOST}:{secure}
listen=tcp:{HOST}:{plain}
loadmodule "tls.so"
loadmodule "websocket.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{certificate}")
event_route[xhttp:request] {{
    set_reply_close();
    if ($hdr(Upgrade) =~ "websocket" && ws_handle_handshake()) {{ exit; }}
    xhttp_reply("404", "Not Found", "", "");
}}
"""
    program = start.kamailio(route, modules="tm rr xhttp nathelper", settings=settings, children=2)
    return program, secure, plain


@pytest.mark.accepts("J3")
@pytest.mark.parametrize("kind", ["tls", "ws", "wss"])
def test_kamailio_answers(start: Starter, ours: Callable[..., Ours], authority: Authority, kind: str) -> None:
    """OPTIONS to Kamailio by TLS, by WebSocket, and by both: its certificate holds, its 200 comes back."""
    _, secure, plain = kamailio(start, authority)
    trust = "" if kind == "ws" else f":caFile={authority.path}"
    alice = ours(f"{kind}:0:interface={HOST}:listen=no{trust}")
    port = plain if kind == "ws" else secure
    alice.ask(f"sip:probe@kamailio.example.com:{port};transport={kind}")
    alice.until(lambda: alice.statuses("response_received") == [200], "200")


@pytest.mark.accepts("J3")
@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_call_crosses_kamailio_from_websocket_to_tls(
    start: Starter, ours: Callable[..., Ours], authority: Authority, who: str
) -> None:
    """Alice calls by WebSocket, Kamailio records its route and calls Bob by TLS; both can hang up."""
    certificate = authority.issue("bob", "example.com")
    bob = ours(f"tls:0:interface={HOST}:certFile={certificate}:caFile={authority.path}")
    (access,) = bob.stack.access_points
    port = access.transports.addresses[0][2]
    _, _, plain = kamailio(
        start,
        authority,
        f"""
if (has_totag()) {{ loose_route(); handle_ruri_alias(); t_relay(); exit; }}
record_route();
add_contact_alias();
$du = "sip:{HOST}:{port};transport=tls";
t_relay();
""",
    )
    alice = ours(f"ws:0:interface={HOST}:listen=no")
    usage = InviteUsage.outgoing(
        alice.connection, f"sip:bob@kamailio.example.com:{plain};transport=ws", from_="sip:alice@example.com"
    )
    usage.invite(offer())

    def both(done: Callable[[], object]) -> Callable[[], object]:
        def turn() -> object:
            bob.reactor.iterate(0.005)
            return done()

        return turn

    alice.until(both(lambda: 200 in alice.statuses("dialog_response_received")), "INVITE is answered")
    methods = lambda: [event.args[0].method for event in bob.events.of("dialog_request_received")]  # noqa: E731
    alice.until(both(lambda: methods() == ["ACK"]), "ACK")
    (flow,) = {transaction.flow for transaction in bob.requests}
    assert (flow.transport, flow.secure) == ("TLS", True)
    if who == "alice":
        usage.bye()
        alice.until(both(lambda: methods() == ["ACK", "BYE"]), "BYE")
        return
    # Kamailio reaches her by the connection that she opened, as it does with browsers.
    bob.calls[0].bye()
    alice.until(both(lambda: bob.statuses("dialog_response_received") == [200]), "BYE is answered")
    assert [event.args[0].method for event in alice.events.of("dialog_request_received")] == ["BYE"]


@pytest.mark.accepts("J3")
def test_baresip_calls_over_tls(start: Starter, authority: Authority) -> None:
    """baresip trusts our authority, calls the agent by TLS, and hangs up by it."""
    port = free_port()
    certificate = authority.issue("telephone", HOST)
    agent = start.agent(f"--listen=tls:{port}:interface={HOST}:certFile={certificate}")
    settings = f"sip_cafile {authority.path}\nsip_certificate {certificate}"
    dial = f"/dial sip:echo@{HOST}:{port};transport=tls"
    baresip = start.baresip("-t", "3", "-e", dial, settings=settings)
    baresip.wait_for("Call established")
    assert baresip.wait(20) == 0
    heard = baresip.output()
    assert "TLS 127.0.0.1" in heard
    assert "UDP 127.0.0.1" not in heard
    bye = heard[heard.index("BYE sip:") :]
    assert "SIP/2.0 200" in bye, "the BYE was not answered"
    assert agent.running
