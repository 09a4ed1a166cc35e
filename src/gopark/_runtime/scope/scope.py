"""Scopes: a part of a goroutine whose waits end from outside, by level.

In a scope that is over *every* wait raises, until the scope is left. What does not have to wait
goes through and keeps its result. Of several that are over the outermost raises, so that they end
from the outside in; what lies outside of a shield does not count inside.

A G has its innermost scope in `g.scope`, each scope the next one in `_outer`. Until one is over
that is all there is: nobody looks at it. Who ends a scope (`end`) gives the G another class, whose
`status` is a property, and that looks, at each wait (the means of bubble.py):

  the G, about to wait                    who ends the scope
  1. puts itself on a queue, `waiting`    1. says that it is over
  2. its status becomes waiting           2. changes the class of the G
  3. the unlock function                  3. waiting? takes it off its queue, wakes it (`strike`)
  4. with the other class: `strike`
If step 2 on the left comes before that on the right, step 3 on the right finds it waiting; else the
property has put `strike` behind the unlock function. (With the other class since before, it looks
for a scope that is over after it has set the status, and who ends one the other way round.)
A G that only gives way gets what it is to raise in the moment it is runnable again, from the thread
that owns it.

Who owns a wake-up: as everywhere, who has taken the G off its queue. `strike` raises only in what
it has taken off itself, so a value that was handed over is received.

Invariants, true whenever `_lock` is free:
  S1  the item of `_armed` is popped once, by who ends the scope or by the G that leaves it. If it
      is the G, nobody strikes on behalf of that scope any more
  S2  a G has its own class unless one of its scopes is over
  S3  `strike` has seen the scopes as they are: a G that leaves one that is over, or enters a shield
      while one is, goes through the lock
A scope belongs to one goroutine, not to a G, which may be used again: `_goid` says whose it is.

Relies on: list.pop hands an item to one taker; attribute stores are seen in their order.
Locks: `_lock`, rank SCOPE; held while a G is taken off its queue and made ready.
May run without a P: all of it.
Source: none in Go. As trio's CancelScope. Tests: tests/runtime/test_timeout.py,
tests/runtime/test_scope_model.py, tests/stress/scopes.py
"""

from __future__ import annotations

from collections.abc import Callable
from sys import modules
from time import monotonic
from typing import Any, ClassVar, Final

from gopark._runtime.base.errors import (
    AmidRuntime,
    NotOnGError,
    ProgramEnded,
    ScopeEnded,
    nocopy,
)
from gopark._runtime.base.lockrank import Holding, Rank, lasting, mkmutex
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GDEAD,
    GRUNNABLE,
    GRUNNING,
    GWAITING,
    G,
    Status,
    getg,
    tls,
)
from gopark._runtime.sched.finq import later
from gopark._runtime.sched.lockedm import lettinggo
from gopark._runtime.sched.runq import ready
from gopark._runtime.sched.startm import mysched
from gopark._runtime.sched.timer import Timer
from gopark._runtime.scope.intask import checktask, taskremedy
from gopark._runtime.signal.preempt import Throwing, throwin, yields

__all__ = (
    "Scope",
    "Shield",
    "begun",
    "end",
    "endersof",
    "overclass",
    "scopeof",
    "settle",
    "shelter",
)

_lock: Final = lasting(mkmutex(Rank.SCOPE))
_SOON: Final = 0.001  # seconds
_LATE: Final = 1.0

# The class of a G while one of its scopes is over, by that which it has otherwise; and back.
_over: Final[dict[type[G], type[G]]] = {}
_plain: Final[dict[type[G], type[G]]] = {}


