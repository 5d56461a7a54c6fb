"""The first pages that people read are free of the codes of a registration, and what is public says what it is."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sgbench
from tests.rooms import ROOT

pytestmark = pytest.mark.lint

PAGES = [ROOT / "README.md", ROOT / "docs" / "install.md", *sorted((ROOT / "docs" / "tutorial").glob("*.md"))]
CODE = re.compile(r"(?<![\w.{/`-])(?:[HL]\d{1,2}|T[1-8](?:d\d)?|[A-Z]\d[a-z])(?![\w.}/`-])")
"""Of hypotheses, claims, tasks and blocks of a registered study."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_code_of_a_registration(page: Path) -> None:
    """Outside of code, none of the words that only a study's registration explains."""
    text = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert CODE.findall(text) == []


def test_a_code_is_found() -> None:
    """Must match: a hypothesis and a task; must differ: a file's name and a word in code."""
    assert CODE.findall("As H4 says of T2d4, not of `H4`, h4.md or v1.") == ["H4", "T2d4"]


def test_public_names_have_docstrings() -> None:
    """Of the package, and of the base of each room, where entries and networks of others begin."""
    assert [name for name in sgbench.__all__ if name[0] != "_" and not inspect.getdoc(getattr(sgbench, name))] == []
    bases = sorted(path for room in ("fastspiking", "sgbench") for path in (ROOT / room).rglob("base.py"))
    assert {str(path.relative_to(ROOT)): names for path in bases if (names := [*undocumented(path.read_text())])} == {}


def undocumented(text: str) -> Iterator[str]:
    """Yield the public functions and classes of a module, and methods of these classes, without a docstring."""
    kinds = ast.FunctionDef | ast.ClassDef
    found = [(node, node.name) for node in ast.parse(text).body if isinstance(node, kinds)]
    for node, name in found:
        if name.rpartition(".")[2].startswith("_") or any("setter" in ast.unparse(d) for d in node.decorator_list):
            continue
        if not ast.get_docstring(node):
            yield name
        if isinstance(node, ast.ClassDef):
            found += [(method, f"{name}.{method.name}") for method in node.body if isinstance(method, kinds)]


def test_an_undocumented_method_is_found() -> None:
    """Must match: a method without a docstring; must differ: a private one, and one with."""
    text = "class A:\n  '.'\n  def f(self): ...\n  def g(self): '.'\n  def _h(self): ...\n"
    assert [*undocumented(text)] == ["A.f"]
