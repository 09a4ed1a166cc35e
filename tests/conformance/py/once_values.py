import gopark
from gopark import sync

calls = 0


def attempt(f) -> None:
    try:
        print("value", f())
    except RuntimeError as exc:
        print("recovered:", exc)


async def main() -> None:
    def count() -> None:
        global calls
        calls += 1

    f = sync.once_func(count)
    for _ in range(3):
        f()
    print("calls", calls)

    def value() -> int:
        count()
        return calls * 10

    v = sync.once_value(value)
    attempt(v)
    attempt(v)

    def fail() -> int:
        count()
        raise RuntimeError(f"failed in call {calls}")

    bad = sync.once_value(fail)
    attempt(bad)
    attempt(bad)
    print("calls", calls)


gopark.run(main)
