"""No module of the package imports itself through others, not even inside a function or for types alone."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Mapping

import pytest

from tests.rooms import PACKAGE, syntax

pytestmark = pytest.mark.lint


def sources() -> dict[str, str]:
    """The text of each module of the package by its dotted name."""
    paths = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
        for folder in (PACKAGE, PACKAGE.parent / "fastspiking")
        for path in folder.rglob("*.py")
    }
    return {name.removesuffix(".__init__"): path.read_text(encoding="utf-8") for name, path in paths.items()}


def imports(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """The modules that each module imports anywhere in its text."""
    found = {}
    for name, text in texts.items():
        nodes = [*ast.walk(syntax(text))]
        named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {name if name in texts else node.module for name in inside}
        found[name] = (named & set(texts)) - {name}
    return found


def circle(texts: Mapping[str, str]) -> list[str]:
    """The modules of one circle in the order in which they import each other; empty where there is none."""
    try:
        graphlib.TopologicalSorter(imports(texts)).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Must match: an order exists in which each module of the package comes after all that it imports."""
    texts = sources()
    assert len(texts) > 500
    assert circle(texts) == []


@pytest.mark.parametrize(
    "back", ["import p.a", "from p import a", "from p.a import x", "def f():\n    from p.a import x"]
)
def test_a_circle_is_found(back: str) -> None:
    """Must differ: three modules, of which the last imports the first in one of four ways."""
    assert set(circle({"p.a": "from p import b", "p.b": "from p.c import y", "p.c": back})) == {"p.a", "p.b", "p.c"}
    assert circle({"p.a": "from p import b", "p.b": "from p.c import y", "p.c": "import os"}) == []
