"""The message-summary event package (RFC 3842): how many messages wait in a mailbox."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.events.packages import EventPackage, register

MESSAGE_SUMMARY_TYPE = "application/simple-message-summary"

MAX_LINES = 1000
"Lines of one summary that are read."

_counts = re.compile(
    r"[ \t]*(\d{1,9})[ \t]*/[ \t]*(\d{1,9})[ \t]*(?:\([ \t]*(\d{1,9})[ \t]*/[ \t]*(\d{1,9})[ \t]*\)[ \t]*)?\Z"
)
_name = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+\Z")
_CLASSES = frozenset(f"{name}-message" for name in ("voice", "fax", "pager", "multimedia", "text", "none"))


@dataclass(slots=True)
class MessageCount:
    """How many messages of one class there are, and how many of them are urgent."""

    new: int
    old: int
    urgent_new: int = 0
    urgent_old: int = 0


@dataclass(slots=True)
class MessageSummary:
    """What a mailbox says of itself."""

    waiting: bool
    "Whether there is anything new."
    account: str | None = None
    "The URI of the mailbox."
    messages: dict[str, MessageCount] = field(default_factory=dict)
    "Counts by message class, as `Voice-Message`."
    headers: list[tuple[str, str]] = field(default_factory=list)
    "What stands behind the counts of single messages: names and values."


def read_message_summary(body: bytes) -> MessageSummary:
    """The summary that a body holds; MalformedMessage when it is none."""
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise MalformedMessage(413, "message-summary: too long")
    summary: MessageSummary | None = None
    for line in lines:
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not _name.match(name):
            raise MalformedMessage(400, f"message-summary: not a line of one: {line[:80]!r}")
        if summary is None:
            # RFC 3842 §5.2: the message-status line is mandatory, and the first.
            if name.lower() != "messages-waiting" or value.lower() not in ("yes", "no"):
                raise MalformedMessage(400, "message-summary: no Messages-Waiting")
            summary = MessageSummary(value.lower() == "yes")
        elif name.lower() == "message-account":
            summary.account = value
        else:
            _read_line(summary, name, value)
    if summary is None:
        raise MalformedMessage(400, "message-summary: no Messages-Waiting")
    return summary


def _read_line(summary: MessageSummary, name: str, value: str) -> None:
    counts = _counts.match(value)
    if counts is None and name.lower() in _CLASSES:
        raise MalformedMessage(400, f"message-summary: {name}: {value[:40]!r}")
    if counts is None or summary.headers:
        summary.headers.append((name, value))
    else:
        summary.messages[name] = MessageCount(*(int(count or 0) for count in counts.groups()))


def write_message_summary(summary: MessageSummary) -> bytes:
    """The body of a summary; ArgumentError for a line break in it."""
    lines = [("Messages-Waiting", "yes" if summary.waiting else "no")]
    if summary.account is not None:
        lines.append(("Message-Account", summary.account))
    for name, count in summary.messages.items():
        urgent = f" ({count.urgent_new}/{count.urgent_old})" if count.urgent_new or count.urgent_old else ""
        lines.append((name, f"{count.new}/{count.old}{urgent}"))
    text = "".join(f"{name}: {value}\r\n" for name, value in lines)
    if summary.headers:
        lines += summary.headers
        text += "\r\n" + "".join(f"{name}: {value}\r\n" for name, value in summary.headers)
    if any(not _name.match(name) or "\n" in value or "\r" in value for name, value in lines):
        raise ArgumentError("message-summary: a name that is none, or a line break")
    return text.encode()


# RFC 3842 §3.4: the default expiration is for the package to say; it is one hour, as most packages have it.
MESSAGE_SUMMARY = register(
    EventPackage(
        "message-summary", (MESSAGE_SUMMARY_TYPE,), 3600, read_message_summary, write_message_summary
    )
)
