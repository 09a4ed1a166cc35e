/* What C operations have in common: how they end, and the functions that make them.

How a value comes out of one: SEND calls `am_send` on 3.11 and from 3.15 on, `tp_iternext` in between, where
a value is a StopIteration. That is made of a free list and goes back to it, for nobody keeps one.

A call makes an Op, which is what the user awaits. It may be looked at as a coroutine: `cr_code` is that of the
pure function, so dumps and warnings call it by that name. It has one waiter, as suspend.py says. What it does
when it is stepped, and when something is raised at its wait, is told by the file of the primitive (`Does`).

Invariants: a Compiled is the class's or the module's for good, so that what it makes may borrow it; `op->g` is
there exactly while it is PARKED.
Source: none in Go; CPython's genobject.c. Tests: tests/runtime/test_twin.py, test_suspend.py */

#include "twin.h"

enum kind { SEND, RECV, RECV_OK, NKINDS };
enum opstate { FRESH, PARKED, OVER };

typedef struct Op Op;

/* What an operation does. Both return NULL for the end, by `stop` or with an exception. */
typedef struct {
    PyObject *(*step)(Op *op); /* FRESH or PARKED: to the next Command */
    PyObject *(*failed)(Op *op, PyObject *exc); /* it was PARKED, and this is raised there */
} Does;

/* A function of C with the name, the signature and the documentation of that which it stands for. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *fn;   /* the pure one */
    PyObject *code; /* its code: what an Op shows as `cr_code` */
    const Does *does; /* what it makes, if it makes Ops */
    enum kind kind;
} Compiled;

struct Op {
    PyObject_HEAD
    PyObject *of;    /* the Chan, the Mutex, the Timer */
    PyObject *value; /* chan.c: what to send, until it is on its way; mutex.c: since when it waits */
    PyObject *inner; /* fd.c: the coroutine that goes on in the place of this */
    G *g;            /* who is parked */
    Compiled *fn;    /* borrowed: it is the class's, for good */
    PyObject **out;  /* set while am_send is called: the value goes there */
    char kind, state;
    char woken, starving; /* mutex.c */
    char turn;            /* fd.c: the direction of the descriptor is this operation's */
    char finalized; /* Python marks it so for good: it is not used again */
};

/* --- how a value comes out of an iterator ------------------------------------------------------- */

#define KEEP 8
static PyObject *stops[KEEP];
static int nstops;

static void
stop_dealloc(PyObject *o)
{
    PyStopIterationObject *exc = (PyStopIterationObject *)o;
    PyObject_GC_UnTrack(o);
    Py_CLEAR(exc->value);
    Py_CLEAR(exc->traceback);
    Py_CLEAR(exc->context);
    Py_CLEAR(exc->cause);
    Py_CLEAR(exc->dict);
    Py_CLEAR(exc->notes);
    exc->suppress_context = 0;
    if (nstops < KEEP) {
        stops[nstops++] = o;
        return;
    }
    PyTypeObject *type = Py_TYPE(o);
    Py_CLEAR(exc->args);
    type->tp_free(o);
    Py_DECREF(type);
}

static int
stop_traverse(PyObject *o, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(o));
    return ((PyTypeObject *)PyExc_StopIteration)->tp_traverse(o, visit, arg);
}

static int
stop_clear(PyObject *o)
{
    return ((PyTypeObject *)PyExc_StopIteration)->tp_clear(o);
}

