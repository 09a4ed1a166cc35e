"""Who waits for whom: goroutines, what they wait on, and who else has that in its hands.

Three kinds of arrows, and no more is claimed than what they say:
  waits     from a goroutine to the channel, lock or group that it is parked on
  held by   from a lock to a goroutine that is inside a `with` or `async with` of it: the way out
            of the block lies on the stack of the frame
  used by   from there to a goroutine from whose frames it can be reached in a few steps: through
            locals, arguments, closures, containers and attributes. Such a one may end the wait:
            send, close, unlock, be done. Whether it will is not known. Who took a lock without a
            `with` is not known either, for a mutex belongs to nobody (as in Go).
What is not found this way: what threads hold in frames that are running, what only modules or C
refer to, and what is further away than _DEEP steps. So "nobody found" on the page is a hint; proof
is what `gopark.debug.leaks` gives, which asks the other way round.

What a goroutine waits for outside of this process, a connection or a child, is a thing as well.
Connections are told from one another while they are few; many are one thing for each address that
most of them share, the server's own or the one that it was dialled at.

Across the bridge to asyncio a goroutine waits for a task, and a task for a goroutine's result or
for another task: what is awaited is a thing, held by who brings it about. A task that waits for
anything else counts as awake, for it is not known who may act on that.

A thing is *awake* if a timer or somebody outside serves it, or somebody holds it, or uses it if
nobody is known to hold it, who does not wait himself or waits for something awake. What is left
when this has spread as far as it goes is marked.

Goroutines with one stack that wait on the same things are one node. All of it is text and numbers
once it is done, so that it keeps nothing alive.

Locks: none but those of `Waiter.frozen`, on free-threaded builds. Source: none.
Tests: tests/debug/test_graph.py
"""

from __future__ import annotations

import gc
import sys
import time
from collections import Counter, deque
from itertools import islice, pairwise
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final

