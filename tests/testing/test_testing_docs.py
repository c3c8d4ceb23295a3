"""The examples of docs/testing.md run, and print what the page says."""

from __future__ import annotations

import pathlib
import re

import pytest

PAGE = "docs/testing.md"


def test_the_first_example_prints_what_the_page_shows(
    root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (root / PAGE).read_text()
    (example, *others), (shown,) = (
        re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S) for kind in ("python", "text")
    )
    exec(compile(example, PAGE, "exec"), {"__name__": "first"})
    assert capsys.readouterr().out == shown
    for number, other in enumerate(others):
        exec(compile(other, PAGE, "exec"), {"__name__": f"example{number}"})


def test_every_condition_is_on_the_page(root: pathlib.Path) -> None:
    from dataclasses import fields

    from sipactors.testing.faults import Conditions

    text = (root / PAGE).read_text()
    for field in fields(Conditions):
        assert f"`{field.name}`" in text
