import gopark


async def work(ch: gopark.Chan) -> None:
    gopark.runtime.lock_os_thread()
    await ch.recv()
    raise ValueError("on its own thread")


async def main() -> None:
    ch = gopark.Chan()
    gopark.go(work, ch)
    await ch.send(1)
    await gopark.select()


gopark.run(main)
