#!/usr/bin/env bash
# watchfiles: a folder with files in it that is moved into the watched one is one change, of the folder.
# Its files are in no change, so a filter for "*.py" sees nothing. When it is removed, they are named.
#
# Seen with: watchfiles 1.3.0, CPython 3.13.0. Linux (inotify).
#
# What `watch(folder)` gives, and what with `watch_filter=PythonFilter()`:
#
#     os.rename("elsewhere/pkg", "folder/pkg"), pkg has a.py        added pkg                 nothing
#     a.py in it is written later                                   modified pkg/a.py         the same
#     shutil.rmtree("folder/pkg")                                   deleted pkg, pkg/a.py     deleted pkg/a.py
#
# The guess: watching is recursive, so a.py was added; the more as a deletion names it.
#
# Why it matters: reloaders filter by suffix. A package that is unpacked beside and moved into place, as
# package managers and deployments do to be atomic, restarts nothing, and the server goes on without it
# or with half of an update.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import os
import shutil
import sys
import tempfile
import threading

import watchfiles

base = os.path.realpath(tempfile.mkdtemp(dir=sys.argv[1]))
folder, elsewhere = os.path.join(base, "folder"), os.path.join(base, "elsewhere")
os.mkdir(folder)
os.makedirs(os.path.join(elsewhere, "pkg"))
pkg = os.path.join(folder, "pkg")
with open(os.path.join(elsewhere, "pkg", "a.py"), "w"):
    pass


def write():
    with open(os.path.join(pkg, "a.py"), "w") as file:
        file.write("1")


python = watchfiles.PythonFilter()
steps = [
    lambda: os.rename(os.path.join(elsewhere, "pkg"), pkg),
    write,
    lambda: shutil.rmtree(pkg),
]
seen = []
stop = threading.Event()
timer = threading.Timer(1, steps[0])
timer.start()
limit = threading.Timer(120, stop.set)
limit.start()
for changes in watchfiles.watch(folder, stop_event=stop, debounce=500, rust_timeout=500):
    every = sorted((change.name, os.path.relpath(path, folder)) for change, path in changes)
    kept = sorted(os.path.relpath(path, folder) for change, path in changes if python(change, path))
    print(every, "by PythonFilter:", kept)
    seen.append((every, kept))
    if len(seen) == len(steps):
        break
    timer = threading.Timer(1, steps[len(seen)])
    timer.start()
limit.cancel()
inside = os.path.join("pkg", "a.py")
if seen[0] != ([("added", "pkg")], []) or seen[1][1] != [inside] or seen[2][1] != [inside]:
    sys.exit("this has changed")
PY

python=$(venv 3.13 watchfiles==1.3.0)
"$python" "$dir/t.py" "$dir"
