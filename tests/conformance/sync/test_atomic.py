"""Atomic values, as Go's own tests pin them down (sync/atomic).

Go's functions on addresses and its methods are one thing here, the methods.
"""

from __future__ import annotations

import pytest

import gopark
from gopark.sync import Mutex, WaitGroup
from gopark.sync.atomic import Bool, Int32, Int64, Pointer, Uint32, Uint64, Value

INTEGERS = {
    Int32: (-(2**31), 2**31 - 1),
    Int64: (-(2**63), 2**63 - 1),
    Uint32: (0, 2**32 - 1),
    Uint64: (0, 2**64 - 1),
}
integers = pytest.mark.parametrize(
    ("kind", "low", "high"),
    [(k, *v) for k, v in INTEGERS.items()],
    ids=lambda v: getattr(v, "__name__", ""),
)
A, B = object(), object()
VALUES = [
    (lambda: Int32(1), 1, 2),
    (lambda: Int64(1), 1, 2),
    (lambda: Uint32(1), 1, 2),
    (lambda: Uint64(1), 1, 2),
    (lambda: Bool(True), True, False),
    (lambda: Pointer(A), A, B),
    (lambda: Pointer(None), None, A),
    (lambda: Value("a"), "a", "b"),
]
values = pytest.mark.parametrize(
    ("make", "first", "second"), VALUES, ids=[type(v[0]()).__name__ for v in VALUES]
)


@pytest.mark.go(
    "sync/atomic",
    "TestSwap* / TestAdd* / TestAnd* / TestOr* / TestCompareAndSwap* / TestLoad* / TestStore*"
    " (78 tests)",
)
@values
def test_load(make, first, second):
    assert make().load() is first


@pytest.mark.go(
    "sync/atomic",
    "TestSwap* / TestAdd* / TestAnd* / TestOr* / TestCompareAndSwap* / TestLoad* / TestStore*"
    " (78 tests)",
)
@values
def test_store(make, first, second):
    cell = make()
    assert cell.store(second) is None
    assert cell.load() is second


@pytest.mark.go(
    "sync/atomic",
    "TestSwap* / TestAdd* / TestAnd* / TestOr* / TestCompareAndSwap* / TestLoad* / TestStore*"
    " (78 tests)",
)
@values
def test_swap(make, first, second):
    cell = make()
    assert cell.swap(second) is first
    assert cell.load() is second


@pytest.mark.go(
    "sync/atomic",
    "TestSwap* / TestAdd* / TestAnd* / TestOr* / TestCompareAndSwap* / TestLoad* / TestStore*"
    " (78 tests)",
)
@values
def test_compare_and_swap(make, first, second):
    cell = make()
    assert cell.compare_and_swap(second, second) is False
    assert cell.load() is first
    assert cell.compare_and_swap(first, second) is True
    assert cell.load() is second


@pytest.mark.go(
    "sync/atomic",
    "TestSwap* / TestAdd* / TestAnd* / TestOr* / TestCompareAndSwap* / TestLoad* / TestStore*"
    " (78 tests)",
)
@integers
def test_add(kind, low, high):
    n = kind()
    assert [n.add(1), n.add(2), n.load()] == [1, 3, 3]
    n.store(high)
    assert n.add(1) == low
    assert n.add(-1) == high
    assert n.load() == high
    n.store(0)
    delta = 1
    for _ in range(200):  # past every bit, and out at the top
        before = n.load()
        after = n.add(delta)
        assert low <= after <= high
        assert (after - before - delta) % (high - low + 1) == 0
        delta *= 2


@pytest.mark.go(
    "sync/atomic",
    "TestSwap* / TestAdd* / TestAnd* / TestOr* / TestCompareAndSwap* / TestLoad* / TestStore*"
    " (78 tests)",
)
@integers
def test_and(kind, low, high):
    n = kind(-1)
    assert n.and_(0b1100) in (-1, high)  # the one before
    assert n.load() == 0b1100
    assert n.and_(0b0110) == 0b1100
    assert n.load() == 0b0100
    n.store(low)
    assert n.and_(low) == low
    assert n.load() == low


@pytest.mark.go(
    "sync/atomic",
    "TestSwap* / TestAdd* / TestAnd* / TestOr* / TestCompareAndSwap* / TestLoad* / TestStore*"
    " (78 tests)",
)
@integers
def test_or(kind, low, high):
    n = kind(0b0001)
    assert n.or_(0b1000) == 0b0001  # the one before
    assert n.load() == 0b1001
    n.or_(-1)
    assert n.load() in (-1, high)
    n.store(0)
    assert n.or_(low) == 0
    assert n.load() == low


