"""Intervals of means that end where scores do, against SciPy, by hand and by simulation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from sgbench.statistics.intervals import Scale, Summary, summarise

TRIALS = 4000
SEEDS = (2, 3, 5, 10)
PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
SHARES = [[0.9, 1.0], [0.98, 1.0, 0.99], [0.1, 0.11, 0.3, 0.2], [1.0, 1.0, 0.5], [0.5, 0.51]]


@pytest.mark.parametrize("values", SHARES)
def test_a_share_has_its_interval_on_the_logit(values: list[float]) -> None:
    """Reference: scipy's t.interval around the logit of the mean, whose error is s / sqrt(n) over m (1 - m)."""
    mean = float(np.mean(values))
    ends = stats.t.interval(0.95, len(values) - 1, special.logit(mean), stats.sem(values) / (mean * (1 - mean)))
    found = summarise(values, scale="share")
    assert (found.low, found.high) == pytest.approx(tuple(special.expit(ends)), rel=1e-9, abs=1e-300)
    assert found.mean == pytest.approx(mean)


def test_a_positive_number_has_its_interval_on_the_logarithm() -> None:
    """By hand: 0.03 and 0.05 have ln(0.04) +- 12.7062 x 0.01 / 0.04."""
    found = summarise([0.03, 0.05], scale="positive")
    reach = math.exp(12.7062 * 0.01 / 0.04)
    assert (found.low, found.high) == pytest.approx((0.04 / reach, 0.04 * reach), rel=1e-4)


def test_only_a_scale_keeps_an_interval_inside() -> None:
    """Must differ: Student's own ends of 90 and 100 % lie at 31.5 and 158.5 %; its half-width is kept."""
    real, share = summarise([0.9, 1.0]), summarise([0.9, 1.0], scale="share")
    assert (real.low, real.high) == pytest.approx((0.3147, 1.5853), abs=1e-4)
    assert share.half_width == real.half_width
    assert share.low is not None
    assert share.high is not None
    assert 0 <= share.low < 0.95 < share.high <= 1


@given(st.lists(st.integers(0, 360), min_size=2, max_size=8))
def test_shares_of_samples_stay_within_0_and_1(hits: list[int]) -> None:
    """Property: the mean lies in its interval, that within 0 and 1; shares of misses have the mirrored one."""
    found = summarise([hit / 360 for hit in hits], scale="share")
    other = summarise([1 - hit / 360 for hit in hits], scale="share")
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1
    assert (other.low, other.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-9)


def test_a_small_spread_has_the_interval_of_students() -> None:
    """Limit: at a spread of 1e-5 both ends are Student's to 1e-7."""
    values = [0.93, 0.93001, 0.92999]
    plain = summarise(values)
    scales: tuple[Scale, ...] = ("share", "positive")
    for scale in scales:
        found = summarise(values, scale=scale)
        assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=1e-7)


def test_seeds_that_tell_nothing_have_no_ends() -> None:
    """One seed has no interval; seeds that are all alike have one without a width, so no ends are told."""
    assert summarise([0.5], scale="share").ends is None
    for scale, value in (("share", 1.0), ("share", 0.0), ("share", 0.9), ("positive", 0.1), ("real", -1.0)):
        alike = summarise([value, value], scale=scale)  # type: ignore[arg-type]
        assert alike.ends is None
        assert (alike.low, alike.high) == pytest.approx((value, value))
    assert Summary(0.999999, 0.4, 2, "share").ends == pytest.approx((0.0, 1.0))
    assert Summary(1e-9, 10.0, 2, "positive").ends is not None


Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def of_samples(mean: float, spread: float) -> Draw:
    """Accuracies on 360 samples, about normal."""
    return lambda random, size: np.round(random.normal(mean, spread, size) * 360) / 360


def skewed(mean: float, spread: float) -> Draw:
    """Accuracies of a beta distribution on 1,000 samples, cut off at 100 %."""
    total = mean * (1 - mean) / spread**2 - 1
    return lambda random, size: np.round(random.beta(mean * total, (1 - mean) * total, size) * 1000) / 1000


def failing(share: float) -> Draw:
    """Runs that solve a task of two classes, or stay at one half."""
    return lambda random, size: np.where(random.random(size) < share, 0.5, 1.0)


def lognormal(spread: float) -> Draw:
    """Losses whose logarithms are normal."""
    return lambda random, size: np.exp(random.normal(0, spread, size))


CASES: dict[str, tuple[Draw, float, Scale]] = {
    "accuracy of 93 %, spread 1.1": (of_samples(0.93, 0.011), 0.93, "share"),
    "accuracy of 98.5 %, spread 1.5, skewed": (skewed(0.985, 0.015), 0.985, "share"),
    "accuracy of 95 %, spread 7, skewed": (skewed(0.95, 0.07), 0.95, "share"),
    "accuracy of 80 %, spread 10": (skewed(0.80, 0.10), 0.80, "share"),
    "one run of three fails, the others reach 100 %": (failing(1 / 3), 5 / 6, "share"),
    "loss, lognormal with a spread of 0.5": (lognormal(0.5), math.exp(0.125), "positive"),
}


def told(case: str) -> list[tuple[float, float]]:
    """What the page tells of a case: by number of seeds the coverage of Student's interval and of ours."""
    (line,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {case} |")]
    return [(float(student), float(ours)) for student, ours in re.findall(r"\| ([\d.]+), ([\d.]+) (?=\|)", line)]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_coverage_is_what_the_page_tells(case: str) -> None:
    """Simulation: within three binomial errors of the page's figure, of Student's interval and of ours."""
    draw, truth, scale = CASES[case]
    random, figures = np.random.default_rng(5), told(case)
    assert len(figures) == len(SEEDS)
    for seeds, figure in zip(SEEDS, figures, strict=True):
        covered = np.zeros(2)
        for row in draw(random, (TRIALS, seeds)):
            found = summarise(row.tolist(), scale=scale)
            low, high = found.low or 0.0, found.high or 0.0
            covered += [abs(found.mean - truth) <= (found.half_width or 0.0), low <= truth <= high]
        errors = [3 * math.sqrt(share * (1 - share) / TRIALS) for share in (np.array(figure) / 100)]
        assert all(abs(covered / TRIALS - np.array(figure) / 100) <= errors), (seeds, covered / TRIALS)
