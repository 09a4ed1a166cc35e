"""Other programs at the other end of a connection: started, spoken to, and ended with the test."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import gopark

__all__ = ("Command", "command", "free_port")


class Command:
    """A child whose lines are read by a thread, and sent on a channel."""

    def __init__(self, *args: Any) -> None:
        self.child = subprocess.Popen(
            [*map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.lines: gopark.Chan[bytes] = gopark.Chan(10_000)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.lines.try_send(line)
        self.lines.close()

    def say(self, text: bytes) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(text)
        self.child.stdin.flush()

    async def saw(self, text: bytes) -> bytes:
        """The next line that has this in it."""
        seen = []
        while (line := await self.lines.recv()) is not None:
            seen.append(line)
            if text in line:
                return line
        raise AssertionError(b"".join(seen))

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        self.reader.join(60)  # before its file is closed
        for pipe in (self.child.stdin, self.child.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass


@pytest.fixture
def command() -> Iterator[Any]:
    made: list[Command] = []

    def make(*args: Any) -> Command:
        made.append(Command(*args))
        return made[-1]

    yield make
    for one in made:
        one.end()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
