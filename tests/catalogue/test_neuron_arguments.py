"""Arguments that many neurons have mean the same in all of them, and their docstrings say it in the same words."""

from __future__ import annotations

import inspect
import re

import pytest

from sgbench.composition import catalogue
from tests.entries import class_of

ARGUMENTS = {
    "surrogate": "spike forward, slope backward",
    "features": "number of neurons, needed for a value per neuron",
    "reset": r'"(subtract|none)"',
    "reset_gradient": '"detached" or "attached"',
    "reset_to": r"potential that `zero` sets \[units of u\]",
    "input_gain": 'g: "one", ',
    "dt_s": r"time step \[s\]",
    r"learn_\w+": '"none", "shared"',
}
"""Names of arguments, and how what is said of each begins; both are patterns."""


def described(docstring: str) -> dict[str, str]:
    """What a docstring says of each argument, on one line each.

    >>> described("Args:\\n    a: one\\n        line.\\n    b: two.")
    {'a': 'one line.', 'b': 'two.'}
    """
    part = re.search(r"Args:\n((?:    .*\n?)+)", docstring)
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", part[1] if part else "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def unlike(arguments: dict[str, str]) -> dict[str, str]:
    """The arguments of the table of which something else is said."""
    return {
        name: text
        for name, text in arguments.items()
        for pattern, words in ARGUMENTS.items()
        if re.fullmatch(pattern, name) and not re.match(words, text)
    }


def test_another_wording_is_seen() -> None:
    """Must differ: a synonym, and another meaning; an argument of one neuron alone is free."""
    assert unlike({"learn_beta": '"none", "shared" or "per_neuron".', "peak": "anything."}) == {}
    assert unlike({"learn_beta": "whether it learns.", "features": "number of units."}).keys() == {
        "learn_beta",
        "features",
    }


@pytest.mark.parametrize("name", catalogue.entries("neuron"))
def test_arguments_are_described_alike(name: str) -> None:
    """Expected: the words of the table, of every neuron of the catalogue."""
    assert unlike(described(inspect.getdoc(class_of("neuron", name)) or "")) == {}
