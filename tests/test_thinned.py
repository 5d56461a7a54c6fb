"""What the default run leaves out by `one_in` is what its mark says; the rest is slow, and no case is lost."""

from __future__ import annotations

import binascii
import importlib
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest
from _pytest.doctest import DoctestModule

from tests import shared_fixtures
from tests.rooms import ROOT
from tests.thinned import left_out


@pytest.fixture
def cases(request: pytest.FixtureRequest):
    """Makes items of a test in this file, as a collector does: with names of cases and marks."""

    def made(test: str, names: Iterable[str], *marks: pytest.MarkDecorator) -> list[pytest.Function]:
        items = [
            pytest.Function.from_parent(request.node.parent, name=f"{test}[{name}]", callobj=lambda: None)
            for name in names
        ]
        for item in items:
            for mark in marks:
                item.add_marker(mark)
        return items

    return made


def test_the_first_case_and_those_of_the_sample_run_by_default(cases):
    """By hand: the first of each test, and names whose CRC-32 is a multiple of the number; about one in it."""
    one, other = (cases(test, map(str, range(300)), pytest.mark.one_in(5)) for test in ("one", "other"))
    out = {item.nodeid for item in left_out([*one, *other])}
    for items in (one, other):
        names = [item.nodeid for item in items]
        kept = {names[0], *(name for name in names if binascii.crc32(name.encode()) % 5 == 0)}
        assert set(names) - out == kept
        assert 30 < len(kept) < 90  # a binomial of 300 and 1/5 leaves this once in 10^5
    chosen = [{item.name.partition("[")[2] for item in items if item.nodeid not in out} for items in (one, other)]
    assert chosen[0] != chosen[1], "each test takes cases of its own"


def test_a_new_case_moves_no_other(cases):
    """Must match: what runs of the old cases, whatever stands behind the first and however they are ordered."""
    old, new = (cases("one", "abcdefgh", pytest.mark.one_in(3)), cases("one", "axhgfedcby", pytest.mark.one_in(3)))
    out = {item.name for item in left_out(new)} - {"one[x]", "one[y]"}
    assert out == {item.name for item in left_out(old)}


def test_only_cases_of_marked_tests_become_slow(cases):
    """Must differ: the same cases with and without the mark; what is slow already is no first case."""
    plain, thin = cases("plain", "abcdefghij"), cases("thin", "abcdefghij", pytest.mark.one_in(10**9))
    thin[0].add_marker(pytest.mark.slow)
    for keyword, args in (("b", []), ("", ["tests/test_thinned.py::thin"])):
        asked = SimpleNamespace(option=SimpleNamespace(keyword=keyword), args=args)
        shared_fixtures.pytest_collection_modifyitems(asked, [*plain, *thin])
        assert not thin[1].get_closest_marker("slow"), "asked for by name, a test is whole"
    config = SimpleNamespace(option=SimpleNamespace(keyword=""), args=["tests"])
    shared_fixtures.pytest_collection_modifyitems(config, [*plain, *thin])
    assert [item.name for item in plain if item.get_closest_marker("slow")] == []
    assert [item.name for item in thin if not item.get_closest_marker("slow")] == ["thin[b]"]


def test_examples_are_collected_where_there_are_some(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Must match: a file with an example; must differ: one without, whose tests are collected all the same."""
    shown, plain = tmp_path / "shown.py", tmp_path / "plain.py"
    shown.write_text('"""Adds.\n\n>>> 1 + 1\n2\n"""\n')
    plain.write_text('"""Adds."""\n')
    for path, kinds in ((shown, [pytest.Module, DoctestModule]), (plain, [pytest.Module])):
        parent = request.session
        found = [kind.from_parent(parent, path=path) for kind in (pytest.Module, DoctestModule)]
        wrapped = shared_fixtures.pytest_collect_file(path)
        next(wrapped)
        with pytest.raises(StopIteration) as left:
            wrapped.send(found)
        assert [type(each) for each in left.value.value] == kinds


def test_every_module_can_be_imported() -> None:
    """Those without an example too, with warnings as errors; what starts a command when it is run is left out."""
    for folder in ("sgbench", "fastspiking", "study", "registry"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "__main__.py" and not path.name.startswith("test_"):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                importlib.import_module(name.removesuffix(".__init__"))
