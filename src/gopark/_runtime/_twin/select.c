/* Select: its Sudogs, pass 1, and what puts it on its queues and takes it off again.

`selectbegin` does what `select` of selectgo.py does before it waits, step by step as there. It leaves to the
pure function whatever is not usual: no live case, many of them, a channel that is not plain, what is no case.
The wait itself, `_wait`, is Python's. A Sudog is whole: it has no Python part. Its token is a Token.

Invariants: those of selectgo.py and sudog.py; no Sudog is on a queue before all of them have been made.
Source: Go 1.27 runtime/select.go. Tests: tests/runtime/test_selectgo.py, test_select_model.py */

#include "twin.h"

#define MOSTCASES 16
#define SWEEP 32 /* as in chan.py */

static PyObject *str_ch, *str_value, *str_unlock, *str_select, *str_sweep;

/* --- Sudog -------------------------------------------------------------------------------------- */

static int
sudog_traverse(Sudog *s, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(s));
    Py_VISIT(s->g);
    Py_VISIT(s->elem);
    Py_VISIT(s->token);
    Py_VISIT(s->waiting);
    return 0;
}

static int
sudog_tp_clear(Sudog *s)
{
    Py_CLEAR(s->g);
    Py_CLEAR(s->elem);
    Py_CLEAR(s->token);
    Py_CLEAR(s->waiting);
    return 0;
}

static void
sudog_dealloc(Sudog *s)
{
    PyTypeObject *type = Py_TYPE(s);
    PyObject_GC_UnTrack(s);
    sudog_tp_clear(s);
    type->tp_free(s);
    Py_DECREF(type);
}

static Sudog *
sudog_make(PyObject *g, Py_ssize_t n, PyObject *elem, PyObject *token)
{
    Sudog *s = (Sudog *)SudogT->tp_alloc(SudogT, 0);
    if (s != NULL) {
        s->g = Py_NewRef(g);
        s->elem = Py_XNewRef(elem);
        s->token = Py_NewRef(token);
        s->n = n;
        s->success = s->queued = 1;
    }
    return s;
}

/* Sudog(g, case, elem, token) */
static PyObject *
sudog_new(PyTypeObject *Py_UNUSED(type), PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"g", "case", "elem", "token", NULL};
    PyObject *g, *elem, *token;
    Py_ssize_t n;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OnOO!", names, &g, &n, &elem, TokenT, &token))
        return NULL;
    return (PyObject *)sudog_make(g, n, elem, token);
}

static PyObject *
sudog_claim(Sudog *s, PyObject *Py_UNUSED(none))
{
    if (!isg(s->g) || !token_take((Token *)s->token))
        Py_RETURN_FALSE;
    Py_XSETREF(((G *)s->g)->elem, Py_NewRef((PyObject *)s)); /* tells the select which case won */
    Py_RETURN_TRUE;
}

/* A losing case that stays queued, marked, must not keep a goroutine or a value. */
static PyObject *
sudog_forget(Sudog *s, PyObject *Py_UNUSED(none))
{
    if (s->queued && s->marked) {
        Py_CLEAR(s->elem);
        Py_CLEAR(s->g);
    }
    Py_RETURN_NONE;
}

static PyMethodDef sudog_methods[] = {
    {"claim", (PyCFunction)sudog_claim, METH_NOARGS, NULL},
    {"forget", (PyCFunction)sudog_forget, METH_NOARGS, NULL},
    {0},
};
static PyMemberDef sudog_members[] = {
    {"g", T_OBJECT, offsetof(Sudog, g), 0, NULL},
    {"elem", T_OBJECT, offsetof(Sudog, elem), 0, NULL},
    {"token", T_OBJECT, offsetof(Sudog, token), READONLY, NULL},
    {"waiting", T_OBJECT, offsetof(Sudog, waiting), 0, NULL},
    {"case", T_PYSSIZET, offsetof(Sudog, n), READONLY, NULL},
    {"success", T_BOOL, offsetof(Sudog, success), 0, NULL},
    {"queued", T_BOOL, offsetof(Sudog, queued), 0, NULL},
    {"marked", T_BOOL, offsetof(Sudog, marked), 0, NULL},
    {0},
};
static PyType_Slot sudog_slots[] = {
    {Py_tp_methods, sudog_methods},   {Py_tp_members, sudog_members}, {Py_tp_new, sudog_new},
    {Py_tp_dealloc, sudog_dealloc},   {Py_tp_traverse, sudog_traverse},
    {Py_tp_clear, sudog_tp_clear},    {0},
};
static PyType_Spec sudog_spec = {
    .name = "gopark._runtime._twin.Sudog",
    .basicsize = sizeof(Sudog),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = sudog_slots,
};

