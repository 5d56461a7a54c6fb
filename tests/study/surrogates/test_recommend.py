"""What is recommended follows from the study's numbers: runs with a known truth, losses by hand."""

import functools
import json
import math
from pathlib import Path

import pytest
import snntorch
import torch
from torch import nn

import sgbench
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.recommendation.answer import MeasuredNetwork
from sgbench.recommendation.start import measure_module, measure_overrides
from sgbench.recommendation.summary import Shape, StudySummary, TaskSummary
from sgbench.study_runner.cells import Cell, StudyPoint
from study.reporting.run_table import SHAPES
from study.surrogates.analysis.fit import fit, held_out
from study.surrogates.analysis.report import summarise
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
                    layers=layers.get(name, 1), recurrent=name in recurrent, steps=100, start_spikes=STARTS.get(name)
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
    one, recurrent = fit(summary().tasks, ONE), fit(tasks("T4", "T5"), RECURRENT)
    assert one.best() == ("atan", 0.5, 1.0)
    assert recurrent.best() == ("atan", 0.1, 1.0)
    # Losses at 0.5 are 0, 10 log10 2 and 0 points.
    assert one.losses["atan", 0.5, 1.0] == pytest.approx(10 * math.log10(2) / 3, abs=0.05)


def test_long_sequences_are_a_kind_of_their_own() -> None:
    """By hand: between 100 and 1,300 steps the ratio decides, at the root of 130,000, which is 360.6."""
    long = summary().tasks["T1"].model_copy(update={"shape": Shape(layers=1, recurrent=True, steps=1300)})
    both = {**tasks("T4", "T5"), "T8": long}
    found = [fit(both, Shape(layers=1, recurrent=True, steps=steps)).best()[1] for steps in (90, 360, 361, 2000)]
    assert found == [0.1, 0.1, 0.5, 0.5]


def corrupted(task: TaskSummary, scale: float) -> TaskSummary:
    """The task with its scores turned round: what was best is worst."""
    return task.model_copy(
        update={
            "cells": tuple(
                cell.model_copy(
                    update={
                        name: tuple(scale * value for value in getattr(cell, name)) for name in ("score", "validation")
                    }
                )
                for cell in task.cells
            )
        }
    )


def test_corrupt_rows_of_one_task_move_the_answer() -> None:
    """It is a fit: with the scores of spoken digits and Braille letters turned round, their worst cell is taken."""
    whole = fit(tasks("T4", "T5"), RECURRENT).best()
    turned = {name: corrupted(task, -1.0) for name, task in tasks("T4", "T5").items()}
    moved = fit(turned, RECURRENT).best()
    assert whole == ("atan", 0.1, 1.0)
    assert moved == ("triangle", 4.0, 1.0)


def test_deep_networks_follow_the_task_that_starts_alike() -> None:
    """By the geometric mean over layers, 0.001 for none: the quiet task has 0.0023, the driven one 0.010."""
    quiet = fit(summary().tasks, Shape(layers=4, recurrent=False, steps=100, start_spikes=(0.02, 0, 0, 0)))
    driven = fit(summary().tasks, Shape(layers=3, recurrent=False, steps=100, start_spikes=(0.5, 0.02, 0)))
    assert (quiet.best()[1], driven.best()[1]) == (4.0, 0.5)
    assert "start not measured" in fit(summary().tasks, Shape(layers=4, recurrent=False, steps=100)).kind


def test_regret_on_a_task_that_was_left_out_by_hand() -> None:
    """Without T2d1 the others take 0.5, which loses it 10 log10(2) = 3 points."""
    found = {one.task: one for one in held_out(tasks("T1", "T2d1", "T3"))}
    assert found["T2d1"].place == ("atan", 0.5, 1.0)
    assert found["T2d1"].regret == pytest.approx(10 * math.log10(2), abs=0.05)
    assert held_out(tasks("T1")) == ()


def test_nothing_is_made_up_where_nothing_is_stored() -> None:
    """No task of the kind: one line."""
    with pytest.raises(InputError, match="no block of the regime map is stored for such networks yet"):
        fit({}, ONE)


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
    assert measure_module(Net(1.0), batch) == MeasuredNetwork(1, recurrent=False, steps=7, spikes_per_step=(1.0,))
    assert measure_module(Net(0.0), batch).spikes_per_step == (0.0,)
    with pytest.raises(InputError, match="Net: does not take the batch"):
        measure_module(Net(1.0), torch.ones(7, 5, 4))
    with pytest.raises(InputError, match="Linear: has no layer of snnTorch's neurons"):
        measure_module(nn.Linear(1, 1), batch)


@pytest.mark.slow
def test_the_network_of_words_starts_louder_with_larger_weights() -> None:
    """One layer of digits: nothing at a threshold beyond reach, more at twice the gain."""
    words = ["experiment=digits"]
    plain, loud = measure_overrides(words), measure_overrides([*words, "init.gain=2"])
    assert (plain.layers, plain.recurrent) == (1, False)
    assert plain.spikes_per_step is not None
    assert loud.spikes_per_step is not None
    assert 0 < plain.spikes_per_step[0] < loud.spikes_per_step[0]
    assert dict(loud.gains)["init.gain"] == 2
    silent = measure_overrides([*words, "neuron.threshold=1000"])
    assert silent.spikes_per_step == (0.0,)
    with pytest.raises(InputError, match="no hidden layer that sends spikes"):
        measure_overrides([*words, "network=linear"])


def test_the_command_and_python_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Words are built and measured; wrong ones are one line each."""
    assert main(["recommend", "experiment=digits", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    found = sgbench.recommend("experiment=digits")
    assert (told["surrogate"], told["width_fwhm"]) == (found.surrogate, found.width_fwhm)
    assert told["shape"]["spikes_per_step"] == list(found.measured.spikes_per_step or ())
    for words, says in (
        ([], "give the overrides of a run"),
        (["--layers", "2", "--start-spikes", "1"], "2 numbers of 0 or more"),
        (["--layers", "0"], "1 or more are needed"),
        (["--layers", "1", "--budget", "0"], "--budget 0: 1 or more"),
        (["--layers", "1", "--summary", str(tmp_path / "none")], "none"),
    ):
        assert main(["recommend", *words]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
