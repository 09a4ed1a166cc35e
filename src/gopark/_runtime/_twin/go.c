/* `go` in its usual case, and `gosched`.

The usual case of `go` is an `async def` that is started by a goroutine. All else, and what is
wrong with a call, is the pure function's: C has no frame, so that sees the same caller.

Source: Go 1.27 runtime/proc.go, newproc and goschedguarded. Tests: tests/runtime/test_newproc.py */

#include "twin.h"

/* --- gosched ------------------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    Compiled *fn; /* borrowed */
    char state;
} Yield;

#define KEEPYIELDS 16
static Yield *yields[KEEPYIELDS];
static int nyields;

static PyObject *
gosched_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Compiled *c = (Compiled *)self;
    if (PyVectorcall_NARGS(nargsf) || names != NULL)
        return PyObject_Vectorcall(c->fn, args, nargsf, names);
    Yield *y;
    if (nyields) {
        y = yields[--nyields];
        revive(y);
    } else if ((y = PyObject_New(Yield, YieldT)) == NULL) {
        return NULL;
    }
    y->fn = c;
    y->state = FRESH;
    return (PyObject *)y;
}

static PyObject *
yield_next(Yield *y)
{
    if (y->state == FRESH) {
        y->state = PARKED;
        return Py_NewRef(door.GOSCHED);
    }
    if (y->state == OVER) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    y->state = OVER;
    return NULL;
}

static PySendResult
yield_amsend(PyObject *y, PyObject *Py_UNUSED(value), PyObject **result)
{
    *result = yield_next((Yield *)y);
    if (*result != NULL)
        return PYGEN_NEXT;
    if (PyErr_Occurred())
        return PYGEN_ERROR;
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static PyObject *
yield_send(Yield *y, PyObject *Py_UNUSED(value))
{
    return ended(yield_next(y));
}

static PyObject *
yield_throw(Yield *y, PyObject *const *args, Py_ssize_t nargs)
{
    y->state = OVER;
    PyObject *exc = nargs ? raised(args, nargs) : NULL;
    if (exc != NULL)
        PyErr_SetRaisedException(exc);
    else if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "throw expected at least 1 argument, got 0");
    return NULL;
}

static PyObject *
yield_close(Yield *y, PyObject *Py_UNUSED(none))
{
    y->state = OVER;
    Py_RETURN_NONE;
}

static PyObject *
yield_await(Yield *y)
{
    if (y->state == FRESH)
        return Py_NewRef((PyObject *)y);
    PyErr_SetString(PyExc_RuntimeError,
                    y->state == PARKED ? "coroutine is being awaited already"
                                       : "cannot reuse already awaited coroutine");
    return NULL;
}

static void
yield_finalize(PyObject *o)
{
    Yield *y = (Yield *)o;
    if (y->state != FRESH)
        return;
    PyObject *exc = PyErr_GetRaisedException();
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine 'gosched' was never awaited") < 0)
        PyErr_WriteUnraisable(o);
    if (exc != NULL)
        PyErr_SetRaisedException(exc);
}

static void
yield_dealloc(Yield *y)
{
    if (y->state == FRESH && PyObject_CallFinalizerFromDealloc((PyObject *)y) < 0)
        return;
    if (nyields < KEEPYIELDS) {
        yields[nyields++] = y;
        return;
    }
    PyTypeObject *type = Py_TYPE(y);
    PyObject_Free(y);
    Py_DECREF(type);
}

static PyObject *
yield_code(Yield *y, void *Py_UNUSED(closure))
{
    return Py_NewRef(y->fn->code);
}

static PyObject *
yield_name(Yield *y, void *name)
{
    return PyObject_GetAttrString(y->fn->fn, name);
}

static PyObject *
yield_suspended(Yield *y, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(y->state == PARKED);
}

