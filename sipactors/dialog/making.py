"""How a dialog begins: with a first request of ours, or our answer to one of the peer's (RFC 3261 §12.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipactors.dialog.dialog import Dialog
from sipactors.errors import ArgumentError
from sipactors.message import SIPURI, as_address, as_uri

if TYPE_CHECKING:
    from sipactors.client.served import ServerTransaction
    from sipactors.message import URI, Address


def make_dialog(
    connection: Any,
    remote_uri: URI | str,
    *,
    context: Any = None,
    from_: Address | URI | str | None = None,
    to: Address | URI | str | None = None,
) -> Dialog:
    """The dialog of a first request of ours (RFC 3261 §8.1.1, §12.1.2)."""
    connection.check_active()
    uri = as_uri(remote_uri, "the remote URI")
    local = connection.local_identity(context, from_)
    remote = as_address(uri if to is None else to, "To")
    dice = connection.dispatcher.dice
    tag = dice.token()
    dialog = Dialog(
        connection, call_id=dice.token(), local=f"{local};tag={tag}", local_tag=tag, remote=str(remote)
    )
    dialog.remote_target = uri
    dialog.secure = isinstance(uri, SIPURI) and uri.secure
    dialog.preload(connection.route_for(context))
    return dialog


def answer_dialog(transaction: ServerTransaction, method: str) -> Dialog:
    """The dialog that our answer to a first request will make (RFC 3261 §12.1.1)."""
    request = transaction.request
    if request.method != method or request.to_tag is not None:
        raise ArgumentError(f"not the first {method} of a dialog")
    if transaction.usage is not None:
        raise ArgumentError("the request has its usage already")
    transaction.check_response_allowed()
    tag = transaction.tag
    connection = transaction.taken_up()
    dialog = Dialog(
        connection,
        call_id=request.call_id,
        local=f"{request.get('To')};tag={tag}",
        local_tag=tag,
        remote=request.get("From") or "",
    )
    dialog.accept_request(request)
    return dialog
