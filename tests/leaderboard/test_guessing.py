"""What an answer without learning gets right where classes are not equally frequent.

Expected values are counted in the data sets' own targets, by class.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.score import Measure, measure_of_task
from sgbench.training.build import construct
from tests.leaderboard.factory import make_board, method, protocol, record
from tests.messages import raises_naming

TOLD = [name for name in catalogue.entries("protocol") if "guess_accuracy" in catalogue.entry("protocol", name).meta]


@pytest.mark.parametrize("dataset", ["evidence_accumulation", pytest.param("store_recall", marks=pytest.mark.slow)])
def test_guessing_is_right_as_often_as_the_largest_class(dataset: str) -> None:
    """Expected: the share of the largest class among the test targets; must differ from one class in two."""
    spec = compose([f"dataset={dataset}"])
    made = construct("dataset", spec.targets["dataset"], spec.method.parameters["dataset"])
    numbers = torch.bincount(made.load(Path())["test"].target)
    share = (numbers.max() / numbers.sum()).item()
    assert share > 1 / len(numbers)
    of_dataset = [
        name
        for name in catalogue.entries("protocol")
        if catalogue.entry("protocol", name).parameters["fixed"].get("dataset") == dataset
    ]
    assert set(of_dataset) <= set(TOLD)
    for name in of_dataset:
        assert compose_reference(name).measure == Measure("accuracy", share)
        assert measure_of_task(name, dataset, ()) == Measure("accuracy", share)


def test_a_failed_seed_counts_as_guessing() -> None:
    """By hand: a failed seed of two classes stands at 0.54 where the file says so, at a half where it does not."""
    records = [record(seed=0, accuracy=0.9, of=method()), record(seed=1, accuracy=None, of=method())]
    boards = [
        make_board(records, protocol=protocol(), targets={}, classes=2, guess_accuracy=guess) for guess in (0.54, None)
    ]
    assert [board.rows[0].scores for board in boards] == [{0: 0.9, 1: 0.54}, {0: 0.9, 1: 0.5}]
    assert [board.measure.guess for board in boards] == [0.54, 0.5]


@pytest.mark.one_in(8)
@pytest.mark.parametrize("wrong", [0, 1.5, -0.1, "half", True])
def test_a_guess_that_is_no_share_is_refused(wrong: object, tmp_path: Path) -> None:
    """Expected: one line that names the key and the file."""
    path = tmp_path / "protocol" / "own_v1.yaml"
    path.parent.mkdir()
    text = catalogue.entry("protocol", "store_recall_v1").path.read_text()
    path.write_text(text.replace("store_recall_v1", "own_v1").replace("0.53515625", str(wrong).lower()))
    with raises_naming(InputError, "own_v1.yaml", "meta.guess_accuracy"):
        compose_reference("own_v1", config_dirs=[tmp_path])
