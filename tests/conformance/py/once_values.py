import gopark
from gopark import sync

calls = 0


async def attempt(f) -> None:
    try:
        print("value", await f())
    except RuntimeError as exc:
        print("recovered:", exc)


async def main() -> None:
    def count() -> None:
        global calls
        calls += 1

    f = sync.once_func(count)
    for _ in range(3):
        await f()
    print("calls", calls)

    def value() -> int:
        count()
        return calls * 10

    v = sync.once_value(value)
    await attempt(v)
    await attempt(v)

    def fail() -> int:
        count()
        raise RuntimeError(f"failed in call {calls}")

    bad = sync.once_value(fail)
    await attempt(bad)
    await attempt(bad)
    print("calls", calls)


gopark.run(main)
