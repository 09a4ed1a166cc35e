#!/usr/bin/env bash
# decimal: `getcontext().prec = 5` in one asyncio task changes all others or none, depending on
# whether anyone had called getcontext() before the task was made.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0.
#
# The context is in a ContextVar, and each task has a copy of the variables. The copy is of the
# reference: the context itself, which is mutable, is shared, if there was one already.
#
#     the parent                       a child sets prec = 5; then the parent's Decimal(1) / 3
#     has not used decimal before      0.3333333333333333333333333333
#     has called getcontext()          0.33333
#     the child does it within localcontext():          unharmed in both cases
#
# Any use counts: one division in the parent is as good as getcontext().
#
# The guess: precision is per task as it is per thread, or it is shared; not that a division made
# earlier, anywhere in the parent, decides it.
#
# Why it matters: goroutines, tasks and asyncio.to_thread start with such a copy. Money is
# rounded in a request because another one wanted fewer digits, and a test that does not divide
# first does not show it.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import contextvars
import decimal
import sys


async def sets():
    decimal.getcontext().prec = 5


async def sets_locally():
    with decimal.localcontext():
        decimal.getcontext().prec = 5


async def parent(before, child):
    before()
    await asyncio.create_task(child())
    return len(str(decimal.Decimal(1) / 3)) - len("0.")


def digits(before, child):
    # An empty set of variables: nobody has used decimal in it.
    return contextvars.Context().run(lambda: asyncio.run(parent(before, child)))


def nothing():
    pass


def divides():
    decimal.Decimal(1) / 7


results = {}
print("CPython", sys.version.split()[0])
for before in nothing, decimal.getcontext, divides:
    for child in sets, sets_locally:
        results[before.__name__, child.__name__] = n = digits(before, child)
        print(f"  parent: {before.__name__:10}  child: {child.__name__:12}  the parent has {n} digits")
if results != {
    ("nothing", "sets"): 28,
    ("nothing", "sets_locally"): 28,
    ("getcontext", "sets"): 5,
    ("getcontext", "sets_locally"): 28,
    ("divides", "sets"): 5,
    ("divides", "sets_locally"): 28,
}:
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