static PyType_Slot stop_slots[] = {
    {Py_tp_dealloc, stop_dealloc},
    {Py_tp_traverse, stop_traverse},
    {Py_tp_clear, stop_clear},
    {0},
};
static PyType_Spec stop_spec = {
    .name = "gopark._runtime._twin.StopIteration",
    .basicsize = sizeof(PyStopIterationObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = stop_slots,
};

/* The end of an operation with `value`, which it steals: to `out`, if somebody has given a place for it.
Returns NULL, for its caller to return. */
static PyObject *
stop(PyObject **out, PyObject *value)
{
    if (out != NULL) {
        *out = value;
        return NULL;
    }
    if (value == Py_None) { /* without an exception it is None */
        Py_DECREF(value);
        return NULL;
    }
    PyObject *exc;
    if (nstops) {
        exc = stops[--nstops];
        revive(exc);
        PyObject_GC_Track(exc);
    } else {
        exc = PyObject_CallNoArgs((PyObject *)StopT);
        if (exc == NULL) {
            Py_DECREF(value);
            return NULL;
        }
    }
    Py_XSETREF(((PyStopIterationObject *)exc)->value, value);
    PyErr_SetRaisedException(exc);
    return NULL;
}

static PyObject *
raised(PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *exc = args[0];
    if (PyExceptionInstance_Check(exc))
        return Py_NewRef(exc);
    if (nargs > 1 && PyExceptionInstance_Check(args[1]))
        return Py_NewRef(args[1]);
    if (nargs > 1 && args[1] != Py_None)
        return PyObject_CallOneArg(exc, args[1]);
    return PyObject_CallNoArgs(exc);
}

static PyObject *
ended(PyObject *result)
{
    if (result == NULL && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return result;
}

/* What a dump asks of a coroutine, and an operation has not. */
static PyObject *
op_false(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    Py_RETURN_FALSE;
}

static PyObject *
op_none(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    Py_RETURN_NONE;
}

/* --- a function of C in the place of a Python function ------------------------------------------ */

static PyObject *
compiled_get(PyObject *self, PyObject *of, PyObject *Py_UNUSED(type))
{
    return isnone(of) ? Py_NewRef(self) : PyMethod_New(self, of);
}

/* All that can be asked of the pure function is answered by it. */
static PyObject *
compiled_getattr(PyObject *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        return NULL;
    if (!strcmp(text, "__class__") || !strcmp(text, "__reduce__") || !strcmp(text, "__reduce_ex__"))
        return PyObject_GenericGetAttr(self, name);
    if (!strcmp(text, "__wrapped__"))
        return Py_NewRef(((Compiled *)self)->fn);
    return PyObject_GetAttr(((Compiled *)self)->fn, name);
}

static int
compiled_setattr(PyObject *self, PyObject *name, PyObject *value)
{
    return PyObject_SetAttr(((Compiled *)self)->fn, name, value);
}

/* A copy or a pickle of it is itself, by its name. */
static PyObject *
compiled_reduce(PyObject *self, PyObject *Py_UNUSED(protocol))
{
    return PyObject_GetAttrString(((Compiled *)self)->fn, "__qualname__");
}

static PyObject *
compiled_repr(PyObject *self)
{
    return PyObject_Repr(((Compiled *)self)->fn);
}

static int
compiled_traverse(Compiled *c, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(c));
    Py_VISIT(c->fn);
    Py_VISIT(c->code);
    return 0;
}

static int
compiled_tp_clear(Compiled *c)
{
    Py_CLEAR(c->fn);
    Py_CLEAR(c->code);
    return 0;
}

static void
compiled_dealloc(Compiled *c)
{
    PyTypeObject *type = Py_TYPE(c);
    PyObject_GC_UnTrack(c);
    compiled_tp_clear(c);
    type->tp_free(c);
    Py_DECREF(type);
}

static PyObject *
compiled_make(PyObject *fn, vectorcallfunc call, enum kind kind, const Does *does)
{
    PyObject *code = PyObject_GetAttrString(fn, "__code__");
    if (code == NULL)
        return NULL;
    Compiled *c = (Compiled *)CompiledT->tp_alloc(CompiledT, 0);
    if (c == NULL) {
        Py_DECREF(code);
        return NULL;
    }
    c->vectorcall = call;
    c->fn = Py_NewRef(fn);
    c->code = code;
    c->kind = kind;
    c->does = does;
    return (PyObject *)c;
}

static PyMethodDef compiled_methods[] = {
    {"__reduce__", (PyCFunction)compiled_reduce, METH_NOARGS, NULL},
    {"__reduce_ex__", (PyCFunction)compiled_reduce, METH_O, NULL},
    {0},
};
static PyMemberDef compiled_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Compiled, vectorcall), READONLY, NULL},
    {0},
};
static PyType_Slot compiled_slots[] = {
    {Py_tp_methods, compiled_methods},     {Py_tp_members, compiled_members},
    {Py_tp_call, PyVectorcall_Call},       {Py_tp_descr_get, compiled_get},
    {Py_tp_getattro, compiled_getattr},    {Py_tp_setattro, compiled_setattr},
    {Py_tp_repr, compiled_repr},           {Py_tp_dealloc, compiled_dealloc},
    {Py_tp_traverse, compiled_traverse},   {Py_tp_clear, compiled_tp_clear},
    {0},
};
static PyType_Spec compiled_spec = {
    .name = "gopark._runtime._twin.Compiled",
    .basicsize = sizeof(Compiled),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = compiled_slots,
};

