"""What of `gopark.sync` belongs to a bubble: wait groups, from their first use on.

A `WaitGroup` whose counter rises from zero in a bubble is the bubble's until it is at zero again
and nobody waits. It says so in its Sema (`Sema.bubble`), where the runtime sees that a goroutine
which waits there is durably blocked. An `errgroup.Group` is that of the bubble it is made in.

Locks: the Sema's, for `Sema.bubble`.
Source: Go 1.27 sync/waitgroup.go. Tests: tests/testing/test_synctest.py
"""

from __future__ import annotations

from functools import wraps
from typing import Any, Final

from gopark._runtime.base.errors import AmidRuntime
from gopark._runtime.base.lockrank import Holding
from gopark._runtime.bubble.bubble import mybubble
from gopark._runtime.sched.sema import Sema, syncfatal
from gopark.context import Context
from gopark.sync import WaitGroup
from gopark.sync.errgroup import Group

__all__ = ("install",)

_BOTH: Final = "sync: WaitGroup.Add called from inside and outside synctest bubble"
_SEVERAL: Final = "sync: WaitGroup.Add called from multiple synctest bubbles"

_plainadd: Final = WaitGroup.add
_plainwait: Final = WaitGroup.wait
_plaininit: Final = Group.__init__


@wraps(_plainadd)
def _add(self: WaitGroup, delta: int) -> None:
    mine, sema = mybubble(), self._sema
    try:
        with Holding(sema.lock):
            wrong = _associate(sema, mine, self._count)
            waited = bool(sema.waiters)
    except AmidRuntime:  # a finalizer: as the plain one, which is of no bubble
        return _plainadd(self, delta)
    if wrong:
        syncfatal(wrong)
    _plainadd(self, delta)
    if mine is not None and waited and not self._count:
        _disassociate(sema)


def _associate(sema: Sema, mine: object, count: int) -> str | None:
    """What is wrong with it, if anything. Lock held."""
    whose = getattr(sema, "bubble", None)
    if mine is whose:
        return None
    if mine is None:
        return _BOTH
    if whose is not None:
        return _SEVERAL
    if count:
        return _BOTH
    sema.bubble = mine
    return None


def _disassociate(sema: Sema) -> None:
    """At zero, with nobody waiting, it is free to be used elsewhere."""
    with Holding(sema.lock):
        if getattr(sema, "bubble", None) is not None:
            sema.bubble = None


@wraps(_plainwait)
def _wait(self: WaitGroup) -> Any:
    sema = self._sema
    if not self._count and not sema.waiters and mybubble() is getattr(sema, "bubble", None):
        _disassociate(sema)
    return _plainwait(self)


@wraps(_plaininit)
def _init(
    self: Group, ctx: Context | None = None, *, limit: int | None = None, cancel: bool = False
) -> None:
    _plaininit(self, ctx, limit=limit, cancel=cancel)
    bubble = mybubble()
    if bubble is not None:
        self._sema.bubble = bubble


def install() -> None:
    """For good: a method that was bound before would stay the plain one."""
    WaitGroup.add = _add  # type: ignore[method-assign]
    WaitGroup.wait = _wait  # type: ignore[method-assign]
    Group.__init__ = _init  # type: ignore[method-assign]
