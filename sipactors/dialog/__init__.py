"""Dialogs and their usages (RFC 3261 §12 to §15, RFC 5057)."""

from sipactors.dialog.dialog import Dialog
from sipactors.dialog.invite import InviteUsage
from sipactors.dialog.notify import NotifyUsage
from sipactors.dialog.refer import ReferUsage
from sipactors.dialog.referral import Referral, read_referral, replacing
from sipactors.dialog.subscribe import SubscribeUsage
from sipactors.dialog.table import DialogTable

__all__ = [
    "Dialog",
    "DialogTable",
    "InviteUsage",
    "NotifyUsage",
    "ReferUsage",
    "Referral",
    "SubscribeUsage",
    "read_referral",
    "replacing",
]
