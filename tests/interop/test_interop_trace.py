"""What the agent traces is read by other people's programs: tshark a capture file, Kamailio HEP packets."""

from __future__ import annotations

import pathlib
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from peers import Kamailio
from programs import HOST, Agent, free_port, wait_until
from sipactors import hep
from sipactors.testing.certificates import Authority
from starter import Starter

CALL = ["INVITE", "180", "200", "ACK", "BYE", "200"]
"The messages of one call, ours among them."


class Reader:
    """tshark reading one file, in which these ports are SIP's."""

    def __init__(self, path: str, file: pathlib.Path, *ports: int) -> None:
        self.path = path
        self.file = file
        self.ports = ports

    def read(self, show: str, *fields: str) -> list[list[str]]:
        """These fields of each packet that a display filter shows; those of several messages side by side."""
        arguments = [self.path, "-r", str(self.file), "-Y", show, "-T", "fields", "-E", "separator=/t"]
        for kind in ("ip", "tcp", "udp"):
            arguments += ["-o", f"{kind}.check_checksum:TRUE"]
        for port in self.ports:
            arguments += ["-d", f"udp.port=={port},sip", "-d", f"tcp.port=={port},sip"]
        for field in fields:
            arguments += ["-e", field]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def check(self) -> None:
        """AssertionError when tshark finds anything wrong, down to the checksums."""
        bad = " or ".join(f"{kind}.checksum.status == 0" for kind in ("ip", "tcp", "udp"))
        assert self.read(f"_ws.malformed or tcp.analysis.flags or {bad}", "frame.number") == []
        assert self.read("not sip", "frame.number") == []

    def messages(self, show: str = "sip") -> list[str]:
        """The method or the status of each message."""
        rows = self.read(show, "sip.Method", "sip.Status-Code")
        return [text for method, status in rows for text in (method or status).split(",")]


def laddered(file: pathlib.Path) -> list[str]:
    """The method or the status of each message that the ladder has."""
    return re.findall(r" (?:-->|<--) \S+ (\S+) ", file.read_text())


@pytest.fixture
def tshark(require_peer: Callable[[str], str]) -> str:
    return require_peer("tshark")


def traced(start: Starter, *options: str, host: str = HOST) -> tuple[Agent, pathlib.Path, pathlib.Path]:
    """An agent that writes a capture and a ladder, and their files."""
    capture, ladder = start.folder / "agent.pcap", start.folder / "agent.ladder"
    traces = f"--trace=pcap:{capture}", f"--trace=ladder:{ladder}"
    return start.agent(*traces, *options, host=host), capture, ladder


@pytest.mark.parametrize(
    ("transport", "host", "kind"),
    [("u1", HOST, "udp"), ("t1", HOST, "tcp"), ("u1", "::1", "udp"), ("t1", "::1", "tcp")],
    ids=["udp", "tcp", "udp-ipv6", "tcp-ipv6"],
)
def test_tshark_finds_every_message_of_a_call(
    start: Starter, tshark: str, transport: str, host: str, kind: str
) -> None:
    """The capture holds what the ladder holds: all messages, as what they went by, none of them malformed."""
    agent, capture, ladder = traced(start, host=host)
    sipp = start.sipp("uac", "-t", transport, "-m", "5", "-r", "10", remote=agent.address, host=host)
    assert sipp.wait(30) == 0
    reader = Reader(tshark, capture, agent.port)
    assert reader.messages() == laddered(ladder)
    assert Counter(reader.messages(f"{kind} and sip.CSeq.method != OPTIONS")) == Counter(CALL * 5)
    reader.check()