/* --- Selecting ---------------------------------------------------------------------------------- */

static int
selecting_traverse(Selecting *w, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(w));
    Py_VISIT(w->chans);
    Py_VISIT(w->g);
    Py_VISIT(w->sudogs);
    Py_VISIT(w->token);
    return 0;
}

static int
selecting_tp_clear(Selecting *w)
{
    Py_CLEAR(w->chans);
    Py_CLEAR(w->g);
    Py_CLEAR(w->sudogs);
    Py_CLEAR(w->token);
    return 0;
}

static void
selecting_dealloc(Selecting *w)
{
    PyTypeObject *type = Py_TYPE(w);
    PyObject_GC_UnTrack(w);
    selecting_tp_clear(w);
    type->tp_free(w);
    Py_DECREF(type);
}

/* unlock(waiting): its channels, the last one first. */
static PyObject *
selecting_unlock(PyObject *self, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    PyObject *chans = ((Selecting *)self)->chans;
    for (Py_ssize_t i = PyList_GET_SIZE(chans) - 1; i >= 0; i--) {
        Chan *ch = (Chan *)PyList_GET_ITEM(chans, i);
        if (Py_IS_TYPE(ch->lock, TokenT))
            unlock(ch);
        else if (done(PyObject_CallMethodOneArg(ch->lock, str_append, Py_None)) < 0)
            return NULL;
    }
    Py_RETURN_NONE;
}

/* Off this queue: see Chan.leave. */
static int
leaveone(Chan *ch, Ring *q, Sudog *s)
{
    if (!s->queued || s->marked || !q->len)
        return 0;
    if (*ring_slot(q, q->len - 1) == (PyObject *)s) {
        s->queued = 0;
        Py_DECREF(ring_getright(q)); /* `sudogs` has it, too */
    } else if (ring_head(q) == (PyObject *)s) {
        s->queued = 0;
        Py_DECREF(ring_get(q));
    } else {
        s->marked = 1;
        ch->nmarked++;
        Py_ssize_t len = ringof(ch->recvq)->len + ringof(ch->sendq)->len;
        if (ch->nmarked * 2 > len && len > SWEEP)
            return done(PyObject_CallMethodNoArgs((PyObject *)ch, str_sweep));
    }
    return 0;
}

/* leave(waiting): off every queue. Where a lock is not to be had at once, the rest is Python's. */
static PyObject *
selecting_leave(PyObject *self, PyObject *Py_UNUSED(none))
{
    Selecting *w = (Selecting *)self;
    PyObject *sudogs = Py_NewRef(w->sudogs);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(sudogs); i++) {
        PyObject *entry = PyList_GET_ITEM(sudogs, i);
        Chan *ch = (Chan *)PyTuple_GET_ITEM(entry, 0);
        Sudog *s = (Sudog *)PyTuple_GET_ITEM(entry, 2);
        if (!s->queued)
            continue;
        if (!plainchan(ch) || !token_take((Token *)ch->lock)) {
            Py_DECREF(sudogs);
            return PyObject_CallOneArg(door.leaveslow, self);
        }
        int r = leaveone(ch, ringof(PyTuple_GET_ITEM(entry, 1) == Py_True ? ch->sendq : ch->recvq), s);
        unlock(ch);
        if (r < 0) {
            Py_DECREF(sudogs);
            return NULL;
        }
        Py_DECREF(sudog_forget(s, NULL));
    }
    Py_DECREF(sudogs);
    PyObject *none = PyList_New(0);
    if (none == NULL)
        return NULL;
    Py_XSETREF(w->sudogs, none);
    Py_RETURN_NONE;
}

