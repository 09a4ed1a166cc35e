"""Child processes: a few at once, each with a deadline, their lines as they come.

Each child is a goroutine's to talk to as if it waited: to read from its pipe, to wait for its end.
What waits is parked, so that a hundred children cost no thread. The one that takes too long is
ended by its context: asked first, by SIGTERM, and killed if it has not gone five seconds later.

    python examples/child_processes.py
"""

from __future__ import annotations

import signal

import gopark
from gopark import context, exec, net
from gopark.sync import errgroup

COUNT = 'for i in 1 2 3; do echo "$0 $i"; done; exit $1'
HANGS = 'trap "echo $0 was asked to go; exit 1" TERM; echo $0 hangs; while :; do sleep 0.01; done'


def ask(cmd: exec.Cmd) -> None:
    """Have it end by itself."""
    assert cmd.process is not None
    cmd.process.signal(signal.SIGTERM)


async def watch(ctx: context.Context, name: str, script: str, status: int) -> str:
    """Run it, and gather its lines; what became of it."""
    cmd = exec.command_context(ctx, "sh", "-c", script, name, str(status))
    cmd.cancel = lambda: ask(cmd)
    cmd.wait_delay = 5.0
    out = cmd.stdout_pipe()
    await cmd.start()
    lines = [line.decode() async for line in net.Reader(out)]
    try:
        await cmd.wait()
    except exec.ExitError as exc:
        lines.append(f"{name} ended with {exc}")
    return "\n".join(lines)


async def main() -> None:
    with context.with_timeout(context.background(), 2.0) as ctx:
        async with errgroup.Group() as group:
            tasks = [
                group.go(watch, ctx, "good", COUNT, 0),
                group.go(watch, ctx, "bad", COUNT, 3),
                group.go(watch, ctx, "slow", HANGS, 0),
            ]
    for task in tasks:
        print(task.result())


if __name__ == "__main__":
    gopark.run(main)
