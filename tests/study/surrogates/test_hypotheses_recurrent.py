"""Hypotheses on recurrent networks, on runs of a known truth: what is put in is found, what is taken out is not."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import ttest_rel

from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.scores import StudyScores
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.hypotheses_recurrent import best_width, h4, h5
from tests.study.surrogates.hypothesis_cases import RECURRENT, generator, width
from tests.study.truth import Outcome, noise, scores


def recurrent(best: float, fails: Callable[[StudyPoint], bool]) -> StudyScores:
    """Recurrent tasks: accuracy falls with the distance from the best width, and width 4 fails in some runs."""

    def truth(run: StudyPoint, settings: Cell) -> Outcome:
        if width(settings) == 4 and fails(run):
            return Outcome(failed=True)
        points = 80 - 12 * abs(np.log10(width(settings) / best)) + noise(run, 0.5)
        return Outcome(points, points, spikes=100.0)

    return scores(truth, ["A2"], tasks=RECURRENT)


def test_h4_confirmed_refuted_and_open() -> None:
    """Narrow and failing: confirmed. Wide: refuted. Narrow and never failing: refuted by the share alone."""
    narrow = h4(recurrent(0.1, lambda run: run.seed != 300), Rules(), generator=generator())
    assert narrow.alone == "confirmed"
    assert narrow.rows[0][2:7] == (0.1, 0.1, 0.1, 9, 10)
    assert h4(recurrent(2.0, lambda run: True), Rules(), generator=generator()).alone == "refuted"
    never = recurrent(0.1, lambda run: False)
    assert h4(never, Rules(), generator=generator()).alone == "refuted"
    third = h4(recurrent(0.1, lambda run: run.seed % 5 < 2), Rules(), generator=generator())
    assert third.alone == "open"


def test_the_best_width_against_all_resamples() -> None:
    """Oracle: all 27 equally likely resamples of three seeds; the drawn share is within five standard errors."""
    validation = np.array([[60.0, 80.0, 78.0], [75.0, 70.0, 66.0]])
    picks = np.array(list(itertools.product(range(3), repeat=3)))
    exact = float(np.mean([validation[1, pick].mean() > validation[0, pick].mean() for pick in picks]))
    found = best_width(validation, [0.1, 1.0], generator=generator(), resamples=20_000)
    assert 0.1 < exact < 0.4
    assert found.p_below == pytest.approx(2 * exact, abs=10 * (exact * (1 - exact) / 20_000) ** 0.5)
    assert found.width == 0.1


def remedies(
    *, cut_slope: float = 1.0, cut_level: float = 60.0, cut_fails: int = 0, clip_saves: bool = False
) -> StudyScores:
    """Recurrent tasks whose width 4 fails unless the gradient is cut, or clipping saves it."""

    def truth(run: StudyPoint, settings: Cell) -> Outcome:
        wide = np.log10(width(settings) / 0.05)
        if settings["network.recurrence_gradient"] == "cut":
            if (
                run.seed < 300 + cut_fails
                and width(settings) == 4
                and settings["surrogate"] == "atan"
                and run.task == "T4"
            ):
                return Outcome(failed=True)
            points = cut_level - cut_slope * wide
        elif width(settings) == 4 and not (clip_saves and settings.get("clip_norm")):
            return Outcome(failed=True)
        else:
            points = 80 - 15 * wide
        points += noise(run, 0.5)
        return Outcome(points, points)

    return scores(truth, ["A2", "B2"], tasks=RECURRENT)


@pytest.mark.slow
def test_h5_confirmed_and_each_way_to_refute_it() -> None:
    """Confirmed where the cut flattens and costs; refuted where it does not, fails, or where clipping helps."""
    result = h5(remedies(), Rules())
    assert result.alone == "confirmed"
    full = [
        80 + noise(StudyPoint("A2", "T4", {"surrogate": "atan", "width_fwhm": 0.05}, seed, ()), 0.5)
        for seed in range(300, 310)
    ]
    cell = {"surrogate": "atan", "width_fwhm": 0.05, "network.recurrence_gradient": "cut"}
    table = remedies()
    cut = [table.cell("T4", "map", cell, start="B2")[seed].accuracy for seed in range(300, 310)]
    assert result.rows[0][5] == pytest.approx(float(ttest_rel(cut, full).pvalue))
    assert h5(remedies(cut_slope=20.0), Rules()).alone == "refuted"
    assert h5(remedies(cut_level=90.0), Rules()).alone == "refuted"
    assert h5(remedies(cut_fails=1), Rules()).alone == "refuted"
    assert h5(remedies(clip_saves=True), Rules()).alone == "refuted"
    assert h5(remedies(cut_level=80.0), Rules()).alone == "open"
