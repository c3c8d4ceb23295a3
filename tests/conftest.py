"""What every test may use: the rows it shows, the torture messages, the real programs on this machine."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
from collections.abc import Callable

import pytest
from hypothesis import settings

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPORA = ROOT.parent / "shared" / "corpora"

# A deadline per example measures the machine, not the code; tests of time compare ratios instead.
settings.register_profile("sipactors", deadline=None)
settings.load_profile("sipactors")

ROW = re.compile(r"[A-N][1-9][0-9]?")
Outcomes = dict[str, set[str]]
outcomes_key: pytest.StashKey[Outcomes] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[outcomes_key] = {}
    config.pluginmanager.register(AcceptedRows(config.stash[outcomes_key]), "accepted-rows")


class AcceptedRows:
    """Collects which rows of the client API the tests of this run have shown."""

    def __init__(self, outcomes: Outcomes) -> None:
        self.outcomes = outcomes

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("accepts"):
                if mark.kwargs or not mark.args or not all(ROW.fullmatch(str(row)) for row in mark.args):
                    raise pytest.UsageError(f"{item.nodeid}: accepts wants rows as C8, not {mark.args}")
                for row in mark.args:
                    item.user_properties.append(("accepts", row))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            for name, row in report.user_properties:
                if name == "accepts":
                    self.outcomes.setdefault(str(row), set()).add(report.outcome)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        def title(seen: set[str]) -> str:
            return "failed" if "failed" in seen else "shown" if "passed" in seen else "only skipped"

        for wanted in ("shown", "only skipped", "failed"):
            rows = [row for row, seen in self.outcomes.items() if title(seen) == wanted]
            if rows:
                rows.sort(key=lambda row: (row[0], int(row[1:])))
                terminalreporter.write_line(
                    f"rows of the client API {wanted} ({len(rows)}): {' '.join(rows)}"
                )


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def corpus() -> dict[str, bytes]:
    """The messages of RFC 4475 by name, as `corpus["wsinv"]`; skips where they are not at hand."""
    folder = CORPORA / "rfc4475"
    messages = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.dat"))}
    if not messages:
        pytest.skip("the messages of RFC 4475 are not at ../shared/corpora/rfc4475")
    return messages


def find_peer(program: str) -> str | None:
    """The path of a real program, also where a user's PATH leaves the sbin folders out."""
    return shutil.which(program, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


@pytest.fixture(scope="session")
def require_peer() -> Callable[[str], str]:
    """`require_peer("sipp")` gives the program's path; without it the test skips, or fails when
    SIPACTORS_REQUIRE_PEERS=1."""

    def require(program: str) -> str:
        path = find_peer(program)
        if path is None:
            reason = f"{program} is not installed (.ci/run names the Debian packages)"
            if os.environ.get("SIPACTORS_REQUIRE_PEERS") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return require
