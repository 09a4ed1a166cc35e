"""Autobahn's suite for WebSockets, in a process of its own, against `gopark serve`.

It is written for Python 2.7, so it is no dependency of ours: GOPARK_WSTEST names its program,
`wstest` of `autobahntestsuite` 0.8.2 in an environment of that Python. GOPARK_WSTEST_CASES are the
cases, "*" for all: those that measure speed and compression take minutes.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest

from gopark.http import _websocket
from harness import start_python

WSTEST = os.environ.get("GOPARK_WSTEST", "")
CASES = os.environ.get("GOPARK_WSTEST_CASES", "1.* 2.* 3.* 4.* 5.* 6.* 7.* 10.*").split()

pytestmark = [
    pytest.mark.skipif(not WSTEST, reason="GOPARK_WSTEST names no wstest"),
    pytest.mark.skipif(not _websocket.available(), reason="wsproto is not installed"),
    pytest.mark.timeout(1800),
]

APP = """
import asyncio

async def bare(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print("ready", flush=True)
        await receive()
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})

async def onloop(scope, receive, send):
    await asyncio.sleep(0)
    await bare(scope, receive, send)
"""


@pytest.mark.parametrize("app", ["bare", "onloop"])
def test_every_case_is_passed(app, tmp_path):
    (tmp_path / "echoes.py").write_text(APP)
    options = ["--loop", "bare"] if app == "bare" else ["--loop", "asyncio", "--loops", "auto"]
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    args = ["serve", f"echoes:{app}", "--app-dir", str(tmp_path), "--port", str(port)]
    child = start_python(["-m", "gopark", *args, *options], timeout=1700)
    try:
        child.expect("ready")
        spec = {
            "outdir": str(tmp_path / "reports"),
            "servers": [{"agent": "gopark", "url": f"ws://127.0.0.1:{port}"}],
            "cases": CASES,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        command = [WSTEST, "-m", "fuzzingclient", "-s", str(tmp_path / "spec.json")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=tmp_path)
        found = json.loads((tmp_path / "reports" / "index.json").read_text())["gopark"]
    finally:
        child.kill()
        child.end()
    failed = {
        case: (one["behavior"], one["behaviorClose"])
        for case, one in found.items()
        if not {one["behavior"], one["behaviorClose"]} <= {"OK", "INFORMATIONAL"}
    }
    assert found
    assert not failed
