"""Which security mechanisms of RFC 3329 there are: digest and TLS, and what plug-ins bring."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from twisted.plugin import getPlugins
from zope.interface import implementer

from sipactors.interfaces import ISecurityMechanism

if TYPE_CHECKING:
    from collections.abc import Iterable


@implementer(ISecurityMechanism)
class DigestMechanism:
    """Digest authentication, which is always here."""

    name = "digest"

    def usable(self) -> bool:
        """See ISecurityMechanism."""
        return True


@implementer(ISecurityMechanism)
class TLSMechanism:
    """TLS, which needs the extra `sipactors[tls]`."""

    name = "tls"

    def usable(self) -> bool:
        """See ISecurityMechanism."""
        return importlib.util.find_spec("OpenSSL") is not None


BUILT_IN = (DigestMechanism(), TLSMechanism())


def mechanisms() -> list[ISecurityMechanism]:
    """The mechanisms that come with sipactors, then those of Twisted plug-ins, each name once."""
    found: Iterable[ISecurityMechanism] = [*BUILT_IN, *getPlugins(ISecurityMechanism)]
    named: dict[str, ISecurityMechanism] = {}
    for mechanism in found:
        if mechanism.usable():
            named.setdefault(mechanism.name, mechanism)
    return list(named.values())
