"""Real programs for the tests of this folder: each is started by its test, and ended with it."""

from __future__ import annotations

import pathlib
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
            written = [line for line in program.output().splitlines() if line.strip()]
            lines = [" ".join(program.arguments), *written[-120:]]
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
        try:
            if isinstance(program, programs.Agent):
                if program.running:
                    # It ends calls that are left with BYE, which takes as long as their peers let it.
                    program.finish(40)
                program.check_log()
        except AssertionError as error:
            faults.append(str(error))
        finally:
            program.stop(seconds=5)
    assert not faults, "\n".join(faults)