/* --- an operation ------------------------------------------------------------------------------- */

/* The calling G waits in `op` for what `waiting` is. `unlock` is done once it has parked: a Token is given back, a
Timer started. */
static PyObject *
op_parks(Op *op, M *m, G *g, PyObject *unlock, PyObject *waiting, PyObject *reason)
{
    PyObject *before[] = {(PyObject *)m->token, m->waitunlockf, g->waitreason, g->waiting};
    int istoken = Py_IS_TYPE(unlock, TokenT);
    m->token = (Token *)Py_XNewRef(istoken ? unlock : NULL);
    m->waitunlockf = Py_XNewRef(istoken ? NULL : unlock);
    op->g = (G *)Py_NewRef((PyObject *)g);
    op->state = PARKED;
    g->waitreason = Py_NewRef(reason);
    g->waiting = Py_NewRef(waiting);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(before); i++)
        Py_XDECREF(before[i]); /* nothing of the user's: an M's last unlock function keeps none */
    return Py_NewRef(door.PARK);
}

/* Woken, or not to come back: who was parked; the reference is the caller's. */
static inline G *
op_leaves(Op *op)
{
    G *g = op->g;
    op->g = NULL;
    op->state = OVER;
    return g;
}

static PyObject *
op_next(Op *op)
{
    if (op->state != OVER)
        return op->fn->does->step(op);
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return NULL;
}

static void
op_fail(Op *op, PyObject *exc)
{
    op->fn->does->failed(op, exc);
}

static PyObject *
op_throw(Op *op, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "throw expected at least 1 argument, got 0");
        return NULL;
    }
    PyObject *exc = raised(args, nargs);
    if (exc == NULL)
        return NULL;
    if (op->state == PARKED) {
        op_fail(op, exc);
        Py_DECREF(exc);
        return ended(NULL);
    }
    op->state = OVER;
    PyErr_SetRaisedException(exc);
    return NULL;
}

static PyObject *
op_close(Op *op, PyObject *Py_UNUSED(none))
{
    if (op->state == PARKED) {
        PyObject *exc = PyObject_CallNoArgs(PyExc_GeneratorExit);
        if (exc == NULL)
            return NULL;
        op_fail(op, exc);
        Py_DECREF(exc);
        if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_GeneratorExit) &&
            !PyErr_ExceptionMatches(PyExc_StopIteration))
            return NULL;
        PyErr_Clear();
    }
    op->state = OVER;
    Py_RETURN_NONE;
}

static PyObject *
op_sendmethod(Op *op, PyObject *Py_UNUSED(value))
{
    return ended(op_next(op));
}

static PyObject *
op_await(Op *op)
{
    if (op->state == FRESH)
        return Py_NewRef((PyObject *)op);
    PyErr_SetString(PyExc_RuntimeError,
                    op->state == PARKED ? "coroutine is being awaited already"
                                        : "cannot reuse already awaited coroutine");
    return NULL;
}

static PySendResult
op_amsend(PyObject *op, PyObject *Py_UNUSED(value), PyObject **result)
{
    PyObject *value = NULL;
    ((Op *)op)->out = &value;
    PyObject *command = op_next((Op *)op);
    ((Op *)op)->out = NULL;
    if (command != NULL) {
        *result = command;
        return PYGEN_NEXT;
    }
    *result = value;
    return value != NULL ? PYGEN_RETURN : PYGEN_ERROR;
}

/* --- an operation as an object ------------------------------------------------------------------ */

#define KEEPOPS 64
static Op *ops[KEEPOPS];
static int nops;

static PyObject *
op_make(Compiled *fn, PyObject *of, PyObject *value)
{
    Op *op;
    if (nops) {
        op = ops[--nops];
        revive(op);
    } else if ((op = PyObject_GC_New(Op, OpT)) == NULL) {
        return NULL;
    }
    op->finalized = 0;
    op->of = Py_NewRef(of);
    op->value = Py_XNewRef(value);
    op->inner = NULL;
    op->g = NULL;
    op->out = NULL;
    op->fn = fn;
    op->kind = (char)fn->kind;
    op->state = FRESH;
    op->woken = op->starving = op->turn = 0;
    PyObject_GC_Track(op);
    return (PyObject *)op;
}

