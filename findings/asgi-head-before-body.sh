#!/usr/bin/env bash
# ASGI: an application that fails between "http.response.start" and the body is a 200 with uvicorn and
# hypercorn, and a 500 with granian.
#
# Seen with: uvicorn 0.54.0 (httptools 0.9.0 and h11 0.16.0), hypercorn 0.18.0, granian 2.8.9; CPython
# 3.13.0. Linux.
#
# It sends "http.response.start" with status 200, and raises:
#
#     uvicorn, either parser    the client has "200", and then the end of the connection
#     hypercorn                 the same
#     granian                   500
#
# The guess: 500 from all, as with WSGI, whose `start_response` sends nothing yet for this reason. ASGI
# took the two messages from there, and lets a server hold the head back until the body begins; it
# does not have to.
#
# Why it matters: what fails while it makes the body is a 200 in logs and monitors, and without a
# Content-Length only the missing last chunk tells. The other way round, an application that sends a
# head to say that it is at work, and the body a minute later, runs into its clients' timeouts when it
# is moved to a server that waits.
set -euo pipefail
. "$(dirname "$0")/_common.sh"
cp "$(dirname "$0")/_asgi.py" "$dir"

cat >"$dir/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise ValueError("before the body")
PY

cat >"$dir/t.py" <<'PY'
import sys

from _asgi import SERVERS, answer, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
changed = []
for name in SERVERS:
    with serving(name, "app:app") as port:
        status = answer(port, REQUEST).split(b" ")[1:2]
    print(f"{name}: {status}")
    if status != [b"500" if name == "granian" else b"200"]:
        changed.append(name)
if changed:
    sys.exit(f"this has changed: {changed}")
PY

python=$(venv 3.13 uvicorn==0.54.0 httptools==0.9.0 h11==0.16.0 hypercorn==0.18.0 granian==2.8.9)
"$python" "$dir/t.py" 2>/dev/null
