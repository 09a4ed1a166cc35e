"""All programs that leak, in one process, and Go's profile of them."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest

import gopark
from leakprogs import entry
from testdata.leaks import (
    cockroach_chans,
    cockroach_locks,
    cockroach_stop,
    etcd,
    grpc,
    hugo,
    istio,
    kubernetes_chans,
    kubernetes_locks,
    moby,
    others,
    patterns,
    simple,
)
from testdata.leaks.stage import leaves_of, programs

FAMILIES = (
    *(cockroach_chans, cockroach_locks, cockroach_stop, etcd, grpc, hugo, istio),
    *(kubernetes_chans, kubernetes_locks, moby, others, patterns, simple),
)


def profile(debug: int) -> str:
    text = io.StringIO()
    gopark.pprof.lookup("goroutineleak").write_to(text, debug=debug)
    return text.getvalue()


@pytest.mark.go("runtime", "TestGoroutineLeakProfile")
async def test_goroutine_leak_profile(procs: int) -> None:
    """The dump marks exactly those that each program leaves; goroutines of all that may still
    be woken are beside them.
    """
    known = [p for p in programs() if p.__module__ in {family.__name__ for family in FAMILIES}]
    expected: Counter[str] = Counter()
    for program in known:
        await program(False)
        expected.update(leaves_of(program))
    await gopark.testing.wait_all_parked()
    stacks = profile(debug=2).strip("\n").split("\n\n")
    leaked = [stack for stack in stacks if "(leaked)" in stack.partition("\n")[0]]
    assert Counter(map(entry, leaked)) == expected
    assert len(stacks) > len(leaked) + 100  # the chain of daisies
    total = re.match(r"goroutineleak profile: total (\d+)\n", profile(debug=1))
    assert total is not None
    assert int(total[1]) == len(leaked)