@pytest.mark.go("sync/atomic", "TestHammer32 / TestHammer64")
@integers
@pytest.mark.parametrize("how", ["add", "compare_and_swap", "swap"])
def test_hammer32(run, procs, kind, low, high, how):
    """On threads of their own, and no update is lost."""
    n, tasks, times = kind(), 4, 60
    swapped = []

    def hammer():
        for _ in range(times):
            if how == "add":
                n.add(1)
            elif how == "compare_and_swap":
                while not n.compare_and_swap(before := n.load(), before + 1):
                    pass
            else:
                swapped.append(n.swap(1))

    async def main():
        async with WaitGroup() as wg:
            for _ in range(tasks):
                wg.go(hammer)

    run(main)
    if how == "swap":
        assert sorted(swapped) == [0] + [1] * (tasks * times - 1)
        assert n.load() == 1
    else:
        assert n.load() == tasks * times


@pytest.mark.go("sync/atomic", "TestHammerStoreLoad")
@pytest.mark.parametrize(("kind", "half"), [(Uint32, 16), (Uint64, 32)])
def test_hammer_store_load(run, procs, kind, half):
    cell = kind()

    def hammer():
        for _ in range(200):
            both = cell.load()
            low, high = both & ((1 << half) - 1), both >> half
            assert low == high, "torn"
            cell.store(both + 1 + (1 << half))

    async def main():
        async with WaitGroup() as wg:
            for _ in range(4):
                wg.go(hammer)

    run(main)
    assert cell.load() > 0


@pytest.mark.go("sync/atomic", "TestStoreLoadSeqCst32 / 64")
@pytest.mark.parametrize("kind", [Int32, Int64])
def test_store_load_seq_cst32(run, procs, kind):
    """Two that each store, and then load what the other stores: not both come first."""
    rounds = 100

    async def main():
        flags, acks = (kind(), kind()), ([], [])
        async with WaitGroup() as wg:

            def one(me):
                other = 1 - me
                for n in range(1, rounds):
                    flags[me].store(n)
                    acks[me].append(flags[other].load())
                    while flags[other].load() < n:
                        gopark.block(gopark.gosched())

            for me in (0, 1):
                wg.go(one, me)
        for n, (mine, theirs) in enumerate(zip(*acks, strict=True), start=1):
            assert mine >= n or theirs >= n, "both saw what was before"

    run(main)


@pytest.mark.go("sync/atomic", "TestStoreLoadRelAcq32 / 64")
@pytest.mark.parametrize("kind", [Int32, Int64])
def test_store_load_rel_acq32(run, procs, kind):
    """What was written before a store is there for who loads what it stored."""

    async def main():
        signal, data = kind(), [0]

        def writer():
            for n in range(1, 50):
                data[0] = n
                signal.store(2 * n - 1)
                while signal.load() != 2 * n:
                    gopark.block(gopark.gosched())

        def reader():
            for n in range(1, 50):
                while signal.load() != 2 * n - 1:
                    gopark.block(gopark.gosched())
                assert data[0] == n
                data[0] = 0
                signal.store(2 * n)

        async with WaitGroup() as wg:
            wg.go(writer)
            wg.go(reader)

    run(main)


# --- Value ------------------------------------------------------------------------------------


@pytest.mark.go("sync/atomic", "TestValue")
def test_value():
    value = Value()
    assert value.load() is None
    value.store(42)
    assert value.load() == 42
    value.store(84)
    assert [value.load(), value.load()] == [84, 84]


@pytest.mark.go("sync/atomic", "TestValueLarge")
def test_value_large():
    value, first, second = Value(), tuple(range(1000)), ("a", *range(1000))
    value.store(first)
    assert value.load() is first
    value.store(second)
    assert value.load() is second


STORE_NIL = r"^sync/atomic: store of nil value into Value$"
STORE_TYPE = r"^sync/atomic: store of inconsistently typed value into Value$"


@pytest.mark.go("sync/atomic", "TestValuePanic")
def test_value_panic():
    value = Value()
    with pytest.raises(TypeError, match=STORE_NIL):
        value.store(None)
    value.store(42)
    with pytest.raises(TypeError, match=STORE_TYPE):
        value.store("foo")
    with pytest.raises(TypeError, match=STORE_NIL):
        value.store(None)
    assert value.load() == 42


