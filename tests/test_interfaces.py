"""Whoever says that it implements an interface of sipactors does so."""

from __future__ import annotations

import inspect

import pytest
from zope.interface import implementedBy, implementer
from zope.interface.exceptions import Invalid
from zope.interface.interface import InterfaceClass, Method
from zope.interface.verify import verifyClass

from everything import classes
from sipactors import interfaces

INTERFACES = [getattr(interfaces, name) for name in interfaces.__all__]
IMPLEMENTERS = [
    (interface, cls)
    for cls in classes()
    for interface in implementedBy(cls).flattened()
    if interface in INTERFACES
]


@pytest.mark.parametrize(
    ("interface", "cls"), IMPLEMENTERS, ids=[f"{i.__name__}-{c.__qualname__}" for i, c in IMPLEMENTERS]
)
def test_an_implementer_has_every_method_of_its_interface(interface: InterfaceClass, cls: type) -> None:
    """verifyClass holds for every implementer of every interface in sipactors.interfaces."""
    assert verifyClass(interface, cls)


def test_an_implementer_that_lacks_a_method_is_found() -> None:
    """verifyClass fails for a class that says it implements IFlow and has no send()."""

    @implementer(interfaces.IFlow)
    class Mute:
        def watch(self, watcher: object) -> None: ...

    with pytest.raises(Invalid):
        verifyClass(interfaces.IFlow, Mute)


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda interface: interface.__name__)
def test_an_interface_explains_itself(interface: InterfaceClass) -> None:
    """Interfaces hold the long text: each has a docstring, and each of its methods and attributes."""
    assert interface.__doc__
    for name, attribute in interface.namesAndDescriptions():
        assert inspect.cleandoc(attribute.__doc__ or ""), f"{interface.__name__}.{name} is not explained"
        if isinstance(attribute, Method):
            assert "self" not in attribute.positional, f"{interface.__name__}.{name} names self"
