"""Puts fresh tables into the pages that show them, between two marker comments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from benchmarks.report import Run
from benchmarks.table import markdown

__all__ = ("between_markers", "write")

# The first line may say more; it stays as it is, and so does the other.
_MARKERS = re.compile(
    r"(^<!-- benchmarks:(?! end -->)[^\n]*-->\n).*?(^<!-- benchmarks: end -->$)", re.M | re.S
)


def between_markers(page: str, text: str) -> str | None:
    """The page with that text between its markers; None if it has none."""
    if not _MARKERS.search(page):
        return None
    return _MARKERS.sub(lambda found: f"{found[1]}{text.rstrip()}\n{found[2]}", page, count=1)


def write(root: Path, runs: list[Run], facts: dict[str, Any]) -> list[str]:
    """All tables into docs/performance.md, the main rows into README.md; which were changed."""
    texts = {
        "docs/performance.md": markdown(runs, facts, level=3),
        "README.md": markdown(runs[:1], facts, level=3, main=True),
    }
    changed = []
    for name, text in texts.items():
        path = root / name
        page = path.read_text(encoding="utf-8") if path.exists() else ""
        fresh = between_markers(page, text)
        if fresh is not None:
            path.write_text(fresh, encoding="utf-8")
            changed.append(name)
    return changed
