"""What the site shows beside the pages of docs/: the reference, the examples, HACKING, CHANGELOG.

The reference has a page for each public module and an entry for each name in its `__all__`, so
that nothing public can be forgotten. Links that lead out of docs/ in the repository lead to the
page made from the same file on the site.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import re
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ("HACKING.md", "CHANGELOG.md")
FENCE = re.compile(r"^```python .*$", re.M)
NUMBERED = re.compile(r"^\d+\. \[.*?\]\(([^)#]+)\)", re.M)
BULLET = re.compile(r"^- \[.*?\]\(([^)#]+)\)", re.M)
LINK = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")


def on_config(config: MkDocsConfig) -> None:
    """The navigation: the lists of the first page, then what follows from the sources."""
    index = (ROOT / "docs" / "index.md").read_text()
    config.nav = [
        "index.md",
        {"Learn": [_target("index.md", page) for page in NUMBERED.findall(index)]},
        {"Look up": [*(_target("index.md", page) for page in BULLET.findall(index)), *TEXTS]},
        {"Examples": [{name: f"examples/{name}.md"} for name in _examples()]},
        {"Reference": [{name: f"reference/{name}.md"} for name in _modules()]},
    ]


def on_files(files: Files, config: MkDocsConfig) -> None:
    for name in TEXTS:
        files.append(File.generated(config, name, content=(ROOT / name).read_text()))
    for name in _examples():
        files.append(File.generated(config, f"examples/{name}.md", content=_example(name)))
    for name, module in _modules().items():
        files.append(File.generated(config, f"reference/{name}.md", content=_reference(module)))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Links as they have to be on the site, and fences without what is for the tests alone."""
    where = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        start, target, anchor, end = match.groups()
        return f"{start}{_target(where, target)}{anchor or ''}{end}"

    return LINK.sub(moved, FENCE.sub("```python", markdown))


def _target(where: str, target: str) -> str:
    if target.startswith("../"):
        target = target.removeprefix("../")
    elif where in TEXTS:
        target = target.removeprefix("docs/")
    if target.startswith("examples/") and target.endswith(".py"):
        target = target.removesuffix(".py") + ".md"
    return target


# --- examples -----------------------------------------------------------------------------


def _examples() -> list[str]:
    return sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


def _example(name: str) -> str:
    source = (ROOT / "examples" / f"{name}.py").read_text()
    title = (ast.get_docstring(ast.parse(source)) or name).partition("\n")[0]
    return f"# {name}\n\n{title}\n\n```python\n{source}```\n"


# --- the reference ------------------------------------------------------------------------


def _modules() -> dict[str, ModuleType]:
    """Every public module by its name, found through the `__all__` of the one above."""
    found: dict[str, ModuleType] = {}

    def visit(name: str) -> None:
        module = importlib.import_module(name)
        found[name] = module
        for public in module.__all__:
            if isinstance(getattr(module, public), ModuleType):
                visit(f"{name}.{public}")

    visit("gopark")
    return found


def _reference(module: ModuleType) -> str:
    doc = inspect.cleandoc(module.__doc__ or "")
    parts = [f"# {module.__name__}\n\n{doc}\n"]
    parts += [
        _entry(module, name)
        for name in module.__all__
        if not isinstance(getattr(module, name), ModuleType)
    ]
    return "\n".join(parts)


def _entry(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    lines = [f"::: {module.__name__}.{name}"]
    if inspect.isclass(value):
        shown = [n for n, member in vars(value).items() if _shown(n, member)]
        lines += ["    options:", f"      members: {shown}"]
    return "\n".join(lines) + "\n"


def _shown(name: str, member: object) -> bool:
    """Methods and properties with an origin in Go or an example; the rest is for the runtime."""
    if isinstance(member, property):
        return not name.startswith("_") and bool(member.__doc__)
    doc = inspect.getdoc(member) if inspect.isfunction(member) else None
    return not name.startswith("_") and doc is not None and "Go: " in doc
