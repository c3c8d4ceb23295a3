"""`twistd sip-agent --trace …`: several at once, and one clear line for what is wrong."""

from __future__ import annotations

import pathlib
from types import SimpleNamespace
from typing import Any

import pytest

from sipactors.hep import HEP
from sipactors.pcap import Pcap
from sipactors.testing import Clock, Network
from sipactors.trace import Ladder, Traces
from sipactors.twistd.agent import Options
from sipactors.twistd.common import CannotStart, make_trace

FLOW: Any = SimpleNamespace(transport="UDP", local=("10.0.0.1", 5060), peer=("10.0.0.2", 5070))


@pytest.fixture
def host() -> Any:
    return Network(Clock()).host("agent", "192.0.2.1")


def test_traces_are_named_one_by_one(tmp_path: pathlib.Path, host: Any) -> None:
    """--trace may be repeated: each of them gets every message."""
    options = Options()
    assert options["trace"] == []
    ladder, capture = tmp_path / "ladder", tmp_path / "calls.pcap"
    options.parseOptions(
        [f"--trace=ladder:{ladder}", "--trace", f"pcap:{capture}", "--trace=hep:127.0.0.1:9060"]
    )
    trace = make_trace(options["trace"], host)
    assert isinstance(trace, Traces)
    trace.sent(FLOW, b"OPTIONS sip:b SIP/2.0\r\n\r\n")
    assert "OPTIONS sip:b" in ladder.read_text()
    assert b"OPTIONS sip:b" in capture.read_bytes()
    assert b"OPTIONS sip:b" in host.network.capture[-1].data


def test_one_trace_stands_alone(tmp_path: pathlib.Path, host: Any) -> None:
    """Nothing is wrapped that needs no wrapping."""
    assert make_trace([], host) is None
    assert isinstance(make_trace(["ladder"], host), Ladder)
    assert isinstance(make_trace([f"pcap:{tmp_path}/a"], host), Pcap)


@pytest.mark.parametrize(
    ("place", "collector"),
    [
        ("192.0.2.9:9060", ("192.0.2.9", 9060)),
        ("192.0.2.9", ("192.0.2.9", 9060)),
        ("[2001:db8::9]:9061", ("2001:db8::9", 9061)),
        ("192.0.2.9:9060:id=7:password=a:b", ("192.0.2.9", 9060)),
    ],
)
def test_a_collector_is_named(host: Any, place: str, collector: tuple[str, int]) -> None:
    """An address, in brackets for IPv6; then the port, the capture id and the password."""
    trace = make_trace([f"hep:{place}"], host)
    assert isinstance(trace, HEP)
    assert trace.collector == collector


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("nothing", "--trace: ladder, ladder:FILE, pcap:FILE or hep:HOST:PORT, not 'nothing'"),
        ("pcap", "--trace: ladder, ladder:FILE, pcap:FILE or hep:HOST:PORT, not 'pcap'"),
        ("pcap:", "--trace: ladder, ladder:FILE, pcap:FILE or hep:HOST:PORT, not 'pcap:'"),
        ("pcap:{0}/no/file", "--trace: No such file or directory: {0}/no/file"),
        ("pcap:{0}", "--trace: Is a directory: {0}"),
        ("ladder:{0}/no/file", "--trace: No such file or directory: {0}/no/file"),
        ("pcap:{0}/text", "--trace: {0}/text is there and is no capture file"),
        ("hep:", "--trace: ladder, ladder:FILE, pcap:FILE or hep:HOST:PORT, not 'hep:'"),
        ("hep:homer..invalid:9060", "--trace: no address of homer..invalid is known"),
        ("hep:127.0.0.1:0", "--trace: collector: a port from 1 to 65535, not 0"),
        ("hep:127.0.0.1:70000", "--trace: collector: a port from 1 to 65535, not 70000"),
        (
            "hep:127.0.0.1:x",
            "--trace: hep:HOST:PORT, then :id=NUMBER, then :password=TEXT, not '127.0.0.1:x'",
        ),
        ("hep:127.0.0.1:1:id=9999999999", "--trace: capture_id: 0 to 4294967295, not 9999999999"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: pathlib.Path, host: Any, spec: str, line: str) -> None:
    """A mistake ends twistd with one line that names it."""
    (tmp_path / "text").write_text("text")
    with pytest.raises(CannotStart) as end:
        make_trace([spec.format(tmp_path)], host)
    assert str(end.value) == line.format(tmp_path)
