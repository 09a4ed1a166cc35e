"""Goroutines that wait for ever, because nothing that can run can reach what they wait on.

Go finds them with its collector: marking begins at what can run, a parked goroutine is added
once what it waits on has been marked, and whoever is left at the end has leaked. Python's
collector has no such door, but what it works with is open: the references that an object
holds (`gc.get_referents`), and how many there are to it (`sys.getrefcount`). So the question is
asked from the other side, as CPython's own collector asks it about garbage:

  1. Suspects are the goroutines that wait on something another goroutine would have to act on
     (`Waiter.wakers`, and what may end a scope; who sleeps, or waits for a signal, or in time, is
     none), with all objects that can be reached from them (`_closure`).
  2. References to these objects are counted from within. An object that has more than were
     found is held by somebody else as well: a module, a frame that runs, memory of C, whatever.
  3. What can be reached from such an object can be reached by others, and a suspect whose
     channel or lock is among that may be woken, and then uses all that it holds. Both are
     taken off (`_shrink`), and step 2 is done again with what is left.
  4. When every reference to every object that is left is held by the others that are left,
     their goroutines have leaked.

Which way errors go: nobody has to say what the roots are. A reference that cannot be explained
is one that somebody may use, so what this module does not know of (objects that C keeps, types
whose referents Python does not show, a thread's own variables, an object with a weak reference
from outside) hides a leak, and never makes up one. What counts as explained is this alone:
references from the objects that are left, from the slots of their Gs, from an unlock function
that an M still holds for no use (`M.waitunlockf`), and from `run`, which keeps main's coroutine
and does nothing with it until main is done. That G is in a wait queue, in `allgs` or in a
frame of a primitive means nothing: a G is not followed.

Nobody holds still meanwhile. With the GIL step 2 is a single call in C (`_Moment`), during
which no other thread runs: all counts are of one moment, and what has been leaked at one
moment stays so. What comes before may be out of date; then step 2 finds a reference more.
Without the GIL the referents are of one moment, as the collector stops the world for them, but
the counts are read before and after. So the last step is repeated (`_PASSES`): a goroutine that
is not leaked would have to be on its way from object to object, and be missed at each of them.

A plain function waits on its thread, whose frames hold what it waits on, and these cannot be
told from the frames of others: it is not found, nor is a coroutine locked to its thread.

Locks: `_lock`, held throughout, or two searches would see each other's lists; no other is taken. It
is reentrant: a search begins with a collection, and so with finalisers, which may search. Without
the GIL a fork takes it too (`_beforefork`).
Relies on: `list()` over iterators of C alone being one step to other threads, with the GIL.
Source: Go 1.27 runtime/mgc.go (findGoroutineLeaks), proc.go (goroutineleakcount).
Tests: tests/runtime/test_mgcleak.py, test_mgcleak_model.py
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, starmap
from operator import attrgetter
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    ModuleType,
)
from typing import Any, Final

from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GWAITING,
    Command,
    G,
    M,
    P,
    Sched,
    Status,
    Waiter,
    allgs,
)
from gopark._runtime.c.extram import inuse
from gopark._runtime.prof.mprof import Record, Source, goroutineprofile, register
from gopark._runtime.report.traceback import creatorframe, doors, gtraceback
from gopark._runtime.sched import mfinal
from gopark._runtime.sched.startm import current
from gopark._runtime.sched.timer import Timers
from gopark._runtime.scope.scope import endersof, scopeof

__all__ = ("Leak", "count", "leakedgs", "leaks")

_NOCASES: Final = "select (no cases)"
# Without the GIL a count that threads share may be one too high until a collection settles it, and
# so may those of what is freed by that.
_COLLECTIONS: Final = 2 if FREETHREADED else 1
_PASSES: Final = 3  # without the GIL
_PAUSE: Final = 0.001  # seconds, between two of them
_PATIENCE: Final = 10.0  # seconds that a fork waits for a search, whose finalisers may take long
_MANY: Final = 16  # goroutines that one report names
_FAR: Final = 1000  # objects looked at for them

# What refers to nothing that could matter, or belongs to the runtime, which acts for those who
# call it and for nobody else.
_IGNORED: Final = frozenset(
    {
        *(bool, bytes, complex, float, int, str, type(None), range, slice),
        *(CodeType, type, ModuleType, Command, G, M, P, Sched, Status, Timers),
    }
)

_status: Final = attrgetter("status")
_waiting: Final = attrgetter("waiting")
_waitunlockf: Final = attrgetter("waitunlockf")

_lock: Final = lasting(threading.RLock())
_found: weakref.WeakKeyDictionary[G, float] = weakref.WeakKeyDictionary()

Objects = dict[int, Any]  # by identity


# --- 1. suspects ---------------------------------------------------------------------------


def _suspects() -> list[G]:
    return [g for g in allgs.copy() if g.status is GWAITING and _wakers(g, g.waiting) is not None]


def _wakers(g: G, waiter: Waiter | None) -> list[Any] | None:
    """What others must reach to end the wait; None if it may end by itself, or has ended."""
    wakers = None if waiter is None else waiter.wakers()
    if wakers is None or scopeof(g) is None:
        return wakers
    enders = endersof(g)
    return None if enders is None else [*wakers, *enders]


def _closure(gs: list[G], ms: list[M]) -> Objects:
    """All that can be reached from these goroutines, up to what every module can reach.

    And from the unlock functions of Ms: that of a select which is long over has its channels.
    """
    # By identity: the namespaces of modules are kept by somebody as long as this takes.
    outside = {id(vars(m)) for m in list(sys.modules.values()) if isinstance(m, ModuleType)}
    outside.update(id(getattr(g, "goglobals", None)) for g in gs)
    found: Objects = {}
    front = _fresh(gc.get_referents(*gs) + [m.waitunlockf for m in ms], found, outside)
    while front:
        front = _fresh(gc.get_referents(*front), found, outside)
    return found


def _fresh(referents: list[Any], found: Objects, outside: set[int]) -> list[Any]:
    """Those that are new."""
    fresh = []
    for obj in referents:
        i = id(obj)
        if i in found or i in outside:
            continue
        kind = type(obj)
        if kind in _IGNORED or isinstance(obj, type):
            continue
        if kind is FunctionType:
            outside.add(id(obj.__globals__))
        elif kind is BuiltinFunctionType and isinstance(obj.__self__, ModuleType):
            continue
        found[i] = obj
        fresh.append(obj)
    for obj in fresh:  # the namespace of code that is in no module shows itself by its functions
        if id(obj) in outside:
            del found[id(obj)]
    return [obj for obj in fresh if id(obj) not in outside]


# --- 2. who is held by others ----------------------------------------------------------------


def _moment(gs: list[G], objs: list[Any], ms: list[M]) -> Iterator[Any]:
    """The referents of all, in one list, then how many references there are to each of `objs`,
    strong and weak, what the Gs wait on and what the Ms hold: all of one moment, with the GIL.

    An audit hook for `gc.get_referents` runs before that looks at anything.
    """
    holders = (*gs, *objs)
    return iter(
        list(
            chain(
                starmap(gc.get_referents, (holders,)),
                map(sys.getrefcount, objs),
                map(weakref.getweakrefcount, objs),
                map(_status, gs),
                map(_waiting, gs),
                map(_waitunlockf, ms),
            )
        )
    )


def _held(gs: list[G], objects: Objects, ms: list[M], exempt: set[int]) -> tuple[set[int], set[G]]:
    """The objects that somebody else has as well, and the suspects that may be woken."""
    objects[0] = object()  # what has no references but those that all have here
    now = _moment(gs, [*objects.values()], ms)
    within = dict.fromkeys(objects, 0)
    for i in map(id, next(now)):
        if i in within:
            within[i] += 1
    refs = {i: next(now) for i in objects}
    weak = {i: next(now) for i in objects}
    statuses = [next(now) for _ in gs]
    waiting = [next(now) for _ in gs]
    spare = _unused([next(now) for _ in ms], objects)
    del objects[0]
    base, known = refs[0], _weakly(objects)
    held = {
        i
        for i in objects
        if i not in exempt
        # Twice: each referent is in the list of them as well.
        and (refs[i] != base + 2 * within[i] + spare.get(i, 0) or weak[i] != known.get(i, 0))
    }
    awake = {
        g
        for g, status, waiter in zip(gs, statuses, waiting, strict=True)
        if status is not GWAITING or not _asleep(g, waiter, objects)
    }
    return held, awake


def _asleep(g: G, waiter: Waiter | None, objects: Objects) -> bool:
    """Whoever could end this wait would have to reach one of these objects."""
    wakers = _wakers(g, waiter)
    return wakers is not None and all(id(w) in objects for w in wakers)


def _unused(unlockfs: list[Any], objects: Objects) -> dict[int, int]:
    """References to the unlock functions that Ms have called, and keep till their next."""
    return Counter(id(f) for f in unlockfs if id(f) in objects)


def _weakly(objects: Objects) -> dict[int, int]:
    """How many weak references to each are among them, or are the runtime's own."""
    known: dict[int, int] = {}
    ours = mfinal.weakrefs()
    for obj in chain(objects.values(), ours):
        if isinstance(obj, weakref.ref) and (target := obj()) is not None:
            known[id(target)] = known.get(id(target), 0) + 1
    return known


