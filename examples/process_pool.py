"""Work for other processes, and goroutines that wait for it without a thread.

`gopark.future.wait` takes any future of concurrent.futures, and those of Ray (`ref.future()`) and
Dask, which are made alike. A context, or a timeout, ends the wait.
"""

from concurrent.futures import ProcessPoolExecutor

import gopark
from gopark import future


def primes_below(n: int) -> int:
    """So much computing that it should not be done beside goroutines."""
    return sum(all(k % d for d in range(2, int(k**0.5) + 1)) for k in range(2, n))


async def main() -> None:
    sizes = [1_000, 5_000, 10_000]
    with ProcessPoolExecutor(2) as pool:

        async def count(n: int) -> int:
            return await future.wait(pool.submit(primes_below, n))

        with gopark.timeout(60):
            for n, found in zip(sizes, await gopark.gather(*map(count, sizes)), strict=True):
                print(f"{found} primes below {n}")


if __name__ == "__main__":
    gopark.run(main)
