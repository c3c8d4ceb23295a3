"""The program of docs/user-agent.md runs, and prints what the page says."""

from __future__ import annotations

import pathlib
import re

import pytest

PAGE = "docs/user-agent.md"


def test_the_page_runs_and_prints_what_it_shows(
    root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each block of Python prints the text that stands below it, if one does."""
    page = (root / PAGE).read_text(encoding="utf-8")
    names: dict[str, object] = {"__name__": "page"}
    blocks = re.findall(r"^```(python|text)\n(.*?)^```", page, re.M | re.S)
    assert [kind for kind, _ in blocks].count("python") == 6
    printed = ""
    for kind, block in blocks:
        if kind == "python":
            assert printed == ""
            exec(compile(block, PAGE, "exec"), names)
            printed = capsys.readouterr().out
        else:
            assert printed == block
            printed = ""


def test_the_three_programs_are_on_the_page(root: pathlib.Path) -> None:
    """The programs of the page are those that tests/loopback runs, and about ten lines long."""
    page = (root / PAGE).read_text(encoding="utf-8")
    for name in ("phone", "say", "buddy"):
        assert f"examples/{name}.py" in page
        code = (root / f"docs/examples/{name}.py").read_text(encoding="utf-8")
        assert len([line for line in code.splitlines()[1:] if line.strip()]) <= 15, name


def test_the_readme_shows_the_phone(root: pathlib.Path) -> None:
    """The phone of README.md is docs/examples/phone.py, which runs as a test."""
    program = (root / "docs/examples/phone.py").read_text(encoding="utf-8").split('"""', 2)[2].strip()
    assert f"```python\n{program}\n```" in (root / "README.md").read_text(encoding="utf-8")
