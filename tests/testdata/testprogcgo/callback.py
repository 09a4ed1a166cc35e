"""What happens inside callbacks: nesting, waiting, what is kept afterwards.

Go: testprogcgo/callback.go.
"""

import contextvars
import gc
import threading
import weakref
from ctypes import CFUNCTYPE, c_int, c_void_p, py_object

import gopark
from gopark._runtime.c import extram
from registry import library, register

prototype = CFUNCTYPE(c_int, c_int)


class Payload:
    """Something that a weak reference can watch."""


@register("CgoCallbackGC")
async def cgo_callback_gc() -> None:
    """Once a callback is over nothing holds its arguments, though its thread is still bound."""
    # Free-threaded builds count an object's references per thread, and it is the collector that
    # adds them up here; a collection asked for while another is under way does nothing.
    gc.disable()
    collecting = threading.Lock()
    variable = contextvars.ContextVar("variable", default=None)
    owned: dict[int, Payload] = {}
    watched: dict[int, weakref.ref[Payload]] = {}

    def deep(n: int) -> int:
        return n and 1 + deep(n - 1)

    @gopark.cgo.export(CFUNCTYPE(None, py_object))
    def first(payload: Payload) -> None:
        assert extram.inuse()
        assert deep(500) == 500
        me = threading.get_ident()
        watched[me] = weakref.ref(payload)
        owned.pop(id(payload))
        variable.set(payload)
        try:
            raise LookupError(payload)
        except LookupError:
            pass

    @gopark.cgo.export(prototype)
    def second(_: int) -> int:
        with collecting:
            gc.collect()
        assert variable.get() is None
        return 1 if watched[threading.get_ident()]() is None else 0

    def once() -> None:
        payload = Payload()
        address = id(payload)
        owned[address] = payload
        del payload
        results.append(gopark.cgo.call(call_two, first, address, second))
        gopark.block(done.send(None))

    call_two = library("thread").call_two
    call_two.argtypes = (c_void_p, c_void_p, c_void_p)
    results: list[int] = []
    done = gopark.Chan()
    assert not extram.inuse()
    for _ in range(10):
        gopark.go(once)
    for _ in range(10):
        await done.recv()
    assert not extram.inuse()
    assert results == [1] * 10, results
    assert not owned
    print("OK")


@register("NestedCallback")
def nested_callback() -> None:
    """Python -> C -> Python is one goroutine, however deep, on every kind of thread."""
    lib = library("thread")

    @gopark.cgo.export(prototype)
    def deeper(depth: int) -> int:
        assert gopark.runtime.num_goroutine() == want
        if depth:
            return 1 + gopark.cgo.call(lib.call_here, deeper, depth - 1)
        dump = gopark.runtime.stack(all=True)
        assert dump.count("goroutine ") == want, dump
        assert gopark.runtime.stack().count("deeper(...)") == 4, dump
        return 1

    want = 1
    assert gopark.cgo.call(lib.call_here, deeper, 3) == 4
    want = 2
    assert gopark.cgo.call(lib.call_on_new_thread, deeper, 3) == 4
    want = 1
    assert deeper(3) == 4  # a pointer that Python itself calls is C as well
    print("OK")


@register("AsyncCallback")
async def async_callback() -> None:
    """An `async def` callback waits on channels, on the thread that C made."""
    lib = library("thread")
    lib.start_thread.restype = c_void_p
    lib.join_thread.argtypes = (c_void_p,)
    questions, answers = gopark.Chan(), gopark.Chan()

    @gopark.cgo.export(prototype)
    async def ask(n: int) -> int:
        thread = threading.get_ident()
        await questions.send(n)
        answer = await answers.recv()
        assert threading.get_ident() == thread
        return answer

    job = lib.start_thread(ask, 7, 50)
    for _ in range(50):
        await answers.send(2 * await questions.recv())
    assert gopark.cgo.call(lib.join_thread, job) == 50 * 14
    print("OK")


@register("CallbackSelectTimeout")
def callback_select_timeout() -> None:
    """A callback on a C thread may use select and the clock while main is in C."""
    lib = library("thread")

    @gopark.cgo.export(prototype)
    async def patient(_: int) -> int:
        never = gopark.Chan()
        cases = gopark.recv(never), gopark.recv(gopark.time.after(0.001))
        index, _value, ok = await gopark.select(*cases)
        return 10 * index + ok

    assert gopark.cgo.call(lib.call_on_new_thread, patient, 0) == 11
    print("OK")


@register("CgoToGoCallGoexit")
def cgo_to_go_call_goexit() -> None:
    """A C thread has no goroutine that could end before its caller."""
    callback = gopark.cgo.export(prototype)(lambda _: gopark.goexit())
    gopark.cgo.call(library("thread").call_on_new_thread, callback, 0)
    print("not reached")


@register("CallbackSysExit")
async def callback_sys_exit() -> None:
    """sys.exit on a C thread ends the program with that status, as os.Exit does in Go."""
    import sys

    lib = library("thread")
    callback = gopark.cgo.export(prototype)(lambda _: sys.exit(3))
    lib.start_thread(callback, 0, 1)
    await gopark.select()