@pytest.mark.accepts("J3")
def test_tshark_finds_every_message_of_a_call_by_tls(
    start: Starter, tshark: str, tmp_path: pathlib.Path
) -> None:
    """D-46: what baresip and the agent say by TLS is in the capture, in clear."""
    authority = Authority(tmp_path)
    port = free_port()
    certificate = authority.issue("telephone", HOST)
    agent, capture, ladder = traced(start, f"--listen=tls:{port}:interface={HOST}:certFile={certificate}")
    settings = f"sip_cafile {authority.path}\nsip_certificate {certificate}"
    dial = f"/dial sip:echo@{HOST}:{port};transport=tls"
    baresip = start.baresip("-t", "3", "-e", dial, settings=settings)
    baresip.wait_for("Call established")
    assert baresip.wait(20) == 0
    reader = Reader(tshark, capture, agent.port, port)
    assert reader.messages() == laddered(ladder)
    secure = reader.messages(f"udp.port == {port}")
    assert [text for text in secure if text != "OPTIONS"] == CALL
    assert " TLS " in ladder.read_text()
    reader.check()


class Collector(Kamailio):
    """Kamailio as a collector, which takes whatever comes to its ports for HEP."""

    def __init__(self, path: str, folder: pathlib.Path) -> None:
        tables = folder.parent / "tables"
        tables.mkdir()
        (tables / "version").write_text("table_name(string) table_version(int)\nsip_capture:4\n")
        tell = 'xlog("L_ERR", "COLLECTED $rm {} $si:$sp $ci $ml\\n");'
        super().__init__(
            path,
            folder,
            f"{tell.format('-')} exit;",
            modules="xlog db_text sipcapture",
            settings=f"""
modparam("sipcapture", "db_url", "text://{tables}")
modparam("sipcapture", "insert_retries", 1)
modparam("sipcapture", "hep_capture_on", 1)
modparam("sipcapture", "capture_on", 0)
reply_route {{ {tell.format("$rs")} drop; }}
""",
        )

    def wait_ready(self) -> None:
        """Return once it has taken a packet."""
        probe = f"OPTIONS sip:{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP {HOST};branch=z9hG4bK1\r\n".encode()
        probe += b"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
        data = hep.packet((HOST, 5060), (HOST, 5060), "UDP", probe, 0.0)

        def takes() -> bool:
            assert self.running, f"Kamailio ended:\n{self.output()}"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
                ours.sendto(data, (HOST, self.port))
            return "COLLECTED OPTIONS" in self.output()

        wait_until(takes, "Kamailio collects")

    def collected(self) -> list[list[str]]:
        """Method, status, source, Call-ID and size of each message of a call."""
        rows = re.findall(r"COLLECTED (\S+) (\S+) (\S+) (\S+) (\d+)", self.output())
        return [list(row) for row in rows if row[0] != "OPTIONS"]


@pytest.fixture
def collector(require_peer: Callable[[str], str], tmp_path: pathlib.Path) -> Iterator[Collector]:
    collector = Collector(require_peer("kamailio"), tmp_path / "collector")
    try:
        collector.wait_ready()
        yield collector
    finally:
        collector.stop()


def test_kamailio_collects_every_message_of_a_call(start: Starter, collector: Collector) -> None:
    """Kamailio's sipcapture, which Homer was built on, takes our HEP packets apart: ends, Call-ID, size."""
    ladder = start.folder / "agent.ladder"
    place = f"{HOST}:{collector.port}:id=2001:password=secret"
    agent = start.agent(f"--trace=hep:{place}", f"--trace=ladder:{ladder}")
    sipp = start.sipp("uac", "-t", "t1", "-m", "5", "-r", "10", remote=agent.address)
    assert sipp.wait(30) == 0
    wait_until(lambda: len(collector.collected()) >= 5 * len(CALL), "all are collected")
    rows = collector.collected()
    said = [method if status == "-" else status for method, status, *_ in rows]
    assert Counter(said) == Counter(CALL * 5)
    assert laddered(ladder)[-len(said) :] == said
    assert {source for _, status, source, *_ in rows if status != "-"} == {agent.address}
    assert agent.address not in {source for _, status, source, *_ in rows if status == "-"}
    assert set(Counter(call_id for _, _, _, call_id, _ in rows).values()) == {len(CALL)}
    assert all(int(size) > 200 for *_, size in rows)