class Scope:
    """A part of one goroutine, from `_enter` to `_leave`. Subclasses say what ends it."""

    __slots__ = ("__weakref__", "_armed", "_g", "_goid", "_outer", "_over")

    shields: ClassVar[bool] = False
    _istask: ClassVar[bool] = False  # around a whole goroutine, and made with it
    _asyncios: ClassVar[str] = "what asyncio has"  # in its place, in a task of asyncio's
    _armed: list[None]
    _g: G | None  # whose it is; set once
    _goid: int
    _outer: Scope | None
    _over: bool

    def __init__(self) -> None:
        self._armed = [None]
        self._over = False
        self._g = None

    __reduce_ex__ = nocopy

    def _error(self) -> BaseException:
        """What a wait raises once it is over, a new object each time. It runs no code of users."""
        return ScopeEnded(f"a wait in {self!r}, which is over", self)

    def _enders(self) -> list[Any] | None:
        """What others must reach to end it; None if it may end by itself."""
        return [self]

    def _words(self) -> str:
        """For dumps: what it is. It runs no code of users."""
        return repr(self)

    def _remaining(self) -> float | None:
        """For dumps: in how many seconds it is over, if a time is set."""
        return None

    def _enter(self) -> None:
        m, events = tls.m, modules.get("asyncio.events")
        looped = events is not None and events._get_running_loop() is not None
        if m is None or (g := m.curg) is None:
            where = "use it in a function that gopark.go or gopark.run has started"
            if looped:
                where = f"in a task of asyncio {taskremedy(self)}"
            raise NotOnGError(
                f"{shown(self)} is entered where no goroutine runs, so there are no waits that it "
                f"could end: {where}"
            )
        if looped:
            checktask(self)
        if self._g is not None:
            raise RuntimeError(f"{shown(self)} has been entered before: make another one")
        self._goid = goid = g.goid
        outer = getattr(g, "scope", None)
        self._outer = outer if outer is None or outer._goid == goid else None
        self._g = g
        g.scope = self
        if self._over:
            begun(self)

    def _leave(self, exc: BaseException | None) -> None:
        """The block has ended, by this exception if any."""
        g, m = self._g, tls.m
        if g is None or m is None or m.curg is not g or g.scope is not self or g.goid != self._goid:
            self._astray(exc)
            return
        g.scope = self._outer
        try:
            self._armed.pop()
        except IndexError:
            settle(g)

    def _astray(self, exc: BaseException | None) -> None:
        """Not by who entered it, or not in its turn."""
        self._armed.clear()
        g, me = self._g, tls.m
        curg = None if me is None else me.curg
        inner: Any = None
        gone = False
        if g is not None and g.goid == self._goid:
            inner = g.scope
            if inner is self:
                g.scope = self._outer
            below = inner
            gone = inner is not self
            while below is not None and below._outer is not self:
                below = below._outer
            if below is not None:
                below._outer, gone = self._outer, False
            if self._over:
                settle(g)
        if isinstance(exc, (GeneratorExit, ProgramEnded)):
            return  # what holds it is closed, by whoever comes to that
        if g is None:
            raise RuntimeError(f"{shown(self)} is left, and was never entered")
        if gone:
            raise RuntimeError(
                f"{shown(self)} is left, and is not open any more: it was left before, or entered "
                f"in code of asyncio's and kept open as that waited: {taskremedy(self)}"
            )
        if curg is g:
            raise RuntimeError(
                f"{shown(self)} is left while {shown(inner)}, entered after it, is open: leave "
                "scopes in the reverse order. An async generator that yields in one keeps it open"
            )
        raise RuntimeError(
            f"{shown(self)} was entered by goroutine {self._goid} and is left by "
            f"{'no goroutine' if curg is None else f'goroutine {curg.goid}'}: a scope belongs to "
            "the goroutine that enters it, let each enter its own"
        )


def begun(scope: Scope) -> None:
    """It was ended before it was entered, or amid that."""
    g = scope._g
    if g is not None:
        with Holding(_lock):
            _mark(g)


class Shield(Scope):
    """What is over outside does not count in here."""

    __slots__ = ()

    shields = True
    _asyncios = "asyncio.shield"

    def __repr__(self) -> str:
        return "shield()"

    def _enter(self) -> None:
        super()._enter()
        g = self._g
        assert g is not None
        if type(g) in _plain:
            with Holding(_lock):
                pass  # S3: who strikes just now has seen it without


def scopeof(g: G) -> Scope | None:
    """The innermost scope of the goroutine that `g` is."""
    scope: Scope | None = getattr(g, "scope", None)
    return scope if scope is None or scope._goid == g.goid else None


class shelter:
    """`with shelter():` around a wait of ours that cleans up: a shield, where there is a scope."""

    __slots__ = ("_shield",)

    _shield: Shield | None

    def __enter__(self) -> None:
        m = tls.m
        g = None if m is None else m.curg
        self._shield = None if g is None or scopeof(g) is None else Shield()
        if self._shield is not None:
            self._shield._enter()

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        if self._shield is not None:
            self._shield._leave(exc)


def overscope(g: G) -> Scope | None:
    """The outermost scope that is over, and that no shield keeps out."""
    scope, found = scopeof(g), None
    while scope is not None and not scope.shields:
        if scope._over:
            found = scope
        scope = scope._outer
    return found


def isover() -> bool:
    """The waits of the caller end just now."""
    g = getg()
    return g is not None and overscope(g) is not None


def endersof(g: G) -> list[Any] | None:
    """What others must reach to end the wait by way of a scope; None: it may end by itself."""
    found: list[Any] = []
    scope = scopeof(g)
    while scope is not None and not scope.shields:
        enders = scope._enders()
        if enders is None or scope._over:
            return None
        found += enders
        scope = scope._outer
    return found


