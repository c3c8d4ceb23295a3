"""docs/symbian.md keeps its word: every row of the client API is on the page, and its test shows it."""

from __future__ import annotations

import pathlib
import re

ROWS = """
    A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 A15 A16 A17 A18 B1 B2 B3 B4 B5 C1 C2 C3 C4 C6 C7 C8 C10
    D1 D3 D4 D5 D6 D7 D8 E1 E2 E3 E4 E5 E6 E7 E8 F1 F2 F3 F5 F6 F7 F8 F9 F11 F12 F13 F15
    G1 G3 G4 G6 G7 G9 G10 G12 G14 G15 G16 G18 H1 H2 H3 H4 H5 H6 I1 I2 I3 I4 I5 I6 I7 I10 J1 J2 J4 J5
    K1 K2 K3 K4 K5 K6 K7 K8 K9
""".split()


def _page(root: pathlib.Path) -> dict[str, tuple[str, str, str]]:
    rows = {}
    for line in (root / "docs/symbian.md").read_text(encoding="utf-8").splitlines():
        if re.match(r"\| [A-Z]\d+ \|", line):
            row, old, new, test, _better = (cell.strip() for cell in line.strip("|").split("|"))
            rows[row] = (old, new, test.strip("`"))
    return rows


def test_every_row_is_on_the_page_with_its_old_and_new_name(root: pathlib.Path) -> None:
    """Each row gets a line with the old name, the new name and the test."""
    page = _page(root)
    assert [row for row in ROWS if row not in page] == []
    assert [row for row, (old, new, _) in page.items() if not (old and new)] == []


def test_every_row_is_marked_in_the_test_that_the_page_names(root: pathlib.Path) -> None:
    """A row without a test that accepts it is a promise only."""
    wrong = []
    for row, (_, _, test) in _page(root).items():
        path = root / "tests" / test
        marks = re.findall(r"accepts\(([^)]*)\)", path.read_text(encoding="utf-8")) if path.is_file() else []
        if not any(f'"{row}"' in mark for mark in marks):
            wrong.append(f"{row}: {test}")
    assert wrong == []
