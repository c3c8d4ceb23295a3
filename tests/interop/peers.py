"""Other people's SIP programs as tests start them: SIPp, baresip, Kamailio; and tshark, which watches."""

from __future__ import annotations

import csv
import json
import pathlib
import socket
import subprocess
import time
import wave
from dataclasses import dataclass

from programs import HOST, Program, ask_options, bindable, free_port, wait_until

SCENARIOS = pathlib.Path(__file__).resolve().parent / "scenarios"


@dataclass
class Calls:
    """What SIPp counted of one run."""

    created: int
    successful: int
    failed: int
    retransmissions: int
    unexpected: int


class SIPp(Program):
    """SIPp with one scenario: one of its own by name, or a file of tests/interop/scenarios."""

    def __init__(
        self,
        path: str,
        log: pathlib.Path,
        scenario: str,
        *options: str,
        remote: str | None = None,
        host: str = HOST,
        port: int | None = None,
        seconds: int = 60,
    ) -> None:
        self.host = host
        self.port = free_port(host) if port is None else port
        self.statistics = log.with_suffix(".csv")
        file = SCENARIOS / f"{scenario}.xml"
        arguments = [path, *(["-sf", str(file)] if file.exists() else ["-sn", scenario])]
        arguments += [remote] if remote else []
        arguments += ["-i", host, "-p", str(self.port), "-ci", HOST, "-cp", str(free_port())]
        arguments += ["-nostdin", "-timeout", str(seconds), "-timeout_error", "-fd", "1"]
        arguments += ["-trace_stat", "-stf", str(self.statistics)]
        arguments += ["-trace_err", "-error_file", str(log.with_suffix(".errors"))]
        # SIPp gives up when the machine is slow; that is the test's business, which has its own limits.
        arguments += ["-watchdog_minor_maxtriggers", "100000", "-watchdog_major_maxtriggers", "100000"]
        super().__init__([*arguments, *options], log)

    def wait_ready(self) -> None:
        """Return once a SIPp that waits for calls has bound its port."""
        wait_until(lambda: not bindable(self.port, self.host), "SIPp listens")

    def calls(self) -> Calls:
        """The counters; valid once SIPp has ended."""
        with self.statistics.open(newline="") as file:
            row = list(csv.DictReader(file, delimiter=";"))[-1]
        names = (
            "TotalCallCreated",
            "SuccessfulCall(C)",
            "FailedCall(C)",
            "Retransmissions(C)",
            "FailedUnexpectedMessage(C)",
        )
        return Calls(*(int(row[name]) for name in names))


