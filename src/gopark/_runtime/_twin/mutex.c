/* Mutex: all of it that is usual. As sync/_mutex.py says, and step by step as there.

Left to the pure function: a mutex whose token is no Token (a test's), whoever finds the Sema's lock taken as he
unlocks, or waits profiled (mprof.py has a `dequeue` of its own), and `with` where it has to wait.

Between two calls of Python's nobody comes in, so what is done with the Sema's lock held is done at once.

Invariants: those of sync/_mutex.py.
Source: Go 1.27 internal/sync/mutex.go. Tests: tests/sync/test_mutex.py */

#include "twin.h"

typedef struct {
    PyObject_HEAD
    PyObject *sema, *token;
    char starving; /* starvation mode; written under the Sema's lock */
    char woken;    /* a waiter has been woken and has not tried yet */
} Mutex;

static PyObject *str_starves, *str_mutexlock, *str_ongoroutine, *str_passon, *str_left, *str_fed;
static PyObject *mutex_queued; /* the Compiled of `_queued` */

#define mutexof(op) ((Mutex *)(op)->of)
#define tokenof(mu) ((Token *)(mu)->token)
#define semaof(mu) ((Sema *)(mu)->sema)

static inline int
plainmutex(PyObject *o)
{
    Mutex *mu = (Mutex *)o;
    return ((PyObject *)Py_TYPE(o) == door.mutex || PyObject_TypeCheck(o, MutexT)) && mu->token != NULL && Py_IS_TYPE(mu->token, TokenT) &&
           plainsema(mu->sema) != NULL;
}

/* --- lock --------------------------------------------------------------------------------------- */

/* Queue up for the token, the lock kept until `g` has parked; or it is ours. */
static PyObject *
lock_queueup(Op *op, M *m, G *g)
{
    Mutex *mu = mutexof(op);
    Sema *sema = semaof(mu);
    op->state = OVER; /* unless it parks */
    if (op->value == NULL && (op->value = PyFloat_FromDouble(monotonic())) == NULL)
        return NULL;
    if (sema_made(sema) < 0 || (!token_take((Token *)sema->lock) &&
                                done(PyObject_CallOneArg(door.lockslow, sema->lock)) < 0))
        return NULL;
    if (sema_put(sema, (PyObject *)g, op->woken) < 0) {
        token_give((Token *)sema->lock);
        return NULL;
    }
    if (token_take(tokenof(mu))) {
        sema_leave(sema, op->woken);
        token_give((Token *)sema->lock);
        return stop(op->out, Py_NewRef(Py_None));
    }
    if (op->starving)
        mu->starving = 1;
    return op_parks(op, m, g, sema->lock, mu->sema, str_mutexlock);
}

/* It has waited for longer than STARVES, which tests change; negative: an error. */
static int
starves(Op *op)
{
    PyObject *limit = PyDict_GetItemWithError(door.mutexnames, str_starves);
    double seconds = limit == NULL ? -1.0 : PyFloat_AsDouble(limit);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    return monotonic() - PyFloat_AS_DOUBLE(op->value) > seconds;
}

/* The mutex was handed to this waiter: is that mode still needed? */
static int
lock_fed(Mutex *mu, int starving)
{
    if (!((Token *)semaof(mu)->lock)->free)
        return done(PyObject_CallMethodOneArg((PyObject *)mu, str_fed, starving ? Py_True : Py_False));
    if (!starving || !sema_len(semaof(mu)))
        mu->starving = 0;
    return 0;
}

/* Woken: it is ours, or to be tried for once more. */
static PyObject *
lock_woken(Op *op)
{
    Mutex *mu = mutexof(op);
    G *g = op_leaves(op);
    PyObject *given = g->elem, *command = NULL;
    int handed = given == door.handoff, starving = op->starving ? 1 : starves(op);
    g->elem = NULL;
    Py_XDECREF(given);
    if (starving >= 0) {
        op->starving = (char)starving;
        if (handed) {
            if (lock_fed(mu, starving) == 0)
                command = stop(op->out, Py_NewRef(Py_None));
        } else {
            op->woken = 1;
            mu->woken = 0;
            command = token_take(tokenof(mu)) ? stop(op->out, Py_NewRef(Py_None))
                                              : lock_queueup(op, curm, g);
        }
    }
    Py_DECREF(g);
    return command;
}

static PyObject *
lock_step(Op *op)
{
    if (op->state == PARKED)
        return lock_woken(op);
    if (token_take(tokenof(mutexof(op)))) {
        op->state = OVER;
        return stop(op->out, Py_NewRef(Py_None));
    }
    M *m = curm;
    if (m != NULL && !isnone(m->curg))
        return lock_queueup(op, m, (G *)m->curg);
    op->state = OVER;
    Py_XDECREF(PyObject_CallMethodNoArgs(op->of, str_ongoroutine)); /* raises NotOnGError */
    return NULL;
}

/* It is raised at the wait: what it was given is for the next. */
static PyObject *
lock_failed(Op *op, PyObject *exc)
{
    G *g = op_leaves(op);
    PyObject *passon = PyObject_GetAttr(op->of, str_passon);
    if (passon != NULL && done(PyObject_CallMethodObjArgs(mutexof(op)->sema, str_left, g, exc, passon,
                                                          NULL)) == 0)
        PyErr_SetRaisedException(Py_NewRef(exc));
    Py_XDECREF(passon);
    Py_DECREF(g);
    return NULL;
}

static const Does lock_does = {lock_step, lock_failed};

/* --- unlock ------------------------------------------------------------------------------------- */

