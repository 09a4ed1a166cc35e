"""Threads that somebody has replaced are refused with a sentence."""

from __future__ import annotations

import inspect
import sys
import types

import pytest

import gopark


def patched(monkeypatch, package, module, names):
    """As if it had been imported and had replaced these."""
    fake = types.ModuleType(f"{package}.{module}")
    how = {"gevent": "saved", "eventlet": "already_patched"}[package]
    setattr(fake, how, {name: {"something": 1} for name in names})
    monkeypatch.setitem(sys.modules, f"{package}.{module}", fake)


async def main():
    return "ran"


@pytest.mark.parametrize(
    ("package", "module", "says"),
    [
        ("gevent", "monkey", "gevent.monkey has replaced threading, time"),
        ("eventlet", "patcher", "eventlet.monkey_patch has replaced threading, time"),
    ],
)
def test_run_is_refused_and_names_who_did_it(monkeypatch, package, module, says):
    patched(monkeypatch, package, module, ["threading", "time", "socket"])
    with pytest.raises(RuntimeError, match=rf"run\(\): goroutines run on .*{says}; use gopark in"):
        gopark.run(main)
    monkeypatch.undo()
    assert gopark.run(main) == "ran"


def test_what_leaves_threads_alone_is_none_of_our_business(monkeypatch):
    patched(monkeypatch, "gevent", "monkey", ["socket", "ssl", "os"])
    assert gopark.run(main) == "ran"


def test_the_first_use_without_run_is_refused_too(child):
    program = """
        import sys, types
        fake = types.ModuleType("gevent.monkey")
        fake.saved = {"threading": {"Thread": 1}}
        sys.modules["gevent.monkey"] = fake
        import gopark
        for use in (lambda: gopark.go(print), lambda: gopark.block(gopark.time.sleep(0.001))):
            try:
                use()
            except RuntimeError as exc:
                assert "gevent.monkey has replaced threading" in str(exc), exc
            else:
                raise AssertionError("accepted")
        print("refused")
    """
    ended = child(inspect.cleandoc(program))
    assert (ended.stdout, ended.stderr) == ("refused\n", "")
