/* What C operations have in common: how they end, and the functions that make them.

How a value comes out of one: SEND calls `am_send` on 3.11 and from 3.15 on, `tp_iternext` in between, where
a value is a StopIteration. That is made of a free list and goes back to it, for nobody keeps one.

Invariant: a Compiled is the class's or the module's for good, so that what it makes may borrow it.
Source: none in Go; CPython's genobject.c. Tests: tests/runtime/test_twin.py, test_suspend.py */

#include "twin.h"

enum kind { SEND, RECV, RECV_OK, NKINDS };
enum opstate { FRESH, PARKED, OVER };

/* A function of C with the name, the signature and the documentation of that which it stands for. */
typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    PyObject *fn;   /* the pure one */
    PyObject *code; /* its code: what an Op shows as `cr_code` */
    enum kind kind;
} Compiled;

/* --- how a value comes out of an iterator ------------------------------------------------------- */

#define KEEP 8
static PyObject *stops[KEEP];
static int nstops;

static void
stop_dealloc(PyObject *o)
{
    PyStopIterationObject *exc = (PyStopIterationObject *)o;
    PyObject_GC_UnTrack(o);
    Py_CLEAR(exc->value);
    Py_CLEAR(exc->traceback);
    Py_CLEAR(exc->context);
    Py_CLEAR(exc->cause);
    Py_CLEAR(exc->dict);
    Py_CLEAR(exc->notes);
    exc->suppress_context = 0;
    if (nstops < KEEP) {
        stops[nstops++] = o;
        return;
    }
    PyTypeObject *type = Py_TYPE(o);
    Py_CLEAR(exc->args);
    type->tp_free(o);
    Py_DECREF(type);
}

static int
stop_traverse(PyObject *o, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(o));
    return ((PyTypeObject *)PyExc_StopIteration)->tp_traverse(o, visit, arg);
}

static int
stop_clear(PyObject *o)
{
    return ((PyTypeObject *)PyExc_StopIteration)->tp_clear(o);
}

static PyType_Slot stop_slots[] = {
    {Py_tp_dealloc, stop_dealloc},
    {Py_tp_traverse, stop_traverse},
    {Py_tp_clear, stop_clear},
    {0},
};
static PyType_Spec stop_spec = {
    .name = "gopark._runtime._twin.StopIteration",
    .basicsize = sizeof(PyStopIterationObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = stop_slots,
};

/* The end of an operation with `value`, which it steals: to `out`, if somebody has given a place for it.
Returns NULL, for its caller to return. */
static PyObject *
stop(PyObject **out, PyObject *value)
{
    if (out != NULL) {
        *out = value;
        return NULL;
    }
    if (value == Py_None) { /* without an exception it is None */
        Py_DECREF(value);
        return NULL;
    }
    PyObject *exc;
    if (nstops) {
        exc = stops[--nstops];
        revive(exc);
        PyObject_GC_Track(exc);
    } else {
        exc = PyObject_CallNoArgs((PyObject *)StopT);
        if (exc == NULL) {
            Py_DECREF(value);
            return NULL;
        }
    }
    Py_XSETREF(((PyStopIterationObject *)exc)->value, value);
    PyErr_SetRaisedException(exc);
    return NULL;
}

static PyObject *
raised(PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *exc = args[0];
    if (PyExceptionInstance_Check(exc))
        return Py_NewRef(exc);
    if (nargs > 1 && PyExceptionInstance_Check(args[1]))
        return Py_NewRef(args[1]);
    if (nargs > 1 && args[1] != Py_None)
        return PyObject_CallOneArg(exc, args[1]);
    return PyObject_CallNoArgs(exc);
}

static PyObject *
ended(PyObject *result)
{
    if (result == NULL && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return result;
}

/* What a dump asks of a coroutine, and an operation has not. */
static PyObject *
op_false(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    Py_RETURN_FALSE;
}

static PyObject *
op_none(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    Py_RETURN_NONE;
}

/* --- a function of C in the place of a Python function ------------------------------------------ */

static PyObject *
compiled_get(PyObject *self, PyObject *of, PyObject *Py_UNUSED(type))
{
    return isnone(of) ? Py_NewRef(self) : PyMethod_New(self, of);
}

/* All that can be asked of the pure function is answered by it. */
static PyObject *
compiled_getattr(PyObject *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL)
        return NULL;
    if (!strcmp(text, "__class__") || !strcmp(text, "__reduce__") || !strcmp(text, "__reduce_ex__"))
        return PyObject_GenericGetAttr(self, name);
    if (!strcmp(text, "__wrapped__"))
        return Py_NewRef(((Compiled *)self)->fn);
    return PyObject_GetAttr(((Compiled *)self)->fn, name);
}

static int
compiled_setattr(PyObject *self, PyObject *name, PyObject *value)
{
    return PyObject_SetAttr(((Compiled *)self)->fn, name, value);
}

/* A copy or a pickle of it is itself, by its name. */
static PyObject *
compiled_reduce(PyObject *self, PyObject *Py_UNUSED(protocol))
{
    return PyObject_GetAttrString(((Compiled *)self)->fn, "__qualname__");
}

static PyObject *
compiled_repr(PyObject *self)
{
    return PyObject_Repr(((Compiled *)self)->fn);
}

static int
compiled_traverse(Compiled *c, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(c));
    Py_VISIT(c->fn);
    Py_VISIT(c->code);
    return 0;
}

static int
compiled_tp_clear(Compiled *c)
{
    Py_CLEAR(c->fn);
    Py_CLEAR(c->code);
    return 0;
}

static void
compiled_dealloc(Compiled *c)
{
    PyTypeObject *type = Py_TYPE(c);
    PyObject_GC_UnTrack(c);
    compiled_tp_clear(c);
    type->tp_free(c);
    Py_DECREF(type);
}

static PyObject *
compiled_make(PyObject *fn, vectorcallfunc call, enum kind kind)
{
    PyObject *code = PyObject_GetAttrString(fn, "__code__");
    if (code == NULL)
        return NULL;
    Compiled *c = (Compiled *)CompiledT->tp_alloc(CompiledT, 0);
    if (c == NULL) {
        Py_DECREF(code);
        return NULL;
    }
    c->vectorcall = call;
    c->fn = Py_NewRef(fn);
    c->code = code;
    c->kind = kind;
    return (PyObject *)c;
}

static PyMethodDef compiled_methods[] = {
    {"__reduce__", (PyCFunction)compiled_reduce, METH_NOARGS, NULL},
    {"__reduce_ex__", (PyCFunction)compiled_reduce, METH_O, NULL},
    {0},
};
static PyMemberDef compiled_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Compiled, vectorcall), READONLY, NULL},
    {0},
};
static PyType_Slot compiled_slots[] = {
    {Py_tp_methods, compiled_methods},     {Py_tp_members, compiled_members},
    {Py_tp_call, PyVectorcall_Call},       {Py_tp_descr_get, compiled_get},
    {Py_tp_getattro, compiled_getattr},    {Py_tp_setattro, compiled_setattr},
    {Py_tp_repr, compiled_repr},           {Py_tp_dealloc, compiled_dealloc},
    {Py_tp_traverse, compiled_traverse},   {Py_tp_clear, compiled_tp_clear},
    {0},
};
static PyType_Spec compiled_spec = {
    .name = "gopark._runtime._twin.Compiled",
    .basicsize = sizeof(Compiled),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = compiled_slots,
};
