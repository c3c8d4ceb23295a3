"""The examples of docs/registration.md run, and the first one prints what the page says."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest


@pytest.mark.accepts("E6", "F3")
def test_the_examples_of_the_page_run(root: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 3261 §10.2.4: each UA refreshes the bindings that it has established."""
    page = "docs/registration.md"
    text = (root / page).read_text(encoding="utf-8")
    (first, second), (shown,) = (
        re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S) for kind in ("python", "text")
    )
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(first, page, "exec"), names)
    assert capsys.readouterr().out == shown
    exec(compile(second, page, "exec"), names)
    names["clock"].advance(0)
    assert names["connection"].children


def test_the_registered_phone_is_short(root: pathlib.Path) -> None:
    """A new user writes a registered phone that answers in under 40 lines."""
    program = root / "docs/examples/registered_phone.py"
    assert len(program.read_text(encoding="utf-8").splitlines()) < 40
