"""What a way from one host to another does to the packets on it: delay, loss, order, pieces, silence."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from sipactors.errors import ArgumentError
from sipactors.testing.capture import Packet
from sipactors.testing.clock import Clock

if TYPE_CHECKING:
    from sipactors.testing.hosts import Host

RETRANSMISSION = 0.2
"Seconds that a lost stream segment comes late, as TCP sends it again; twice that when it is lost twice …"


@dataclass(slots=True)
class Conditions:
    """How a way is. Probabilities run from 0 to 1, times are seconds."""

    latency: float = 0.001
    "How long every packet travels."
    jitter: float = 0.0
    "Up to this much longer, evenly distributed; datagrams may overtake each other by it."
    loss: float = 0.0
    "How likely a packet is lost. A stream's segment is sent again: it and all after it come late."
    duplication: float = 0.0
    "How likely a datagram arrives twice."
    reordering: float = 0.0
    "How likely a datagram is late by `reordering_delay`, so that later ones overtake it."
    reordering_delay: float = 0.05
    "See reordering."
    largest_datagram: int | None = None
    "Datagrams with more bytes vanish, as where a router drops fragments; None lets all of them pass."
    segment: int | None = None
    "Streams arrive in pieces of so many bytes; None leaves each write whole."
    random_segments: bool = False
    "Streams arrive in pieces of random lengths, from one byte up to `segment` (or the whole write)."
    coalesce: bool = False
    "What has arrived of a stream while nobody read it is read in one piece."
    blocked: bool = False
    "Datagrams vanish, streams stand still: nothing is told to anybody."


class Link(Conditions):
    """The way from one host to another; each attribute may be set at any time."""

    __slots__ = ("_callLater", "_random", "destination", "source")

    def __init__(
        self, source: Host, destination: Host, conditions: Conditions, clock: Clock, dice: random.Random
    ) -> None:
        for field in fields(Conditions):
            setattr(self, field.name, getattr(conditions, field.name))
        self.source = source
        self.destination = destination
        self._callLater = clock.callLater
        self._random = dice.random

    def __repr__(self) -> str:
        return f"<Link {self.source.name} -> {self.destination.name}>"

    @property
    def open(self) -> bool:
        """True when packets get through: not blocked, and both hosts are up."""
        return not self.blocked and self.source.up and self.destination.up

    def carry(self, packet: Packet, deliver: Callable[[Packet], None]) -> None:
        """Bring a datagram to the other end, or lose it, or bring it twice."""
        if self.blocked or not self.source.up:
            packet.fate = "lost"
            return
        largest = self.largest_datagram
        if largest is not None and len(packet.data) > largest:
            packet.fate = "lost"
            return
        if self.loss and self._random() < self.loss:
            packet.fate = "lost"
            return
        delay = self.latency
        if self.jitter:
            delay += self.jitter * self._random()
        if self.reordering and self._random() < self.reordering:
            delay += self.reordering_delay
        self._callLater(delay, deliver, packet)
        if self.duplication and self._random() < self.duplication:
            self._callLater(delay + self.jitter * self._random(), deliver, packet)

    def segment_delay(self) -> float:
        """How long the next segment of a stream travels, its retransmissions included."""
        delay = self.latency
        if self.jitter:
            delay += self.jitter * self._random()
        if self.loss:
            # Seven losses in a row are enough: a link that loses everything is a blocked one.
            wait = RETRANSMISSION
            for _ in range(7):
                if self._random() >= self.loss:
                    break
                delay += wait
                wait *= 2
        return delay

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The pieces in which a stream's bytes travel."""
        start = 0
        while start < len(data):
            size = self.segment or len(data)
            if self.random_segments:
                size = 1 + int(self._random() * min(size, len(data) - start))
            yield data[start : start + size]
            start += size


def check_conditions(names: dict[str, object]) -> None:
    """Raise ArgumentError for a name that is no condition of a link."""
    known = [field.name for field in fields(Conditions)]
    for name in names:
        if name not in known:
            raise ArgumentError(f"a link has no {name!r}; it has {', '.join(known)}")
