"""Widths chosen by the other seeds, their losses, and the registered tests against SciPy's and sums by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from sgbench.study_runner.definition import load_study
from sgbench.study_runner.store import Store
from study.recipes.analysis.carried import OTHERS, PLAIN, PLANNED, WAYS, WidthLoss, accuracies, claim, loss, whole_seeds
from study.recipes.analysis.report import WIDTHS, answer
from study.reporting.report import make_report
from study.reporting.verdicts import corrected, limits, p_below
from tests.rooms import ROOT

COSINE = OTHERS[0]


def runs_by_hand() -> dict:
    """Two widths, three seeds: (validation, test). The plain way prefers 0.1 but for the choice without seed 2."""
    return {
        PLAIN: {0.1: {0: (90, 50), 1: (80, 50), 2: (95, 50)}, 0.5: {0: (70, 0), 1: (85, 0), 2: (80, 0)}},
        COSINE: {0.1: {0: (10, 40), 1: (20, 41), 2: (30, 42)}, 0.5: {0: (50, 45), 1: (60, 43), 2: (20, 41)}},
    }


def test_a_seed_takes_no_part_in_its_own_choice():
    """Expected by hand: the plain way has 175 to 165, 185 to 150 and 170 to 155 for 0.1."""
    found = loss("task", runs_by_hand(), COSINE, [0, 1, 2])
    assert found.kept == (0.1, 0.1, 0.1)
    assert found.own == (0.5, 0.5, 0.5)
    assert found.points == (45 - 40, 43 - 41, 41 - 42)
    other = runs_by_hand()
    other[COSINE][0.1][2] = (95, 42)  # without seed 2 the choice stays; with it, for seeds 0 and 1, it is 0.1
    assert loss("task", other, COSINE, [0, 1, 2]).own == (0.1, 0.1, 0.5)


@pytest.mark.parametrize("points", [(1.0, 2.0, 0.5, 4.0), (5.0, 6.5, 4.0, 7.0), (3.0, 3.1, 2.9, 3.0)])
def test_p_values_and_limits_are_those_of_scipy(points):
    test = stats.ttest_1samp(points, 3.0, alternative="less")
    assert p_below(points, 3.0) == pytest.approx(test.pvalue, rel=1e-12)
    both = stats.ttest_1samp(points, 0.0).confidence_interval(0.95)
    assert limits(points, 0.025) == pytest.approx((both.low, both.high), rel=1e-12)


@pytest.mark.parametrize(
    ("means", "verdict"),
    [((0.0, 0.5, 1.0, -1.0), "confirmed"), ((0.0, 0.0, 0.0, 9.0), "refuted"), ((0.0, 0.0, 0.0, 3.0), "open")],
)
def test_verdict_needs_every_task_or_one_that_loses_much(means, verdict):
    """Expected: losses of 1 point spread around the means; below 3 on all, far above 3 on one, at 3 on one."""
    spread = np.linspace(-1, 1, PLANNED)
    found = [WidthLoss(str(place), COSINE, tuple(mean + spread), (), ()) for place, mean in enumerate(means)]
    same = [WidthLoss(str(place), OTHERS[1], tuple(2 + 4 * spread), (), ()) for place in range(4)]
    claims = corrected([claim(COSINE, found, 4), claim(OTHERS[1], same, 4)])
    assert [one.verdict for one in claims] == [verdict, "open"]
    p = [stats.ttest_1samp(one.points, 3.0, alternative="less").pvalue for one in found]
    assert claims[0].p_confirmed == pytest.approx(max(p))
    assert claims[0].p_refuted == pytest.approx(min(1, 4 * min(1 - each for each in p)))
    assert f"points on 4 of 4 tasks (below 0 it gained). That it costs less than 3 is {verdict}." in answer(
        claims, {COSINE: found, OTHERS[1]: same}, 4
    )


def test_no_test_before_all_is_stored():
    """Must match: open, without a p-value, with a seed or a task too few. Must differ: a p-value with all."""
    full = [WidthLoss(str(place), COSINE, (0.0,) * PLANNED, (), ()) for place in range(4)]
    fewer = [*full[:3], WidthLoss("3", COSINE, (0.0,) * (PLANNED - 1), (), ())]
    for found in (full[:3], fewer, []):
        assert claim(COSINE, found, 4).p is None
    assert claim(COSINE, full, 4).p == 0.0
    said = answer([claim(way, fewer, 4) for way in OTHERS], dict.fromkeys(OTHERS, fewer), 4)
    assert "These are estimates of 7 or more seeds a task; the tests need all 4 tasks with 8." in said


def entry(way: str, width: float, seed: int, accuracy: float | None) -> SimpleNamespace:
    scores = None if accuracy is None else SimpleNamespace(accuracy=accuracy)
    optimizer, schedule = WAYS[way]
    return SimpleNamespace(
        task="order",
        cell={"optimizer": optimizer, "schedule": schedule, "surrogate": "atan", "width_fwhm": width},
        record=SimpleNamespace(seed=seed, validation=scores, test=scores, classes=4),
    )


def test_failed_runs_count_as_guessing_and_seeds_count_when_whole():
    entries = [
        entry(way, width, seed, None if (way, width, seed) == (COSINE, 0.5, 1) else 0.75)
        for way in WAYS
        for width in (0.1, 0.5)
        for seed in (0, 1, 2)
        if (way, width, seed) != (PLAIN, 0.1, 2)
    ]
    runs = accuracies(entries)["order"]
    assert runs[COSINE][0.5] == {0: (75.0, 75.0), 1: (25.0, 25.0), 2: (75.0, 75.0)}
    assert whole_seeds(runs, 2) == [0, 1]
    assert whole_seeds(runs, 3) == []


@pytest.mark.slow
def test_the_page_is_that_of_the_records():
    """Must match: the page in docs. Independent: mean test accuracies of every width and way, added up here."""
    store = Store(ROOT / "study" / "recipes", "recipes")
    report = make_report(load_study("recipes"), store, checkout=None)
    (page,) = report.pages
    assert page.text() == (ROOT / "docs" / "recipes" / "README.md").read_text()
    entries = list(store.entries())
    for task in {entry.task for entry in entries}:
        runs = accuracies(entry for entry in entries if entry.task == task)[task]
        seeds = whole_seeds(runs, WIDTHS)
        if len(seeds) < 2:
            continue
        for way, (optimizer, schedule) in WAYS.items():
            means = [
                np.mean(
                    [
                        100 * (one.record.test.accuracy if one.record.test else 1 / one.record.classes)
                        for one in entries
                        if one.task == task
                        and one.record.seed in seeds
                        and one.cell["optimizer"] == optimizer
                        and one.cell["schedule"] == schedule
                        and one.cell["width_fwhm"] == width
                    ]
                )
                for width in (0.05, 0.1, 0.2, 0.5, 1)
            ]
            assert f"| {way} | " + " | ".join(f"{mean:.1f}" for mean in means) + " |" in page.text()
