"""What the kernel is asked for each request of an echo: three calls, if nothing is done in vain.

    python -m benchmarks.net_syscalls                      gopark and what else is installed
    python -m benchmarks.net_syscalls --sides gopark,uvloop\\ streams --connections 10

The server of net_echo.py runs under `strace -c -f` (Debian's package strace) while so many
connections send a request, wait for the answer, send the next. On an idle machine a request that
wakes the server is epoll_wait, recv, send; several that come at once share the first.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from benchmarks.net_echo import SIDES, Server, connect, drive, installed

LINE = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.M)
RARE = 0.005  # of what comes less often for each request is not told


def measure(side: str, connections: int, seconds: float) -> dict[str, float]:
    """How often each system call comes for one request."""
    server = Server(side, 0)
    try:
        socks = connect(server.port, connections)
        drive(socks, 0.2)
        for sock in socks:
            sock.close()
        socks = connect(server.port, connections)
        with tempfile.NamedTemporaryFile("r") as out:
            command = ["strace", "-c", "-f", "-o", out.name, "-p", str(server.child.pid)]
            strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            while "TracerPid:\t0" in status(server.child.pid):
                if strace.poll() is not None:
                    raise SystemExit("strace cannot look at a process here")
                time.sleep(0.01)
            done = drive(socks, seconds)
            strace.send_signal(signal.SIGINT)
            strace.wait()
            found = LINE.findall(out.read())
        return {name: int(count) / done for count, name in found if name != "total"}
    finally:
        server.end()


def status(pid: int) -> str:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return file.read()


def main() -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--connections", default="1,10,100")
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    if shutil.which("strace") is None:
        sys.exit("strace is not installed")
    for n in map(int, options.connections.split(",")):
        print(f"{n} connections: system calls for each request")
        for side in filter(installed, options.sides.split(",")):
            counts = measure(side, n, options.seconds)
            told = {name: count for name, count in counts.items() if count >= RARE}
            each = ", ".join(f"{k} {v:.2f}" for k, v in sorted(told.items(), key=lambda x: -x[1]))
            print(f"  {side:18} {sum(counts.values()):5.2f}: {each}")


if __name__ == "__main__":
    main()
