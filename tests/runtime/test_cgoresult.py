"""What callbacks give back to C, and whom it is told to if C cannot take it."""

from __future__ import annotations

import ctypes
import enum
import gc
import sys
import threading
import weakref

import pytest

import gopark
from gopark import Chan, cgo
from gopark._runtime.c import cgocall, cgoresult

STARTED = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
SIMPLE = (
    *(ctypes.c_byte, ctypes.c_ubyte, ctypes.c_short, ctypes.c_ushort, ctypes.c_int, ctypes.c_uint),
    *(ctypes.c_long, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_float, ctypes.c_double),
    *(ctypes.c_bool, ctypes.c_char, ctypes.c_wchar, ctypes.c_char_p, ctypes.c_wchar_p),
)


def given(pointer, *args):
    """What C gets from a function pointer: ctypes calls it as C would."""
    return pointer(*args)


class Answer(enum.IntEnum):
    YES = 1


class Index:
    def __repr__(self):
        return "Index()"

    def __index__(self):
        return 7


# --- the prototype is known -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restype", "result", "got"),
    [
        (ctypes.c_int, 0, 0),
        (ctypes.c_int, -(2**31), -(2**31)),
        (ctypes.c_int, 2**32 - 1, -1),  # all its bits are there
        (ctypes.c_int, True, 1),
        (ctypes.c_int, Answer.YES, 1),
        (ctypes.c_int, Index(), 7),
        (ctypes.c_ubyte, -1, 255),
        (ctypes.c_uint, 2**31, 2**31),
        (ctypes.c_long, 2**63 - 1, 2**63 - 1),
        (ctypes.c_ulong, 2**64 - 1, 2**64 - 1),
        (ctypes.c_void_p, None, None),
        (ctypes.c_void_p, 2**64 - 1, 2**64 - 1),
        (ctypes.c_double, 1.5, 1.5),
        (ctypes.c_double, 2, 2.0),
        (ctypes.c_double, float("inf"), float("inf")),
        (ctypes.c_float, 0.5, 0.5),
        (ctypes.c_bool, True, True),
        (ctypes.c_bool, [], False),
        (ctypes.c_char, b"x", b"x"),
        (ctypes.c_wchar, "x", "x"),
        (ctypes.c_char_p, None, None),
        (ctypes.py_object, "anything", "anything"),
        (None, "anything", None),
    ],
    ids=str,
)
def test_what_c_can_take_arrives(restype, result, got):
    exported = cgo.export(ctypes.CFUNCTYPE(restype))(lambda: result)
    assert given(exported) == got
    entry = cgo.callback(lambda: result, restype=restype)
    assert given(ctypes.CFUNCTYPE(restype)(entry)) == got


def test_nan_arrives():
    result = given(cgo.export(ctypes.CFUNCTYPE(ctypes.c_double))(lambda: float("nan")))
    assert result != result


BAD = [
    (ctypes.c_int, "a string", TypeError, "'a string', which C cannot take as c_int"),
    (ctypes.c_int, None, TypeError, "None, which C cannot take as c_int"),
    (ctypes.c_int, 1.5, TypeError, "1.5, which"),
    (ctypes.c_int, float("nan"), TypeError, "nan, which"),
    (ctypes.c_int, ctypes.c_int(3), TypeError, r"c_int\(3\), which"),
    (ctypes.c_int, 2**32, OverflowError, "4294967296, which C cannot take as c_int: it has 32"),
    (ctypes.c_int, -(2**31) - 1, OverflowError, "-2147483649, which"),
    (ctypes.c_ubyte, 256, OverflowError, "256, which C cannot take as c_ubyte: it has 8 bits"),
    (ctypes.c_int, 2**70, OverflowError, "1180591620717411303424, which"),
    (ctypes.c_void_p, 2**64, OverflowError, "18446744073709551616, which"),
    (ctypes.c_void_p, b"bytes", TypeError, "b'bytes', which C cannot take as c_void_p"),
    (ctypes.c_double, "1.5", TypeError, "'1.5', which"),
    (ctypes.c_char, b"xy", TypeError, "b'xy', which"),
    (ctypes.c_wchar, 0, TypeError, "0, which"),
    (ctypes.c_char_p, "text", TypeError, "'text', which"),
    (ctypes.c_wchar_p, b"text", TypeError, "b'text', which"),
]


@pytest.mark.parametrize(("restype", "result", "error", "text"), BAD, ids=str)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["def", "async"])
def test_what_c_cannot_take_is_raised_by_the_call(run, restype, result, error, text, asynchronous):
    def plain():
        return result

    async def asyncly():
        return result

    exported = cgo.export(ctypes.CFUNCTYPE(restype))(asyncly if asynchronous else plain)

    def main():
        with pytest.raises(error, match=text) as caught:
            cgo.call(exported)
        return caught.value

    exc = run(main)
    assert exc.__context__ is None
    names = []
    tb = exc.__traceback__
    while tb is not None:
        names.append(tb.tb_frame.f_code.co_name)
        tb = tb.tb_next
    assert names[-1] == ("asyncly" if asynchronous else "plain"), "where to look is not said"


