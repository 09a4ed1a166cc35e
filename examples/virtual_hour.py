"""Virtual time: an hour of a service, with retries and a cache that expires, in milliseconds.

The service asks a server that is down at first. It tries again after 1, 2, 4, ... seconds, and
keeps what it got for ten minutes. Nothing in it knows that it is being tested.

    python examples/virtual_hour.py
"""

from __future__ import annotations

import time

import gopark
from gopark import context, recv
from gopark.testing import synctest
from gopark.time import Ticker, monotonic, sleep

KEEP = 600.0  # seconds that an answer is good for


class Server:
    """Down for its first 20 seconds; every answer takes 0.5."""

    def __init__(self) -> None:
        self.started = monotonic()
        self.asked = 0

    async def ask(self) -> str:
        self.asked += 1
        await sleep(0.5)
        if monotonic() - self.started < 20:
            raise ConnectionError("down")
        return f"answer {self.asked}"


class Cache:
    """The server's answer, asked for anew when it is too old."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.answer = ""
        self.good_until = 0.0

    async def get(self) -> str:
        if monotonic() >= self.good_until:
            self.answer = await self.fetch()
            self.good_until = monotonic() + KEEP
        return self.answer

    async def fetch(self) -> str:
        pause = 1.0
        while True:
            try:
                return await self.server.ask()
            except ConnectionError:
                await sleep(pause)
                pause *= 2


async def clients(cache: Cache, ctx: context.Context) -> int:
    """One request every 70 seconds, until `ctx` is done; how many there were."""
    ticker, requests = Ticker(70), 0
    while True:
        index, _, _ = await gopark.select(recv(ticker.c), recv(ctx.done()))
        if index == 1:
            return requests
        await cache.get()
        requests += 1


async def hour() -> None:
    server = Server()
    cache = Cache(server)
    print(f"first answer: {await cache.get()!r} after {monotonic()} seconds")
    with context.with_timeout(context.background(), 3600) as ctx:
        requests = await clients(cache, ctx)
    print(f"{requests} requests in an hour, {server.asked} questions to the server")
    print(f"the bubble's clock: {monotonic()} seconds")


began = time.monotonic()
synctest.test(hour)
print("in less than a second:", time.monotonic() - began < 1)
