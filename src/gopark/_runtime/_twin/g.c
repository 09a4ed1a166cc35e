/* G, M, P: what they hold. The classes M, P and Sched of runtime2.py are subclasses of these.

G is whole: it has no Python part. Subclasses of it (bubble.py, scope.py) have a `status` of their own, which
is why a state is stored through `setstatus` here. `allgs` is a list through the Gs themselves: to list one
and to take it off allocates nothing and hashes nothing, however many there are.

`G.step` of a coroutine is the coroutine; who asks gets its iterator, for next() takes no coroutine.

Source: Go 1.27 runtime/runtime2.go. Tests: tests/runtime/test_runtime2.py, test_twin.py */

#include "twin.h"

/* --- G ---------------------------------------------------------------------------------------- */

#define G_FIELDS(X) \
    X(bubble) X(coro) X(ctx) X(elem) X(gocode) X(goglobals) X(lockedm) X(m) X(scope) X(step) \
    X(waiting) X(waitreason)

static int
g_traverse(G *g, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(g));
#define X(field) Py_VISIT(g->field);
    G_FIELDS(X)
#undef X
    return 0;
}

static int
g_tp_clear(G *g)
{
#define X(field) Py_CLEAR(g->field);
    G_FIELDS(X)
#undef X
    return 0;
}

static void
g_dealloc(G *g)
{
    PyTypeObject *type = Py_TYPE(g);
    PyObject_GC_UnTrack(g);
    if (g->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)g);
    g_tp_clear(g);
    type->tp_free(g);
    Py_DECREF(type);
}

static PyObject *
g_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    G *g = (G *)type->tp_alloc(type, 0);
    if (g != NULL)
        g->success = 1;
    return (PyObject *)g;
}

static int
g_init(G *g, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"goid", NULL};
    return PyArg_ParseTupleAndKeywords(args, kwargs, "L", names, &g->goid) ? 0 : -1;
}

static PyObject *
g_repr(G *g)
{
    PyObject *name = PyObject_GetAttrString(door.status[(int)g->status], "name");
    if (name == NULL)
        return NULL;
    PyObject *text = PyUnicode_FromFormat("<G %lld %U>", g->goid, name);
    Py_DECREF(name);
    return text;
}

/* Drop all that a dead G must not hold: the counterpart of Go's dead stacks. */
static PyObject *
g_clear(G *g, PyObject *Py_UNUSED(none))
{
    Py_CLEAR(g->step);
    Py_CLEAR(g->coro);
    Py_CLEAR(g->ctx);
    Py_CLEAR(g->elem);
    Py_CLEAR(g->waiting);
    Py_CLEAR(g->m);
    Py_CLEAR(g->lockedm);
    Py_CLEAR(g->goglobals);
    Py_CLEAR(g->gocode);
    Py_RETURN_NONE;
}

static PyObject *
g_getstatus(G *g, void *Py_UNUSED(closure))
{
    return Py_NewRef(door.status[(int)g->status]);
}

