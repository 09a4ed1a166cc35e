import gopark


def fail() -> None:
    try:
        raise ValueError("no good")
    finally:
        print("deferred in fail")


def main() -> None:
    try:
        fail()
        print("not reached")
    finally:
        print("deferred in main")


gopark.run(main)
