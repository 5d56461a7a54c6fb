"""What is recommended follows from the study's numbers: runs with a known truth, losses by hand."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import snntorch
import torch
from torch import nn

import sgbench
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.recommendation.advice import advise, held_out
from sgbench.recommendation.fit import CellRegret, StudyFit, fit
from sgbench.recommendation.start import start_of_module, start_of_overrides
from sgbench.recommendation.summary import CellSummary, LaterTask, Shape, StudySummary, TaskSummary
from sgbench.records.files import to_json
from sgbench.study.cells import Cell, StudyPoint
from study.reporting.pages.shapes import SHAPES
from study.surrogates.analysis.summary import summarise
from tests.study.truth import SETTLED, Outcome, entries, noise, planned, scores, study

STARTS = {"T2d4": (0.03, 0.0, 0.0, 0.0), "T2d4g": (0.14, 0.04, 0.002, 0.0)}
BEST_WIDTH = {"T1": 0.5, "T2d1": 1.0, "T3": 0.5, "T4": 0.1, "T5": 0.1, "T2d4": 4.0, "T2d4g": 0.5}
PENALTY = dict(zip(SHAPES, (4.0, 2.0, 1.0, 0.0, 1.0, 2.0), strict=True))
ONE = Shape(layers=1, recurrent=False, steps=50)
RECURRENT = Shape(layers=1, recurrent=True, steps=90)


def truth(run: StudyPoint, settings: Cell) -> Outcome:
    """Ten points are lost for each decade away from a task's best width; heavier tails send fewer spikes."""
    width = float(str(settings["width_fwhm"] or 1))
    lost = 10 * abs(math.log10(width / BEST_WIDTH.get(run.task, 0.5))) + PENALTY[str(settings["surrogate"])]
    lost += 4 * abs(math.log10(float(settings["optimizer.lr"] or 0.01) / 0.01))
    points = 90 - lost + noise(run, 0.01)
    return Outcome(points, points, spikes=100 + 50 * (str(settings["surrogate"]) == "atan"))


@functools.cache
def summary() -> StudySummary:
    """The map of all tasks, with this truth."""
    runs = planned(study().study, ["A2"], SETTLED)
    first = {run.task: run for run in reversed(runs)}
    made_up = entries(first.values(), truth)
    made = summarise(study(), scores(truth, ["A2"]), made_up, STARTS, None)
    layers = {"T2d4": 4, "T2d4g": 4}
    recurrent = ("T4", "T5", "T6")
    shaped = {
        name: task.model_copy(
            update={
                "shape": Shape(
                    layers=layers.get(name, 1),
                    recurrent=name in recurrent,
                    steps=100,
                    start_spikes=STARTS.get(name),
                )
            }
        )
        for name, task in made.tasks.items()
    }
    return made.model_copy(update={"tasks": shaped})


def tasks(*names: str) -> dict[str, TaskSummary]:
    """Some tasks of it."""
    return {name: summary().tasks[name] for name in names}


def test_one_layer_and_recurrent_networks_get_other_widths() -> None:
    """By hand: 0.5 is best on two of three tasks of one layer and 1 costs them 3 points each; recurrent 0.1."""
    one, recurrent = (
        advise(summary(), ONE),
        advise(StudySummary(**{**dict(summary()), "tasks": tasks("T4", "T5")}), RECURRENT),
    )
    assert (one.surrogate, one.width_fwhm) == ("atan", 0.5)
    assert one.tasks == ("T1", "T2d1", "T3")
    assert (recurrent.surrogate, recurrent.width_fwhm) == ("atan", 0.1)
    assert recurrent.widths == (0.1, 0.1)
    # Losses at 0.5 are 0, 10 log10 2 and 0 points.
    assert one.loss.mean == pytest.approx(10 * math.log10(2) / 3, abs=0.05)
    assert list(one.loss.by_task.values()) == pytest.approx([0, 10 * math.log10(2), 0], abs=0.05)


def test_long_sequences_are_a_kind_of_their_own() -> None:
    """By hand: between 100 and 1,300 steps the ratio decides, at the root of 130,000, which is 360.6."""
    long = summary().tasks["T1"].model_copy(update={"shape": Shape(layers=1, recurrent=True, steps=1300)})
    both = StudySummary(**{**dict(summary()), "tasks": {**tasks("T4", "T5"), "T8": long}})
    found = {
        steps: advise(both, Shape(layers=1, recurrent=True, steps=steps)) for steps in (90, 360, 361, 2000)
    }
    assert [one.width_fwhm for one in found.values()] == [0.1, 0.1, 0.5, 0.5]
    assert found[361].tasks == ("T8",)
    assert "No out-of-sample figure" in str(found[361])
    assert (
        f"It is the best cell of '{long.title}', the only task of the kind, on the seeds that chose it (5 s"
        in str(found[361])
    )
    assert "(2 tasks, " in str(found[90])
    assert "361 steps (tasks of the kind have 1,300)" in found[361].unknown
    short = StudySummary(**{**dict(summary()), "tasks": tasks("T4", "T5")})
    alone = advise(short, Shape(layers=1, recurrent=True, steps=1300))
    assert (alone.width_fwhm, alone.unknown[0]) == (0.1, "1,300 steps (tasks of the kind have 100)")


