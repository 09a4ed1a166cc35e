/* Channels: `send`, `recv`, `recv_ok`. The rest of chan.py, close and select among it, is Python's.

A call makes an Op, which is what the user awaits. It goes through the steps of the function of the same
name in chan.py, in the same order, and may be looked at as a coroutine: `cr_code` is that function's, so
dumps and warnings call it by that name. An operation has one waiter, as suspend.py says.

Left to the pure function (compiled_call): a channel whose lock is not a Token (in a bubble) or whose queues
are not Rings (a timer's).

Invariants: those of chan.py.
Source: Go 1.27 runtime/chan.go. Tests: tests/runtime/test_chan.py, test_chan_model.py */

#include "twin.h"

typedef struct {
    PyObject_HEAD
    Chan *ch;
    PyObject *value; /* what to send, until it is on its way */
    G *g;            /* who is parked */
    Compiled *fn;    /* borrowed: it is the class's, for good */
    PyObject **out;  /* set while am_send is called: the value goes there */
    char kind, state;
    char finalized; /* Python marks it so for good: it is not used again */
} Op;

static PyObject *str_send, *str_receive, *str_append, *str_notong, *str_failed, *send_closed;

/* --- the channel ------------------------------------------------------------------------------ */

static int
chan_traverse(Chan *ch, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(ch));
    Py_VISIT(ch->lock);
    Py_VISIT(ch->unlock);
    Py_VISIT(ch->buf);
    Py_VISIT(ch->recvq);
    Py_VISIT(ch->sendq);
    return 0;
}

static int
chan_tp_clear(Chan *ch)
{
    Py_CLEAR(ch->lock);
    Py_CLEAR(ch->unlock);
    Py_CLEAR(ch->buf);
    Py_CLEAR(ch->recvq);
    Py_CLEAR(ch->sendq);
    return 0;
}

static void
chan_dealloc(Chan *ch)
{
    PyTypeObject *type = Py_TYPE(ch);
    PyObject_GC_UnTrack(ch);
    chan_tp_clear(ch);
    type->tp_free(ch);
    Py_DECREF(type);
}

