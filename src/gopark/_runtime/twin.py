"""Which hot path runs: the pure source, or its compiled twin. The only place that decides.

The pure source is the reference, and complete. The twin (`_twin/`, C11) has what costs most of it,
with every account kept: G, M, P and their queues, `allgs`, `ready`, the inner loop, `go`, channels,
select, `gosched`, `sleep` and the timers, `sync.Mutex`, the Semas, and what a connection reads and
writes. It is all of that or nothing: a Python loop over C objects is slower than today's.

Pure is taken where
  - `GOPARK_PURE=1` says so, or nothing has asked for the twin by `GOPARK_TWIN=1` (so far); that may
    also be the path of an extension module
  - the twin was not built: no compiler, another interpreter, a build without the GIL
  - `GOPARKDEBUG` has a mode that puts itself in the way of each step (`_DEBUG`)

A module that has a twin says at its end which of its names that stands for.

Source: none in Go; PEP 399. Tests: tests/runtime/test_twin.py
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from collections import deque
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

__all__ = (
    *("ChanBase", "MBase", "MutexBase", "PBase", "PollDescBase", "Ring", "SchedBase"),
    *("SelectingBase", "SemaBase"),
    *("coroutines", "native", "operations", "slots", "why"),
)

_DEBUG: Final = ("checksched", "lockrank", "tracebackancestors")


def _load() -> tuple[Any, str]:
    """The twin, or None and why not."""
    if os.environ.get("GOPARK_PURE") == "1":
        return None, "GOPARK_PURE=1"
    asked = os.environ.get("GOPARK_TWIN", "0")
    if asked in ("", "0"):
        return None, "GOPARK_TWIN=1 has not asked for it"
    if "t" in getattr(sys, "abiflags", ""):
        return None, "a build without the GIL has none, so far"
    for item in os.environ.get("GOPARKDEBUG", "").split(","):
        mode, _, value = item.partition("=")
        if mode.strip() in _DEBUG and value.strip() not in ("", "0"):
            return None, f"GOPARKDEBUG has {mode.strip()}"
    try:
        return _module(asked), ""
    except (ImportError, OSError) as exc:
        return None, f"it is not there: {exc}"


def _module(asked: str) -> Any:
    """That of this package, or the one at a path."""
    name = "gopark._runtime._twin.native"
    if asked == "1":
        return importlib.import_module(name)
    loader = importlib.machinery.ExtensionFileLoader(name, asked)
    spec = importlib.util.spec_from_file_location(name, asked, loader=loader)
    assert spec is not None
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


_loaded: Final = _load()
native: Final[Any] = _loaded[0]
why: Final = _loaded[1]  # the twin is not used; empty if it is


class _Pure:
    """A first base that has nothing."""

    __slots__ = ()


if TYPE_CHECKING:

    class ChanBase: ...

    class MBase: ...

    class MutexBase: ...

    class PBase: ...

    class PollDescBase: ...

    class SchedBase: ...

    class SelectingBase: ...

    class SemaBase: ...

    Ring = deque
elif native is None:
    ChanBase = MBase = MutexBase = PBase = SchedBase = SelectingBase = SemaBase = _Pure
    PollDescBase = _Pure
    Ring = deque
else:
    ChanBase, MBase, PBase, SchedBase = native.Chan, native.M, native.P, native.Sched
    Ring, SelectingBase, SemaBase, MutexBase = (
        native.Ring,
        native.Selecting,
        native.Sema,
        native.Mutex,
    )
    PollDescBase = native.PollDesc


# What its operations are, which stand in the place of coroutines.
operations: Final[tuple[type[Any], ...]] = () if native is None else (native.Op, native.Yield)
coroutines: Final[tuple[type[CoroutineType[Any, Any, Any]], ...]] = (CoroutineType, *operations)


def slots(base: type, *names: str) -> tuple[str, ...]:
    """`__slots__` of a class whose first base has some of these names already."""
    return tuple(name for name in names if not hasattr(base, name))
