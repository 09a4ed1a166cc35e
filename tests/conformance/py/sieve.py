import itertools

import gopark


async def generate(out: gopark.Chan) -> None:
    for i in itertools.count(2):
        await out.send(i)


async def sieve(into: gopark.Chan, out: gopark.Chan, prime: int) -> None:
    while True:
        i = await into.recv()
        if i % prime:
            await out.send(i)


async def main() -> None:
    ch = gopark.Chan()
    gopark.go(generate, ch)
    for _ in range(25):
        prime = await ch.recv()
        print(prime)
        following = gopark.Chan()
        gopark.go(sieve, ch, following, prime)
        ch = following
    print(gopark.runtime.num_goroutine())


gopark.run(main)
