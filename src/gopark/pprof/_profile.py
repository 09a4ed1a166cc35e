"""Profile: stacks by name, written in pprof's format or as text.

What the runtime counts itself comes from `_runtime.mprof.sources`, by name; a profile that
`new_profile` makes holds the stacks that its user adds.

Locks: `_lock`, while the runtime is asked: frames that one profile looks at would count as in
use to the search for leaked goroutines of another.
Relies on: setdefault and pop of a dict being atomic, and a copy of one as well.
Source: Go 1.27 runtime/pprof/pprof.go. Tests: tests/pprof/test_profiles.py
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Hashable
from typing import IO, Any, Final

from gopark._runtime.base.errors import nocopy
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.prof.mprof import MAXDEPTH, Record, Source, callerstack, sources
from gopark._runtime.report.symtab import Frame, pathof
from gopark._runtime.report.traceback import stack as stacks
from gopark._util import flush, integer, string
from gopark.pprof import _text
from gopark.pprof._proto import Builder

__all__ = ("Profile", "lookup", "new_profile", "profiles")

Stack = tuple[Frame, ...]

_lock: Final = lasting(threading.RLock())

# What a goroutine that waits has called, by its wait reason: the innermost frame of its stack.
_CALLED: Final = {
    "chan receive": "gopark.Chan.recv",
    "chan send": "gopark.Chan.send",
    "select": "gopark.select",
    "sleep": "gopark.time.sleep",
    "sync.Cond.Wait": "gopark.sync.Cond.wait",
    "sync.Mutex.Lock": "gopark.sync.Mutex.lock",
    "sync.Mutex.Unlock": "gopark.sync.Mutex.unlock",
    "sync.RWMutex.Lock": "gopark.sync.RWMutex.lock",
    "sync.RWMutex.RLock": "gopark.sync.RWMutex.rlock",
    "sync.RWMutex.RUnlock": "gopark.sync.RWMutex.runlock",
    "sync.RWMutex.Unlock": "gopark.sync.RWMutex.unlock",
    "sync.WaitGroup.Wait": "gopark.sync.WaitGroup.wait",
    "syscall": "gopark.cgo.call",
}
_called: Final[dict[str, Frame]] = {}


class Profile:
    """Stacks, each with how often something happened there; found by `lookup`.

    Example:
        >>> gopark.pprof.lookup("goroutine")
        <Profile goroutine>

    Go: runtime/pprof.Profile.
    """

    __slots__ = ("_source", "_stacks", "name")

    name: str

    def __init__(self, name: str, source: Source | None = None) -> None:
        self.name = name
        self._source = source
        self._stacks: dict[Hashable, Stack] = {}

    def __repr__(self) -> str:
        return f"<Profile {self.name}>"

    __reduce_ex__ = nocopy

    def count(self) -> int:
        """The number of stacks in the profile now.

        Example:
            >>> async def main():
            ...     print(gopark.pprof.lookup("goroutine").count())
            >>> gopark.run(main)
            1

        Go: runtime/pprof.Profile.Count.
        """
        return len(self._stacks) if self._source is None else self._source.size()

    def add(self, value: Hashable, skip: int = 0) -> None:
        """Keep the caller's stack, for as long as `value` is something that exists.

        Args:
            value: What the stack belongs to, an open connection for example.
            skip: How many frames to leave off; 0 begins with the function that calls `add`.
        Raises:
            ValueError: there is a stack for `value` already.
            TypeError: the runtime keeps this profile itself, `value` cannot be hashed, or `skip`
                is no integer.
        Example:
            >>> opened = gopark.pprof.lookup("example") or gopark.pprof.new_profile("example")
            >>> opened.add("connection 1")
            >>> opened.count()
            1
            >>> opened.remove("connection 1")

        Go: runtime/pprof.Profile.Add.
        """
        integer("Profile.add", "skip", skip)
        _hashable("Profile.add", value)
        if self._source is not None:
            raise TypeError(f"pprof: add called on built-in Profile {self.name}")
        stack = callerstack(skip)[:MAXDEPTH] or (lostframe(),)
        if self._stacks.setdefault(value, stack) is not stack:
            raise ValueError(f"pprof: Profile.add of duplicate value {shown(value)}")

    def remove(self, value: Hashable) -> None:
        """Forget the stack of `value`, if there is one.

        Args:
            value: What `add` was given.
        Raises:
            TypeError: it cannot be hashed.
        Example:
            >>> opened = gopark.pprof.lookup("example") or gopark.pprof.new_profile("example")
            >>> opened.add(1)
            >>> opened.remove(1)
            >>> opened.count()
            0

        Go: runtime/pprof.Profile.Remove.
        """
        _hashable("Profile.remove", value)
        self._stacks.pop(value, None)

    def write_to(self, file: IO[Any], debug: int = 0) -> None:
        """Write the profile as it is now.

        Args:
            file: A file that takes bytes; a text needs no more than one that takes text.
            debug: 0 for pprof's format, 1 for text with equal stacks counted together. 2 is a
                dump of all goroutines for `goroutine` and `goroutineleak`, and as 1 for others.
        Raises:
            TypeError: `file` is none that is open, or takes text, and `debug` is 0.
        Example:
            >>> import sys
            >>> async def main():
            ...     gopark.pprof.lookup("threadcreate").write_to(sys.stdout, debug=1)
            >>> gopark.run(main)  # doctest: +ELLIPSIS
            threadcreate profile: total ...

        Go: runtime/pprof.Profile.WriteTo.
        """
        integer("write_to", "debug", debug)
        if debug <= 0:
            refusetext("write_to", file)
            writebytes(file, self._proto())
        elif debug >= 2 and self.name in ("goroutine", "goroutineleak"):
            if self.name == "goroutineleak":
                self._records()  # the search, after which dumps say `(leaked)`
            writetext("write_to", file, stacks(all=True))
        else:
            writetext("write_to", file, self._text())

    def _records(self) -> list[Record]:
        if self._source is not None:
            with _lock:
                return self._source.records()
        return [Record(stack) for stack in self._stacks.copy().values()]

    def _proto(self) -> bytes:
        if self._source is not None and self._source.timed:
            kinds = [("contentions", "count"), ("delay", "nanoseconds")]
            builder = Builder(kinds, kinds[0], 1)
            for record in _slowest(self._records()):
                builder.sample((record.times, nanoseconds(record)), called(record))
            return builder.finish()
        kind = self.name, "count"
        builder = Builder([kind], kind, 1)
        for count, _, stack, record in _groups(self._records()):
            builder.sample((count,), stack, record.labels)
        return builder.finish()

    def _text(self) -> str:
        records = self._records()
        source = self._source
        if source is not None and source.timed:
            name = "contention" if self.name == "block" else self.name
            rows = [(nanoseconds(r), r.times, called(r)) for r in _slowest(records)]
            return _text.timed(name, source.fraction(), rows)
        groups = [(count, key, stack) for count, key, stack, _ in _groups(records)]
        return _text.counted(self.name, sum(r.times for r in records), groups)


def _hashable(who: str, value: object) -> None:
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"{who}() needs something hashable, got {shown(value)}") from None


def _slowest(records: list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: -record.delay)


def nanoseconds(record: Record) -> int:
    return round(record.delay * 1e9)


def _groups(records: list[Record]) -> list[tuple[int, str, Stack, Record]]:
    """Records with equal stacks and labels together; the most frequent first, as in Go."""
    counts: dict[tuple[Stack, str, Any], int] = {}
    first: dict[tuple[Stack, str, Any], Record] = {}
    for record in records:
        key = record.stack, record.reason, record.labels
        counts[key] = counts.get(key, 0) + record.times
        first.setdefault(key, record)
    groups = []
    for key, count in counts.items():
        record = first[key]
        stack = called(record)
        groups.append((count, _text.keyof(stack, record.labels), stack, record))
    return sorted(groups, key=lambda group: (-group[0], group[1]))


def called(record: Record) -> Stack:
    """The stack, with what was called last on top: the function of gopark that waits."""
    stack = record.stack
    name = _CALLED.get(record.reason.partition(" (")[0], "")
    if not name:
        return stack or (_running(),)
    frame = _called.get(name)
    if frame is None:
        frame = _called[name] = _define(name)
    return (frame, *stack[stack[0][0] == name :]) if stack else (frame,)


def _define(name: str) -> Frame:
    """Where a public function is."""
    module: Any = sys.modules["gopark"]
    for attr in name.split(".")[1:]:
        module = getattr(module, attr)
    code = module.__code__
    return name, pathof(code.co_filename), code.co_firstlineno


def _running() -> Frame:
    """In the place of a stack that another thread runs, where those cannot be read."""
    return "gopark.running", "", 0


def lostframe() -> Frame:
    """In the place of a stack of which nothing is left."""
    code = lostframe.__code__
    return "gopark.pprof.lostProfileEvent", pathof(code.co_filename), code.co_firstlineno


# --- writing -----------------------------------------------------------------------------


def refusetext(who: str, file: object) -> None:
    """A profile in pprof's format needs a file that takes bytes."""
    refuseothers(who, file)
    if isinstance(file, io.TextIOBase):
        raise TypeError(
            f"{who}: pprof's format is bytes, and {shown(file)} takes text; open it with 'wb' "
            "(sys.stdout.buffer), or ask for text with debug=1"
        )


