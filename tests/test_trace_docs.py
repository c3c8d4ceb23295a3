"""The examples of docs/tracing.md run as they stand."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest

from sipactors.twistd.agent import Options
from sipactors.twistd.common import CannotStart, make_trace

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "tracing.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)


def test_the_examples_of_the_page_run(tmp_path: pathlib.Path) -> None:
    """Every example of the page runs, one after the other, and its assertions hold."""
    names: dict[str, Any] = {"folder": tmp_path}
    examples = blocks("python")
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, PAGE.name, "exec"), names)


def test_the_command_of_the_page_is_one() -> None:
    """twistd takes the options of the page as they stand there."""
    _, command = blocks("sh")[0].split("sip-agent ")
    options = Options()
    options.parseOptions(command.split())
    assert len(options["trace"]) == 3
    with pytest.raises(CannotStart):
        make_trace([f"{spec}:x" for spec in options["trace"][2:]], None)
