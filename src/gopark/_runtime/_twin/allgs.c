/* `allgs`, `goids` and `tls`: the goroutines that there are, their numbers, the M of each thread.

`allgs` is a list through the Gs themselves: to list one and to take it off allocates nothing and hashes nothing,
however many there are.

Source: Go 1.27 runtime/proc.go (allgadd), runtime2.go. Tests: tests/runtime/test_runtime2.py, test_twin.py */

#include "twin.h"

/* --- allgs ------------------------------------------------------------------------------------ */

static struct {
    G head;
    Py_ssize_t len;
} allgs;

static inline void
listg(G *g) /* owns a reference from here on */
{
    if (g->listed)
        return;
    G *head = &allgs.head;
    PyObject_GC_UnTrack(g);
    untrack(g->coro);
    untrack(g->ctx);
    g->listed = 1;
    g->prev = head->prev;
    g->next = head;
    head->prev->next = g;
    head->prev = (G *)Py_NewRef((PyObject *)g);
    allgs.len++;
}

static inline void
unlistg(G *g)
{
    if (!g->listed)
        return;
    g->listed = 0;
    g->prev->next = g->next;
    g->next->prev = g->prev;
    g->next = g->prev = NULL;
    allgs.len--;
    PyObject_GC_Track(g);
    retrack(g->coro);
    retrack(g->ctx);
    Py_DECREF(g);
}

static PyObject *
notag(PyObject *o)
{
    PyErr_Format(PyExc_TypeError, "allgs holds Gs, not %R", o);
    return NULL;
}

static PyObject *
allgs_add(PyObject *Py_UNUSED(self), PyObject *g)
{
    if (!isg(g))
        return notag(g);
    listg((G *)g);
    Py_RETURN_NONE;
}

static PyObject *
allgs_discard(PyObject *Py_UNUSED(self), PyObject *g)
{
    if (!isg(g))
        return notag(g);
    unlistg((G *)g);
    Py_RETURN_NONE;
}

static PyObject *
allgs_copy(PyObject *self, PyObject *none)
{
    PyObject *list = PyList_New(allgs.len);
    if (list == NULL)
        return NULL;
    if (PyList_GET_SIZE(list) != allgs.len) { /* the collector has run, and more */
        Py_DECREF(list);
        return allgs_copy(self, none);
    }
    Py_ssize_t i = 0;
    for (G *g = allgs.head.next; g != &allgs.head; g = g->next)
        PyList_SET_ITEM(list, i++, Py_NewRef((PyObject *)g));
    PyObject *set = PySet_New(list);
    Py_DECREF(list);
    return set;
}

static PyObject *
allgs_clear(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(none))
{
    while (allgs.head.next != &allgs.head)
        unlistg(allgs.head.next);
    Py_RETURN_NONE;
}

static Py_ssize_t
allgs_len(PyObject *Py_UNUSED(self))
{
    return allgs.len;
}

static int
allgs_contains(PyObject *Py_UNUSED(self), PyObject *g)
{
    return isg(g) && ((G *)g)->listed;
}

static PyObject *
allgs_iter(PyObject *self)
{
    PyObject *set = allgs_copy(self, NULL);
    if (set == NULL)
        return NULL;
    PyObject *it = PyObject_GetIter(set);
    Py_DECREF(set);
    return it;
}

static PyObject *
allgs_subtract(PyObject *a, PyObject *b)
{
    PyObject *left = PySet_New(a), *right = PySet_New(b), *rest = NULL;
    if (left != NULL && right != NULL)
        rest = PyNumber_Subtract(left, right);
    Py_XDECREF(left);
    Py_XDECREF(right);
    return rest;
}

/* For who asks what it refers to, as mgcleak.py does; the collector does not. */
static int
allgs_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (G *g = allgs.head.next; g != &allgs.head; g = g->next)
        Py_VISIT(g);
    return 0;
}

static PyObject *
allgs_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    PyObject *self = type->tp_alloc(type, 0);
    if (self != NULL)
        PyObject_GC_UnTrack(self);
    return self;
}

static void
plain_dealloc(PyObject *o)
{
    PyTypeObject *type = Py_TYPE(o);
    if (PyType_IS_GC(type))
        PyObject_GC_UnTrack(o);
    type->tp_free(o);
    Py_DECREF(type);
}

static PyMethodDef allgs_methods[] = {
    {"add", allgs_add, METH_O, NULL},
    {"clear", allgs_clear, METH_NOARGS, NULL},
    {"copy", allgs_copy, METH_NOARGS, NULL},
    {"discard", allgs_discard, METH_O, NULL},
    {0},
};
static PyType_Slot allgs_slots[] = {
    {Py_tp_methods, allgs_methods},   {Py_nb_subtract, allgs_subtract},
    {Py_sq_length, allgs_len},        {Py_sq_contains, allgs_contains},
    {Py_tp_iter, allgs_iter},         {Py_tp_dealloc, plain_dealloc},
    {Py_tp_traverse, allgs_traverse}, {Py_tp_new, allgs_new},
    {0},
};
static PyType_Spec allgs_spec = {
    .name = "gopark._runtime._twin.Allgs",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = allgs_slots,
};

/* --- goids, tls ------------------------------------------------------------------------------- */

static long long nextgoid = 2; /* 1 is main's */

static PyObject *
goids_next(PyObject *Py_UNUSED(self))
{
    return PyLong_FromLongLong(nextgoid++);
}

/* That of itertools.count, by which the profiles know how many there have been. */
static PyObject *
goids_repr(PyObject *Py_UNUSED(self))
{
    return PyUnicode_FromFormat("count(%lld)", nextgoid);
}

static PyType_Slot goids_slots[] = {
    {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, goids_next},
    {Py_tp_repr, goids_repr},        {Py_tp_dealloc, plain_dealloc}, {0},
};
static PyType_Spec goids_spec = {
    .name = "gopark._runtime._twin.Goids",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = goids_slots,
};

static PyObject *
tls_getm(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    return Py_NewRef(curm ? (PyObject *)curm : Py_None);
}

static int
tls_setm(PyObject *Py_UNUSED(self), PyObject *value, void *Py_UNUSED(closure))
{
    if (!isnone(value) && !PyObject_TypeCheck(value, MT)) {
        PyErr_Format(PyExc_TypeError, "tls.m is an M or None, not %R", value);
        return -1;
    }
    Py_XSETREF(curm, (M *)Py_XNewRef(isnone(value) ? NULL : value));
    return 0;
}

static PyGetSetDef tls_getset[] = {
    {"m", tls_getm, tls_setm, NULL, NULL},
    {0},
};
static PyType_Slot tls_slots[] = {
    {Py_tp_getset, tls_getset},
    {Py_tp_dealloc, plain_dealloc},
    {0},
};
static PyType_Spec tls_spec = {
    .name = "gopark._runtime._twin.TLS",
    .basicsize = sizeof(PyObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = tls_slots,
};
