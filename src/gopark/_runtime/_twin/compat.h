/* What differs from interpreter to interpreter, and every name of CPython's that is not public.

Invariant: no other file here asks for a version or names a private function.
Relies on: PyStopIterationObject, as CPython's pyerrors.h has it, 3.11 to 3.15.
Source: none. Tests: tests/runtime/test_twin.py */

#ifndef GOPARK_COMPAT_H
#define GOPARK_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <math.h>
#include <stddef.h>
#include <structmember.h>
#include <sys/socket.h>
#include <time.h>

#ifdef Py_GIL_DISABLED
#error "the twin is for builds with a GIL, so far: see twin.py"
#endif

/* An exception as one object, as Python itself has it since 3.12. */
#if PY_VERSION_HEX < 0x030c0000
static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *tb;
    PyErr_Fetch(&type, &value, &tb);
    PyErr_NormalizeException(&type, &value, &tb);
    if (tb != NULL && value != NULL)
        PyException_SetTraceback(value, tb);
    Py_XDECREF(type);
    Py_XDECREF(tb);
    return value;
}

static inline void
PyErr_SetRaisedException(PyObject *exc) /* steals exc */
{
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exc)), exc, PyException_GetTraceback(exc));
}
#endif

/* What a weak reference refers to, or NULL if that has gone; -1: an error. The reference is the caller's. */
static inline int
getref(PyObject *ref, PyObject **o)
{
#if PY_VERSION_HEX >= 0x030d0000
    return PyWeakref_GetRef(ref, o) < 0 ? -1 : 0;
#else
    PyObject *at = PyWeakref_GetObject(ref);
    *o = at == NULL || at == Py_None ? NULL : Py_NewRef(at);
    return at == NULL ? -1 : 0;
#endif
}

#ifndef MSG_NOSIGNAL /* Python has SIGPIPE ignored in any case */
#define MSG_NOSIGNAL 0
#endif

/* What lies in a free list of ours becomes an object again. */
#define revive(op) _Py_NewReference((PyObject *)(op))

/* The monotonic clock, as time.monotonic() has it. */
static inline double
monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
