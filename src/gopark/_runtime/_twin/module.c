/* The compiled twin of the scheduler's hot path: types, functions, and the doors to Python.

The pure source is the reference, and says why. What is here keeps its accounts to the letter: states, wait
reasons, times, contexts, `allgs`, and every field that others read. twin.py decides whether it is used.

One translation unit, in the order of the rooms. One phase, one interpreter: a second one is refused, and runs pure.
Source: Go 1.27 runtime. Tests: tests/runtime/test_twin.py */

#include "twin.h"

#include "ring.c"
#include "g.c"
#include "allgs.c"
#include "runq.c"
#include "suspend.c"
#include "sema.c"
#include "timer.c"
#include "chan.c"
#include "select.c"
#include "timesleep.c"
#include "go.c"
#include "loop.c"
#include "mutex.c"
#include "netpoll.c"
#include "fd.c"

static const struct {
    const char *name;
    PyObject **slot;
} doors[] = {
    {"GIDLE", &door.status[GIDLE]},
    {"GRUNNABLE", &door.status[GRUNNABLE]},
    {"GRUNNING", &door.status[GRUNNING]},
    {"GSYSCALL", &door.status[GSYSCALL]},
    {"GWAITING", &door.status[GWAITING]},
    {"GDEAD", &door.status[GDEAD]},
    {"PARK", &door.PARK},
    {"GOSCHED", &door.GOSCHED},
    {"DONE", &door.DONE},
    {"births", &door.births},
    {"wakes_heard", &door.wakes_heard},
    {"born", &door.born},
    {"submit", &door.submit},
    {"exact", &door.exact},
    {"hooks", &door.hooks},
    {"notready", &door.notready},
    {"spread", &door.spread},
    {"globspread", &door.globspread},
    {"badrunnable", &door.badrunnable},
    {"unusual", &door.unusual},
    {"astray", &door.astray},
    {"putback", &door.putback},
    {"netblock", &door.netblock},
    {"epoll", &door.epoll},
    {"retake", &door.retake},
    {"ongoroutine", &door.ongoroutine},
    {"recv", &door.recv},
    {"send", &door.send},
    {"fileno", &door.fileno},
    {"ready", &door.ready},
    {"never", &door.never},
    {"monotonic", &door.monotonic},
    {"timebase", &door.timebase},
    {"seconds", &door.seconds},
    {"nosleep", &door.nosleep},
    {"notparked", &door.notparked},
    {"lockslow", &door.lockslow},
    {"closed", &door.closed},
    {"chan", &door.chan},
    {"recvcase", &door.recvcase},
    {"sendcase", &door.sendcase},
    {"selecting", &door.selecting},
    {"leaveslow", &door.leaveslow},
    {"sema", &door.sema},
    {"handoff", &door.handoff},
    {"woken", &door.woken},
    {"nothing", &door.nothing},
    {"yielding", &door.yielding},
    {"mutex", &door.mutex},
    {"mutexnames", &door.mutexnames},
};

/* install(name=object, ...): each module sets the doors to what it has, once. */
static PyObject *
install(PyObject *Py_UNUSED(module), PyObject *args, PyObject *kwargs)
{
    PyObject *name, *value;
    Py_ssize_t pos = 0;
    if (!PyArg_ParseTuple(args, ""))
        return NULL;
    while (kwargs != NULL && PyDict_Next(kwargs, &pos, &name, &value)) {
        PyObject **slot = NULL;
        for (size_t i = 0; i < Py_ARRAY_LENGTH(doors); i++)
            if (PyUnicode_CompareWithASCIIString(name, doors[i].name) == 0)
                slot = doors[i].slot;
        if (slot == NULL)
            return PyErr_Format(PyExc_TypeError, "there is no door %R", name);
        Py_XSETREF(*slot, Py_NewRef(value));
    }
    Py_RETURN_NONE;
}

