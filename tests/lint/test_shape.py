"""Files and functions stay short, and no two public classes share a name."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from sgbench.composition import catalogue
from tests.rooms import ROOT, syntax

pytestmark = pytest.mark.lint


def own_code() -> list[Path]:
    """The files of the package, of the launcher, and of studies and the registry outside of both."""
    rooms = ("fastspiking", "hydra_plugins", "registry", "sgbench", "study")
    return [path for name in rooms for path in (ROOT / name).rglob("*.py")]


def test_files_stay_short() -> None:
    """No file of the package or of a study's analysis has more than 400 lines."""
    lengths = {path: len(path.read_text().splitlines()) for path in own_code()}
    assert {str(path): length for path, length in lengths.items() if length > 400} == {}


def length_of(function: ast.FunctionDef) -> int:
    """The lines of a function below its docstring, which may be as long as its equation needs."""
    first, *others = function.body
    above = first.end_lineno if others and ast.get_docstring(function) else first.lineno - 1
    assert above is not None
    assert function.end_lineno is not None
    return function.end_lineno - above


@pytest.mark.parametrize(
    ("text", "length"),
    [("def f():\n    return 1\n", 1), ('def f():\n    """One\n\n    two."""\n    a = 1\n\n    return a\n', 3)],
)
def test_lengths_of_functions(text: str, length: int) -> None:
    """By hand: docstring and signature do not count, blank lines do."""
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert length_of(function) == length


def test_functions_stay_short() -> None:
    """No function of our own code has more than 60 lines below its docstring."""
    functions = [
        (f"{path.relative_to(ROOT)}:{node.name}", length_of(node))
        for path in own_code()
        for node in ast.walk(syntax(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert {name for name, length in functions if length > 60} == set()


def shared_names(classes: Iterable[str], entries: set[str]) -> set[str]:
    """Find the last names that several paths of classes share, unless all of them are entries of the catalogue.

    An entry's class is named after the entry in its own group, and records hold its path.
    """
    paths: dict[str, set[str]] = {}
    for path in classes:
        paths.setdefault(path.rpartition(".")[2], set()).add(path)
    return {name for name, alike in paths.items() if len(alike) > 1 and not alike <= entries}


@pytest.mark.parametrize(
    ("classes", "entries", "expected"),
    [
        (["a.Step", "b.Step", "b.Walk"], set(), {"Step"}),
        (["a.Step", "b.Step"], {"a.Step"}, {"Step"}),
        (["a.Step", "b.Step"], {"a.Step", "b.Step"}, set()),
        (["a.Step", "b.Walk"], set(), set()),
    ],
)
def test_shared_names_are_those_of_other_classes_than_entries(
    classes: list[str], entries: set[str], expected: set[str]
) -> None:
    """By hand: one name in two files, of which none, one or both are entries."""
    assert shared_names(classes, entries) == expected


def test_no_two_public_classes_share_a_name() -> None:
    """A name means one thing in the whole package."""
    classes = []
    for path in own_code():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        nodes = syntax(path.read_text()).body
        classes += [f"{module}.{node.name}" for node in nodes if isinstance(node, ast.ClassDef)]
    public = [name for name in classes if not name.rpartition(".")[2].startswith("_")]
    groups = catalogue.TARGET_GROUPS
    targets = {str(entry.target) for group in groups for entry in catalogue.entries(group).values()}
    assert shared_names(public, targets) == set()
