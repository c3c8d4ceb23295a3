"""Headers that tell times: Date, Timestamp, Retry-After, Session-Expires and Min-SE."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import ClassVar

from sipactors.errors import ArgumentError, MalformedMessage
from sipactors.message.grammar import check_number, read_number
from sipactors.message.parameterized import Parameterized
from sipactors.message.values import Parameters, ParametersLike, check_text, read_parameters

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# RFC 3261 §25.1: SIP-date = rfc1123-date, which is case-sensitive and in GMT only.
_date = re.compile(
    rf"({'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT\Z"
)
_timestamp = re.compile(r"([0-9]+(?:\.[0-9]*)?)(?:[ \t]+([0-9]*(?:\.[0-9]*)?))?\Z")
_digits = re.compile(r"[0-9]+")
_decimal = re.compile(r"[0-9]*(?:\.[0-9]*)?\Z")
_comment_piece = re.compile(r"[^()\\\x00-\x08\x0A-\x1F\x7F]+|\\[^\r\n\x80-\U0010FFFF]|\(|\)")
_new = object.__new__


class Date:
    """A point in time, in whole seconds (RFC 3261 §20.17): `Date(datetime.now(timezone.utc))`.

    A datetime without a time zone raises ArgumentError.
    """

    __slots__ = ("when",)

    when: datetime
    "The time in UTC."

    def __init__(self, when: datetime) -> None:
        if when.tzinfo is None:
            raise ArgumentError("Date: a time without its zone")
        self.when = when.astimezone(timezone.utc).replace(microsecond=0)

    @classmethod
    def parse(cls, text: str) -> Date:
        """Read "Sat, 13 Nov 2010 23:29:00 GMT"; MalformedMessage(400) for anything else."""
        found = _date.match(text.strip(" \t"))
        if found is None:
            # RFC 3261 §20.17: the time zone in SIP-date is restricted to "GMT".
            raise MalformedMessage(400, f"not a date: {text[:80]!r}")
        _, day, month, year, hour, minute, second = found.groups()
        date: Date = _new(cls)
        try:
            date.when = datetime(
                int(year),
                _MONTHS.index(month) + 1,
                int(day),
                int(hour),
                int(minute),
                int(second),
                tzinfo=timezone.utc,
            )
        except ValueError:
            raise MalformedMessage(400, f"no such date: {text[:80]!r}") from None
        return date

    @property
    def timestamp(self) -> float:
        """Seconds since 1970."""
        return (self.when - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(seconds=1)

    def __eq__(self, other: object) -> bool:
        return self.when == other.when if isinstance(other, Date) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.when)

    def __str__(self) -> str:
        when = self.when
        # Not strftime, which speaks the language of the locale.
        return (
            f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year:04} "
            f"{when.hour:02}:{when.minute:02}:{when.second:02} GMT"
        )

    def __repr__(self) -> str:
        return f"<Date {self}>"


class Timestamp:
    """When a request was sent by its sender's clock, and how long its answer was delayed (RFC 3261 §20.38).

    Kept as decimals, so that a response returns the digits it was asked with.
    """

    __slots__ = ("delay", "value")

    value: Decimal
    "Seconds of the sender's clock."
    delay: Decimal | None
    "Seconds between the request's arrival and the response, or None."

    def __init__(self, value: Decimal | float | str, delay: Decimal | float | str | None = None) -> None:
        self.value = _check_decimal(value)
        self.delay = None if delay is None else _check_decimal(delay)

    @classmethod
    def parse(cls, text: str) -> Timestamp:
        """Read "54.6 0.1"; MalformedMessage(400) when it is not that."""
        text = text.strip(" \t")
        found = _timestamp.match(text) if len(text) <= 100 else None
        if found is None:
            raise MalformedMessage(400, f"not a timestamp: {text[:80]!r}")
        timestamp: Timestamp = _new(cls)
        timestamp.value = Decimal(found[1])
        # RFC 3261 §25.1: delay = *(DIGIT) ["." *(DIGIT)]: it may even have no digit at all.
        delay = found[2]
        timestamp.delay = None if not delay else Decimal(delay if delay != "." else "0")
        return timestamp

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timestamp):
            return NotImplemented
        return self.value == other.value and self.delay == other.delay

    def __hash__(self) -> int:
        return hash((self.value, self.delay))

    def __str__(self) -> str:
        return f"{self.value:f}" if self.delay is None else f"{self.value:f} {self.delay:f}"

    def __repr__(self) -> str:
        return f"<Timestamp {self}>"


def _check_decimal(value: Decimal | float | str) -> Decimal:
    text = value if isinstance(value, str) else f"{Decimal(str(value)):f}"
    if not _decimal.match(text) or not any(digit.isdigit() for digit in text) or len(text) > 100:
        raise ArgumentError(f"Timestamp: not a number of seconds: {value!r}")
    return Decimal(text)


class RetryAfter:
    """When to try again: `RetryAfter(3600, "in a meeting", {"duration": 600})` (RFC 3261 §20.33)."""

    __slots__ = ("comment", "params", "seconds")

    seconds: int
    comment: str | None
    "What stands in parentheses, as on the wire; or None."
    params: Parameters

    def __init__(self, seconds: int, comment: str | None = None, params: ParametersLike = None) -> None:
        self.seconds = check_number(seconds, "Retry-After")
        if comment is not None:
            check_text(comment, "Retry-After")
            # A comment that is none as it stands, as one with a single parenthesis, is escaped.
            if _comment_end(f"({comment})", 0) != len(comment) + 2:
                comment = re.sub(r"([()\\\x01-\x08\x0B-\x1F\x7F])", r"\\\1", comment)
        self.comment = comment
        self.params = Parameters(params)

    @classmethod
    def parse(cls, text: str) -> RetryAfter:
        """Read "18000;duration=3600" or "120 (I'm in a meeting)"; MalformedMessage(400) when it is none."""
        text = text.strip(" \t")
        found = _digits.match(text)
        if found is None:
            raise MalformedMessage(400, f"not a number of seconds: {text[:80]!r}")
        retry: RetryAfter = _new(cls)
        retry.seconds = read_number(found[0])
        at = found.end()
        rest = text[at:].lstrip(" \t")
        retry.comment = None
        if rest[:1] == "(":
            end = _comment_end(rest, 0)
            if end < 0:
                raise MalformedMessage(400, "a comment that is not closed")
            retry.comment = rest[1 : end - 1]
            rest = rest[end:]
        retry.params = read_parameters(rest) if rest else Parameters()
        if "duration" in retry.params:
            read_number(retry.params.get("duration") or "")
        return retry

    @property
    def duration(self) -> int | None:
        """Seconds for which the callee will then be reachable, or None."""
        text = self.params.get("duration")
        return int(text) if text is not None and _digits.fullmatch(text) else None

    def __eq__(self, other: object) -> bool:
        # RFC 3261 §20.33: the comment tells people more; it says nothing of when.
        if not isinstance(other, RetryAfter):
            return NotImplemented
        return self.seconds == other.seconds and self.params == other.params

    def __str__(self) -> str:
        comment = "" if self.comment is None else f" ({self.comment})"
        return f"{self.seconds}{comment}{self.params}"

    def __repr__(self) -> str:
        return f"<RetryAfter {self}>"


def _comment_end(text: str, at: int) -> int:
    """Where the comment that starts at `at` ends, or -1 when it does not; comments nest."""
    depth = 0
    while True:
        piece = _comment_piece.match(text, at)
        if piece is None:
            return -1
        at = piece.end()
        if piece[0] == "(":
            depth += 1
        elif piece[0] == ")":
            depth -= 1
            if depth == 0:
                return at


class Interval(Parameterized):
    """A number of seconds with parameters."""

    __slots__ = ()

    _pattern: ClassVar[re.Pattern[str]] = re.compile(r"[0-9]+\Z")
    _what = "a number of seconds"

    def __init__(self, seconds: int, params: ParametersLike = None) -> None:
        Parameterized.__init__(self, str(check_number(seconds, type(self).__name__)), params)

    def _check(self) -> None:
        self.value = str(read_number(self.value))

    @property
    def seconds(self) -> int:
        """The number of seconds."""
        return int(self.value)


class SessionExpires(Interval):
    """How long a session lasts unrefreshed: `SessionExpires(1800, {"refresher": "uac"})` (RFC 4028 §4)."""

    __slots__ = ()

    @property
    def refresher(self) -> str | None:
        """Who refreshes, "uac" or "uas", or None when it is not said."""
        refresher = self.params.get("refresher")
        return None if refresher is None else refresher.lower()

    def _check(self) -> None:
        Interval._check(self)
        # RFC 4028 §4: refresher-param = "refresher" EQUAL ("uas" / "uac").
        if "refresher" in self.params and self.refresher not in ("uac", "uas"):
            raise MalformedMessage(400, "refresher is neither uac nor uas")


class MinSE(Interval):
    """The shortest session interval that is accepted, in seconds (RFC 4028 §5)."""

    __slots__ = ()
