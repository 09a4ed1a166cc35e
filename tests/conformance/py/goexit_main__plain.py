import gopark


def worker() -> None:
    gopark.block(gopark.time.sleep(0.001))
    print("worked")


def main() -> None:
    try:
        gopark.go(worker)
        gopark.goexit()
    finally:
        print("deferred")


gopark.run(main)
