"""Values are read from data: no code of ours reads a page of Markdown to learn a number, a name or a verdict."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rooms import ROOT
from tools.measure import own_files

pytestmark = pytest.mark.lint

READERS = {"read_text", "read_bytes", "open", "read_model", "parse_model"}
WRITERS = {
    ("benchmarks/headline.py", "rewrite"): "writes numbers into README and a page",
    ("hatch_build.py", "update"): "hands README to the package index",
    ("tools/judged.py", "files"): "puts tables between their marks",
    ("tools/documentation/extension.py", "write_pages"): "makes HTML of pages",
}
"""Functions that read a page to write it again, or to show it."""


def is_page(value: object) -> bool:
    return isinstance(value, str) and value.endswith(".md")


def readers_of_pages(text: str) -> Iterator[str]:
    """Names of the functions that name a page of Markdown, by itself or by a constant of the module, and read."""
    tree = ast.parse(text)
    pages = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and any(is_page(getattr(each, "value", None)) for each in ast.walk(node.value))
    }
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        inside = [node for part in function.body for node in ast.walk(part)]
        reads = any(
            isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in READERS
            for node in inside
        )
        names = any(
            (isinstance(node, ast.Constant) and is_page(node.value))
            or (isinstance(node, ast.Name) and node.id in pages)
            for node in inside
        )
        if reads and names:
            yield function.name


def test_no_code_reads_values_from_a_page() -> None:
    """Must match: only those that write the page again, or show it."""
    found = {
        (path.as_posix(), name)
        for path in map(Path, own_files())
        for name in readers_of_pages((ROOT / path).read_text(encoding="utf-8"))
    }
    assert found == WRITERS.keys()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('def a(root):\n    return (root / "docs" / "reproductions.md").read_text().split("|")', ["a"]),
        ('PAGE = ROOT / "docs" / "a.md"\ndef b():\n    return read_bytes(PAGE)', ["b"]),
        ('def c(root):\n    return (root / "figures.json").read_text()', []),
        ('def d(path):\n    """Writes a.md."""\n    path.with_suffix(".md").write_text("x")', []),
    ],
)
def test_a_reader_is_found(text: str, wanted: list[str]) -> None:
    """By hand: a page named in the function or in the module; must differ: data, and a page that is written."""
    assert list(readers_of_pages(text)) == wanted