from gopark._debug._look import Stack, _Finder, what
from gopark._debug._pacing import paced
from gopark._runtime.base.runtime2 import (
    FREETHREADED,
    GDEAD,
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
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.selectgo import _Selecting
from gopark._runtime.report.hosted import HostedTask, tasks
from gopark._runtime.report.hosted import doors as hosteddoors
from gopark._runtime.report.traceback import threadstates
from gopark._runtime.sched.timer import Timer, Timers

__all__ = ("graph", "waitson")

_NODES: Final = 60  # of each kind, at most
_WALKED: Final = 50  # goroutines of one node that are searched
_SEARCHED: Final = 2000  # of all
_DEEP: Final = 5  # steps from a frame to what it uses
_FAR: Final = 400  # objects looked at for one goroutine
_LATER: Final = 5  # times that one who runs is looked at again
_SOON: Final = 0.002  # seconds
_RESULT: Final = -(1 << 64)  # less the number of a goroutine: what that comes to, as a thing
_CONNS: Final = 20  # connections that are told from one another

_INSIDE: Final = (CoroutineType, GeneratorType, MethodType, CellType, tuple, list, dict, deque)
_IGNORED: Final = frozenset(
    {
        *(bool, bytes, bytearray, complex, float, int, str, type(None), range, slice),
        *(CodeType, type, ModuleType, Command, G, M, P, Sched, Status, Timer, Timers),
    }
)


class _Thing:
    """What goroutines wait on."""

    def __init__(self, waiter: Any, label: str = "", kind: str = "") -> None:
        self.waiter = waiter
        self.timed = isinstance(waiter, Chan) and waiter.timed
        elsewhere = waiter.elsewhere()
        self.served = self.timed or bool(elsewhere)
        self.label = _chanlabel(waiter) if isinstance(waiter, Chan) else label or elsewhere
        self.kind = "timer" if self.timed else "channel" if isinstance(waiter, Chan) else "lock"
        if elsewhere:
            self.kind = "network"
        self.kind = kind or self.kind

    @classmethod
    def awaited(cls, kind: str, label: str) -> _Thing:
        """A task, or what a goroutine comes to."""
        return cls(Waiter(), label, kind)

    def owner(self, obj: Any) -> None:
        """The queue of `obj` is what they wait on."""
        if not self.label:
            self.kind = type(obj).__name__
            self.label = _semalabel(obj)


class _Node:
    """Goroutines with one stack that wait on the same."""

    def __init__(self, state: str, frames: Stack, things: frozenset[int]) -> None:
        self.state = state
        self.frames = frames
        self.things = things
        self.gs: list[G] = []
        self.tasks: list[str] = []  # if they are tasks, their names
        self.keys: list[int] = []
        self.uses: set[int] = set()
        self.holds: set[int] = set()

    def __len__(self) -> int:
        return len(self.gs) or len(self.tasks)


def _chanlabel(ch: Chan[Any]) -> str:
    return Chan.__repr__(ch).strip("<>").replace(" at ", " ")


def _semalabel(obj: Any) -> str:
    if type(obj).__module__.partition(".")[0] == "gopark" and type(obj).__name__ != "Cond":
        return repr(obj).strip("<>").replace(" at ", " ")  # ours: it runs no code of the user's
    return f"{type(obj).__name__} {id(obj):#x}"


def graph() -> dict[str, Any]:
    """The picture as nodes and edges."""
    began = time.perf_counter()
    things: dict[int, _Thing] = {}
    hosted = tasks()
    nodes = _nodes(things, _awaits(hosted))
    _addtasks(nodes, things, hosted)
    outside = {id(vars(m)) for m in sys.modules.copy().values() if isinstance(m, ModuleType)}
    searched = _walktasks(nodes, things, outside)
    running: list[tuple[_Node, G]] = []
    for node in nodes:
        for g in islice(paced(node.gs), _WALKED):
            searched += 1
            if searched > _SEARCHED:
                break
            if not _search(node, g, things, outside):
                running.append((node, g))
    _searchlater(running, things, outside)
    _merge(nodes, things)
    awake = _awake(nodes, things)
    return _drawn(nodes, things, awake) | {
        "searched": min(searched, _SEARCHED),
        "goroutines": sum(len(node.gs) for node in nodes),
        "tasks": len(hosted),
        "took": time.perf_counter() - began,
    }


# --- goroutines ------------------------------------------------------------------------------


def _nodes(things: dict[int, _Thing], awaits: dict[int, list[int]]) -> list[_Node]:
    finder = _Finder(threadstates())
    nodes: dict[tuple[Any, ...], _Node] = {}
    found = [(g, _waiters(g)) for g in paced(allgs.copy()) if g.status is not GDEAD]
    shared = _shared([w.elsewhere() for _, waiters in found for w in waiters])
    first: dict[str, Waiter] = {}
    for g, waiters in paced(found):
        state = what(g)
        frames = finder.frames(g)
        for n, waiter in enumerate(waiters):
            if label := shared.get(waiter.elsewhere(), ""):
                waiter = waiters[n] = first.setdefault(label, waiter)
            if id(waiter) not in things:
                things[id(waiter)] = _Thing(waiter, label)
        key = state, id(frames), frozenset([*map(id, waiters), *awaits.get(g.goid, ())])
        node = nodes.get(key)
        if node is None:
            node = nodes[key] = _Node(state, frames, key[2])
        node.gs.append(g)
    return sorted(nodes.values(), key=lambda node: -len(node.gs))


def _awaits(hosted: list[HostedTask]) -> dict[int, list[int]]:
    """By goroutine the tasks that it awaits, as things: these have negative numbers."""
    found: dict[int, list[int]] = {}
    for task in hosted:
        for one in task.awaitedby:
            if one.key < 0:
                found.setdefault(-one.key, []).append(-task.key)
    return found


def _addtasks(nodes: list[_Node], things: dict[int, _Thing], hosted: list[HostedTask]) -> None:
    """Tasks as nodes, and what is awaited across the bridge as things."""
    names = Counter(task.name for task in hosted)
    found: dict[tuple[Any, ...], _Node] = {}
    results: set[int] = set()
    for task in paced(hosted):
        waits = set()
        for one in task.on:
            if one.key < 0:
                results.add(-one.key)
            waits.add(_RESULT + one.key if one.key < 0 else -one.key)
        key = task.state, task.frames, frozenset(waits)
        node = found.get(key)
        if node is None:
            node = found[key] = _Node(f"asyncio task, {task.state}", *key[1:])
        node.tasks.append(task.name)
        node.keys.append(task.key)
        if task.awaitedby:
            node.holds.add(-task.key)
            twin = f" {task.key:#x}" if names[task.name] > 1 else ""
            things[-task.key] = _Thing.awaited("task", f'task "{task.name}"{twin}')
    for node in nodes:
        for goid in results.intersection(g.goid for g in node.gs) if results else ():
            node.holds.add(_RESULT - goid)
            things[_RESULT - goid] = _Thing.awaited("goroutine", f"goroutine {goid}")
    nodes += found.values()
    for node in nodes:
        node.things = frozenset(i for i in node.things if i in things)
    nodes.sort(key=lambda node: -len(node))


def _shared(names: list[str]) -> dict[str, str]:
    """Of connections that are too many, "tcp 10.0.0.1:80->10.0.0.2:4711", a label for several."""
    ends = {name: name.partition(" ")[2].split("->") for name in names if name}
    if len(ends) <= _CONNS:
        return {}
    often = Counter(end for both in ends.values() for end in both)
    return {
        name: f"{name.partition(' ')[0]} {max(both, key=often.__getitem__)}, connections"
        for name, both in ends.items()
        if len(both) > 1
    }


def _waiters(g: G) -> list[Waiter]:
    """What another goroutine would have to act on to wake this one."""
    waiting = g.waiting if g.status is GWAITING else None
    if isinstance(waiting, _Selecting):
        return list(waiting.chans)
    if isinstance(waiting, Chan):
        return [waiting]  # that of a timer, too
    if waiting is not None and waiting.elsewhere():
        return [waiting]
    return [] if waiting is None else waiting.wakers() or []


def waitson(g: G) -> list[str]:
    """What this goroutine is parked on, in words."""
    things = {id(waiter): _Thing(waiter) for waiter in _waiters(g)}
    if any(not thing.label for thing in things.values()):
        _walk(g, things, set())
    return [thing.label or "a lock" for thing in things.values()]


def _walktasks(nodes: list[_Node], things: dict[int, _Thing], outside: set[int]) -> int:
    """What can be reached from the frames of tasks. How many were searched."""
    coros = {} if FREETHREADED or hosteddoors.coros is None else hosteddoors.coros()
    searched = 0
    for node in nodes:
        for key in islice(paced(node.keys), min(_WALKED, _SEARCHED - searched)):
            searched += 1
            node.uses |= _reached([coros.get(key)], things, outside)[0]
    return searched


def _search(node: _Node, g: G, things: dict[int, _Thing], outside: set[int]) -> bool:
    """False: it cannot be looked into now."""
    found = _walk(g, things, outside)
    if found is None:
        return False
    node.uses |= found[0]
    node.holds |= found[1]
    return True


def _searchlater(
    running: list[tuple[_Node, G]], things: dict[int, _Thing], outside: set[int]
) -> None:
    """Without a GIL nobody looks into what runs: most of them wait soon, and have the same then."""
    for _ in range(_LATER):
        if not running:
            break
        time.sleep(_SOON)
        running = [one for one in running if not _search(*one, things, outside)]


def _walk(g: G, things: dict[int, _Thing], outside: set[int]) -> tuple[set[int], set[int]] | None:
    """The things that can be reached from the frames of this goroutine, and those it holds.

    None: without a GIL nobody looks into one that runs.
    """
    if FREETHREADED:
        waiting = g.waiting
        start = [] if waiting is None else waiting.frozen(g, _held)
        if not start:
            return None
    else:
        start = _held(g)
    used, held = _reached(start, things, outside)
    return used, held - set(map(id, _waiters(g)))


def _reached(
    start: list[Any], things: dict[int, _Thing], outside: set[int]
) -> tuple[set[int], set[int]]:
    used: set[int] = set()
    held: set[int] = set()
    seen: set[int] = set()
    front = deque((obj, 0) for obj in start)
    while front and len(seen) < _FAR:
        obj, depth = front.popleft()
        if id(obj) in seen or id(obj) in outside:
            continue
        kind = type(obj)
        if kind in _IGNORED or isinstance(obj, type):
            continue
        seen.add(id(obj))
        if id(obj) in things:
            used.add(id(obj))
        if isinstance(obj, Waiter) or depth >= _DEEP:
            continue
        inner = _referents(obj)
        if kind is CoroutineType:
            held |= _locked(inner, things)
        for ref in inner:
            if isinstance(ref, Waiter) and id(ref) in things and type(obj) not in _INSIDE:
                things[id(ref)].owner(obj)
        front.extend((ref, depth + 1) for ref in inner)
    return used, held


def _held(g: G) -> list[Any]:
    """Where a goroutine's frames are, or what it was started with."""
    return [obj for obj in (g.coro, g.step) if obj is not None]


def _locked(referents: list[Any], things: dict[int, _Thing]) -> set[int]:
    """What a frame is inside a `with` of, or about to be: it has the way out on its stack."""
    held: set[int] = set()
    for obj, after in pairwise((*referents, None)):
        if type(obj) is MethodType:
            code, owner = obj.__func__, obj.__self__
        else:  # from 3.14 on the function, and then what it is a method of
            code, owner = obj, after
        if getattr(code, "__name__", "") in ("__aexit__", "__exit__"):
            module = type(owner).__module__
            if module.startswith("gopark.sync"):
                held |= {id(ref) for ref in gc.get_referents(owner) if id(ref) in things}
    return held


def _referents(obj: Any) -> list[Any]:
    if type(obj) is FunctionType:  # not its globals, which are the whole module
        return [*(obj.__closure__ or ()), *(obj.__defaults__ or ())]
    if type(obj) is BuiltinFunctionType and isinstance(obj.__self__, ModuleType):
        return []
    return gc.get_referents(obj)


def _merge(nodes: list[_Node], things: dict[int, _Thing]) -> None:
    """The two queues of an RWMutex, of readers and of writers, are one thing."""
    first: dict[str, int] = {}
    same = {i: first.setdefault(thing.label or str(i), i) for i, thing in things.items()}
    for node in nodes:
        node.things = frozenset(same[i] for i in node.things)
        node.uses = {same[i] for i in node.uses}
        node.holds = {same[i] for i in node.holds} - node.things
    for i in set(things).difference(same.values()):
        del things[i]


def _awake(nodes: list[_Node], things: dict[int, _Thing]) -> set[int]:
    """Numbers of the things for which somebody was found who may act on them."""
    awake = {i for i, thing in things.items() if thing.served}
    known = {i for node in nodes for i in node.holds}
    todo = list(nodes)
    while todo:
        left = []
        for node in todo:
            if not node.things or node.things & awake:
                awake |= node.holds | (node.uses - known)
            else:
                left.append(node)
        if len(left) == len(todo):
            break
        todo = left
    return awake


# --- as JSON -----------------------------------------------------------------------------------


def _drawn(nodes: list[_Node], things: dict[int, _Thing], awake: set[int]) -> dict[str, Any]:
    """The largest nodes that wait, those that use what these wait on, and the edges between."""
    waiting = [node for node in nodes if node.things]
    shown = waiting[:_NODES]
    order: dict[int, int] = {}
    for node in shown:
        for i in sorted(node.things, key=lambda i: things[i].label):
            if len(order) < _NODES:
                order.setdefault(i, len(order))
    users = [node for node in nodes if not node.things]
    users = [node for node in users if (node.uses | node.holds) & order.keys()]
    others = max(0, len(users) - _NODES)
    shown += users[:_NODES]
    edges = []
    for n, node in enumerate(shown):
        uses = node.uses - node.things if len(node) == 1 else node.uses
        kinds = {"waits": node.things, "holds": node.holds, "uses": uses - node.holds}
        edges += [
            {"g": n, "t": order[i], "kind": kind}
            for kind, ids in kinds.items()
            for i in sorted(ids, key=lambda i: order.get(i, 0))
            if i in order
        ]
    return {
        "nodes": [_asjson(node, awake) for node in shown],
        "things": [
            {"label": things[i].label or "lock", "kind": things[i].kind, "awake": i in awake}
            for i in order
        ],
        "edges": edges,
        "left_out": len(waiting) - min(len(waiting), _NODES) + others,
        "things_left_out": len(things) - len(order),
    }


def _asjson(node: _Node, awake: set[int]) -> dict[str, Any]:
    ids = sorted(g.goid for g in node.gs)
    return {
        "ids": ids[:5],
        "tasks": node.tasks[:5],
        "count": len(node),
        "what": node.state,
        "func": node.frames[0][0] if node.frames else "",
        "frames": node.frames[:8],
        "awake": not node.things or bool(node.things & awake),
    }
