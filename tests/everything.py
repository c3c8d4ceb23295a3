"""Every module of sipactors and every class in them, for the tests that look at all of them."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType

import sipactors

OPTIONAL = {"OpenSSL", "cryptography", "idna", "redis", "service_identity", "wsproto"}
"What an extra brings; a module that needs it cannot be looked at where it is absent."


@functools.cache
def modules() -> list[ModuleType]:
    """All modules of sipactors, those aside whose extra is not installed."""
    found: list[ModuleType] = []

    def refuse(name: str) -> None:
        raise ImportError(f"{name} cannot be imported")

    for module in pkgutil.walk_packages(sipactors.__path__, "sipactors.", onerror=refuse):
        try:
            found.append(importlib.import_module(module.name))
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in OPTIONAL:
                raise
    return found


@functools.cache
def classes() -> list[type]:
    """All classes that sipactors defines."""
    return [
        thing
        for module in modules()
        for thing in vars(module).values()
        if isinstance(thing, type) and thing.__module__ == module.__name__
    ]
