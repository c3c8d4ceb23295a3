"""docs/examples/watch_presence.py runs over real sockets, against a notifier that is a plain socket."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys

import pytest

from sipactors.events import PIDF_TYPE, Presence, PresenceTuple, write_presence
from sipactors.message import Request, Response, parse, request, response_to


@pytest.mark.accepts("H6")
def test_the_presence_watcher_prints_what_it_is_told(root: pathlib.Path) -> None:
    """RFC 3856 §6.7: the presence agent notifies its watcher, who answers 200."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(30)
        port = agent.getsockname()[1]
        program = str(root / "docs/examples/watch_presence.py")
        watched = f"sip:bob@127.0.0.1:{port}"
        watcher = subprocess.Popen(
            [sys.executable, program, watched, "udp:0:interface=127.0.0.1"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        try:
            data, where = agent.recvfrom(65535)
            subscribe = parse(data)
            assert isinstance(subscribe, Request)
            assert (subscribe.method, subscribe.get("Event")) == ("SUBSCRIBE", "presence")
            contact = f"<{watched}>"
            headers = [("Expires", 600), ("Contact", contact)]
            agent.sendto(response_to(subscribe, 200, to_tag="b", headers=headers).render(), where)
            states = ("active;expires=600", "terminated;reason=noresource")
            for number, state in enumerate(states, 1):
                notify = request(
                    "NOTIFY",
                    subscribe.contacts[0].uri,
                    via=f"SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{number}",
                    from_=f"{subscribe.get('To')};tag=b",
                    to=subscribe.get("From") or "",
                    call_id=subscribe.call_id,
                    cseq=number,
                    contact=contact,
                    headers=[("Event", "presence"), ("Subscription-State", state)],
                    body=write_presence(Presence("sip:bob@example.com", [PresenceTuple("a", "open")])),
                    content_type=PIDF_TYPE,
                )
                agent.sendto(notify.render(), where)
                answer = parse(agent.recv(65535))
                assert isinstance(answer, Response)
                assert (answer.status, answer.cseq.number) == (200, number)
            assert watcher.stdout is not None
            lines = [watcher.stdout.readline() for _ in range(3)]
        finally:
            watcher.terminate()
            watcher.wait(30)
            if watcher.stdout is not None:
                watcher.stdout.close()
    assert lines == [
        "sip:bob@example.com is open\n",
        "sip:bob@example.com is open\n",
        "no more: noresource\n",
    ]