# --- the end of a scope ------------------------------------------------------------------------


def end(scope: Scope) -> None:
    """Its waits raise from here on, and the one it is in. From any thread, and again."""
    again = False
    try:
        with Holding(_lock):
            try:
                scope._armed.pop()
            except IndexError:
                return
            scope._over = True
            g = scope._g
            if g is not None and g.goid == scope._goid:
                # Without a GIL a thread that is about to let it wait may not know of its new class.
                again = FREETHREADED and g.status is not GWAITING
                _mark(g)
                again = strike(g) or again
    except AmidRuntime:
        if scope._over:
            later(_retry, (scope, _SOON, False))
        else:
            later(end, scope)
        return
    if again:
        _retrysoon(scope, _SOON, FREETHREADED)


def _mark(g: G) -> None:
    """It looks at each wait from here on. Lock held."""
    cls = _over.get(type(g))
    if cls is not None:
        g.__class__ = cls


def settle(g: G) -> None:
    """It has left a scope that is over."""
    try:
        with Holding(_lock):
            scope = scopeof(g)
            while scope is not None and not scope._over:
                scope = scope._outer
            cls = _plain.get(type(g))
            if scope is None and cls is not None:
                g.__class__ = cls
    except AmidRuntime:
        later(settle, g)


def strike(g: G) -> bool:
    """End the wait of `g`, if that is in a scope that is over. Lock held.

    True: look again, for somebody has it in hand: its timer has fired, or is not set yet.
    """
    scope, waiting = overscope(g), g.waiting
    if scope is None or waiting is None or g.status is not GWAITING or g in lettinggo:
        return False
    if not waiting.unwait(g):
        return True
    throwin(g, scope._error())
    ready(g)
    return False


def _retrysoon(scope: Scope, delay: float, blind: bool) -> None:
    if delay < _LATE:
        timer = Timer(mysched().timers, monotonic() + delay, _retry, (scope, delay * 2, blind))
        timer.start()


def _retry(what: tuple[Scope, float, bool]) -> None:
    """Strike once more; `blind`: and go on until it has met a wait."""
    scope, delay, blind = what
    g = scope._g
    if g is None or overscope(g) is None:
        return
    try:
        with Holding(_lock):
            waits = g.status is GWAITING
            again = strike(g)
    except AmidRuntime:
        again = waits = True
    if again or (blind and not waits):
        _retrysoon(scope, delay, blind)


# --- a G with a scope that is over ---------------------------------------------------------------


class _Unlock:
    """Steps 3 and 4 of a wait. Once called it keeps nothing alive: an M does not clear it."""

    __slots__ = ("_todo",)

    def __init__(self, g: G, unlockf: Callable[[None], object]) -> None:
        self._todo = [(g, unlockf)]

    def __call__(self, _: None) -> None:
        g, unlockf = self._todo.pop()
        unlockf(None)
        scope = overscope(g)
        if scope is not None:
            _retry((scope, _SOON, False))


def _wrapunlock(g: G) -> None:
    m = tls.m
    if m is not None and m.waitunlockf is not None:
        m.waitunlockf = _Unlock(g, m.waitunlockf)


def _gaveway(g: G) -> None:
    """It is runnable again, without having waited: unless it only has to go to another thread.

    What Ctrl-C has left for it to raise comes first.
    """
    scope = overscope(g)
    if scope is None:
        return
    pinned = g.lockedm
    if pinned is not None:
        free = pinned.exc is None
    else:
        free = g.coro is not None and not isinstance(g.step, Throwing)
    if free and yields(g):
        throwin(g, scope._error())


def overclass(base: type[G], name: str) -> None:
    """Make the class for a G of class `base` with a scope that is over."""

    def get(g: G) -> Status:
        got: Status = _statusof(base).__get__(g)
        return got

    def move(g: G, new: Status) -> None:
        status = _statusof(base)
        if new is GWAITING and base is G:
            status.__set__(g, new)
            if overscope(g) is not None:  # after that: who ends one looks in the other order
                _wrapunlock(g)
            return
        if new is GWAITING:
            _wrapunlock(g)  # inside of that of the bubble, which may move the clock
        elif new is GRUNNABLE and status.__get__(g) is GRUNNING:
            _gaveway(g)
        elif new is GDEAD:
            g.__class__ = base  # it was abandoned in the scope
        status.__set__(g, new)

    cls = type(name, (base,), {"__slots__": (), "status": property(get, move)})
    _over[base], _plain[cls] = cls, base


def _statusof(base: Any) -> Any:
    """The slot, or what checkmode.py and bubble.py have put there."""
    return base.status


overclass(G, "OverG")
