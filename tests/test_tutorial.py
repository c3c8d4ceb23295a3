"""What the tutorial shows runs."""

from __future__ import annotations

import pathlib
import re


def test_the_test_of_the_tutorial_passes(root: pathlib.Path) -> None:
    """The tutorial's example is a test; it must hold as it stands."""
    text = (root / "docs/tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], "docs/tutorial.md", "exec"), {"__name__": "tutorial"})
