"""What is at Go's own paths, and that Go's own tool reads it from there."""

from __future__ import annotations

import gzip
import html
import io
import json
import re
import sys
import threading
from urllib.parse import unquote

import pytest

import gopark
from gopark import pprof as pprof_
from gopark._runtime.prof import cpuprof
from gotool import needs_go, pprof


async def parked(ch):
    await ch.recv()


@pytest.fixture
def beside(run, client):
    """Call a function on a thread of its own, while five goroutines of `parked` wait."""

    def beside(look):
        async def main():
            ch = gopark.Chan()
            for _ in range(5):
                gopark.go(parked, ch)
            await gopark.testing.wait_all_parked()
            answers = gopark.Chan()
            gopark.go(lambda: gopark.block(answers.send(look(client))))
            found = await answers.recv()
            ch.close()
            return found

        return run(main, outside_help=True)

    return beside


def test_the_index_lists_the_profiles_with_their_counts(beside):
    text = beside(lambda client: client.get("/debug/pprof/").text)
    for name in ("goroutine", "threadcreate", "block", "mutex", "profile", "trace", "cmdline"):
        assert f'href="{name}' in text
    assert '<td class="n">7</td><td><a href="goroutine?debug=1">' in text


def test_the_index_is_found_without_its_slash(client):
    got = client.get("/debug/pprof")
    assert (got.status, got.headers["Location"]) == (301, "/debug/pprof/")


def test_a_profile_is_a_download_and_with_debug_it_is_text(beside):
    def look(client):
        return client.get("/debug/pprof/goroutine"), client.get("/debug/pprof/goroutine?debug=1")

    data, text = beside(look)
    assert data.headers["Content-Type"] == "application/octet-stream"
    assert data.headers["Content-Disposition"] == 'attachment; filename="goroutine"'
    assert b"test_paths.parked" in gzip.decompress(data.body)
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text.text.startswith("goroutine profile: total 7\n5 @ ")


def test_debug_2_is_a_dump(beside):
    text = beside(lambda client: client.get("/debug/pprof/goroutine?debug=2").text)
    assert text.count("[chan receive]:") == 6
    assert "created by " in text


@pytest.mark.parametrize("name", ["threadcreate", "block", "mutex", "goroutineleak"])
def test_every_profile_is_there(client, name):
    assert client.get(f"/debug/pprof/{name}").status == 200
    assert name in client.get(f"/debug/pprof/{name}?debug=1").text.partition("\n")[0].replace(
        "contention", "block"
    )


def test_a_profile_of_the_users_is_there_too(client):
    opened = gopark.pprof.lookup("test_paths.opened") or gopark.pprof.new_profile(
        "test_paths.opened"
    )
    opened.add(1)
    text = client.get("/debug/pprof/test_paths.opened?debug=1").text
    opened.remove(1)
    assert text.startswith("test_paths.opened profile: total 1\n")


def test_an_unknown_profile_is_not_found_in_gos_words(client):
    got = client.get("/debug/pprof/nothing")
    assert (got.status, got.text) == (404, "Unknown profile\n")


def test_a_profile_between_two_moments_is_refused_in_gos_words(client):
    got = client.get("/debug/pprof/threadcreate?seconds=1")
    assert (got.status, got.text) == (
        400,
        '"seconds" parameter is not supported for this profile type\n',
    )


def test_the_command_line_has_zeros_between(client, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["prog", "a b", "c"])
    assert client.get("/debug/pprof/cmdline").text == "prog\0a b\0c"


def test_symbols_come_with_the_profiles(client):
    assert client.get("/debug/pprof/symbol").text == "num_symbols: 1\n"


def test_a_trace_is_what_perfetto_reads(beside):
    got = beside(lambda client: client.get("/debug/pprof/trace?seconds=0.1"))
    assert got.status == 200
    data = gzip.decompress(got.body) if got.body[:2] == b"\x1f\x8b" else got.body
    assert json.loads(data)["traceEvents"]


def test_a_profile_that_runs_already_is_not_disturbed(client):
    file = io.BytesIO()
    gopark.pprof.start_cpu_profile(file)
    got = client.get("/debug/pprof/profile?seconds=1")
    gopark.pprof.stop_cpu_profile()
    assert got.status == 500
    assert got.text.startswith("Could not enable CPU profiling: ")
    assert file.getvalue()


def test_close_does_not_wait_for_a_long_profile(client_of, wait_until):
    server = gopark.debug.serve()
    client, answers = client_of(server.url), []

    def ask():
        try:
            answers.append(client.get("/debug/pprof/profile?seconds=600").status)
        except OSError:  # the connection is cut: it may be before the answer or after
            answers.append(None)

    thread = threading.Thread(target=ask)
    thread.start()
    assert wait_until(lambda: cpuprof._profiler is not None)
    server.close()
    thread.join(120)
    assert answers in ([200], [None])
    gopark.pprof.start_cpu_profile(io.BytesIO())  # nobody profiles any more
    gopark.pprof.stop_cpu_profile()


# --- Go's own tool --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_home(monkeypatch, tmp_path):
    """Where pprof keeps a copy of what it has fetched."""
    monkeypatch.setenv("PPROF_TMPDIR", str(tmp_path))
    monkeypatch.delenv("http_proxy", raising=False)


@needs_go
def test_go_tool_pprof_reads_goroutines_from_the_page(beside):
    def look(client):
        return pprof("-top", f"http://{client.netloc}/debug/pprof/goroutine")

    text = beside(look)
    assert "Type: goroutine" in text
    assert any(
        "test_paths.parked" in line and line.split()[3:4] == ["5"] for line in text.splitlines()
    )


@needs_go
def test_go_tool_pprof_takes_a_cpu_profile_from_the_page(run, client):
    """It asks for `/debug/pprof/profile?seconds=1` by itself, while a goroutine computes."""

    async def main():
        answers = gopark.Chan()

        def fetch():
            url = f"http://{client.netloc}"
            gopark.block(answers.send(pprof("-top", "-seconds", "1", url)))

        gopark.go(fetch)
        while True:
            text, _, received = answers.try_recv()
            if received:
                return text
            burn()
            await gopark.gosched()

    text = run(main, outside_help=True)
    assert "Type: cpu" in text
    assert "test_paths.burn" in text


def burn():
    sum(range(20000))


@pytest.mark.parametrize("name", ["größe", "日本", 'a"b', "a b", "a%20b", "a\r\nX-Other: 1"])
def test_a_profile_is_found_whatever_it_is_called(client, name):
    profile = pprof_.lookup(name) or pprof_.new_profile(name)
    profile.add(1)
    try:
        href = re.search(
            rf'href="([^"]*)">{re.escape(html.escape(name))}</a>', client.get("/debug/pprof/").text
        )
        path = "/debug/pprof/" + html.unescape(href[1])
        assert client.get(path).status == 200
        answer = client.get(path.partition("?")[0])
        assert gzip.decompress(answer.body)
        assert "X-Other" not in answer.headers
        called = answer.headers["Content-Disposition"].removeprefix("attachment; filename*=UTF-8''")
        assert unquote(called) == name
    finally:
        profile.remove(1)
