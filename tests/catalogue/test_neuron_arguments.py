"""Arguments that many neurons have mean the same in all of them: said once, and shown by each docstring."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap

import pytest

from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.neurons.arguments import ARGUMENTS as SHARED
from sgbench.neurons.arguments import LEARNT, require_argument
from sgbench.neurons.base import Neuron
from tests.entries import class_of

ARGUMENTS = {
    "surrogate": "spike forward, slope backward",
    "features": "number of neurons, needed for a value per neuron",
    "reset": r'"(subtract|none)"',
    "reset_gradient": '"detached" or "attached"',
    "reset_to": r"potential that `zero` sets \[units of u\]",
    "input_gain": 'g: "one", ',
    "dt_s": r"time step, above 0 \[s\]",
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
    assert unlike({"learn_beta": LEARNT.sentence, "peak": "anything."}) == {}
    assert unlike({"learn_beta": "whether it learns.", "features": "number of units."}).keys() == {
        "learn_beta",
        "features",
    }


@pytest.mark.parametrize("name", catalogue.entries("neuron"))
def test_arguments_are_described_alike_in_order_and_once(name: str) -> None:
    """The words of the table, of every argument of the signature; what an entry writes is not in the table."""
    kind = class_of("neuron", name)
    arguments = described(inspect.getdoc(kind) or "")
    assert unlike(arguments) == {}
    assert [*arguments] == [*inspect.signature(kind).parameters]
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    own = described(ast.get_docstring(tree.body[0]) or "")  # type: ignore[arg-type]
    assert not {argument for argument in own.keys() & SHARED if own[argument] == SHARED[argument].sentence}


def test_an_author_may_say_all_or_nothing() -> None:
    """Expected: own words stand, unknown arguments and classes without a docstring stay as they are."""

    class Own(Neuron):
        """Leaks.

        Args:
            beta: how it
                leaks.
            depth: of the well.

        Source: us.
        """

        def __init__(self, surrogate: object, *, depth: float, a: float, beta: float, learn_beta: str) -> None:
            super().__init__()

    class Silent(Neuron):
        def __init__(self, surrogate: object) -> None:
            super().__init__()

    assert Silent.__doc__ is None
    assert described(Own.__doc__ or "") == {
        "surrogate": "spike forward, slope backward.",
        "depth": "of the well.",
        "beta": "how it leaks.",
        "learn_beta": LEARNT.sentence,
    }
    assert (Own.__doc__ or "").endswith('"per_neuron".\n\nSource: us.')


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [("dt_s", 0, r"\(0, inf\)"), ("period_s", -1e-3, r"\[0, inf\)"), ("rheobase", "1", r"\(-inf, inf\)")],
)
def test_a_value_is_held_against_the_range_that_the_docstring_names(name: str, value: object, allowed: str) -> None:
    """Must differ: a bound that is open, one that is not, and no number."""
    with pytest.raises(InputError, match=rf"^neuron\.{name}={value!r}: a number in {allowed} is needed$"):
        require_argument(name, value)
