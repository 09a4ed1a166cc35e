#!/usr/bin/env bash
# uvicorn and granian: a client that sends its whole request and then ends its sending side, as
# `nc -N` and Go's CloseWrite do, gets no answer at all. hypercorn gives it.
#
# Seen with: uvicorn 0.54.0 (httptools 0.9.0 and h11 0.16.0), granian 2.8.9, hypercorn 0.18.0;
# CPython 3.13.0. Linux.
#
# "GET / HTTP/1.1, Host, Connection: close", then shutdown(SHUT_WR); the application answers after
# 0.3 seconds:
#
#     uvicorn, either parser    the end of the connection, at once; not a byte
#     granian                   the same
#     hypercorn                 200 and the body
#     all three, when the client does not end its side      200 and the body
#
# The guess: the end of one direction says nothing about the other. The request is complete, the
# socket can be written to, and the client is reading.
#
# Why it matters: half-closing is how scripts and load balancers in TCP mode say "that was all". They
# see an empty answer without an error, and only from handlers that wait: with uvicorn one that
# answers in the same step of the loop still gets through. In uvicorn it is asyncio's default: its
# protocols' `eof_received` returns None, and then the transport is closed.
set -euo pipefail
. "$(dirname "$0")/_common.sh"
cp "$(dirname "$0")/_asgi.py" "$dir"

cat >"$dir/app.py" <<'PY'
import asyncio


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await asyncio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
PY

cat >"$dir/t.py" <<'PY'
import sys

from _asgi import SERVERS, answer, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
changed = []
for name in SERVERS:
    with serving(name, "app:app") as port:
        whole, half = answer(port, REQUEST), answer(port, REQUEST, half=True)
    print(f"{name}: {whole[-2:]!r}, after shutdown(SHUT_WR) {half[-2:]!r}")
    if not whole.endswith(b"ok") or half.endswith(b"ok") != (name == "hypercorn"):
        changed.append(name)
if changed:
    sys.exit(f"this has changed: {changed}")
PY

python=$(venv 3.13 uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0 hypercorn==0.18.0 granian==2.8.9)
"$python" "$dir/t.py"
