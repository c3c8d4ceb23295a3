"""The examples of docs/tls.md and docs/websocket.md run as they stand."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest


@pytest.mark.parametrize(("page", "count"), [("tls", 3), ("websocket", 1)])
def test_the_examples_of_the_page_run(
    root: pathlib.Path, tmp_path: pathlib.Path, page: str, count: int
) -> None:
    """Every example of the page runs, one after the other, and its assertions hold."""
    text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)
    assert len(blocks) == count
    names: dict[str, Any] = {"folder": tmp_path}
    for block in blocks:
        exec(compile(block, f"docs/{page}.md", "exec"), names)
