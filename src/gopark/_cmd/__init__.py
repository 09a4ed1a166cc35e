"""The command line: `gopark`, or `python -m gopark`.

One module for each command, imported when it is asked for. A command returns its exit status; what
it cannot do it says in one line that begins with its name, with what to do about it (`Failed`),
and that is status 1. Status 2 is a wrong command line, as argparse has it, and Go's of a panic.

Tests: tests/cmd
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
from collections.abc import Sequence

from gopark._cmd._failed import Failed

__all__ = ("Failed", "main")

_ABOUT = "Run programs written with gopark, and look into them while they run."
_EXAMPLES = """\
examples:
  gopark run prog.py             run `main` of prog.py as the main goroutine
  gopark run -m package.module   the same for a module
  gopark serve main:app          serve an ASGI or WSGI application over HTTP
  gopark dump 4711               every goroutine of process 4711, as Go prints them
  gopark top 4711                what it does, live; q quits
  gopark bench                   how fast goroutines and channels are on this machine
  gopark worker package.jobs     work for a queue
  gopark workqueue ls            which work queues there are, and what they hold

`gopark COMMAND --help` says more.
"""
_RUN = """\
examples:
  gopark run prog.py
  gopark run prog.py --port 8080        what follows the file is for the program
  GOMAXPROCS=4 gopark run -m my.server

The file is run as `python prog.py` would run it. Then its function `main`, plain or async, is the
main goroutine. A file that starts itself, in `if __name__ == "__main__":` or by a call of
gopark.run, is left to do so.

exit status:
  0    main returned
  1    the program was not found, or is no Python
  2    a panic, main's own exception included; a deadlock; SIGQUIT, which shows every goroutine
  n    sys.exit(n), in any goroutine
Ctrl-C that nobody catches ends it by SIGINT, which a shell shows as 130.
"""
_DUMP = """\
examples:
  gopark dump 4711
  gopark dump $(pgrep -f prog.py) > goroutines.txt

The process goes on as if nothing had happened. It must run under the same user and be in
gopark.run on its main thread; what that thread does at the moment does not matter, unless C code
keeps the interpreter to itself. (`kill -QUIT PID` prints the same on its stderr and ends it.)
"""
_TOP = """\
examples:
  gopark top 4711
  gopark top --interval 0.5 4711
  gopark top --once 4711          one look, as text; so it is without a terminal, too

In the terminal q, Escape or Ctrl-C quits. Goroutines of one state and stack share a line.
"""
_BENCH = """\
examples:
  gopark bench
  gopark bench --count 6 > new.txt && benchstat old.txt new.txt
  gopark bench PingPong Spawn

The output is that of Go's benchmarks, which benchstat reads.
"""
_WORKER = """\
examples:
  gopark worker package.jobs
  gopark worker package.jobs --queue thumbnails --limit 4
  gopark worker package.jobs --url nats://host:4222

It calls the public functions of the module for the Groups that name them (gopark.workqueue.Group).
SIGTERM, or Ctrl-C, ends it when what it has begun is done.
"""
_WORKQUEUE = """\
examples:
  gopark workqueue ls
  gopark workqueue show jobs
  gopark workqueue requeue jobs 17 18     dead letters by their number; without one, all
  gopark workqueue purge jobs --dead
  gopark workqueue ls --url nats://host:4222
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args[:1] == ["run"] and not {"-h", "--help"} & set(args[1:2]):
        from gopark._cmd import _run

        command = "run"
        work = functools.partial(_run.run, args[1:])
    else:
        options = _parser("serve" in args[:1]).parse_args(args)
        command = options.command
        work = functools.partial(_COMMANDS[command], options)
    try:
        return work()
    except Failed as failed:
        print(f"gopark {command}: {failed}", file=sys.stderr)
        return failed.status
    except BrokenPipeError:
        return _brokenpipe()


