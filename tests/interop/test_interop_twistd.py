"""The agent as an operator meets it: in front, as a daemon, and given something wrong."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from programs import HOST, ROOT, Agent, ask_options, bindable, free_port, twistd_program, wait_until
from starter import Starter


def twistd(start: Starter, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What becomes of a `twistd …` that should end by itself at once."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [twistd_program(), *arguments],
        cwd=start.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_an_idle_agent_stops_at_once(start: Starter) -> None:
    """Done within 32 s, less when idle."""
    start.agent().finish(3)


def test_a_port_in_use_is_said_in_one_line(start: Starter) -> None:
    """A port in use: one clear line, exit status non-zero, no traceback."""
    first = start.agent()
    second = Agent(start.folder / "second.log", port=first.port)
    assert second.wait(15) == 1
    lines = [line for line in second.output().splitlines() if "cannot listen" in line]
    assert len(lines) == 1
    assert str(first.port) in lines[0]
    assert "in use" in lines[0]
    assert "Traceback" not in second.output()


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--listen=udp:99999", "99999"),
        ("--listen=carrier-pigeon:5060", "carrier-pigeon"),
        ("--listen=udp:5060:interface=nowhere.invalid", "nowhere.invalid"),
        ("--aor=http://example.com/", "http://example.com/"),
        ("--on-call=reject:200", "reject:200"),
        ("--trace=nothing", "nothing"),
        ("--trace=ladder:/no/such/folder/trace", "/no/such/folder"),
        ("--no-such-option", "no-such-option"),
        ("leftover", ""),
    ],
)
def test_a_bad_option_is_said_in_one_line(start: Starter, option: str, named: str) -> None:
    """A bad option, a bad address: one clear line, exit status non-zero, no traceback."""
    done = twistd(start, "-n", "--pidfile=", "sip-agent", option)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if named in line and "Usage:" not in line]


def test_an_address_that_is_not_ours_is_said_in_one_line(start: Starter) -> None:
    """A bad address is one that this machine does not have, too."""
    done = twistd(start, "-n", "--pidfile=", "sip-agent", "--listen=udp:5060:interface=192.0.2.254")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "192.0.2.254" in said
    assert "Traceback" not in said


def test_the_agent_runs_as_a_daemon(start: Starter) -> None:
    """Running as a daemon with a pid file works as for every twistd service."""
    port = free_port()
    pidfile, log = start.folder / "agent.pid", start.folder / "agent.log"
    listen = f"--listen=udp:{port}:interface={HOST}"
    assert twistd(start, "--pidfile", str(pidfile), "-l", str(log), "sip-agent", listen).returncode == 0
    pid = int(pidfile.read_text())
    try:
        wait_until(lambda: ask_options(port), "the daemon answers OPTIONS")
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not pidfile.exists(), "the daemon removes its pid file")
    wait_until(lambda: bindable(port, HOST), "the daemon closes its port")
    assert "Traceback" not in log.read_text()


def test_a_daemon_that_cannot_listen_tells_its_caller(start: Starter) -> None:
    """The shell that starts a daemon sees the exit status and the reason, and no pid file stays behind."""
    agent = start.agent()
    pidfile, log = start.folder / "second.pid", start.folder / "second.log"
    listen = f"--listen=udp:{agent.port}:interface={HOST}"
    done = twistd(start, "--pidfile", str(pidfile), "-l", str(log), "sip-agent", listen)
    assert done.returncode == 1
    assert "cannot listen" in done.stdout + done.stderr
    # The caller is told first; then the daemon that could not be clears up and ends.
    wait_until(lambda: not pidfile.exists(), "the pid file is removed", 30)
