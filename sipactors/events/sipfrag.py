"""The refer event package (RFC 3515): how the referred request goes, told as a sipfrag (RFC 3420)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.events.packages import EventPackage, register
from sipactors.message.status import reason_phrase

SIPFRAG_TYPE = "message/sipfrag"
SIPFRAG_CONTENT_TYPE = "message/sipfrag;version=2.0"

MAX_LINES = 500
"Lines of one sipfrag that are read."

_status_line = re.compile(r"SIP/2\.0 ([1-6]\d\d) ([^\r\n\0]*)\Z")


@dataclass(slots=True)
class Progress:
    """How far the referred request has come: the start line of its last response, perhaps with headers."""

    status: int
    reason: str = ""
    "The reason phrase; the registered one when it is left out."
    headers: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 100 <= self.status <= 699:
            raise ArgumentError(f"not a status code: {self.status}")
        if not self.reason:
            self.reason = reason_phrase(self.status)

    @property
    def final(self) -> bool:
        """Whether the referred request is over."""
        return self.status >= 200


def read_sipfrag(body: bytes) -> Progress:
    """The progress that the body of a NOTIFY tells; MalformedMessage when it does not begin with a status.

    RFC 3515 §2.4.5: the body of each NOTIFY is a message/sipfrag that begins with a response's status line.
    """
    lines = body.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise MalformedMessage(413, "sipfrag: too long")
    found = _status_line.match(lines[0].rstrip(" \t") + (" " if lines[0].count(" ") < 2 else ""))
    if found is None:
        raise MalformedMessage(400, "sipfrag: no status line")
    progress = Progress(int(found[1]), found[2].strip())
    for line in lines[1:]:
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon:
            progress.headers.append((name.strip(), value.strip()))
    return progress


def write_sipfrag(progress: Progress) -> bytes:
    """The sipfrag of a progress; ArgumentError for a line break in it."""
    lines = [f"SIP/2.0 {progress.status} {progress.reason}"]
    lines += [f"{name}: {value}" for name, value in progress.headers]
    if any("\n" in line or "\r" in line for line in lines):
        raise ArgumentError("sipfrag: a line break")
    return "".join(f"{line}\r\n" for line in lines).encode()


# RFC 3515 §2.4.4: whoever takes the REFER chooses how long; an INVITE rings for three minutes (Timer C).
# §2.4.5: the first NOTIFY says at least that the request is being tried.
REFER = register(
    EventPackage(
        "refer",
        (SIPFRAG_CONTENT_TYPE,),
        300,
        read_sipfrag,
        write_sipfrag,
        write_sipfrag(Progress(100)),
    )
)
