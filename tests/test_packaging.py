"""The repository keeps its promises to a stranger who has just cloned it, and its own house rules."""

from __future__ import annotations

import ast
import configparser
import pathlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins

from everything import OPTIONAL

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "sipactors").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def calls(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that is called, as `time.sleep`, and every one imported from a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offenders(paths: list[pathlib.Path], pattern: str) -> list[str]:
    """The files that call, or import, a name of this pattern."""
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in calls(ast.parse(path.read_text()))
        if re.fullmatch(pattern, name)
    ]


def test_readme_opens_with_two_commands_and_ci_runs_the_second() -> None:
    """README opens with two commands; .ci/run runs the README's own test command."""
    blocks = re.findall(r"^```sh\n(.*?)```$", (ROOT / "README.md").read_text(), re.S | re.M)
    agent, tests = (block.strip() for block in blocks[:2])
    assert agent.endswith("twistd -n sip-agent")
    assert "\n" not in agent + tests
    assert tests in (ROOT / ".ci" / "run").read_text().splitlines()


def test_only_twisted_and_zope_interface_are_needed_at_run_time() -> None:
    """Runtime dependencies: twisted and zope.interface, as little more as can be."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    needed = config["options"]["install_requires"].split("\n")
    assert [re.split(r"[ <>=]", line)[0] for line in needed if line] == ["Twisted", "zope.interface"]


def test_twistd_knows_the_agent() -> None:
    """`twistd -n sip-agent` is a command of twistd."""
    assert "sip-agent" in {maker.tapname for maker in getPlugins(IServiceMaker)}


def test_no_package_is_made_of_what_belongs_to_others() -> None:
    """Never an __init__.py under twisted/; none under tests/, whose file names are therefore unique."""
    assert not list((ROOT / "twisted").rglob("__init__.py"))
    assert not list((ROOT / "tests").rglob("__init__.py"))
    names = Counter(path.name for path in TESTS if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("package", ["message", "sdp", "auth"])
def test_a_pure_package_pulls_in_no_reactor(package: str) -> None:
    """Importing sipactors.message must not pull in a reactor, nor anything else of Twisted."""
    if not (ROOT / "sipactors" / package / "__init__.py").exists():
        pytest.skip(f"there is no sipactors.{package} yet")
    code = f"import sys, sipactors.{package}; print([n for n in sys.modules if n.split('.')[0] == 'twisted'])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_user_without_extras_has_all_but_what_they_bring() -> None:
    """Runtime dependencies: twisted and zope.interface; TLS and WebSocket are extras."""
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(OPTIONAL)}));"
        "import sipactors.client, sipactors.ua, sipactors.testing, sipactors.twistd.agent"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_clock_the_network_and_the_dice_are_arguments() -> None:
    """No `from twisted.internet import reactor` outside twistd/; no time.time(); no module-level random."""
    library = [path for path in SOURCES if path.parent.name != "twistd"]
    assert offenders(library, r"twisted\.internet\.reactor(\..*)?|.*\.installReactor") == []
    assert (
        offenders(SOURCES, r"time\.(time|monotonic|perf_counter|sleep)(_ns)?|datetime\..*(now|today)") == []
    )
    assert offenders(SOURCES + TESTS, r"random\.(?!Random$|SystemRandom$).*") == []


def test_no_test_sleeps() -> None:
    """No sleeping; real sockets only in tests/loopback and tests/interop, and programs in tests/bench."""
    patient = {"interop", "bench"}
    tests = [path for path in TESTS if path.parent.name not in patient]
    assert offenders(tests, r"time\.sleep") == []


def test_files_are_short_and_finished() -> None:
    """Files of 100 to 300 lines, nothing over 400; no stub, no TODO, no NotImplementedError."""
    for path in SOURCES:
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path} has over 400 lines"
        assert not re.search(r"#\s*(TODO|FIXME|XXX)\b|NotImplementedError", text), f"{path} is not finished"


def test_things_are_named_as_the_rfc_names_them() -> None:
    """Not handler, manager, processor, engine, util."""
    vague = re.compile(r"(handler|manager|processor|engine|util)s?$", re.I)
    for path in SOURCES:
        names = [path.stem]
        names += [
            node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
        ]
        assert [name for name in names if vague.search(name)] == [], path


def test_no_path_of_one_machine_stands_in_the_repository() -> None:
    """A stranger's machine has none of our folders."""
    private = re.compile(r"(?<![\w.$}])/(?:root|home|Users|work)/[\w.]")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a clone of the repository")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file():
            found = private.findall(path.read_text(errors="replace"))
            assert not found, f"{name} names {found}"
