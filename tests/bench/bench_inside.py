"""Measures the agent's own code without sockets: CPU of an OPTIONS and of a call, memory of what is kept.

    python tests/bench/bench_inside.py                 2,000 of each, 7 rounds
    python tests/bench/bench_inside.py --gap 0.001     with a millisecond of idleness before each message
    python tests/bench/bench_inside.py --profile call  where the time of a call goes

The application is that of `twistd -n sip-agent`; datagrams enter where its UDP port would hand them over.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sipactors.client import AccessPoint, Capabilities, Connection, Policies, SIPClient, Stack
from sipactors.testing import Clock, Network
from sipactors.twistd.agent import Agent, Options
from sipactors.twistd.common import tune_garbage_collection

PEER = ("127.0.0.1", 5061)
SDP = (
    "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
# As `sipp -sn uac` sends them.
REQUEST = (
    "{method} sip:service@127.0.0.1:5060 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK-{call}-1-{step}\r\n"
    "From: sipp <sip:sipp@127.0.0.1:5061>;tag={call}SIPpTag00\r\n"
    "To: service <sip:service@127.0.0.1:5060>{tag}\r\n"
    "Call-ID: {call}-1@127.0.0.1\r\nCSeq: {number} {cseq_method}\r\n"
    "Contact: sip:sipp@127.0.0.1:5061\r\nMax-Forwards: 70\r\nSubject: Performance Test\r\n"
)


class Inside:
    """The agent on the in-memory network, with what it sends kept in a list."""

    def __init__(self, gap: float) -> None:
        self.clock = Clock()
        host = Network(self.clock, capture=0).host("agent", "10.0.0.1")
        self.stack = Stack(host)
        self.stack.add_access_point(AccessPoint("agent", ["udp:5060:interface=10.0.0.1"]))
        self.stack.startService()
        options = Options()
        options.parseOptions([])
        observer = Agent(options)
        capabilities = Capabilities(accept=("application/sdp", "*/*"))
        client = SIPClient(self.stack, "bench", observer, capabilities, Policies(user_agent="sipactors"))
        observer.connection = Connection(client, "agent", observer)
        access = self.stack.access("agent")
        assert access is not None
        self.access = access
        self.sent: list[bytes] = []
        listener = access.transports.listeners[0]
        listener.sendto = lambda data, peer: self.sent.append(data)  # type: ignore[union-attr]
        self._receive = listener.datagram_received  # type: ignore[union-attr]
        self._gap = gap
        self._calls = 0
        self.cpu = 0.0

    def send(self, method: str, step: int, number: int, tag: str = "", body: str = "") -> None:
        """Let one request come."""
        head = REQUEST.format(
            method=method,
            call=self._calls,
            step=step,
            number=number,
            tag=tag,
            cseq_method="INVITE" if method == "ACK" else method,
        )
        kind = "Content-Type: application/sdp\r\n" if body else ""
        data = f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        if self._gap:
            time.sleep(self._gap)
        before = time.process_time()
        self._receive(data, PEER)
        self.cpu += time.process_time() - before

    def options(self) -> None:
        """One OPTIONS, answered 200."""
        self._calls += 1
        self.send("OPTIONS", 0, 1)

    def answered(self) -> str:
        """A call up to its ACK; gives the tag parameter of its answer."""
        self._calls += 1
        self.send("INVITE", 0, 1, body=SDP)
        to = self.sent[-1].decode().partition("\r\nTo: ")[2].partition("\r\n")[0]
        tag = f";tag={to.rpartition(';tag=')[2]}"
        self.send("ACK", 5, 1, tag)
        return tag

    def call(self) -> None:
        """A whole call: INVITE, 180, 200, ACK, BYE, 200."""
        self.send("BYE", 7, 2, self.answered())

    def times(self, one: Callable[[], object], count: int) -> float:
        """µs of CPU for one of these, without making the requests; then the clock runs until all is gone."""
        self.cpu = 0.0
        for _ in range(count):
            one()
            self.sent.clear()
        spent = self.cpu / count * 1e6
        before = time.process_time()
        self.clock.advance(40)
        return spent + (time.process_time() - before) / count * 1e6


def memory(inside: Inside, one: Callable[[], object], count: int, seconds: float) -> float:
    """Bytes that one of these keeps so many seconds later."""
    inside.clock.advance(40)
    gc.collect()
    tracemalloc.start(1)
    for _ in range(count):
        one()
        inside.sent.clear()
    inside.clock.advance(seconds)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()
    return kept


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="of each kind in a round (2000)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, whose median counts (7)")
    parser.add_argument("--gap", type=float, default=0.0, help="seconds of idleness before each message (0)")
    parser.add_argument("--profile", choices=["options", "call"], help="show where the time goes instead")
    chosen = parser.parse_args()
    inside = Inside(chosen.gap)
    work = {"options": inside.options, "call": inside.call}
    for one in work.values():
        inside.times(one, 300)
    tune_garbage_collection()
    if chosen.profile:
        profile = cProfile.Profile()
        profile.enable()
        inside.times(work[chosen.profile], chosen.count)
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        return
    figures: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(chosen.rounds):
        for name, one in work.items():
            figures[name].append(inside.times(one, chosen.count))
    for name, times in figures.items():
        print(f"{name:32} {statistics.median(times):8.1f} µs of CPU, best {min(times):.1f}")
    inside.options()
    wire = sys.getsizeof(inside.sent.pop())
    lingering = memory(inside, inside.options, chosen.count, 5)
    print(f"{'lingering OPTIONS transaction':32} {lingering:8.0f} bytes, of them {wire} for its wire bytes")
    print(f"{'idle confirmed call':32} {memory(inside, inside.answered, chosen.count, 40):8.0f} bytes")


if __name__ == "__main__":
    main()
