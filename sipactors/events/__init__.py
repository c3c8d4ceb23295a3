"""The bodies of event packages: presence, dialog, reg, message-summary and refer. Imports no reactor.

Another package is made known by `register(EventPackage(...))`.
"""

from sipactors.events.dialog_info import (
    DIALOG_INFO_TYPE,
    DialogInfo,
    DialogState,
    Participant,
    read_dialog_info,
    write_dialog_info,
)
from sipactors.events.message_summary import (
    MESSAGE_SUMMARY_TYPE,
    MessageCount,
    MessageSummary,
    read_message_summary,
    write_message_summary,
)
from sipactors.events.packages import PACKAGES, EventPackage, package_of, register
from sipactors.events.presence import (
    PIDF_TYPE,
    Note,
    Presence,
    PresenceTuple,
    read_presence,
    write_presence,
)
from sipactors.events.reg_info import (
    REG_INFO_TYPE,
    RegInfo,
    RegisteredContact,
    Registration,
    read_reg_info,
    write_reg_info,
)
from sipactors.events.sipfrag import (
    SIPFRAG_CONTENT_TYPE,
    SIPFRAG_TYPE,
    Progress,
    read_sipfrag,
    write_sipfrag,
)
from sipactors.events.xml import Element, read_xml

__all__ = [
    "DIALOG_INFO_TYPE",
    "MESSAGE_SUMMARY_TYPE",
    "PACKAGES",
    "PIDF_TYPE",
    "REG_INFO_TYPE",
    "SIPFRAG_CONTENT_TYPE",
    "SIPFRAG_TYPE",
    "DialogInfo",
    "DialogState",
    "Element",
    "EventPackage",
    "MessageCount",
    "MessageSummary",
    "Note",
    "Participant",
    "Presence",
    "PresenceTuple",
    "Progress",
    "RegInfo",
    "RegisteredContact",
    "Registration",
    "package_of",
    "read_dialog_info",
    "read_message_summary",
    "read_presence",
    "read_reg_info",
    "read_sipfrag",
    "read_xml",
    "register",
    "write_dialog_info",
    "write_message_summary",
    "write_presence",
    "write_reg_info",
    "write_sipfrag",
]
