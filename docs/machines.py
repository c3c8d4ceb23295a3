"""A Sphinx directive that draws every state machine of sipactors from the table that runs it."""

from __future__ import annotations

import importlib
import pkgutil
from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import sipactors
from sipactors.actor import Machine

LINE = 18
"Pixels from one arrow to the next."
LETTER = 8
"Pixels of a letter, as good as always."


def machines() -> list[type[Machine]]:
    """Every machine that has a table of its own, module by module."""
    found: list[type[Machine]] = []
    for module in pkgutil.walk_packages(sipactors.__path__, "sipactors."):
        for thing in vars(importlib.import_module(module.name)).values():
            if isinstance(thing, type) and issubclass(thing, Machine) and thing.__module__ == module.name:
                found.append(thing)
    return [machine for machine in found if "TABLE" in vars(machine)]


def drawing(machine: type[Machine]) -> str:
    """The states from top to bottom as SVG: ways down stand to the right, ways up to the left."""
    states = list(machine.TABLE)
    ways: dict[tuple[int, int], list[str]] = {}
    for state, rows in machine.TABLE.items():
        for event, (following, _) in rows.items():
            ways.setdefault((states.index(state), states.index(following)), []).append(event)
    inside = {start: ", ".join(events) for (start, end), events in ways.items() if start == end}
    moves = [(start, end, ", ".join(events)) for (start, end), events in ways.items() if start != end]

    # Each side of a box has a line for each arrow that leaves or enters it there.
    lines: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    for start, end, _ in sorted(moves):
        for box in (start, end):
            lines.setdefault((box, start < end), []).append((start, end))
    tops: list[float] = []
    height = 10.0
    for box in range(len(states)):
        tops.append(height)
        height += max(46, LINE * (1 + max(len(lines.get((box, side), [])) for side in (True, False)))) + LINE
    bottoms = [*(top - LINE for top in tops[1:]), height - LINE]

    def port(box: int, move: tuple[int, int]) -> float:
        return tops[box] + LINE * (1 + lines[box, move[0] < move[1]].index(move))

    names = max(map(len, states)) * LETTER * 1.2  # they are bold
    width = max(names, *(LETTER * len(events) for events in inside.values()), 100) + 20
    words = {side: max((len(w) for s, e, w in moves if (s < e) == side), default=0) for side in (True, False)}
    left = 20 + LETTER * words[False] + 10 * sum(start > end for start, end, _ in moves)
    right = left + width
    parts: list[str] = []
    used = {True: 0, False: 0}
    for start, end, events in sorted(moves, key=lambda move: abs(move[1] - move[0])):
        down = start < end
        edge, sign = (right, 1) if down else (left, -1)
        used[down] += 1
        lane = edge + sign * (LETTER * words[down] + 10 * used[down])
        here, there = port(start, (start, end)), port(end, (start, end))
        parts.append(f'<path d="M{edge} {here}H{lane}V{there}H{edge + sign}" marker-end="url(#tip)"/>')
        anchor = "start" if down else "end"
        label = f'<text x="{edge + 5 * sign}" y="{here - 4}" text-anchor="{anchor}">{escape(events)}</text>'
        parts.append(label)
    for box, state in enumerate(states):
        middle = (left + right) / 2
        parts.append(
            f'<rect x="{left}" y="{tops[box]}" width="{width}" height="{bottoms[box] - tops[box]}" rx="6"'
            f' stroke-width="{2 if state == machine.INITIAL else 1}"/>'
            f'<text x="{middle}" y="{tops[box] + 19}" text-anchor="middle" font-weight="bold">{state}</text>'
            f'<text x="{middle}" y="{tops[box] + 36}" text-anchor="middle">{escape(inside.get(box, ""))}'
            "</text>"
        )
    whole = right + LETTER * words[True] + 10 * used[True] + 20
    tip = '<marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
    style = "path, rect { fill: none; stroke: #444 } marker path { fill: #444 }"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole:.0f} {height:.0f}" width="{whole:.0f}"'
        ' style="max-width: 100%" font-family="sans-serif" font-size="12">'
        f'<defs>{tip}<path d="M0 0L8 4L0 8z"/></marker></defs><style>{style}</style>{"".join(parts)}</svg>'
    )


def table(machine: type[Machine]) -> nodes.table:
    """A line for each row: the state, the event, the state that follows, what is done."""

    def cell(text: str) -> nodes.entry:
        return nodes.entry("", nodes.paragraph("", "", *([nodes.literal(text=text)] if text else [])))

    group = nodes.tgroup(cols=4)
    group += [nodes.colspec(colwidth=width) for width in (2, 3, 2, 3)]
    titles = [nodes.entry("", nodes.paragraph(text=title)) for title in ("state", "event", "next", "action")]
    group += nodes.thead("", nodes.row("", *titles))
    body = nodes.tbody()
    for state, rows in machine.TABLE.items():
        shown = state
        for event, (following, action) in rows.items():
            name = getattr(action, "__name__", "").lstrip("_")
            body += nodes.row("", *map(cell, (shown, event, following, name)))
            shown = ""
        if not rows:
            body += nodes.row("", *map(cell, (state, "", "", "")))
    group += body
    return nodes.table("", group)


class Machines(SphinxDirective):
    """`{machines}`: a section for each machine: its docstring's first line, its picture, its table."""

    def run(self) -> list[nodes.Node]:
        sections: list[nodes.Node] = []
        for machine in machines():
            title = nodes.title(text=machine.__name__)
            section = nodes.section("", title, ids=[nodes.make_id(machine.__qualname__)])
            summary = (machine.__doc__ or "").strip().splitlines()
            if summary:
                section += nodes.paragraph(text=summary[0])
            section += nodes.paragraph("", "in ", nodes.literal(text=machine.__module__))
            section += nodes.raw("", drawing(machine), format="html")
            section += table(machine)
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("machines", Machines)
    return {"parallel_read_safe": True}
