import gopark


class KeyError(Exception):  # the builtin one prints its message in quotes
    pass


async def fail() -> None:
    try:
        try:
            raise ValueError("first")
        except ValueError:
            raise RuntimeError("second\nwith a second line")  # noqa: B904
    except RuntimeError:
        raise KeyError("third")  # noqa: B904


async def main() -> None:
    gopark.go(fail)
    await gopark.select()


gopark.run(main)