static int
op_traverse(Op *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(op->of);
    Py_VISIT(op->value);
    Py_VISIT(op->inner);
    Py_VISIT(op->g);
    return 0;
}

static int
op_tp_clear(Op *op)
{
    if (op->state == PARKED)
        op->state = OVER;
    Py_CLEAR(op->value);
    Py_CLEAR(op->inner);
    Py_CLEAR(op->g);
    return 0;
}

/* As Python says it of a coroutine. */
static void
op_finalize(PyObject *o)
{
    Op *op = (Op *)o;
    PyObject *exc = PyErr_GetRaisedException();
    op->finalized = 1; /* by the collector, it may be, which asks those that are over as well */
    if (op->state == FRESH) {
        PyObject *name = PyObject_GetAttrString(op->fn->fn, "__qualname__");
        if (name == NULL ||
            PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%U' was never awaited", name) < 0)
            PyErr_WriteUnraisable(o);
        Py_XDECREF(name);
    } else if (op->state == PARKED && done(op_close(op, NULL)) < 0) {
        PyErr_WriteUnraisable(o);
    }
    if (exc != NULL)
        PyErr_SetRaisedException(exc);
}

static void
op_dealloc(Op *op)
{
    int over = op->state == OVER;
    if (!over && PyObject_CallFinalizerFromDealloc((PyObject *)op) < 0)
        return;
    PyObject_GC_UnTrack(op);
    Py_CLEAR(op->of);
    Py_CLEAR(op->value);
    Py_CLEAR(op->inner);
    Py_CLEAR(op->g);
    if (over && !op->finalized && nops < KEEPOPS) {
        ops[nops++] = op; /* with its reference to the type */
        return;
    }
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyObject *
op_code(Op *op, void *Py_UNUSED(closure))
{
    return Py_NewRef(op->fn->code);
}

static PyObject *
op_name(Op *op, void *name)
{
    return PyObject_GetAttrString(op->fn->fn, name);
}

static PyObject *
op_suspended(Op *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(op->state == PARKED);
}

static PyMethodDef op_methods[] = {
    {"__await__", (PyCFunction)op_await, METH_NOARGS, NULL},
    {"close", (PyCFunction)op_close, METH_NOARGS, NULL},
    {"send", (PyCFunction)op_sendmethod, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))op_throw, METH_FASTCALL, NULL},
    {0},
};
static PyGetSetDef op_getset[] = {
    {"__name__", (getter)op_name, NULL, NULL, "__name__"},
    {"__qualname__", (getter)op_name, NULL, NULL, "__qualname__"},
    {"cr_await", op_none, NULL, NULL, NULL},
    {"cr_code", (getter)op_code, NULL, NULL, NULL},
    {"cr_frame", op_none, NULL, NULL, NULL},
    {"cr_running", op_false, NULL, NULL, NULL},
    {"cr_suspended", (getter)op_suspended, NULL, NULL, NULL},
    {0},
};
static PyType_Slot op_slots[] = {
    {Py_tp_methods, op_methods},   {Py_tp_getset, op_getset},     {Py_tp_dealloc, op_dealloc},
    {Py_tp_traverse, op_traverse}, {Py_tp_clear, op_tp_clear},    {Py_tp_finalize, op_finalize},
    {Py_am_await, op_await},       {Py_am_send, op_amsend},       {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, op_next},     {0},
};
static PyType_Spec op_spec = {
    .name = "gopark.Op", /* a dump calls what it does by this module */
    .basicsize = sizeof(Op),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = op_slots,
};

/* --- nothing ------------------------------------------------------------------------------------ */

/* `await nothing` goes on at once: it is its own iterator, and at its end. See sync/_common.py. */
static PyObject *
nothing_next(PyObject *Py_UNUSED(self))
{
    return NULL;
}

static PySendResult
nothing_amsend(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(value), PyObject **result)
{
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static PyType_Slot nothing_slots[] = {
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, nothing_amsend},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, nothing_next},
    {Py_tp_dealloc, plain_dealloc},
    {0},
};
static PyType_Spec nothing_spec = {
    .name = "gopark._runtime._twin.Nothing",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = nothing_slots,
};
