import gopark
from gopark import context


def attempt(f, *args) -> None:
    try:
        f(*args)
    except (TypeError, ValueError) as exc:
        print("recovered:", str(exc).partition(":")[0])  # what to do about it follows


async def main() -> None:
    attempt(context.with_cancel, None)
    attempt(context.with_value, None, "k", "v")
    attempt(context.with_value, context.background(), None, "v")
    attempt(context.with_value, context.background(), [1], "v")
    attempt(context.without_cancel, None)


gopark.run(main)