static PyMethodDef yield_methods[] = {
    {"__await__", (PyCFunction)yield_await, METH_NOARGS, NULL},
    {"close", (PyCFunction)yield_close, METH_NOARGS, NULL},
    {"send", (PyCFunction)yield_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))yield_throw, METH_FASTCALL, NULL},
    {0},
};
static PyGetSetDef yield_getset[] = {
    {"__name__", (getter)yield_name, NULL, NULL, "__name__"},
    {"__qualname__", (getter)yield_name, NULL, NULL, "__qualname__"},
    {"cr_await", op_none, NULL, NULL, NULL},
    {"cr_code", (getter)yield_code, NULL, NULL, NULL},
    {"cr_frame", op_none, NULL, NULL, NULL},
    {"cr_running", op_false, NULL, NULL, NULL},
    {"cr_suspended", (getter)yield_suspended, NULL, NULL, NULL},
    {0},
};
static PyType_Slot yield_slots[] = {
    {Py_tp_methods, yield_methods},     {Py_tp_getset, yield_getset},
    {Py_tp_dealloc, yield_dealloc},     {Py_tp_finalize, yield_finalize},
    {Py_am_await, yield_await},         {Py_am_send, yield_amsend},
    {Py_tp_iter, PyObject_SelfIter},    {Py_tp_iternext, yield_next},
    {0},
};
static PyType_Spec yield_spec = {
    .name = "gopark.Yield", /* as an Op */
    .basicsize = sizeof(Yield),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = yield_slots,
};

/* --- go ----------------------------------------------------------------------------------------- */

static inline int
isasync(PyObject *fn)
{
    return Py_IS_TYPE(fn, &PyFunction_Type) &&
           ((PyCodeObject *)PyFunction_GET_CODE(fn))->co_flags & CO_COROUTINE;
}

/* A G off the free list, or a new one. */
static G *
gfget(P *p)
{
    PyObject *g = NULL;
    if (p != NULL && Py_IS_TYPE(p->gfree, RingT))
        g = ring_getright(ringof(p->gfree));
    if (g == NULL && (g = GT->tp_alloc(GT, 0)) != NULL)
        ((G *)g)->success = 1;
    return (G *)g;
}

/* Where `go` was called: what a dump shows as its creator. */
static int
creator(G *g)
{
    PyFrameObject *frame = PyEval_GetFrame(); /* borrowed */
    if (frame == NULL)
        return 0;
    PyObject *globals = PyFrame_GetGlobals(frame);
    if (globals == NULL)
        return -1;
    Py_XSETREF(g->gocode, (PyObject *)PyFrame_GetCode(frame));
    Py_XSETREF(g->goglobals, globals);
    g->gopc = PyFrame_GetLasti(frame);
    return 0;
}

/* A runnable G for `coro`, which it steals, listed but on no queue. */
static G *
newg(M *m, P *p, PyObject *coro)
{
    G *g = gfget(p);
    if (g == NULL) {
        Py_DECREF(coro);
        return NULL;
    }
    g->goid = nextgoid++;
    Py_XSETREF(g->coro, coro);
    Py_XSETREF(g->step, Py_NewRef(coro));
    g->parentid = ((G *)m->curg)->goid;
    Py_XSETREF(g->m, Py_NewRef((PyObject *)m));
    PyObject *ctx = PyContext_CopyCurrent();
    if (ctx == NULL || creator(g) < 0) {
        Py_XDECREF(ctx);
        Py_DECREF(g);
        return NULL;
    }
    Py_XSETREF(g->ctx, ctx);
    g->status = GRUNNABLE;
    if (PyList_GET_SIZE(door.births) &&
        done(PyObject_CallOneArg(door.born, (PyObject *)g)) < 0) {
        Py_DECREF(g);
        return NULL;
    }
    listg(g);
    return g;
}

static PyObject *
go_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Compiled *c = (Compiled *)self;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    M *m = curm;
    if (nargs < 1 || m == NULL || isnone(m->curg) || ((G *)m->curg)->lockedcnt || !isasync(args[0]))
        return PyObject_Vectorcall(c->fn, args, nargsf, names);
    PyObject *coro = PyObject_Vectorcall(args[0], args + 1, (size_t)(nargs - 1), names);
    if (coro == NULL)
        return NULL;
    P *p = isnone(m->p) || !plainqueues((P *)m->p) ? NULL : (P *)Py_NewRef(m->p); /* read once */
    G *g = newg(m, p, coro);
    int r = g == NULL ? -1 : 0;
    if (r == 0 && p == NULL) { /* a hog: see sysmon.py */
        if (isnone(m->sched) || ((Sched *)m->sched)->ended || (r = globrunqput(m, g)) == 0)
            r = done(PyObject_CallFunctionObjArgs(door.submit, m, g, NULL));
    } else if (r == 0 && (r = runqput(p, g)) == 0 && npidle(p))
        r = done(PyObject_CallFunctionObjArgs(door.spread, m, p, NULL));
    Py_XDECREF(g);
    Py_XDECREF(p);
    if (r < 0)
        return NULL;
    Py_RETURN_NONE;
}
