"""Processes on loopback: ports for them, one that is started, watched and always ended, and our own agent."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"

# Below the ports that the kernel gives to outgoing sockets, so that no such socket takes one meanwhile.
PORTS = range(20000, 32000)
dice = random.Random(os.getpid() + time.monotonic_ns())


def bindable(port: int, host: str) -> bool:
    """True when nobody listens on this port, neither on UDP nor on TCP."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port(host: str = HOST, *, following: int = 0) -> int:
    """A port that is free on UDP and on TCP, and so many `following` ones."""
    for _ in range(1000):
        port = dice.choice(PORTS)
        if all(bindable(port + offset, host) for offset in range(following + 1)):
            return port
    raise RuntimeError(f"no free port on {host}")


def wait_until(holds: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Return once `holds()` is true; AssertionError when it is not within so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"after {seconds} s still not true: {what}"
        time.sleep(0.02)


def ask_options(port: int, host: str = HOST, *, user: str = "probe", seconds: float = 0.5) -> bytes:
    """The answer to one OPTIONS over UDP, b"" when none comes in time."""
    shown = f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind((host, 0))
        ours.settimeout(seconds)
        local = f"{shown}:{ours.getsockname()[1]}"
        number = dice.getrandbits(64)
        lines = (
            f"OPTIONS sip:{user}@{shown}:{port} SIP/2.0",
            f"Via: SIP/2.0/UDP {local};branch=z9hG4bK{number:x};rport",
            f"From: <sip:probe@{local}>;tag={number:x}",
            f"To: <sip:{user}@{shown}:{port}>",
            f"Call-ID: {number:x}@{shown}",
            "CSeq: 1 OPTIONS",
            f"Contact: <sip:probe@{local}>",
            "Max-Forwards: 70",
            "Content-Length: 0",
        )
        ours.sendto("\r\n".join((*lines, "", "")).encode(), (host, port))
        try:
            return ours.recv(65535)
        except OSError:
            return b""


class Program:
    """A process of ours with what it writes in a log file; `stop` ends it, and no other."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: pathlib.Path,
        *,
        environment: Mapping[str, str] | None = None,
        folder: pathlib.Path | None = None,
    ) -> None:
        self.name = log.stem
        self.log = log
        self.arguments = list(arguments)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder or log.parent,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        """All that it wrote so far, without colours and other orders to a terminal."""
        return re.sub(r"\x1b\[[0-9;]*m|[\x08\x1b]", "", self.log.read_text(errors="replace"))

    def wait(self, seconds: float) -> int:
        """Its exit status; AssertionError when it is still running after so many seconds."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} is still running after {seconds} s") from None

    def wait_for(self, text: str, seconds: float = 10.0) -> None:
        """Return once it has written this; AssertionError when it ends or takes too long before."""

        def written() -> bool:
            found = text in self.output()
            assert found or self.running, f"{self.name} ended before it wrote {text!r}:\n{self.output()}"
            return found

        wait_until(written, f"{self.name} writes {text!r}", seconds)

    def stop(self, order: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> int:
        """End it with a signal, by force when it does not obey in time; its exit status."""
        if self.running:
            self.process.send_signal(order)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def cpu(self) -> float:
        """Seconds of CPU that it and its threads have used, to the nanosecond where the kernel counts so."""
        process = pathlib.Path("/proc") / str(self.pid)
        with contextlib.suppress(OSError):
            threads = [(thread / "schedstat").read_text() for thread in (process / "task").iterdir()]
            return sum(int(text.split()[0]) for text in threads) / 1e9
        fields = (process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def twistd_program() -> str:
    """The twistd that belongs to this Python."""
    beside = pathlib.Path(sys.executable).with_name("twistd")
    return str(beside) if beside.exists() else shutil.which("twistd") or "twistd"


class Agent(Program):
    """Our own agent, as a user runs it: `twistd -n sip-agent …`, listening on one port of UDP and TCP."""

    def __init__(self, log: pathlib.Path, *options: str, host: str = HOST, port: int | None = None) -> None:
        self.host = host
        self.port = free_port(host) if port is None else port
        interface = host.replace(":", r"\:")
        listen = [f"--listen={kind}:{self.port}:interface={interface}" for kind in ("udp", "tcp")]
        # The tree under test comes before whatever is installed.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        super().__init__(
            [twistd_program(), "-n", "--pidfile=", "sip-agent", *listen, *options],
            log,
            environment={"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        )

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def wait_ready(self, seconds: float = 30.0) -> None:
        """Return once it answers OPTIONS."""

        def answers() -> bytes:
            assert self.running, f"the agent ended:\n{self.output()}"
            return ask_options(self.port, self.host)

        wait_until(answers, "the agent answers OPTIONS", seconds)

    def finish(self, seconds: float) -> None:
        """End it as an operator does; AssertionError unless it shuts down properly within so many seconds."""
        status = self.stop(signal.SIGTERM, seconds)
        # twistd shuts down, and then ends by the same signal, so that its parent sees what ended it.
        assert status in (0, -signal.SIGTERM), f"the agent ended with {status} on SIGTERM"
        assert "Server Shut Down" in self.output(), "the agent did not shut down in order"

    def check_log(self) -> None:
        """AssertionError when something went wrong inside the agent."""
        for sign in ("Traceback", "Unhandled", "CRITICAL"):
            assert sign not in self.output(), f"the agent's log says {sign}:\n{self.output()}"
