"""`gopark top`: what a process does, again and again, as a table in the terminal.

Everything comes from one answer of the process (`_runtime/sched/snapshot.py`); the share of a CPU
is the difference between two. `page` makes the lines and knows nothing of the terminal;
`_Screen` puts them there with a few ANSI sequences and leaves the terminal as it was, however it
ends.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from gopark._cmd._ask import Process
from gopark._cmd._failed import Failed
from gopark._runtime.base.printstring import oneline

__all__ = ("page", "top")

_QUIT = set(b"qQ\x03")
_WIDE = 100  # columns where there is no terminal

Snapshot = dict[str, Any]


def top(process: Process, interval: float, once: bool) -> int:
    """The command."""
    if once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        now = _look(process)
        width = shutil.get_terminal_size((_WIDE, 0)).columns
        print("\n".join(page(now, None, width)))
        return 0
    try:
        with _Screen() as screen:
            before = None
            while True:
                now = _look(process)
                screen.show(page(now, before, screen.width()), "q quits")
                before = now
                if screen.quits(interval):
                    return 0
    except KeyboardInterrupt:
        return 0
    except Failed as failed:
        print(f"gopark top: {failed}")  # it was in view until now; that is no failure
        return 0


def _look(process: Process) -> Snapshot:
    snapshot: Snapshot = json.loads(process.ask("top"))
    return snapshot


# --- the page ------------------------------------------------------------------------------


def page(now: Snapshot, before: Snapshot | None, width: int) -> list[str]:
    """The lines, none wider than `width`."""
    lines = [
        _head(now, before),
        "states   " + ("  ".join(f"{what} {n:,}" for what, n in now["states"]) or "none"),
        "Ps       " + (_ps(now) or "none"),
        *_ms(now),
        *_requests(now),
        "",
        *_table(now, width),
    ]
    return [oneline(line)[:width].rstrip() for line in lines]


def _head(now: Snapshot, before: Snapshot | None) -> str:
    parts = [
        f"gopark top: process {now['pid']}",
        f"{now['goroutines']:,} goroutine{'s' if now['goroutines'] != 1 else ''}",
        f"GOMAXPROCS {len(now['ps'])}",
        f"{now['timers']:,} timer{'s' if now['timers'] != 1 else ''}",
        f"CPU {now['cpu']:.1f} s",
    ]
    if before is not None and now["at"] > before["at"]:
        share = (now["cpu"] - before["cpu"]) / (now["at"] - before["at"])
        parts[-1] += f", {share:.0%} now"
    return "   ".join(parts)


def _ps(now: Snapshot) -> str:
    parts = [f"global queue {now['runqueue']:,}"]
    for pid, state, mid, queued, _ in now["ps"]:
        where = "" if mid is None else f" M{mid}"
        parts.append(f"P{pid} {state}{where}, queue {queued:,}")
    return "   ".join(parts)


def _ms(now: Snapshot) -> Iterator[str]:
    """A line for each M that does something; those that do not are counted."""
    resting: dict[str, int] = {}
    label = "Ms       "
    for mid, tid, state, pid, goid in now["ms"]:
        if goid is None:
            resting[state] = resting.get(state, 0) + 1
            continue
        where = "" if pid is None else f" on P{pid}"
        yield f"{label}M{mid} (thread {tid}) goroutine {goid} {state}{where}"
        label = " " * len(label)
    if resting:
        yield label + "  ".join(f"{n:,} {state}" for state, n in resting.items())


def _requests(now: Snapshot) -> Iterator[str]:
    """Those of clients that are being answered, most of a kind first."""
    if found := now.get("requests"):
        yield "in flight " + "  ".join(
            f"{n:,} {name.removeprefix('request ')}" for name, n in found
        )


def _table(now: Snapshot, width: int) -> Iterator[str]:
    tasks = [_task(*row) for row in now.get("tasks", ())]
    what = max(map(len, ["STATE", *(group[2] for group in now["groups"]), *(t[1] for t in tasks)]))
    room = max(20, (width - what - 12) // 2)
    yield f"{'COUNT':>8}  {'STATE':<{what}}  {'WHERE':<{room}}CREATED BY"
    for count, goid, state, stack in now["groups"]:
        where, created = _places(stack)
        if count == 1:
            where = f"{where} [{goid}]"
        yield f"{count:>8,}  {state:<{what}}  {where:<{room - 1}.{room - 1}} {created}"
    if now["ungrouped"]:
        yield f"{now['ungrouped']:>8,}  more, whose stacks were not read"
    for count, state, where, awaited in tasks:
        yield f"{count:>8,}  {state:<{what}}  {where:<{room - 1}.{room - 1}} {awaited}"


def _task(
    count: int, name: str, what: str, stack: str, awaitedby: list[str]
) -> tuple[int, str, str, str]:
    """A row for tasks of asyncio's: how many, what they do, where, who awaits the first."""
    where = _places(stack)[0] or "stack unavailable"
    if count == 1:
        where = f"{where} [{name}]"
    return count, f"task {what}", where, f"awaited by {awaitedby[0]}" if awaitedby else ""


def _places(stack: str) -> tuple[str, str]:
    """Where a goroutine is, and where it was started."""
    lines = stack.splitlines()
    where = created = ""
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        place = os.path.basename(after.strip())
        if line.startswith("created by "):
            created = f"{line.removeprefix('created by ')} {place}"
        elif not where and after.startswith("\t"):
            where = f"{line.removesuffix('(...)')} {place}"
    return where or (lines[0].strip() if lines else ""), created


# --- the terminal --------------------------------------------------------------------------


class _Screen:
    """The other screen of the terminal, with keys that come one by one."""

    def __enter__(self) -> _Screen:
        import termios
        import tty

        self._fd = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._fd)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # tidy up first
        tty.setcbreak(self._fd)
        self._put("\x1b[?1049h\x1b[?25l")  # the other screen, no cursor
        return self

    def __exit__(
        self, cls: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        import termios

        self._put("\x1b[?25h\x1b[?1049l")
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _put(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def width(self) -> int:
        return os.get_terminal_size(sys.stdout.fileno()).columns

    def show(self, lines: list[str], foot: str) -> None:
        """As many lines as there is room for; the first in bold, the last upside down."""
        rows = os.get_terminal_size(sys.stdout.fileno()).lines
        fits = lines[: max(1, rows - 1)]
        if len(lines) > len(fits):
            foot += f"; {len(lines) - len(fits):,} lines more"
        body = "".join(f"{line}\x1b[K\r\n" for line in fits[1:])
        head = f"\x1b[H\x1b[1m{fits[0]}\x1b[m\x1b[K\r\n"
        self._put(f"{head}{body}\x1b[J\x1b[{rows}H\x1b[7m {foot} \x1b[m")

    def quits(self, seconds: float) -> bool:
        """Wait so long; True if a key was pressed that ends it."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._fd], [], [], left)[0]:
                try:
                    keys = os.read(self._fd, 64)
                except OSError:
                    return True  # the terminal is gone
                if not keys or keys == b"\x1b" or _QUIT & set(keys):
                    return True
        return False
