"""CSeq and RAck: the numbers that put the requests of a dialog in order (RFC 3261 §20.16, RFC 3262 §7.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sipactors.errors import MalformedMessage
from sipactors.message.grammar import check_number, read_number
from sipactors.message.values import TOKEN, check_token

_cseq = re.compile(rf"([0-9]+)[ \t]+({TOKEN})\Z").match
_rack = re.compile(rf"([0-9]+)[ \t]+([0-9]+)[ \t]+({TOKEN})\Z").match
_METHODS = frozenset(
    ("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "MESSAGE")
)

# RFC 3261 §8.1.1.5: the sequence number value MUST be expressible as a 32-bit unsigned integer and MUST
# be less than 2**31.
_LIMIT = 2**31 - 1
# RFC 3262 §3: the initial RSeq is chosen between 1 and 2**31 - 1, and RSeq may grow to 2**32 - 1.
_RSEQ_LIMIT = 2**32 - 1

_new = object.__new__


@dataclass(slots=True, init=False)
class CSeq:
    """The sequence number of a request and its method, which are compared with case (RFC 3261 §20.16)."""

    number: int
    method: str

    def __init__(self, number: int, method: str) -> None:
        self.number = check_number(number, "CSeq", _LIMIT)
        self.method = check_token(method, "CSeq method")

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Read "314159 INVITE"; MalformedMessage(400) when it is not that, or over 2**31 - 1."""
        cseq: CSeq = _new(cls)
        number, _, cseq.method = text.partition(" ")
        if cseq.method in _METHODS and len(number) < 10 and number.isdigit() and number.isascii():
            cseq.number = int(number)
            return cseq
        found = _cseq(text.strip(" \t"))
        if found is None:
            raise MalformedMessage(400, "not a number and a method")
        number, cseq.method = found.groups()
        cseq.number = read_number(number, _LIMIT)
        return cseq

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(slots=True, init=False)
class RAck:
    """What a PRACK acknowledges: RSeq of the response, CSeq of its request (RFC 3262 §7.2)."""

    rseq: int
    cseq: int
    method: str

    def __init__(self, rseq: int, cseq: int, method: str) -> None:
        self.rseq = check_number(rseq, "RAck", _RSEQ_LIMIT)
        self.cseq = check_number(cseq, "RAck", _LIMIT)
        self.method = check_token(method, "RAck method")

    @classmethod
    def parse(cls, text: str) -> RAck:
        """Read "776656 1 INVITE"; MalformedMessage(400) when it is not that."""
        found = _rack(text.strip(" \t"))
        if found is None:
            raise MalformedMessage(400, "not two numbers and a method")
        rack: RAck = _new(cls)
        rack.rseq = read_number(found[1], _RSEQ_LIMIT)
        rack.cseq = read_number(found[2], _LIMIT)
        rack.method = found[3]
        return rack

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"
