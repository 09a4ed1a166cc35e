"""Every program in examples/ runs as a stranger would run it and prints what it promises."""

from __future__ import annotations

import ctypes.util
import hashlib
import importlib.util
import pathlib
import re
import shutil
import sys

import pytest

from dumps import goroutines
from gotool import pprof
from harness import run_python

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples"


def output(name: str) -> str:
    """What the example prints, once it has ended well and said nothing on stderr."""
    ended = run_python([str(EXAMPLES / name)])
    # Under `-X dev` asyncio says what took long, as everything may on a busy machine.
    said = re.sub(r"^Executing <.* took \d+\.\d+ seconds\n", "", ended.stderr, flags=re.M)
    assert (said, ended.status) == ("", 0)
    return ended.stdout


needshttp = pytest.mark.skipif(
    not (importlib.util.find_spec("httptools") or importlib.util.find_spec("h11")),
    reason="neither httptools nor h11",
)


def test_every_example_is_tested():
    tested = {f"{name.removeprefix('test_')}.py" for name in globals() if name.startswith("test_")}
    assert {path.name for path in EXAMPLES.glob("*.py")} <= tested


@pytest.mark.skipif(sys.platform != "linux", reason="uses functions of Linux C libraries")
def test_c_threads():
    """A callback on a C thread is counted and dumped while it runs, and not afterwards."""
    out = output("c_threads.py")
    counts, dump, cost = re.split(r"\n\n(?=The )", out)
    assert re.findall(r"\d+$", counts, re.M) == ["1", "2", "1"]
    headers = re.findall(r"^ *goroutine \d+ \[(.*)\]:$", dump, re.M)
    assert headers == ["running, locked to thread", "syscall"]
    assert "    main.on_c_thread(...)\n    \t" in dump
    assert "    main.main(...)\n    \t" in dump
    assert len(re.findall(r" (?:plain ctypes|gopark) +[\d,]+ ns", cost)) == 2


def test_find_a_leak():
    lines = output("find_a_leak.py").splitlines()
    assert lines[2] == "4 goroutines wait for ever, of 5:"
    assert lines[3:7] == ["  chan send in main.ask(...), started by main.search"] * 4
    assert lines[-1] == "with room for every answer 0 more"


def test_worker_pool():
    digests = [hashlib.sha256(bytes([n]) * (1 << 20)).hexdigest()[:12] for n in range(8)]
    assert output("worker_pool.py") == "".join(
        f"block {n}: {digest}\n" for n, digest in enumerate(digests)
    )


def test_child_processes():
    assert output("child_processes.py") == (
        "good 1\ngood 2\ngood 3\n"
        "bad 1\nbad 2\nbad 3\nbad ended with exit status 3\n"
        "slow hangs\nslow was asked to go\nslow ended with exit status 1\n"
    )


def test_work_queue():
    pictures = [f"picture {n} is done" + (", at try 2" if n == 3 else "") for n in range(6)]
    assert output("work_queue.py") == "\n".join(
        ["a worker has ended: signal: killed", *pictures, ""]
    )


def test_process_pool():
    assert output("process_pool.py") == (
        "168 primes below 1000\n669 primes below 5000\n1229 primes below 10000\n"
    )


def test_asyncio_inside():
    assert output("asyncio_inside.py") == (
        "enituorog lennahc oicnysa tceles\nthe server has ended: context canceled\n"
    )


def test_select_timeout():
    assert output("select_timeout.py") == (
        "hello from near\n"
        "hello from far\n"
        "no answer from lost within 0.5 seconds\n"
        "first of all: near\n"
        "the heart beat meanwhile: True\n"
        "nothing is ready: True\n"
    )


@pytest.mark.skipif(ctypes.util.find_library("sqlite3") is None, reason="no SQLite library here")
def test_sqlite_callbacks():
    assert output("sqlite_callbacks.py") == (
        "changes: ['insert gopher 1', 'insert gopher 2', 'insert gopher 3', 'update gopher 3']\n"
        "row 1: Ada has 4 legs\n"
        "row 3: Ken has 4 legs\n"
        "row 2: Rob has 4 legs\n"
        "endless query after 0.1 seconds: interrupted\n"
    )


def test_unmarked_calls():
    """Nobody is held up by goroutines that block or compute without a word."""
    assert output("unmarked_calls.py") == (
        "30 queries were answered, none of which was marked as blocking\n"
        "they took less than half of the time they need in a row: True\n"
        "the clock ticked meanwhile: True\n"
        "12 goroutines computed, and the clock ticked 20 times beside them\n"
        "all of them came to an end once they were told to: True\n"
    )


def test_graceful_shutdown():
    """What was begun is finished, and the status is the one that a shell gives for the signal."""
    ended = run_python([str(EXAMPLES / "graceful_shutdown.py"), "SIGTERM"])
    assert (ended.stderr, ended.status) == ("", 128 + 15)
    assert ended.stdout == (
        "the shop is open\n"
        "closing: terminated signal received\n"
        "all orders that were taken are finished: True\n"
    )


def test_errgroup_fetch():
    lines = output("errgroup_fetch.py").splitlines()
    lines[2:4] = sorted(lines[2:4])  # who gives up first is open
    assert lines == [
        "all there: <page of alpha> <page of beta> <page of gamma>",
        "one missing:",
        "  gave up on busy: no server named nowhere",
        "  gave up on dead: no server named nowhere",
        "  failed: no server named nowhere",
        "twenty ask for the same page at once:",
        "  <page of alpha> was loaded 1 time",
    ]


