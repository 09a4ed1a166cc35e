import gopark
from gopark import sync


class Queue:
    def __init__(self) -> None:
        self.mu = sync.Mutex()
        self.not_empty, self.not_full = sync.Cond(self.mu), sync.Cond(self.mu)
        self.items: list[int] = []
        self.most = 0

    def put(self, v: int) -> None:
        with self.mu:
            while len(self.items) == 3:
                gopark.block(self.not_full.wait())
            self.items.append(v)
            self.most = max(self.most, len(self.items))
            self.not_empty.signal()

    def get(self) -> int:
        with self.mu:
            while not self.items:
                gopark.block(self.not_empty.wait())
            v = self.items.pop(0)
            self.not_full.signal()
            return v


def main() -> None:
    q = Queue()

    def fill(start: int, n: int) -> None:
        for i in range(start, start + n):
            q.put(i)

    gopark.go(fill, 0, 10)
    for _ in range(10):
        print(q.get())
    wg = sync.WaitGroup()
    for i in range(4):
        wg.go(fill, i * 5, 5)
    total = sum(q.get() for _ in range(20))
    gopark.block(wg.wait())
    print("sum", total, "never more than", q.most, "left", len(q.items))


gopark.run(main)
