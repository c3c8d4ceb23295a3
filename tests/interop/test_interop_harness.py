"""The real programs work with each other here: what fails in the other tests is then ours."""

from __future__ import annotations

from starter import Starter


def test_sipp_calls_sipp(start: Starter) -> None:
    """SIPp's own caller completes its calls with SIPp's own answerer, and its counters are read."""
    uas = start.sipp("uas")
    uac = start.sipp("uac", "-m", "20", "-r", "50", remote=f"127.0.0.1:{uas.port}")
    assert uac.wait(30) == 0
    calls = uac.calls()
    assert (calls.created, calls.successful, calls.failed) == (20, 20, 0)
    assert uas.cpu() > 0


def test_baresip_calls_sipp(start: Starter) -> None:
    """baresip dials SIPp's answerer and hangs up."""
    uas = start.sipp("uas", "-m", "1")
    baresip = start.baresip("-t", "2", "-e", f"/dial sip:service@127.0.0.1:{uas.port}")
    baresip.wait_for("Call established")
    assert baresip.wait(15) == 0
    assert uas.wait(15) == 0


def test_sipsak_asks_kamailio(start: Starter) -> None:
    """sipsak's OPTIONS is answered by Kamailio, and tshark sees both messages."""
    kamailio = start.kamailio('sl_send_reply("404", "Not Found");')
    capture = start.capture(kamailio.port)
    sipsak = start.sipsak("-vv", "-s", f"sip:probe@127.0.0.1:{kamailio.port}")
    assert sipsak.wait(15) == 0
    assert "200 OK" in sipsak.output()
    capture.finish()
    assert ["OPTIONS", ""] in capture.read("sip", "sip.Method", "sip.Status-Code")
    assert ["", "200"] in capture.read("sip", "sip.Method", "sip.Status-Code")
