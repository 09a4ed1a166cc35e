"""The gate in front of ctypes callbacks: shut when Python is going away.

A C library may call a callback from its own threads while the interpreter exits, or from a
destructor after it has gone. Entering ctypes then crashes the process (CPython 3.11 to 3.13:
always from a destructor, often from a busy thread) or ends the calling thread. No Python can
help, since running Python is the problem. So `guard` puts a few machine instructions in
front of one callback, and `close`, called as late as `atexit` allows, shuts them: from then
on C gets a zero without entering Python. The first such call writes one line to stderr.

How: a ctypes callback is a libffi closure, a trampoline followed by `cif`, `fun` and
`user_data`. libffi calls `fun(cif, result, args, user_data)`; ctypes sets `user_data` to its
thunk object and embeds `cif` in it. Only `fun` is replaced. The gate counts the calls in
progress, so that `close` can wait for those that are inside already; without that wait a
thread caught between libffi and the GIL crashes about once in a hundred busy exits.

Invariants:
  - Nothing is changed unless every part of that layout is recognised, on Linux on 64-bit x86.
    Else `guard` says False, and late callbacks fare as with plain ctypes.
  - The gate adds to the count before it looks at the flag; `close` sets the flag before it
    looks at the count: a call that found the gate open is always seen by `close`. The gate
    looks at the flag before that as well, so that late calls do not keep the count up.
  - Callbacks alive at `close` are kept for ever, and the gate's pages are never unmapped: the
    addresses that C holds stay valid until the process ends.
  - A closed gate touches neither Python nor libc. It gives up the processor once per call,
    or threads that call in a tight loop would starve the exit.

Source: none in Go, whose runtime outlives main. Tests: tests/crash/test_testprogcgo.py
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys
import time
import weakref
from typing import Any, Final

__all__ = ("close", "guard")

_WORD = 8
_THUNK_WORDS = 10  # pcl_write and pcl_exec follow the object header, which is 3 to 5 words
_CLOSURE_WORDS = 8  # a closure on the supported machines never fills more than this

# The gate's page of code is followed by its page of data, which holds:
_PENDING, _CLOSED, _REPORTED, _FUN, _LENGTH, _TEXT = 0, 8, 12, 16, 24, 32
_REPORTING = 0x10  # the entry that reports late calls; the one at 0 is quiet

# {} is the distance to the data.  The result area libffi passes is at least 16 bytes, enough
# for every ctypes result type.
_X86 = """
    f30f1efa 4531c9 eb11    # quiet: endbr64; xor r9d, r9d; jmp common
    cccccccccccccc          # padding
    f30f1efa 41b901000000   # reporting: endbr64; mov r9d, 1
    4c8d05{0x21}            # common: lea r8, [rip + data]
    4183780800 7527         # cmp dword [r8 + 8], 0; jne zero
    f049ff00                # lock inc qword [r8]
    4183780800 7518         # cmp dword [r8 + 8], 0; jne late
    4883ec08 41ff5010       # sub rsp, 8; call [r8 + 16]
    4883c408 4c8d05{0x46}   # add rsp, 8; lea r8, [rip + data]
    f049ff08 c3             # lock dec qword [r8]; ret
    f049ff08                # late: lock dec qword [r8]
    b818000000 0f05         # zero: mov eax, 24 (the sched_yield system call); syscall
    31c0 488906 48894608    # xor eax, eax; mov [rsi], rax; mov [rsi + 8], rax
    4585c9 7421             # test r9d, r9d; je end
    b901000000              # mov ecx, 1
    f0410fb1480c 7514       # lock cmpxchg [r8 + 12], ecx; jne end
    b801000000 bf02000000   # mov eax, 1 (the write system call); mov edi, 2
    498d7020 498b5018       # lea rsi, [r8 + 32]; mov rdx, [r8 + 24]
    0f05 c3                 # syscall; end: ret
"""

_MESSAGE: Final = b"gopark: a callback from C came in while the interpreter exits; C gets 0\n"
_late = [False]  # reported, where there is no gate
_guarded: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()


def _code(page: int) -> bytes:
    """The gate's machine code, whose data begin `page` bytes after it."""
    code = "".join(line.split("#")[0] for line in _X86.splitlines())
    for here in (0x21, 0x46):
        code = code.replace(f"{{0x{here:02x}}}", (page - here).to_bytes(4, "little").hex())
    return bytes.fromhex(code)


