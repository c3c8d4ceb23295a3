"""The example of docs/digest.md runs, and prints what the page says."""

from __future__ import annotations

import pathlib
import re

import pytest


@pytest.mark.accepts("I1", "I6")
def test_the_example_prints_what_the_page_shows(
    root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """RFC 3261 §22: challenged once, answered, and let in."""
    page = "docs/digest.md"
    text = (root / page).read_text()
    (example,), (shown,) = (
        re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S) for kind in ("python", "text")
    )
    exec(compile(example, page, "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == shown