# --- 3. what these can reach -------------------------------------------------------------------


def _shrink(gs: list[G], objects: Objects, held: set[int], awake: set[G]) -> list[G]:
    """Take off what may be used, and return the suspects that are left."""
    front = [objects.pop(i) for i in held]
    while front or awake:
        front += _take(objects, gc.get_referents(*awake))
        gs = [g for g in gs if g not in awake]
        while front:
            weakly = [obj() for obj in front if isinstance(obj, weakref.ref)]
            front = _take(objects, chain(gc.get_referents(*front), weakly))
        awake = {g for g in gs if not _asleep(g, g.waiting, objects)}
    return gs


def _take(objects: Objects, referents: Iterable[Any]) -> list[Any]:
    return [obj for obj in referents if objects.pop(id(obj), None) is not None]


# --- all together --------------------------------------------------------------------------------


@contextmanager
def _collected() -> Iterator[None]:
    """Garbage refers to nothing, and none is collected meanwhile."""
    with _lock:
        for _ in range(_COLLECTIONS):
            gc.collect()
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()


def _search() -> tuple[list[G], Objects]:
    """The goroutines that have leaked, and all objects that nobody but them can reach."""
    sched = current()
    ms = inuse() if sched is None else [*sched.allm, *inuse()]
    gs = _suspects()
    objects = _closure(gs, ms)
    exempt = {id(obj) for obj in _ofmain(sched)}
    passes = _PASSES if FREETHREADED else 1
    while passes and gs:
        held, awake = _held(gs, objects, ms, exempt)
        if held or awake:
            gs = _shrink(gs, objects, held, awake)
            continue
        passes -= 1
        if passes:
            time.sleep(_PAUSE)
    return gs, objects