SETS = [(0, 2**16 - 1, 513), (0j, 1 + 2j, 3 + 4j), ("", "a" * 1000, "b"), ((), (1, 2), (3, 4, 5))]


@pytest.mark.go("sync/atomic", "TestValueConcurrent")
@pytest.mark.parametrize("stored", SETS, ids=lambda s: type(s[0]).__name__)
def test_value_concurrent(run, procs, stored):
    value = Value()

    def worker(seed):
        for n in range(100):
            value.store(stored[(seed + n) % len(stored)])
            assert value.load() in stored

    async def main():
        async with WaitGroup() as wg:
            for seed in range(6):
                wg.go(worker, seed)

    run(main)


@pytest.mark.go("sync/atomic", "TestValue_Swap")
def test_value_swap():
    value = Value()
    with pytest.raises(TypeError, match=r"^sync/atomic: swap of nil value into Value$"):
        value.swap(None)
    assert value.swap(True) is None
    with pytest.raises(
        TypeError, match=r"^sync/atomic: swap of inconsistently typed value into Value$"
    ):
        value.swap("")
    assert value.swap(False) is True
    assert value.load() is False


@pytest.mark.go("sync/atomic", "TestValueSwapConcurrent")
def test_value_swap_concurrent(run, procs):
    value, m, n = Value(), 6, 100
    handed = [[] for _ in range(m)]

    def worker(me):
        for new in range(me * n, me * n + n):
            handed[me].append(value.swap(new))

    async def main():
        async with WaitGroup() as wg:
            for me in range(m):
                wg.go(worker, me)

    run(main)
    out = [old for mine in handed for old in mine if old is not None]
    assert sorted([*out, value.load()]) == list(range(m * n))


@pytest.mark.go("sync/atomic", "TestValue_CompareAndSwap")
@pytest.mark.parametrize(
    ("init", "new", "old", "want"),
    [
        (None, None, None, "compare and swap of nil value into Value"),
        (None, True, "", "compare and swap of inconsistently typed values"),
        (None, True, True, False),
        (None, True, None, True),
        (True, "", None, "compare and swap of inconsistently typed value into Value"),
        (True, True, False, False),
        (True, True, True, True),
        ([0], [1], [0], True),  # equal, and not the same
    ],
)
def test_value_compare_and_swap(init, new, old, want):
    value = Value()
    if init is not None:
        value.store(init)
    if isinstance(want, str):
        with pytest.raises(TypeError, match=f"^sync/atomic: {want}$"):
            value.compare_and_swap(old, new)
        assert value.load() == init
    else:
        assert value.compare_and_swap(old, new) is want
        assert value.load() == (new if want else init)


@pytest.mark.go("sync/atomic", "TestValueCompareAndSwapConcurrent")
async def test_value_compare_and_swap_concurrent(procs):
    value, m, n = Value(0), 4, 6  # each step has to wait for one goroutine's turn

    async def worker(me):
        while me < m * n:
            if value.compare_and_swap(me, me + 1):
                me += m
            await gopark.gosched()

    async with WaitGroup() as wg:
        for me in range(m):
            wg.go(worker, me)
    assert value.load() == m * n


@pytest.mark.go("sync/atomic", "ExampleValue_config")
async def test_example_value_config(procs):
    config, served = Value({"version": 0, "limit": 0}), []

    async def worker(requests):
        async for request in requests:
            now = config.load()
            assert now["version"] == now["limit"], "half of a configuration"
            served.append(request)

    requests = gopark.Chan()
    async with WaitGroup() as wg:
        for _ in range(4):
            wg.go(worker, requests)
        for n in range(40):
            await requests.send(n)
            if n % 10 == 0:
                config.store({"version": n, "limit": n})
        requests.close()
    assert sorted(served) == list(range(40))
    assert config.load()["version"] == 30


@pytest.mark.go("sync/atomic", "ExampleValue_readMostly")
async def test_example_value_read_mostly(procs):
    table, mu = Value({}), Mutex()

    def read(key):
        return table.load().get(key)

    async def insert(key, value):
        async with mu:
            copy = dict(table.load())
            await gopark.gosched()
            table.store({**copy, key: value})

    async with WaitGroup() as wg:
        for n in range(20):
            wg.go(insert, n, n * n)
            assert read(n) in (None, n * n)
    assert [read(n) for n in range(20)] == [n * n for n in range(20)]