static PyMethodDef selecting_methods[] = {
    {"leave", selecting_leave, METH_NOARGS, NULL},
    {"unlock", (PyCFunction)(void (*)(void))selecting_unlock, METH_FASTCALL, NULL},
    {0},
};
static PyMemberDef selecting_members[] = {
    {"chans", T_OBJECT, offsetof(Selecting, chans), 0, NULL},
    {"g", T_OBJECT, offsetof(Selecting, g), 0, NULL},
    {"sudogs", T_OBJECT, offsetof(Selecting, sudogs), 0, NULL},
    {"token", T_OBJECT, offsetof(Selecting, token), 0, NULL},
    {"timed", T_BOOL, offsetof(Selecting, timed), 0, NULL},
    {0},
};
static PyType_Slot selecting_slots[] = {
    {Py_tp_methods, selecting_methods},   {Py_tp_members, selecting_members},
    {Py_tp_dealloc, selecting_dealloc},   {Py_tp_traverse, selecting_traverse},
    {Py_tp_clear, selecting_tp_clear},    {0},
};
static PyType_Spec selecting_spec = {
    .name = "gopark._runtime._twin.Selecting",
    .basicsize = sizeof(Selecting),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = selecting_slots,
};

/* --- pass 1 ------------------------------------------------------------------------------------- */

typedef struct {
    Py_ssize_t n; /* which of the cases */
    Chan *ch;
    PyObject *value; /* to send; NULL: it receives */
} Polled;

typedef struct {
    Polled polled[MOSTCASES];
    Chan *chans[MOSTCASES]; /* each once, in the order of their locks; owned, for a case may change */
    int npolled, nchans;
} Select;

static uint64_t rng;

/* As good as a select needs, which has to be fair. */
static inline uint32_t
randn(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(((rng >> 32) * n) >> 32);
}

static void
select_free(Select *s)
{
    for (int i = 0; i < s->npolled; i++)
        Py_XDECREF(s->polled[i].value);
    for (int i = 0; i < s->nchans; i++)
        Py_DECREF(s->chans[i]);
}

static void
lockorder(Select *s, Chan *ch) /* steals ch */
{
    int i = s->nchans;
    for (; i > 0 && s->chans[i - 1]->lock >= ch->lock; i--) {
        if (s->chans[i - 1]->lock == ch->lock) {
            Py_DECREF(ch);
            return;
        }
    }
    memmove(&s->chans[i + 1], &s->chans[i], (size_t)(s->nchans++ - i) * sizeof(Chan *));
    s->chans[i] = ch;
}

/* _live: 1, or 0 if this is not for us, or -1. */
static int
live(Select *s, PyObject *cases)
{
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(cases); n++) {
        PyObject *one = PyTuple_GET_ITEM(cases, n);
        int sends = (PyObject *)Py_TYPE(one) == door.sendcase;
        if (!sends && (PyObject *)Py_TYPE(one) != door.recvcase)
            return 0;
        PyObject *ch = PyObject_GetAttr(one, str_ch);
        if (ch == NULL)
            return -1;
        if (ch == Py_None) {
            Py_DECREF(ch);
            continue;
        }
        /* A subclass may refuse to be sent to: recvonly.py. */
        if (!PyObject_TypeCheck(ch, ChanT) || !plainchan((Chan *)ch) ||
            (sends && (PyObject *)Py_TYPE(ch) != door.chan)) {
            Py_DECREF(ch);
            return 0;
        }
        PyObject *value = sends ? PyObject_GetAttr(one, str_value) : NULL;
        if (sends && value == NULL) {
            Py_DECREF(ch);
            return -1;
        }
        s->polled[s->npolled++] = (Polled){n, (Chan *)ch, value};
        lockorder(s, (Chan *)ch);
    }
    return s->npolled > 0;
}

static void
unlockall(Select *s, int n)
{
    while (n > 0)
        unlock(s->chans[--n]);
}

static int
lockall(Select *s)
{
    for (int i = 0; i < s->nchans; i++) {
        if (lock(s->chans[i]) < 0) {
            unlockall(s, i);
            return -1;
        }
    }
    return 0;
}

static PyObject *
result(Py_ssize_t n, PyObject *value, int ok) /* steals value */
{
    PyObject *index = PyLong_FromSsize_t(n), *made = index == NULL ? NULL : PyTuple_New(3);
    if (made == NULL) {
        Py_XDECREF(index);
        Py_DECREF(value);
        return NULL;
    }
    PyTuple_SET_ITEM(made, 0, index);
    PyTuple_SET_ITEM(made, 1, value);
    PyTuple_SET_ITEM(made, 2, Py_NewRef(ok ? Py_True : Py_False));
    return made;
}

static inline int
maybeready(Chan *ch, int sends)
{
    Ring *buf = ringof(ch->buf);
    if (ch->closed)
        return 1;
    return sends ? ringof(ch->recvq)->len || buf->len < ch->cap : buf->len || ringof(ch->sendq)->len;
}

/* What a case has come to. 1: it has been done; -1: an error. `*value` and `*woken` are owned. */
static int
dosend(Polled *one, PyObject **woken)
{
    Chan *ch = one->ch;
    if (ch->closed) {
        closed_error();
        return -1;
    }
    if ((*woken = dequeue(ch, ringof(ch->recvq))) != NULL) {
        setelem(*woken, Py_NewRef(one->value));
        return 1;
    }
    if (ringof(ch->buf)->len >= ch->cap)
        return 0;
    return ring_put(ringof(ch->buf), Py_NewRef(one->value)) < 0 ? -1 : 1;
}

static int
dorecv(Polled *one, PyObject **value, int *ok, PyObject **woken)
{
    Chan *ch = one->ch;
    *ok = 1;
    if (ringof(ch->buf)->len) {
        *value = ring_get(ringof(ch->buf));
        if ((*woken = dequeue(ch, ringof(ch->sendq))) != NULL)
            (void)ring_put(ringof(ch->buf), takeelem(*woken)); /* one has just gone */
        return 1;
    }
    if ((*woken = dequeue(ch, ringof(ch->sendq))) != NULL) {
        *value = takeelem(*woken);
        return 1;
    }
    if (!ch->closed)
        return 0;
    *value = Py_NewRef(Py_None);
    *ok = 0;
    return 1;
}

/* Do one of the cases that can go, at random, and unlock. 1: done, with its result in `*made`. */
static int
poll(Select *s, PyObject **made)
{
    Polled *maybe[MOSTCASES];
    int n = 0, r = 0;
    for (int i = 0; i < s->npolled; i++)
        if (maybeready(s->polled[i].ch, s->polled[i].value != NULL))
            maybe[n++] = &s->polled[i];
    while (n) {
        uint32_t i = randn((uint32_t)n);
        Polled *one = maybe[i];
        PyObject *value = NULL, *woken = NULL;
        int ok = 0;
        maybe[i] = maybe[--n];
        r = one->value != NULL ? dosend(one, &woken) : dorecv(one, &value, &ok, &woken);
        if (r == 0)
            continue;
        unlockall(s, s->nchans);
        if (r > 0 && woken != NULL)
            r = wakeentry(woken) < 0 ? -1 : 1;
        *made = r < 0 ? NULL : result(one->n, value ? value : Py_NewRef(Py_None), ok);
        if (r < 0)
            Py_XDECREF(value);
        return *made == NULL ? -1 : 1;
    }
    return 0;
}

/* --- pass 2 ------------------------------------------------------------------------------------- */

