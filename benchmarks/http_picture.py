"""Draws what `benchmarks.http_blocked` has printed: how long `/` takes while others block.

    python -m benchmarks.http_blocked | tee figures.txt
    python -m benchmarks.http_picture docs/http-blocked.svg figures.txt

A bar for each side: the median of `/` with 8 connections in a handler that blocks for 0.3 s, on an
axis by tens, since 0.2 ms cannot be seen beside a second. Beside it the figure, and how many
answers a second that is of what the same side gives while it is quiet.
"""

from __future__ import annotations

import datetime
import math
import os
import platform
import re
import sys
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(
    r"  (?P<side>\S.*?)\s+(?P<blocked>\d+) blocked\s+(?P<p50>\S+)\s+(?P<p99>\S+)\s+\S+"
    r"\s+(?P<rate>\d+)/s"
)
_OURS, _THEIRS = "#00829b", "#b4bcc4"
_LEFT, _WIDE, _ROW = 190, 360, 30
_FIRST, _LAST = -1, 4  # powers of ten, in ms


class Figure(NamedTuple):
    p50: float
    p99: float
    rate: int


def read(text: str) -> dict[str, dict[int, Figure]]:
    """By side and kind, and by how many are blocked."""
    found: dict[str, dict[int, Figure]] = {}
    kind = ""
    for line in text.splitlines():
        if (match := _LINE.match(line)) is not None:
            figure = Figure(float(match["p50"]), float(match["p99"]), int(match["rate"]))
            found.setdefault(f"{match['side']}, {kind}", {})[int(match["blocked"])] = figure
        elif line and not line.startswith(" "):
            kind = line.partition(",")[0].upper()
    return found


def draw(found: dict[str, dict[int, Figure]], blocked: int, about: str) -> str:
    """The picture."""
    rows = [(side, of[0], of[blocked]) for side, of in found.items() if {0, blocked} <= of.keys()]
    height = 96 + _ROW * len(rows)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="760" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-size="15">How long / takes while {blocked} others block their '
        "thread: median, shorter is better</text>",
        f'<text x="12" y="42" fill="#555">{about}</text>',
    ]
    for power in range(_FIRST, _LAST + 1):
        x = _x(10.0**power)
        text = f"{10**power / 1000:g} s" if power >= 3 else f"{10.0**power:g} ms"
        out.append(f'<line x1="{x}" y1="54" x2="{x}" y2="{height - 26}" stroke="#e3e6e8"/>')
        out.append(f'<text x="{x}" y="{height - 10}" text-anchor="middle">{text}</text>')
    for number, (side, quiet, busy) in enumerate(rows):
        y = 60 + _ROW * number
        width = max(2.0, _x(busy.p50) - _LEFT)
        colour = _OURS if side.startswith("gopark") else _THEIRS
        share = busy.rate / quiet.rate
        out.append(f'<text x="{_LEFT - 8}" y="{y + 15}" text-anchor="end">{side}</text>')
        out.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="20" fill="{colour}"/>')
        out.append(
            f'<text x="{_LEFT + width + 6:.1f}" y="{y + 15}">{busy.p50:g} ms, {share:.0%} of its '
            "quiet answers</text>"
        )
    return "\n".join([*out, "</svg>", ""])


def _x(ms: float) -> float:
    return _LEFT + _WIDE * (math.log10(max(ms, 10**_FIRST)) - _FIRST) / (_LAST - _FIRST)


def main() -> None:
    file, figures = map(Path, sys.argv[1:3])
    about = (
        f"CPython {platform.python_version()}, {len(os.sched_getaffinity(0))} cores, "
        f"{platform.machine()}, {datetime.date.today()}; {sys.argv[3] if sys.argv[3:] else ''}"
    ).rstrip("; ")
    file.write_text(draw(read(figures.read_text()), 8, about))


if __name__ == "__main__":
    main()
