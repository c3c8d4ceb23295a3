"""The SIP client API: what an application programs against."""

from sipactors.client.access import AccessPoint
from sipactors.client.capabilities import Capabilities, Policies
from sipactors.client.client import SIPClient
from sipactors.client.connection import Connection
from sipactors.client.digest import Digest
from sipactors.client.logins import Login
from sipactors.client.observers import ConnectionObserver, SIPObserver
from sipactors.client.protection import ProtectionDomain
from sipactors.client.refresh import Refresh
from sipactors.client.registration import RegistrationBinding
from sipactors.client.served import ServerTransaction
from sipactors.client.stack import Stack
from sipactors.client.transactions import ClientTransaction
from sipactors.dialog import (
    Dialog,
    InviteUsage,
    NotifyUsage,
    Referral,
    ReferUsage,
    SubscribeUsage,
    read_referral,
    replacing,
)
from sipactors.message import MessageElements, RequestElements, ResponseElements
from sipactors.settings import Limits, Timing

__all__ = [
    "AccessPoint",
    "Capabilities",
    "ClientTransaction",
    "Connection",
    "ConnectionObserver",
    "Dialog",
    "Digest",
    "InviteUsage",
    "Limits",
    "Login",
    "MessageElements",
    "NotifyUsage",
    "Policies",
    "ProtectionDomain",
    "ReferUsage",
    "Referral",
    "Refresh",
    "RegistrationBinding",
    "RequestElements",
    "ResponseElements",
    "SIPClient",
    "SIPObserver",
    "ServerTransaction",
    "Stack",
    "SubscribeUsage",
    "Timing",
    "read_referral",
    "replacing",
]
