"""Take profiles of a program: who waits for which lock, and whose requests use the CPU.

Writes cpu.pb.gz, mutex.pb.gz and goroutine.pb.gz into the folder given, or a temporary one, and
says how to look at them. Run it:

    python examples/profile_it.py [folder]
"""

import pathlib
import sys
import tempfile
import time

import gopark
from gopark import context, pprof, runtime, sync

CPU = {"/": 0.05, "/search": 0.15}  # seconds that a request of each kind computes


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


async def serve(path: str, lock: sync.Mutex, done: sync.WaitGroup) -> None:
    """A request: the context has its path as a label, and so have the samples taken of it."""

    async def handle(_: context.Context) -> None:
        async with lock:  # too large a critical section: the others wait meanwhile
            compute(CPU[path])

    await pprof.do(context.background(), pprof.labels("path", path), handle)
    done.done()


async def main(folder: pathlib.Path) -> None:
    lock, done = sync.Mutex(), sync.WaitGroup()
    runtime.set_mutex_profile_fraction(1)
    with (folder / "cpu.pb.gz").open("wb") as file:
        pprof.start_cpu_profile(file)
        await lock.lock()
        for path in CPU:
            done.add(1)
            gopark.go(serve, path, lock, done)
        await gopark.testing.wait_all_parked()
        write(folder, "goroutine")
        print("Both requests wait for the lock:")
        find("goroutine").write_to(sys.stdout, debug=1)
        lock.unlock()
        await done.wait()
        pprof.stop_cpu_profile()
    write(folder, "mutex")
    print("To see whose requests use the CPU, and which code keeps others waiting:")
    print(f"  go tool pprof -tags {folder / 'cpu.pb.gz'}")
    print(f"  go tool pprof -top -cum {folder / 'mutex.pb.gz'}")


def find(name: str) -> pprof.Profile:
    profile = pprof.lookup(name)
    assert profile is not None
    return profile


def write(folder: pathlib.Path, name: str) -> None:
    with (folder / f"{name}.pb.gz").open("wb") as file:
        find(name).write_to(file)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        gopark.run(main, pathlib.Path(sys.argv[1]))
    else:
        gopark.run(main, pathlib.Path(tempfile.mkdtemp()))
