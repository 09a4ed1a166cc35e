/* The timer heap of a program: what runs when, by the monotonic clock.

Timer and Timers are whole: they have no Python part, but for the subclass of Timers that bubble.py has.
It differs from timer.py in one thing. A Timer knows its place in the heap, so a stopped one leaves at once and
there are no dead entries: nothing to be counted, moved or dropped later. And nothing comes in amid a change, which
takes no lock and calls nothing of Python's; `_inside` and `_late` are not needed.

Invariants:
  T1  `when` is the time of the first entry, NEVER if there is none; `armed`, which is the Timers, is false exactly then
  T2  a timer has a `seq` exactly while it has an entry, which is heap[at] of its `timers`
  T3  heap[i] is not before heap[(i - 1) / ARITY], by time and then by `seq`
Memory that runs out amid a change raises MemoryError, and leaves things as they were before it.
Source: Go 1.27 runtime/time.go. Left out: a heap per P. Tests: tests/runtime/test_timer.py */

#include "twin.h"

#define ARITY 4 /* half as many levels as two, and the children lie side by side */
#define BATCH 256 /* timers run in one go */

static PyObject *str_delete, *str_due, *str_timers, *str_timebase;
static long long timerseq; /* over all heaps: timers of one instant run in the order they were added */

/* --- the heap ----------------------------------------------------------------------------------- */

static inline int
before(const Entry *a, const Entry *b)
{
    return a->when < b->when || (a->when == b->when && a->t->seq < b->t->seq);
}

static inline void
place(Timers *ts, Py_ssize_t i, Entry e)
{
    ts->heap[i] = e;
    e.t->at = i;
}

static void
siftup(Timers *ts, Py_ssize_t i, Entry e)
{
    while (i > 0) {
        Py_ssize_t above = (i - 1) / ARITY;
        if (!before(&e, &ts->heap[above]))
            break;
        place(ts, i, ts->heap[above]);
        i = above;
    }
    place(ts, i, e);
}

static void
siftdown(Timers *ts, Py_ssize_t i, Entry e)
{
    for (Py_ssize_t first; (first = i * ARITY + 1) < ts->len;) {
        Py_ssize_t least = first, end = Py_MIN(first + ARITY, ts->len);
        for (Py_ssize_t child = first + 1; child < end; child++)
            if (before(&ts->heap[child], &ts->heap[least]))
                least = child;
        if (!before(&ts->heap[least], &e))
            break;
        place(ts, i, ts->heap[least]);
        i = least;
    }
    place(ts, i, e);
}

/* Room for one more: from here on it cannot fail. */
static int
heap_room(Timers *ts)
{
    if (ts->len < ts->cap)
        return 0;
    Py_ssize_t cap = ts->cap ? ts->cap * 2 : 8;
    Entry *heap = PyMem_Resize(ts->heap, Entry, (size_t)cap);
    if (heap == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    ts->heap = heap;
    ts->cap = cap;
    return 0;
}

/* `e` has come to be at i: on to where it belongs. */
static inline void
sift(Timers *ts, Py_ssize_t i, Entry e)
{
    if (i > 0 && before(&e, &ts->heap[(i - 1) / ARITY]))
        siftup(ts, i, e);
    else
        siftdown(ts, i, e);
}

/* Into the heap, in which there is room. */
static inline void
heap_put(Timers *ts, Timer *t)
{
    t->seq = ++timerseq;
    siftup(ts, ts->len++, (Entry){t->when, (Timer *)Py_NewRef((PyObject *)t)});
}

/* Out of it; its reference is the caller's. */
static inline void
heap_remove(Timers *ts, Timer *t)
{
    Py_ssize_t i = t->at;
    Entry last = ts->heap[--ts->len];
    t->seq = 0;
    if (i < ts->len)
        sift(ts, i, last);
}

/* --- Timers ------------------------------------------------------------------------------------- */

static int
timers_wake(Timers *ts)
{
    return ts->wake == NULL ? 0 : done(PyObject_CallNoArgs(ts->wake));
}

static inline double
timers_when(Timers *ts)
{
    return ts->len ? ts->heap[0].when : Py_HUGE_VAL;
}

/* Start a timer that is not pending. 1: it is the first now, and the caller wakes; negative: an error. */
static int
timers_add(Timers *ts, Timer *t)
{
    if (t->seq) {
        PyErr_SetString(PyExc_RuntimeError, "the timer is pending");
        return -1;
    }
    if (heap_room(ts) < 0)
        return -1;
    int first = t->when < timers_when(ts);
    if (t->timers != ts)
        Py_XSETREF(t->timers, (Timers *)Py_NewRef((PyObject *)ts));
    heap_put(ts, t);
    return first;
}

/* Stop a timer: whether it was going to run. */
static int
timers_delete(Timers *ts, Timer *t)
{
    if (!t->seq || t->timers != ts)
        return 0;
    PyObject *arg = t->arg;
    t->arg = NULL;
    heap_remove(ts, t);
    Py_XDECREF(arg);
    Py_DECREF(t);
    return 1;
}

static int
checktimer(PyObject *t)
{
    if (Py_IS_TYPE(t, TimerT))
        return 0;
    PyErr_Format(PyExc_TypeError, "%R is no timer of a heap", t);
    return -1;
}

static PyObject *
timers_pyadd(Timers *ts, PyObject *t)
{
    int first = checktimer(t) < 0 ? -1 : timers_add(ts, (Timer *)t);
    return first < 0 ? NULL : PyBool_FromLong(first);
}

static PyObject *
timers_pydelete(Timers *ts, PyObject *t)
{
    return checktimer(t) < 0 ? NULL : PyBool_FromLong(timers_delete(ts, (Timer *)t));
}

/* modify(t, when, arg): let it run at `when`: whether it was pending, and whether the caller wakes. */
static PyObject *
timers_modify(Timers *ts, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3 || checktimer(args[0]) < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "modify() takes 3 arguments");
    Timer *t = (Timer *)args[0];
    double when = PyFloat_AsDouble(args[1]);
    if ((when == -1.0 && PyErr_Occurred()) || heap_room(ts) < 0)
        return NULL;
    int pending = t->seq != 0, first = when < timers_when(ts);
    PyObject *arg = t->arg;
    t->when = when;
    t->arg = Py_NewRef(args[2]);
    if (pending && t->timers == ts) {
        t->seq = ++timerseq;
        sift(ts, t->at, (Entry){when, t});
    } else {
        if (pending) { /* in another heap, where it is the caller's to leave */
            heap_remove(t->timers, t);
            Py_DECREF(t);
        }
        heap_put(ts, t);
        Py_XSETREF(t->timers, (Timers *)Py_NewRef((PyObject *)ts));
    }
    Py_XDECREF(arg);
    return PyTuple_Pack(2, pending ? Py_True : Py_False, first ? Py_True : Py_False);
}

