"""TLS over the in-memory network: whom a certificate proves, and why one is refused."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any

import pytest

from sipactors.errors import ArgumentError, NotSupported
from sipactors.testing.certificates import END, EXPIRED, Authority
from sipactors.transport.identities import Identities, read_identities

A, B = "192.0.2.1", "192.0.2.2"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def options_request(flow: Any, contact: str = "") -> bytes:
    return (
        "OPTIONS sip:bob@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/{flow.transport} {flow.sent_by};branch=z9hG4bK1;rport\r\n"
        "Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=a\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1\r\n"
        f"CSeq: 1 OPTIONS\r\n{contact}Content-Length: 0\r\n\r\n"
    ).encode()


class Pair:
    """Alice connects to Bob, each with the certificate that a test gives."""

    def __init__(self, world: Any, authority: Authority, kind: str = "tls") -> None:
        self.world = world
        self.kind = kind
        self.trust = f":caFile={authority.path}"
        self.alice = world.end("alice", A)
        self.bob = world.end("bob", B)

    def listen(self, certificate: pathlib.Path, more: str = "", trust: str | None = None) -> Any:
        trust = self.trust if trust is None else trust
        return self.bob.layer.listen(f"{self.kind}:5061:interface={B}:certFile={certificate}{trust}{more}")

    def dial(self, name: str | None, more: str = "", trust: str | None = None) -> Any:
        if not self.alice.layer.listeners:
            trust = self.trust if trust is None else trust
            self.alice.layer.listen(f"{self.kind}:0:interface={A}:listen=no{trust}{more}")
        flow = self.alice.layer.flow_to(self.kind.upper(), B, 5061, name)
        flow.watch(self.alice.watcher())
        flow.send(options_request(flow))
        self.world.clock.advance(1)
        return flow

    @property
    def why(self) -> str:
        """What alice's watcher was told."""
        ((_, text),) = self.alice.lost
        return str(text)


@pytest.fixture
def pair(world: Any, authority: Authority) -> Pair:
    return Pair(world, authority)


@pytest.mark.accepts("J3")
def test_a_request_and_its_response_go_by_tls(pair: Pair, authority: Authority) -> None:
    """RFC 3261 §26.3.1: TLS on a hop: nothing of a message is readable on the way, both flows are secure."""
    pair.listen(authority.issue("plain", "example.com"))
    flow = pair.dial("example.com")
    assert flow.secure
    assert flow.state == "OPEN"
    assert flow.peer_identities == ("sip:example.com",)
    (message,), (back,) = pair.bob.messages, pair.bob.flows
    assert (message.via.transport, back.transport, back.secure) == ("TLS", "TLS", True)
    assert back.peer_identities == ()
    assert pair.bob.layer.response_flow(message, back) is back
    assert not any(b"OPTIONS" in packet.data for packet in pair.world.network.capture)
    assert pair.alice.metrics.handshakes_failed == pair.bob.metrics.handshakes_failed == 0


def test_what_is_sent_before_the_handshake_waits_for_it(pair: Pair, authority: Authority) -> None:
    """Several messages given at once come in order, after the certificate was judged."""
    pair.listen(authority.issue("queue", "example.com"))
    pair.dial("example.com")
    flow = pair.alice.layer.flow_to("TLS", B, 5061, "example.com")
    for _ in range(5):
        flow.send(options_request(flow))
    pair.world.clock.advance(1)
    assert len(pair.bob.messages) == 6


