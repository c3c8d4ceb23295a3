"""Telephone numbers as URIs: read, written and compared as RFC 3966 says."""

from __future__ import annotations

import re

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message import grammar
from sipactors.message.uri_params import URIParameters
from sipactors.message.values import ParametersLike

# RFC 3966 §3: global-number-digits and local-number-digits, with their visual separators; the first
# class leaves one way only to match, so that a wrong text is found wrong in one pass.
_GLOBAL = r"\+[\-.()]*[0-9][0-9\-.()]*\Z"
_telephone = re.compile(rf"{_GLOBAL}|[\-.()]*[0-9A-Fa-f*#][0-9A-Fa-f*#\-.()]*\Z")
_global_number = re.compile(_GLOBAL)
_extension = re.compile(r"[\-.()]*[0-9][0-9\-.()]*\Z")
_label = r"[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?"
_domain = re.compile(rf"(?:{_label}\.)*[A-Za-z](?:[A-Za-z0-9\-]*[A-Za-z0-9])?\.?\Z")
_separators = str.maketrans("", "", "-.()")
_new = object.__new__


class TelURI:
    """A telephone number as a URI (RFC 3966): global ("+49-30-1234") or local with its phone-context.

    Two are equal by RFC 3966 §4: without separators and without case, with the same parameters on both.
    Raises ArgumentError for a text that is no number, and for a local number without phone-context.
    """

    __slots__ = ("number", "params")

    scheme = "tel"

    def __init__(self, number: str, params: ParametersLike = None) -> None:
        self.number = number
        self.params = URIParameters(params)
        try:
            self._check()
        except MalformedMessage as error:
            raise ArgumentError(error.what) from None

    @classmethod
    def parse(cls, text: str) -> TelURI:
        """Read a tel: URI; MalformedMessage(400) when it is not one."""
        scheme, _, rest = text.partition(":")
        if scheme.lower() != "tel":
            raise MalformedMessage(400, "URI: not tel")
        uri: TelURI = _new(cls)
        uri.number, semicolon, params = rest.partition(";")
        uri.params = URIParameters.parse(semicolon + params)
        uri._check()
        return uri

    @property
    def is_global(self) -> bool:
        """Whether the number is valid worldwide: it starts with "+"."""
        return self.number[:1] == "+"

    @property
    def digits(self) -> str:
        """The number without its visual separators."""
        return self.number.translate(_separators)

    @property
    def phone_context(self) -> str | None:
        """Where a local number is valid: a domain, or the first digits of a global number."""
        return self.params.get("phone-context")

    @property
    def extension(self) -> str | None:
        """The extension behind a private exchange (";ext="), or None."""
        return self.params.get("ext")

    def with_params(self, items: ParametersLike = None, **params: object) -> TelURI:
        """A URI like this one with these parameters added or set."""
        changed = self.params.copy()
        changed.update(items)
        changed.update(params)
        return TelURI(self.number, changed)

    def _check(self) -> None:
        if not _telephone.match(self.number):
            raise MalformedMessage(400, "URI: not a telephone number")
        context = self.params.get("phone-context")
        # RFC 3966 §5.1.5: local numbers MUST have a 'phone-context' parameter.
        if context is None:
            if not self.is_global:
                raise MalformedMessage(400, "URI: a local number without phone-context")
        elif not (_global_number.match(context) or (":" not in context and _is_domain(context))):
            raise MalformedMessage(400, "URI: phone-context is neither a domain nor a global number")
        for name in ("ext", "isub"):
            if name in self.params and not self.params.get(name):
                raise MalformedMessage(400, f"URI: {name} without a value")
        extension = self.params.get("ext")
        if extension is not None and not _extension.match(extension):
            raise MalformedMessage(400, "URI: ext is not a telephone number")
        if "isub" in self.params and "ext" in self.params:
            # RFC 3966 §3: 'isdn-subaddress' or 'extension' MUST NOT appear together.
            raise MalformedMessage(400, "URI: isub and ext together")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TelURI):
            return NotImplemented
        # RFC 3966 §4: the digits must be equal after removing all visual separators; if one URI has a
        # parameter name not found in the other, the two are not equal; comparisons are case-insensitive.
        if self.digits.lower() != other.digits.lower():
            return False
        mine, theirs = self.params, other.params
        if mine._rows.keys() != theirs._rows.keys():
            return False
        return all(
            _tel_value(name, mine.raw(name)) == _tel_value(name, theirs.raw(name)) for name in mine._rows
        )

    def __hash__(self) -> int:
        return hash((self.digits.lower(), frozenset(self.params._rows)))

    def __str__(self) -> str:
        return f"tel:{self.number}{self.params}"

    def __repr__(self) -> str:
        return f"<TelURI {self}>"


def _is_domain(text: str) -> bool:
    return len(text) <= 255 and _domain.match(text) is not None


def _tel_value(name: str, raw: str | None) -> str | None:
    if raw is None:
        return None
    value = grammar.normal_escapes(raw).lower()
    if name == "ext" or (name == "phone-context" and value[:1] == "+"):
        return value.translate(_separators)
    return value