def refuseothers(who: str, file: object) -> None:
    if not callable(getattr(file, "write", None)):
        raise TypeError(f"{who}() needs an open file, got {shown(file)}: open(path, 'wb')")


def writebytes(file: IO[Any], data: bytes) -> None:
    """All of it, and out of the file's own buffer: it is there when the call is over."""
    taken = file.write(data)
    if isinstance(file, io.RawIOBase):  # without a buffer it may take a part
        left = memoryview(data)
        while taken is not None and (left := left[taken:]):
            taken = file.write(left)
        if taken is None:
            raise BlockingIOError(f"{shown(file)} takes no more, and does not wait")
    flush(file)


def writetext(who: str, file: IO[Any], text: str) -> None:
    refuseothers(who, file)
    if isinstance(file, io.TextIOBase):
        file.write(text)
        flush(file)
    else:
        writebytes(file, text.encode(errors="backslashreplace"))


# --- by name -----------------------------------------------------------------------------

_profiles: Final[dict[str, Profile]] = {}


def lookup(name: str) -> Profile | None:
    """The profile of this name; None if there is none.

    Args:
        name: `goroutine`, `threadcreate`, `block`, `mutex`, `goroutineleak`, or what
            `new_profile` was given.
    Raises:
        TypeError: it is no string.
    Example:
        >>> gopark.pprof.lookup("unknown") is None
        True

    Go: runtime/pprof.Lookup.
    """
    string("lookup", "name", name)
    found = _profiles.get(name)
    if found is None and name in sources:
        found = _profiles.setdefault(name, Profile(name, sources[name]))
    return found


def profiles() -> list[Profile]:
    """All profiles that there are, sorted by name.

    Example:
        >>> "goroutine" in [profile.name for profile in gopark.pprof.profiles()]
        True

    Go: runtime/pprof.Profiles.
    """
    names = sorted({*sources, *_profiles.copy()})
    return [found for name in names if (found := lookup(name)) is not None]


def new_profile(name: str) -> Profile:
    """Make a profile of your own: who holds something that has to be given back, for example.

    Args:
        name: Without spaces; to keep names apart, it begins with that of your module.
    Raises:
        ValueError: the name is empty, or in use.
        TypeError: it is no string.
    Example:
        >>> opened = gopark.pprof.lookup("example") or gopark.pprof.new_profile("example")
        >>> opened.count()
        0

    Go: runtime/pprof.NewProfile.
    """
    string("new_profile", "name", name)
    if not name:
        raise ValueError("pprof: new_profile with empty name")
    made = Profile(name)
    if name in sources or _profiles.setdefault(name, made) is not made:
        raise ValueError(f"pprof: new_profile name already in use: {name}")
    return made
