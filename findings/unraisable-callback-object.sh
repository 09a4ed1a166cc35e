#!/usr/bin/env bash
# Which callback raised? sys.unraisablehook gets the function from ctypes up to CPython 3.12, and
# None from ctypes in 3.13 and from cffi always.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0 (ctypes); cffi 2.1.1.
#
#     3.11.7   ctypes: object is the function    err_msg does not name it
#     3.12.1   ctypes: object is the function    err_msg does not name it
#     3.13.0   ctypes: object is None            err_msg names it
#     all      cffi:   object is None            err_msg names it
#
# The guess: `args.object`, "object causing the exception, can be None", is the function, in every
# version alike, and in cffi too. What is left in 3.13 is text: "<function f at 0x...>" inside of
# err_msg, and that text is whatever the function's __repr__ says.
#
# Why it matters: exceptions in callbacks end up in this hook and nowhere else. A runtime, a test
# runner or an error collector that asks "is this one of my callbacks?" by `args.object` works on
# 3.12, and on 3.13 silently takes them all for somebody else's. What an exception of the function
# itself has in all versions is a traceback, whose last frame has the function's code.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import ctypes
import sys

import cffi

seen = []
sys.unraisablehook = lambda args: seen.append((args.object, args.err_msg, args.exc_traceback))


def told(fn):
    def boom():
        raise ValueError("from the callback")

    fn(boom)
    [(object_, text, traceback)] = seen
    seen.clear()
    while traceback.tb_next:
        traceback = traceback.tb_next
    what = {None: "None", boom: "the function"}.get(object_, "something else")
    return what, "boom at 0x" in text, traceback.tb_frame.f_code is boom.__code__


by_ctypes = told(lambda f: ctypes.CFUNCTYPE(None)(f)())
by_cffi = told(lambda f: cffi.FFI().callback("void(void)", f)())
print("CPython", sys.version.split()[0])
for name, (what, named, traced) in ("ctypes", by_ctypes), ("cffi", by_cffi):
    print(f"  {name:6} object: {what:12}  err_msg names it: {named!s:5}  traceback has it: {traced}")

old = sys.version_info < (3, 13)
if by_ctypes != (("the function", False, True) if old else ("None", True, True)):
    sys.exit("this has changed for ctypes")
if by_cffi != ("None", True, True):
    sys.exit("this has changed for cffi")
PY

for version in 3.11 3.12 3.13; do
    python=$(venv "$version" cffi==2.1.1)
    "$python" "$dir/t.py"
done
