"""For the scripts here: ASGI servers as child processes, by name, on a free port."""

import contextlib
import os
import socket
import subprocess
import sys
import time

SERVERS = {
    "uvicorn, httptools": "uvicorn --log-level error --http httptools --port {port} {app}",
    "uvicorn, h11": "uvicorn --log-level error --http h11 --port {port} {app}",
    "hypercorn": "hypercorn --log-level error -b 127.0.0.1:{port} {app}",
    "granian": "granian --no-log --interface asgi --port {port} {app}",
}


@contextlib.contextmanager
def serving(name, app):
    """The port on which this server serves `app`, "module:name", from the folder of this file."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command, *rest = SERVERS[name].format(port=port, app=app).split()
    command = os.path.join(os.path.dirname(sys.executable), command)
    child = subprocess.Popen([command, *rest], cwd=os.path.dirname(os.path.abspath(__file__)))
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if child.poll() is not None or time.monotonic() > until:
                    print(f"needs {name} to serve", file=sys.stderr)
                    sys.exit(2)
                time.sleep(0.1)
        yield port
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def answer(port, request, half=False):
    """All that comes until the server closes; with `half`, after the client has ended its side."""
    with socket.create_connection(("127.0.0.1", port), 60) as conn:
        conn.sendall(request)
        if half:
            conn.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while data := conn.recv(65536):
                got += data
    return got
