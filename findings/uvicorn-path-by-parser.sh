#!/usr/bin/env bash
# uvicorn: the path of the same request depends on whether httptools is installed.
#
# Seen with: uvicorn 0.54.0, httptools 0.9.0, h11 0.16.0; hypercorn 0.18.0 and granian 2.8.9 beside
# it; CPython 3.13.0. Linux.
#
# "GET http://example.test/p?q HTTP/1.1": the form with the whole address, which clients send to
# proxies, and which each server has to accept (RFC 9112, 3.2.2).
#
#     uvicorn --http httptools, and granian      path "/p"
#     uvicorn --http h11, and hypercorn          path "http://example.test/p", raw_path too
#
# The guess: `--http auto`, the default, picks the faster of two parsers that say the same. Routes
# match "/p" with `uvicorn[standard]` and give 404 with plain `uvicorn`.
#
# Why it matters: what sends this form is a client that has been told this server is its proxy, or a
# proxy that passes the line on as it is. It works on the one machine and not on the other, and the
# difference is a package that no code of the application imports.
set -euo pipefail
. "$(dirname "$0")/_common.sh"
cp "$(dirname "$0")/_asgi.py" "$dir"

cat >"$dir/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    body = f"{scope['path']} {scope['raw_path'].decode()}".encode()
    length = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})
PY

cat >"$dir/t.py" <<'PY'
import sys

from _asgi import SERVERS, answer, serving

REQUEST = (
    b"GET http://example.test/p?q HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n"
)
changed = []
for name in SERVERS:
    with serving(name, "app:app") as port:
        paths = answer(port, REQUEST).partition(b"\r\n\r\n")[2].decode().split(" ")
    print(f"{name}: path and raw_path {paths}")
    short = name in ("uvicorn, httptools", "granian")
    if paths != (["/p"] * 2 if short else ["http://example.test/p"] * 2):
        changed.append(name)
if changed:
    sys.exit(f"this has changed: {changed}")
PY

python=$(venv 3.13 uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0 hypercorn==0.18.0 granian==2.8.9)
"$python" "$dir/t.py"
