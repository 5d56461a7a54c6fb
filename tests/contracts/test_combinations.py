"""What goes together of rule, network, neuron, firing and loss: every pair trains, or is refused with a remedy.

Pairs are generated from `conf/`; those that are refused stand in `refused.yaml`, which is reviewed. A pair that is
accepted today and refused tomorrow fails, and so does one that is refused today and accepted tomorrow.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import TypeVar, get_args

import pytest

from fastspiking.signals.trajectory import Target
from sgbench.composition import catalogue
from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError
from sgbench.training.build import build
from tests.contracts.pairs import Pair, Row, completed, covering_rows
from tests.contracts.rows import (
    GROUPS,
    NEUTRAL,
    Recipe,
    factors,
    mended,
    neutral_first,
    recipe,
    refusals,
    remedies,
    spec_of,
    trained,
)
from tests.entries import made, spec_with
from tests.thinned import thinned

SEEDED_ROWS, SEEDED_REFUSALS, PARTS = 60, 20, 12
CUTTING = ("eprop", "s_tllr", "superspike")
"""Rules that send nothing back over recurrent spikes, and ask the network to say so."""
OF_FULL_GRADIENTS = ("bounded_gradient", "steady_gradient")
"""Initialisations that are about what these rules cut: no remedy keeps both, so the rule gives way."""
LOSSES = {"superspike": "van_rossum"}
"""Of rules that learn from one kind of target alone."""
FIRINGS = {"reinforce": "escape"}
"""Of rules that learn from spikes by chance."""
NEURONS = {"eventprop": "synaptic"}
"""Of rules that learn from times of spikes."""
Problems = list[str]
Drawn = TypeVar("Drawn")


@functools.cache
def accepted_rows() -> list[Row]:
    """Return rows that hold every pair that is not refused."""
    return covering_rows(factors(), refusals(), seed=0)[0]


@functools.cache
def refused_rows() -> list[tuple[Pair, Row]]:
    """Return every refused pair in a row where nothing else is refused."""
    rows = []
    for pair in refusals():
        row = completed(pair, factors(), refusals(), neutral_first())
        assert row is not None, f"{sorted(pair)} cannot stand alone, so it need not be listed"
        rows.append((pair, row))
    return rows


def sample(rows: list[Drawn], count: int) -> list[Drawn]:
    """Draw rows by a seed."""
    return random.Random(17).sample(rows, min(count, len(rows)))  # noqa: S311 - a draw, no secret


def told(row: Row) -> str:
    """Return a row as words of the command."""
    return " ".join(f"{group}={name}" for group, name in row.items())


def problems_of(rows: list[Row]) -> Problems:
    """Train each row for a batch; return what went wrong."""
    problems = []
    for row in rows:
        try:
            trained(spec_of(row))
        except Exception as error:
            problems.append(f"{told(row)}: {type(error).__name__}: {error}")
    return problems


def problems_of_refusals(pairs: list[tuple[Pair, Row]]) -> Problems:
    """Build each row, which has to be refused as reviewed, and follow its first remedy; return what went wrong."""
    problems = []
    for pair, row in pairs:
        message = refusal_of(row)
        if message is None:
            problems.append(f"{told(row)}: accepted, but listed as refused")
        elif refusals()[pair] not in message or "\n" in message:
            problems.append(f"{told(row)}: another message than the reviewed one: {message}")
        else:
            problems += problem_of_remedies(told(row), recipe(row), message)
    return problems


def refusal_of(row: Row) -> str | None:
    """Return what is said against a row, or None where it is built."""
    try:
        build(spec_of(row))
    except InputError as error:
        return str(error)
    return None


def problem_of_remedies(words: str, refused: Recipe, message: str) -> Problems:
    """Train a recipe with each remedy that a message offers; return what went wrong."""
    problems = [] if remedies(message) else [f"{words}: no remedy in: {message}"]
    for remedy in remedies(message):
        try:
            trained(spec_with(*mended(refused, remedy)))
        except Exception as error:
            problems.append(f"{words}: {' '.join(remedy)} does not help: {type(error).__name__}: {error}")
    return problems


@pytest.mark.parametrize("part", thinned(range(4), 4))
def test_seeded_rows_train(part: int) -> None:
    """Expected: sixty rows, drawn by a seed, each build and train for a batch of finite numbers."""
    seeded = sample(accepted_rows(), SEEDED_ROWS)
    assert problems_of(seeded[part::4]) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", thinned(range(2), 2))
def test_seeded_refusals_have_a_remedy(part: int) -> None:
    """Expected: of a draw of refused pairs, the reviewed message on one line, whose remedy builds and trains."""
    seeded = sample(refused_rows(), SEEDED_REFUSALS)
    assert problems_of_refusals(seeded[part::2]) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_pair_trains(part: int) -> None:
    """Expected: every pair that is not refused stands in a row that trains for a batch of finite numbers."""
    assert problems_of(accepted_rows()[part::PARTS]) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_refused_pair_has_a_remedy(part: int) -> None:
    """Expected: the reviewed message on one line, whose remedies build and train."""
    assert problems_of_refusals(refused_rows()[part::PARTS]) == []


def problems_of_recipes(recipes: list[Recipe]) -> Problems:
    """Train each recipe, or, where it is refused, each of its remedies; return what went wrong."""
    problems = []
    for choices, values in recipes:
        words = told(choices)
        try:
            trained(spec_with(choices, values))
        except InputError as error:
            problems += problem_of_remedies(words, (choices, values), str(error))
        except Exception as error:
            problems.append(f"{words}: {type(error).__name__}: {error}")
    return problems


def around(rule: str, groups: Sequence[str]) -> list[Recipe]:
    """Return a rule with every entry of other groups, one at a time."""
    fitting = {
        group: special.get(rule, NEUTRAL[group])
        for group, special in (("loss", LOSSES), ("firing", FIRINGS), ("neuron", NEURONS))
    }
    choices, values = recipe({**NEUTRAL, "rule": rule, **fitting})
    values = {**values, "network.recurrence": "all_to_all"}  # some initialisations ask for it
    if rule in CUTTING:
        values["network.recurrence_gradient"] = "cut"
    return [
        ({**choices, group: name}, values)
        for group in groups
        for name in catalogue.paths("neuron" if group == "readout" else group)
        if "/" not in name  # presets of other libraries are surrogates that are here already
        # A readout that fires, as this rule's does, has no recurrent weights.
        if not (rule == "superspike" and name in OF_FULL_GRADIENTS)
    ]


@pytest.mark.parametrize("init", OF_FULL_GRADIENTS)
def test_a_rule_that_cuts_takes_no_initialisation_of_what_it_cuts(init: str) -> None:
    """Expected: refused either way, by the initialisation where gradient is cut, by the rule where it is not."""
    choices, values = recipe({**NEUTRAL, "rule": "eprop"})
    for gradient, says in (("cut", f"init={init}"), ("full", "rule=eprop")):
        wired = {**values, "network.recurrence": "all_to_all", "network.recurrence_gradient": gradient}
        with pytest.raises(InputError, match=says):
            build(spec_with({**choices, "init": init}, wired))


@pytest.mark.parametrize(
    ("rule", "refusal", "expected"),
    [
        ("reinforce", "a: b; use firing=step", "a: b; use firing=step and rule=bptt"),
        ("reinforce", "a: b; use firing=escape or c=1", "a: b; use firing=escape or c=1"),
        ("eventprop", "use c=d with neuron=leaky, or c=e", "use c=d with neuron=leaky and rule=bptt, or c=e"),
        ("eventprop", "use neuron=leaky and rule=bptt", "use neuron=leaky and rule=bptt"),
        ("bptt", "a: b; use firing=step", "a: b; use firing=step"),
        ("reinforce", "firing=step: says no remedy", "firing=step: says no remedy"),
    ],
)
def test_a_remedy_that_takes_what_a_rule_requires_takes_the_rule_too(rule: str, refusal: str, expected: str) -> None:
    """Expected: back-propagation added to the alternatives that set what the rule requires otherwise, no others."""
    assert made("rule", rule).add_rule_to_remedies(refusal) == expected


@pytest.mark.one_in(16)
@pytest.mark.parametrize("rule", factors()["rule"])
def test_a_rule_takes_what_shapes_training_or_says_what_else(rule: str) -> None:
    """Expected: each steepness and penalty trains, or is refused with a remedy that trains."""
    assert problems_of_recipes(around(rule, ["steepness", "regulariser"])) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "group", ["readout", "surrogate", "optimizer", "augmentation", "normalisation", "dropout", "init"]
)
@pytest.mark.parametrize("rule", factors()["rule"])
def test_a_rule_takes_every_entry_or_says_what_else(rule: str, group: str) -> None:
    """Expected: each of a group trains, or is refused with a remedy that trains."""
    assert problems_of_recipes(around(rule, [group])) == []


@pytest.mark.slow
@pytest.mark.parametrize("loss", catalogue.paths("loss"))
def test_a_loss_takes_the_data_or_names_one_that_does(loss: str) -> None:
    """Expected: on every kind of target and either readout it trains, or is refused with a remedy that trains."""
    recipes = []
    for kind in get_args(Target):
        for readout in ("leaky", "leaky_readout"):
            choices, values = recipe({**NEUTRAL, "loss": loss}, kind)
            recipes.append(({**choices, "readout": readout}, values))
    assert problems_of_recipes(recipes) == []


def test_reviewed_pairs_are_of_the_catalogue() -> None:
    """Expected: groups and entries of `conf/`, each pair alone in a row; the rest is not reachable without them."""
    for pair in refusals():
        for group, name in pair:
            assert group in GROUPS
            assert name in catalogue.paths(group), name
    assert len(refused_rows()) == len(refusals())
    _, unreachable = covering_rows(factors(), refusals(), seed=0)
    silent = {("neuron", "leaky_readout"), ("neuron", "synaptic_readout")}
    # Reinforce needs spikes drawn by a firing, which neurons that decide how they fire refuse.
    assert all(pair & (silent | {("rule", "reinforce")}) for pair in unreachable)
    assert len([pair for pair in unreachable if ("rule", "reinforce") in pair and not pair & silent]) == 7


@pytest.mark.slow
def test_rows_are_what_the_command_composes() -> None:
    """Expected: the specification that a sweep's plan makes of the same words, to every value."""
    composer = PointComposer((), ())
    for row in accepted_rows()[:2]:
        choices, values = recipe(row)
        words = [f"{'neuron@readout' if key == 'readout' else key}={name}" for key, name in choices.items()]
        words += [f"{key}={str(value).replace(' ', '')}" for key, value in values.items()]
        assert composer.spec(words) == spec_of(row)
