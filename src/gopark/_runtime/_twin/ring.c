/* Queues and locks: what collections.deque is to the pure source.

A Ring has the methods of deque that the runtime uses. It differs in that it may be changed while it is
gone through, for that goes through a copy.
A Token is the lock of lockrank.py, a deque that holds one item while it is free: `pop()` takes it and
raises IndexError where somebody else has it, `append(None)` gives it back.

Invariants: cap is zero or a power of two; 0 <= len <= cap; items[head ... head + len) are owned.
Relies on: the GIL's one thread at a time between two calls of Python's.
Source: none in Go. Tests: tests/runtime/test_twin.py */

#include "twin.h"

/* --- Ring ------------------------------------------------------------------------------------- */

static inline PyObject **
ring_slot(Ring *r, Py_ssize_t i)
{
    return &r->items[(r->head + i) & (r->cap - 1)];
}

static int
ring_grow(Ring *r)
{
    Py_ssize_t cap = r->cap ? r->cap * 2 : 2;
    PyObject **items = PyMem_New(PyObject *, (size_t)cap);
    if (items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < r->len; i++)
        items[i] = *ring_slot(r, i);
    PyMem_Free(r->items);
    r->items = items;
    r->head = 0;
    r->cap = cap;
    return 0;
}

/* At the tail; steals the reference, also if there is no memory. */
static inline int
ring_put(Ring *r, PyObject *o)
{
    if (r->len == r->cap && ring_grow(r) < 0) {
        Py_DECREF(o);
        return -1;
    }
    r->items[(r->head + r->len++) & (r->cap - 1)] = o;
    return 0;
}

/* The head, or NULL without an error; the reference is the caller's. */
static inline PyObject *
ring_get(Ring *r)
{
    if (!r->len)
        return NULL;
    PyObject *o = r->items[r->head];
    r->head = (r->head + 1) & (r->cap - 1);
    r->len--;
    return o;
}

/* The tail, likewise. */
static inline PyObject *
ring_getright(Ring *r)
{
    if (!r->len)
        return NULL;
    return r->items[(r->head + --r->len) & (r->cap - 1)];
}

static inline PyObject *
ring_head(Ring *r)
{
    return r->items[r->head];
}