def test_context_tree():
    assert output("context_tree.py") == (
        "Ada's book is in the memory\n"
        "  archive: context canceled: the book is found\n"
        "  disk: context canceled: the book is found\n"
        "  memory: found it\n"
        "  moon: context deadline exceeded: the moon is too far\n"
        "now without memory\n"
        "nothing found: the reader has left\n"
        "  archive: context deadline exceeded: the reader has left\n"
        "  disk: context deadline exceeded: the reader has left\n"
        "  moon: context deadline exceeded: the moon is too far\n"
    )


def test_virtual_hour():
    assert output("virtual_hour.py") == (
        "first answer: 'answer 6' after 34.0 seconds\n"
        "51 requests in an hour, 11 questions to the server\n"
        "the bubble's clock: 3634.0 seconds\n"
        "in less than a second: True\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what can be asked")
def test_look_inside():
    dump, rest = output("look_inside.py").split("\n\nit runs on: ")
    shown = goroutines(dump.rstrip("\n") + "\n")
    assert [(g.what, g.functions) for g in shown[1:]] == [("chan receive", ["worker"])] * 3
    assert (shown[0].goid, shown[0].what) == (1, "running")
    assert rest == (
        "True\nafter SIGQUIT: SIGQUIT: quit\ngoroutines in its report: 4\nexit status: 2\n"
    )


def test_trace_pipeline():
    assert output("trace_pipeline.py") == (
        "the sum of the squares: 30\n"
        "main waited in 'chan receive' 5 times\n"
        "numbers waited in 'chan send' 5 times\n"
        "slow waited in 'sleep' 5 times\n"
    )


def test_live_page():
    """A deadlock of two, while the others go on."""
    assert output("live_page.py") == (
        "goroutines: 15\n"
        "main.transfer waits (sync.Mutex.Lock), and nobody awake has it\n"
        "main.transfer waits (sync.Mutex.Lock), and nobody awake has it\n"
    )


def test_profile_it(tmp_path):
    """The profiles are there, and what it says to type shows what it promises."""
    ended = run_python([str(EXAMPLES / "profile_it.py"), str(tmp_path)])
    assert (ended.stderr, ended.status) == ("", 0)
    assert re.search(r"^#\t0x\w+\tgopark\.sync\.Mutex\.lock\+", ended.stdout, re.M)
    assert ended.stdout.count('# labels: {"path":') == 2
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"cpu.pb.gz", "goroutine.pb.gz", "mutex.pb.gz"}
    commands = re.findall(r"^  go tool pprof (.*)$", ended.stdout, re.M)
    tags, mutex = (pprof(*command.split()) for command in commands)
    assert re.search(r"path: Total .*\n +\S+ \(.*%\): /search\n +\S+ \(.*%\): /\n", tags)
    assert "gopark.sync.Mutex.unlock" in mutex


@needshttp
def test_http_server():
    lines = output("http_server.py").splitlines()
    assert lines == ["eight block their threads; hello from /", "then come the others: 8"]


@needshttp
def test_http_notes():
    lines = output("http_notes.py").splitlines()
    assert lines == [
        "201 kept",
        "200 50: two",
        "404 no such note",
        "while a report blocks: 200 ok",
        "200 1 notes",
        "closed with 1 notes",
    ]


@needshttp
def test_http_production():
    lines = output("http_production.py").splitlines()
    assert lines == [
        "opened",
        "healthz while 20 handlers block: 200",
        "metrics, of this machine: True",
        "metrics, through a proxy: 404",
        "SIGTERM",
        "answers that were under way: 20",
        "closed",
    ]


@needshttp
def test_http_migrated():
    lines = output("http_migrated.py").splitlines()
    assert lines == [
        "of asyncio's, as uvicorn served it: /other, then 8 of /blocks",
        "of WSGI, as gunicorn served it: /other, then 8 of /blocks",
    ]


def test_port_forwarder():
    """Three connections one after the other; both directions are counted when both have ended."""
    lines = output("port_forwarder.py").splitlines()
    assert lines.pop() == "all have ended"
    assert sorted(lines) == [
        "0 bytes there, 0 bytes back",
        "1000000 bytes there, 1000000 bytes back",
        "5 bytes there, 5 bytes back",
        *["the answer is right: True"] * 3,
    ]


def test_chat_server():
    assert output("chat_server.py") == (
        "ada reads: b'* guest1 is here'\n"
        "ada reads: b'* guest2 is here'\n"
        "bob reads: b'* guest2 is here'\n"
        "ada reads: b'guest2: hello, ada'\n"
        "bob reads: b'guest1: good morning'\n"
        "ada reads: b'* guest2 has left'\n"
        "ada reads: None\n"
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
def test_tls_terminator():
    assert output("tls_terminator.py") == "b'IS ANYBODY THERE?'\n"


def test_timeouts():
    assert output("timeouts.py") == (
        "timeout(0.05) is over\n"
        "the server heard: 3600 s: goodbye\n"
        "first: hello gopher\n"
        "the server heard: 0.01 s: goodbye\n"
        "the server heard: 3600 s: goodbye\n"
    )
