/* Run queues: `ready`, and how a G gets onto its P's.

As runq.py says; what is not here stays there. A P whose queues are not Rings (tests put others in
their place) is left to it as well.

Source: Go 1.27 runtime/proc.go. Tests: tests/runtime/test_runq.py */

#include "twin.h"

static inline int
npidle(P *p)
{
    return p->near == p->sched && p->sched != NULL ? ((Sched *)p->sched)->npidle : 1;
}

static inline int
plainqueues(P *p)
{
    return Py_IS_TYPE(p->runnext, RingT) && Py_IS_TYPE(p->runq, RingT);
}

/* `g` in `runnext`; what was there goes to the tail of the queue. */
static inline int
runqput(P *p, G *g)
{
    PyObject *old = ring_getright(ringof(p->runnext));
    if (old != NULL && ring_put(ringof(p->runq), old) < 0)
        return -1;
    return ring_put(ringof(p->runnext), Py_NewRef((PyObject *)g));
}

/* Onto the global queue of its program. -1: an error; 0: that is not to be told here, see runq.py. */
static int
globrunqput(M *m, G *g)
{
    M *of = (M *)g->m;
    PyObject *sched = isnone(of) || isnone(of->sched) ? NULL : of->sched;
    if (sched == NULL && isnone(m->g) && !isnone(m->sched))
        sched = m->sched;
    if (sched == NULL || !Py_IS_TYPE(((Sched *)sched)->runq, RingT))
        return 0;
    if (ring_put(ringof(((Sched *)sched)->runq), Py_NewRef((PyObject *)g)) < 0)
        return -1;
    if ((((Sched *)sched)->npidle || ((Sched *)sched)->ended) &&
        done(PyObject_CallOneArg(door.globspread, sched)) < 0)
        return -1;
    return 1;
}

/* take(q, n, rest): up to `n` Gs from the head of `q`, as _take. */
static PyObject *
take(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3 || !Py_IS_TYPE(args[0], RingT) || !Py_IS_TYPE(args[2], RingT)) {
        PyErr_SetString(PyExc_TypeError, "take() takes a Ring, a number and a Ring");
        return NULL;
    }
    Ring *q = ringof(args[0]), *rest = ringof(args[2]);
    Py_ssize_t n = PyLong_AsSsize_t(args[1]);
    if (n == -1 && PyErr_Occurred())
        return NULL;
    PyObject *g = ring_get(q);
    if (g == NULL)
        Py_RETURN_NONE;
    for (PyObject *next; --n > 0 && (next = ring_get(q)) != NULL;) {
        if (ring_put(rest, next) < 0) {
            Py_DECREF(g);
            return NULL;
        }
    }
    return g;
}

/* Who has `g` in hand now is nobody: without memory it would wait for ever. */
static int
unready(void)
{
    if (!PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    PyObject *exc = PyErr_GetRaisedException();
    int r = done(PyObject_CallMethod(door.hooks, "throw", "O", exc));
    Py_DECREF(exc);
    return r;
}

/* Make a waiting G runnable; the caller owns its wake-up. Go: goready. */
static int
ready(G *g)
{
    M *m = curm;
    P *p = m == NULL ? NULL : (P *)m->p;
    if (g->status != GWAITING || PyList_GET_SIZE(door.wakes_heard) || isnone(p) || !plainqueues(p))
        return done(PyObject_CallOneArg(door.notready, (PyObject *)g));
    if (setstatus(g, GRUNNABLE) < 0)
        return -1;
    if (runqput(p, g) < 0)
        return unready();
    if (npidle(p) && (ringof(p->runq)->len || m->onthread || m->p != (PyObject *)p))
        return done(PyObject_CallFunctionObjArgs(door.spread, m, p, NULL));
    return 0;
}
