/* Channels: `send`, `recv`, `recv_ok`. The rest of chan.py, close and select among it, is Python's.

A call makes an Op (suspend.c). It goes through the steps of the function of the same name in chan.py, in the
same order.

Left to the pure function (compiled_call): a channel whose lock is not a Token (in a bubble) or whose queues
are not Rings (a timer's).

Invariants: those of chan.py.
Source: Go 1.27 runtime/chan.go. Tests: tests/runtime/test_chan.py, test_chan_model.py */

#include "twin.h"

#define chanof(op) ((Chan *)(op)->of)

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
    unlock(chanof(op));
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
    PyObject *exc = name ? PyObject_CallMethodOneArg(op->of, str_notong, name) : NULL;
    Py_XDECREF(name);
    if (exc != NULL)
        PyErr_SetRaisedException(exc);
    return op_raise(op);
}

/* Nobody is there: the calling G waits; the lock stays taken until it has parked. */
static PyObject *
op_park(Op *op, PyObject *queue, PyObject *reason)
{
    Chan *ch = chanof(op);
    M *m = curm;
    G *g = m == NULL ? NULL : (G *)m->curg;
    if (isnone(g))
        return op_notong(op);
    if (ring_put(ringof(queue), Py_NewRef((PyObject *)g)) < 0)
        return op_raise(op);
    PyObject *elem = g->elem;
    g->elem = op->value;
    op->value = NULL;
    Py_XDECREF(elem); /* None between two operations */
    return op_parks(op, m, g, ch->lock, op->of, reason);
}

/* The first steps of `send`. */
static PyObject *
op_send(Op *op)
{
    Chan *ch = chanof(op);
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
    Chan *ch = chanof(op);
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
    G *g = op_leaves(op);
    int ok = g->success;
    g->success = 1;
    PyObject *value = takeelem((PyObject *)g);
    Py_DECREF(g);
    if (op->kind != SEND)
        return op_give(op, value, ok);
    Py_DECREF(value);
    return ok ? stop(op->out, Py_NewRef(Py_None)) : closed_error();
}

static PyObject *
op_step(Op *op)
{
    if (op->state == PARKED)
        return op_woken(op);
    if (lock(chanof(op)) < 0) {
        op->state = OVER;
        return NULL;
    }
    return op->kind == SEND ? op_send(op) : op_recv(op);
}

/* It is raised at the wait: see Chan._failed, which may find that somebody was quicker. */
static PyObject *
op_failed(Op *op, PyObject *exc)
{
    G *g = op_leaves(op);
    PyObject *got = PyObject_CallMethodObjArgs(op->of, str_failed, g, exc, NULL);
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

static const Does chan_does = {op_step, op_failed};

/* --- the methods of Chan --------------------------------------------------------------------------- */

static PyObject *
compiled_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Compiled *c = (Compiled *)self;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (names == NULL && nargs == (c->kind == SEND ? 2 : 1) && PyObject_TypeCheck(args[0], ChanT) &&
        plainchan((Chan *)args[0]))
        return op_make(c, args[0], c->kind == SEND ? args[1] : NULL);
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
            return compiled_make(fn, compiled_call, (enum kind)kind, &chan_does);
    PyErr_Format(PyExc_ValueError, "no operation %s", name);
    return NULL;
}
