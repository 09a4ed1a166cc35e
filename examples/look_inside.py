"""Look into a process that hangs, from outside.

The child's main function locks a mutex of C twice, and never comes back to Python. `gopark dump`
shows its goroutines all the same, and the child stays; SIGQUIT shows them and ends it.

    python examples/look_inside.py
"""

import ctypes
import signal
import subprocess
import sys

import gopark


async def worker(jobs: gopark.Chan[int]) -> None:
    async for job in jobs:
        print(job)


async def hangs() -> None:
    jobs = gopark.Chan[int]()
    for _ in range(3):
        gopark.go(worker, jobs)
    await gopark.testing.wait_all_parked()
    print("ready", flush=True)
    lock = ctypes.CDLL(None).pthread_mutex_lock
    mutex = ctypes.create_string_buffer(64)  # all zero: an unlocked one
    lock(mutex)
    lock(mutex)  # a deadlock in C, which no signal ends


def main() -> None:
    command = [sys.executable, __file__, "child"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        dump = [sys.executable, "-m", "gopark", "dump", str(child.pid)]
        print(subprocess.run(dump, stdout=pipe, text=True, check=True).stdout)
        print("it runs on:", child.poll() is None)
        child.send_signal(signal.SIGQUIT)
        report = child.stderr.read()
        print("after SIGQUIT:", report.splitlines()[0])
        print("goroutines in its report:", report.count("\ngoroutine "))
        print("exit status:", child.wait())


if __name__ == "__main__":
    if sys.argv[1:] == ["child"]:
        gopark.run(hangs)
    else:
        main()
