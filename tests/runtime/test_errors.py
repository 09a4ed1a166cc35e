"""The errors: whose fault each is shows in its class."""

from __future__ import annotations

import pickle

import pytest

import gopark
from gopark._runtime.base import errors


def test_the_end_of_the_program_is_a_system_exit_with_status_2():
    err = gopark.FatalError("panic: ValueError: x")
    assert isinstance(err, SystemExit)
    assert err.code == 2
    assert str(err) == err.message == "panic: ValueError: x"


def test_a_deadlock_is_a_fatal_error():
    assert issubclass(gopark.DeadlockError, gopark.FatalError)
    assert gopark.DeadlockError("fatal error: x").code == 2


@pytest.mark.parametrize("cls", [gopark.ClosedChannelError, gopark.NotOnGError])
def test_a_callers_mistake_is_an_ordinary_exception(cls):
    assert issubclass(cls, RuntimeError)
    assert not issubclass(cls, SystemExit)


@pytest.mark.parametrize("cls", [errors.Goexit, errors.ProgramEnded, errors.Throw])
def test_what_unwinds_a_goroutine_is_not_caught_by_except_exception(cls):
    assert not issubclass(cls, Exception)


def test_program_ended_says_so():
    assert str(gopark.ProgramEnded()) == "the gopark program has ended: its main returned"


@pytest.mark.parametrize(
    "name", ["ClosedChannelError", "DeadlockError", "FatalError", "NotOnGError", "ProgramEnded"]
)
def test_public_errors_say_the_public_module_and_pickle(name):
    cls = getattr(gopark, name)
    assert cls.__module__ == "gopark"
    copy = pickle.loads(pickle.dumps(cls("text")))
    assert type(copy) is cls
    assert str(copy) == "text"