def _brokenpipe() -> int:
    """Who reads our output has gone: end as other commands do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return 1


def _dodump(options: argparse.Namespace) -> int:
    from gopark._cmd import _ask
    from gopark._runtime.base.printstring import lines

    with _ask.connect(options.pid, options.timeout) as process:
        sys.stdout.write(lines(process.ask("dump")))  # whatever is on the other side
        sys.stdout.flush()
    return 0


def _dotop(options: argparse.Namespace) -> int:
    from gopark._cmd import _ask, _top

    with _ask.connect(options.pid, options.timeout) as process:
        return _top.top(process, options.interval, options.once)


def _dobench(options: argparse.Namespace) -> int:
    from gopark._cmd import _bench

    return _bench.bench(options.name, options.count, options.benchtime)


def _doserve(options: argparse.Namespace) -> int:
    from gopark._cmd import _serve

    return _serve.serve(options)


def _doversion(options: argparse.Namespace) -> int:
    from gopark._cmd import _version

    print(_version.version())
    return 0


def _doworker(options: argparse.Namespace) -> int:
    from gopark._cmd import _worker

    return _worker.run(options)


def _doworkqueue(options: argparse.Namespace) -> int:
    from gopark._cmd import _workqueue

    return _workqueue.run(options)


_COMMANDS = {
    "dump": _dodump,
    "top": _dotop,
    "bench": _dobench,
    "serve": _doserve,
    "version": _doversion,
    "worker": _doworker,
    "workqueue": _doworkqueue,
}


# --- what may stand on the command line ----------------------------------------------------


def _parser(serves: bool = False) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gopark", description=_ABOUT, epilog=_EXAMPLES, formatter_class=_AsWritten
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, summary: str, epilog: str | None = None) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=summary, description=summary, epilog=epilog, formatter_class=_AsWritten
        )

    run = add("run", "run `main` of a file or module as the main goroutine", _RUN)
    run.usage = "gopark run FILE [ARG ...]\n       gopark run -m MODULE [ARG ...]"
    about = ""
    if serves:  # what it imports the other commands do not need
        from gopark._cmd import _serve

        about = _serve.ABOUT
    serve = add("serve", "serve an ASGI or WSGI application over HTTP", about)
    if serves:
        _serve.arguments(serve, {"seconds": _seconds, "count": _count})
    dump = add("dump", "print every goroutine of a process that runs", _DUMP)
    _asks(dump)
    top = add("top", "show what a process does, live", _TOP)
    _asks(top)
    top.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="SECONDS", help="between two looks (1)"
    )
    top.add_argument("--once", action="store_true", help="print one look and end")
    bench = add("bench", "measure goroutines and channels on this machine", _BENCH)
    bench.add_argument("name", nargs="*", metavar="NAME", help="only these")
    bench.add_argument("--count", type=_count, default=1, metavar="N", help="how often (1)")
    bench.add_argument(
        "--benchtime", type=_seconds, default=0.5, metavar="SECONDS", help="each takes (0.5)"
    )
    worker = add("worker", "work for a queue with the functions of a module", _WORKER)
    worker.add_argument("module", metavar="MODULE", help="whose public functions may be called")
    worker.add_argument("--queue", default="jobs", metavar="NAME", help="the queue (jobs)")
    _url(worker)
    worker.add_argument(
        "--limit", type=_count, default=8, metavar="N", help="so many run at a time (8)"
    )
    worker.add_argument(
        "--every",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="between lines of a log (10)",
    )
    _queues(add("workqueue", "look at work queues, and after their dead letters", _WORKQUEUE))
    add("version", "print the versions of gopark and Python, and the machine")
    return parser


def _url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", default="local:", metavar="URL", help="where it is (local:), or nats://host:port"
    )


def _queues(parser: argparse.ArgumentParser) -> None:
    whats = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    _url(whats.add_parser("ls", help="which queues there are"))
    show = whats.add_parser("show", help="what a queue holds, its dead letters above all")
    show.add_argument("--most", type=_count, default=20, metavar="N", help="so many letters (20)")
    purge = whats.add_parser("purge", help="forget what is not done")
    purge.add_argument("--dead", action="store_true", help="forget the dead letters instead")
    requeue = whats.add_parser("requeue", help="have dead letters tried again")
    for one in (show, purge, requeue):
        one.add_argument("name", metavar="NAME", help="the queue")
        _url(one)
    requeue.add_argument("number", nargs="*", type=_count, metavar="NUMBER", help="only these")


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """The examples keep their lines."""


def _asks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pid", type=_pid, metavar="PID", help="the number of the process")
    parser.add_argument(
        "--timeout", type=_seconds, default=5.0, metavar="SECONDS", help="wait no longer (5)"
    )


def _pid(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the number of a process; `pgrep -f {text}` finds it by its name"
        )
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)