static int
g_setstatus(G *g, PyObject *value, void *Py_UNUSED(closure))
{
    for (int i = 0; i < NSTATUS; i++) {
        if (door.status[i] == value) {
            g->status = (char)i;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError, "%R is no state of a G", value ? value : Py_None);
    return -1;
}

/* The loop's way to it: in a bubble, or in a scope that is over, somebody wants to know. */
static inline int
setstatus(G *g, enum status s)
{
    if (Py_TYPE(g) == GT) {
        g->status = (char)s;
        return 0;
    }
    return PyObject_SetAttrString((PyObject *)g, "status", door.status[s]);
}

static PyObject *
g_getstep(G *g, void *Py_UNUSED(closure))
{
    PyObject *step = g->step ? g->step : Py_None;
    if (PyCoro_CheckExact(step))
        return PyObject_CallMethod(step, "__await__", NULL);
    return Py_NewRef(step);
}

static int
g_setstep(G *g, PyObject *value, void *Py_UNUSED(closure))
{
    Py_XSETREF(g->step, Py_XNewRef(isnone(value) ? NULL : value));
    return 0;
}

#define O(type, field) {#field, T_OBJECT, offsetof(type, field), 0, NULL}
static PyMemberDef g_members[] = {
    O(G, bubble), O(G, coro), O(G, ctx), O(G, elem), O(G, gocode), O(G, goglobals),
    O(G, lockedm), O(G, m), O(G, scope), O(G, waiting), O(G, waitreason),
    {"goexiting", T_LONGLONG, offsetof(G, goexiting), 0, NULL},
    {"goid", T_LONGLONG, offsetof(G, goid), 0, NULL},
    {"gopc", T_INT, offsetof(G, gopc), 0, NULL},
    {"lockedcnt", T_INT, offsetof(G, lockedcnt), 0, NULL},
    {"parentid", T_LONGLONG, offsetof(G, parentid), 0, NULL},
    {"success", T_BOOL, offsetof(G, success), 0, NULL},
    {"waitsince", T_DOUBLE, offsetof(G, waitsince), 0, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(G, weakrefs), READONLY, NULL},
    {0},
};
static PyGetSetDef g_getset[] = {
    {"status", (getter)g_getstatus, (setter)g_setstatus, NULL, NULL},
    {"step", (getter)g_getstep, (setter)g_setstep, NULL, NULL},
    {0},
};
static PyMethodDef g_methods[] = {
    {"clear", (PyCFunction)g_clear, METH_NOARGS, NULL},
    {0},
};
static PyType_Slot g_slots[] = {
    {Py_tp_members, g_members}, {Py_tp_getset, g_getset},     {Py_tp_methods, g_methods},
    {Py_tp_new, g_new},         {Py_tp_init, g_init},         {Py_tp_repr, g_repr},
    {Py_tp_dealloc, g_dealloc}, {Py_tp_traverse, g_traverse}, {Py_tp_clear, g_tp_clear},
    {0},
};
static PyType_Spec g_spec = {
    .name = "gopark._runtime._twin.G",
    .basicsize = sizeof(G),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = g_slots,
};

/* --- M ---------------------------------------------------------------------------------------- */

static int
m_traverse(M *m, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(m));
    Py_VISIT(m->token);
    Py_VISIT(m->waitunlockf);
    Py_VISIT(m->curg);
    Py_VISIT(m->g);
    Py_VISIT(m->lockedg);
    Py_VISIT(m->nextp);
    Py_VISIT(m->p);
    Py_VISIT(m->sched);
    return 0;
}

static int
m_tp_clear(M *m)
{
    Py_CLEAR(m->token);
    Py_CLEAR(m->waitunlockf);
    Py_CLEAR(m->curg);
    Py_CLEAR(m->g);
    Py_CLEAR(m->lockedg);
    Py_CLEAR(m->nextp);
    Py_CLEAR(m->p);
    Py_CLEAR(m->sched);
    return 0;
}

static void
m_dealloc(M *m)
{
    PyTypeObject *type = Py_TYPE(m);
    PyObject_GC_UnTrack(m);
    m_tp_clear(m);
    type->tp_free(m);
    Py_DECREF(type);
}

static PyObject *
m_getunlock(M *m, void *Py_UNUSED(closure))
{
    if (m->token != NULL)
        return PyObject_GetAttrString((PyObject *)m->token, "append");
    if (m->waitunlockf != NULL && Py_IS_TYPE(m->waitunlockf, TimerT))
        return PyObject_GetAttrString(m->waitunlockf, "start");
    return Py_NewRef(m->waitunlockf ? m->waitunlockf : Py_None);
}

static int
m_setunlock(M *m, PyObject *value, void *Py_UNUSED(closure))
{
    Py_CLEAR(m->token);
    Py_XSETREF(m->waitunlockf, Py_XNewRef(isnone(value) ? NULL : value));
    return 0;
}