static PyObject *
py_ready(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || names != NULL || !isg(args[0]))
        return PyObject_Vectorcall(((Compiled *)self)->fn, args, nargsf, names);
    if (ready((G *)args[0]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
readyfunction(PyObject *Py_UNUSED(module), PyObject *fn)
{
    return compiled_make(fn, py_ready, RECV, NULL);
}

/* function(name, fn): what stands for one of a module's. */
static PyObject *
function(PyObject *Py_UNUSED(module), PyObject *args)
{
    const char *name;
    PyObject *fn;
    if (!PyArg_ParseTuple(args, "sO", &name, &fn))
        return NULL;
    if (!strcmp(name, "go"))
        return compiled_make(fn, go_call, RECV, NULL);
    if (!strcmp(name, "gosched"))
        return compiled_make(fn, gosched_call, RECV, NULL);
    if (!strcmp(name, "timebase"))
        return compiled_make(fn, timebase_call, RECV, NULL);
    if (!strcmp(name, "sleep"))
        return compiled_make(fn, sleep_call, RECV, &sleep_does);
    return PyErr_Format(PyExc_ValueError, "no function %s", name);
}

static PyMethodDef methods[] = {
    {"compiled", compiled, METH_VARARGS, NULL},
    {"edges", (PyCFunction)(void (*)(void))edges, METH_FASTCALL, NULL},
    {"fdmethod", fdmethod, METH_VARARGS, NULL},
    {"function", function, METH_VARARGS, NULL},
    {"install", (PyCFunction)(void (*)(void))install, METH_VARARGS | METH_KEYWORDS, NULL},
    {"mutex", mutex, METH_VARARGS, NULL},
    {"readyfunction", readyfunction, METH_O, NULL},
    {"selectbegin", (PyCFunction)(void (*)(void))selectbegin, METH_FASTCALL, NULL},
    {"take", (PyCFunction)(void (*)(void))take, METH_FASTCALL, NULL},
    {"runslice", (PyCFunction)(void (*)(void))runslice, METH_FASTCALL, NULL},
    {0},
};

static struct PyModuleDef def = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "gopark._runtime._twin.native",
    .m_size = -1,
    .m_methods = methods,
};

static int
addtype(PyObject *module, PyTypeObject **place, PyType_Spec *spec, PyObject *base)
{
    *place = (PyTypeObject *)PyType_FromSpecWithBases(spec, base);
    return *place == NULL ? -1 : PyModule_AddType(module, *place);
}

static int
addtypes(PyObject *module)
{
    PyTypeObject *goids, *nothing;
    return addtype(module, &RingT, &ring_spec, NULL) || addtype(module, &TokenT, &token_spec, NULL) ||
           addtype(module, &GT, &g_spec, NULL) || addtype(module, &MT, &m_spec, NULL) ||
           addtype(module, &PT, &p_spec, NULL) || addtype(module, &SchedT, &sched_spec, NULL) ||
           addtype(module, &AllgsT, &allgs_spec, NULL) || addtype(module, &goids, &goids_spec, NULL) ||
           addtype(module, &TlsT, &tls_spec, NULL) || addtype(module, &ChanT, &chan_spec, NULL) ||
           addtype(module, &OpT, &op_spec, NULL) || addtype(module, &YieldT, &yield_spec, NULL) ||
           addtype(module, &CompiledT, &compiled_spec, NULL) ||
           addtype(module, &SudogT, &sudog_spec, NULL) ||
           addtype(module, &SelectingT, &selecting_spec, NULL) ||
           addtype(module, &SemaT, &sema_spec, NULL) || addtype(module, &MutexT, &mutex_spec, NULL) ||
           addtype(module, &PollDescT, &polldesc_spec, NULL) ||
           addtype(module, &nothing, &nothing_spec, NULL) ||
           addtype(module, &TimersT, &timers_spec, NULL) || addtype(module, &TimerT, &timer_spec, NULL) ||
           addtype(module, &StopT, &stop_spec, PyExc_StopIteration);
}

static int
addstrings(void)
{
    static const struct {
        PyObject **place;
        const char *text;
    } strings[] = {
        {&str_send, "chan send"},          {&str_receive, "chan receive"},
        {&str_append, "append"},           {&str_notong, "_notong"},
        {&str_ch, "ch"},                   {&str_value, "value"},
        {&str_unlock, "unlock"},           {&str_select, "select"},
        {&str_sweep, "_sweep"},
        {&str_failed, "_failed"},          {&send_closed, "send on closed channel"},
        {&str_R, "R"}, {&str_W, "W"}, {&str_END, "END"}, {&str_drain, "drain"},
        {&str_iowait, "IO wait"},          {&str_refused, "refused"},
        {&str_release, "release"},         {&str_writerest, "_writerest"},
        {&str_throw, "throw"},             {&str_name, "name"},
        {&str_read, "read"},
        {&str_run, "run"},                 {&str_sleep, "sleep"},
        {&str_delete, "delete"},           {&str_due, "due"},
        {&str_timers, "timers"},           {&str_timebase, "timebase"},
        {&str_starves, "STARVES"},         {&str_mutexlock, "sync.Mutex.Lock"},
        {&str_ongoroutine, "_ongoroutine"}, {&str_passon, "_passon"},
        {&str_left, "left"},               {&str_fed, "_fed"},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(strings); i++)
        if ((*strings[i].place = PyUnicode_InternFromString(strings[i].text)) == NULL)
            return -1;
    PyObject *builtins = PyImport_ImportModule("builtins");
    nextfn = builtins == NULL ? NULL : PyObject_GetAttrString(builtins, "next");
    Py_XDECREF(builtins);
    return nextfn == NULL ? -1 : 0;
}

PyMODINIT_FUNC
PyInit_native(void)
{
    rng = (uint64_t)time(NULL) ^ (uint64_t)clock() << 32 ^ (uintptr_t)&def ^ 0x9e3779b97f4a7c15;
    allgs.head.next = allgs.head.prev = &allgs.head;
    PyObject *module = PyModule_Create(&def);
    if (module == NULL)
        return NULL;
    if (addstrings() < 0 || addtypes(module) ||
        PyObject_SetAttrString((PyObject *)GT, "is_select", Py_False) < 0 ||
        PyObject_SetAttrString((PyObject *)SudogT, "is_select", Py_True) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
