"""Effects of attaching by height, against numbers and a network's arithmetic by hand."""

import math
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr

import sgbench
from study.attached_reset.analysis.heights import (
    Condition,
    claims,
    effects_of,
    low_effects,
    ordering,
    spearman,
    steep_effects,
)
from study.attached_reset.analysis.starts import mean_log_factor

PEAKS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
CONDITIONS = [Condition(task, width, beta) for task, width, beta in product("ab", (0.2, 0.5), (0.3, 0.6, 0.9))]


def test_an_effect_is_attached_minus_detached_over_whole_seeds() -> None:
    """Expected by hand: (80 + 90) / 2 - (70 + 60) / 2 = 20; a peak that lacks a seed is left out."""

    def stored(reset: str, seed: int, peak: float, accuracy: float) -> Any:
        cell = {"width_fwhm": 0.2, "neuron.beta": 0.9, "surrogate.scale": peak, "neuron.reset_gradient": reset}
        return SimpleNamespace(task="a_height", cell=cell, seed=seed, accuracy=accuracy)

    runs = [
        stored("attached", 1, 1, 80.0),
        stored("attached", 2, 1, 90.0),
        stored("detached", 1, 1, 70.0),
        stored("detached", 2, 1, 60.0),
        stored("attached", 1, 2, 80.0),
        stored("detached", 1, 2, 80.0),
    ]
    scores: Any = SimpleNamespace(
        block=lambda name: runs if name == "A3" else [],
        study=SimpleNamespace(blocks={"A3": SimpleNamespace(seeds=SimpleNamespace(count=2))}),
    )
    assert effects_of(scores) == {Condition("a", 0.2, 0.9): {1.0: 20.0}}


def test_bounds_choose_the_peaks() -> None:
    """Expected: below 1.3 the peak 1 alone, below 1.9 the peaks 1 and 1.4; steep are 5.6 and 8."""
    effects = {one: {peak: peak for peak in PEAKS} for one in CONDITIONS}
    low = low_effects(effects)
    assert low[Condition("a", 0.2, 0.3)] == 1.0
    assert low[Condition("a", 0.2, 0.9)] == pytest.approx(1.2)
    assert steep_effects(effects)[CONDITIONS[0]] == pytest.approx(6.8)


def test_a_clear_pattern_is_confirmed_and_its_reverse_refuted() -> None:
    """Expected: gains below the bound and losses at steep peaks confirm both; with the signs turned, neither."""
    effects = {one: {peak: 10.0 - 4 * peak + 0.1 * place for peak in PEAKS} for place, one in enumerate(CONDITIONS)}
    words = [one.verdict for one in claims(effects, None, whole=True)]
    assert words == ["confirmed", "confirmed", "open"]
    turned = {one: {peak: -effect for peak, effect in of.items()} for one, of in effects.items()}
    assert [one.verdict for one in claims(turned, None, whole=True)] == ["refuted", "refuted", "open"]
    assert all(one.verdict == "open" for one in claims(effects, None, whole=False))


def test_a_predictor_that_shifts_with_the_condition_orders_better() -> None:
    """Expected: effects that are minus the predictor correlate with -1, and the peak alone less; SciPy agrees."""
    predictors = {one: {peak: math.log(peak) + 2 * place for peak in PEAKS} for place, one in enumerate(CONDITIONS)}
    effects = {one: {peak: -number for peak, number in of.items()} for one, of in predictors.items()}
    found = ordering(effects, predictors)
    assert found.predictor == pytest.approx(-1.0)
    assert found.peak > -0.5
    assert found.p_better < 0.01 < found.p_worse
    first = torch.tensor([3.0, 1.0, 2.0, 2.0]).numpy()
    second = torch.tensor([1.0, 2.0, 3.0, 5.0]).numpy()
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_the_predictor_is_the_mean_logarithm_of_the_backward_factor() -> None:
    """Expected by hand: triangle of width 1 and peak 2 has slopes 2 and 1 at 0 and 0.5: log 1.1 and log 0.1."""
    triangle = sgbench.create("surrogate/triangle", width_fwhm=1.0, scale=2.0)
    found = mean_log_factor(torch.tensor([0.0, 0.5]), triangle, 0.9)
    assert found == pytest.approx((math.log(1.1) + math.log(0.1)) / 2, abs=1e-6)