/* leave(t, other): it goes over to another program, not pending there yet; True if it was here. */
static PyObject *
timers_leave(Timers *ts, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || checktimer(args[0]) < 0 || !PyObject_TypeCheck(args[1], TimersT))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "leave() takes a timer, a heap");
    Timer *t = (Timer *)args[0];
    PyObject *pending = PyObject_CallMethodOneArg((PyObject *)ts, str_delete, args[0]);
    if (pending != NULL && t->timers == ts)
        Py_XSETREF(t->timers, (Timers *)Py_NewRef(args[1]));
    return pending;
}

/* What is due leaves the heap: up to BATCH of them, what to call and with what. */
static Py_ssize_t
takedue(Timers *ts, double now, PyObject *calls[][2])
{
    Py_ssize_t n = 0;
    while (n < BATCH && ts->len && ts->heap[0].when <= now) {
        Timer *t = ts->heap[0].t;
        heap_remove(ts, t);
        calls[n][0] = Py_NewRef(t->f);
        calls[n++][1] = t->arg ? t->arg : Py_NewRef(Py_None);
        t->arg = NULL;
        Py_DECREF(t);
    }
    return n;
}

/* Run what is due. Called between two goroutines, no lock held; what is left of many is due still. */
static int
timers_run(Timers *ts, double now)
{
    PyObject *calls[BATCH][2];
    Py_ssize_t n = takedue(ts, now, calls);
    int r = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *f = calls[i][0], *arg = calls[i][1];
        if (r == 0 && f == door.ready && isg(arg))
            r = ready((G *)arg);
        else if (r == 0)
            r = done(PyObject_CallOneArg(f, arg));
        Py_DECREF(f);
        Py_DECREF(arg);
    }
    return r;
}

static PyObject *
timers_due(Timers *ts, PyObject *when)
{
    PyObject *calls[BATCH][2];
    double now = PyFloat_AsDouble(when);
    if (now == -1.0 && PyErr_Occurred())
        return NULL;
    PyObject *list = PyList_New(0);
    Py_ssize_t n = list == NULL ? 0 : takedue(ts, now, calls);
    int r = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *pair = r < 0 ? NULL : PyTuple_Pack(2, calls[i][0], calls[i][1]);
        if (pair == NULL || PyList_Append(list, pair) < 0)
            r = -1;
        Py_XDECREF(pair);
        Py_DECREF(calls[i][0]);
        Py_DECREF(calls[i][1]);
    }
    if (r < 0)
        Py_CLEAR(list);
    return list;
}

