import gopark


async def fail() -> None:
    try:
        raise ValueError("no good")
    finally:
        print("deferred in fail")


async def main() -> None:
    try:
        await fail()
        print("not reached")
    finally:
        print("deferred in main")


gopark.run(main)
