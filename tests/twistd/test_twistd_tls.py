"""`twistd sip-agent --listen tls:…`: what is wrong is one clear line."""

from __future__ import annotations

import pathlib

import pytest
from twisted.python.usage import UsageError

from sipactors.client import AccessPoint, Stack
from sipactors.testing import Clock, Network
from sipactors.testing.certificates import Authority
from sipactors.twistd import common
from sipactors.twistd.agent import Options
from sipactors.twistd.common import CannotStart, OneLineService


@pytest.fixture(autouse=True)
def collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collection of the tests stays as it is."""
    monkeypatch.setattr(common, "tune_garbage_collection", lambda: None)


def start(description: str) -> Stack:
    """As twistd does it: the option is read, then the service starts."""
    options = Options()
    options.parseOptions(["--listen", description])
    host = Network(Clock()).host("agent", "192.0.2.1")
    stack = Stack(host)
    stack.add_access_point(AccessPoint("agent", options["listen"]))
    OneLineService(stack).privilegedStartService()
    return stack


@pytest.mark.accepts("J3")
@pytest.mark.parametrize("kind", ["tls", "wss"])
def test_a_secure_agent_starts(tmp_path: pathlib.Path, kind: str) -> None:
    """tls: and wss: with a certificate listen."""
    certificate = Authority(tmp_path).issue("agent", "example.com")
    stack = start(f"{kind}:5061:interface=192.0.2.1:certFile={certificate}")
    assert stack.access("agent").transports.addresses == [(kind.upper(), "192.0.2.1", 5061)]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("", "sip-agent: tls needs certFile=… to listen, or listen=no to connect to others only"),
        (":certFile={0}/none.pem", "sip-agent: certFile: {0}/none.pem: No such file or directory"),
        (":certFile={0}/authority.pem:keyFile={0}/a.pem", "sip-agent: keyFile: {0}/a.pem is not the key of "),
        (":certFile={0}/authority.pem", "sip-agent: keyFile: no key without a password can be read from "),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: pathlib.Path, options: str, line: str) -> None:
    """A missing file or a bad key ends twistd with one line that names it."""
    Authority(tmp_path).issue("a")
    with pytest.raises(CannotStart) as end:
        start(f"tls:5061:interface=192.0.2.1{options.format(tmp_path)}")
    assert str(end.value).startswith(line.format(tmp_path))
    assert "\n" not in str(end.value)


@pytest.mark.parametrize("description", ["tls:5061:verify=perhaps", "ws:5062:path=ws", "tls:x", "quic:5061"])
def test_an_option_that_does_not_read_is_told_at_once(description: str) -> None:
    """The command line is checked before anything starts."""
    with pytest.raises(UsageError, match="--listen: "):
        Options().parseOptions(["--listen", description])
