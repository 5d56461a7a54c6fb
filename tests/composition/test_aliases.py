"""Other names of entries: they stand for a canonical entry with numbers of their own."""

from __future__ import annotations

import pytest

from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.records.method import method_id
from tests.thinned import thinned

ALIASES = [
    entry
    for group in catalogue.TARGET_GROUPS
    for entry in catalogue.entries(group).values()
    if entry.canonical != entry.name
]
every = pytest.mark.parametrize("alias", ALIASES, ids=lambda entry: entry.name)


@every
def test_an_alias_is_its_canonical_entry_with_numbers(alias):
    """Expected: the same class and the same keys; the entry that it names is no alias itself."""
    canonical = catalogue.entry(alias.group, alias.canonical)
    assert canonical.canonical == canonical.name
    assert alias.target == canonical.target
    assert list(alias.parameters) == list(canonical.parameters)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("alias", thinned(ALIASES, 3), ids=lambda entry: entry.name)
def test_a_method_names_the_canonical_entry(alias):
    """Expected: the id of the canonical entry with the alias' numbers, and its name in what is recorded."""
    words = [f"{alias.group}.{key}={'null' if value is None else value}" for key, value in alias.parameters.items()]
    told, meant = (compose([f"{alias.group}={alias.name}"]), compose([f"{alias.group}={alias.canonical}", *words]))
    assert told.method == meant.method
    assert told.method.choices[alias.group] == alias.canonical
    assert method_id(told.method) == method_id(meant.method)


def test_numbers_beside_an_alias_are_those_of_the_canonical_entry():
    """Expected: `rule=sltt` in windows of three is `rule=bptt` in windows of three; it is not windows of one."""
    wide = method_id(compose(["rule=sltt", "rule.window=3"]).method)
    assert wide == method_id(compose(["rule=bptt", "rule.window=3"]).method)
    assert wide != method_id(compose(["rule=sltt"]).method)
