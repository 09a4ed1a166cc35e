"""Map, as Go's own tests pin it down.

Go: sync/map_test.go, internal/sync/hashtriemap_test.go.
"""

from __future__ import annotations

import gc
import random
import weakref
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gopark
from gopark.sync import Map, WaitGroup

MISSING = object()


class DictMap:
    """A map that works on a dictionary in the plainest way."""

    def __init__(self):
        self.d = {}

    def load(self, k):
        return (self.d[k], True) if k in self.d else (None, False)

    def store(self, k, v):
        self.d[k] = v

    def load_or_store(self, k, v):
        if k in self.d:
            return self.d[k], True
        self.d[k] = v
        return v, False

    def load_and_delete(self, k):
        return (self.d.pop(k), True) if k in self.d else (None, False)

    def delete(self, k):
        self.d.pop(k, None)

    def swap(self, k, v):
        old = self.load(k)
        self.d[k] = v
        return old

    def compare_and_swap(self, k, old, new):
        if k not in self.d or self.d[k] != old:
            return False
        self.d[k] = new
        return True

    def compare_and_delete(self, k, old):
        if k not in self.d or self.d[k] != old:
            return False
        del self.d[k]
        return True

    def range(self):
        yield from list(self.d.items())

    def clear(self):
        self.d = {}


class CopyMap(DictMap):
    """The same, which never changes a dictionary, but replaces it by a changed copy."""

    def __getattribute__(self, name):
        if name != "d" and not name.startswith("_"):
            self.d = dict(self.d)
        return super().__getattribute__(name)


class SameHash:
    """A key whose hash says nothing, so that all of them collide."""

    def __init__(self, n):
        self.n = n

    def __hash__(self):
        return 0

    def __eq__(self, other):
        return isinstance(other, SameHash) and self.n == other.n


class FewHashes(SameHash):
    def __hash__(self):
        return self.n & 3


KEYS = st.integers(0, 5)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["load", "load_and_delete", "delete"]), KEYS),
        st.tuples(
            st.sampled_from(["store", "load_or_store", "swap", "compare_and_delete"]), KEYS, KEYS
        ),
        st.tuples(st.just("compare_and_swap"), KEYS, KEYS, KEYS),
        st.tuples(st.just("clear")),
    ),
    max_size=40,
)
QUICK = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def applied(m, calls, key):
    results = []
    for name, *args in calls:
        if args:
            args[0] = key(args[0])
        results.append(getattr(m, name)(*args))
    return results, dict(m.range())


@pytest.mark.go("sync", "TestMapMatchesRWMutex")
@QUICK
@given(CALLS)
def test_map_matches_rw_mutex(calls):
    assert applied(Map(), calls, str) == applied(DictMap(), calls, str)


@pytest.mark.go("sync", "TestMapMatchesDeepCopy")
@QUICK
@given(CALLS)
def test_map_matches_deep_copy(calls):
    assert applied(Map(), calls, str) == applied(CopyMap(), calls, str)


@pytest.mark.go("sync", "TestMapMatchesHashTrieMap")
@pytest.mark.go("internal/sync", "TestHashTrieMapBadHash / TruncHash")
@pytest.mark.parametrize("key", [SameHash, FewHashes])
@QUICK
@given(calls=CALLS)
def test_map_matches_hash_trie_map(key, calls):
    """Go's keys are hashed by the map; here the keys themselves may have bad hashes."""
    assert applied(Map(), calls, key) == applied(DictMap(), calls, key)