static PyObject *
timers_pyrun(Timers *ts, PyObject *when)
{
    double now = PyFloat_AsDouble(when);
    if (now == -1.0 && PyErr_Occurred())
        return NULL;
    if (Py_IS_TYPE(ts, TimersT))
        return timers_run(ts, now) < 0 ? NULL : Py_NewRef(Py_None);
    PyObject *due = PyObject_CallMethodOneArg((PyObject *)ts, str_due, when); /* a bubble's: shuffled */
    int r = due == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(due); i++) {
        PyObject *pair = PyList_GET_ITEM(due, i);
        r = done(PyObject_CallOneArg(PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1)));
    }
    Py_XDECREF(due);
    return r < 0 ? NULL : Py_NewRef(Py_None);
}

static Py_ssize_t
timers_len(Timers *ts)
{
    return ts->len;
}

static int
timers_bool(Timers *ts)
{
    return ts->len != 0;
}

static PyObject *
timers_getwhen(Timers *ts, void *Py_UNUSED(closure))
{
    return ts->len ? PyFloat_FromDouble(ts->heap[0].when) : Py_NewRef(door.never);
}

static PyObject *
timers_getarmed(PyObject *ts, void *Py_UNUSED(closure))
{
    return Py_NewRef(ts);
}

static int
timers_init(Timers *ts, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"wake", "clock", NULL};
    PyObject *wake, *clock = door.monotonic;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", names, &wake, &clock))
        return -1;
    Py_XSETREF(ts->wake, Py_NewRef(wake));
    Py_XSETREF(ts->clock, Py_NewRef(clock));
    return 0;
}

static int
timers_traverse(Timers *ts, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(ts));
    Py_VISIT(ts->clock);
    Py_VISIT(ts->wake);
    for (Py_ssize_t i = 0; i < ts->len; i++)
        Py_VISIT(ts->heap[i].t);
    return 0;
}

static int
timers_tp_clear(Timers *ts)
{
    while (ts->len) {
        Timer *t = ts->heap[--ts->len].t;
        t->seq = 0;
        Py_DECREF(t);
    }
    Py_CLEAR(ts->clock);
    Py_CLEAR(ts->wake);
    return 0;
}

static void
timers_dealloc(Timers *ts)
{
    PyTypeObject *type = Py_TYPE(ts);
    PyObject_GC_UnTrack(ts);
    timers_tp_clear(ts);
    PyMem_Free(ts->heap);
    type->tp_free(ts);
    Py_DECREF(type);
}

static PyMethodDef timers_methods[] = {
    {"add", (PyCFunction)timers_pyadd, METH_O, NULL},
    {"delete", (PyCFunction)timers_pydelete, METH_O, NULL},
    {"due", (PyCFunction)timers_due, METH_O, NULL},
    {"leave", (PyCFunction)(void (*)(void))timers_leave, METH_FASTCALL, NULL},
    {"modify", (PyCFunction)(void (*)(void))timers_modify, METH_FASTCALL, NULL},
    {"run", (PyCFunction)timers_pyrun, METH_O, NULL},
    {0},
};
static PyMemberDef timers_members[] = {
    O(Timers, clock), O(Timers, wake), {0},
};
static PyGetSetDef timers_getset[] = {
    {"armed", timers_getarmed, NULL, NULL, NULL},
    {"when", (getter)timers_getwhen, NULL, NULL, NULL},
    {0},
};
static PyType_Slot timers_slots[] = {
    {Py_tp_methods, timers_methods},   {Py_tp_members, timers_members}, {Py_tp_getset, timers_getset},
    {Py_tp_init, timers_init},         {Py_tp_dealloc, timers_dealloc}, {Py_tp_clear, timers_tp_clear},
    {Py_tp_traverse, timers_traverse}, {Py_sq_length, timers_len},      {Py_nb_bool, timers_bool},
    {0},
};
static PyType_Spec timers_spec = {
    .name = "gopark._runtime._twin.Timers",
    .basicsize = sizeof(Timers),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = timers_slots,
};

/* --- Timer -------------------------------------------------------------------------------------- */

static Timer *
timer_make(PyObject *timers, double when, PyObject *f, PyObject *arg)
{
    Timer *t = (Timer *)TimerT->tp_alloc(TimerT, 0);
    if (t != NULL) {
        t->timers = (Timers *)Py_NewRef(timers);
        t->when = when;
        t->f = Py_NewRef(f);
        t->arg = Py_NewRef(arg);
    }
    return t;
}

