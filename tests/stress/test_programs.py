"""Random programs, and conservation laws that no program may break: see programs.py.

`GOPARK_STRESS_SECONDS` says how long each test goes on making programs; a failure names the
seed, and `GOPARK_STRESS_SEED` runs that one. For longer runs: `python -m tests.stress`.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import sys
import threading

import pytest

import gopark
from gopark import Chan, recv, select, send
from harness import run_python

SECONDS = float(os.environ.get("GOPARK_STRESS_SECONDS", "2"))
SEED = os.environ.get("GOPARK_STRESS_SEED")
FILE = pathlib.Path(__file__).with_name("programs.py")


def _load():
    spec = importlib.util.spec_from_file_location("stress_programs", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


programs = _load()
PROGRAMS = list(programs.PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_breaks_a_law(name):
    """In this process, one program after the other."""
    ran = 0
    for seed in programs.seeds(None if SEED is None else int(SEED), SECONDS):
        try:
            programs.runseed(name, seed)
        except BaseException as exc:
            exc.add_note(f"reproduce with GOPARK_STRESS_SEED={seed}")
            print(f"GOPARK_STRESS_SEED={seed}")
            raise
        ran += 1
    assert ran >= (1 if SEED else 3)


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_breaks_an_invariant_of_the_scheduler(name):
    """In a child that checks every step, and that shows all stacks if a program hangs."""
    arguments = [str(FILE), name, "--seconds", str(SECONDS)]
    if SEED is not None:
        arguments += ["--seed", SEED]
    ended = run_python(
        arguments, env={"GOPARKDEBUG": "checksched=1,lockrank=1"}, timeout=SECONDS + 40
    )
    lines = ended.stdout.splitlines() or [name]
    again = f"GOPARKDEBUG=checksched=1,lockrank=1 python {FILE.name} {lines[-1]} --repeat 50"
    assert ended.status == 0, f"{again}\n{ended.stderr}"
    assert lines[-1].startswith("OK ")


def test_a_seed_makes_the_same_program_again(monkeypatch):
    """What is random comes from the seed alone, so that a failure can be repeated."""
    drawn = []
    monkeypatch.setitem(programs.PROGRAMS, "spy", lambda rng: drawn.append(rng.getrandbits(64)))
    for seed in (1, 2, 1):
        programs.runseed("spy", seed)
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_program_that_hangs_is_ended_with_all_stacks(tmp_path):
    file = tmp_path / "hangs.py"
    file.write_text(
        f"import sys; sys.path.insert(0, {str(FILE.parent)!r})\n"
        "import programs, gopark\n"
        "@programs.program\n"
        "def hangs(rng):\n"
        "    async def main():\n"
        "        await gopark.Chan().recv()\n"
        "    callback = gopark.cgo.callback(print)  # no deadlock: C might call\n"
        "    gopark.run(main)\n"
        "programs.main(['hangs', '--seed', '5', '--patience', '0.3'])\n"
    )
    ended = run_python([str(file)])
    assert ended.status == 3
    assert ended.stdout == "hangs --seed 5\n"
    assert ended.stderr.startswith("HANG\n")
    assert "goroutine 1 [chan receive]:\nmain.hangs.main(...)" in ended.stderr
    # CPython 3.15 stops at a thread that has just ended.
    assert re.search("most recent call first|<freed thread state>", ended.stderr)


def test_a_lost_value_a_doubled_one_and_a_wrong_order_are_noticed():
    def ledger(sent, got):
        ledger = programs.Ledger([Chan(), Chan()])
        programs.Worker(ledger, programs.Random(1), 0).sent = sent
        programs.Worker(ledger, programs.Random(1), 0).got = got
        return ledger

    one, two, elsewhere = (0, (0, 1)), (0, (0, 2)), (1, (0, 1))
    ledger([one, two, elsewhere], [one, elsewhere, two]).check()
    for sent, got in ([one], []), ([], [one]), ([one], [one, one]), ([one], [elsewhere]):
        with pytest.raises(AssertionError):
            ledger(sent, got).check()
    with pytest.raises(AssertionError, match="came after"):
        ledger([one, two], [two, one]).check()


def test_programs_one_after_the_other_leave_nothing(run, wait_until):
    """Each run ends in the midst of its work; the next starts at once."""

    async def main(rng):
        ch = Chan(rng.choice([0, 1]))

        async def talk():
            while True:
                await select(send(ch, 1), recv(ch), recv(gopark.time.after(0.0001)))
                await gopark.gosched()  # a buffer may never make it wait

        def plain():
            while True:
                gopark.block(select(send(ch, 1), recv(ch), recv(gopark.time.after(0.0001))))
                gopark.block(gopark.gosched())

        for _ in range(rng.randint(0, 5)):
            gopark.go(talk)
        for _ in range(rng.randint(0, 4)):
            gopark.go(plain)
        for _ in range(rng.randint(0, 10)):
            await gopark.gosched()

    for seed in programs.seeds(None if SEED is None else int(SEED), SECONDS):
        run(main, programs.Random(seed))
    assert wait_until(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("gopark-M")]
    )
    assert gopark.runtime.num_goroutine() == 0


@pytest.mark.parametrize("procs", [1, 2])
def test_goroutines_that_spawn_goroutines_all_end(run, procs):
    async def main():
        done = Chan(100)

        async def tree(depth):
            if depth:
                gopark.go(tree, depth - 1)
                gopark.go(tree, depth - 1)
            else:
                await done.send(None)

        gopark.go(tree, 12)
        for _ in range(1 << 12):
            await done.recv()
        await gopark.testing.wait_all_parked()
        return gopark.runtime.num_goroutine()

    before = gopark.runtime.gomaxprocs(procs)
    try:
        assert run(main) == 1
    finally:
        gopark.runtime.gomaxprocs(before)
