"""XML of strangers read safely, and XML of ours written: most event packages have bodies of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from sipactors.errors import ArgumentError, MalformedMessage

MAX_BYTES = 262_144
"The longest document that is read."
MAX_DEPTH = 32
"How deep its elements may stand in each other."
MAX_ELEMENTS = 10_000
"How many elements it may have."
MAX_ATTRIBUTES = 64
"How many attributes one element may have, namespace declarations aside."

XML = "http://www.w3.org/XML/1998/namespace"

# XML 1.0 §2.2: what is no Char.
_not_xml = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Element:
    """One element: its namespace, its name without prefix, its attributes, its text and its children."""

    __slots__ = ("attributes", "children", "name", "namespace", "text")

    def __init__(
        self,
        namespace: str,
        name: str,
        attributes: dict[str, str | None] | None = None,
        text: str = "",
        children: list[Element] | None = None,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.attributes: dict[str, str] = {
            key: value for key, value in (attributes or {}).items() if value is not None
        }
        "Values by name; the name of one in a namespace has that before it: `{namespace}name`."
        self.text = text
        "The character data of the element itself, that of its children left out."
        self.children: list[Element] = [] if children is None else children

    def __repr__(self) -> str:
        return f"<Element {self.name} {self.attributes}>"

    def get(self, name: str) -> str | None:
        """An attribute's value, without white space around it, or None."""
        value = self.attributes.get(name)
        return None if value is None else value.strip()

    def need(self, name: str) -> str:
        """An attribute's value; MalformedMessage(400) when it is missing."""
        value = self.get(name)
        if value is None:
            raise MalformedMessage(400, f"<{self.name}> has no {name}")
        return value

    def number(self, name: str) -> int | None:
        """An attribute's value as a number of ten digits at most, or None; else MalformedMessage(400)."""
        value = self.get(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise MalformedMessage(400, f"<{self.name}> {name}: not a number: {value[:40]!r}")
        return int(value)

    def find(self, name: str) -> Element | None:
        """The first child of that name in this element's namespace, or None."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Element]:
        """Every child of that name in this element's namespace."""
        return (child for child in self.children if child.name == name and child.namespace == self.namespace)

    def text_of(self, name: str) -> str | None:
        """The text of the first child of that name, without white space around it, or None."""
        child = self.find(name)
        return None if child is None else child.text.strip()

    def add(self, name: str, text: str = "", **attributes: str | None) -> Element:
        """Append a child in the same namespace and give it; an underscore in an attribute is a hyphen."""
        child = Element(
            self.namespace, name, {key.replace("_", "-"): value for key, value in attributes.items()}, text
        )
        self.children.append(child)
        return child

    def render(self) -> bytes:
        """The element as a document in UTF-8."""
        parts = ['<?xml version="1.0" encoding="UTF-8"?>\n']
        self._write(parts, "")
        return "".join(parts).encode()

    def _write(self, parts: list[str], default: str) -> None:
        parts.append(f"<{self.name}")
        if self.namespace != default:
            parts.append(f" xmlns={quoteattr(self.namespace)}")
        spaces: dict[str, str] = {XML: "xml"}
        for name, value in self.attributes.items():
            parts.append(f" {_attribute(name, spaces, parts)}={quoteattr(_clean(value))}")
        if not self.text and not self.children:
            parts.append("/>")
            return
        parts.append(f">{escape(_clean(self.text))}")
        for child in self.children:
            child._write(parts, self.namespace)
        parts.append(f"</{self.name}>")


def _attribute(name: str, spaces: dict[str, str], parts: list[str]) -> str:
    if not name.startswith("{"):
        return name
    space, _, local = name[1:].partition("}")
    if space not in spaces:
        spaces[space] = f"n{len(spaces)}"
        parts.append(f" xmlns:{spaces[space]}={quoteattr(space)}")
    return f"{spaces[space]}:{local}"


def _clean(text: str) -> str:
    found = _not_xml.search(text)
    if found is not None:
        raise ArgumentError(f"a character that XML cannot hold: {found[0]!r}")
    return text


class _Reader:
    """Builds the elements of one document while expat goes through it."""

    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH or len(attributes) > MAX_ATTRIBUTES:
            raise MalformedMessage(413, "XML: too many or too deep elements")
        element = Element("", "")
        element.namespace, element.name = _split(tag)
        for name, value in attributes.items():
            space, local = _split(name)
            element.attributes[f"{{{space}}}{local}" if space else local] = value
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def end(self, _: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def characters(self, text: str) -> None:
        self._texts[-1].append(text)

    def doctype(self, *_: object) -> None:
        # Entities can be declared in a document type declaration only: without one, none can multiply,
        # and no file or network is read for them.
        raise MalformedMessage(400, "XML: a document type declaration is not allowed")


def _split(tag: str) -> tuple[str, str]:
    space, _, name = tag.rpartition("\n")
    return space, name


def read_xml(body: bytes, namespace: str, name: str) -> Element:
    """The root element of a document, which must have this namespace and name.

    Raises MalformedMessage: 413 above the limits of this module, 400 for anything else that is no such
    document, and for one with a document type declaration, since nobody needs its entities.
    """
    if len(body) > MAX_BYTES:
        raise MalformedMessage(413, "XML: too long")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator="\n")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(body, True)
    except MalformedMessage:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise MalformedMessage(400, f"XML: {str(error)[:80]}") from None
    root = reader.root
    if root is None or root.namespace != namespace or root.name != name:
        raise MalformedMessage(400, f"XML: not <{name}> of {namespace}")
    return root