def corrupted(task: TaskSummary, scale: float) -> TaskSummary:
    """The task with its scores turned round: what was best is worst."""
    return task.model_copy(
        update={
            "cells": tuple(
                cell.model_copy(
                    update={
                        name: tuple(scale * value for value in getattr(cell, name))
                        for name in ("score", "validation")
                    }
                )
                for cell in task.cells
            )
        }
    )


def test_corrupt_rows_of_one_task_move_the_answer() -> None:
    """It is a fit: with the scores of spoken digits and Braille letters turned round, their worst cell is taken."""
    whole = fit(tasks("T4", "T5"), RECURRENT).best("accuracy")
    turned = {name: corrupted(task, -1.0) for name, task in tasks("T4", "T5").items()}
    moved = fit(turned, RECURRENT).best("accuracy")
    assert whole == ("atan", 0.1, 1.0)
    assert moved == ("triangle", 4.0, 1.0)


def test_deep_networks_follow_the_task_that_starts_alike() -> None:
    """By the geometric mean over layers, 0.001 for none: the quiet task has 0.0023, the driven one 0.010."""
    quiet = advise(summary(), Shape(layers=4, recurrent=False, steps=100, start_spikes=(0.02, 0, 0, 0)))
    driven = advise(summary(), Shape(layers=3, recurrent=False, steps=100, start_spikes=(0.5, 0.02, 0)))
    assert (quiet.tasks, quiet.width_fwhm) == (("T2d4",), 4.0)
    assert (driven.tasks, driven.width_fwhm) == (("T2d4g",), 0.5)
    assert "No out-of-sample figure" in str(quiet)
    unmeasured = advise(summary(), Shape(layers=4, recurrent=False, steps=100))
    assert unmeasured.tasks == ("T2d4", "T2d4g")


def test_what_counts_changes_the_answer() -> None:
    """Atan sends half as many spikes again; sigmoid loses one point to it, which is within two."""
    assert advise(summary(), ONE).surrogate == "atan"
    assert advise(summary(), ONE, goal="spikes").surrogate != "atan"
    worst = advise(summary(), ONE, goal="safety")
    assert max(worst.loss.by_task.values()) <= max(advise(summary(), ONE).loss.by_task.values()) + 0.05


def test_learning_rates_and_settings_to_try() -> None:
    """References have a rate of 0.01; a factor of 4 costs 2.4 points, so that none but 1 is close."""
    found = advise(StudySummary(**{**dict(summary()), "tasks": tasks("T4", "T5")}), RECURRENT, budget=4)
    assert found.learning_rates == (0.01, 0.01)
    assert found.to_try[0] == ("surrogate=atan", "width_fwhm=0.1", "optimizer.lr=0.01")
    assert len(set(found.to_try)) == 4
    assert "90 steps (tasks of the kind have 100)" in found.unknown


def test_regret_on_a_task_that_was_left_out_by_hand() -> None:
    """Without T2d1 the others take 0.5, which loses it 10 log10(2) = 3 points."""
    found = {one.task: one for one in held_out(tasks("T1", "T2d1", "T3"))}
    assert found["T2d1"].place == ("atan", 0.5, 1.0)
    assert found["T2d1"].regret == pytest.approx(10 * math.log10(2), abs=0.05)
    assert held_out(tasks("T1")) == ()


def test_a_later_task_is_told_of_for_networks_of_its_kind_alone() -> None:
    """One regret, by hand, on a recurrent task; with it there is an out-of-sample figure even for a single task."""
    lost = LaterTask(title="volleys", shape=RECURRENT, regret=18.24, low=-11.7, high=48.1, seeds=10)
    known = StudySummary(**{**dict(summary()), "tasks": tasks("T4", "T2d1"), "later": {"K1": lost}})
    said = str(advise(known, RECURRENT))
    assert (
        "On a task that nobody had run (volleys), recommended before its first run: loss against its best cell "
        "18.2 points (-11.7 to 48.1), 10 seeds." in said
    )
    assert "No out-of-sample figure" not in said
    assert "volleys" not in str(advise(known, RECURRENT, goal="safety"))  # it was recommended for accuracy
    assert "volleys" not in str(advise(known, ONE))
    assert "No out-of-sample figure: the study has one task of this kind." in str(advise(known, ONE))


def test_nothing_is_made_up_where_nothing_is_stored() -> None:
    """No task of the kind, or none with a cell: one line."""
    empty = StudySummary(**{**dict(summary()), "tasks": {}})
    with pytest.raises(InputError, match="no block of the regime map is stored for such networks yet"):
        advise(empty, ONE)
    with pytest.raises(InputError, match="--budget 0: 1 or more"):
        advise(summary(), ONE, budget=0)


