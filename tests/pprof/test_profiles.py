"""Profiles by name, as text and as `go tool pprof` shows them."""

from __future__ import annotations

import gzip
import io
import re
import threading

import pytest

import gopark
from gopark import Chan, pprof
from gopark.context import background
from gotool import pprof as gotool

FUNCTION = re.compile(r"^#\t0x[0-9a-f]+\t(\S+)\+0x[0-9a-f]+\t+(\S+):(\d+)$")


def text(name: str, debug: int = 1) -> str:
    file = io.BytesIO()
    pprof.lookup(name).write_to(file, debug)
    return file.getvalue().decode()


def groups(profile: str) -> dict[tuple[str, ...], int]:
    """Of a text: the functions of each group, with its labels, and how many it counts."""
    found = {}
    for block in profile.split("\n", 1)[1].split("\n\n"):
        if block:
            head, *rest = block.split("\n")
            names = tuple(m[1] if (m := FUNCTION.match(line)) else line for line in rest)
            found[names] = int(head.split()[0])
    return found


async def waiter(ch):
    await ch.recv()


async def outer(ch):
    await waiter(ch)


NAME = __name__


@pytest.mark.usefixtures("procs")
async def test_equal_stacks_are_counted_together_the_most_frequent_first():
    ch = Chan()
    for _ in range(3):
        gopark.go(outer, ch)
    gopark.go(waiter, ch)
    await gopark.testing.wait_all_parked()
    profile = text("goroutine")
    assert profile.startswith("goroutine profile: total 5\n3 @ 0x")
    found = groups(profile)
    assert found[f"{NAME}.waiter", f"{NAME}.outer"] == 3
    assert found[(f"{NAME}.waiter",)] == 1
    assert sum(found.values()) == pprof.lookup("goroutine").count() == 5


async def test_what_waits_in_sync_and_time_shows_the_call_channels_do_not():
    """As in Go: what the runtime has at the top of a stack is left out."""
    mu, ch = gopark.sync.Mutex(), Chan()

    async def locks():
        async with mu:
            pass

    async def sleeps():
        await gopark.time.sleep(100)

    async def sends():
        await ch.send(1)

    async with mu:
        for fn in (locks, sleeps, sends):
            gopark.go(fn)
        await gopark.testing.wait_all_parked()
        tops = {names[0].removeprefix(NAME) for names in groups(text("goroutine"))}
    where = ".test_what_waits_in_sync_and_time_shows_the_call_channels_do_not"
    assert tops == {"gopark.sync.Mutex.lock", "gopark.time.sleep", f"{where}.sends", ".text"}


async def test_go_sees_who_waits_for_what_with_labels(tmp_path):
    ch = Chan()

    async def start(_):
        gopark.go(outer, ch)

    gopark.go(outer, ch)
    await pprof.do(background(), pprof.labels("kind", "job"), start)
    await gopark.testing.wait_all_parked()
    file = tmp_path / "goroutine.pb.gz"
    with file.open("wb") as out:
        pprof.lookup("goroutine").write_to(out)
    top = gotool("-top", "-cum", file)
    assert "Type: goroutine\n" in top
    assert re.search(r"^ +2 66.67% 66.67% +2 66.67%  gopark\.Chan\.recv$", top, re.M)
    traces = gotool("-traces", file)
    stack = f"1   gopark.Chan.recv\n             {NAME}.waiter\n             {NAME}.outer\n"
    assert f"      kind:  job\n         {stack}" in traces
    assert "kind:[job]" in gotool("-raw", file)


async def test_groups_with_other_labels_are_groups_of_their_own():
    ch = Chan()

    async def start(_):
        gopark.go(waiter, ch)

    gopark.go(waiter, ch)
    gopark.go(waiter, ch)
    await pprof.do(background(), pprof.labels("k", 'a"b', "é\n\x01", "\U0010ffff"), start)
    await gopark.testing.wait_all_parked()
    found = groups(text("goroutine"))
    labels = '# labels: {"k":"a\\"b", "é\\n\\x01":"\\U0010ffff"}'
    assert found[(f"{NAME}.waiter",)] == 2
    assert found[labels, f"{NAME}.waiter"] == 1


async def test_debug_2_is_a_dump_of_all_the_caller_first():
    ch = Chan()
    gopark.go(waiter, ch)
    await gopark.testing.wait_all_parked()
    dump = text("goroutine", 2)
    assert dump.startswith("goroutine 1 [running]:\n")
    assert f"[chan receive]:\n{NAME}.waiter(...)\n" in dump


def test_outside_of_any_goroutine_there_may_be_none():
    assert text("goroutine") == "goroutine profile: total 0\n"


async def test_threads_are_told_apart_by_how_they_came(tmp_path):
    found = groups(text("threadcreate"))
    names = {names[0] for names in found}
    assert "gopark.run" in names
    assert sum(found.values()) == pprof.lookup("threadcreate").count()


@pytest.mark.outside_help
async def test_a_thread_from_outside_counts_while_it_is_in():
    def counted():
        return groups(text("threadcreate")).get(("gopark.needm",), 0)

    before = counted()
    entered, leave = threading.Event(), threading.Event()

    def callback():
        entered.set()
        leave.wait()

    thread = threading.Thread(target=gopark.cgo.callback(callback))
    thread.start()
    entered.wait()
    inside = counted()
    leave.set()
    thread.join()
    assert inside == before + 1


