"""The programs of docs/examples run, against each other and over real sockets."""

from __future__ import annotations

import os
import pathlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest


def _environment(root: pathlib.Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root)}


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.bind(("127.0.0.1", 0))
        own = probe.getsockname()[1]
        request = (
            f"OPTIONS sip:x@127.0.0.1:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKprobe\r\n"
            f"From: <sip:probe@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: probe{own}\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        try:
            probe.sendto(request.encode(), ("127.0.0.1", port))
            return probe.recv(4096).startswith(b"SIP/2.0 200")
        except OSError:
            return False


@pytest.fixture
def phone(root: pathlib.Path) -> Iterator[int]:
    """docs/examples/answer_calls.py on a port of its own."""
    port = _free_port()
    program = root / "docs" / "examples" / "answer_calls.py"
    command = [
        sys.executable,
        str(program),
        f"udp:{port}:interface=127.0.0.1",
        f"tcp:{port}:interface=127.0.0.1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment(root))
    try:
        deadline = time.monotonic() + 30
        while not _answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
        yield port
    finally:
        process.terminate()
        process.wait(30)


def test_the_sender_reaches_the_phone(root: pathlib.Path, phone: int) -> None:
    """docs/examples/send_message.py prints the response of docs/examples/answer_calls.py."""
    command = [
        sys.executable,
        str(root / "docs/examples/send_message.py"),
        f"sip:x@127.0.0.1:{phone}",
        "hello",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, env=_environment(root)
    )
    assert done.stdout == "200 OK\n"


def test_an_unreachable_peer_is_told(root: pathlib.Path) -> None:
    """A stream that is refused fails the request at once, with the cause."""
    port = _free_port()
    uri = f"sip:x@127.0.0.1:{port};transport=tcp"
    command = [sys.executable, str(root / "docs/examples/send_message.py"), uri, "hello"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, env=_environment(root)
    )
    assert re.match(r"not delivered: .*refused", done.stdout, re.I)


def test_a_peer_that_closes_its_half_still_gets_its_answer(phone: int) -> None:
    """RFC 3261 §18.2.2: the response goes by the connection of its request while that is open."""
    request = (
        f"OPTIONS sip:x@127.0.0.1:{phone} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKhalf\r\n"
        "From: <sip:probe@127.0.0.1>;tag=1\r\nTo: <sip:x@127.0.0.1>\r\nCall-ID: half\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", phone), timeout=30) as peer:
        peer.sendall(request.encode())
        peer.shutdown(socket.SHUT_WR)
        received = b""
        while data := peer.recv(4096):
            received += data
    assert received.startswith(b"SIP/2.0 200 OK\r\n")


def test_every_example_is_short(root: pathlib.Path) -> None:
    """A newcomer reads an example in a minute: 45 lines at the most."""
    for program in (root / "docs" / "examples").glob("*.py"):
        assert len(program.read_text(encoding="utf-8").splitlines()) <= 45, program.name
