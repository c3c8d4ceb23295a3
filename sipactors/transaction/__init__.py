"""The transactions of RFC 3261 §17 with RFC 6026 and RFC 4320: four machines, and what finds them."""

from sipactors.transaction.dispatcher import Dispatcher

__all__ = ["Dispatcher"]