class TestRefused:
    """Wrong, expired, self-signed and wrong-name certificates: refused with the reason, both directions."""

    CASES: tuple[tuple[dict[str, Any], str], ...] = (
        ({"end": EXPIRED}, "has expired"),
        ({"begin": END, "end": END.replace(year=2050)}, "is not valid yet"),
        ({"self_signed": True}, "is self-signed"),
    )

    @pytest.mark.accepts("J3")
    @pytest.mark.parametrize(("how", "reason"), CASES)
    def test_a_server_is_refused(self, pair: Pair, authority: Authority, how: Any, reason: str) -> None:
        """RFC 5922 §7.3: the client verifies the server's certificate; what it says is in the failure."""
        pair.listen(authority.issue("bad", "example.com", **how))
        flow = pair.dial("example.com")
        assert pair.why == f"TLS to {B} port 5061: the certificate {reason}"
        assert flow.closed
        assert pair.alice.metrics.handshakes_failed == pair.bob.metrics.handshakes_failed == 1
        assert pair.bob.messages == []
        assert len(pair.alice.layer.connections) == len(pair.bob.layer.connections) == 0

    @pytest.mark.accepts("J3")
    @pytest.mark.parametrize(("how", "reason"), CASES)
    def test_a_client_is_refused(self, pair: Pair, authority: Authority, how: Any, reason: str) -> None:
        """RFC 3261 §26.3.1: a server may ask for the client's certificate, and refuse it; both know why."""
        pair.listen(authority.issue("good", "example.com"), ":verify=optional")
        notes: list[str] = []
        trace = type("Trace", (), {"note": lambda self, actor, text: notes.append(text), "sent": print})()
        pair.bob.layer.site.trace = trace
        pair.dial("example.com", f":certFile={authority.issue('badclient', 'a.example.com', **how)}")
        assert notes == [f"the certificate {reason}"]
        assert "the peer refused: " in pair.why
        assert pair.bob.messages == []
        assert pair.bob.metrics.handshakes_failed == 1

    @pytest.mark.accepts("J3")
    def test_an_unknown_authority_is_refused(self, pair: Pair, authority: Authority) -> None:
        """A certificate counts only under an authority that caFile names."""
        other = Authority(authority.folder / "other", "Somebody Else")
        pair.listen(other.issue("foreign", "example.com"))
        pair.dial("example.com")
        assert pair.why == f"TLS to {B} port 5061: the certificate is signed by an unknown authority"

    @pytest.mark.accepts("J3")
    def test_another_domain_is_refused(self, pair: Pair, authority: Authority) -> None:
        """D-29: the certificate has to prove the SIP domain that was asked for, whatever the address."""
        pair.listen(authority.issue("wrong", "example.org", B))
        pair.dial("example.com")
        assert pair.why.endswith(f"the certificate is for example.org, {B}, not for example.com")
        assert pair.bob.metrics.handshakes_failed == 1

    def test_a_client_without_a_certificate_is_refused_where_one_is_required(
        self, pair: Pair, authority: Authority
    ) -> None:
        """verify=required: no certificate, no connection."""
        pair.listen(authority.issue("strict", "example.com"), ":verify=required")
        pair.dial("example.com")
        assert "the peer refused: " in pair.why
        assert pair.bob.messages == []

    def test_what_is_no_tls_is_refused(self, pair: Pair, authority: Authority) -> None:
        """A peer that speaks plain SIP to a TLS port is closed, and counted."""
        pair.listen(authority.issue("plainly", "example.com"))
        raw = pair.world.connect(pair.alice.host, B, 5061)
        raw.transport.write(b"OPTIONS sip:bob@example.com SIP/2.0\r\n\r\n")
        pair.world.clock.advance(1)
        assert raw.ended
        assert pair.bob.metrics.handshakes_failed == 1

    def test_old_versions_are_refused(self, pair: Pair, authority: Authority) -> None:
        """RFC 8996: TLS 1.0 and TLS 1.1 MUST NOT be used."""
        from OpenSSL import SSL

        listener = pair.listen(authority.issue("modern", "example.com"))
        client = SSL.Context(SSL.TLS_METHOD)
        client.set_cipher_list(b"ALL:@SECLEVEL=0")
        client.set_min_proto_version(SSL.TLS1_VERSION)
        client.set_max_proto_version(SSL.TLS1_1_VERSION)
        ours = SSL.Connection(client, None)
        theirs = SSL.Connection(listener.certificates.context, None)
        ours.set_connect_state()
        theirs.set_accept_state()
        with pytest.raises(SSL.WantReadError):
            ours.do_handshake()
        theirs.bio_write(ours.bio_read(65536))
        with pytest.raises(SSL.Error, match="unsupported protocol"):
            theirs.do_handshake()


