"""Headers that point at another dialog: Replaces, Join and Target-Dialog (RFC 3891, RFC 3911, RFC 4538)."""

from __future__ import annotations

import re
from typing import ClassVar

from sipactors.errors import MalformedMessage
from sipactors.message.parameterized import Parameterized
from sipactors.message.values import is_token

# RFC 3261 §25.1: word, of which a Call-ID has one, or two with an "@" between them.
_WORD = r"[A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]+"
_call_id = re.compile(rf"{_WORD}(?:@{_WORD}|)\Z")
_is_call_id = _call_id.match


def read_call_id(text: str) -> str:
    """A Call-ID, or one of In-Reply-To; MalformedMessage(400) when it is none. Compared with case."""
    if _is_call_id(text):
        return text
    text = text.strip(" \t")
    if not _is_call_id(text):
        raise MalformedMessage(400, f"not a Call-ID: {text[:80]!r}")
    return text


class DialogReference(Parameterized):
    """A dialog, named by its Call-ID and the two tags."""

    __slots__ = ()

    # A word may hold quotes that are no quoted string.
    _start = re.compile(r"[^ \t;,]+")
    _pattern = _call_id
    _what = "a Call-ID"
    _tags: ClassVar[tuple[str, ...]] = ("to-tag", "from-tag")

    @property
    def call_id(self) -> str:
        """The Call-ID of that dialog, compared with case."""
        return self.value

    def _key(self) -> str:
        return self.value

    def _check(self) -> None:
        Parameterized._check(self)
        # RFC 3891 §6.1, RFC 3911 §7.1: there must be exactly one to-tag and exactly one from-tag.
        for name in self._tags:
            tag = self.params.raw(name)
            if tag is None or not is_token(tag):
                raise MalformedMessage(400, f"no {name}")


class Replaces(DialogReference):
    """The dialog that an INVITE replaces: `Replaces("id@host", {"to-tag": "a", "from-tag": "b"})`."""

    __slots__ = ()

    @property
    def to_tag(self) -> str:
        """The tag that the receiver of this header has in that dialog."""
        return self.params.get("to-tag") or ""

    @property
    def from_tag(self) -> str:
        """The tag that the other side has in that dialog."""
        return self.params.get("from-tag") or ""

    @property
    def early_only(self) -> bool:
        """Whether a confirmed dialog must not be replaced (RFC 3891 §3)."""
        return "early-only" in self.params


class Join(DialogReference):
    """The dialog that an INVITE wants to join (RFC 3911 §7.1)."""

    __slots__ = ()

    @property
    def to_tag(self) -> str:
        """The tag that the receiver of this header has in that dialog."""
        return self.params.get("to-tag") or ""

    @property
    def from_tag(self) -> str:
        """The tag that the other side has in that dialog."""
        return self.params.get("from-tag") or ""


class TargetDialog(DialogReference):
    """The dialog by which a request shows that its sender is known (RFC 4538 §7)."""

    __slots__ = ()

    _tags = ("local-tag", "remote-tag")

    @property
    def local_tag(self) -> str:
        """The tag that the receiver of this header has in that dialog."""
        return self.params.get("local-tag") or ""

    @property
    def remote_tag(self) -> str:
        """The tag that the sender of this header has in that dialog."""
        return self.params.get("remote-tag") or ""
