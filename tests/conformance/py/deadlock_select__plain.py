import gopark


def main() -> None:
    gopark.block(gopark.select())


gopark.run(main)