@pytest.mark.go("internal/sync", "TestHashTrieMapBadHash / TruncHash")
@pytest.mark.go("internal/sync", "TestHashTrieMap")
@pytest.mark.parametrize("key", [str, SameHash, FewHashes])
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
def test_hash_trie_map(run, procs, key, plain):
    """Each operation is one step: what many goroutines do at once adds up."""
    keys = [key(n) for n in range(12)]

    async def worker(m, seed, sums):
        random_ = random.Random(seed)
        for _ in range(40):
            k = random_.choice(keys)
            m.load_or_store(k, 0)
            while True:  # count one up, as with a lock
                n, ok = m.load(k)
                assert ok
                if m.compare_and_swap(k, n, n + 1):
                    break
                await gopark.gosched()
            sums[k] += 1
            if random_.random() < 0.1:
                await gopark.gosched()
                assert all(value >= 0 for _, value in m.range())

    async def main():
        m, sums = Map(), [Counter() for _ in range(6)]
        async with WaitGroup() as wg:
            for seed, counter in enumerate(sums):
                if plain:
                    wg.go(lambda s=seed, c=counter: gopark.block(worker(m, s, c)))
                else:
                    wg.go(worker, m, seed, counter)
        assert dict(m.range()) == sum(sums, Counter())
        for k, n in m.range():
            assert not m.compare_and_delete(k, n + 1)
            assert m.swap(k, -1) == (n, True)
            assert m.load_and_delete(k) == (-1, True)
            assert m.load(k) == (None, False)
        assert dict(m.range()) == {}

    run(main)


@pytest.mark.go("sync", "TestConcurrentRange")
async def test_concurrent_range(procs):
    size, m, done = 1 << 6, Map(), gopark.Chan()
    for n in range(1, size + 1):
        m.store(n, n)

    async def worker(g):
        random_, i = random.Random(g), 0
        while not done.try_recv()[2]:
            for n in range(1, size):
                if random_.randrange(8) == 0:
                    m.store(n, n * i * g)
                else:
                    m.load(n)
            i += 1
            await gopark.gosched()

    async with WaitGroup() as wg:
        for g in range(1, procs + 1):
            wg.go(worker, g)
        for _ in range(16):
            seen = Counter()
            for k, v in m.range():
                assert v % k == 0
                seen[k] += 1
                if k % 20 == 0:
                    await gopark.gosched()
            assert seen == Counter(range(1, size + 1))
        done.close()


@pytest.mark.go("sync", "TestMapRangeNestedCall")
def test_map_range_nested_call():
    m = Map()
    for i, v in enumerate(["hello", "world", "Go"]):
        m.store(i, v)
    visited = 0
    for key, _ in m.range():
        for nested, value in m.range():
            assert m.load(nested) == (value, True)
            assert m.load_or_store(42, "dummy") == ("dummy", False)
            m.store(42, "sync.Map")
            assert m.load_and_delete(42) == ("sync.Map", True)
        m.delete(key)
        visited += 1
    assert visited == 3
    assert list(m.range()) == []


@pytest.mark.go("sync", "TestCompareAndSwap_NonExistingKey")
def test_compare_and_swap_non_existing_key():
    m = Map()
    assert not m.compare_and_swap(m, None, 42)
    assert m.load(m) == (None, False)


@pytest.mark.go("sync", "TestConcurrentClear")
async def test_concurrent_clear(procs):
    m, found = Map(), []

    async def write(n):
        m.store(n, n * 10)

    async def read(n):
        found.append((n, *m.load(n)))

    async with WaitGroup() as wg:
        for n in range(10):
            wg.go(write, n)
            wg.go(read, n)
            wg.go(m.clear)
    assert all(value == n * 10 if ok else value is None for n, value, ok in found)
    m.clear()
    assert list(m.range()) == []


@pytest.mark.go("internal/sync", "TestConcurrentCache")
async def test_concurrent_cache(procs):
    """Weak references in a Map: who asks gets a live object, the dead ones go."""

    class Dummy:
        def __init__(self, n):
            self.n = n

    cache = Map()

    def get(n):
        ref = None
        while True:
            kept, loaded = cache.load(n)
            if loaded and (live := kept()) is not None:
                return live
            if loaded:
                cache.compare_and_delete(n, kept)
            made = Dummy(n)
            ref = weakref.ref(made)
            kept, _ = cache.load_or_store(n, ref)
            if kept is ref:
                return made

    async def worker(seed):
        random_ = random.Random(seed)
        held = []
        for _ in range(50):
            n = random_.randrange(8)
            one = get(n)
            assert one.n == n
            assert get(n) is one, "two that are alive for one key"
            held.append(one)
            if len(held) > 4:
                held.clear()
                await gopark.gosched()

    async with WaitGroup() as wg:
        for seed in range(6):
            wg.go(worker, seed)
    gc.collect()
    assert [n for n, ref in cache.range() if ref() is not None] == []
