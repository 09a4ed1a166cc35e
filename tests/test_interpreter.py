"""Sub-interpreters: the package says that it is not for them, and why."""

from __future__ import annotations

# Prints what an import in an interpreter of another kind ends with; all ways to make one.
PROGRAM = """
import sys

IMPORT = f'''
import sys
sys.path[:] = {sys.path!r}
try:
    import gopark
except ImportError as exc:
    answer = f"{{type(exc).__name__}} {{exc.name}}: {{exc}}"
else:
    answer = "imported"
import os
os.write(1, answer.encode() + b"\\\\n")
'''

def run():
    try:
        from concurrent import interpreters
    except ImportError:
        pass
    else:
        interpreter = interpreters.create()
        interpreter.exec(IMPORT)
        return interpreter.close()
    try:
        import _interpreters as interpreters
        create = interpreters.create
        kinds = "isolated", "legacy"
    except ImportError:
        import _xxsubinterpreters as interpreters
        create = lambda isolated: interpreters.create(isolated=isolated)
        kinds = True, False
    for kind in kinds:
        interpreter = create(kind)
        failed = interpreters.run_string(interpreter, IMPORT)
        assert failed is None, failed
        interpreters.destroy(interpreter)

import gopark  # the main interpreter has it, whatever else there is
run()
gopark.run(gopark.gosched)
"""


def test_an_import_in_a_sub_interpreter_is_refused_with_a_sentence(child):
    done = child(PROGRAM)
    assert (done.stderr, done.returncode) == ("", 0)
    answers = done.stdout.splitlines()
    assert answers
    for answer in answers:
        assert answer.startswith("ImportError gopark: gopark works in the main interpreter only: ")


def test_threads_of_the_main_interpreter_import_it(child):
    done = child(
        """
import threading

def imports():
    import gopark
    gopark.run(gopark.gosched)
    print("imported")

thread = threading.Thread(target=imports)
thread.start()
thread.join()
"""
    )
    assert (done.stdout, done.stderr, done.returncode) == ("imported\n", "", 0)
