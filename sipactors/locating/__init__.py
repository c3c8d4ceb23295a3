"""Locating SIP servers: from a URI or a Via to targets, by DNS (RFC 3263)."""

from sipactors.locating.cache import CachingResolver
from sipactors.locating.failures import Candidates, FailedTargets
from sipactors.locating.locator import Locator
from sipactors.locating.records import NAPTR, SRV, Answer, Question
from sipactors.locating.resolver import DNSResolver
from sipactors.locating.targets import Target

__all__ = [
    "NAPTR",
    "SRV",
    "Answer",
    "CachingResolver",
    "Candidates",
    "DNSResolver",
    "FailedTargets",
    "Locator",
    "Question",
    "Target",
]
