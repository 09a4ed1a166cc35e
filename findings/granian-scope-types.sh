#!/usr/bin/env bash
# granian: the ports in an ASGI scope are strings, and the version of an HTTP/1.0 request is "1".
#
# Seen with: granian 2.8.9, CPython 3.13.0; uvicorn 0.54.0 and hypercorn 0.18.0 beside it. Linux.
#
#                  scope["client"][1]   scope["server"][1]   http_version of HTTP/1.0   its headers
#     granian      "38604"              "9104"               "1"                        host, empty
#     uvicorn      54022                9102                 "1.0"                      none
#     hypercorn    57100                9103                 "1.0"                      none
#
# The guess: what the specification says of a scope: `port` is an integer, `http_version` is one of
# "1.0", "1.1" and "2", and headers are those that the client has sent.
#
# Why it matters: `port == 443` is false, `f"{host}:{port}"` is right, so it shows late: in a redirect
# that is never made, in a comparison of versions, in a test of "was Host sent?" that an HTTP/1.0
# client passes. Type checkers see nothing: a scope is a dictionary of Any.
set -euo pipefail
. "$(dirname "$0")/_common.sh"
cp "$(dirname "$0")/_asgi.py" "$dir"

cat >"$dir/app.py" <<'PY'
import json


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    said = [
        type(scope["client"][1]).__name__,
        type(scope["server"][1]).__name__,
        scope["http_version"],
        [[name.decode(), value.decode()] for name, value in scope["headers"]],
    ]
    body = json.dumps(said).encode()
    length = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})
PY

cat >"$dir/t.py" <<'PY'
import json
import sys

from _asgi import SERVERS, answer, serving

changed = []
for name in SERVERS:
    with serving(name, "app:app") as port:
        got = answer(port, b"GET / HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")[2]
    said = json.loads(got)
    print(f"{name}: {said}")
    if said != (["str", "str", "1", [["host", ""]]] if name == "granian" else ["int", "int", "1.0", []]):
        changed.append(name)
if changed:
    sys.exit(f"this has changed: {changed}")
PY

python=$(venv 3.13 uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0 hypercorn==0.18.0 granian==2.8.9)
"$python" "$dir/t.py"