static PyMemberDef m_members[] = {
    O(M, curg), O(M, g), O(M, lockedg), O(M, nextp), O(M, p), O(M, sched),
    {"onthread", T_BOOL, offsetof(M, onthread), 0, NULL},
    {0},
};
static PyGetSetDef m_getset[] = {
    {"waitunlockf", (getter)m_getunlock, (setter)m_setunlock, NULL, NULL},
    {0},
};
static PyType_Slot m_slots[] = {
    {Py_tp_members, m_members},   {Py_tp_getset, m_getset}, {Py_tp_dealloc, m_dealloc},
    {Py_tp_traverse, m_traverse}, {Py_tp_clear, m_tp_clear}, {0},
};
static PyType_Spec m_spec = {
    .name = "gopark._runtime._twin.M",
    .basicsize = sizeof(M),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = m_slots,
};

/* --- P, Sched --------------------------------------------------------------------------------- */

static int
p_traverse(P *p, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(p));
    Py_VISIT(p->runq);
    Py_VISIT(p->runnext);
    Py_VISIT(p->gfree);
    Py_VISIT(p->m);
    Py_VISIT(p->near);
    Py_VISIT(p->sched);
    return 0;
}

static int
p_tp_clear(P *p)
{
    Py_CLEAR(p->runq);
    Py_CLEAR(p->runnext);
    Py_CLEAR(p->gfree);
    Py_CLEAR(p->m);
    Py_CLEAR(p->near);
    Py_CLEAR(p->sched);
    return 0;
}

static void
p_dealloc(P *p)
{
    PyTypeObject *type = Py_TYPE(p);
    PyObject_GC_UnTrack(p);
    p_tp_clear(p);
    type->tp_free(p);
    Py_DECREF(type);
}

static PyMemberDef p_members[] = {
    O(P, runq), O(P, runnext), O(P, gfree), O(P, m), O(P, near), O(P, sched),
    {"began", T_DOUBLE, offsetof(P, began), 0, NULL},
    {"pid", T_INT, offsetof(P, pid), 0, NULL},
    {"schedtick", T_LONGLONG, offsetof(P, schedtick), 0, NULL},
    {0},
};
static PyType_Slot p_slots[] = {
    {Py_tp_members, p_members},   {Py_tp_dealloc, p_dealloc},
    {Py_tp_traverse, p_traverse}, {Py_tp_clear, p_tp_clear}, {0},
};
static PyType_Spec p_spec = {
    .name = "gopark._runtime._twin.P",
    .basicsize = sizeof(P),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = p_slots,
};

static int
sched_traverse(Sched *sched, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(sched));
    Py_VISIT(sched->main);
    Py_VISIT(sched->runq);
    Py_VISIT(sched->timers);
    return 0;
}

static int
sched_tp_clear(Sched *sched)
{
    Py_CLEAR(sched->main);
    Py_CLEAR(sched->runq);
    Py_CLEAR(sched->timers);
    return 0;
}

static void
sched_dealloc(Sched *sched)
{
    PyTypeObject *type = Py_TYPE(sched);
    PyObject_GC_UnTrack(sched);
    sched_tp_clear(sched);
    type->tp_free(sched);
    Py_DECREF(type);
}

static PyMemberDef sched_members[] = {
    O(Sched, main), O(Sched, runq), O(Sched, timers),
    {"ended", T_BOOL, offsetof(Sched, ended), 0, NULL},
    {"npidle", T_INT, offsetof(Sched, npidle), 0, NULL},
    {0},
};
static PyType_Slot sched_slots[] = {
    {Py_tp_members, sched_members},   {Py_tp_dealloc, sched_dealloc},
    {Py_tp_traverse, sched_traverse}, {Py_tp_clear, sched_tp_clear}, {0},
};
static PyType_Spec sched_spec = {
    .name = "gopark._runtime._twin.Sched",
    .basicsize = sizeof(Sched),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = sched_slots,
};

/* --- allgs ------------------------------------------------------------------------------------ */

/* A listed G is alive whatever it refers to, so the collector need not look at it: to it, what only such a G
refers to is held from outside. A burst of goroutines would make it look at each of them again and again. */
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
