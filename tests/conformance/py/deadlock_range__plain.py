import gopark


def produce(ch: gopark.Chan, done: gopark.Chan) -> None:
    for i in range(3):
        gopark.block(ch.send(i))
    gopark.block(done.send(True))


def main() -> None:
    ch, done = gopark.Chan(), gopark.Chan()
    gopark.go(produce, ch, done)
    for v in ch:
        print(v)
    gopark.block(done.recv())


gopark.run(main)
