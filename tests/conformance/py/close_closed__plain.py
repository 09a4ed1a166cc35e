import gopark


def closer(ch: gopark.Chan) -> None:
    ch.close()
    ch.close()


def main() -> None:
    gopark.go(closer, gopark.Chan())
    gopark.block(gopark.select())


gopark.run(main)