def _ofmain(sched: Sched | None) -> list[Any]:
    """Coroutines that `run` keeps, and does nothing with until main is done."""
    g = None if sched is None else sched.main
    return [] if sched is None or g is None else [g.coro, sched.maincoro]


# A child of free-threaded 3.13 that was forked while another thread waited to stop the world, as
# each step of a search does, finds the interpreter's own lock for that taken, and hangs.
_forking: Final[list[int]] = []  # the thread that forks, while it has `_lock`


def _beforefork() -> None:
    if _lock.acquire(timeout=_PATIENCE):
        _forking[:] = [threading.get_ident()]


def _afterfork() -> None:
    if _forking and _forking[0] == threading.get_ident():
        _forking.clear()
        _lock.release()


if FREETHREADED and hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_beforefork, after_in_parent=_afterfork, after_in_child=_afterfork)


def leakedgs() -> list[G]:
    """The goroutines that wait for ever; dumps say so from now on. Go: goroutineLeakGC."""
    with _collected():
        gs, objects = _search()
        objects.clear()
        return _report(gs)


def _report(gs: list[G]) -> list[G]:
    """Main in an empty select holds its objects for nobody, but is meant to wait."""
    gs = [g for g in gs if g.goid != 1 or g.waitreason != _NOCASES]
    _found.clear()
    _found.update((g, g.waitsince) for g in gs)
    return sorted(gs, key=lambda g: g.goid)


def count() -> int:
    """How many the last search found. Go: goroutineleakcount."""
    return len(_found)


def isleaked(g: G) -> bool:
    """The last search found it, and it waits since then."""
    return _found.get(g) == g.waitsince


def leakprofile() -> list[Record]:
    """The stacks of what a search finds."""
    return goroutineprofile(set(leakedgs()).__contains__)


