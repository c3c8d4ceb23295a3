"""The recorder: one list of what happened to all observers."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface
from zope.interface.verify import verifyObject

from sipactors.errors import ArgumentError
from sipactors.testing import Clock, Recorder
from sipactors.testing.recorder import ObserverFailed


class IBase(Interface):
    def stateChanged(state: str) -> None:
        """The state is another."""


class IPhone(IBase):
    number = Attribute("Which phone it is.")

    def rang(caller: str, times: int = 1) -> str:
        """Somebody calls."""

    def dialled(*digits: str) -> None:
        """Keys were pressed."""


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_an_observer_provides_the_interface_and_records_each_call(recorder: Recorder) -> None:
    observer = recorder.observe(IPhone, "phone")
    observer.number = 7
    verifyObject(IPhone, observer)
    assert observer.rang("bob") is None
    observer.rang("carol", times=2)
    observer.stateChanged("IDLE")
    observer.dialled("1", "2")
    assert recorder.events == [
        ("phone", "rang", ("bob",), None),
        ("phone", "rang", ("carol", 2), None),
        ("phone", "stateChanged", ("IDLE",), None),
        ("phone", "dialled", ("1", "2"), None),
    ]


def test_two_observers_share_one_list(recorder: Recorder) -> None:
    alice, bob = recorder.observe(IPhone, "alice"), recorder.observe(IPhone, "bob")
    alice.rang("x")
    bob.stateChanged("y")
    alice.stateChanged("z")
    assert recorder.names() == ["rang", "stateChanged", "stateChanged"]
    assert recorder.names("alice") == ["rang", "stateChanged"]
    assert recorder.last().args == ("z",)
    assert recorder.last("stateChanged", "bob").args == ("y",)
    assert [event.who for event in recorder.of("stateChanged")] == ["bob", "alice"]
    assert len(recorder) == 3
    assert [event.name for event in recorder] == recorder.names()


def test_the_interface_names_an_observer_without_a_name(recorder: Recorder) -> None:
    recorder.observe(IPhone).stateChanged("x")
    assert recorder.last().who == "IPhone"


def test_take_starts_the_list_anew(recorder: Recorder) -> None:
    observer = recorder.observe(IPhone)
    observer.rang("bob")
    assert [event.name for event in recorder.take()] == ["rang"]
    assert recorder.names() == []
    observer.rang("bob")
    assert recorder.names() == ["rang"]


def test_what_did_not_happen_says_what_did(recorder: Recorder) -> None:
    recorder.observe(IPhone, "phone").rang("bob")
    with pytest.raises(
        AssertionError, match=r"no phone\.stateChanged among these 1 events:\nphone\.rang\('bob'\)"
    ):
        recorder.last("stateChanged", "phone")


def test_a_call_that_does_not_fit_the_interface_raises(recorder: Recorder) -> None:
    observer = recorder.observe(IPhone)
    with pytest.raises(TypeError):
        observer.rang()
    with pytest.raises(TypeError):
        observer.stateChanged("x", "y")
    assert recorder.names() == []


def test_an_observer_raises_in_every_method(recorder: Recorder) -> None:
    """A18: an observer that raises."""
    observer = recorder.observe(IPhone, raises=True)
    for call in (lambda: observer.rang("bob"), lambda: observer.stateChanged("x"), observer.dialled):
        with pytest.raises(ObserverFailed):
            call()
    assert recorder.names() == ["rang", "stateChanged", "dialled"]


def test_an_observer_raises_in_chosen_methods(recorder: Recorder) -> None:
    observer = recorder.observe(IPhone, raises=["rang"])
    observer.stateChanged("x")
    with pytest.raises(ObserverFailed):
        observer.rang("bob")


def test_an_observer_may_act(recorder: Recorder) -> None:
    observer = recorder.observe(IPhone, then={"rang": lambda caller: f"hello {caller}"})
    assert observer.rang("bob") == "hello bob"
    assert recorder.names() == ["rang"]


def test_names_that_are_no_methods_are_refused(recorder: Recorder) -> None:
    with pytest.raises(ArgumentError, match="rung"):
        recorder.observe(IPhone, raises=["rung"])
    with pytest.raises(ArgumentError, match="number"):
        recorder.observe(IPhone, then={"number": int})


def test_callbacks_and_the_tests_own_events_join_the_list() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    done: Deferred[int] = Deferred()
    done.addCallback(recorder.callback("answered"))
    clock.callLater(2, done.callback, 200)
    recorder.add("test", "hung_up")
    clock.advance(3)
    assert str(recorder) == "0.000 test.hung_up()\n2.000 callback.answered(200)"
    assert done.result == 200
