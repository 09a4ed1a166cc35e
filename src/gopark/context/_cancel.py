"""Contexts that can be cancelled: how an end goes down the tree, how a child hears of it.

Invariants:
  C1  the first item of `_end` is the end of the context; who appended it first has ended it.
      Error and cause are one object, so nobody sees the one without the other
  C2  the first item of `_dones` is the done channel, once somebody has asked for it
  C3  `_end` is set before the channel is closed, and `err` closes a channel that is still open
      before it tells: who sees either, sees both
  C4  a child is in `_children` of one context at most, and of none once its cancel has returned

There is no lock. A cancel may come from anywhere: from the goroutine of a timer, a thread of
Python's, a finaliser in the middle of another cancel. A lock could be held right there, and
what dies with a child, values of users among it, must not die under one. Instead:

  a child is added          a context ends
  1 put it in `_children`   1 append to `_end`
  2 look at `_end`          2 take what is in `_children`

Whichever comes first, one of the two sees the other and ends the child; that both do so does
no harm, since each step of an end may be done twice. So a cancel that is interrupted by
Ctrl-C is simply done again from where it was, and no part of a tree is left alive.

Relies on: append, pop and item access of list; store, pop, copy and clear of dict, with keys that
compare by identity, are atomic, and all threads see them in one order.
Who wakes: `Chan.close` readies those who wait; `after_func` starts goroutines once all is closed.
Nothing here needs a P, and threads that gopark did not make may call all of it.

Source: Go 1.27 context/context.go (cancelCtx, timerCtx, afterFuncCtx). Differs: no lock there is
held from parent to child, as Go holds it. Tests: tests/context/test_cancel.py, test_steps.py,
test_tree_model.py, test_stress.py
"""

from __future__ import annotations

import opcode
import sys
from collections.abc import Callable
from contextvars import Context as Variables
from contextvars import copy_context
from types import TracebackType
from typing import Any, Final, NamedTuple

from gopark._runtime.base.errors import ProgramEnded
from gopark._runtime.base.hooks import hooks
from gopark._runtime.base.lockrank import lasting
from gopark._runtime.base.printstring import shown
from gopark._runtime.base.timenow import monotonic, walltime
from gopark._runtime.chan.chan import Chan
from gopark._runtime.chan.recvonly import RecvOnly, shut
from gopark._runtime.chan.selectgo import recv, select
from gopark._runtime.sched.newproc import go
from gopark._runtime.sched.timer import Timer
from gopark.context._context import (
    CANCELCTX,
    CANCELED,
    DEADLINE,
    Canceled,
    Context,
    Ctx,
    DeadlineExceeded,
    governor,
    handout,
)
from gopark.context._format import date, duration, nanoseconds

__all__ = ("AfterFuncCtx", "CancelCtx", "TimerCtx", "cause_of", "done")


_RAISE: Final = opcode.opmap["RAISE_VARARGS"]


class End(NamedTuple):
    """How a context has ended; its descendants that end with it share the object.

    `err` itself is never raised: who asks gets a copy (`handout`).
    """

    err: Exception
    cause: BaseException
    traceback: TracebackType | None = None  # of the cause, as it was when it was given
    context: BaseException | None = None


def newend(err: Exception, cause: BaseException | None) -> End:
    if cause is None:
        return End(err, err)
    err.__cause__ = cause
    return End(err, cause, cause.__traceback__, cause.__context__)


class Done(RecvOnly[Any]):
    """A done channel. Only its context closes it. Go: `<-chan struct{}`."""

    __slots__ = ()

    what = "the done channel of a context"
    instead = "call its cancel"


CLOSED: Final = Done()  # of contexts that had ended before anybody asked for a channel
shut(CLOSED)
lasting(CLOSED._lock)


