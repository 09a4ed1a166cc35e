/* The network poller: what a descriptor holds, and from its edges to the Gs that wait for them.

The classes PollDesc of netpoll.py and FD of _poll/fd.py are subclasses of this PollDesc, which has the
fields of both. Deadlines, fork, and who looks when, stay Python's.

Invariants: N1 to N3 of netpoll.py. Nothing is called while a descriptor's lock is held.
Source: Go 1.27 runtime/netpoll.go. Tests: tests/net/test_netpoll.py, tests/runtime/test_netblock.py */

#include "twin.h"

typedef struct {
    PyObject_HEAD
    PyObject *lock, *unlock; /* a Token, and its `append` */
    PyObject *rg, *wg, *backend;
    char rready, wready, rend, rbad, wbad, closing;
    /* Of FD. */
    PyObject *recv, *send, *rturn, *wturn;
    char more, reading, writing;
} PollDesc;

static PyObject *str_R, *str_W, *str_END, *str_drain;

/* --- PollDesc ----------------------------------------------------------------------------------- */

#define POLLDESC_FIELDS(X) \
    X(lock) X(unlock) X(rg) X(wg) X(backend) X(recv) X(send) X(rturn) X(wturn)

static int
polldesc_traverse(PollDesc *pd, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(pd));
#define X(field) Py_VISIT(pd->field);
    POLLDESC_FIELDS(X)
#undef X
    return 0;
}

static int
polldesc_tp_clear(PollDesc *pd)
{
#define X(field) Py_CLEAR(pd->field);
    POLLDESC_FIELDS(X)
#undef X
    return 0;
}

static void
polldesc_dealloc(PollDesc *pd)
{
    PyTypeObject *type = Py_TYPE(pd);
    PyObject_GC_UnTrack(pd);
    polldesc_tp_clear(pd);
    type->tp_free(pd);
    Py_DECREF(type);
}

/* What is set once, at the beginning, is T_OBJECT_EX, which Python reads as fast as a slot of its own. */
#define BOOL(field) {#field, T_BOOL, offsetof(PollDesc, field), 0, NULL}
#define SLOT(field) {#field, T_OBJECT_EX, offsetof(PollDesc, field), 0, NULL}
static PyMemberDef polldesc_members[] = {
    SLOT(lock), SLOT(unlock), O(PollDesc, rg), O(PollDesc, wg), SLOT(backend),
    BOOL(rready), BOOL(wready), BOOL(rend), BOOL(rbad), BOOL(wbad), BOOL(closing),
    SLOT(recv), SLOT(send), BOOL(more), BOOL(reading), BOOL(writing),
    {"_rturn", T_OBJECT, offsetof(PollDesc, rturn), 0, NULL},
    {"_wturn", T_OBJECT, offsetof(PollDesc, wturn), 0, NULL},
    {0},
};
static PyType_Slot polldesc_slots[] = {
    {Py_tp_members, polldesc_members},   {Py_tp_dealloc, polldesc_dealloc},
    {Py_tp_traverse, polldesc_traverse}, {Py_tp_clear, polldesc_tp_clear}, {0},
};
static PyType_Spec polldesc_spec = {
    .name = "gopark._runtime._twin.PollDesc",
    .basicsize = sizeof(PollDesc),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = polldesc_slots,
};

/* --- the poller --------------------------------------------------------------------------------- */

/* What a poller calls its events: its R, W and END. */
typedef struct {
    long r, w, end;
} Events;

static int
eventsof(PyObject *backend, Events *e)
{
    PyObject *names[] = {str_R, str_W, str_END};
    long *places[] = {&e->r, &e->w, &e->end};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *value = PyObject_GetAttr(backend, names[i]);
        *places[i] = value == NULL ? -1 : PyLong_AsLong(value);
        Py_XDECREF(value);
        if (*places[i] == -1 && PyErr_Occurred())
            return -1;
    }
    return 0;
}

/* The descriptor by that number, if it is there yet; -1: an error. The reference is the caller's. */
static int
openedget(PyObject *opened, PyObject *fd, PyObject **pd)
{
    PyObject *ref = PyDict_GetItemWithError(opened, fd);
    *pd = NULL;
    if (ref == NULL)
        return PyErr_Occurred() ? -1 : 0;
    return getref(ref, pd);
}

/* There is something: for who waits, to `gs`, or else to be kept. */
static inline int
edge(PyObject **waiter, char *kept, PyObject *gs)
{
    G *g = (G *)*waiter;
    if (isnone(g)) {
        *kept = 1;
        return 0;
    }
    *waiter = NULL;
    PyObject *waiting = g->waiting;
    g->waiting = NULL;
    int r = PyList_Append(gs, (PyObject *)g);
    Py_DECREF(g); /* in the list, or in allgs */
    Py_XDECREF(waiting); /* this descriptor, which the caller has */
    return r;
}

static int
edgesof(PollDesc *pd, long ev, const Events *e, PyObject *gs)
{
    if (!token_take((Token *)pd->lock) && done(PyObject_CallOneArg(door.lockslow, pd->lock)) < 0)
        return -1;
    int r = 0;
    if (ev & e->end)
        pd->rend = 1;
    if (ev & e->r)
        r = edge(&pd->rg, &pd->rready, gs);
    if (r == 0 && ev & e->w)
        r = edge(&pd->wg, &pd->wready, gs);
    token_give((Token *)pd->lock);
    return r;
}

/* edges(backend, opened, events, slept, gs): as _edges. */
static PyObject *
edges(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    Events e;
    if (nargs != 5 || !PyList_Check(args[2]) || !PyList_Check(args[4])) {
        PyErr_SetString(PyExc_TypeError, "edges() takes a poller, a dict, a list, a bool, a list");
        return NULL;
    }
    if (eventsof(args[0], &e) < 0)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(args[2]); i++) {
        PyObject *event = PyList_GET_ITEM(args[2], i), *fd = PyTuple_GET_ITEM(event, 0), *pd;
        if (openedget(args[1], fd, &pd) < 0)
            return NULL;
        int r = 0;
        if (pd != NULL)
            r = edgesof((PollDesc *)pd, PyLong_AsLong(PyTuple_GET_ITEM(event, 1)), &e, args[4]);
        else if (args[3] == Py_True)
            r = done(PyObject_CallMethodOneArg(args[0], str_drain, fd));
        Py_XDECREF(pd);
        if (r < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}
