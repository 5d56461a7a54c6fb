"""Boards of tasks whose score is a loss: the same statistics as of accuracies, with less as better.

Expected values come from SciPy, from hand calculation, from the data sets' own targets, and from the same board of
accuracies that order the methods likewise.
"""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats

from fastspiking.signals.trajectory import Trajectory
from sgbench.composition import catalogue
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import ProtocolReference, compose_reference
from sgbench.leaderboard.families import across_tasks
from sgbench.leaderboard.pages.explain import explain_rows
from sgbench.leaderboard.pages.picture import picture_of, png
from sgbench.leaderboard.pages.table import to_csv, to_markdown
from sgbench.leaderboard.rows import Board, measure
from sgbench.leaderboard.score import Measure
from sgbench.records.record import RunRecord
from sgbench.training.build import build
from tests.leaderboard.factory import epoch_of, make_board, method, protocol, record, reference, target
from tests.messages import lines_naming

GUESS = 0.5
LOSSES = {"atan": (0.010, 0.012, 0.011), "triangle": (0.20, 0.21, 0.22), "zero": (0.49, None, 0.51)}


def with_loss(seed: int, loss: float | None, of: Any) -> RunRecord:
    """A record of a task without classes; a loss of None makes a failed one."""
    found = record(seed=seed, accuracy=None if loss is None else 0.5, of=of)
    scores = {
        name: part and part.model_copy(update={"accuracy": None, "loss": loss})
        for name, part in (("test", found.test), ("validation", found.validation))
    }
    validation = scores["validation"]
    curve = () if validation is None else (epoch_of(validation, 0), epoch_of(validation))
    return found.model_copy(update={"classes": None, "curve": curve, **scores})


def records() -> list[RunRecord]:
    return [
        with_loss(seed, loss, method(surrogate=name))
        for name, losses in LOSSES.items()
        for seed, loss in enumerate(losses)
    ]


def board() -> Board:
    return make_board(records(), protocol=protocol(), targets={"toy": target()}, classes=None, guess_loss=GUESS)


def test_less_is_better():
    """Expected: means and intervals on the logarithm by SciPy, the least first; ranks of mirrored scores."""
    found = board()
    assert [row.surrogate.partition("(")[0] for row in found.rows] == ["atan", "triangle", "zero"]
    assert found.rows[2].scores == {0: 0.49, 1: GUESS, 2: 0.51}
    mean, error = np.mean(LOSSES["atan"]), scipy_stats.sem(LOSSES["atan"])
    low, high = np.exp(scipy_stats.t.interval(0.95, 2, np.log(mean), error / mean))
    assert (found.rows[0].score.low, found.rows[0].score.high) == pytest.approx((low, high))
    mirrored = [
        record(seed=seed, accuracy=1 - (GUESS if loss is None else loss), of=method(surrogate=name))
        for name, losses in LOSSES.items()
        for seed, loss in enumerate(losses)
    ]
    other = make_board(mirrored, protocol=protocol(), targets={}, classes=2)
    assert [row.method_id for row in found.rows] == [row.method_id for row in other.rows]
    for ours, theirs in zip(found.rows, other.rows, strict=True):
        assert (ours.rank.low, ours.rank.high) == (theirs.rank.low, theirs.rank.high)


def test_page_table_and_picture_speak_of_losses():
    """Expected: columns of losses, no percent of one, and the same page from the same records."""
    found = board()
    page, values = to_markdown(found, layout="runs"), to_csv(found)
    assert "test loss (mean, 95 % CI)" in page
    assert "0.011 (0.008776 to 0.01379)" in page
    assert "accuracy" not in page.partition("## How to read it")[0]
    assert lines_naming(page, "loss of 0.5")
    row = next(csv.DictReader(io.StringIO(values)))
    assert float(row["test_loss_mean"]) == pytest.approx(0.011)
    assert "test_accuracy_mean" not in row
    assert png(picture_of(found), table_csv=values).startswith(b"\x89PNG")
    assert page == to_markdown(board(), layout="runs")


def test_explained_in_losses():
    """Expected: the smaller loss is better, by the difference B - A; must differ: the other way round."""
    found = board()
    a, b, _ = found.rows
    said, back = explain_rows(found, a, b, hits={}), explain_rows(found, b, a, hits={})
    assert (said.verdict, back.verdict) == ("better", "worse")
    assert said.difference == pytest.approx(np.mean(LOSSES["triangle"]) - np.mean(LOSSES["atan"]))
    text = " ".join(said.sentences)
    assert lines_naming(text, "A is better than B", "0.199")
    assert "test loss 0.011 over 3 seeds" in text


def test_across_tasks_guessing_is_nothing_and_no_loss_everything():
    """Expected, by hand: 1 - loss / guess."""
    group = [with_loss(seed, loss, method()) for seed, loss in enumerate((0.1, 0.2))]
    measured = [measure(group, classes=None, guess_loss=GUESS, targets=(), dt_s=0.001)]
    found = across_tasks({"toy_v1": measured}, {"toy_v1": Measure("loss", GUESS)}, by=["surrogate"])
    assert found.families[0].tasks[0].tolist() == pytest.approx([0.8, 0.6])


WITHOUT_CLASSES = [
    name
    for name, entry in catalogue.entries("protocol").items()
    if catalogue.entry("dataset", entry.parameters["fixed"]["dataset"]).meta.get("target") in ("trace", "spikes")
]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", WITHOUT_CLASSES)
def test_what_guessing_loses(name):
    """Expected: the test loss of an answer that never changes: the mean training target, or silence."""
    found = compose_reference(name)
    choices = found.protocol.fixed
    words = [f"{'neuron@readout' if group == 'readout' else group}={pick}" for group, pick in choices.items()]
    parts = build(compose([f"protocol={name}", *words, "engine=reference"]))
    parts.data.setup()
    with parts.data.last_step():
        test = parts.data.splits["test"].target.double()
    trace = parts.data.data_set.target == "trace"
    mean = parts.data.splits["train"].target.double().mean((0, 1))
    answer = (mean if trace else torch.zeros(test.shape[2])).double().expand(test.shape[1], len(test), -1)
    lengths = torch.full((len(test),), test.shape[1])
    loss = parts.objective.loss.whole(Trajectory(answer, lengths, (), (), ()), test)
    assert found.guess_loss == pytest.approx(loss.item(), rel=1e-3)


def test_a_loss_that_nobody_can_guess_is_refused():
    """Expected: one line that says what to add."""
    toy = reference()
    meta = toy.entries["dataset"]["digits"].meta | {"target": "trace", "classes": 0}
    entry = toy.entries["dataset"]["digits"].__class__("dataset", "digits", None, None, {}, meta)  # type: ignore[arg-type]
    lost = ProtocolReference(toy.protocol, toy.method, {**toy.entries, "dataset": {"digits": entry}})
    with pytest.raises(InputError, match=r"toy_v1.*meta: \{guess_loss"):
        _ = lost.measure
    assert ProtocolReference(toy.protocol, toy.method, lost.entries, 0.5).measure == Measure("loss", 0.5)