@pytest.mark.parametrize("purpose", ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.20"])
def test_a_certificate_serves_at_both_ends(pair: Pair, authority: Authority, purpose: str) -> None:
    """RFC 5924: id-kp-sipDomain is enough; so is a server's certificate at the end that connects."""
    files = authority.issue("purpose", "example.com", purposes=[purpose])
    pair.listen(files, ":verify=required")
    assert pair.dial("example.com", f":certFile={files}").state == "OPEN"
    assert pair.bob.flows[0].peer_identities == ("sip:example.com",)


def test_a_certificate_for_another_purpose_is_refused(pair: Pair, authority: Authority) -> None:
    """RFC 5280 §4.2.1.12: a certificate MUST only be used for one of the purposes that it names."""
    pair.listen(authority.issue("code", "example.com", purposes=["1.3.6.1.5.5.7.3.3"]))
    pair.dial("example.com")
    assert pair.why.endswith("the certificate is for another purpose")


def test_a_refusal_within_a_secure_websocket_is_told(world: Any, authority: Authority) -> None:
    """WSS: when TLS comes to nothing there is no WebSocket either, and the reason is the one of TLS."""
    pair = Pair(world, authority, "wss")
    pair.listen(authority.issue("wss", "example.org"))
    pair.dial("example.com")
    assert pair.why.endswith("the certificate is for example.org, not for example.com")
    assert pair.bob.metrics.handshakes_failed == pair.alice.metrics.handshakes_failed == 1
    assert pair.bob.metrics.faults == 0
    assert len(pair.bob.layer.connections) == 0


@pytest.mark.accepts("J3")
def test_a_client_with_a_certificate_is_known(pair: Pair, authority: Authority) -> None:
    """Mutual TLS: the application reads at the flow whom the peer's certificate is for."""
    pair.listen(authority.issue("server", "example.com"), ":verify=required")
    pair.dial(
        "example.com",
        f":certFile={authority.issue('client', 'sip:alice@example.net', 'sip:example.net', 'b.example.net')}",
    )
    (flow,) = pair.bob.flows
    assert flow.peer_identities == ("sip:example.net", "sip:alice@example.net")


@pytest.mark.accepts("J3")
def test_a_server_with_many_domains_shows_the_one_asked_for(pair: Pair, authority: Authority) -> None:
    """RFC 6066 §3: the name asked for chooses the certificate, and the client sends it."""
    many = Authority(authority.folder / "many")
    folder = many.folder / "domains"
    folder.mkdir()
    for name in ("example.net", "example.org"):
        many.issue(name, name).rename(folder / f"{name}.pem")
    trust = f":caFile={many.path}"
    pair.listen(many.issue("default", "example.com"), f":certDir={folder}", trust)
    flows = [pair.dial(name, trust=trust) for name in ("example.com", "example.net", "EXAMPLE.ORG")]
    assert [flow.peer_identities for flow in flows] == [
        ("sip:example.com",),
        ("sip:example.net",),
        ("sip:example.org",),
    ]
    assert len(set(flows)) == 3, "one connection for each domain, though the address is the same"


def test_a_numeric_contact_uses_the_connection_that_is_there(pair: Pair, authority: Authority) -> None:
    """RFC 3261 §18: connections are indexed by address: the ACK and BYE to a numeric Contact go by them."""
    pair.listen(authority.issue("reuse", "example.com"))
    flow = pair.dial("example.com")
    assert pair.alice.layer.flow_to("TLS", B, 5061, B) is flow
    assert pair.alice.layer.flow_to("TLS", B, 5061, "example.org") is not flow


def test_a_peer_that_shakes_no_hands_is_closed(pair: Pair, authority: Authority) -> None:
    """D-30: the handshake has a deadline, at both ends."""
    pair.listen(authority.issue("slow", "example.com"))
    raw = pair.world.connect(pair.alice.host, B, 5061)
    pair.world.clock.advance(11)
    assert raw.ended
    assert pair.bob.metrics.slow_senders_closed == 1
    assert len(pair.bob.layer.connections) == 0
    pair.bob.layer.stop()
    pair.bob.layer.listen(f"tcp:5062:interface={B}")
    pair.alice.layer.listen(f"tls:0:interface={A}:listen=no")
    flow = pair.alice.layer.flow_to("TLS", B, 5062, "example.com")
    flow.watch(pair.alice.watcher())
    pair.world.clock.advance(11)
    assert "took too long" in pair.why
    assert len(pair.alice.layer.connections) == 0


def test_a_layer_that_stops_in_a_handshake_leaves_nothing(pair: Pair, authority: Authority) -> None:
    """stop() ends connections that are still shaking hands."""
    pair.listen(authority.issue("stopped", "example.com"))
    raw = pair.world.connect(pair.alice.host, B, 5061)
    stopped = pair.bob.layer.stop()
    pair.world.clock.advance(1)
    assert raw.ended
    assert stopped.called


class TestReload:
    """D-29: certificates are read again without dropping a connection."""

    @pytest.mark.accepts("J3")
    def test_changed_files_are_read_again(self, pair: Pair, authority: Authority) -> None:
        """A certificate that was renewed serves the next connection; open ones stay."""
        own = Authority(authority.folder / "renewed")
        trust = f":caFile={own.path}"
        path = own.issue("server", "example.com")
        listener = pair.listen(path, trust=trust)
        first = pair.dial("example.com", trust=trust)
        own.issue("server", "example.org")
        pair.world.clock.advance(2)
        second = pair.dial("example.org")
        assert second.peer_identities == ("sip:example.org",)
        assert not first.closed
        path.write_bytes(b"half of it")
        pair.world.clock.advance(2)
        assert pair.alice.layer.flow_to("TLS", B, 5061, "example.org") is second
        second.feed("closed", "for the test")
        pair.world.clock.advance(1)
        assert pair.dial("example.org").peer_identities == ("sip:example.org",), "what was read before serves"
        with pytest.raises(ArgumentError, match="no certificate can be read"):
            listener.reload()

    def test_reload_reads_at_once(self, pair: Pair, authority: Authority) -> None:
        """listener.reload() does not wait until somebody looks."""
        own = Authority(authority.folder / "reloaded")
        trust = f":caFile={own.path}"
        listener = pair.listen(own.issue("server", "example.com"), trust=trust)
        path = own.issue("server", "example.org")
        os.utime(path, ns=(1, 1))
        listener.reload()
        assert pair.dial("example.org", trust=trust).peer_identities == ("sip:example.org",)


class TestIdentities:
    """RFC 5922 §7: which SIP domains a certificate proves."""

    def read(self, authority: Authority, *names: str, cn: str | None = None) -> Identities:
        from cryptography import x509

        return read_identities(
            x509.load_pem_x509_certificate(authority.issue("x", *names, cn=cn).read_bytes())
        )

    @pytest.mark.accepts("J3")
    def test_names(self, authority: Authority) -> None:
        """§7.1: sip URIs without userinfo; else DNS names; never a wildcard; the CN only without SAN."""
        read = self.read(authority, "sip:Example.com", "other.example.com")
        assert read.domains == ("example.com",), "DNS names count only where no sip URI names a domain"
        assert self.read(authority, "a.example.com", "b.example.com").domains == (
            "a.example.com",
            "b.example.com",
        )
        assert self.read(authority, "*.example.com").domains == ()
        assert self.read(authority, "https://example.com").domains == ()
        assert self.read(authority, "sips:example.com").domains == ()
        user = self.read(authority, "sip:alice@example.com", cn="example.com")
        assert (user.domains, user.users) == ((), ("sip:alice@example.com",))
        assert self.read(authority, cn="example.com").domains == ("example.com",)
        assert self.read(authority, "example.org", cn="example.com").domains == ("example.org",)
        assert self.read(authority, cn="Not a domain").domains == ()

    def test_comparison(self, authority: Authority) -> None:
        """§7.2: case does not count, suffixes do not match; an address is proved as an address."""
        names = self.read(authority, "example.com", "2001:db8::1", "192.0.2.7")
        assert names.prove("EXAMPLE.com")
        assert not names.prove("sip.example.com")
        assert not names.prove("com")
        assert names.prove("[2001:DB8:0::1]")
        assert names.prove("192.0.2.7")
        assert not names.prove("192.0.2.8")


class TestDescriptions:
    """A description that cannot be used is one clear line."""

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ("", "tls needs certFile=… to listen"),
            ("certFile=/nowhere/x.pem", "certFile: /nowhere/x.pem: No such file or directory"),
            ("certFile={good}:keyFile=/nowhere/key.pem", "keyFile: /nowhere/key.pem: No such file"),
            ("certFile={bad}", "certFile: no certificate can be read from {bad}"),
            ("certFile={good}:keyFile={bad}", "keyFile: no key without a password can be read from {bad}"),
            ("certFile={good}:keyFile={other}", "keyFile: {other} is not the key of {good}"),
            ("certFile={good}:caFile={bad}", "caFile: no certificate can be read from {bad}"),
            ("certFile={good}:certDir={good}", "certDir: {good} is no folder"),
            ("keyFile={good}:listen=no", "keyFile=… without certFile=…"),
            ("certFile={good}:verify=maybe", "verify is one of no, optional, required"),
            ("certFile={good}:listen=maybe", "listen is one of yes, no"),
        ],
    )
    def test_what_is_wrong_is_told(self, world: Any, authority: Authority, options: str, reason: str) -> None:
        """A missing file, a bad key: ArgumentError, in one line that names it."""
        bad = authority.folder / "bad.txt"
        bad.write_text("nonsense")
        names = {"good": authority.issue("good"), "other": authority.issue("other"), "bad": bad}
        with pytest.raises(ArgumentError) as problem:
            world.end("alice", A).layer.listen(
                f"tls:5061:interface={A}:{options.format(**names)}".rstrip(":")
            )
        assert reason.format(**names) in str(problem.value)
        assert "\n" not in str(problem.value)

    @pytest.mark.parametrize(
        ("kind", "missing", "extra"),
        [
            ("tls", "OpenSSL", "sipactors[tls]"),
            ("ws", "wsproto", "sipactors[websocket]"),
            ("wss", "OpenSSL", "sipactors[tls,websocket]"),
        ],
    )
    def test_an_extra_that_is_missing_is_named(
        self, world: Any, monkeypatch: pytest.MonkeyPatch, kind: str, missing: str, extra: str
    ) -> None:
        """Without the extra there is a clear error when TLS or WebSocket is asked for, and no other."""
        for name in list(sys.modules):
            if name == missing or name.startswith(missing + "."):
                monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, missing, None)
        for name in ("certificates", "identities", "tls", "websocket", "secure_websocket"):
            monkeypatch.delitem(sys.modules, f"sipactors.transport.{name}", raising=False)
        layer = world.end("alice", A).layer
        layer.listen(f"tcp:5060:interface={A}")
        with pytest.raises(NotSupported) as problem:
            layer.listen(f"{kind}:5061:interface={A}")
        assert f"pip install '{extra}'" in str(problem.value)
