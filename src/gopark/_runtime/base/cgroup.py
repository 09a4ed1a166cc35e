"""The CPU limit of the control group that this process is in, as containers have one.

Linux tells it in three steps: `/proc/self/cgroup` names the group, `/proc/self/mountinfo` where
the tree of groups is mounted, and a file in there holds the limit:

  version 2   cpu.max: QUOTA PERIOD, where the quota may be `max`
  version 1   cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us

The group is looked up once; its files are read each time, for the limit may change. What is not
there, cannot be read or makes no sense is no limit. As in Go, the limits of the groups around it
do not count.

Takes no lock, waits for nothing but the file system of the kernel; needs no P.
Source: Go 1.27 internal/runtime/cgroup, runtime/cgroup_linux.go.
Tests: tests/runtime/test_cgroup.py
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

__all__ = ("cpulimit",)


class _Group(NamedTuple):
    """Where the files of the group are."""

    version: int
    folder: str


def cpulimit(root: str = "/") -> float | None:
    """How many CPUs' time the process may use; None if there is no limit.

    Args:
        root: Where the file system begins. Tests have one of their own.
    """
    group = _find(root)
    if group is None:
        return None
    try:
        if group.version == 2:
            quota, period = _read(root, group.folder, "cpu.max").split()
        else:
            quota = _read(root, group.folder, "cpu.cfs_quota_us")
            period = _read(root, group.folder, "cpu.cfs_period_us")
        return None if quota == "max" or int(quota) < 0 else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _read(root: str, folder: str, name: str) -> str:
    with open(f"{root.rstrip('/')}{folder.rstrip('/')}/{name}", encoding="utf-8") as file:
        return file.read()


@functools.cache
def _find(root: str) -> _Group | None:
    try:
        version, path = _group(_read(root, "/proc/self", "cgroup"))
        mounts = _read(root, "/proc/self", "mountinfo")
    except (OSError, ValueError):
        return None
    for line in mounts.splitlines():
        folder = _below(line, version, path)
        if folder is not None:
            return _Group(version, folder)
    return None


def _group(text: str) -> tuple[int, str]:
    """The group that limits the CPU: one of version 1 if there is any, as Go looks for it.

    Raises:
        ValueError: there is none.
    """
    found = None
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if "cpu" in controllers.split(","):
            return 1, path
        if number == "0" and not controllers:
            found = 2, path
    if found is None:
        raise ValueError("no group that limits the CPU")
    return found


def _below(line: str, version: int, path: str) -> str | None:
    """Where `path` is, if this line of mountinfo is the mount of that tree."""
    fields, _, rest = line.partition(" - ")
    kind, *_, options = rest.split()
    if kind != ("cgroup", "cgroup2")[version - 1]:
        return None
    if version == 1 and "cpu" not in options.split(","):
        return None
    root, mount = map(_unescape, fields.split()[3:5])
    root = root.rstrip("/")
    if path != root and not path.startswith(root + "/"):
        return None  # a group outside what is mounted here
    return mount + path[len(root) :]


def _unescape(text: str) -> str:
    """mountinfo writes a space as `\\040`."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)