/* Timer(timers, when, f, arg) */
static PyObject *
timer_new(PyTypeObject *Py_UNUSED(type), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timers", "when", "f", "arg", NULL};
    PyObject *timers, *f, *arg;
    double when;
    if (kwargs == NULL && PyTuple_GET_SIZE(args) == 4 && PyFloat_CheckExact(PyTuple_GET_ITEM(args, 1)) &&
        PyObject_TypeCheck(PyTuple_GET_ITEM(args, 0), TimersT))
        return (PyObject *)timer_make(PyTuple_GET_ITEM(args, 0), PyFloat_AS_DOUBLE(PyTuple_GET_ITEM(args, 1)),
                                      PyTuple_GET_ITEM(args, 2), PyTuple_GET_ITEM(args, 3));
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!dOO", names, TimersT, &timers, &when, &f, &arg))
        return NULL;
    return (PyObject *)timer_make(timers, when, f, arg);
}

static int
timer_start(Timer *t)
{
    int first = timers_add(t->timers, t);
    return first > 0 ? timers_wake(t->timers) : first;
}

static PyObject *
timer_pystart(Timer *t, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    return timer_start(t) < 0 ? NULL : Py_NewRef(Py_None);
}

/* True if this call kept the timer from running. */
static PyObject *
timer_stop(Timer *t, PyObject *Py_UNUSED(none))
{
    if (Py_IS_TYPE(t->timers, TimersT))
        return PyBool_FromLong(timers_delete(t->timers, t));
    return PyObject_CallMethodOneArg((PyObject *)t->timers, str_delete, (PyObject *)t);
}

static PyObject *
timer_unwait(Timer *t, PyObject *g)
{
    PyObject *stopped = timer_stop(t, NULL);
    if (stopped == Py_True && isg(g))
        Py_CLEAR(((G *)g)->waiting);
    return stopped;
}

/* As Waiter has it: it may end by itself, and nothing outside of this process ends it. */
static PyObject *
timer_wakers(PyObject *Py_UNUSED(t), PyObject *Py_UNUSED(none))
{
    Py_RETURN_NONE;
}

static PyObject *
timer_elsewhere(PyObject *Py_UNUSED(t), PyObject *Py_UNUSED(none))
{
    return PyUnicode_FromString("");
}

/* Without the GIL alone it is asked for, to keep others from waking the G meanwhile. */
static PyObject *
timer_frozen(Timer *t, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2)
        return PyErr_Format(PyExc_TypeError, "frozen() takes 2 arguments");
    return t->seq ? PyObject_CallOneArg(args[1], args[0]) : PyList_New(0);
}

static PyObject *
timer_getpending(Timer *t, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(t->seq != 0);
}

static int
timer_traverse(Timer *t, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(t));
    Py_VISIT(t->timers);
    Py_VISIT(t->f);
    Py_VISIT(t->arg);
    return 0;
}

static int
timer_tp_clear(Timer *t)
{
    Py_CLEAR(t->arg); /* not `timers`, which it goes by: that is cleared itself */
    return 0;
}

static void
timer_dealloc(Timer *t)
{
    PyTypeObject *type = Py_TYPE(t);
    PyObject_GC_UnTrack(t);
    Py_CLEAR(t->timers);
    Py_CLEAR(t->f);
    Py_CLEAR(t->arg);
    type->tp_free(t);
    Py_DECREF(type);
}

static PyMethodDef timer_methods[] = {
    {"elsewhere", timer_elsewhere, METH_NOARGS, NULL},
    {"frozen", (PyCFunction)(void (*)(void))timer_frozen, METH_FASTCALL, NULL},
    {"start", (PyCFunction)(void (*)(void))timer_pystart, METH_FASTCALL, NULL},
    {"stop", (PyCFunction)timer_stop, METH_NOARGS, NULL},
    {"unwait", (PyCFunction)timer_unwait, METH_O, NULL},
    {"wakers", timer_wakers, METH_NOARGS, NULL},
    {0},
};
static PyMemberDef timer_members[] = {
    {"arg", T_OBJECT, offsetof(Timer, arg), 0, NULL},
    {"f", T_OBJECT, offsetof(Timer, f), 0, NULL},
    {"timers", T_OBJECT, offsetof(Timer, timers), READONLY, NULL},
    {"seq", T_LONGLONG, offsetof(Timer, seq), 0, NULL},
    {"when", T_DOUBLE, offsetof(Timer, when), READONLY, NULL},
    {0},
};
static PyGetSetDef timer_getset[] = {
    {"pending", (getter)timer_getpending, NULL, NULL, NULL},
    {0},
};
static PyType_Slot timer_slots[] = {
    {Py_tp_methods, timer_methods},   {Py_tp_members, timer_members}, {Py_tp_getset, timer_getset},
    {Py_tp_new, timer_new},           {Py_tp_dealloc, timer_dealloc},
    {Py_tp_traverse, timer_traverse}, {Py_tp_clear, timer_tp_clear},  {0},
};
static PyType_Spec timer_spec = {
    .name = "gopark._runtime._twin.Timer",
    .basicsize = sizeof(Timer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = timer_slots,
};
