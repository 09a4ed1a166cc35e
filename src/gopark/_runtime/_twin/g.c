/* G, M, P: what they hold. The classes M, P and Sched of runtime2.py are subclasses of these.

G is whole: it has no Python part. Subclasses of it (bubble.py, scope.py) have a `status` of their own, which
is why a state is stored through `setstatus` here.

`G.step` of a coroutine is the coroutine; who asks gets its iterator, for next() takes no coroutine.

Source: Go 1.27 runtime/runtime2.go. Tests: tests/runtime/test_runtime2.py, test_twin.py */

#include "twin.h"

/* A listed G is alive whatever it refers to, and so are its coroutine and its context, which are its own. The
collector need look at none of the three: to it, what only they refer to is held from outside. A burst of goroutines
would make it go through all of them again and again. They are tracked again before the G lets go of them. */
static inline void
untrack(PyObject *o)
{
    if (o != NULL && (PyCoro_CheckExact(o) || PyContext_CheckExact(o)))
        PyObject_GC_UnTrack(o);
}

static inline void
retrack(PyObject *o)
{
    if (o != NULL && (PyCoro_CheckExact(o) || PyContext_CheckExact(o)) && !PyObject_GC_IsTracked(o))
        PyObject_GC_Track(o);
}

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
    retrack(g->coro); /* it may still be listed */
    retrack(g->ctx);
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
    retrack(g->step);
    Py_XSETREF(g->step, Py_XNewRef(isnone(value) ? NULL : value));
    return 0;
}

static PyObject *
g_getowned(G *g, void *offset)
{
    PyObject *value = *(PyObject **)((char *)g + (uintptr_t)offset);
    return Py_NewRef(value ? value : Py_None);
}

static int
g_setowned(G *g, PyObject *value, void *offset)
{
    PyObject **field = (PyObject **)((char *)g + (uintptr_t)offset);
    retrack(*field);
    Py_XSETREF(*field, Py_XNewRef(isnone(value) ? NULL : value));
    return 0;
}

#define O(type, field) {#field, T_OBJECT, offsetof(type, field), 0, NULL}
static PyMemberDef g_members[] = {
    O(G, bubble), O(G, elem), O(G, gocode), O(G, goglobals),
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
    {"coro", (getter)g_getowned, (setter)g_setowned, NULL, (void *)offsetof(G, coro)},
    {"ctx", (getter)g_getowned, (setter)g_setowned, NULL, (void *)offsetof(G, ctx)},
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
