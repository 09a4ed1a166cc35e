/* The inner loop of `proc.schedule`: it runs Gs of the local queue, `runnext` first.

Step by step as there. It leaves after so many steps, when its P is gone, when a timer is due, or when the
queue is empty and there is nobody to wait for in the network.

Invariants: `g` is owned from the moment it is taken off a queue to the end of its step; a G's context is left
again, whatever its step has come to.

Source: Go 1.27 runtime/proc.go, schedule and execute. Tests: tests/runtime/test_proc.py */

#include "twin.h"

static PyObject *str_run, *nextfn;

/* What a slice goes by. */
typedef struct {
    M *m;
    P *p;
    Timers *timers;
    PyObject *sched, *opened;
    Ring *runnext, *runq;
    double now;
} Slice;

/* As `next(step, DONE)`: a Command, DONE for the end, NULL for an exception. */
static PyObject *
nextcommand(PyObject *step)
{
    PyObject *result;
    switch (PyIter_Send(step, Py_None, &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN:
        Py_DECREF(result);
        return Py_NewRef(door.DONE);
    default:
        return NULL;
    }
}

/* As `g.ctx.run(next, g.step, DONE)`. */
static PyObject *
step(G *g)
{
    PyObject *ctx = Py_XNewRef(g->ctx), *command = NULL;
    if (ctx != NULL && PyContext_CheckExact(ctx)) {
        PyObject *it = Py_NewRef(g->step ? g->step : Py_None);
        if (PyContext_Enter(ctx) == 0) {
            command = nextcommand(it);
            PyObject *exc = command == NULL ? PyErr_GetRaisedException() : NULL;
            PyContext_Exit(ctx);
            if (exc != NULL)
                PyErr_SetRaisedException(exc);
        }
        Py_DECREF(it);
    } else { /* what stands for a context: see lockedm.py */
        PyObject *it = g_getstep(g, NULL);
        if (it != NULL)
            command = PyObject_CallMethodObjArgs(ctx ? ctx : Py_None, str_run, nextfn, it,
                                                 door.DONE, NULL);
        Py_XDECREF(it);
    }
    Py_XDECREF(ctx);
    return command;
}

/* Its step has raised: the end of it. The loop's own frame is in the traceback, as in that of proc.py. */
static int
step_raised(Slice *s, G *g)
{
    PyFrameObject *loop = PyEval_GetFrame();
    if (loop != NULL)
        PyTraceBack_Here(loop);
    PyObject *exc = PyErr_GetRaisedException(), *before = PyErr_GetHandledException();
    PyErr_SetHandledException(exc); /* as in an `except`: what is raised there has it as its context */
    int r = done(PyObject_CallMethod(door.hooks, "goexit0", "OOO", s->m, g, exc));
    PyErr_SetHandledException(before);
    Py_XDECREF(before);
    Py_DECREF(exc);
    if (r == 0)
        Py_CLEAR(s->m->curg);
    return r;
}

/* It has put itself on a wait queue: let the waker in, now that it waits. */
static int
step_park(Slice *s, G *g)
{
    M *m = s->m;
    Py_CLEAR(m->curg);
    g->waitsince = PyList_GET_SIZE(door.exact) ? monotonic() : s->now;
    if (setstatus(g, GWAITING) < 0)
        return -1;
    Token *token = m->token;
    if (token != NULL) {
        m->token = NULL;
        token_give(token);
        Py_DECREF(token);
        return 0;
    }
    if (m->waitunlockf != NULL && Py_IS_TYPE(m->waitunlockf, TimerT)) {
        PyObject *timer = m->waitunlockf;
        m->waitunlockf = NULL;
        int r = timer_start((Timer *)timer);
        Py_DECREF(timer);
        return r;
    }
    PyObject *unlockf = Py_XNewRef(m->waitunlockf);
    int r = done(PyObject_CallOneArg(unlockf ? unlockf : Py_None, Py_None));
    Py_XDECREF(unlockf); /* it may refer to what `g` waits on: see mgcleak.py */
    return r;
}

/* A dead G onto the free list, as G.__init__ leaves it. */
static inline int
gfput(P *p, G *g)
{
    if (!Py_IS_TYPE(p->gfree, RingT))
        return done(PyObject_CallMethodOneArg(p->gfree, str_append, (PyObject *)g));
    Ring *free_ = ringof(p->gfree);
    if (free_->maxlen >= 0 && free_->len >= free_->maxlen)
        return 0;
    return ring_put(free_, Py_NewRef((PyObject *)g));
}

/* Its function has returned. */
static int
step_done(Slice *s, G *g)
{
    Py_CLEAR(s->m->curg);
    unlistg(g);
    if (setstatus(g, GDEAD) < 0)
        return -1;
    Py_CLEAR(g->ctx);
    Py_CLEAR(g->coro);
    Py_CLEAR(g->step);
    Py_CLEAR(g->gocode);
    Py_CLEAR(g->goglobals);
    return gfput(s->p, g);
}

static int
step_gosched(Slice *s, G *g)
{
    Py_CLEAR(s->m->curg);
    if (setstatus(g, GRUNNABLE) < 0)
        return -1;
    return ring_put(s->runq, Py_NewRef((PyObject *)g));
}

/* One step of `g`, from runnable to whatever it has come to. */
static int
execute(Slice *s, G *g)
{
    M *m = s->m;
    if (g->status != GRUNNABLE)
        return done(PyObject_CallOneArg(door.badrunnable, (PyObject *)g));
    if (setstatus(g, GRUNNING) < 0)
        return -1;
    if (g->m != (PyObject *)m) {
        if (!isnone(g->m) && ((M *)g->m)->sched != s->sched &&
            done(PyObject_CallFunctionObjArgs(door.astray, g, g->m, NULL)) < 0)
            return -1;
        Py_XSETREF(g->m, Py_NewRef((PyObject *)m));
    }
    Py_XSETREF(m->curg, Py_NewRef((PyObject *)g));
    PyObject *command = step(g);
    if (command == NULL)
        return step_raised(s, g);
    int r, free_ = isnone(m->lockedg);
    if (command == door.PARK && free_)
        r = step_park(s, g);
    else if (command == door.DONE && free_ && (PyObject *)g != ((Sched *)s->sched)->main)
        r = step_done(s, g);
    else if (command == door.GOSCHED && free_)
        r = step_gosched(s, g);
    else
        r = done(PyObject_CallFunctionObjArgs(door.unusual, m, g, command, NULL));
    Py_DECREF(command);
    return r;
}

static inline int
timerdue(Timers *timers)
{
    return timers->len && monotonic() >= timers->heap[0].when;
}

/* The next G of the local queue, or one that the network has for us; NULL: none, or an error. */
static PyObject *
nextg(Slice *s)
{
    PyObject *g = s->runnext->len ? ring_getright(s->runnext) : ring_get(s->runq);
    if (g != NULL || !PyDict_GET_SIZE(s->opened))
        return g;
    g = PyObject_CallFunctionObjArgs(door.netblock, s->m, s->sched, s->p, NULL);
    if (g == Py_None)
        Py_CLEAR(g);
    if (g == NULL)
        return NULL;
    PyObject *now = PyObject_GetAttrString(s->sched, "now");
    s->now = now == NULL ? -1.0 : PyFloat_AsDouble(now);
    Py_XDECREF(now);
    if (s->now == -1.0 && PyErr_Occurred())
        Py_CLEAR(g);
    return g;
}

/* runslice(m, p, g, steps, now, timers, opened): the G that ran last; or, if there was a next one when
its steps were over, that, back on the queue. */
static PyObject *
runslice(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 7 || !PyObject_TypeCheck(args[5], TimersT)) {
        PyErr_SetString(PyExc_TypeError, "runslice() takes 7 arguments, the sixth is a Timers");
        return NULL;
    }
    Slice s = {.m = (M *)args[0], .p = (P *)args[1]};
    PyObject *g = Py_NewRef(args[2]);
    long steps = PyLong_AsLong(args[3]);
    s.now = PyFloat_AsDouble(args[4]);
    s.timers = (Timers *)args[5];
    s.opened = args[6];
    s.sched = s.m->sched;
    s.runnext = ringof(Py_NewRef(s.p->runnext));
    s.runq = ringof(Py_NewRef(s.p->runq));
    int r;
    while (1) {
        r = execute(&s, (G *)g);
        if (r < 0 || s.m->p != (PyObject *)s.p || timerdue(s.timers))
            break;
        PyObject *next = nextg(&s);
        if (next == NULL)
            break;
        Py_SETREF(g, next);
        if (--steps <= 0) { /* the slice was over before it began: others first */
            r = done(PyObject_CallFunctionObjArgs(door.putback, s.p, g, NULL));
            break;
        }
    }
    Py_DECREF(s.runnext);
    Py_DECREF(s.runq);
    if (r < 0 || PyErr_Occurred()) {
        Py_DECREF(g);
        return NULL;
    }
    return g;
}