# --- profiles of one's own ---------------------------------------------------------------


@pytest.fixture
def own(request):
    return pprof.new_profile(f"tests.{request.node.name}")


def test_a_profile_of_ones_own_keeps_the_stack_of_who_adds(own, tmp_path):
    def opens(value):
        own.add(value)

    opens("a")
    own.add("b", skip=1)
    own.add("c", skip=1000)
    assert own.count() == 3
    profile = text(own.name)
    assert profile.startswith(f"{own.name} profile: total 3\n1 @ 0x")
    tops = {names[0] for names in groups(profile)}
    here = f"{NAME}.test_a_profile_of_ones_own_keeps_the_stack_of_who_adds"
    assert f"{here}.opens" in tops
    assert here not in tops  # of "b" it was skipped
    assert "gopark.pprof.lostProfileEvent" in tops
    file = tmp_path / "own.pb.gz"
    with file.open("wb") as out:
        own.write_to(out)
    assert f"Type: {own.name}\n" in gotool("-top", file)
    for value in "abcd":
        own.remove(value)
    assert own.count() == 0


@pytest.mark.go("runtime/pprof", "TestEmptyCallStack")
def test_empty_call_stack(own):
    """A stack of which all was skipped shows as an event that was lost."""
    own.add("foo", 47674)
    own.remove("fake")
    profile = text(own.name)
    assert profile.startswith(f"{own.name} profile: total 1\n")
    assert "lostProfileEvent" in profile


@pytest.mark.parametrize("debug", [0, 1])
def test_a_name_may_have_what_is_no_text(debug):
    """Half of a surrogate pair, as a file's name has that is no UTF-8."""
    mine = pprof.new_profile(f"tests.\udcff{debug}")
    mine.add(1)
    out = io.BytesIO()
    mine.write_to(out, debug)
    data = out.getvalue()
    assert b"tests.\\udcff" in (data if debug else gzip.decompress(data))


def test_a_value_has_one_stack(own):
    own.add("a")
    with pytest.raises(ValueError, match=r"Profile\.add of duplicate value 'a'"):
        own.add("a")


def test_a_name_is_used_once_and_not_empty(own):
    with pytest.raises(ValueError, match=f"name already in use: {re.escape(own.name)}"):
        pprof.new_profile(own.name)
    with pytest.raises(ValueError, match="name already in use: goroutine"):
        pprof.new_profile("goroutine")
    with pytest.raises(ValueError, match="empty name"):
        pprof.new_profile("")
    assert pprof.lookup(own.name) is own
    assert own in pprof.profiles()


def test_what_the_runtime_keeps_nobody_adds_to():
    with pytest.raises(TypeError, match="add called on built-in Profile goroutine"):
        pprof.lookup("goroutine").add(1)


def test_profiles_are_sorted_by_name_and_found_by_it():
    names = [profile.name for profile in pprof.profiles()]
    assert names == sorted(names)
    assert {"goroutine", "threadcreate"} <= set(names)
    assert [pprof.lookup(name) for name in names] == pprof.profiles()
    assert pprof.lookup("unknown") is None


# --- files -------------------------------------------------------------------------------


def test_text_goes_to_either_kind_of_file_bytes_to_one():
    file = io.StringIO()
    pprof.lookup("goroutine").write_to(file, 1)
    assert file.getvalue() == text("goroutine")
    with pytest.raises(TypeError, match="open it with 'wb'"):
        pprof.lookup("goroutine").write_to(file)


@pytest.mark.go("runtime/pprof", "TestWriteToErr")
@pytest.mark.parametrize("debug", [0, 1, 2])
def test_write_to_err(debug):
    """The error of a file comes through."""

    class Full(io.RawIOBase):
        def write(self, _):
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        pprof.lookup("goroutine").write_to(Full(), debug)


@pytest.mark.parametrize("debug", [0, 1])
@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
def test_a_file_has_the_profile_when_the_call_is_over(tmp_path, debug, buffering):
    """Though it is open still, and nobody has closed it."""
    with open(tmp_path / "profile", "wb", buffering) as file:
        pprof.lookup("threadcreate").write_to(file, debug)
        start = (tmp_path / "profile").read_bytes()[:2]
    assert start == (b"th" if debug else b"\x1f\x8b")


def test_a_file_that_takes_a_part_at_a_time_gets_all():
    class Slow(io.RawIOBase):
        def __init__(self):
            self.got = b""

        def writable(self):
            return True

        def write(self, data):
            self.got += bytes(data[:7])
            return min(7, len(data))

    slow, whole = Slow(), io.BytesIO()
    pprof.lookup("threadcreate").write_to(slow, 1)
    pprof.lookup("threadcreate").write_to(whole, 1)
    assert slow.got == whole.getvalue()


def test_a_file_that_takes_nothing_now_is_told():
    class Full(io.RawIOBase):
        def write(self, _):
            return None

    with pytest.raises(BlockingIOError, match="takes no more"):
        pprof.lookup("threadcreate").write_to(Full(), 1)


@pytest.mark.parametrize("debug", [0, 1, 2])
def test_what_is_no_file_is_named(debug):
    with pytest.raises(TypeError, match=r"write_to\(\) needs an open file, got 1"):
        pprof.lookup("goroutine").write_to(1, debug)