/* The token was there and somebody waits: wake the first. */
static int
mutex_wake(Mutex *mu)
{
    G *g = sema_get(semaof(mu), door.woken);
    if (g == NULL)
        return 0;
    mu->woken = 1;
    int r = ready(g);
    Py_DECREF(g);
    return r;
}

/* Somebody starves. 1: it was handed over; negative: an error. */
static int
mutex_unlockslow(Mutex *mu)
{
    G *g = sema_get(semaof(mu), door.handoff);
    if (g == NULL) {
        mu->starving = 0;
        token_give(tokenof(mu));
        return 0;
    }
    int r = ready(g);
    Py_DECREF(g);
    return r < 0 ? -1 : 1;
}

/* As mutex_unlockslow, if nobody starves 0. */
static inline int
mutex_unlock(Mutex *mu)
{
    if (mu->starving)
        return mutex_unlockslow(mu);
    token_give(tokenof(mu));
    return sema_len(semaof(mu)) && !mu->woken ? mutex_wake(mu) : 0;
}

/* It is locked, and C may do what comes of giving it back. */
static inline int
unlockable(PyObject *o)
{
    return plainmutex(o) && !tokenof((Mutex *)o)->free &&
           ((Token *)semaof((Mutex *)o)->lock)->free && !PyList_GET_SIZE(door.exact);
}

/* --- the methods of Mutex ----------------------------------------------------------------------- */

#define PURE PyObject_Vectorcall(((Compiled *)self)->fn, args, nargsf, names)
#define FITS(n) (names == NULL && PyVectorcall_NARGS(nargsf) == (n))

static PyObject *
mutex_lock(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    return FITS(1) && plainmutex(args[0]) ? op_make((Compiled *)self, args[0], NULL) : PURE;
}

static PyObject *
mutex_trylock(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (!FITS(1) || !plainmutex(args[0]))
        return PURE;
    Mutex *mu = (Mutex *)args[0];
    return PyBool_FromLong(!mu->starving && token_take(tokenof(mu)));
}

static PyObject *
mutex_pyunlock(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (!FITS(1) || !unlockable(args[0]))
        return PURE;
    if (mutex_unlock((Mutex *)args[0]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
mutex_aenter(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (!FITS(1) || !plainmutex(args[0]))
        return PURE;
    if (token_take(tokenof((Mutex *)args[0])))
        return Py_NewRef(door.nothing);
    return op_make((Compiled *)mutex_queued, args[0], NULL);
}

/* As Go: who hands over gives up its turn, so that the other can begin at once. */
static PyObject *
mutex_aexit(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (!FITS(4) || !unlockable(args[0]))
        return PURE;
    int handed = mutex_unlock((Mutex *)args[0]);
    return handed < 0 ? NULL : Py_NewRef(handed ? door.yielding : door.nothing);
}

static PyObject *
mutex_enter(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (!FITS(1) || !plainmutex(args[0]) || !token_take(tokenof((Mutex *)args[0])))
        return PURE;
    Py_RETURN_NONE;
}

static PyObject *
mutex_exit(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (!FITS(4) || !unlockable(args[0]) || ((Mutex *)args[0])->starving)
        return PURE;
    if (mutex_unlock((Mutex *)args[0]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

#undef PURE
#undef FITS

/* mutex(name, fn): the method of that name. */
static PyObject *
mutex(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const struct {
        const char *name;
        vectorcallfunc call;
    } calls[] = {
        {"lock", mutex_lock},          {"_queued", mutex_lock},     {"try_lock", mutex_trylock},
        {"unlock", mutex_pyunlock},    {"__aenter__", mutex_aenter}, {"__aexit__", mutex_aexit},
        {"__enter__", mutex_enter},    {"__exit__", mutex_exit},
    };
    const char *name;
    PyObject *fn;
    if (!PyArg_ParseTuple(args, "sO", &name, &fn))
        return NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(calls); i++) {
        if (strcmp(name, calls[i].name))
            continue;
        PyObject *made = compiled_make(fn, calls[i].call, RECV, &lock_does);
        if (made != NULL && calls[i].call == mutex_lock)
            Py_XSETREF(mutex_queued, Py_NewRef(made)); /* the last of the two, which is `_queued` */
        return made;
    }
    return PyErr_Format(PyExc_ValueError, "Mutex has no %s here", name);
}

static int
mutex_traverse(Mutex *mu, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(mu));
    Py_VISIT(mu->sema);
    Py_VISIT(mu->token);
    return 0;
}

static int
mutex_tp_clear(Mutex *mu)
{
    Py_CLEAR(mu->sema);
    Py_CLEAR(mu->token);
    return 0;
}

static void
mutex_dealloc(Mutex *mu)
{
    PyTypeObject *type = Py_TYPE(mu);
    PyObject_GC_UnTrack(mu);
    mutex_tp_clear(mu);
    type->tp_free(mu);
    Py_DECREF(type);
}

static PyMemberDef mutex_members[] = {
    {"_sema", T_OBJECT, offsetof(Mutex, sema), 0, NULL},
    {"_token", T_OBJECT, offsetof(Mutex, token), 0, NULL},
    {"_starving", T_BOOL, offsetof(Mutex, starving), 0, NULL},
    {"_woken", T_BOOL, offsetof(Mutex, woken), 0, NULL},
    {0},
};
static PyType_Slot mutex_slots[] = {
    {Py_tp_members, mutex_members},   {Py_tp_dealloc, mutex_dealloc},
    {Py_tp_traverse, mutex_traverse}, {Py_tp_clear, mutex_tp_clear}, {0},
};
static PyType_Spec mutex_spec = {
    .name = "gopark._runtime._twin.Mutex",
    .basicsize = sizeof(Mutex),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = mutex_slots,
};
