import gopark


def alarm() -> None:
    raise ValueError("the alarm is broken")


def main() -> None:
    gopark.time.after_func(0.001, alarm)
    gopark.block(gopark.select())


gopark.run(main)
