from typing import Any

import gopark
from gopark import sync


def yes(value: bool) -> str:
    return str(value).lower()


def show(what: str, found: tuple[Any, bool]) -> None:
    value, ok = found
    print(what, "none" if value is None else value, yes(ok))


def main() -> None:
    m = sync.Map()
    show("load", m.load("a"))
    m.store("a", 1)
    show("load", m.load("a"))
    show("load or store", m.load_or_store("a", 2))
    show("load or store", m.load_or_store("b", 3))
    show("swap", m.swap("b", 4))
    show("swap", m.swap("c", 5))
    swapped = [("c", 0, 6), ("c", 5, 6), ("z", 5, 6)]
    print("compare and swap", *(yes(m.compare_and_swap(*one)) for one in swapped))
    deleted = [("c", 5), ("c", 6), ("c", 6)]
    print("compare and delete", *(yes(m.compare_and_delete(*one)) for one in deleted))
    show("load and delete", m.load_and_delete("b"))
    show("load and delete", m.load_and_delete("b"))
    m.delete("nobody")

    for i in range(5):
        m.store(f"key{i}", i)
    seen = []
    for k, v in m.range():
        seen.append(f"{k}={v}")
        m.delete(k)
    print("[" + " ".join(sorted(seen)) + "]")
    m.store("a", 1)
    m.store("b", 2)
    n = 0
    for _ in m.range():
        n += 1
        break
    print("stopped after", n)
    m.clear()
    show("cleared", m.load("a"))


gopark.run(main)