doors.leaked = isleaked
register("goroutineleak", Source(count, leakprofile))


# --- the public names ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Leak:
    """A goroutine that waits for ever, as `leaks` found it. All of it is text and numbers.

    Attributes:
        goid: Its number.
        reason: What it does, in Go's words: `chan send`, `sync.Mutex.Lock`.
        waits_on: The channels, or the lock, that it waits on; none in an empty select.
        stack: Its stack as in a dump.
        created_by: The function that started it; empty for main.
        parent: The number of the goroutine that started it; 0 for main.
        known_to: Numbers of other leaked goroutines that can reach what it waits on, the first
            few: those of its cycle, in a deadlock. Nobody else can.
    Example:
        >>> async def main():
        ...     gopark.go(gopark.Chan().recv)
        ...     await gopark.testing.wait_all_parked()
        ...     [leak] = gopark.debug.leaks()
        ...     print(leak.reason, leak.parent)
        >>> gopark.run(main)
        chan receive 1

    Go: a record of the profile `goroutineleak`.
    """

    goid: int
    reason: str
    waits_on: tuple[str, ...]
    stack: str
    created_by: str
    parent: int
    known_to: tuple[int, ...]

    def __str__(self) -> str:
        return self.stack


def leaks() -> list[Leak]:
    """The goroutines that wait for ever, as no code that can still run can reach what they wait on.

    It collects garbage and then looks at everything that parked goroutines hold. While it
    counts the references to that, the GIL is kept. What it finds has leaked for certain;
    what C, weak references or the threads of plain functions hold counts as reachable. From
    then on dumps say `(leaked)` of what was found.

    Returns:
        A record for each, by number. Keeping them keeps no goroutine and no channel.
    Example:
        >>> async def main():
        ...     async def worker(jobs):
        ...         await jobs.recv()  # who was to send has gone
        ...     gopark.go(worker, gopark.Chan())
        ...     await gopark.testing.wait_all_parked()
        ...     for leak in gopark.debug.leaks():
        ...         print(leak.reason, "(leaked)" in leak.stack)
        >>> gopark.run(main)
        chan receive True

    Go: runtime/pprof, the profile `goroutineleak`.
    """
    with _collected():
        gs, objects = _search()
        reported = _report(gs)
        if not reported:
            return []
        users = _users(gs, objects)
        known: dict[tuple[int, ...], tuple[int, ...]] = {}
        return [_record(g, users, known) for g in reported]


def _users(gs: list[G], objects: Objects) -> dict[int, list[Any]]:
    """Who refers to each of these objects, of these objects and goroutines."""
    users: dict[int, list[Any]] = {i: [] for i in objects}
    for user in (*gs, *objects.values()):
        for i in map(id, gc.get_referents(user)):
            if i in users:
                users[i].append(user)
    return users


def _record(
    g: G, users: dict[int, list[Any]], known: dict[tuple[int, ...], tuple[int, ...]]
) -> Leak:
    waiter = g.waiting
    wakers = (None if waiter is None else waiter.wakers()) or []
    key = tuple(map(id, wakers))
    if key not in known:
        known[key] = _knownto(key, users)
    creator = creatorframe(g)
    return Leak(
        goid=g.goid,
        reason=g.waitreason,
        waits_on=tuple(repr(_named(waker, users)) for waker in wakers),
        stack=gtraceback(g),
        created_by="" if creator is None else creator[0],
        parent=g.parentid,
        known_to=tuple(goid for goid in known[key] if goid != g.goid)[:_MANY],
    )


def _named(waker: Any, users: dict[int, list[Any]]) -> Any:
    """What the user knows it by: the mutex of a queue."""
    for user in users.get(id(waker), ()):
        module = type(user).__module__
        if module.startswith("gopark.sync") and "._" not in module:
            return user
    return waker


def _knownto(wakers: tuple[int, ...], users: dict[int, list[Any]]) -> tuple[int, ...]:
    goids: set[int] = set()
    seen = set(wakers)
    queue = deque(wakers)
    for _ in range(_FAR):
        if not queue or len(goids) > _MANY:
            break
        for user in users[queue.popleft()]:
            if isinstance(user, G):
                goids.add(user.goid)
            elif id(user) not in seen:
                seen.add(id(user))
                queue.append(id(user))
    return tuple(sorted(goids))
