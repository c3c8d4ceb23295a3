"""Names on the in-memory network: its hosts by their names, and numeric addresses as themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

if TYPE_CHECKING:
    from sipactors.testing.network import Network


@implementer(IHostResolution)
class Resolution:
    """A name that has been looked up; see IHostResolution."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Nothing is left to cancel: the answer was there at once."""


@implementer(IHostnameResolver)
class NameResolver:
    """The `nameResolver` of every host; see IHostnameResolver. An unknown name has no addresses."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """See IHostnameResolver."""
        resolution = Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        for address in self._network.addresses_of(hostName):
            kind = IPv6Address if ":" in address else IPv4Address
            if addressTypes is None or kind in addressTypes:
                semantics: Literal["TCP", "UDP"] = "UDP" if transportSemantics == "UDP" else "TCP"
                resolutionReceiver.addressResolved(kind(semantics, address, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution
