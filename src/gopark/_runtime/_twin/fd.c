/* FD: `read` and `write`. The rest of _poll/fd.py, turns and close among it, is Python's.

Step by step as there. Where `recv` and `send` are methods of the socket module's own the system is called
right here, for what is short enough, and keeps the GIL: it never waits, and gets as quickly through the copy as
another thread through being woken. What is unusual goes on in a coroutine of the pure functions, `op->inner`:
the direction is another's, the descriptor is closing, the deadline has passed, the poller wants to know of each
wait, or not all could be written at once.

Invariants: F1, F2 of fd.py. `op->turn` while the direction is this operation's; at its end it is given back.
Nothing is called while the descriptor's lock is held.
Source: Go 1.27 internal/poll/fd_unix.go. Tests: tests/net/test_fd.py, tests/runtime/test_twin.py */

#include "twin.h"

#define fdof(op) ((PollDesc *)(op)->of)
#define writes(op) ((op)->kind == SEND)
#define flag(op) (writes(op) ? Py_True : Py_False)

static PyObject *str_iowait, *str_refused, *str_release, *str_writerest, *str_throw;
static PyObject *str_name, *str_read;

/* --- the system --------------------------------------------------------------------------------- */

#define MOSTRECV 65536 /* bytes: more is the socket's own method to ask for */
#define MOSTSEND 16384
static char scratch[MOSTRECV]; /* with the GIL, from a call of the system to the copy out of it */

/* The descriptor of the socket whose method this is, if it is `known`; -1: a closed one; -2: it is another. */
static int
socketof(PyObject *method, PyObject *known)
{
    if (!PyCFunction_CheckExact(method) || known == NULL || !Py_IS_TYPE(known, &PyMethodDescr_Type) ||
        PyCFunction_GET_FUNCTION(method) != ((PyMethodDescrObject *)known)->d_method->ml_meth)
        return -2;
    PyMethodDef *fileno = ((PyMethodDescrObject *)door.fileno)->d_method;
    if (fileno->ml_flags != METH_NOARGS)
        return -2;
    PyObject *fd = fileno->ml_meth(PyCFunction_GET_SELF(method), NULL);
    if (fd == NULL)
        return -2;
    long n = PyLong_AsLong(fd);
    Py_DECREF(fd);
    return (int)n;
}

/* The error of the system; none where it would have to wait. -1 in any case. */
static Py_ssize_t
sysfailed(void)
{
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* As sock.recv(n), but for where it would have to wait: NULL without an exception. */
static PyObject *
sysrecv(int fd, Py_ssize_t n, int whole)
{
    PyObject *data = whole ? PyBytes_FromStringAndSize(NULL, n) : NULL;
    if (whole && data == NULL)
        return NULL;
    Py_ssize_t got = recv(fd, whole ? PyBytes_AS_STRING(data) : scratch, (size_t)n, MSG_DONTWAIT);
    if (got < 0) {
        Py_XDECREF(data);
        sysfailed();
        return NULL;
    }
    if (!whole)
        return PyBytes_FromStringAndSize(scratch, got);
    if (got != n)
        _PyBytes_Resize(&data, got);
    return data;
}

/* --- turns -------------------------------------------------------------------------------------- */

static inline int
fd_lock(PollDesc *fd)
{
    if (token_take((Token *)fd->lock))
        return 0;
    return done(PyObject_CallOneArg(door.lockslow, fd->lock));
}

/* As _retake: for who has had the lock in the same call. */
static inline int
fd_retake(PollDesc *fd)
{
    if (token_take((Token *)fd->lock))
        return 0;
    return done(PyObject_CallFunctionObjArgs(door.retake, fd->lock, NULL));
}

static inline void
fd_unlock(PollDesc *fd)
{
    token_give((Token *)fd->lock);
}

/* Lock held. The direction is free, and nothing stands against this operation. */
static inline int
fd_usual(Op *op)
{
    PollDesc *fd = fdof(op);
    if (fd->closing || curm == NULL || isnone(curm->curg) ||
        (PyObject *)Py_TYPE(fd->backend) != door.epoll)
        return 0;
    return writes(op) ? !fd->writing && !fd->wbad : !fd->reading && !fd->rbad;
}

/* The turn is over: as the `finally` of read and write. */
static int
fd_leave(Op *op)
{
    PollDesc *fd = fdof(op);
    op->turn = 0;
    if (fd_retake(fd) < 0)
        return -1;
    if (fd->closing || !isnone(writes(op) ? fd->wturn : fd->rturn)) {
        fd_unlock(fd);
        return done(PyObject_CallMethodOneArg((PyObject *)fd, str_release, flag(op)));
    }
    if (writes(op))
        fd->writing = 0;
    else
        fd->reading = 0;
    fd_unlock(fd);
    return 0;
}

/* The end of an operation that has had its turn, with a value, which it steals, or with an exception. */
static PyObject *
fd_end(Op *op, PyObject *value)
{
    op->state = OVER;
    if (value == NULL) {
        PyObject *exc = PyErr_GetRaisedException(), *before = PyErr_GetHandledException();
        PyErr_SetHandledException(exc); /* as in a `finally` */
        int r = fd_leave(op);
        PyErr_SetHandledException(before);
        Py_XDECREF(before);
        if (r == 0)
            PyErr_SetRaisedException(exc);
        else
            Py_DECREF(exc);
        return NULL;
    }
    if (fd_leave(op) < 0) {
        Py_DECREF(value);
        return NULL;
    }
    return stop(op->out, value);
}

/* --- what the pure functions do --------------------------------------------------------------------- */

/* A step of `inner`, and what it comes to. */
static PyObject *
fd_inner(Op *op)
{
    PyObject *result;
    switch (PyIter_Send(op->inner, Py_None, &result)) {
    case PYGEN_NEXT:
        op->state = PARKED;
        return result;
    case PYGEN_ERROR:
        result = NULL;
        break;
    case PYGEN_RETURN:
        break;
    }
    Py_CLEAR(op->inner);
    if (op->turn) { /* that was _writerest */
        Py_XSETREF(result, result ? PyLong_FromSsize_t(PyBytes_GET_SIZE(op->value)) : NULL);
        return fd_end(op, result);
    }
    op->state = OVER;
    return result == NULL ? NULL : stop(op->out, result);
}

/* `coro`, which it steals, goes on in the place of this. */
static PyObject *
fd_become(Op *op, PyObject *coro)
{
    if (coro == NULL) {
        if (op->turn)
            return fd_end(op, NULL);
        op->state = OVER;
        return NULL;
    }
    op->inner = coro;
    return fd_inner(op);
}

/* An exception at the wait of `inner`: it ends, for nothing there goes on after one. */
static PyObject *
fd_throw(Op *op, PyObject *exc)
{
    PyObject *inner = op->inner, *result;
    op->inner = NULL;
    result = PyObject_CallMethodOneArg(inner, str_throw, exc);
    Py_DECREF(inner);
    if (result != NULL) {
        Py_DECREF(result);
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored what was thrown into it");
    }
    if (op->turn)
        return fd_end(op, NULL);
    op->state = OVER;
    return NULL;
}

/* The error of the system, as FD.failed has it. */
static void
fd_failed(Op *op, const char *what)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *err = PyObject_CallMethod(op->of, "failed", "sO", what, exc);
    if (err == NULL) {
        Py_DECREF(exc);
        return;
    }
    PyException_SetCause(err, NULL); /* from None */
    if (err != exc)
        PyException_SetContext(err, Py_NewRef(exc));
    Py_DECREF(exc);
    PyErr_SetRaisedException(err);
}

/* --- read --------------------------------------------------------------------------------------- */

/* What there is; NULL without an exception: nothing. `whole`: it is likely to be as much as can be. */
static PyObject *
fd_recv(Op *op, int whole)
{
    PollDesc *fd = fdof(op);
    Py_ssize_t n = PyLong_AsSsize_t(op->value);
    int sock = n < 0 || n > MOSTRECV ? -2 : socketof(fd->recv, door.recv);
    PyErr_Clear(); /* a number that is none of the system's: its method says so */
    PyObject *data = sock == -2 ? PyObject_CallOneArg(fd->recv, op->value) : sysrecv(sock, n, whole);
    if (data == NULL) {
        if (!PyErr_Occurred())
            return NULL;
        if (PyErr_ExceptionMatches(PyExc_BlockingIOError))
            PyErr_Clear();
        else if (PyErr_ExceptionMatches(PyExc_OSError))
            fd_failed(op, "read");
        return NULL;
    }
    Py_ssize_t len = PyBytes_CheckExact(data) ? PyBytes_GET_SIZE(data) : PyObject_Size(data);
    if (len < 0) {
        Py_DECREF(data);
        return NULL;
    }
    fd->more = len == n || fd->rend;
    return data;
}

/* Nobody has an edge for it: wait for one. With the lock held, and until it has parked. */
static PyObject *
fd_park(Op *op)
{
    PollDesc *fd = fdof(op);
    M *m = curm;
    G *g = m == NULL ? NULL : (G *)m->curg;
    if (isnone(g)) { /* it was woken elsewhere than it began */
        fd_unlock(fd);
        PyObject *name = PyObject_GetAttr(op->of, str_name);
        PyObject *what = name == NULL ? NULL : PyUnicode_FromFormat("read %U", name);
        if (what != NULL)
            (void)done(PyObject_CallFunction(door.ongoroutine, "Os", what, "gopark.block(...)"));
        Py_XDECREF(name);
        Py_XDECREF(what);
        return fd_end(op, NULL);
    }
    Py_XSETREF(fd->rg, Py_NewRef((PyObject *)g));
    return op_parks(op, m, g, fd->lock, op->of, str_iowait);
}

/* Until there is something. With the lock held. */
static PyObject *
fd_await(Op *op)
{
    PollDesc *fd = fdof(op);
    while (1) {
        PyObject *data = NULL;
        if (!fd->rbad && !fd->rready)
            return fd_park(op);
        if (fd->rbad) {
            fd_unlock(fd);
            (void)done(PyObject_CallMethodObjArgs(op->of, str_refused, str_read, Py_False, NULL));
        } else {
            fd->rready = 0;
            fd_unlock(fd);
            data = fd_recv(op, 0);
        }
        if (data != NULL || PyErr_Occurred() || fd_retake(fd) < 0)
            return fd_end(op, data);
    }
}

/* The first steps of `read`, with the lock held. */
static PyObject *
fd_read(Op *op)
{
    PollDesc *fd = fdof(op);
    fd->reading = op->turn = 1;
    if (fd->more) {
        fd_unlock(fd);
        PyObject *data = fd_recv(op, 1);
        if (data != NULL || PyErr_Occurred() || fd_retake(fd) < 0)
            return fd_end(op, data);
    }
    fd->more = 1; /* should it be broken off */
    return fd_await(op);
}

/* Woken: by an edge, a deadline, or a close. */
static PyObject *
fd_woken(Op *op)
{
    PollDesc *fd = fdof(op);
    Py_DECREF(op_leaves(op));
    if (fd->rbad &&
        done(PyObject_CallMethodObjArgs(op->of, str_refused, str_read, Py_False, NULL)) < 0)
        return fd_end(op, NULL);
    PyObject *data = fd_recv(op, 0);
    if (data != NULL || PyErr_Occurred() || fd_retake(fd) < 0)
        return fd_end(op, data);
    return fd_await(op);
}

/* --- write -------------------------------------------------------------------------------------- */

/* `op->value` from `n` on, which did not go at once. */
static PyObject *
fd_rest(Op *op, Py_ssize_t n)
{
    PyObject *view = PyMemoryView_FromObject(op->value);
    PyObject *rest = view == NULL ? NULL : PySequence_GetSlice(view, n, PY_SSIZE_T_MAX);
    PyObject *coro = rest == NULL ? NULL : PyObject_CallMethodOneArg(op->of, str_writerest, rest);
    Py_XDECREF(view);
    Py_XDECREF(rest);
    return fd_become(op, coro);
}

/* As FD.send: how much of `data` has gone; -1: an error, or without one: it would have to wait. */
static Py_ssize_t
fd_send(PollDesc *fd, PyObject *data)
{
    Py_ssize_t n = PyBytes_GET_SIZE(data);
    int sock = n > MOSTSEND ? -2 : socketof(fd->send, door.send);
    if (sock != -2) {
        n = send(sock, PyBytes_AS_STRING(data), (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        return n < 0 ? sysfailed() : n;
    }
    PyErr_Clear(); /* as in fd_recv */
    PyObject *sent = PyObject_CallOneArg(fd->send, data);
    n = sent == NULL ? -1 : PyLong_AsSsize_t(sent);
    Py_XDECREF(sent);
    if (n < 0 && PyErr_ExceptionMatches(PyExc_BlockingIOError))
        PyErr_Clear();
    return n;
}

/* All of `write` but `_writerest`, with the lock held. */
static PyObject *
fd_write(Op *op)
{
    PollDesc *fd = fdof(op);
    fd->writing = op->turn = 1;
    fd_unlock(fd);
    Py_ssize_t n = fd_send(fd, op->value);
    if (n == PyBytes_GET_SIZE(op->value))
        return fd_end(op, PyLong_FromSsize_t(n));
    if (n >= 0 || !PyErr_Occurred())
        return fd_rest(op, n < 0 ? 0 : n);
    if (PyErr_ExceptionMatches(PyExc_OSError))
        fd_failed(op, "write");
    return fd_end(op, NULL);
}

/* --- an operation ------------------------------------------------------------------------------- */

static PyObject *
fd_step(Op *op)
{
    if (op->state == PARKED)
        return op->inner != NULL ? fd_inner(op) : fd_woken(op);
    op->state = OVER; /* to who steps it while `recv` is called */
    if (fd_lock(fdof(op)) < 0)
        return NULL;
    if (fd_usual(op))
        return writes(op) ? fd_write(op) : fd_read(op);
    fd_unlock(fdof(op));
    return fd_become(op, PyObject_CallFunctionObjArgs(op->fn->fn, op->of, op->value, NULL));
}

/* It is raised at the wait: see lockedm.py, notparked. */
static PyObject *
fd_raised(Op *op, PyObject *exc)
{
    if (op->inner != NULL)
        return fd_throw(op, exc);
    Py_DECREF(op_leaves(op));
    if (done(PyObject_CallFunctionObjArgs(door.notparked, op->of, exc, NULL)) == 0)
        PyErr_SetRaisedException(Py_NewRef(exc));
    return fd_end(op, NULL);
}

static const Does fd_does = {fd_step, fd_raised};

/* --- the methods of FD -------------------------------------------------------------------------- */

static PyObject *
fd_call(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    Compiled *c = (Compiled *)self;
    if (names == NULL && PyVectorcall_NARGS(nargsf) == 2 && PyObject_TypeCheck(args[0], PollDescT) &&
        (c->kind == SEND ? PyBytes_CheckExact(args[1]) : PyLong_CheckExact(args[1])) &&
        Py_IS_TYPE(((PollDesc *)args[0])->lock, TokenT) && ((PollDesc *)args[0])->backend != NULL)
        return op_make(c, args[0], args[1]);
    return PyObject_Vectorcall(c->fn, args, nargsf, names); /* and what is wrong with the call */
}

/* fdmethod(kind, fn): `read` and `write` of FD. */
static PyObject *
fdmethod(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *name;
    PyObject *fn;
    if (!PyArg_ParseTuple(args, "sO", &name, &fn))
        return NULL;
    return compiled_make(fn, fd_call, strcmp(name, "read") ? SEND : RECV, &fd_does);
}