class CancelCtx(Ctx):
    """Ends when `_cancel` is called or its parent ends."""

    __slots__ = ("_children", "_dones", "_end", "_link", "_timed")

    _watched = False  # there is something to do in `_ended`

    def __init__(self, parent: Context) -> None:
        self._parent = parent
        # As timedby, in line: it is a part of each `gopark.asyncio.go`.
        self._timed = parent._timedby() if isinstance(parent, Ctx) else parent
        self._end: list[End] = []
        self._dones: list[Done] = []
        self._children: dict[CancelCtx, None] = {}
        self._link: CancelCtx | Registration | None = None  # where it has to be taken off

    def done(self) -> Chan[Any]:
        dones = self._dones
        if not dones:
            mine = CLOSED if self._end else Done()
            dones.append(mine)
        done = dones[0]
        if self._end and not done._closed:
            shut(done)
        return done

    def err(self) -> Exception | None:
        if not self._end:
            return None
        if self._dones and not self._dones[0]._closed:
            shut(self._dones[0])
        return handout(self._end[0].err)

    def _governor(self) -> Context:
        return self

    def _suffix(self) -> str:
        return ".WithCancel"

    def cancel(self, cause: BaseException | None = None) -> None:
        """End the context, for the form with `with`, which hands out no function for that.

        May be called from anywhere, and again; the first call counts. Who shall not be able to
        gets a child: `with_value` and the others make contexts that end with this one.

        Args:
            cause: What `gopark.context.cause` returns then.
        Raises:
            TypeError: `cause` is no exception.
        Example:
            >>> with gopark.context.with_cancel(gopark.context.background()) as ctx:
            ...     ctx.cancel()
            ...     print(ctx.err())
            context canceled

        Go: context.CancelFunc, context.CancelCauseFunc.
        """
        self._cancel_cause(cause)

    def _cancel(self) -> None:
        finish(self, self._end[0] if self._end else newend(Canceled(CANCELED), None))

    def _cancel_cause(self, cause: BaseException | None = None) -> None:
        if cause is not None and not isinstance(cause, BaseException):
            raise TypeError(f"cancel: the cause must be an exception or None, got {shown(cause)}")
        finish(self, self._end[0] if self._end else newend(Canceled(CANCELED), cause))

    def _ended(self, late: list[AfterFuncCtx]) -> None:
        """What else there is to do at its end; may be called more than once."""


class TimerCtx(CancelCtx):
    """Ends at a moment, too."""

    __slots__ = ("_timer", "_wall", "_when")

    _watched = True

    def __init__(self, parent: Context, when: float) -> None:
        super().__init__(parent)
        self._when = when
        self._wall = walltime() + nanoseconds(when - monotonic())  # to be printed
        self._timer: Timer | None = None

    def deadline(self) -> float:
        return self._when

    def _timedby(self) -> Context:
        return self

    def _suffix(self) -> str:
        left = nanoseconds(self._when - monotonic())
        return f".WithDeadline({date(self._wall, nanoseconds(self._when))} [{duration(left)}])"

    def _arm(self, cause: BaseException | None) -> None:
        """Start the timer; a deadline that has passed is the end at once."""
        if self._when <= monotonic():
            expire(self, cause)
            return
        timer = self._timer = Timer(hooks.timebase().timers, self._when, _fire, (self, cause))
        timer.start()
        if self._end:  # since its parent ended
            timer.stop()

    def _ended(self, late: list[AfterFuncCtx]) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()


def _fire(expired: tuple[TimerCtx, BaseException | None]) -> None:
    """On a scheduler thread, which must not run what the `stop` of a foreign parent does."""
    try:
        go(_expire, *expired)
    except ProgramEnded:
        pass


async def _expire(ctx: TimerCtx, cause: BaseException | None) -> None:
    expire(ctx, cause)


def expire(ctx: TimerCtx, cause: BaseException | None) -> None:
    if not ctx._end:
        finish(ctx, newend(DeadlineExceeded(DEADLINE), cause))


