"""Find the goroutines that a program has forgotten: they wait for ever, and nobody can wake them.

A search returns the first answer of three mirrors. The other two have an answer as well, and
nobody to give it to: they wait until the program ends, and so do those of the next search. The
mended version gives each answer a place, so that nobody has to wait.

    $ python find_a_leak.py
"""

import gopark


async def ask(mirror: str, answers: gopark.Chan[str]) -> None:
    await answers.send(f"found on {mirror}")


async def search(capacity: int) -> str | None:
    answers = gopark.Chan[str](capacity)
    for mirror in ("one", "two", "three"):
        gopark.go(ask, mirror, answers)
    return await answers.recv()


async def main() -> None:
    for _ in range(2):
        print(await search(capacity=0))
    await gopark.testing.wait_all_parked()
    leaks = gopark.debug.leaks()
    print(f"{len(leaks)} goroutines wait for ever, of {gopark.runtime.num_goroutine()}:")
    for leak in leaks:
        frame = leak.stack.splitlines()[1]
        print(f"  {leak.reason} in {frame}, started by {leak.created_by}")

    for _ in range(2):
        print(await search(capacity=3))
    await gopark.testing.wait_all_parked()
    print(f"with room for every answer {len(gopark.debug.leaks()) - len(leaks)} more")


if __name__ == "__main__":
    gopark.run(main)
