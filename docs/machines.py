"""A Sphinx directive that writes out every state machine of sipactors from the table that runs it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import sipactors
from sipactors.actor import Machine


def machines() -> list[type[Machine]]:
    """Every machine that has a table of its own, floor by floor."""
    found: list[type[Machine]] = []
    for module in pkgutil.walk_packages(sipactors.__path__, "sipactors."):
        for thing in vars(importlib.import_module(module.name)).values():
            if isinstance(thing, type) and issubclass(thing, Machine) and thing.__module__ == module.name:
                found.append(thing)
    return [machine for machine in found if "TABLE" in vars(machine)]


def cell(text: str, *, literal: bool = True) -> nodes.entry:
    paragraph = nodes.paragraph()
    if text:
        paragraph += nodes.literal(text=text) if literal else nodes.Text(text)
    return nodes.entry("", paragraph)


def table(machine: type[Machine]) -> nodes.table:
    """A line for each row: the state, the event, the state that follows, what is done."""
    group = nodes.tgroup(cols=4)
    group += [nodes.colspec(colwidth=width) for width in (2, 3, 2, 3)]
    titles = ("state", "event", "next", "action")
    group += nodes.thead("", nodes.row("", *(cell(title, literal=False) for title in titles)))
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
    """`{machines}`: a section for each machine, with its docstring's first line and its table."""

    def run(self) -> list[nodes.Node]:
        sections: list[nodes.Node] = []
        for machine in machines():
            title = nodes.title(text=machine.__name__)
            section = nodes.section("", title, ids=[nodes.make_id(machine.__qualname__)])
            summary = (machine.__doc__ or "").strip().splitlines()
            if summary:
                section += nodes.paragraph(text=summary[0])
            section += nodes.paragraph(text=f"{machine.__module__}, from {machine.INITIAL}")
            section += table(machine)
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("machines", Machines)
    return {"parallel_read_safe": True}
