"""A test's rules for packets on their way: dropped, held back to be released in any order, altered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sipactors.testing.capture import Packet

if TYPE_CHECKING:
    from sipactors.testing.hosts import Host

Wanted = Callable[[Packet], bool] | str | bytes
"""Which packets a rule is for: a function that says so, a str that they start with, as "SIP/2.0 200" or
"CANCEL ", or bytes that are anywhere in them, as b"CSeq: 2 INVITE"."""

Proceed = Callable[[Packet], None]


class Rule:
    """One thing a test does to some packets; see Network.drop, Network.hold and Network.alter."""

    def __init__(
        self, wanted: Wanted, times: int | None, source: Host | None, destination: Host | None
    ) -> None:
        self.packets: list[Packet] = []
        "The packets that the rule has now (hold), or has met (drop, alter)."
        self.times = times
        "How many more packets the rule is for; None is any number."
        self._wanted = _predicate(wanted)
        self._source = source
        self._destination = destination

    def end(self) -> None:
        """Be for no further packet."""
        self.times = 0

    def wants(self, packet: Packet) -> bool:
        """True when the rule is for this packet; it is then counted."""
        if self.times == 0:
            return False
        if self._source is not None and packet.source[0] not in self._source:
            return False
        if self._destination is not None and packet.destination[0] not in self._destination:
            return False
        if not self._wanted(packet):
            return False
        if self.times is not None:
            self.times -= 1
        return True

    def apply(self, packet: Packet, proceed: Proceed) -> bool:
        """Do it; True when the packet does not go on by itself. `proceed` lets it arrive at once."""
        self.packets.append(packet)
        return False


class Drop(Rule):
    """Packets that never arrive."""

    def apply(self, packet: Packet, proceed: Proceed) -> bool:
        packet.fate = "dropped"
        self.packets.append(packet)
        return True


class Alter(Rule):
    """Packets whose bytes change on their way, as a bad middle box or a NAT does it."""

    def __init__(
        self,
        wanted: Wanted,
        change: Callable[[bytes], bytes],
        times: int | None,
        source: Host | None,
        destination: Host | None,
    ) -> None:
        super().__init__(wanted, times, source, destination)
        self._change = change

    def apply(self, packet: Packet, proceed: Proceed) -> bool:
        packet.data = self._change(packet.data)
        self.packets.append(packet)
        return False


class Hold(Rule):
    """Packets that wait for the test to release them."""

    def __init__(
        self, wanted: Wanted, times: int | None, source: Host | None, destination: Host | None
    ) -> None:
        super().__init__(wanted, times, source, destination)
        self._proceed: dict[int, Proceed] = {}

    def apply(self, packet: Packet, proceed: Proceed) -> bool:
        packet.fate = "held"
        self.packets.append(packet)
        self._proceed[id(packet)] = proceed
        return True

    def release(self, *packets: Packet) -> None:
        """Let these packets arrive, in this order, at the clock's next step (advance(0) is enough).

        Without arguments all of them go, in the order they came in, and the rule ends: the way is free.
        Raises ValueError for a packet that is not held.
        """
        if not packets:
            self.end()
            packets = tuple(self.packets)
        for packet in packets:
            proceed = self._take(packet)
            packet.fate = "sent"
            proceed(packet)

    def discard(self, *packets: Packet) -> None:
        """Let these packets (without arguments: all of them) never arrive; the rule goes on."""
        for packet in packets or tuple(self.packets):
            proceed = self._take(packet)
            packet.fate = "dropped"
            if packet.transport == "TCP":
                # Its stream goes on behind it, without these bytes.
                proceed(packet)

    def _take(self, packet: Packet) -> Proceed:
        proceed = self._proceed.pop(id(packet), None)
        if proceed is None:
            raise ValueError(f"{packet!r} is not held")
        # By identity: the same bytes may be held several times.
        self.packets = [other for other in self.packets if other is not packet]
        return proceed


def _predicate(wanted: Wanted) -> Callable[[Packet], bool]:
    if isinstance(wanted, str):
        start = wanted.encode()
        return lambda packet: packet.data.startswith(start)
    if isinstance(wanted, bytes):
        part = wanted
        return lambda packet: part in packet.data
    return wanted