def join(lib, thread):
    """The result that C got from what it started as a thread."""
    result = ctypes.c_void_p()
    lib.pthread_join(thread, ctypes.byref(result))
    return result.value


@pytest.mark.parametrize("error", [None, 7])
def test_on_a_thread_of_cs_it_is_a_panic_and_c_gets_error(run, libc, capsys, error):
    def wrong(_):
        return "a string"

    how = {} if error is None else {"error": error}
    exported = cgo.export(STARTED, **how)(wrong)
    thread = ctypes.c_ulong()

    async def main():
        libc.pthread_create(ctypes.byref(thread), None, exported, None)
        await Chan().recv()

    with pytest.raises(gopark.FatalError) as caught:
        run(main, outside_help=True)
    assert isinstance(caught.value.__cause__, TypeError)
    assert join(libc, thread) == error
    err = capsys.readouterr().err
    assert err.startswith("panic: TypeError: test_on_a_thread_of_cs")
    assert "wrong() returned 'a string', which C cannot take as c_void_p: " in err
    assert f"{__name__}.test_on_a_thread_of_cs_it_is_a_panic_and_c_gets_error.wrong(...)\n" in err


def test_who_stops_at_the_first_wrong_result_runs_no_other(run, libc):
    """C goes on with `error` and asks again: nothing runs until the call raises."""
    asked = []

    @cgo.export(COMPARE)
    def compare(a, b):
        asked.append(a)
        return "less"

    def main():
        with pytest.raises(TypeError, match="'less'"):
            cgo.call(libc.qsort, (ctypes.c_int * 8)(*range(8)), 8, 4, compare)

    run(main)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "restype",
    [ctypes.POINTER(ctypes.c_int), ctypes.c_int * 3, ctypes.CFUNCTYPE(None), int],
    ids=lambda t: t.__name__,
)
def test_what_no_function_can_return_is_refused_where_it_is_written(restype):
    prototype = type("Proto", (ctypes.CFUNCTYPE(None),), {"_flags_": 1, "_restype_": None})
    prototype._restype_ = restype
    with pytest.raises(TypeError, match=r"export\(\): no function of Python can return"):
        cgo.export(prototype)
    with pytest.raises(TypeError, match=r"callback\(\): no function of Python can return"):
        cgo.callback(print, restype=restype)


@pytest.mark.parametrize("restype", SIMPLE, ids=lambda t: t.__name__)
def test_every_type_has_a_zero_that_c_can_take(restype):
    """So what failed does not fail again."""
    result = cgoresult.resultof("callback", print, restype)
    assert restype(result.zero).value in (0, 0.0, False, None, b"\0", "\0")


def test_an_error_that_c_cannot_take_is_refused():
    with pytest.raises(TypeError, match=r"callback\(\): C cannot take error='x' as c_int"):
        cgo.callback(print, error="x", restype=ctypes.c_int)
    with pytest.raises(TypeError, match=r"export\(\): C cannot take error=None as c_int"):
        cgo.export(COMPARE, error=None)(print)
    with pytest.raises(TypeError, match=r"cannot take error=4294967296 as c_int: it has 32 bits"):
        cgo.export(COMPARE, error=1 << 32)(print)
    assert cgo.export(COMPARE, error=0xFFFFFFFF)  # a sign or none, as for results


# --- it is not --------------------------------------------------------------------------------


@pytest.fixture(params=["ctypes", "cffi"])
def pointer(request):
    """A function pointer `int(int)` of a callback; nobody tells gopark that it is one."""
    if request.param == "ctypes":
        return ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)
    ffi = pytest.importorskip("cffi", reason="cffi is not installed").FFI()
    return lambda entry: ffi.callback("int(int)", entry)


@pytest.mark.parametrize("result", ["a string", None, 1.5], ids=str)
def test_what_c_could_not_take_is_raised_by_the_call(run, pointer, result):
    called = pointer(cgo.callback(lambda n: result))

    def main():
        with pytest.raises(TypeError, match=r"<lambda>\(\) returned what C cannot take: "):
            cgo.call(called, 1)

    run(main)


def test_from_then_on_it_is_tried_before(run):
    called = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(cgo.callback(lambda n: "abc"[n:] or 5))

    def main():
        with pytest.raises(TypeError, match="returned what C cannot take"):
            cgo.call(called, 0)
        with pytest.raises(TypeError, match="returned 'bc', which C cannot take as c_int"):
            cgo.call(called, 1)
        assert cgo.call(called, 3) == 5

    run(main)


def test_on_a_thread_of_cs_it_is_a_panic(run, cthread, capsys):
    def wrong(_):
        return "a string"

    async def main():
        cthread(cgo.callback(wrong)).join()
        await Chan().recv()

    with pytest.raises(gopark.FatalError) as caught:
        run(main, outside_help=True)
    assert isinstance(caught.value.__cause__, TypeError)
    err = capsys.readouterr().err
    assert "wrong() returned what C cannot take: " in err
    assert ".wrong(...)\n" in err


