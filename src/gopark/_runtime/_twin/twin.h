/* G, M, P, channels and their operations as the files here see them, and the doors to Python.

The twin is one translation unit, so that what is hot can be put in line: module.c includes the others.
A field that Python reads is a member of the type, by the name that it has in runtime2.py or chan.py.
A pointer that is NULL is None to Python.

Invariants:
  T1  what is put into a field, a ring or a free list is owned there
  T2  no reference to what a user made is dropped while a Token is held: that could run any code
  T3  a field is cleared before what was in it is dropped (Py_CLEAR, Py_XSETREF)
Source: Go 1.27 runtime/runtime2.go. Tests: tests/runtime/test_twin.py */

#ifndef GOPARK_TWIN_H
#define GOPARK_TWIN_H

#include "compat.h"

/* Of runtime2.TRANSITIONS, in this order. */
enum status { GIDLE, GRUNNABLE, GRUNNING, GSYSCALL, GWAITING, GDEAD, NSTATUS };

/* Objects of Python's that C calls, raises or compares with: set by module.c, `install`. */
static struct {
    PyObject *status[NSTATUS];
    PyObject *PARK, *GOSCHED, *DONE;
    PyObject *births, *wakes_heard; /* lists: empty as a rule */
    PyObject *born;                 /* called if the first is not */
    PyObject *submit;               /* newproc.py */
    PyObject *exact;                /* a list: not empty while G.waitsince is the moment itself */
    PyObject *hooks;                /* its `goexit0`, `throw` are looked up at each call */
    PyObject *notready, *spread, *globspread; /* runq.py */
    PyObject *badrunnable, *unusual, *astray, *putback, *netblock; /* proc.py, netsleep.py */
    PyObject *epoll, *retake, *ongoroutine;              /* netpoll_epoll.py, fd.py */
    PyObject *recv, *send, *fileno;                      /* of the socket module's sockets: _sock.py */
    PyObject *lockslow, *closed;                         /* chan.py, lockrank.py */
    PyObject *ready, *never, *monotonic;                 /* runq.py, timer.py */
    PyObject *timebase, *seconds, *nosleep, *notparked;  /* startm.py, timesleep.py */
    PyObject *chan, *recvcase, *sendcase, *selecting, *leaveslow; /* selectgo.py */
    PyObject *sema, *handoff, *woken;                    /* sema.py */
    PyObject *nothing, *yielding, *mutex, *mutexnames;           /* sync/_common.py, sync/_mutex.py */
} door;

static PyTypeObject *RingT, *TokenT, *GT, *MT, *PT, *SchedT, *AllgsT, *TlsT, *ChanT;
static PyTypeObject *OpT, *YieldT, *StopT, *CompiledT, *SudogT, *SelectingT;
static PyTypeObject *SemaT, *MutexT, *TimersT, *TimerT, *PollDescT;

typedef struct {
    PyObject_HEAD
    PyObject **items; /* cap of them, a power of two */
    Py_ssize_t head, len, cap;
    Py_ssize_t maxlen; /* negative: none */
} Ring;

typedef struct {
    PyObject_HEAD
    PyObject *weakrefs;
    char free;
} Token;

typedef struct G {
    PyObject_HEAD
    PyObject *weakrefs;
    PyObject *bubble, *coro, *ctx, *elem, *gocode, *goglobals, *lockedm, *m, *scope, *step;
    PyObject *waiting, *waitreason;
    struct G *next, *prev; /* in allgs, while `listed` */
    double waitsince;
    long long goid, parentid, goexiting;
    int gopc, lockedcnt;
    char status, success, listed;
} G;

typedef struct {
    PyObject_HEAD
    Token *token;          /* what to give back once the G waits: `waitunlockf`, without a call */
    PyObject *waitunlockf; /* or else this, a Timer to be started or what is called */
    PyObject *curg, *g, *lockedg, *nextp, *p, *sched;
    char onthread;
} M;

typedef struct {
    PyObject_HEAD
    PyObject *runq, *runnext, *gfree; /* Rings, or in a test what stands for one */
    PyObject *m, *near, *sched;
    double began;
    long long schedtick;
    int pid;
} P;

typedef struct {
    PyObject_HEAD
    PyObject *main, *runq, *timers;
    int npidle;
    char ended;
} Sched;

typedef struct {
    PyObject_HEAD
    PyObject *lock, *unlock;       /* a Token, unless the channel is in a bubble */
    PyObject *buf, *recvq, *sendq; /* Rings, unless it is that of a timer */
    Py_ssize_t cap, nmarked;
    char closed;
} Chan;

typedef struct {
    PyObject_HEAD
    PyObject *g, *elem, *token, *waiting;
    Py_ssize_t n; /* which case of the select */
    char success, queued, marked;
} Sudog;

typedef struct {
    PyObject_HEAD
    PyObject *chans, *g, *sudogs, *token; /* sudogs: (channel, whether it sends, Sudog), a list */
    char timed;
} Selecting;

typedef struct Timers Timers;

typedef struct {
    PyObject_HEAD
    Timers *timers;
    PyObject *f, *arg;
    double when;
    long long seq; /* its number among those of its instant; 0: it is not going to run */
    Py_ssize_t at; /* its place in the heap, while it has one */
} Timer;

typedef struct {
    double when;
    Timer *t; /* owned */
} Entry;

struct Timers {
    PyObject_HEAD
    Entry *heap;
    Py_ssize_t len, cap;
    PyObject *clock, *wake;
};

/* The M of the calling thread; owned. Python sees it as `tls.m`. */
static _Thread_local M *curm;

#define isnone(o) ((o) == NULL || (PyObject *)(o) == Py_None)
#define isg(o) PyObject_TypeCheck((PyObject *)(o), GT)
#define ringof(o) ((Ring *)(o))

static int ready(G *g);
static int timer_start(Timer *t);

/* Drop the result of a call that is made for what it does. */
static inline int
done(PyObject *result)
{
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

#endif