static PyMemberDef chan_members[] = {
    {"_lock", T_OBJECT, offsetof(Chan, lock), 0, NULL},
    {"_unlock", T_OBJECT, offsetof(Chan, unlock), 0, NULL},
    {"_buf", T_OBJECT, offsetof(Chan, buf), 0, NULL},
    {"_recvq", T_OBJECT, offsetof(Chan, recvq), 0, NULL},
    {"_sendq", T_OBJECT, offsetof(Chan, sendq), 0, NULL},
    {"_nmarked", T_PYSSIZET, offsetof(Chan, nmarked), 0, NULL},
    {"_closed", T_BOOL, offsetof(Chan, closed), 0, NULL},
    {"cap", T_PYSSIZET, offsetof(Chan, cap), 0, NULL},
    {0},
};
static PyType_Slot chan_slots[] = {
    {Py_tp_members, chan_members},   {Py_tp_dealloc, chan_dealloc},
    {Py_tp_traverse, chan_traverse}, {Py_tp_clear, chan_tp_clear}, {0},
};
static PyType_Spec chan_spec = {
    .name = "gopark._runtime._twin.Chan",
    .basicsize = sizeof(Chan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = chan_slots,
};

static inline int
plainchan(Chan *ch)
{
    return ch->lock != NULL && Py_IS_TYPE(ch->lock, TokenT) && ch->buf != NULL &&
           Py_IS_TYPE(ch->buf, RingT) && Py_IS_TYPE(ch->recvq, RingT) &&
           Py_IS_TYPE(ch->sendq, RingT);
}

static inline int
lock(Chan *ch)
{
    if (token_take((Token *)ch->lock))
        return 0;
    return done(PyObject_CallOneArg(door.lockslow, ch->lock));
}

static inline void
unlock(Chan *ch)
{
    token_give((Token *)ch->lock);
}

/* --- an operation ------------------------------------------------------------------------------- */

static PyObject *
closed_error(void)
{
    PyErr_SetObject(door.closed, send_closed);
    return NULL;
}

/* An exception before it has parked: let go of the lock. */
static PyObject *
op_raise(Op *op)
{
    op->state = OVER;
    unlock(op->ch);
    return NULL;
}

/* The end of an operation that has a value, which it steals. */
static PyObject *
op_give(Op *op, PyObject *value, int ok)
{
    if (op->kind == RECV_OK) {
        PyObject *pair = PyTuple_New(2);
        if (pair == NULL) {
            Py_DECREF(value);
            return NULL;
        }
        PyTuple_SET_ITEM(pair, 0, value);
        PyTuple_SET_ITEM(pair, 1, Py_NewRef(ok ? Py_True : Py_False));
        value = pair;
    }
    return stop(op->out, value);
}

/* What waits in a queue is a G or a Sudog: where it has its value. */
static inline PyObject **
elemof(PyObject *entry)
{
    return isg(entry) ? &((G *)entry)->elem : &((Sudog *)entry)->elem;
}

static inline void
setelem(PyObject *entry, PyObject *value) /* steals value; there was none */
{
    Py_XSETREF(*elemof(entry), value);
}

/* The value that a waiting sender has, or that was left for a receiver. */
static inline PyObject *
takeelem(PyObject *entry)
{
    PyObject **elem = elemof(entry), *value = *elem;
    *elem = NULL;
    return value ? value : Py_NewRef(Py_None);
}

/* The first waiter that is still to be had; the caller owns it and its wake-up. With the lock held. */
static inline PyObject *
dequeue(Chan *ch, Ring *queue)
{
    PyObject *entry;
    while ((entry = ring_get(queue)) != NULL) {
        if (isg(entry)) {
            Py_CLEAR(((G *)entry)->waiting); /* see frozen; it is this channel, which the caller has */
            return entry;
        }
        Sudog *s = (Sudog *)entry;
        s->queued = 0;
        if (s->marked) {
            ch->nmarked--;
        } else if (token_take((Token *)s->token)) {
            Py_XSETREF(((G *)s->g)->elem, Py_NewRef(entry)); /* tells the select which case won */
            return entry;
        }
        Py_DECREF(entry); /* its select has it, or it has forgotten what it had */
    }
    return NULL;
}

/* Make it ready that was waiting, which it steals; the lock is free. */
static inline int
wakeentry(PyObject *entry)
{
    int r = ready(isg(entry) ? (G *)entry : (G *)((Sudog *)entry)->g);
    Py_DECREF(entry);
    return r;
}

static PyObject *
op_notong(Op *op)
{
    PyObject *name = PyUnicode_FromString(op->kind == SEND ? "send" : "recv");
    PyObject *exc = name ? PyObject_CallMethodOneArg((PyObject *)op->ch, str_notong, name) : NULL;
    Py_XDECREF(name);
    if (exc != NULL)
        PyErr_SetRaisedException(exc);
    return op_raise(op);
}

/* Nobody is there: the calling G waits; the lock stays taken until it has parked. */
static PyObject *
op_park(Op *op, PyObject *queue, PyObject *reason)
{
    Chan *ch = op->ch;
    M *m = curm;
    G *g = m == NULL ? NULL : (G *)m->curg;
    if (isnone(g))
        return op_notong(op);
    if (ring_put(ringof(queue), Py_NewRef((PyObject *)g)) < 0)
        return op_raise(op);
    PyObject *before[] = {(PyObject *)m->token, m->waitunlockf, g->elem, g->waitreason, g->waiting};
    m->token = (Token *)Py_NewRef(ch->lock);
    m->waitunlockf = NULL;
    g->elem = op->value;
    op->value = NULL;
    op->g = (G *)Py_NewRef((PyObject *)g);
    op->state = PARKED;
    g->waitreason = Py_NewRef(reason);
    g->waiting = Py_NewRef((PyObject *)ch);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(before); i++)
        Py_XDECREF(before[i]); /* nothing of the user's: an M's last unlock function keeps none */
    return Py_NewRef(door.PARK);
}

/* The first steps of `send`. */
static PyObject *
op_send(Op *op)
{
    Chan *ch = op->ch;
    PyObject *entry = dequeue(ch, ringof(ch->recvq));
    if (entry != NULL) {
        setelem(entry, op->value);
        op->value = NULL;
        unlock(ch);
        op->state = OVER;
        if (wakeentry(entry) == 0)
            stop(op->out, Py_NewRef(Py_None));
        return NULL;
    }
    if (ch->closed) {
        closed_error();
        return op_raise(op);
    }
    if (ringof(ch->buf)->len < ch->cap) {
        int r = ring_put(ringof(ch->buf), op->value);
        op->value = NULL;
        if (r < 0)
            return op_raise(op);
        unlock(ch);
        op->state = OVER;
        return stop(op->out, Py_NewRef(Py_None));
    }
    return op_park(op, ch->sendq, str_send);
}