class Baresip(Program):
    """baresip with a folder of its own: no sound card, silence from a file, orders over TCP."""

    def __init__(
        self,
        path: str,
        folder: pathlib.Path,
        *options: str,
        user: str = "alice",
        settings: str = "",
        account: str = "",
        answers: bool = True,
    ) -> None:
        folder.mkdir(parents=True)
        # It takes the port after its own for TLS, whether that is asked for or not.
        self.port = free_port(following=1)
        self.control = free_port()
        media = free_port(following=9)
        with wave.open(str(folder / "silence.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(2 * 8000 * 60))
        lines = [
            "poll_method epoll",
            f"sip_listen {HOST}:{self.port}",
            f"audio_source aufile,{folder}/silence.wav",
            f"audio_player aufile,{folder}/heard.wav",
            f"audio_alert aufile,{folder}/alert.wav",
            f"rtp_ports {media}-{media + 9}",
            f"module_path {self.modules_folder()}",
            "module g711.so",
            "module aufile.so",
            "module ctrl_tcp.so",
            "module_app account.so",
            "module_app menu.so",
            f"ctrl_tcp_listen {HOST}:{self.control}",
            *settings.splitlines(),
        ]
        (folder / "config").write_text("\n".join((*lines, "")))
        account = account or f"<sip:{user}@{HOST}:{self.port}>;regint=0"
        mode = "auto" if answers else "manual"
        (folder / "accounts").write_text(f"{account};audio_codecs=pcmu;answermode={mode}\n")
        (folder / "contacts").write_text("")
        arguments = [path, "-4", "-f", str(folder), "-s", "-v", *options]
        super().__init__(arguments, folder / "baresip.log", environment={"HOME": str(folder)})

    @staticmethod
    def modules_folder() -> str:
        """Where Debian, or a build of one's own, puts baresip's modules."""
        for library in ("/usr/lib", "/usr/local/lib", *pathlib.Path("/usr/lib").glob("*-linux-gnu")):
            modules = pathlib.Path(library) / "baresip" / "modules"
            if (modules / "g711.so").exists():
                return str(modules)
        raise AssertionError("baresip's modules are nowhere to be found")

    def wait_ready(self) -> None:
        """Return once it takes orders."""
        self.wait_for("baresip is ready.")

    def order(self, command: str, params: str = "") -> None:
        """Let it do what its user would type: `dial` and a URI, `hold`, `resume`, `transfer`, `hangup`."""
        text = json.dumps({"command": command, "params": params})
        with socket.create_connection((HOST, self.control), 5) as control:
            # A netstring; what comes back are events and the answer, as such.
            control.sendall(f"{len(text)}:{text},".encode())
            answer = b""
            while b'"response":true' not in answer:
                received = control.recv(65536)
                assert received, f"baresip did not take {command!r}"
                answer += received
        assert b'"ok":true' in answer, f"baresip refused {command!r}: {answer.decode()}"


class Kamailio(Program):
    """Kamailio with a configuration in a folder of its own, answering OPTIONS to `probe` by itself."""

    def __init__(
        self,
        path: str,
        folder: pathlib.Path,
        route: str = "",
        *,
        modules: str = "",
        settings: str = "",
        children: int = 1,
    ) -> None:
        folder.mkdir(parents=True)
        self.port = free_port()
        loaded = ["pv", "sl", "textops", "siputils", *modules.split()]
        lines = [
            "#!KAMAILIO",
            f"children={children}",
            f"tcp_children={children}",
            "auto_aliases=no",
            "dns=no",
            "rev_dns=no",
            f"listen=udp:{HOST}:{self.port}",
            f"listen=tcp:{HOST}:{self.port}",
            *(f'loadmodule "{name}.so"' for name in loaded),
            *settings.strip().splitlines(),
            "request_route {",
            '    if (is_method("OPTIONS") && $rU == "probe") { sl_send_reply("200", "OK"); exit; }',
            *(f"    {line}" for line in route.strip().splitlines()),
            "}",
        ]
        (folder / "kamailio.cfg").write_text("\n".join((*lines, "")))
        place = ["-w", str(folder), "-Y", str(folder), "-P", str(folder / "kamailio.pid")]
        arguments = [path, "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "16", "-M", "4", *place]
        super().__init__(arguments, folder / "kamailio.log")

    def wait_ready(self) -> None:
        """Return once it answers OPTIONS."""

        def answers() -> bytes:
            assert self.running, f"Kamailio ended:\n{self.output()}"
            return ask_options(self.port)

        wait_until(answers, "Kamailio answers OPTIONS")


class Capture(Program):
    """tshark, which writes down what passes the given ports of the loopback interface."""

    def __init__(self, path: str, folder: pathlib.Path, *ports: int) -> None:
        folder.mkdir(parents=True)
        self.path = path
        self.ports = ports
        self.file = folder / "capture.pcapng"
        wanted = " or ".join(f"port {port}" for port in ports)
        super().__init__([path, "-i", "lo", "-w", str(self.file), "-f", wanted], folder / "tshark.log")

    def wait_ready(self) -> None:
        """Return once it captures."""
        self.wait_for("Capture started", 20)

    def finish(self) -> None:
        """End the capture, once all that has passed by now is in the file."""
        # The kernel hands packets over in blocks, at the latest after a quarter of a second.
        time.sleep(0.6)
        self.stop()

    def read(self, show: str, *fields: str) -> list[list[str]]:
        """The named fields of each captured packet that a display filter shows; `finish` before."""
        arguments = [self.path, "-r", str(self.file), "-Y", show, "-T", "fields", "-E", "separator=/t"]
        for port in self.ports:
            arguments += ["-d", f"udp.port=={port},sip", "-d", f"tcp.port=={port},sip"]
        for field in fields:
            arguments += ["-e", field]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60)
        return [line.split("\t") for line in done.stdout.splitlines()]
