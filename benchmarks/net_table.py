"""The table of docs/net.md: connections of gopark beside those of others, measured side by side.

    python -m benchmarks.net_table                 print it; ten minutes, on a machine that is idle
    python -m benchmarks.net_table --docs          put it into docs/net.md
    python -m benchmarks.net_table --quick         seconds: whether all of it runs

What is measured is said at the top of net_echo.py, net_idle.py, net_stream.py and tls_echo.py. The
rounds are interleaved (gopark, asyncio, ..., gopark, ...). A cell has the median of the rounds and,
in brackets, that over gopark's: the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import docs, net_echo, net_idle, net_stream, tls_echo
from benchmarks.measure import machine

ROOT = Path(__file__).resolve().parent.parent
PAGE = "docs/net.md"

# In tls_echo.py they have other names.
_TLS = {
    "gopark": "gopark",
    "asyncio streams": "asyncio",
    "uvloop streams": "uvloop",
    "uvloop protocol": "uvloop-protocol",
}


@dataclass
class Line:
    """One row of the table: the samples of each side, in the order of the rounds."""

    title: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)

    def cell(self, side: str) -> str:
        found = self.samples.get(side)
        if not found:
            return "-"
        value = _number(statistics.median(found))
        if side == "gopark":
            return f"{value} {self.unit}"
        pairs = zip(found, self.samples["gopark"], strict=True)
        ratios = [a / b for a, b in pairs if b]
        return f"{value} ({statistics.median(ratios):.2f}x)" if ratios else value


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass
class Group:
    """What one measurement gives, a line for each figure."""

    lines: list[Line]
    measure: Callable[[str], tuple[float, ...]]  # by side
    sides: list[str]


def _connections(n: int) -> str:
    return f"{n:,} connection" + "s" * (n > 1)


def _us(found: tuple[float, float]) -> tuple[float, float]:
    return found[0], found[1] * 1e6


def groups(quick: bool, cores: tuple[int, int], folder: Path) -> Iterator[Group]:
    """All that is measured, for the sides that are installed."""
    sides = [side for side in net_echo.SIDES if net_echo.installed(side)]
    seconds = 0.2 if quick else 2.0
    for n in (1, 10) if quick else (1, 10, 100, 1000):
        rate = Line(f"echo of 1 KB, {_connections(n)}: answers a second", "")
        yield Group(
            [rate, Line("- processor time for each", "µs")],
            lambda side, n=n: _us(net_echo.measure(side, n, seconds, cores)),  # type: ignore[misc]
            sides,
        )
    for n in (1,) if quick else (1, 10, 100):
        rate = Line(f"the same over TLS, {_connections(n)}: answers a second", "")
        yield Group(
            [Line("- processor time for each", "µs"), rate],
            lambda side, n=n: tls_echo.measure(  # type: ignore[misc]
                _TLS[side], n, 200 if quick else 10_000, folder
            ),
            [side for side in sides if side in _TLS],
        )
    chunks = 100 if quick else 1_000_000_000 // net_stream.CHUNK
    for way, name in ((net_stream.UP, "to"), (net_stream.DOWN, "from")):
        rate = Line(f"a stream of 1 GB {name} the server: MB a second", "")
        yield Group(
            [rate, Line("- processor time for 1 GB", "s")],
            lambda side, way=way: net_stream.measure(side, way, chunks, cores),  # type: ignore[misc]
            [side for side in sides if side in net_stream.SERVERS],
        )
    many = 100 if quick else 10_000
    yield Group(
        [
            Line(f"{many:,} idle connections: memory of each", "bytes"),
            Line("- threads of the server", ""),
            Line("- processor time in a second", "ms"),
        ],
        lambda side: (lambda x: (x[0], x[1], x[2] * 1000))(net_idle.idle(side, many, cores)),
        [side for side in sides if side != "threads"],
    )
    yield Group(
        [Line("accept, hand over, close: connections a second", ""), Line("- each", "µs")],
        lambda side: _us(net_idle.accept(side, 200 if quick else net_idle.ACCEPTS, cores)),
        [side for side in sides if side != "threads"],
    )


def measured(group: Group, rounds: int) -> list[Line]:
    for _ in range(rounds):
        for side in group.sides:
            for line, value in zip(group.lines, group.measure(side), strict=True):
                line.samples.setdefault(side, []).append(value)
    # What is counted in a second comes first, also where it is measured second.
    return sorted(group.lines, key=lambda line: line.title.startswith("-"))


def table(lines: list[Line], rounds: int, where: str) -> str:
    sides = [side for side in net_echo.SIDES if any(side in line.samples for line in lines)]
    text = [
        f"Measured by `python -m benchmarks.net_table`: {where}; the server on one core, the "
        f"client on another, medians of {rounds} interleaved rounds. In brackets, the figure over "
        "gopark's. `raw` is an epoll loop by hand, the limit of what Python can do.",
        "",
        f"| | {' | '.join(sides)} |",
        f"| --- |{' ---: |' * len(sides)}",
    ]
    text += [f"| {x.title} | {' | '.join(x.cell(s).strip() for s in sides)} |" for x in lines]
    return "\n".join(text)


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--docs", action="store_true", help=f"put it into {PAGE}")
    parser.add_argument("--quick", action="store_true", help="small sizes: no figures to quote")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    about = machine()
    cores = sorted(os.sched_getaffinity(0))
    where = cores[0], cores[-1]
    net_echo.pin(0, where[1])
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tls_echo.make_certificate(folder)
        for group in groups(options.quick, where, folder):
            lines += measured(group, rounds)
    text = table(lines, rounds, about)
    print(text)
    if options.docs:
        path = ROOT / PAGE
        page = docs.between_markers(path.read_text(encoding="utf-8"), text)
        assert page is not None, f"{PAGE} has no markers"
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
