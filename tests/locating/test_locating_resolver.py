"""The system's DNS settings: resolv.conf and the hosts file, and what needs no server at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.names import dns

from sipactors.errors import ResolvingFailure, ResourceNotAvailable
from sipactors.locating import Answer, DNSResolver
from sipactors.testing.clock import Clock


class Net(Clock):
    """A clock with a UDP network that swallows everything, and notes where it should have gone."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, int]] = []
        self.open = 0

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        self.open += 1
        protocol.makeConnection(_Port(self))
        return protocol.transport


class _Port:
    def __init__(self, net: Net) -> None:
        self.net = net
        self.listening = True

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        dns.Message().fromStr(data)
        self.net.sent.append(address)

    def stopListening(self) -> None:
        if self.listening:
            self.listening = False
            self.net.open -= 1


def failure_of(deferred: Any) -> BaseException:
    assert isinstance(deferred, Deferred)
    seen: list[Any] = []
    deferred.addErrback(seen.append)
    error: BaseException = seen[0].value
    return error


def test_the_servers_of_resolv_conf_are_asked_in_turn(tmp_path: Path) -> None:
    """resolv.conf(5): if there are multiple servers, the resolver queries them in the order listed."""
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "# a comment\nsearch example.com\nnameserver 192.0.2.1\nnameserver 192.0.2.2 \nnameserver bogus\n"
    )
    net = Net()
    resolver = DNSResolver(net, resolv_conf=str(conf), hosts=None, timeouts=(1, 2))
    found = resolver.srv("_sip._udp.example.com")
    net.advance(6)
    assert net.sent == [("192.0.2.1", 53), ("192.0.2.2", 53)] * 2
    assert isinstance(failure_of(found), ResolvingFailure)
    assert net.open == 0
    # The network changed: other servers, from the next look at the file on.
    conf.write_text("nameserver 2001:db8::53\n")
    os.utime(conf, (1, 1))
    net.sent.clear()
    other = resolver.naptr("example.com")
    net.advance(3)
    assert net.sent == [("2001:db8::53", 53)] * 2
    assert isinstance(failure_of(other), ResolvingFailure)
    conf.unlink()
    net.advance(6)
    last = resolver.naptr("example.com")
    assert net.sent[-1] == ("127.0.0.1", 53)
    resolver.close()
    assert isinstance(failure_of(last), ResolvingFailure)
    assert (net.open, net.getDelayedCalls()) == (0, [])
    with pytest.raises(ResourceNotAvailable):
        resolver.naptr("example.com")


def test_the_hosts_file_comes_first(tmp_path: Path) -> None:
    """hosts(5): the file is used by the system's resolver before any server."""
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.7 pbx.example.com pbx\n2001:db8::7 pbx\n")
    net = Net()
    resolver = DNSResolver(net, [("192.0.2.1", 53)], hosts=str(hosts))
    for name, family, expected in (
        ("PBX", 4, ["192.0.2.7"]),
        ("pbx", 6, ["2001:db8::7"]),
        ("pbx.example.com.", 6, []),
    ):
        answer = resolver.addresses(name, family)
        assert isinstance(answer, Answer)
        assert answer.records == expected
    assert net.sent == []
    assert isinstance(resolver.addresses("other", 4), Deferred)
    resolver.close()


def test_special_names_need_no_server() -> None:
    """RFC 6761 §6.3, §6.4: localhost names give the loopback address, invalid names are always negative."""
    net = Net()
    resolver = DNSResolver(net, [("192.0.2.1", 53)], hosts=None)
    for name in ("localhost", "a.LOCALHOST."):
        for family, expected in ((4, "127.0.0.1"), (6, "::1")):
            answer = resolver.addresses(name, family)
            assert isinstance(answer, Answer)
            assert answer.records == [expected]
    for name in ("x7f.invalid", "a b", "x" * 70, ""):
        seen: list[Any] = []
        found = resolver.addresses(name, 4)
        assert isinstance(found, Deferred)
        found.addBoth(seen.append)
        assert seen[0].records == []
    assert net.sent == []