/* What waits, with a Sudog for each case; on no queue yet. */
static Selecting *
selecting_make(Select *s, PyObject *g)
{
    PyTypeObject *type = (PyTypeObject *)door.selecting;
    Selecting *w = (Selecting *)type->tp_alloc(type, 0);
    if (w == NULL)
        return NULL;
    w->g = Py_NewRef(g);
    w->token = token_new(TokenT, NULL, NULL);
    w->chans = PyList_New(s->nchans);
    w->sudogs = PyList_New(s->npolled);
    if (w->token == NULL || w->chans == NULL || w->sudogs == NULL)
        goto failed;
    for (int i = 0; i < s->nchans; i++)
        PyList_SET_ITEM(w->chans, i, Py_NewRef((PyObject *)s->chans[i]));
    for (int i = 0; i < s->npolled; i++) {
        Polled *one = &s->polled[i];
        Sudog *sudog = sudog_make(g, one->n, one->value, w->token);
        PyObject *entry = sudog == NULL ? NULL : PyTuple_New(3);
        if (entry == NULL) {
            Py_XDECREF(sudog);
            goto failed;
        }
        PyTuple_SET_ITEM(entry, 0, Py_NewRef((PyObject *)one->ch));
        PyTuple_SET_ITEM(entry, 1, Py_NewRef(one->value ? Py_True : Py_False));
        PyTuple_SET_ITEM(entry, 2, (PyObject *)sudog);
        PyList_SET_ITEM(w->sudogs, i, entry);
    }
    return w;
failed:
    Py_DECREF(w);
    return NULL;
}

/* All of them, or none. */
static int
enqueue(Select *s, Selecting *w)
{
    for (int i = 0; i < s->npolled; i++) {
        Chan *ch = s->polled[i].ch;
        Ring *q = ringof(s->polled[i].value ? ch->sendq : ch->recvq);
        PyObject *sudog = PyTuple_GET_ITEM(PyList_GET_ITEM(w->sudogs, i), 2);
        if (ring_put(q, Py_NewRef(sudog)) == 0)
            continue;
        while (--i >= 0) { /* each the last one of its queue */
            ch = s->polled[i].ch;
            Py_XDECREF(ring_getright(ringof(s->polled[i].value ? ch->sendq : ch->recvq)));
        }
        return -1;
    }
    return 0;
}

/* The calling G on every queue. NULL without an error: there is none, which is Python's to say. */
static PyObject *
selectpark(Select *s)
{
    M *m = curm;
    G *g = m == NULL ? NULL : (G *)m->curg;
    Selecting *w = NULL;
    PyObject *unlockf = NULL;
    if (isnone(g)) {
        unlockall(s, s->nchans);
        return NULL;
    }
    for (int i = s->npolled - 1; i > 0 && s->nchans < s->npolled; i--) {
        Polled one = s->polled[i]; /* see _park */
        uint32_t j = randn((uint32_t)i + 1);
        s->polled[i] = s->polled[j];
        s->polled[j] = one;
    }
    if ((w = selecting_make(s, (PyObject *)g)) == NULL ||
        (unlockf = PyObject_GetAttr((PyObject *)w, str_unlock)) == NULL || enqueue(s, w) < 0) {
        unlockall(s, s->nchans);
        Py_XDECREF(unlockf);
        Py_XDECREF(w);
        return NULL;
    }
    PyObject *before[] = {(PyObject *)m->token, m->waitunlockf, g->elem, g->waitreason, g->waiting};
    m->token = NULL;
    m->waitunlockf = unlockf;
    g->elem = NULL;
    g->waiting = Py_NewRef((PyObject *)w);
    g->waitreason = Py_NewRef(str_select);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(before); i++)
        Py_XDECREF(before[i]);
    return (PyObject *)w;
}

/* selectbegin(cases, default): a result; or what waits now; or None, if the pure function is to do it. */
static PyObject *
selectbegin(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyTuple_CheckExact(args[0]) || PyTuple_GET_SIZE(args[0]) > MOSTCASES)
        Py_RETURN_NONE;
    Select s = {.npolled = 0};
    PyObject *made = NULL;
    int waits = args[1] == Py_False, r = live(&s, args[0]);
    if (r > 0 && (waits || args[1] == Py_True)) {
        r = lockall(&s) < 0 ? -1 : poll(&s, &made);
        if (r == 0 && waits) {
            made = selectpark(&s);
        } else if (r == 0) {
            unlockall(&s, s.nchans);
            made = result(-1, Py_NewRef(Py_None), 0);
        }
    }
    select_free(&s);
    if (made == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return made;
}
