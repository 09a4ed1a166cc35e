"""`module:app` on a command line."""

from __future__ import annotations

import pytest

from gopark.http import LoadError, load


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def module(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return module


def test_an_application_is_found(module):
    name = module(
        "loaded_one", "def app(): ...\nclass C:\n    def inner(self): ...\nmake = lambda: app"
    )
    assert load(name).__name__ == "app"
    assert load(f"{name}:app") is load(name)
    assert load(f"{name}:C.inner").__name__ == "inner"
    assert load(f"{name}:make", factory=True) is load(name)


def test_without_a_name_it_is_app_or_application(module):
    assert load(module("loaded_two", "def application(): ..."))


def test_what_is_not_there_is_said(module):
    name = module("loaded_three", "value = 3")
    for wanted, text in (
        ("no_such_module:app", "no module no_such_module"),
        ("no_such_module", "write `module:app`"),
        ("./one/two.py", "write `one.two:app`"),
        ("one.py:make", "write `one:make`"),
        (f"{name}:app", "has no 'app'"),
        (name, "has no 'application'"),
        (f"{name}:value", "cannot be called"),
        (":app", "write `module:app`"),
        (f"{name}:", "write `module:app`"),
    ):
        with pytest.raises(LoadError, match=text):
            load(wanted)


def test_what_it_lacks_itself_is_its_own_error(module):
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        load(module("loaded_four", "import no_such_thing"))
