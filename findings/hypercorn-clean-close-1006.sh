#!/usr/bin/env bash
# hypercorn: a WebSocket that the client closes in good order, with code 1000, is told to the
# application as 1006, "abnormal closure"; so is any other code.
#
# Seen with: hypercorn 0.18.0, wsproto 1.3.2, websockets 17.4 (the client), CPython 3.13.0; uvicorn
# 0.54.0 and granian 2.8.9 beside it. Linux.
#
# The client's close(code), and the "code" of "websocket.disconnect":
#
#     code                  1000    4001
#     hypercorn             1006    1006
#     uvicorn, granian      1000    4001
#
# The guess: the code that the client sent: the message has a field for nothing else, and wsproto,
# which hypercorn is built on, hands it over. 1006 is reserved for a connection that broke.
#
# Why it matters: applications tell "the user has left" from "the network broke" by it, keep a session
# open for who may come back, or count failures; codes from 4000 are the application's own protocol.
set -euo pipefail
. "$(dirname "$0")/_common.sh"
cp "$(dirname "$0")/_asgi.py" "$dir"

cat >"$dir/app.py" <<'PY'
async def app(scope, receive, send):
    if scope["type"] != "websocket":
        raise RuntimeError("no lifespan here")
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    with open(scope["query_string"].decode(), "w") as file:
        file.write(str(int(message["code"])))
PY

cat >"$dir/t.py" <<'PY'
import os
import sys
import time

from _asgi import SERVERS, serving
from websockets.sync.client import connect


def told(port, code):
    path = os.path.abspath(f"{port}-{code}")
    with connect(f"ws://127.0.0.1:{port}/?{path}", compression=None) as conn:
        conn.close(code)
    until = time.monotonic() + 60
    while not (os.path.exists(path) and os.path.getsize(path)):
        if time.monotonic() > until:
            sys.exit("this has changed: nothing was told")
        time.sleep(0.05)
    with open(path) as file:
        return int(file.read())


changed = []
for name in SERVERS:
    if name == "uvicorn, h11":
        continue
    with serving(name, "app:app") as port:
        codes = [told(port, code) for code in (1000, 4001)]
    print(f"{name}: {codes}")
    if codes != ([1006, 1006] if name == "hypercorn" else [1000, 4001]):
        changed.append(name)
if changed:
    sys.exit(f"this has changed: {changed}")
PY

python=$(venv 3.13 uvicorn==0.54.0 httptools==0.9.0 hypercorn==0.18.0 wsproto==1.3.2 granian==2.8.9 websockets==17.4)
cd "$dir"
"$python" "$dir/t.py"
