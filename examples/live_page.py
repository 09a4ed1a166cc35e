"""A program with a page of its own: what its goroutines do, seen from a browser or from a script.

A bank moves money between accounts. Two transfers lock the same two accounts in opposite order
and wait for each other for ever, while the rest of the bank goes on and notices nothing. Nobody
would be told, for the program as a whole is not asleep. The page shows it: this program asks it
as a browser does, and names the two.

    python examples/live_page.py              asks the page, and ends
    python examples/live_page.py 60           leaves it open for a minute: look at it yourself
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

import gopark
from gopark import Chan
from gopark import time as gotime
from gopark.sync import Mutex


class Account:
    def __init__(self, name: str, balance: int) -> None:
        self.name = name
        self.balance = balance
        self.mu = Mutex()


async def transfer(source: Account, target: Account, amount: int) -> None:
    async with source.mu:
        await gotime.sleep(0.01)  # it asks another bank, say; enough for the other to begin
        async with target.mu:
            source.balance -= amount
            target.balance += amount


async def teller(orders: Chan[int]) -> None:
    async for _ in orders:
        await gotime.sleep(0.001)


async def customers(orders: Chan[int]) -> None:
    number = 0
    while True:
        await orders.send(number)
        number += 1


async def audit() -> None:
    """There is always something to check."""
    while True:
        sum(range(5000))
        await gopark.gosched()


def open_accounts() -> None:
    ada, bob = Account("Ada", 100), Account("Bob", 100)
    gopark.go(transfer, ada, bob, 10)
    gopark.go(transfer, bob, ada, 20)


def ask(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


async def main(seconds: float) -> None:
    orders = Chan[int](8)
    open_accounts()
    gopark.go(customers, orders)
    for _ in range(6):
        gopark.go(teller, orders)
    for _ in range(5):
        gopark.go(audit)
    with gopark.debug.serve() as server:
        if seconds:
            print(server.url, flush=True)
            await gotime.sleep(seconds)
            return
        await gotime.sleep(0.1)
        graph = ask(server.url + "graph.json")
        print("goroutines:", ask(server.url + "state.json")["counts"]["goroutines"])
        for node in graph["nodes"]:
            if not node["awake"]:
                print(f"{node['func']} waits ({node['what']}), and nobody awake has it")


gopark.run(main, float(sys.argv[1]) if len(sys.argv) > 1 else 0)
