import sys

import gopark


async def leave() -> None:
    sys.exit(7)


async def main() -> None:
    print("before")
    gopark.go(leave)
    await gopark.select()


gopark.run(main)