def test_cells_are_ranked_by_equal_weights_whatever_their_seeds_agree_on() -> None:
    """By hand: means of 1.0 and 1.1 over three tasks, where their first tasks alone would put the second first."""
    even, uneven = (
        {"T1": (1.0, 1.0), "T2d1": (1.0, 1.0), "T3": (1.0, 1.0)},
        {"T1": (-0.1, 0.1), "T2d1": (1.0, 2.0), "T3": (1.7, 1.9)},
    )
    losses = {
        ("atan", 0.5, 1.0): _regret(even),
        ("triangle", 0.5, 1.0): _regret(uneven),
    }
    assert StudyFit("networks", tasks("T1", "T2d1", "T3"), losses, {}).best("accuracy")[0] == "atan"


def _regret(by_task: Mapping[str, tuple[float, ...]]) -> CellRegret:
    """The loss of a cell, with a mean by other weights."""
    means = {task: sum(values) / len(values) for task, values in by_task.items()}
    return CellRegret(means["T1"], None, None, None, None, means, 5, 0.0)


def test_few_seeds_have_no_interval() -> None:
    """Four seeds: a mean and nothing else."""

    def cut(cell: CellSummary) -> CellSummary:
        names = ("seeds", "score", "validation", "log_spikes", "failed")
        return cell.model_copy(update={name: getattr(cell, name)[:4] for name in names})

    few: Mapping[str, TaskSummary] = {
        name: task.model_copy(update={"cells": tuple(map(cut, task.cells))})
        for name, task in tasks("T4", "T5").items()
    }
    loss = advise(StudySummary(**{**dict(summary()), "tasks": few}), RECURRENT).loss
    assert (loss.low, loss.high, loss.predicted_low, loss.seeds) == (None, None, None, 4)


# --- how a network starts


class Net(nn.Module):
    """Two layers of snnTorch's, driven so that a neuron fires at each step, or never."""

    def __init__(self, drive: float) -> None:
        super().__init__()
        self.inward = nn.Linear(3, 4, bias=False)
        nn.init.constant_(self.inward.weight, drive)
        self.hidden = snntorch.Leaky(beta=0.0, threshold=0.5)
        self.outward = nn.Linear(4, 2)
        self.answer = snntorch.Leaky(beta=0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Go through the steps."""
        first, last = self.hidden.init_leaky(), self.answer.init_leaky()
        sent = []
        for step in x:
            spikes, first = self.hidden(self.inward(step), first)
            out, last = self.answer(self.outward(spikes), last)
            sent.append(out)
        return torch.stack(sent)


def test_a_network_of_ones_own_is_measured_by_a_hand_count() -> None:
    """A neuron without memory whose input is 3 fires at each of 7 steps; without drive it never does."""
    batch = torch.ones(7, 5, 3)
    assert start_of_module(Net(1.0), batch) == Shape(layers=1, recurrent=False, steps=7, start_spikes=(7.0,))
    assert start_of_module(Net(0.0), batch).start_spikes == (0.0,)
    with pytest.raises(InputError, match="Net: does not take the batch"):
        start_of_module(Net(1.0), torch.ones(7, 5, 4))
    with pytest.raises(InputError, match="Linear: has no layer of snnTorch's neurons"):
        start_of_module(nn.Linear(1, 1), batch)


@pytest.mark.slow
def test_the_network_of_words_starts_louder_with_larger_weights() -> None:
    """One layer of digits: nothing at a threshold beyond reach, more at twice the gain."""
    words = ["experiment=digits"]
    plain, loud = start_of_overrides(words), start_of_overrides([*words, "init.gain=2"])
    assert (plain.layers, plain.recurrent) == (1, False)
    assert plain.start_spikes is not None
    assert loud.start_spikes is not None
    assert 0 < plain.start_spikes[0] < loud.start_spikes[0]
    silent = start_of_overrides([*words, "neuron.threshold=1000"])
    assert silent.start_spikes == (0.0,)
    with pytest.raises(InputError, match="no hidden layer that sends spikes"):
        start_of_overrides([*words, "network=linear"])


def test_the_command_and_python_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Words are built and measured; wrong ones are one line each."""
    path = tmp_path / "summary.json"
    path.write_bytes(to_json(summary()))
    assert main(["recommend", "experiment=digits", "--summary", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = sgbench.recommend("experiment=digits", summary=path)
    assert (told["surrogate"], told["width_fwhm"]) == (found.surrogate, found.width_fwhm) == ("atan", 0.5)
    assert main(["recommend", "--layers", "1", "--recurrent", "--summary", str(path)]) == 0
    assert "recurrent networks: take surrogate=" in capsys.readouterr().out
    for words, says in (
        ([], "give the overrides of a run"),
        (["--layers", "2", "--start-spikes", "1"], "2 numbers of 0 or more"),
        (["--layers", "0"], "1 or more are needed"),
        (["--layers", "1", "--summary", str(tmp_path / "none")], "no summary of a study"),
    ):
        more = [] if "--summary" in words else ["--summary", str(path)]
        assert main(["recommend", *words, *more]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
