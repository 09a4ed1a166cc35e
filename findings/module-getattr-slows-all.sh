#!/usr/bin/env bash
# CPython 3.11 to 3.14: a module that has a `__getattr__` has every attribute looked up in the slow
# way, those that it has no less than those that it has not.
#
# Seen with: CPython 3.11.7, 3.12.1, 3.13.0, 3.14.10; not with 3.15.2.
#
# `m.there`, a thousand times in one function, for a module without and with a `__getattr__`; then
# what the interpreter has made of the instruction.
#
#     without   LOAD_ATTR_MODULE
#     with      LOAD_ATTR (LOAD_ATTR_ADAPTIVE on 3.11), for good
#
# The guess, from PEP 562: it is called for names that are not found otherwise, so names that are
# there cost what they did. But the
# interpreter asks whether the module has a `__getattr__` before it asks for the name.
#
# Why it matters: lazy imports in a package's `__init__` are written this way. It makes each
# `package.function(...)` of its users dearer: some 250 instructions each, 10 to 20 ns.
set -euo pipefail
. "$(dirname "$0")/_common.sh"

cat >"$dir/t.py" <<'PY'
import dis
import sys
import types


def made_of_it(module):
    namespace = {"m": module}
    exec("def f():\n    return m.there", namespace)
    for _ in range(1000):
        assert namespace["f"]() == 1
    return [
        i.opname
        for i in dis.get_instructions(namespace["f"], adaptive=True)
        if "ATTR" in i.opname
    ]


plain = types.ModuleType("plain")
plain.there = 1
lazy = types.ModuleType("lazy")
lazy.there = 1
lazy.__getattr__ = lambda name: 2
assert lazy.missing == 2
without, with_one = made_of_it(plain), made_of_it(lazy)
print("CPython", sys.version.split()[0], "without", without, "with", with_one)
if without != ["LOAD_ATTR_MODULE"] or with_one == without:
    sys.exit("this has changed")
PY

for version in 3.11 3.12 3.13; do
    python=$(need "$version")
    "$python" "$dir/t.py"
done
