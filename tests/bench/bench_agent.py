"""Measures the CPU that `twistd -n sip-agent` takes for an OPTIONS and for a call, beside SIPp's own UAS.

    python tests/bench/bench_agent.py       20,000 of each, as the bounds are meant
    python tests/bench/bench_agent.py --count 2000 --settle 0 --slack 2
                                            a quick look, with room for a busy machine

At low rates a server mostly pays for waking up, one message at a time; at the rates here, for its work.
Prints one table; the exit status is 1 when a bound times the slack is passed.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

from peers import SIPp
from programs import Agent


@dataclass
class Row:
    """One kind of work: what it cost in the agent, what it cost in SIPp, and what it may cost."""

    name: str
    agent: float
    sipp: float
    bound: float
    "µs of CPU that the agent may take, whatever SIPp takes."
    ratio_bound: float | None = None
    "How many times SIPp's CPU the agent may take instead."

    @property
    def ratio(self) -> float:
        return self.agent / self.sipp

    def holds(self, slack: float) -> bool:
        in_time = self.agent <= self.bound * slack
        return in_time or (self.ratio_bound is not None and self.ratio <= self.ratio_bound * slack)


class Bench:
    """Runs SIPp as the client of one server after the other, and reads the servers' CPU time."""

    def __init__(self, sipp: str, folder: pathlib.Path, options: argparse.Namespace) -> None:
        self.sipp = sipp
        self.folder = folder
        self.options = options
        self._runs = 0

    def drive(self, scenario: str, address: str, count: int, rate: int) -> None:
        """So many of these calls, all of which must succeed."""
        self._runs += 1
        log = self.folder / f"client-{self._runs}.log"
        arguments = ("-t", self.options.transport, "-m", str(count), "-r", str(rate))
        seconds = count // rate + 60
        client = SIPp(self.sipp, log, scenario, *arguments, remote=address, seconds=seconds)
        try:
            status = client.wait(seconds + 10)
        finally:
            client.stop()
        calls = client.calls()
        if status or calls.failed:
            sys.exit(f"{scenario} at {address}: {calls}\n{client.output()[-2000:]}")
        if calls.retransmissions:
            print(f"{scenario} at {address}: {calls.retransmissions} retransmissions; is the rate too high?")

    def measure(self, server: Agent | SIPp, scenario: str, rate: int) -> float:
        """µs of the server's CPU for one of these calls."""
        address = f"127.0.0.1:{server.port}"
        count = self.options.count
        self.drive(scenario, address, max(count // 20, 200), rate)
        before = server.cpu()
        self.drive(scenario, address, count, rate)
        if isinstance(server, Agent):
            # What a transaction leaves behind until its last timer is part of its price.
            time.sleep(self.options.settle)
        return (server.cpu() - before) / count * 1e6

    def both(self, scenario: str, answerer: str, rate: int) -> tuple[float, float]:
        """µs for the agent, µs for SIPp as the server."""
        agent = Agent(self.folder / f"agent-{scenario}.log")
        try:
            agent.wait_ready()
            ours = self.measure(agent, scenario, rate)
        finally:
            agent.stop(seconds=40)
        agent.check_log()
        server = SIPp(
            self.sipp,
            self.folder / f"server-{scenario}.log",
            answerer,
            *("-t", self.options.transport),
            seconds=100_000,
        )
        try:
            server.wait_ready()
            return ours, self.measure(server, scenario, rate)
        finally:
            server.stop()


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="calls of each kind (20000)")
    parser.add_argument("--slack", type=float, default=1.0, help="the bounds are multiplied by this (1)")
    parser.add_argument("--settle", type=float, default=33.0, help="seconds to wait for the last timers (33)")
    parser.add_argument("--transport", choices=["u1", "t1"], default="u1", help="as SIPp's -t (u1)")
    parser.add_argument("--options-rate", type=int, default=8000, help="OPTIONS a second (8000)")
    parser.add_argument("--call-rate", type=int, default=1500, help="calls a second (1500)")
    parser.add_argument("--sipp", default="sipp", help="the program (sipp)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options.sipp, pathlib.Path(folder), options)
        asked = bench.both("options", "options_answerer", options.options_rate)
        called = bench.both("uac", "uas", options.call_rate)
    rows = [
        Row("stateful OPTIONS, 200", *asked, bound=30.0),
        Row("answered call (INVITE, 180, 200, ACK, BYE, 200)", *called, bound=250.0, ratio_bound=5.5),
    ]
    print(f"{options.count} of each over {options.transport}; µs of CPU for one, user and system")
    print(f"{'':49}{'agent':>9}{'SIPp':>9}{'ratio':>8}  bound")
    for row in rows:
        bound = f"{row.bound:.0f} µs" + (f" or {row.ratio_bound} x SIPp" if row.ratio_bound else "")
        verdict = "" if row.holds(options.slack) else "  PASSED OVER"
        print(f"{row.name:49}{row.agent:9.1f}{row.sipp:9.1f}{row.ratio:8.2f}  {bound}{verdict}")
    if options.slack != 1.0:
        print(f"judged with {options.slack} times the bounds")
    return 0 if all(row.holds(options.slack) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