static PyObject *
ring_append(Ring *r, PyObject *o)
{
    if (r->maxlen >= 0 && r->len >= r->maxlen) {
        PyObject *first = ring_get(r);
        if (first == NULL)
            Py_RETURN_NONE;
        Py_DECREF(first);
    }
    if (ring_put(r, Py_NewRef(o)) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
ring_appendleft(Ring *r, PyObject *o)
{
    if (r->len == r->cap && ring_grow(r) < 0)
        return NULL;
    r->head = (r->head - 1) & (r->cap - 1);
    r->items[r->head] = Py_NewRef(o);
    r->len++;
    Py_RETURN_NONE;
}

static PyObject *
ring_empty(void)
{
    PyErr_SetString(PyExc_IndexError, "pop from an empty deque");
    return NULL;
}

static PyObject *
ring_pop(Ring *r, PyObject *Py_UNUSED(none))
{
    PyObject *o = ring_getright(r);
    return o ? o : ring_empty();
}

static PyObject *
ring_popleft(Ring *r, PyObject *Py_UNUSED(none))
{
    PyObject *o = ring_get(r);
    return o ? o : ring_empty();
}

static int
ring_tp_clear(Ring *r)
{
    PyObject *o;
    while ((o = ring_get(r)) != NULL)
        Py_DECREF(o);
    return 0;
}

static PyObject *
ring_clear(Ring *r, PyObject *Py_UNUSED(none))
{
    ring_tp_clear(r);
    Py_RETURN_NONE;
}

static PyObject *
ring_copy(Ring *r, PyObject *Py_UNUSED(none))
{
    PyObject *list = PyList_New(r->len);
    if (list == NULL)
        return NULL;
    /* The collector may have run just now, and with it what changes the ring. */
    if (PyList_GET_SIZE(list) != r->len) {
        Py_DECREF(list);
        return ring_copy(r, NULL);
    }
    for (Py_ssize_t i = 0; i < r->len; i++)
        PyList_SET_ITEM(list, i, Py_NewRef(*ring_slot(r, i)));
    return list;
}

static PyObject *
ring_iter(Ring *r)
{
    PyObject *list = ring_copy(r, NULL);
    if (list == NULL)
        return NULL;
    PyObject *it = PyObject_GetIter(list);
    Py_DECREF(list);
    return it;
}

static PyObject *
ring_extend(Ring *r, PyObject *iterable)
{
    PyObject *list = PySequence_List(iterable);
    if (list == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (done(ring_append(r, PyList_GET_ITEM(list, i))) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    Py_DECREF(list);
    Py_RETURN_NONE;
}

/* By identity, which is how Gs and Sudogs compare. */
static Py_ssize_t
ring_index(Ring *r, PyObject *o)
{
    for (Py_ssize_t i = 0; i < r->len; i++)
        if (*ring_slot(r, i) == o)
            return i;
    return -1;
}

static PyObject *
ring_remove(Ring *r, PyObject *o)
{
    Py_ssize_t i = ring_index(r, o);
    if (i < 0) {
        PyErr_SetString(PyExc_ValueError, "deque.remove(x): x not in deque");
        return NULL;
    }
    for (; i > 0; i--)
        *ring_slot(r, i) = *ring_slot(r, i - 1);
    *ring_slot(r, 0) = o;
    Py_DECREF(ring_get(r));
    Py_RETURN_NONE;
}

static Py_ssize_t
ring_len(Ring *r)
{
    return r->len;
}

static PyObject *
ring_item(Ring *r, Py_ssize_t i)
{
    if (i < 0 || i >= r->len) {
        PyErr_SetString(PyExc_IndexError, "deque index out of range");
        return NULL;
    }
    return Py_NewRef(*ring_slot(r, i));
}

static int
ring_contains(Ring *r, PyObject *o)
{
    return ring_index(r, o) >= 0;
}

static PyObject *
ring_sizeof(Ring *r, PyObject *Py_UNUSED(none))
{
    return PyLong_FromSize_t(sizeof(Ring) + (size_t)r->cap * sizeof(PyObject *));
}

static int
ring_traverse(Ring *r, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(r));
    for (Py_ssize_t i = 0; i < r->len; i++)
        Py_VISIT(*ring_slot(r, i));
    return 0;
}

static void
ring_dealloc(Ring *r)
{
    PyTypeObject *type = Py_TYPE(r);
    PyObject_GC_UnTrack(r);
    ring_tp_clear(r);
    PyMem_Free(r->items);
    type->tp_free(r);
    Py_DECREF(type);
}

static int
ring_init(Ring *r, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"iterable", "maxlen", NULL};
    PyObject *iterable = NULL;
    Py_ssize_t maxlen = -1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|On", names, &iterable, &maxlen))
        return -1;
    r->maxlen = maxlen;
    return iterable == NULL ? 0 : done(ring_extend(r, iterable));
}

static PyMethodDef ring_methods[] = {
    {"append", (PyCFunction)ring_append, METH_O, NULL},
    {"appendleft", (PyCFunction)ring_appendleft, METH_O, NULL},
    {"clear", (PyCFunction)ring_clear, METH_NOARGS, NULL},
    {"copy", (PyCFunction)ring_copy, METH_NOARGS, NULL},
    {"extend", (PyCFunction)ring_extend, METH_O, NULL},
    {"pop", (PyCFunction)ring_pop, METH_NOARGS, NULL},
    {"popleft", (PyCFunction)ring_popleft, METH_NOARGS, NULL},
    {"remove", (PyCFunction)ring_remove, METH_O, NULL},
    {"__sizeof__", (PyCFunction)ring_sizeof, METH_NOARGS, NULL},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, NULL},
    {0},
};
static PyType_Slot ring_slots[] = {
    {Py_tp_methods, ring_methods},   {Py_tp_init, ring_init},
    {Py_tp_dealloc, ring_dealloc},   {Py_tp_traverse, ring_traverse},
    {Py_tp_clear, ring_tp_clear},    {Py_tp_iter, ring_iter},
    {Py_sq_length, ring_len},        {Py_sq_item, ring_item},
    {Py_sq_contains, ring_contains}, {0},
};
static PyType_Spec ring_spec = {
    .name = "gopark._runtime._twin.Ring",
    .basicsize = sizeof(Ring),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = ring_slots,
};

/* --- Token ------------------------------------------------------------------------------------ */

static inline int
token_take(Token *t)
{
    int taken = t->free;
    t->free = 0;
    return taken;
}

static inline void
token_give(Token *t)
{
    t->free = 1;
}

static PyObject *
token_pop(Token *t, PyObject *Py_UNUSED(none))
{
    if (!token_take(t))
        return ring_empty();
    Py_RETURN_NONE;
}

static PyObject *
token_append(Token *t, PyObject *Py_UNUSED(none))
{
    token_give(t);
    Py_RETURN_NONE;
}

static PyObject *
token_clear(Token *t, PyObject *Py_UNUSED(none))
{
    t->free = 0;
    Py_RETURN_NONE;
}

/* In the child of a fork: see lockrank.py, lasting. */
static PyObject *
token_afterfork(Token *t, PyObject *Py_UNUSED(none))
{
    token_give(t);
    Py_RETURN_NONE;
}

static Py_ssize_t
token_len(Token *t)
{
    return t->free;
}

static PyObject *
token_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    Token *t = (Token *)type->tp_alloc(type, 0);
    if (t != NULL)
        t->free = 1;
    return (PyObject *)t;
}

static void
token_dealloc(Token *t)
{
    PyTypeObject *type = Py_TYPE(t);
    if (t->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)t);
    type->tp_free(t);
    Py_DECREF(type);
}

static PyMethodDef token_methods[] = {
    {"append", (PyCFunction)token_append, METH_O, NULL},
    {"clear", (PyCFunction)token_clear, METH_NOARGS, NULL},
    {"pop", (PyCFunction)token_pop, METH_NOARGS, NULL},
    {"_at_fork_reinit", (PyCFunction)token_afterfork, METH_NOARGS, NULL},
    {0},
};
static PyMemberDef token_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Token, weakrefs), READONLY, NULL},
    {0},
};
static PyType_Slot token_slots[] = {
    {Py_tp_methods, token_methods}, {Py_tp_members, token_members},
    {Py_tp_new, token_new},         {Py_tp_dealloc, token_dealloc},
    {Py_sq_length, token_len},      {0},
};
static PyType_Spec token_spec = {
    .name = "gopark._runtime._twin.Token",
    .basicsize = sizeof(Token),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = token_slots,
};