class AfterFuncCtx(CancelCtx):
    """Starts a function when its parent ends."""

    __slots__ = ("_call",)

    _watched = True

    def __init__(
        self,
        parent: Context,
        fn: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> None:
        super().__init__(parent)
        # Whoever pops it starts the function or has stopped it. With the variables of the one
        # who asked for it, not of whoever happens to cancel.
        self._call = [(copy_context(), fn, args, kwargs)]

    def _ended(self, late: list[AfterFuncCtx]) -> None:
        late.append(self)

    def _start(self) -> None:
        try:
            variables, fn, args, kwargs = self._call.pop()
        except IndexError:
            return
        variables.run(go, fn, *args, **kwargs)

    def _stop(self) -> bool:
        try:
            self._call.pop()
        except IndexError:
            return False
        self._cancel()
        return True


# --- the end ----------------------------------------------------------------------------------

_DONE: Final = newend(Canceled(CANCELED), None)


def done(ctx: CancelCtx) -> None:
    """As its `cancel`, for who has no more use for it: cheap if nobody else has seen it."""
    if not ctx._end:
        ctx._end.append(_DONE)
    if ctx._children or ctx._dones or ctx._link is not None:
        finish(ctx, ctx._end[0])


def finish(ctx: CancelCtx, end: End) -> None:
    """End a context, if it has not ended, and all below it; its parent forgets it.

    Doing it again does what somebody else has not come to yet, and else nothing.
    """
    ended = [ctx]
    late: list[AfterFuncCtx] = []
    try:
        _finish(ctx, end, ended, late)
    except BaseException:  # Ctrl-C, or a function that could not be started
        if ctx._end:
            _finish(ctx, end, ended, late)
        raise


def _finish(ctx: CancelCtx, end: End, ended: list[CancelCtx], late: list[AfterFuncCtx]) -> None:
    if not ctx._end:
        ctx._end.append(end)
    _spread(ended, late)
    unlink(ctx)


def _spread(ended: list[CancelCtx], late: list[AfterFuncCtx]) -> None:
    """Close the channels, the highest first, then start the functions.

    The two lists say at every moment what is still to be done.
    """
    while ended:
        ctx = ended[-1]
        if ctx._dones and not ctx._dones[0]._closed:
            shut(ctx._dones[0])
        if ctx._watched:
            ctx._ended(late)
        children = list(ctx._children.copy())
        for child in children:
            if not child._end:
                child._end.append(ctx._end[0])
        ended[-1:] = children
        if children:
            ctx._children.clear()
    while late:
        late[-1]._start()
        late.pop()


def cause_of(ctx: Context) -> BaseException | None:
    """Why it has ended, None if it has not."""
    gov = governor(ctx)
    err = None if gov is None else gov.err()
    if gov is None or err is None:
        return None
    cancelctx = gov if isinstance(gov, CancelCtx) else gov.value(CANCELCTX)
    if isinstance(cancelctx, CancelCtx) and cancelctx._end:
        end = cancelctx._end[0]
        return handout(end.err) if end.cause is end.err else unraised(end)
    return err


def unraised(end: End) -> BaseException:
    """The cause, without the frames of those who were handed it before and have raised it.

    It is the object that was given, for `cause` is asked for it. Each raise of it adds frames,
    and would for as long as the context is there. What it had when it was given stays, and so
    does all else while the caller handles it, or while it passes on from where it was first
    raised.
    """
    cause, given = end.cause, end.traceback
    raised = handling = False
    tb, exc = cause.__traceback__, sys.exception()
    while tb is not None and tb is not given:
        raised = raised or given is None or tb.tb_frame.f_code.co_code[tb.tb_lasti] == _RAISE
        tb = tb.tb_next
    seen = set()
    while raised and exc is not None and id(exc) not in seen:
        handling = handling or exc is cause
        seen.add(id(exc))
        exc = exc.__context__
    if raised and not handling:
        cause.__traceback__ = given
        cause.__context__ = end.context
    return cause


# --- parent and child -------------------------------------------------------------------------


class Registration:
    """What a parent of somebody else's knows its child by: the function that undoes it."""

    __slots__ = ("_stop",)

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = [stop]

    def stop(self) -> None:
        try:
            stop = self._stop.pop()
        except IndexError:
            return
        stop()


def unlink(ctx: CancelCtx) -> None:
    """Its parent forgets it."""
    link = ctx._link
    if isinstance(link, CancelCtx):
        link._children.pop(ctx, None)
    elif link is not None:
        link.stop()


def link(ctx: CancelCtx) -> None:
    """Have it end when its parent does. Go: propagateCancel."""
    assert ctx._parent is not None
    gov = governor(ctx._parent)
    if isinstance(gov, CancelCtx):
        _adopt(gov, ctx)
    elif gov is not None:
        _foreign(gov, ctx)


def _adopt(parent: CancelCtx, child: CancelCtx) -> None:
    if not parent._end:
        child._link = parent
        parent._children[child] = None
    if parent._end:
        finish(child, parent._end[0])


def _foreign(parent: Context, child: CancelCtx) -> None:
    """The parent is not one of ours, or the end of one of ours goes through it."""
    done = parent.done()
    if done is None:
        return
    if not isinstance(done, Chan):
        raise TypeError(f"done() of {shown(parent)} must return a Chan or None, got {shown(done)}")
    if done.try_recv()[2]:
        _follow(parent, child)
        return
    inner = parent.value(CANCELCTX)
    if isinstance(inner, CancelCtx) and inner._dones and inner._dones[0] is done:
        _adopt(inner, child)  # it has no channel of its own: it ends with the one inside
        return
    after_func = getattr(parent, "after_func", None)
    if after_func is not None:
        child._link = Registration(after_func(lambda: _follow(parent, child)))
        if child._end:
            unlink(child)
        return
    Variables().run(go, _watch, parent, done, child)


async def _watch(parent: Context, done: Chan[Any], child: CancelCtx) -> None:
    """Only for parents that bring a channel of their own."""
    index, _, _ = await select(recv(done), recv(child.done()))
    if index == 0:
        _follow(parent, child)


def _follow(parent: Context, child: CancelCtx) -> None:
    """The parent, of somebody else's, has ended."""
    err = parent.err()
    if err is None:
        raise RuntimeError(
            "context: internal error: missing cancel error: the done channel of "
            f"{shown(parent)} is ready, so its err() must not be None"
        )
    child._link = None  # the parent has let go of it, and may hold a lock that `stop` wants
    why = cause_of(parent)
    if why is None or why == err:
        finish(child, End(err, err))
    else:
        finish(child, End(err, why, why.__traceback__, why.__context__))
