"""The easy face: a user agent as a Twisted service, with calls, messages and subscriptions to await."""

from sipactors.errors import CallRejected, RequestRejected
from sipactors.ua.account import Account
from sipactors.ua.agent import UserAgent
from sipactors.ua.call import Call
from sipactors.ua.messaging import Message, Publication
from sipactors.ua.observers import CallObserver, Ending, SubscriptionObserver
from sipactors.ua.subscription import Subscription
from sipactors.ua.transfer import Transfer

__all__ = [
    "Account",
    "Call",
    "CallObserver",
    "CallRejected",
    "Ending",
    "Message",
    "Publication",
    "RequestRejected",
    "Subscription",
    "SubscriptionObserver",
    "Transfer",
    "UserAgent",
]
