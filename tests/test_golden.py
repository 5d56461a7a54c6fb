"""Golden files: composed experiments, method ids, one tiny record. `make golden` rewrites them.

A difference means that published numbers or names moved: review it, and say so in docs/numbers_that_moved.md.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from sgbench.errors import InputError
from tests.golden import cases
from tests.golden.write import refuse_moved
from tests.messages import raises_naming
from tests.thinned import thinned


@pytest.mark.parametrize("name", cases.EXAMPLES)
def test_composed_example(name: str) -> None:
    """The whole specification of five experiments, exactly."""
    assert cases.composed(name) == _golden(f"experiment_{name}.json")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", thinned(cases.experiments(), 5))
def test_composed_experiment(name: str) -> None:
    """Id and hash of the whole specification of each experiment; what it is today is printed where they differ."""
    tree = cases.composed(name)
    assert cases.digest(tree) == _golden("experiments.json")[name], json.dumps(tree, indent=1, sort_keys=True)


def test_method_ids() -> None:
    """The id of each catalogue entry in the reference run; a new option must change none of them."""
    assert cases.method_ids() == _golden("method_ids.json")


@pytest.mark.parametrize("rule", cases.RULES)
def test_tiny_record(rule: str) -> None:
    """A run of two epochs in float64: scores within 1e-10, spikes and counts exactly."""
    found, golden = cases.tiny_record(rule), _golden(f"record_{rule}.json")
    assert found.keys() == golden.keys()
    for key, value in golden.items():
        if isinstance(value, float):
            assert found[key] == pytest.approx(value, rel=1e-10), key
        else:
            assert found[key] == value, key


def test_a_new_entry_moves_no_id() -> None:
    """Must match: ids that are added. Must differ: one that changed and one that is gone, named with the number."""
    known = _golden("method_ids.json")
    refuse_moved(known, {**known, "surrogate=new": "0" * 12})
    with raises_naming(InputError, "surrogate=atan", "000000000000", "1 moved"):
        refuse_moved(known, {**known, "surrogate=atan": "0" * 12})
    with raises_naming(InputError, "surrogate=atan", "gone", "1 moved"):
        refuse_moved(known, {words: known[words] for words in known if words != "surrogate=atan"})


SLOW = (
    "evidence_accumulation",  # thousands of steps
    "store_recall",
    "loop_twin",  # made at the first use
    "saccade_twin",
)
MOST, MOST_SUMMED = 100, {"sine_frequency": 1000}
"""Bounds of a first loss; a logit that is a sum over 100 steps of a recurrent network may be ten times as large."""


@pytest.mark.one_in(3)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW or place % 6))
        for place, name in enumerate(cases.experiments())
    ],
)
def test_every_experiment_trains_two_steps(name: str) -> None:
    """The first two batches of an experiment's own settings give a finite loss."""
    losses = cases.two_steps(name)
    if losses is None:
        pytest.skip("the files of its data set are not on this machine")
    assert losses
    assert all(0 < loss < MOST_SUMMED.get(name, MOST) for loss in losses)


def _golden(name: str) -> Any:
    return json.loads((cases.FOLDER / name).read_text())
