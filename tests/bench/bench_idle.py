"""Measures what many TLS connections cost: idle ones, and slow ones that never finish a header.

    python tests/bench/bench_idle.py                       5,000 idle and 1,000 slow connections
    python tests/bench/bench_idle.py --idle 500 --slow 100  a quick look

Prints the memory for one connection and how long a request on another connection takes meanwhile. The
exit status is 1 when a slow connection survives its deadline, or an idle one does not survive.
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from OpenSSL import SSL

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

from programs import HOST, Agent, free_port
from sipactors.testing.certificates import Authority

REQUEST = (
    "OPTIONS sip:echo@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS peer.invalid;branch=z9hG4bK{0};rport\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:a@example.com>;tag=a{0}\r\nTo: <sip:echo@127.0.0.1>\r\nCall-ID: {0}\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class Client:
    """One TLS connection, blocking."""

    def __init__(self, context: SSL.Context, source: str, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), 20, source_address=(source, 0))
        self.socket.settimeout(None)
        self.tls = SSL.Connection(context, self.socket)
        self.tls.set_connect_state()
        self.tls.do_handshake()

    def ask(self, number: int) -> float:
        """Seconds from a request to its answer."""
        begin = time.perf_counter()
        self.tls.sendall(REQUEST.format(number).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.tls.recv(65536)
        assert answer.startswith(b"SIP/2.0 200"), answer
        return time.perf_counter() - begin

    @property
    def ended(self) -> bool:
        """True when the server has closed; nothing can be asked after that question."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True


def resident(pid: int) -> int:
    """Bytes of memory that a process really uses."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def main() -> int:
    """Run the bench; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--slow", type=int, default=1000)
    options = parser.parse_args()
    wanted = options.idle + options.slow + 100
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(wanted, 1024), most), most))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        authority = Authority(folder)
        port = free_port()
        listen = f"--listen=tls:{port}:interface={HOST}:certFile={authority.issue('agent', HOST)}"
        agent = Agent(folder / "agent.log", listen)
        try:
            agent.wait_ready()
            return run(agent, authority, port, options)
        finally:
            agent.stop()


def run(agent: Agent, authority: Authority, port: int, options: argparse.Namespace) -> int:
    """Connect, measure, print."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.load_verify_locations(str(authority.path))
    context.set_verify(SSL.VERIFY_PEER)

    def connect(number: int) -> Client:
        # Each from one of many addresses of ours, since connections of one source are limited.
        return Client(context, f"127.0.{1 + number // 250}.{1 + number % 250}", port)

    caller = connect(0)
    alone = statistics.median(caller.ask(number) for number in range(200))
    before, cpu = resident(agent.pid), agent.cpu()
    idle = [connect(number) for number in range(options.idle)]
    for number, client in enumerate(idle):
        client.ask(1000 + number)
    grown, spent = resident(agent.pid) - before, agent.cpu() - cpu
    slow = [connect(number) for number in range(options.slow)]
    for client in slow:
        client.tls.sendall(b"OPTIONS sip:")
    times = []
    end = time.monotonic() + 14
    number = 100_000
    while time.monotonic() < end:
        number += 1
        times.append(caller.ask(number))
    left = sum(not client.ended for client in slow)
    lost = sum(client.ended for client in idle)
    print(f"idle connections      {options.idle:8} {grown / max(options.idle, 1) / 1024:10.1f} KiB each")
    print(f"handshake and request {options.idle:8} {spent / max(options.idle, 1) * 1e3:10.2f} ms of CPU each")
    print(f"slow connections      {options.slow:8} {left:10} left after the deadline")
    usual = statistics.median(times) * 1e3
    print(f"a request meanwhile   {len(times):8} {usual:10.2f} ms, alone {alone * 1e3:.2f} ms")
    print(f"the longest                    {max(times) * 1e3:10.2f} ms")
    print(f"idle connections lost {lost:8}")
    return 1 if left or lost else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(f"bench_idle: {problem}")