@functools.cache
def _gate() -> int:
    """Make the gate's pages; return their address, or 0 where that is not possible."""
    if sys.platform != "linux" or os.uname().machine != "x86_64" or sys.maxsize < 2**32:
        return 0
    page = mmap.PAGESIZE
    code = _code(page)
    # Not the mmap module: its objects unmap their memory when the interpreter deletes them.
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    base: int | None = libc.mmap(None, 2 * page, writable, private, -1, 0)
    if not base or base == ctypes.c_size_t(-1).value:
        return 0
    ctypes.memmove(base, code, len(code))
    if libc.mprotect(base, page, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        return 0
    ctypes.memmove(base + page + _TEXT, _MESSAGE, len(_MESSAGE))
    ctypes.c_size_t.from_address(base + page + _LENGTH).value = len(_MESSAGE)
    # The calls in progress belong to threads which a forked child does not have.
    pending = ctypes.c_ssize_t.from_address(base + page + _PENDING)
    os.register_at_fork(after_in_child=functools.partial(setattr, pending, "value", 0))
    return base


def _find_fun(func: Any) -> ctypes.c_size_t | None:
    """Return the closure's `fun` word, or None if anything looks unfamiliar."""
    held = (func._objects or {}).values()
    thunk = next((o for o in held if type(o).__name__ == "CThunkObject"), None)
    entry = ctypes.cast(func, ctypes.c_void_p).value
    if thunk is None or not entry:
        return None
    start, size = id(thunk), object.__sizeof__(thunk)
    words = (ctypes.c_size_t * min(_THUNK_WORDS, size // _WORD)).from_address(start)
    # pcl_exec is the address C calls.  The word before it is pcl_write, often the same address,
    # so the last match is the right one.
    last = max((i for i, word in enumerate(words) if word == entry), default=0)
    closure = words[last - 1] if last else 0
    if closure < mmap.PAGESIZE or closure % _WORD:
        return None
    # Stop at the first match: what lies beyond the closure may not be readable.
    for offset in range(2 * _WORD, _CLOSURE_WORDS * _WORD, _WORD):
        if ctypes.c_size_t.from_address(closure + offset).value == start:
            fun = ctypes.c_size_t.from_address(closure + offset - _WORD)
            cif = ctypes.c_size_t.from_address(closure + offset - 2 * _WORD).value
            if not start < cif <= start + size - 2 * _WORD:
                return None
            count = ctypes.c_uint.from_address(cif + 4).value  # cif begins: int abi, nargs
            return fun if count == len(func.argtypes or ()) else None
    return None


def guard(func: Any, quiet: bool = False) -> bool:
    """Put the gate in front of the callback `func`; call this before C gets to know it.

    `func` is an instance of a `CFUNCTYPE` class made from a Python callable.  `quiet`
    suppresses the report, as befits callbacks whose late arrival is no news, such as thread-exit
    destructors.  Doing it again is harmless.  False means that nothing was changed.
    """
    base = _gate()
    fun = _find_fun(func) if base else None
    if fun is None:
        return False
    inner = ctypes.c_size_t.from_address(base + mmap.PAGESIZE + _FUN)
    if fun.value not in (base, base + _REPORTING):
        inner.value = inner.value or fun.value
        if inner.value != fun.value:
            return False  # ctypes enters all its callbacks through the same function
    fun.value = base if quiet else base + _REPORTING
    _guarded[id(func)] = func
    if ctypes.c_int.from_address(base + mmap.PAGESIZE + _CLOSED).value:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(func))
    return True


def first() -> bool:
    """True for the first who reports a late call, in Python or in a gate."""
    base = _gate()
    if not base:
        known, _late[0] = _late[0], True
        return not known
    reported = ctypes.c_int.from_address(base + mmap.PAGESIZE + _REPORTED)
    known, reported.value = bool(reported.value), 1
    return not known


def close(timeout: float = 0.5) -> bool:
    """Shut the gate for good and wait until no guarded call is in progress.

    Call it from a thread that is not itself inside a callback.  False means that the time ran
    out first: a callback is still busy, and Python will stop its thread in its own way.
    """
    base = _gate()
    if not base:
        return True
    ctypes.c_int.from_address(base + mmap.PAGESIZE + _CLOSED).value = 1
    for ref in _guarded.valuerefs():
        func = ref()
        if func is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(func))
    pending = ctypes.c_ssize_t.from_address(base + mmap.PAGESIZE + _PENDING)
    deadline = time.monotonic() + timeout
    while True:
        # The sleep lets the callbacks have the GIL, and orders the store above before the load.
        time.sleep(0.001)
        if pending.value <= 0:
            return True
        if time.monotonic() >= deadline:
            return False
