"""SIP for Twisted: every transaction, dialog, registration and connection is an actor on the reactor."""

__version__ = "0.1.0"
