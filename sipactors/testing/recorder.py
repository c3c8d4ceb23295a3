"""One list of what happened: every call of every observer of a test, in order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime
from zope.interface import directlyProvides
from zope.interface.interface import InterfaceClass, Method

from sipactors.errors import ArgumentError


class ObserverFailed(Exception):
    """What an observer raises that was told to raise, as row A18 of the client API wants it contained."""


class Event(NamedTuple):
    """One call of an observer's method."""

    who: str
    "The observer's name."
    name: str
    "The method's name."
    args: tuple[Any, ...]
    "Its arguments, by position, defaults not filled in."
    time: float | None = None
    "When it was, in seconds of the recorder's clock; None without one."

    def __str__(self) -> str:
        time = "" if self.time is None else f"{self.time:.3f} "
        return f"{time}{self.who}.{self.name}({', '.join(map(repr, self.args))})"


class Observer:
    """Provides an interface, tells its recorder of every call; see Recorder.observe."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Observer {self.name}>"


class Recorder:
    """Collects what happens to a test's observers as one list of events.

    `events` is that list. Give it the clock, and each event has its time.
    """

    def __init__(self, clock: IReactorTime | None = None) -> None:
        self.events: list[Event] = []
        self._clock = clock

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __str__(self) -> str:
        return "\n".join(map(str, self.events))

    def observe(
        self,
        interface: InterfaceClass,
        who: str | None = None,
        *,
        raises: bool | Iterable[str] = False,
        then: Mapping[str, Callable[..., Any]] | None = None,
    ) -> Any:
        """Make an object that provides `interface` and appends each call of a method to the events.

        `who` names it in them (the interface's name without). A method in `then` also calls that
        function, with the same arguments, and returns its value; others return None. `raises` makes
        the named methods (True: all) raise ObserverFailed once the call is recorded. A call that does
        not fit the method's signature in the interface raises TypeError, as a method of Python would.
        Raises ArgumentError for names that are no methods of the interface.
        """
        methods = {name: value for name, value in interface.namesAndDescriptions(True) if _is_method(value)}
        then = then or {}
        raising = set(methods) if raises is True else set(raises or ())
        for name in (*raising, *then):
            if name not in methods:
                raise ArgumentError(f"{interface.__name__} has no method {name}; it has {', '.join(methods)}")
        observer = Observer(interface.__name__ if who is None else who)
        for name, method in methods.items():
            call = self._recording(observer.name, name, _signature(method), then.get(name), name in raising)
            setattr(observer, name, call)
        directlyProvides(observer, interface)
        return observer

    def callback(self, name: str, who: str = "callback") -> Callable[..., Any]:
        """A function that is recorded when called and returns its first argument: for Deferreds, say."""

        def call(*args: Any) -> Any:
            self.add(who, name, *args)
            return args[0] if args else None

        return call

    def add(self, who: str, name: str, *args: Any) -> None:
        """Append an event of the test's own."""
        self.events.append(Event(who, name, args, None if self._clock is None else self._clock.seconds()))

    def names(self, who: str | None = None) -> list[str]:
        """The names of the methods that were called (on `who` only), in order."""
        return [event.name for event in self.events if who is None or event.who == who]

    def of(self, name: str, who: str | None = None) -> list[Event]:
        """Every event of one method (of one observer)."""
        return [event for event in self.events if event.name == name and (who is None or event.who == who)]

    def last(self, name: str | None = None, who: str | None = None) -> Event:
        """The latest event, of that method if one is named.

        Raises AssertionError, with all that did happen, when there is none.
        """
        for event in self.events[::-1]:
            if (name is None or event.name == name) and (who is None or event.who == who):
                return event
        wanted = ".".join(part for part in (who, name) if part) or "event"
        raise AssertionError(f"no {wanted} among these {len(self.events)} events:\n{self}")

    def take(self) -> list[Event]:
        """All events until now; the list starts empty again."""
        taken, self.events = self.events, []
        return taken

    def _recording(
        self,
        who: str,
        name: str,
        signature: inspect.Signature,
        then: Callable[..., Any] | None,
        raises: bool,
    ) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            args = signature.bind(*args, **kwargs).args
            self.add(who, name, *args)
            if raises:
                raise ObserverFailed(f"{who}.{name} raises because its test wants it to")
            return None if then is None else then(*args)

        call.__name__ = name
        return call


def _is_method(description: object) -> bool:
    return isinstance(description, Method)


def _signature(method: Method) -> inspect.Signature:
    """What the method takes, as Python's own signature."""
    info: dict[str, Any] = method.getSignatureInfo()  # type: ignore[no-untyped-call]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter(name, kind, default=info["optional"].get(name, inspect.Parameter.empty))
        for name in info["positional"]
    ]
    if info["varargs"]:
        parameters.append(inspect.Parameter(info["varargs"], inspect.Parameter.VAR_POSITIONAL))
    if info["kwargs"]:
        parameters.append(inspect.Parameter(info["kwargs"], inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters)