def test_a_void_function_of_cffi_may_return_something(capsys):
    """C loses nothing; cffi says so by itself."""
    ffi = pytest.importorskip("cffi", reason="cffi is not installed").FFI()
    seen = []
    before, sys.unraisablehook = sys.unraisablehook, seen.append
    try:
        entry = cgo.callback(lambda: 1, error=None)
        ffi.callback("void()", entry)()
    finally:
        sys.unraisablehook = before
    assert len(seen) == 1
    assert "void" in str(seen[0].exc_value)


def test_what_others_could_not_raise_goes_to_who_was_there_before():
    seen = []
    before, sys.unraisablehook = sys.unraisablehook, seen.append
    try:
        cgo.callback(lambda: "x")  # puts its hook before that one
        ctypes.CFUNCTYPE(ctypes.c_int)(lambda: "x")()
        hook = sys.unraisablehook
        sys.unraisablehook = lambda args: hook(args)  # somebody who calls it in turn
        cgo.callback(lambda: "x")
        ctypes.CFUNCTYPE(ctypes.c_int)(lambda: "x")()
        assert [type(args.exc_value) for args in seen] == [TypeError, TypeError]
    finally:
        sys.unraisablehook = before


def test_a_callback_whose_results_are_watched_is_freed():
    entry = cgo.callback(lambda: 1)
    key = id(entry)
    assert cgoresult._watched[key]() is entry
    del entry
    assert key not in cgoresult._watched


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_object_that_keeps_the_callback_of_its_own_method_is_freed(asynchronous):
    class Button:
        def __init__(self):
            method = self.later if asynchronous else self.click
            self.pointer = ctypes.CFUNCTYPE(None)(cgo.callback(method))

        def click(self):
            pass

        async def later(self):
            pass

    gc.collect()
    before = cgocall.nlive()
    button = weakref.ref(Button())
    gc.collect()
    assert button() is None
    assert cgocall.nlive() == before  # else no deadlock would be found any more


# --- exceptions that pass ---------------------------------------------------------------------


class Stop(Exception):
    """As sounddevice.CallbackStop: the binding takes it for an answer."""


def binding(callback):
    """The Python part of one: it calls back itself, and knows that exception."""
    try:
        callback()
    except Stop:
        return "stopped"
    return "goes on"


@pytest.mark.parametrize("restype", [..., ctypes.c_int, None], ids=str)
def test_what_passes_is_the_bindings(run, restype):
    def stops():
        raise Stop

    entry = cgo.callback(stops, passes=(Stop,), restype=restype)
    assert binding(entry) == "stopped"  # on a thread of nobody's
    assert binding(entry) == "stopped"  # which is known now
    assert run(lambda: binding(entry)) == "stopped"
    assert run(lambda: cgo.call(binding, entry)) == "stopped"
    found = []
    thread = threading.Thread(target=lambda: found.append(binding(entry)))
    thread.start()
    thread.join()
    assert found == ["stopped"]
    assert gopark.runtime.num_goroutine() == 0


def test_one_class_will_do_and_a_subclass_passes():
    class Sooner(Stop):
        pass

    def stops():
        raise Sooner

    assert binding(cgo.callback(stops, passes=Stop)) == "stopped"


def test_what_is_not_listed_is_a_panic_still(run, capsys):
    def fails():
        raise ValueError("not that one")

    entry = cgo.callback(fails, passes=(Stop,))
    with pytest.raises(gopark.FatalError):
        run(lambda: [binding(entry), gopark.block(Chan().recv())])
    assert capsys.readouterr().err.startswith("panic: ValueError: not that one\n")


def test_sys_exit_may_be_the_bindings(run):
    def leaves():
        sys.exit(3)

    entry = cgo.callback(leaves, passes=(SystemExit,))

    def main():
        with pytest.raises(SystemExit) as caught:
            entry()
        return caught.value.code

    assert run(main) == 3


def test_the_end_of_a_goroutine_never_passes(run):
    """Nor that of the program: the binding would take it for an error and go on."""
    entry = cgo.callback(gopark.goexit, passes=(BaseException,))
    ended = []

    def leaves():
        try:
            cgo.call(entry)
            ended.append("went on")
        finally:
            ended.append("unwound")

    async def main():
        gopark.go(leaves)
        await gopark.testing.wait_all_parked()

    run(main)
    assert ended == ["unwound"]


def test_what_passes_keeps_nothing_alive():
    class Thing:
        pass

    def stops():
        thing = Thing()
        refs.append(weakref.ref(thing))
        raise Stop

    refs = []
    entry = cgo.callback(stops, passes=(Stop,))
    gc.disable()
    try:
        binding(entry)
        binding(entry)
        assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


@pytest.mark.parametrize("passes", [1, "Stop", (Stop, 1), (int,), None], ids=str)
def test_passes_are_exception_classes(passes):
    with pytest.raises(TypeError, match=r"callback\(\) needs a tuple of exception classes"):
        cgo.callback(print, passes=passes)
