/* `sleep`, step by step as in timesleep.py. What is no float, and what cannot wait, is Python's to say.

Source: Go 1.27 runtime/time.go (timeSleep). Tests: tests/test_time.py, tests/runtime/test_timer.py */

#include "twin.h"

static PyObject *str_sleep;

/* The program that the calling thread works for; NULL where that is not said in a word: see startm.py, timebase. */
static inline Sched *
mybase(M *m)
{
    if (m == NULL || !isnone(m->g) || isnone(m->sched) || ((Sched *)m->sched)->ended)
        return NULL;
    return (Sched *)m->sched;
}

static PyObject *
timebase_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Sched *sched = mybase(curm);
    if (sched != NULL && PyVectorcall_NARGS(nargsf) == 0 && names == NULL)
        return Py_NewRef((PyObject *)sched);
    return PyObject_Vectorcall(((Compiled *)self)->fn, args, nargsf, names);
}

/* hooks.timebase().timers */
static PyObject *
mytimers(M *m)
{
    PyObject *timebase = PyObject_GetAttr(door.hooks, str_timebase), *base, *timers;
    if (timebase == NULL)
        return NULL;
    Sched *sched = mybase(m);
    if (timebase == door.timebase && sched != NULL && sched->timers != NULL) {
        Py_DECREF(timebase);
        return Py_NewRef(sched->timers);
    }
    base = PyObject_CallNoArgs(timebase);
    timers = base == NULL ? NULL : PyObject_GetAttr(base, str_timers);
    Py_DECREF(timebase);
    Py_XDECREF(base);
    return timers;
}

/* What its clock shows; negative with an error: it has none. */
static double
clockof(Timers *ts)
{
    if (ts->clock == door.monotonic)
        return monotonic();
    PyObject *now = PyObject_CallNoArgs(ts->clock);
    double t = now == NULL ? -1.0 : PyFloat_AsDouble(now);
    Py_XDECREF(now);
    return t;
}

/* How long, as a float; negative with an error: it is no duration. */
static double
delayof(PyObject *duration)
{
    double delay = PyFloat_CheckExact(duration) ? PyFloat_AS_DOUBLE(duration) : NAN;
    if (isfinite(delay))
        return delay < 0.0 ? 0.0 : delay;
    PyObject *seconds = PyObject_CallFunctionObjArgs(door.seconds, str_sleep, duration, NULL);
    delay = seconds == NULL ? -1.0 : PyFloat_AsDouble(seconds);
    Py_XDECREF(seconds);
    return delay < 0.0 && !PyErr_Occurred() ? 0.0 : delay;
}

static PyObject *
sleep_begin(Op *op)
{
    op->state = OVER; /* unless it parks */
    double delay = delayof(op->value);
    if (delay < 0.0)
        return NULL;
    if (delay == 0.0)
        return stop(op->out, Py_NewRef(Py_None));
    M *m = curm;
    if (m == NULL || isnone(m->curg)) {
        Py_XDECREF(PyObject_CallNoArgs(door.nosleep)); /* raises NotOnGError */
        return NULL;
    }
    G *g = (G *)m->curg;
    PyObject *timers = mytimers(m);
    double now = timers == NULL ? -1.0 : clockof((Timers *)timers);
    PyObject *t = NULL;
    if (timers != NULL && (now >= 0.0 || !PyErr_Occurred()))
        t = (PyObject *)timer_make(timers, now + delay, door.ready, (PyObject *)g);
    Py_XDECREF(timers);
    if (t == NULL)
        return NULL;
    Py_XSETREF(op->of, t);
    return op_parks(op, m, g, t, t, str_sleep); /* step_park starts it */
}

static PyObject *
sleep_step(Op *op)
{
    if (op->state != PARKED)
        return sleep_begin(op);
    G *g = op_leaves(op);
    Py_CLEAR(g->waiting);
    Py_DECREF(g);
    return stop(op->out, Py_NewRef(Py_None));
}

static PyObject *
sleep_failed(Op *op, PyObject *exc)
{
    Py_DECREF(op_leaves(op));
    if (done(PyObject_CallFunctionObjArgs(door.notparked, op->of, exc, NULL)) == 0)
        PyErr_SetRaisedException(Py_NewRef(exc));
    return NULL;
}

static const Does sleep_does = {sleep_step, sleep_failed};

static PyObject *
sleep_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (names == NULL && PyVectorcall_NARGS(nargsf) == 1)
        return op_make((Compiled *)self, Py_None, args[0]);
    return PyObject_Vectorcall(((Compiled *)self)->fn, args, nargsf, names);
}
