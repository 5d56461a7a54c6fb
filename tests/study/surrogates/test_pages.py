"""What the pages say of runs with a known truth, each number by hand."""

import functools
import math
import re
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from sgbench.statistics.equivalence import equivalence_power
from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.scores import Score, StudyScores
from study.reporting.pages import depth, forgiving, regime_map, safety, tuning
from study.reporting.run_table import SLOPE_AT_REST
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages import found_later, references, spikes, tuned
from tests.study.surrogates.made import evidence
from tests.study.truth import SETTLED, Outcome, noise, scores, study, with_best


def width(settings: Cell) -> float:
    """The width of a run; 1 where it has none."""
    return float(str(settings["width_fwhm"] or 1))


def truth(run: StudyPoint, settings: Cell) -> Outcome:
    """Accuracy falls with the distance from width 0.5, triangle lies 3 points lower, width 4 fails on T4."""
    if run.task == "T4" and width(settings) == 4 and settings.get("network.recurrence_gradient") != "cut":
        return Outcome(failed=True)
    points = 92 - 10 * abs(math.log10(width(settings) / 0.5)) - 3 * (settings["surrogate"] == "triangle")
    points -= 4 * abs(math.log10(float(settings["optimizer.lr"] or 0.01) / 0.01))
    sent = 100 * math.exp(-SLOPE_AT_REST.get(str(settings["surrogate"]), 0.0))
    return Outcome(points + noise(run, 0.01), points, sent)


@functools.cache
def the_map() -> SurrogateEvidence:
    """The regime map and the remedies."""
    return evidence(scores(truth, ["A2", "B2"], settled=SETTLED))


def test_the_map_of_one_task_by_hand() -> None:
    """Width 0.5 is best; at width 1 triangle lies 3 points apart; from 0.5 to 0.02 is 10 log10(25) = 14 points."""
    text = regime_map.page(the_map()).text()
    line = next(line for line in text.splitlines() if line.startswith("| T1, "))
    assert " 0.5: 92.0 % | 3.0 | 3.0 | 14.0 | 0 |" in line
    failed = next(line for line in text.splitlines() if line.startswith("| T4, "))
    assert failed.endswith("| 45 of 360 |")


def test_heat_maps_and_the_best_of_n() -> None:
    """By hand: on Braille letters the best of all fifteen settings is the best cell, one setting is their mean."""
    page = tuning.page(the_map())
    text = page.text()
    assert {picture.name for picture in page.pictures} == {
        "tuning_T2d4.png",
        "tuning_T4.png",
        "tuning_T6.png",
        "tuning_best_of.png",
    }
    row = next(line for line in text.splitlines() if line.startswith("| atan | 0.5 | 0.01 |"))
    assert "| 92.0 |" in row
    widths, factors = (0.05, 0.2, 0.5, 1.0), (0.25, 1.0, 4.0)
    settings = [
        92 - 10 * abs(math.log10(wide / 0.5)) - 4 * abs(math.log10(factor)) for wide in widths for factor in factors
    ]
    mean = fmean([*settings, 10.0, 10.0, 10.0])
    assert f"| {mean:.1f} to 92.0 |" in next(line for line in text.splitlines() if line.startswith("| Braille"))


