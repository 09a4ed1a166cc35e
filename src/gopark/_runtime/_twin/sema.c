/* Queues of parked Gs: what everything in `gopark.sync` waits on.

The methods of Sema that are called with its lock held. Who does so from C has a lock that is a Token (`plainsema`),
and has made the queue before it took it (`sema_made`): nothing may come in while a Token is held.

Invariants: those of sema.py.
Source: Go 1.27 runtime/sema.go. Tests: tests/runtime/test_sema.py */

#include "twin.h"

static PyObject *str_append;

typedef struct {
    PyObject_HEAD
    PyObject *lock;
    PyObject *waiters; /* a Ring, once somebody has waited */
    PyObject *bubble;
} Sema;

/* `sema` if C may do what is to be done to it. While waits are profiled dequeue is mprof.py's. */
static inline Sema *
plainsema(PyObject *sema)
{
    if (sema == NULL || (PyObject *)Py_TYPE(sema) != door.sema || ((Sema *)sema)->lock == NULL)
        return NULL;
    return Py_IS_TYPE(((Sema *)sema)->lock, TokenT) ? (Sema *)sema : NULL;
}

static inline Py_ssize_t
sema_len(Sema *sema)
{
    return sema->waiters && Py_IS_TYPE(sema->waiters, RingT) ? ringof(sema->waiters)->len : 0;
}

/* --- with the lock held ------------------------------------------------------------------------- */

static int
sema_made(Sema *sema)
{
    if (sema->waiters != NULL && Py_IS_TYPE(sema->waiters, RingT))
        return 0;
    Ring *queue = (Ring *)RingT->tp_alloc(RingT, 0);
    if (queue == NULL)
        return -1;
    queue->maxlen = -1;
    Py_XSETREF(sema->waiters, (PyObject *)queue);
    return 0;
}

static inline int
sema_put(Sema *sema, PyObject *g, int front)
{
    Ring *queue = ringof(sema->waiters);
    return front ? done(ring_appendleft(queue, g)) : ring_put(queue, Py_NewRef(g));
}

/* Undo a `sema_put`; the caller has the G, too. */
static inline void
sema_leave(Sema *sema, int front)
{
    Ring *queue = ringof(sema->waiters);
    Py_DECREF(front ? ring_get(queue) : ring_getright(queue));
}

/* The first waiter, told what it is woken for; the caller owns it and its wake-up. NULL: none. */
static inline G *
sema_get(Sema *sema, PyObject *elem)
{
    G *g = sema_len(sema) ? (G *)ring_get(ringof(sema->waiters)) : NULL;
    if (g != NULL) {
        Py_CLEAR(g->waiting); /* this Sema, which the caller has */
        Py_XSETREF(g->elem, Py_NewRef(elem));
    }
    return g;
}

/* --- for Python --------------------------------------------------------------------------------- */

/* The value of an argument that is called `front`, by place or by name. */
static inline int
isfront(PyObject *const *args, Py_ssize_t nargs, PyObject *names, Py_ssize_t place)
{
    Py_ssize_t all = nargs + (names == NULL ? 0 : PyTuple_GET_SIZE(names));
    return all > place && PyObject_IsTrue(args[place]) == 1;
}

static PyObject *
sema_enqueue(Sema *sema, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    if (nargs < 1 || !isg(args[0])) {
        PyErr_SetString(PyExc_TypeError, "enqueue() takes a G");
        return NULL;
    }
    if (sema_made(sema) < 0 || sema_put(sema, args[0], isfront(args, nargs, names, 1)) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
sema_pyleave(Sema *sema, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    if (!sema_len(sema))
        return ring_empty();
    sema_leave(sema, isfront(args, nargs, names, 0));
    Py_RETURN_NONE;
}

/* park(g, reason): `g`, which is on the queue, is to wait; the caller goes on to yield PARK. */
static PyObject *
sema_park(Sema *sema, PyObject *const *args, Py_ssize_t nargs)
{
    M *m = curm;
    if (nargs != 2 || !isg(args[0]) || m == NULL) {
        PyErr_SetString(PyExc_TypeError, "park() takes a G that runs, and a reason");
        return NULL;
    }
    G *g = (G *)args[0];
    PyObject *unlockf = NULL;
    if (!Py_IS_TYPE(sema->lock, TokenT) &&
        (unlockf = PyObject_GetAttr(sema->lock, str_append)) == NULL)
        return NULL;
    Py_XSETREF(g->waiting, Py_NewRef((PyObject *)sema));
    Py_XSETREF(g->waitreason, Py_NewRef(args[1]));
    Py_XSETREF(m->token, unlockf == NULL ? (Token *)Py_NewRef(sema->lock) : NULL);
    Py_XSETREF(m->waitunlockf, unlockf);
    Py_RETURN_NONE;
}

static PyObject *
sema_dequeue(Sema *sema, PyObject *elem)
{
    G *g = sema_get(sema, elem);
    return g != NULL ? (PyObject *)g : Py_NewRef(Py_None);
}

static PyObject *
sema_discard(Sema *sema, PyObject *g)
{
    if (!sema_len(sema) || !ring_contains(ringof(sema->waiters), g))
        Py_RETURN_FALSE;
    Py_DECREF(ring_remove(ringof(sema->waiters), g));
    Py_RETURN_TRUE;
}

static int
sema_traverse(Sema *sema, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(sema));
    Py_VISIT(sema->lock);
    Py_VISIT(sema->waiters);
    Py_VISIT(sema->bubble);
    return 0;
}

static int
sema_tp_clear(Sema *sema)
{
    Py_CLEAR(sema->lock);
    Py_CLEAR(sema->waiters);
    Py_CLEAR(sema->bubble);
    return 0;
}

static void
sema_dealloc(Sema *sema)
{
    PyTypeObject *type = Py_TYPE(sema);
    PyObject_GC_UnTrack(sema);
    sema_tp_clear(sema);
    type->tp_free(sema);
    Py_DECREF(type);
}

static PyMethodDef sema_methods[] = {
    {"dequeue", (PyCFunction)sema_dequeue, METH_O, NULL},
    {"discard", (PyCFunction)sema_discard, METH_O, NULL},
    {"enqueue", (PyCFunction)(void (*)(void))sema_enqueue, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"leave", (PyCFunction)(void (*)(void))sema_pyleave, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"park", (PyCFunction)(void (*)(void))sema_park, METH_FASTCALL, NULL},
    {0},
};
static PyMemberDef sema_members[] = {
    O(Sema, bubble), O(Sema, lock), O(Sema, waiters), {0},
};
static PyType_Slot sema_slots[] = {
    {Py_tp_methods, sema_methods},   {Py_tp_members, sema_members}, {Py_tp_dealloc, sema_dealloc},
    {Py_tp_traverse, sema_traverse}, {Py_tp_clear, sema_tp_clear},  {0},
};
static PyType_Spec sema_spec = {
    .name = "gopark._runtime._twin.Sema",
    .basicsize = sizeof(Sema),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = sema_slots,
};
