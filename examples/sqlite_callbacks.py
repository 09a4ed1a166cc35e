"""sqlite3's C API through ctypes: rows as a channel, and a query with a deadline.

SQLite calls back into Python for each row (`sqlite3_exec`), for each change (the update hook)
and every so many steps of its machine (the progress handler). `cgo.call` runs a statement
without holding other goroutines up, `cgo.callback` makes the callbacks part of the goroutine
that called C, so that they can use channels: here a row is *sent*, and SQLite goes on when it
has been received.

    python examples/sqlite_callbacks.py
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p

import gopark
from gopark import Chan, recv, select
from gopark import time as gotime

OK, INTERRUPT = 0, 9
ACTIONS = {18: "insert", 23: "update", 9: "delete"}

ROW = CFUNCTYPE(c_int, c_void_p, c_int, POINTER(c_char_p), POINTER(c_char_p))
PROGRESS = CFUNCTYPE(c_int, c_void_p)
UPDATE = CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_char_p, c_int64)

Row = tuple[str, ...]


def load() -> ctypes.CDLL:
    """The machine's SQLite, with the types of what is used here."""
    name = ctypes.util.find_library("sqlite3")
    if name is None:
        sys.exit("this example needs the SQLite library (Debian, Ubuntu: apt install libsqlite3-0)")
    sqlite = ctypes.CDLL(name)
    sqlite.sqlite3_open.argtypes = (c_char_p, POINTER(c_void_p))
    sqlite.sqlite3_close.argtypes = (c_void_p,)
    sqlite.sqlite3_exec.argtypes = (c_void_p, c_char_p, c_void_p, c_void_p, c_void_p)
    sqlite.sqlite3_update_hook.argtypes = (c_void_p, c_void_p, c_void_p)
    sqlite.sqlite3_progress_handler.argtypes = (c_void_p, c_int, c_void_p, c_void_p)
    sqlite.sqlite3_errmsg.argtypes = (c_void_p,)
    sqlite.sqlite3_errmsg.restype = c_char_p
    return sqlite


class Database:
    """One connection. SQLite serialises calls; one goroutine at a time uses it here."""

    def __init__(self, sqlite: ctypes.CDLL) -> None:
        self._sqlite = sqlite
        self._db = c_void_p()
        self._check(sqlite.sqlite3_open(b":memory:", ctypes.byref(self._db)))
        self._hooks: list[object] = []  # C holds pointers to them

    def _check(self, status: int) -> None:
        if status != OK:
            raise RuntimeError(self._sqlite.sqlite3_errmsg(self._db).decode())

    def close(self) -> None:
        self._check(self._sqlite.sqlite3_close(self._db))

    def execute(self, sql: str, on_row: Callable[[Row], object] | None = None) -> None:
        """Run statements to their end, on this thread; other goroutines go on meanwhile."""

        def row(_: object, n: int, values: list[bytes], __: object) -> int:
            assert on_row is not None
            on_row(tuple(values[i].decode() for i in range(n)))
            return 0

        pointer = ROW(gopark.cgo.callback(row)) if on_row is not None else None
        exec_ = self._sqlite.sqlite3_exec
        self._check(gopark.cgo.call(exec_, self._db, sql.encode(), pointer, None, None))

    def on_change(self, changed: Callable[[str, str, int], object]) -> None:
        """Have `changed(action, table, rowid)` called at each change."""

        def update(_: object, action: int, __: bytes, table: bytes, rowid: int) -> None:
            changed(ACTIONS[action], table.decode(), rowid)

        pointer = UPDATE(gopark.cgo.callback(update, error=None))
        self._hooks.append(pointer)
        self._sqlite.sqlite3_update_hook(self._db, pointer, None)

    def on_progress(self, every: int, stop: Callable[[], bool]) -> None:
        """Ask `stop()` every so many steps whether to give the statement up."""
        pointer = PROGRESS(gopark.cgo.callback(lambda _: int(stop())))
        self._hooks.append(pointer)
        self._sqlite.sqlite3_progress_handler(self._db, every, pointer, None)


# --- goroutines ------------------------------------------------------------------------------


def query(db: Database, sql: str, rows: Chan[Row]) -> None:
    """A plain goroutine: it has a thread of its own for as long as SQLite works."""
    db.execute(sql, lambda row: gopark.block(rows.send(row)))
    rows.close()


def run_statement(db: Database, sql: str, outcome: Chan[str]) -> None:
    """Run a statement and say how it ended."""
    try:
        db.execute(sql)
    except RuntimeError as error:
        gopark.block(outcome.send(str(error)))
    else:
        gopark.block(outcome.send("done"))


async def with_deadline(db: Database, sql: str, seconds: float) -> str:
    """Run a statement, but have SQLite give it up when the time is over."""
    outcome = Chan[str](1)
    over = Chan[None]()
    db.on_progress(1000, lambda: over.try_recv()[2])  # true once `over` is closed
    gopark.go(run_statement, db, sql, outcome)
    index, text, _ = await select(recv(outcome), recv(gotime.after(seconds)))
    if index == 0:
        return str(text)
    over.close()
    return f"after {seconds} seconds: {await outcome.recv()}"


async def main() -> None:
    db = Database(load())
    changes = Chan[str](8)
    db.on_change(lambda *change: changes.try_send("{} {} {}".format(*change)))

    db.execute("create table gopher (name text, legs int)")
    db.execute("insert into gopher values ('Ada', 4), ('Rob', 4), ('Ken', 3)")
    db.execute("update gopher set legs = 4 where name = 'Ken'")
    changes.close()
    print("changes:", [change async for change in changes])

    rows = Chan[Row]()
    gopark.go(query, db, "select rowid, name, legs from gopher order by name", rows)
    async for rowid, name, legs in rows:
        print(f"row {rowid}: {name} has {legs} legs")

    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    print("endless query", await with_deadline(db, endless, 0.1))
    db.close()


if __name__ == "__main__":
    gopark.run(main)
