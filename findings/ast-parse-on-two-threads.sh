#!/usr/bin/env bash
# CPython 3.11: ast.parse on valid source raises SystemError, if another thread parses at an unlucky
# moment.
#
# Seen with: CPython 3.11.7; not with 3.12.1 and 3.13.0. (python/cpython#106905: the depth of the
# recursion is counted in one place for the whole process. By its pull request 113035 a release of
# 3.11 after 3.11.7 should be free of it; not tried.)
#
#     ast.parse("x = [1]\n" * 50)
#     SystemError: AST constructor recursion depth mismatch (before=15, after=45)
#
# The unlucky moment is a collection of garbage while the tree is built, in which a finalizer, a
# weak reference's callback or one of gc.callbacks gives up the GIL. Here one of gc.callbacks does
# so, by waiting until the other thread has parsed.
#
# The guess: a pure function of a string is safe on any thread, under the GIL above all; and
# SystemError means a broken extension module.
#
# Why it matters: more code parses than one thinks. inspect.signature does for functions of C (the
# script shows that one too), and pytest for its assertions (pytest-dev/pytest#10763). Programs with
# many threads see a failure once in a long while.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import ast
import gc
import inspect
import sys
import threading


def deeper(n):
    """Parse further down the stack than the other does."""
    return deeper(n - 1) if n else ast.parse("y = 2")


def fails(do):
    """Run it, with the other thread parsing during each collection in it."""
    asked, parsed = threading.Semaphore(0), threading.Semaphore(0)
    over = False

    def other():
        while asked.acquire() and not over:
            deeper(10)
            parsed.release()

    def collecting(phase, info):
        if phase == "start" and threading.current_thread() is me:
            asked.release()
            parsed.acquire()

    me = threading.current_thread()
    thread = threading.Thread(target=other)
    thread.start()
    threshold = gc.get_threshold()
    gc.callbacks.append(collecting)
    gc.set_threshold(5)
    try:
        do()
    except SystemError as error:
        return str(error)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(collecting)
        over = True
        asked.release()
        thread.join()


by_parse = fails(lambda: ast.parse("x = [1]\n" * 50))
by_signature = fails(lambda: inspect.signature(sorted))
print("CPython", sys.version.split()[0])
print("  ast.parse:        ", by_parse)
print("  inspect.signature:", by_signature)
if (sys.version_info < (3, 12)) != bool(by_parse and by_signature):
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
