"""The examples of docs/subscriptions.md run, and the first one prints what the page says."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest


@pytest.mark.accepts("H6")
def test_the_examples_of_the_page_run(root: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 6665 §3: a subscription is asked for, kept alive, told of, and ended."""
    page = "docs/subscriptions.md"
    text = (root / page).read_text(encoding="utf-8")
    (first, second), (shown,) = (
        re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S) for kind in ("python", "text")
    )
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(first, page, "exec"), names)
    assert capsys.readouterr().out == shown
    exec(compile(second, page, "exec"), names)

    # The second example is two functions: a call, a blind transfer, and what the transferee makes of it.
    class Carol(names["ConnectionObserver"]):  # type: ignore[misc]
        def request_received(self, transaction: Any) -> None:
            transaction.respond(names["ResponseElements"](486))

    class Bob(names["Transferred"]):  # type: ignore[misc]
        def request_received(self, transaction: Any) -> None:
            names["InviteUsage"].incoming(transaction)
            transaction.respond(names["ResponseElements"](200))

    able = names["Capabilities"]((*names["METHODS"], "REFER"))
    names["connect"]("dave", "10.0.0.4", Bob(), able)
    names["connect"]("carol", "10.0.0.3", Carol())
    quiet = names["ConnectionObserver"]()
    call = names["InviteUsage"].outgoing(
        names["alice"], "sip:dave@10.0.0.4", from_="sip:alice@10.0.0.1", observer=quiet
    )
    call.invite()
    names["clock"].advance(1)
    names["Alice"].dialog_request_received = lambda *_: None
    usage = names["transfer"](call, "sip:carol@10.0.0.3")
    names["clock"].advance(1)
    assert usage.progress.status == 486
    assert call.dialog.state == "CONFIRMED"


def test_the_presence_watcher_is_short(root: pathlib.Path) -> None:
    """A new user writes a presence watcher in under 40 lines."""
    program = root / "docs/examples/watch_presence.py"
    assert len(program.read_text(encoding="utf-8").splitlines()) < 40
