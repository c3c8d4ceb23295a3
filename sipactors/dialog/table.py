"""All dialogs of one access point, found by their identifiers (RFC 3261 §12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sipactors.dialog.awaited import Awaited
    from sipactors.dialog.dialog import Dialog
    from sipactors.message import Request


class DialogTable:
    """Dialogs by Call-ID, local tag and remote tag."""

    def __init__(self) -> None:
        self._dialogs: dict[str, Dialog] = {}
        self._waiting: dict[str, Awaited] = {}

    def __len__(self) -> int:
        return len(self._dialogs)

    def __iter__(self) -> Iterator[Dialog]:
        return iter(self._dialogs.values())

    def add(self, dialog: Dialog) -> str:
        """Be able to find a dialog whose tags are known; gives the key to remove it by."""
        key = f"{dialog.call_id} {dialog.local_tag} {dialog.remote_tag}"
        self._dialogs[key] = dialog
        return key

    def remove(self, key: str, dialog: Dialog) -> None:
        """Forget a dialog, unless another has taken its place."""
        if self._dialogs.get(key) is dialog:
            del self._dialogs[key]

    def find(self, request: Request) -> Dialog | Awaited | None:
        """The dialog that a request within a dialog belongs to.

        RFC 3261 §12.2.2: the Call-ID, our tag in To and the peer's tag in From. A NOTIFY that may make
        one is found by the first two (RFC 6665 §4.1.2.4: it may come before the 2xx, and of several).
        """
        call_id, local_tag = request.call_id, request.to_tag
        dialog = self._dialogs.get(f"{call_id} {local_tag} {request.from_tag}")
        if dialog is None and self._waiting and request.method == "NOTIFY":
            return self._waiting.get(f"{call_id} {local_tag}")
        return dialog

    def wait(self, awaited: Awaited) -> None:
        """Let NOTIFYs that belong to no dialog yet be found by Call-ID and local tag only."""
        self._waiting[f"{awaited.call_id} {awaited.local_tag}"] = awaited

    def waited(self, awaited: Awaited) -> None:
        """Undo wait; no error when it was not asked for."""
        key = f"{awaited.call_id} {awaited.local_tag}"
        if self._waiting.get(key) is awaited:
            del self._waiting[key]

    def by_tags(self, call_id: str, local_tag: str, remote_tag: str | None) -> Dialog | None:
        """A dialog by its three identifiers, as Replaces and Join name one (RFC 3891 §3)."""
        return self._dialogs.get(f"{call_id} {local_tag} {remote_tag}")
