"""Real programs for the tests of this folder: each is started by its test, and ended with it."""

from __future__ import annotations

import pathlib
import signal
from collections.abc import Callable, Generator, Iterator

import pytest

import programs
from starter import Starter

started_key: pytest.StashKey[list[programs.Program]] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the programs of that test wrote; the whole of it stays in its folder."""
    report = yield
    if report.failed:
        for program in item.stash.get(started_key, []):
            lines = [" ".join(program.arguments), *program.output().splitlines()[-80:]]
            report.sections.append((f"{program.name} ({program.log})", "\n".join(lines)))
    return report


@pytest.fixture
def start(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, require_peer: Callable[[str], str]
) -> Iterator[Starter]:
    """`start.sipp("uas")`, `start.agent()` …: what a test starts is ended with it, our agents gracefully."""
    started: list[programs.Program] = []
    request.node.stash[started_key] = started
    yield Starter(tmp_path, require_peer, started)
    faults = []
    for program in reversed(started):
        ours = isinstance(program, programs.Agent)
        was_running = program.running
        # Our agent may end calls that are left with BYE, which takes as long as their peers let it.
        status = program.stop(signal.SIGTERM, 40.0 if ours else 5.0)
        if ours and was_running and status != 0:
            faults.append(f"the agent ended with {status} on SIGTERM")
    for program in started:
        if isinstance(program, programs.Agent):
            program.check_log()
    assert not faults, faults
