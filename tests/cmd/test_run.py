"""`gopark run`: what main may be, what it is given, how it ends."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from gopark._cmd import main
from harness import Ended, run_python, start_python


def gopark(*args, **env):
    return run_python(["-m", "gopark", *args], env=env)


@pytest.mark.parametrize("word", ["async def", "def"])
def test_main_is_the_main_goroutine_plain_or_async(program, word):
    file = program(
        f"""
import gopark
{word} main():
    print(gopark.runtime.stack().splitlines()[:2])
"""
    )
    assert gopark("run", file) == Ended("['goroutine 1 [running]:', 'main.main(...)']\n", "", 0)


def test_the_program_sees_what_python_would_show_it(program, tmp_path):
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    file = program(
        """
import sys, pickle, beside
class Thing: pass
def main():
    print(sys.argv[1:], __name__, __file__ == sys.argv[0], beside.WORD)
    print(type(pickle.loads(pickle.dumps(Thing()))) is Thing, sys.modules["__main__"].main is main)
"""
    )
    ended = gopark("run", file, "-m", "--port", "1")
    assert ended == Ended("['-m', '--port', '1'] __main__ True beside\nTrue True\n", "", 0)


@pytest.mark.parametrize(
    "end",
    [
        "if __name__ == '__main__':\n    gopark.run(main)\n    print('after')",
        "if '__main__' == __name__:\n    gopark.run(main)\n    print('after')",
        "gopark.run(main)\nprint('after')",
        "import sys\nif __name__ == '__main__':\n    print('main')\n    sys.exit(print('after'))",
    ],
)
def test_a_file_that_starts_itself_is_left_to_do_so(program, end):
    file = program(f"import gopark\nasync def main():\n    print('main')\n{end}\n")
    assert gopark("run", file) == Ended("main\nafter\n", "", 0)


def test_a_module_and_a_package(tmp_path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("def name(): return __name__\n")
    (package / "__main__.py").write_text(
        "import sys\nfrom .part import name\ndef main(): print(name(), __package__, sys.argv[1:])\n"
    )
    (package / "server.py").write_text("from . import part\nasync def main(): print(part.name())\n")
    env = {"PYTHONPATH": str(tmp_path)}
    assert gopark("run", "-m", "pack", "x", **env) == Ended("pack.part pack ['x']\n", "", 0)
    assert gopark("run", "-m", "pack.server", **env) == Ended("pack.part\n", "", 0)


def test_a_package_that_fails_as_it_is_imported(tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text("import nowhere\n")
    ended = gopark("run", "-m", "pack.x", PYTHONPATH=str(tmp_path))
    assert ended.status == 2
    assert ended.stderr.startswith("panic: ModuleNotFoundError: No module named 'nowhere'\n")


# --- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "report"),
    [
        ("return 7", 0, ""),
        ("raise ValueError('text')", 2, "panic: ValueError: text\n\ngoroutine 1 [running]:\n"),
        ("await gopark.Chan().recv()", 2, "fatal error: all goroutines are asleep - deadlock!\n"),
        ("gopark.go(fails); await gopark.Chan().recv()", 2, "panic: KeyError: 'k'\n\ngoroutine 2 "),
        ("sys.exit(5)", 5, ""),
        ("gopark.go(sys.exit, 6); await gopark.Chan().recv()", 6, ""),
        ("sys.exit('so')", 1, "so\n"),
        ("os.abort()", -signal.SIGABRT, "Fatal Python error: Aborted\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("os.kill(os.getpid(), signal.SIGINT); await gopark.time.sleep(9)", -signal.SIGINT, ""),
        ("os.kill(os.getpid(), signal.SIGQUIT); await gopark.time.sleep(9)", 2, "SIGQUIT: quit\n"),
    ],
)
def test_exit_status_and_report(program, body, status, report):
    file = program(
        f"""
import os, resource, signal, sys
import gopark
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def fails():
    raise KeyError("k")
async def main():
    {body}
"""
    )
    ended = gopark("run", file)
    assert ended.status == status, ended
    assert ended.stderr.startswith(report), ended
    if not report:
        assert ended.stderr == ""


def test_mains_exception_is_shown_as_a_panic_of_a_goroutine_with_all_its_frames(program):
    file = program(
        """def inner(): raise ValueError('no such key')
async def main():
    try: inner()
    except ValueError:
        raise RuntimeError('second')
"""
    )
    ended = gopark("run", file)
    assert ended.status == 2
    lines = ended.stderr.replace(file, "FILE").splitlines()
    assert lines[:5] == [
        "panic: ValueError: no such key [recovered]",
        "\tpanic: RuntimeError: second",
        "",
        "goroutine 1 [running]:",
        "main.main(...)",
    ]
    assert [line for line in lines if line.startswith("main.")] == [
        "main.main(...)",
        "main.inner(...)",
        "main.main(...)",
    ]


def test_a_panic_by_gotraceback(program):
    file = program("def main(): raise ValueError('text')\n")
    assert gopark("run", file, GOTRACEBACK="none") == Ended("", "panic: ValueError: text\n", 2)


def test_an_exception_at_the_top_of_the_file_is_a_panic_too(program):
    ended = gopark("run", program("1 / 0\n"))
    assert ended.status == 2
    assert "panic: ZeroDivisionError: " in ended.stderr
    assert "main.<module>(...)" in ended.stderr


def test_ctrl_c_ends_it_by_the_signal_and_without_a_word(program):
    file = program(
        """
import atexit, gopark
atexit.register(print, "at exit")
async def main():
    try:
        print("ready", flush=True)
        await gopark.time.sleep(1000)
    finally:
        print("finally")
"""
    )
    child = start_python(["-m", "gopark", "run", file])
    child.expect("ready")
    child.interrupt()
    assert child.end() == Ended("ready\nfinally\nat exit\n", "", -signal.SIGINT)


def test_faulthandler_is_on_for_those_whose_interpreter_hangs(program):
    file = program("import faulthandler\ndef main(): print(faulthandler.is_enabled())\n")
    assert gopark("run", file).stdout == "True\n"


# --- what cannot be run -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "prog.py has no function `main`. Call the function it starts with `async def"),
        ("main = 1\n", "has no function as `main`, but 1. "),
        ("def main(a): pass\n", "is called without arguments, and needs some: missing a required"),
        ("x =\n", "is no Python that 3."),
    ],
)
def test_a_file_that_is_no_program(program, text, says):
    ended = gopark("run", program(text))
    assert ended.status == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        ([], 2, "what? gopark run FILE [ARG ...], or gopark run -m MODULE [ARG ...]\n"),
        (["-m"], 2, "-m needs the name of a module: gopark run FILE"),
        (["-x"], 2, "no option -x: gopark run FILE"),
        (["nowhere.py"], 1, "no file nowhere.py\n"),
        (["nowhere"], 1, "no file nowhere; a module is run by `gopark run -m nowhere`\n"),
        (["/"], 1, "/ is a folder; give the file in it, or `-m` and the name of a module\n"),
        (["-m", "nowhere"], 1, f"no module nowhere; it is looked for from here, {os.getcwd()}"),
        (["-m", "os.nowhere"], 1, "no module os.nowhere"),
        (["-m", "..x"], 1, "no module ..x"),
        (["-m", "xml"], 1, "no module xml.__main__"),
        (["-m", "__main__"], 1, "no module __main__"),
        (["-m", "sys"], 1, "module sys is not a file of Python: built-in\n"),
    ],
)
def test_what_is_not_there(args, status, says, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert main(["run", *args]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"gopark run: {says}"), err
