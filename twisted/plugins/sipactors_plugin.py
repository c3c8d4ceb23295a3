"""The command lines that sipactors gives to twistd."""

from twisted.application.service import ServiceMaker

sip_agent = ServiceMaker(
    "SIP user agent",
    "sipactors.twistd.agent",
    "A SIP user agent that answers OPTIONS, echoes MESSAGE and takes calls.",
    "sip-agent",
)
