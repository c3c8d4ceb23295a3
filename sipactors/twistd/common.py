"""What every twistd plugin of sipactors shares: clear errors, a trace from an option, garbage collection."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.error import CannotListenError

from sipactors.errors import SIPError
from sipactors.trace import Ladder

if TYPE_CHECKING:
    from sipactors.interfaces import ITrace

GC_THRESHOLD = 20_000
"Allocations between collections: a stateful OPTIONS costs a quarter less than with Python's default 700."


class CannotStart(SystemExit, Exception):
    """A service that cannot be started says why in one line, and the process ends with status 1.

    As a SystemExit it needs no traceback; as an Exception it makes a twistd that became a daemon tell its
    caller, who waits for word of it, and remove its pid file.
    """


def make_trace(spec: str | None, reactor: Any) -> ITrace | None:
    """A trace as `--trace` names it: `ladder` (standard error) or `ladder:FILE`.

    Raises CannotStart for anything else, and for a file that cannot be written.
    """
    if spec is None:
        return None
    kind, _, place = spec.partition(":")
    if kind != "ladder":
        raise CannotStart(f"--trace: ladder or ladder:FILE, not {spec!r}")
    return Ladder(_line_writer(place), reactor)


def _line_writer(place: str) -> Callable[[str], object]:
    if not place:
        # The real standard error: twistd turns sys.stderr into log lines of its own.
        return lambda line: print(line, file=sys.__stderr__, flush=True)
    try:
        stream = open(place, "a", encoding="utf-8", buffering=1)  # noqa: SIM115 - open as long as we run
    except OSError as error:
        raise CannotStart(f"--trace: {error.strerror}: {place}") from None
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
