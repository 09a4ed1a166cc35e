import gopark


async def alarm() -> None:
    raise ValueError("the alarm is broken")


async def main() -> None:
    gopark.time.after_func(0.001, alarm)
    await gopark.select()


gopark.run(main)
