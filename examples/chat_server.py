"""A chat: what one guest writes, a line at a time, all the others read.

One goroutine has the room, so there is no lock. Each guest has two: one reads his lines, one sends
him those of the others, from a channel with some room. For a guest who does not read it fills
up; he is sent away, and holds up nobody.

    python examples/chat_server.py 127.0.0.1:4000      then: nc 127.0.0.1 4000, several times
    python examples/chat_server.py                     # shows itself, with guests of its own
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import gopark
from gopark import Chan, net, recv, select
from gopark.time import monotonic

BACKLOG = 100  # lines that a guest may be behind
IDLE = 600.0  # seconds


class Guest(NamedTuple):
    name: str
    conn: net.SocketConn
    lines: Chan[str]


class Said(NamedTuple):
    guest: Guest
    line: str | None  # None: he has left


async def listen_to(guest: Guest, said: Chan[Said]) -> None:
    """Tell the room what he says, until he leaves, breaks off or says nothing for too long."""
    reader = net.Reader(guest.conn)
    try:
        while True:
            guest.conn.set_read_deadline(monotonic() + IDLE)
            line = await reader.read_line(limit=1000)
            if line is None:
                break
            await said.send(Said(guest, line.decode(errors="replace")))
    except (OSError, net.TooLongError):
        pass
    await said.send(Said(guest, None))


async def tell(guest: Guest) -> None:
    """Send him what is for him, until the room has no more."""
    with guest.conn:
        try:
            async for line in guest.lines:
                guest.conn.set_write_deadline(monotonic() + IDLE)
                await guest.conn.write(f"{line}\n".encode())
        except OSError:
            pass  # who listens to him hears of it too


async def room(ln: net.Listener) -> None:
    """Everybody who is there; the loop ends with the listener."""
    guests: dict[str, Guest] = {}
    said = Chan[Said]()
    count = 0

    def to_all(line: str, but: Guest | None = None) -> None:
        for guest in [*guests.values()]:
            if guest is not but and not guest.lines.try_send(line):
                leave(guest)

    def leave(guest: Guest) -> None:
        if guests.pop(guest.name, None) is not None:
            guest.lines.close()
            to_all(f"* {guest.name} has left")

    while True:
        index, what, ok = await select(recv(ln.conns()), recv(said))
        if index == 0 and not ok:
            break
        if index == 0:
            count += 1
            guest = Guest(f"guest{count}", what, Chan(BACKLOG))
            guests[guest.name] = guest
            gopark.go(listen_to, guest, said)
            gopark.go(tell, guest)
            to_all(f"* {guest.name} is here")
        elif what.line is None:
            leave(what.guest)
        else:
            to_all(f"{what.guest.name}: {what.line}", but=what.guest)
    for guest in guests.values():
        guest.lines.close()
    while guests:  # each is heard of once more
        what = await said.recv()
        if what is not None and what.line is None:
            del guests[what.guest.name]


async def show() -> None:
    ended = Chan[None]()

    async def run(ln: net.Listener) -> None:
        await room(ln)
        await ended.send(None)

    with net.listen("tcp", "127.0.0.1:0") as ln:
        gopark.go(run, ln)
        with await net.dial("tcp", ln.addr) as ada:
            ada_reads = net.Reader(ada)
            print("ada reads:", await ada_reads.read_line())
            with await net.dial("tcp", ln.addr) as bob:
                print("ada reads:", await ada_reads.read_line())
                bob_reads = net.Reader(bob)
                print("bob reads:", await bob_reads.read_line())
                await bob.write(b"hello, ada\n")
                print("ada reads:", await ada_reads.read_line())
                await ada.write(b"good morning\r\n")
                print("bob reads:", await bob_reads.read_line())
            print("ada reads:", await ada_reads.read_line())
            ln.close()
            print("ada reads:", await ada_reads.read_line())
    await ended.recv()


async def main(args: list[str]) -> None:
    if not args:
        await show()
        return
    with net.listen("tcp", args[0]) as ln:
        print(ln.addr, flush=True)
        await room(ln)


if __name__ == "__main__":
    gopark.run(main, sys.argv[1:])
