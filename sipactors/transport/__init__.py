"""Flows by UDP and streams, and the layer that listens and connects for one access point."""

from __future__ import annotations

from sipactors.transport.layer import TransportLayer

__all__ = ["TransportLayer"]