/* The first steps of `recv` and `recv_ok`. */
static PyObject *
op_recv(Op *op)
{
    Chan *ch = op->ch;
    Ring *queue = ringof(ch->sendq), *buf = ringof(ch->buf);
    PyObject *value = ring_get(buf), *entry = dequeue(ch, queue);
    if (value == NULL && entry != NULL) {
        value = takeelem(entry);
    } else if (entry != NULL) {
        (void)ring_put(buf, takeelem(entry)); /* there is room: one has just gone */
    } else if (value == NULL && ch->closed) {
        op_raise(op);
        return op_give(op, Py_NewRef(Py_None), 0);
    } else if (value == NULL) {
        return op_park(op, ch->recvq, str_receive);
    }
    unlock(ch);
    op->state = OVER;
    if (entry != NULL && wakeentry(entry) < 0) {
        Py_DECREF(value);
        return NULL;
    }
    return op_give(op, value, 1);
}

/* Woken: what has it come to? */
static PyObject *
op_woken(Op *op)
{
    G *g = op->g;
    int ok = g->success;
    op->state = OVER;
    op->g = NULL;
    g->success = 1;
    PyObject *value = takeelem((PyObject *)g);
    Py_DECREF(g);
    if (op->kind != SEND)
        return op_give(op, value, ok);
    Py_DECREF(value);
    return ok ? stop(op->out, Py_NewRef(Py_None)) : closed_error();
}

static PyObject *
op_next(Op *op)
{
    switch (op->state) {
    case FRESH:
        if (lock(op->ch) < 0) {
            op->state = OVER;
            return NULL;
        }
        return op->kind == SEND ? op_send(op) : op_recv(op);
    case PARKED:
        return op_woken(op);
    default:
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
}

/* It is raised at the wait: see Chan._failed, which may find that somebody was quicker. */
static PyObject *
op_failed(Op *op, PyObject *exc)
{
    G *g = op->g;
    op->g = NULL;
    op->state = OVER;
    PyObject *got = PyObject_CallMethodObjArgs((PyObject *)op->ch, str_failed, g, exc, NULL);
    Py_DECREF(g);
    if (got == NULL)
        return NULL;
    if (got == Py_None) {
        PyErr_SetRaisedException(Py_NewRef(exc));
    } else if (op->kind == SEND) {
        if (PyTuple_GET_ITEM(got, 1) == Py_True)
            stop(op->out, Py_NewRef(Py_None));
        else
            closed_error();
    } else {
        stop(op->out, Py_NewRef(op->kind == RECV ? PyTuple_GET_ITEM(got, 0) : got));
    }
    Py_DECREF(got);
    return NULL;
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
        op_failed(op, exc);
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
        op_failed(op, exc);
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
op_make(Compiled *fn, Chan *ch, PyObject *value)
{
    Op *op;
    if (nops) {
        op = ops[--nops];
        revive(op);
    } else if ((op = PyObject_GC_New(Op, OpT)) == NULL) {
        return NULL;
    }
    op->finalized = 0;
    op->ch = (Chan *)Py_NewRef((PyObject *)ch);
    op->value = Py_XNewRef(value);
    op->g = NULL;
    op->out = NULL;
    op->fn = fn;
    op->kind = (char)fn->kind;
    op->state = FRESH;
    PyObject_GC_Track(op);
    return (PyObject *)op;
}

static int
op_traverse(Op *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(op->ch);
    Py_VISIT(op->value);
    Py_VISIT(op->g);
    return 0;
}

static int
op_tp_clear(Op *op)
{
    if (op->state == PARKED)
        op->state = OVER;
    Py_CLEAR(op->value);
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
    Py_CLEAR(op->ch);
    Py_CLEAR(op->value);
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

/* --- the methods of Chan --------------------------------------------------------------------------- */

static PyObject *
compiled_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Compiled *c = (Compiled *)self;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (names == NULL && nargs == (c->kind == SEND ? 2 : 1) && PyObject_TypeCheck(args[0], ChanT) &&
        plainchan((Chan *)args[0]))
        return op_make(c, (Chan *)args[0], c->kind == SEND ? args[1] : NULL);
    return PyObject_Vectorcall(c->fn, args, nargsf, names); /* and what is wrong with the call */
}

/* compiled(kind, fn): a method of Chan. */
static PyObject *
compiled(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const char *kinds[NKINDS] = {"send", "recv", "recv_ok"};
    const char *name;
    PyObject *fn;
    if (!PyArg_ParseTuple(args, "sO", &name, &fn))
        return NULL;
    for (int kind = 0; kind < NKINDS; kind++)
        if (!strcmp(name, kinds[kind]))
            return compiled_make(fn, compiled_call, (enum kind)kind);
    PyErr_Format(PyExc_ValueError, "no operation %s", name);
    return NULL;
}
