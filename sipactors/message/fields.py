"""The plain header values: tokens, numbers, text; and the sequence numbers."""

from __future__ import annotations

from sipactors.errors import MalformedMessage
from sipactors.message.cseq import CSeq, RAck
from sipactors.message.grammar import read_number
from sipactors.message.values import is_token


def read_token(text: str) -> str:
    """One token, as Require, Allow and Supported list them; MalformedMessage(400) when it is none."""
    text = text.strip(" \t")
    if not is_token(text):
        raise MalformedMessage(400, f"not a token: {text[:80]!r}")
    return text


def read_text(text: str) -> str:
    """Any text, as Subject and Organization hold it."""
    return text.strip(" \t")


__all__ = ["CSeq", "RAck", "read_number", "read_text", "read_token"]
