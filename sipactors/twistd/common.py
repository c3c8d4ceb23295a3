"""What every twistd plugin of sipactors shares: clear errors, a trace from an option, garbage collection."""

from __future__ import annotations

import gc
import re
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.error import CannotListenError

from sipactors import hep
from sipactors.errors import ArgumentError, SIPError
from sipactors.pcap import Pcap
from sipactors.trace import Ladder, Traces

if TYPE_CHECKING:
    from sipactors.interfaces import ITrace

GC_THRESHOLD = 20_000
"Allocations between collections: a stateful OPTIONS costs a quarter less than with Python's default 700."


class CannotStart(SystemExit, Exception):
    """A service that cannot be started says why in one line, and the process ends with status 1.

    As a SystemExit it needs no traceback; as an Exception it makes a twistd that became a daemon tell its
    caller, who waits for word of it, and remove its pid file.
    """


def make_trace(specs: Sequence[str], reactor: Any) -> ITrace | None:
    """All traces that `--trace` names, as one; None when it names none.

    `ladder` (standard error) or `ladder:FILE`, `pcap:FILE`, `hep:HOST:PORT` with `:id=NUMBER` and
    `:password=TEXT` after it. Raises CannotStart for anything else, for a file that cannot be written and
    for a host that has no address.
    """
    traces = [_make_one(spec, reactor) for spec in specs]
    return Traces(traces) if len(traces) > 1 else traces[0] if traces else None


def _make_one(spec: str, reactor: Any) -> ITrace:
    kind, _, place = spec.partition(":")
    try:
        if kind == "ladder":
            return Ladder(_line_writer(place), reactor)
        if kind == "pcap" and place:
            return Pcap(place, reactor)
        if kind == "hep" and place:
            return _collector(place, reactor)
    except ArgumentError as error:
        raise CannotStart(f"--trace: {error}") from None
    except OSError as error:
        raise CannotStart(f"--trace: {error.strerror}: {place}") from None
    raise CannotStart(f"--trace: ladder, ladder:FILE, pcap:FILE or hep:HOST:PORT, not {spec!r}")


_COLLECTOR = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+)(?::(\d{1,5}))?(?::id=(\d{1,10}))?(?::password=(.*))?")


def _collector(place: str, reactor: Any) -> hep.HEP:
    match = _COLLECTOR.fullmatch(place)
    if match is None:
        raise ArgumentError(f"hep:HOST:PORT, then :id=NUMBER, then :password=TEXT, not {place!r}")
    host = match[1].strip("[]")
    try:
        # Once, before anything runs: then nothing is looked up for a message.
        (_, _, _, _, address), *_ = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise ArgumentError(f"no address of {host} is known") from None
    port, capture_id = int(match[2] or hep.PORT), int(match[3] or 0)
    collector = str(address[0]), port
    return hep.HEP(reactor, reactor, collector, capture_id=capture_id, password=match[4])


def _line_writer(place: str) -> Callable[[str], object]:
    if not place:
        # The real standard error: twistd turns sys.stderr into log lines of its own.
        return lambda line: print(line, file=sys.__stderr__, flush=True)
    stream = open(place, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - open as long as we run
    return lambda line: stream.write(line + "\n")


def tune_garbage_collection() -> None:
    """Keep what is loaded out of collections, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


class OneLineService(Service):
    """Starts another service; when that cannot be, says why in one line and ends with status 1."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._started = False

    def privilegedStartService(self) -> None:
        """Bind while we may still use the ports that are root's."""
        try:
            self._inner.startService()
        except (CannotListenError, SIPError) as error:
            raise CannotStart(f"sip-agent: {explain(error)}") from None
        self._started = True
        tune_garbage_collection()

    def startService(self) -> None:
        """See IService."""
        if not self._started:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]

    def stopService(self) -> Any:
        """See IService."""
        super().stopService()  # type: ignore[no-untyped-call]
        return self._inner.stopService() if self._started else None


def explain(error: Exception) -> str:
    """An error as one line for the person at the terminal."""
    if isinstance(error, CannotListenError):
        reason = getattr(error.socketError, "strerror", None) or error.socketError
        return f"cannot listen on {error.interface or '*'} port {error.port}: {reason}"
    return " ".join(str(error).split())