def test_forgiving_shares_by_hand() -> None:
    """Two points lie 0.2 decades to each side of 0.5: 0.4 of log10(200) decades; triangle never comes as close."""
    text = forgiving.page(the_map()).text()
    row = next(line for line in text.splitlines() if line.startswith("| T1 |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    share = 100 * 0.4 / math.log10(200)
    shown = dict(zip(SLOPE_AT_REST, cells[1:], strict=True))
    assert float(shown["atan"].split()[0]) == pytest.approx(share, abs=1.0)
    assert shown["triangle"].startswith("0 ")


def test_one_setting_for_every_task_by_hand() -> None:
    """Width 0.5 is best on each task, triangle 3 points lower; at 1 a shape loses 10 log10(2) = 3.0."""
    text = forgiving.page(the_map()).text()
    row = next(line for line in text.splitlines() if line.startswith("| atan at width 0.5 |"))
    assert all(float(cell) < 0.1 for cell in row.strip("|").split("|")[1:9] if cell.strip() != "0.0")
    assert "5 of 48 shapes and widths come within 2 points of the best on each of 8 tasks" in text
    listed = [line for line in text.splitlines() if " at width " in line and line.startswith("| ")]
    assert len(listed) == 8
    assert not any(line.startswith("| triangle at width 1 |") for line in listed)
    losses = {"T1": np.array([0.0, 1.0, 5.0]), "T4": np.array([9.0, 2.0, 0.0]), "T5": np.array([1.0, 1.0, 0.5])}
    assert forgiving.left_out_loss(losses, "T4") == (0, 9.0)  # of T1 and T5 alone the first is best


def test_spikes_at_equal_accuracy_by_hand() -> None:
    """Alike in accuracy, log_abs needs exp(0.20 - 0.33) = 0.88 of the spikes of atan; triangle is too low."""
    text = spikes.page(the_map()).text()
    row = next(line for line in text.splitlines() if line.startswith("| T1 |") and "log_abs" in line)
    assert float(row.split("|")[4]) == pytest.approx(math.exp(0.20 - 0.33), abs=0.01)
    low = next(line for line in text.splitlines() if line.startswith("| T1 |") and "triangle" in line)
    assert "does not reach it" in low
    assert "Block C2 is not stored yet" in text


def test_failures_by_remedy_by_hand() -> None:
    """At width 4 without the cut every run fails: 20 of 100 unclipped ones, and none of those with the cut."""
    text = safety.page(the_map()).text()
    rows = [line for line in text.splitlines() if line.startswith("| T4: recurrent gradient")]
    full = next(line for line in rows if "full, reset gradient detached, height peak1 |" in line)
    assert full.startswith("| T4: recurrent gradient full, reset gradient detached, height peak1 | 20 | 100 | 20.0 |")
    assert all("| 0 |" in line for line in rows if "gradient cut" in line)
    assert any("clipped at norm 1" in line for line in rows)


def test_the_tuned_comparison_by_hand() -> None:
    """Triangle lies 3 points below the other five on six tasks without a spread: worse; an SD of 3 / sqrt(6)."""
    table = scores(truth, ["A3b"], settled=with_best())
    page = tuned.page(evidence(table))
    text = page.text()
    row = next(line for line in text.splitlines() if line.startswith("| T3 | triangle |"))
    assert "| -3.0 (-3.0 to -3.0) | 2 |" in row
    assert row.endswith("| 10 | worse |")
    assert "the standard deviation between tuned shapes is 1.2 points over 6 tasks (1.2 to 1.2 by task)" in text
    assert "zero" in text
    assert len(page.pictures[0].numbers) == 5  # type: ignore[arg-type]


def test_depth_counts_runs_that_learn() -> None:
    """Six layers at gain 1 learn with the heaviest tail alone: 5 of 5 runs a width against 0; at gain 2 all do."""

    def learns(run: StudyPoint, settings: Cell) -> Outcome:
        alive = settings["init.gain"] != 1 or settings["surrogate.tail"] == 1.05
        return Outcome(90.0 if alive else 10.0, 90.0)

    text = depth.page(evidence(scores(learns, ["B1"]))).text()
    none, every = (", ".join(f"{runs} of 5 runs at width {width}" for width in ("0.1", "0.5", "1")) for runs in (0, 5))
    assert (
        f"With 6 layers: at gain 1 the most compact shape learns in {none}; at gain 1 the heaviest learns in "
        f"{every}; at gain 2 the most compact shape learns in {every}; at gain 2 the heaviest learns in {every}."
        in text
    )


def test_references_show_what_was_settled() -> None:
    """The settled setting of a task with the validation means of both shapes, by hand from its four runs."""
    table = scores(truth, ["A1"])
    cell = next(run.cell for run in table.runs if run.task == "T3")
    chosen = {key: value for key, value in cell.items() if key != "surrogate"}
    settled = {"A1": {"T3": [chosen]}}
    runs = [
        run for run in table.runs if run.task == "T3" and {**run.cell, "surrogate": ""} == {**cell, "surrogate": ""}
    ]
    means = [
        np.mean([run.validation for run in runs if run.cell["surrogate"] == shape]) for shape in ("atan", "triangle")
    ]
    text = references.page(evidence(StudyScores(table.study, settled, table.runs))).text()  # type: ignore[arg-type]
    row = next(line for line in text.splitlines() if line.startswith("| T3: "))
    assert len(runs) == 4
    assert f"| {means[0]:.1f} | {means[1]:.1f} |" in row
    assert "T1 is not settled yet: 64 runs are stored." in text


def test_power_of_the_margins_by_hand() -> None:
    """Differences of 1 and 3 points: a spread of the square root of 2; a bad setting does not count."""
    wanted = {("atan", 100): 91.0, ("triangle", 100): 90.0, ("atan", 101): 93.0, ("triangle", 101): 90.0}
    model = next(run for run in scores(truth, ["A1"]).runs if run.task == "T3")

    def made(setting: float, shape: str, seed: int, points: float) -> Score:
        cell = {**model.cell, "surrogate": shape, "optimizer.lr": setting}
        settings = {**model.settings, "surrogate": shape}
        return replace(model, cell=cell, settings=settings, seed=seed, accuracy=points, validation=points)

    good = [made(0.01, shape, seed, points) for (shape, seed), points in wanted.items()]
    bad = [made(0.05, shape, seed, points - 50 + 9 * (seed == 100)) for (shape, seed), points in wanted.items()]
    spread, settings = references.pair_spread([*good, *bad])
    assert (spread, settings) == (pytest.approx(math.sqrt(2)), 1)
    table = StudyScores(study().study, {}, [*good, *bad])
    text = references.page(evidence(table)).text()
    power = equivalence_power(2.0, math.sqrt(2 / 10), 9, level=Rules().look_level)
    assert f"| T3 | 2 | 1.41 | 1 | {100 * power:.0f} |" in text


def test_every_page_is_plain_markdown() -> None:
    """No page shows a Python value: no None, nan, or brackets of a tuple."""
    for module in (regime_map, tuning, forgiving, spikes, safety):
        assert not re.search(r"\bNone\b|\bnan\b|\(np\.|\binf\b", module.page(the_map()).text()), module.__name__


def found_later_truth(run: StudyPoint, settings: Cell) -> Outcome:
    """An attached reset gives 5 points at width 0.5, clipping takes 2; activity with a cost 3, half the spikes."""
    costly = float(str(settings.get("regulariser.upper_strength") or 0)) == 0.1
    wide = width(settings) == 0.5
    attached, clipped = settings.get("neuron.reset_gradient") == "attached", settings.get("clip_norm") == 1
    points = 80 + 4 * (not wide) + 5 * (attached and wide) + 3 * costly - 2 * clipped
    return Outcome(points, points, 50.0 if costly else 100.0)


def test_what_was_found_later_by_hand() -> None:
    """Expected: 5 points at width 0.5, 0 elsewhere; best against best 85 - 84 = 1; 3 points at half the spikes."""
    text = found_later.page(evidence(scores(found_later_truth, ["A2", "B2", "C2"], settled=SETTLED))).text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    wide = [row for row in rows if len(row) == 7 and "recurrent" in row[0]]
    reset = {(row[1], row[2]): row[3:6] for row in wide if row[6].endswith("of 5")}
    assert {row[5] for row in wide if row[6].isdigit()} == {"-2.0 (-2.0 to -2.0)"}
    assert reset["atan", "0.5"] == ["80.0", "85.0", "5.0 (5.0 to 5.0)"]
    assert reset["triangle", "0.2"] == ["84.0", "84.0", "0.0 (0.0 to 0.0)"]
    assert sum("each at its best, is 1.0 (1.0 to 1.0) points" in line for line in text.splitlines()) == 4
    activity = [row[2:] for row in rows if len(row) == 6 and row[0] != "task" and not row[0].startswith(":")]
    assert activity == [["84.0", "87.0", "3.0 (3.0 to 3.0)", "0.5"]] * 6
    assert "changes by 3.0 (3.0 to 3.0) points, with 0.50 times the spikes" in text
