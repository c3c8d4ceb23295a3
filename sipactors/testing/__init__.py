"""What tests of SIP programs are made of: a stepping clock, a network in memory, a list of what happened."""

from sipactors.testing.agents import Phone, ladder
from sipactors.testing.clock import Clock
from sipactors.testing.network import Network
from sipactors.testing.recorder import Recorder

__all__ = ["Clock", "Network", "Phone", "Recorder", "ladder"]
