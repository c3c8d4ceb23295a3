"""What a test of this folder starts programs with."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import peers
import programs


class Starter:
    """Starts programs for one test and ends them, in the opposite order."""

    def __init__(self, folder: pathlib.Path, require: Callable[[str], str], started: list[programs.Program]):
        self.folder = folder
        self._require = require
        self._started = started

    def _log(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}-{len(self._started)}.log"

    def agent(self, *options: str, host: str = programs.HOST) -> programs.Agent:
        """Our own agent under twistd, once it answers."""
        agent = programs.Agent(self._log("agent"), *options, host=host)
        self._started.append(agent)
        agent.wait_ready()
        return agent

    def sipp(
        self,
        scenario: str,
        *options: str,
        remote: str | None = None,
        host: str = programs.HOST,
        seconds: int = 60,
    ) -> peers.SIPp:
        """SIPp with a scenario: towards `remote`, or waiting for calls when that is None."""
        path = self._require("sipp")
        log = self._log(f"sipp-{scenario}")
        sipp = peers.SIPp(path, log, scenario, *options, remote=remote, host=host, seconds=seconds)
        self._started.append(sipp)
        if remote is None:
            sipp.wait_ready()
        return sipp

    def sipsak(self, *options: str) -> programs.Program:
        """sipsak with these options."""
        sipsak = programs.Program([self._require("sipsak"), *options], self._log("sipsak"))
        self._started.append(sipsak)
        return sipsak

    def baresip(
        self,
        *options: str,
        user: str = "alice",
        settings: str = "",
        account: str = "",
        answers: bool = True,
    ) -> peers.Baresip:
        """baresip, once it is ready; `settings` are further lines of its configuration, `account` is one that
        is not `user` without a registrar, and without `answers` it rings."""
        folder = self.folder / f"baresip-{len(self._started)}"
        path = self._require("baresip")
        baresip = peers.Baresip(
            path, folder, *options, user=user, settings=settings, account=account, answers=answers
        )
        self._started.append(baresip)
        baresip.wait_ready()
        return baresip

    def kamailio(
        self, route: str = "", *, modules: str = "", settings: str = "", children: int = 1
    ) -> peers.Kamailio:
        """Kamailio with the lines of its request route, the modules they need and their settings, once it
        answers."""
        folder = self.folder / f"kamailio-{len(self._started)}"
        path = self._require("kamailio")
        kamailio = peers.Kamailio(path, folder, route, modules=modules, settings=settings, children=children)
        self._started.append(kamailio)
        kamailio.wait_ready()
        return kamailio

    def capture(self, *ports: int) -> peers.Capture:
        """tshark, once it captures what passes these ports."""
        folder = self.folder / f"tshark-{len(self._started)}"
        capture = peers.Capture(self._require("tshark"), folder, *ports)
        self._started.append(capture)
        capture.wait_ready()
        return capture
