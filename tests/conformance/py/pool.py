import gopark
from gopark import sync

made = 0


def new() -> int:
    global made
    made += 1
    return made


def main() -> None:
    pool = sync.Pool(new)
    a, b = pool.get(), pool.get()
    print(a, b, "made", made)
    pool.put(a)
    print(pool.get(), "made", made)
    empty = sync.Pool()
    print("without New:", str(empty.get() is None).lower())
    empty.put("x")
    print(empty.get())


gopark.run(main)
