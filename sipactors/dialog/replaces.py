"""An INVITE that takes the place of another call: its Replaces is matched to a dialog (RFC 3891 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipactors.dialog.dialog import CONFIRMED, Dialog
from sipactors.dialog.invite import InviteUsage
from sipactors.message import Replaces

if TYPE_CHECKING:
    from sipactors.dialog.table import DialogTable
    from sipactors.message import Request


def find_replaced(request: Request, table: DialogTable) -> Dialog | int | None:
    """The dialog that an INVITE is to replace, the status to refuse it with, or None without Replaces.

    Raises MalformedMessage(400) for more than one Replaces.
    """
    replaces: Replaces | None = request.typed("Replaces")
    if replaces is None:
        return None
    # RFC 3891 §3: to-tag is compared to our own tag in the dialog, and from-tag to the peer's;
    # "0" stands for the missing tag of an RFC 2543 peer.
    dialog = table.by_tags(replaces.call_id, replaces.to_tag, replaces.from_tag)
    if dialog is None and replaces.from_tag == "0":
        dialog = table.by_tags(replaces.call_id, replaces.to_tag, None)
    usage = call_of(dialog)
    if dialog is None or usage is None:
        # RFC 3891 §3: no match, or a dialog that no INVITE made: 481.
        return 481
    if usage.ending:
        # RFC 3891 §3: a dialog that is ending is not replaced any more: 603.
        return 603
    if dialog.state == CONFIRMED:
        # RFC 3891 §3: with early-only a confirmed dialog is not replaced: 486.
        return 486 if replaces.early_only else dialog
    # RFC 3891 §3: an early dialog that was not initiated by this UA is not replaced: 481.
    return dialog if dialog.initiator else 481


def call_of(dialog: Dialog | None) -> InviteUsage | None:
    """The call of a dialog, or None."""
    usages = () if dialog is None else dialog.usages
    return next((usage for usage in usages if isinstance(usage, InviteUsage)), None)


def end_replaced(dialog: Dialog) -> None:
    """End the call that has been replaced: with BYE, or with CANCEL while it is early (RFC 3891 §4)."""
    usage = call_of(dialog)
    if usage is not None and not usage.ending:
        ended = usage.shutdown()
        if ended is not None:
            ended.addErrback(lambda _: None)
