"""The examples of docs/sdp.md do what the page says."""

from __future__ import annotations

import doctest
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "sdp.md"


def test_every_example_of_the_page_runs() -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```pycon\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 6
    examples = doctest.DocTestParser().get_doctest("".join(blocks), {}, PAGE.name, str(PAGE), 0)
    runner = doctest.DocTestRunner(
        optionflags=doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    failures: list[str] = []
    result = runner.run(examples, out=failures.append)
    assert result.failed == 0, "".join(failures)
