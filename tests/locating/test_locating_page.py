"""The examples of docs/locating.md run as they stand."""

from __future__ import annotations

import pathlib
import re
from typing import Any


def test_the_examples_of_the_page_run(root: pathlib.Path) -> None:
    """Every example of docs/locating.md runs, one after the other, and its assertions hold."""
    page = (root / "docs" / "locating.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.S | re.M)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/locating.md", "exec"), names)
    assert "own" in names
