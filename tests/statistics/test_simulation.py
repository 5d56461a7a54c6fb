"""How often tests and intervals err, with the spreads of pilot runs and with tasks of all or nothing.

Each tolerance is three binomial standard errors of the number of simulated tables, `error`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sgbench.statistics.blocks import contrast
from sgbench.statistics.equivalence import equivalence_p, equivalence_power
from sgbench.statistics.forgiving import forgiving_line, forgiving_plane
from sgbench.statistics.pairs import holm
from sgbench.statistics.random_effects import random_effects
from sgbench.statistics.solved import boschloo_table, compare_shares, wilson
from sgbench.statistics.spikes_at_accuracy import spike_ratio
from study.surrogates.analysis.hypotheses import trend
from study.surrogates.analysis.statistics.many_to_one import against_reference, dunnett_quantile
from tests.statistics.many_tables import equality_p, p_values, pair, residual_variance, sphericity
from tests.statistics.pilots import SOLVED, SPREADS, mixtures, tables

TRIALS = 20_000
FEW = 2_000
UNEQUAL = [name for name in SPREADS if name != "equal"]
MIXED = (0.2, 0.9, 0.9, 0.5, 0.5, 0.5)


def error(share: float, trials: int) -> float:
    """Three standard errors of a simulated share."""
    return 3 * math.sqrt(share * (1 - share) / trials)


def noisiest(name: str) -> tuple[int, int]:
    """The two methods that vary most."""
    second, first = np.argsort(SPREADS[name], kind="stable")[-2:]
    return int(first), int(second)


def test_simulated_tests_are_those_of_the_package(random: np.random.Generator) -> None:
    """The vectorised tests of this file agree with the package's own on each of 20 tables."""
    simulated = tables(random, SPREADS["digits, 4 layers"], 20, 6)
    for pooled, name in ((False, "paired"), (True, "pooled")):
        p, equal = (p_values(simulated, 1, 4, pooled=pooled), equality_p(simulated, 1, 4, 2.0, pooled=pooled))
        for table, p_value, p_equal in zip(simulated, p, equal, strict=True):
            result = contrast(table, [0, 1, 0, 0, -1, 0], error=name)  # type: ignore[arg-type]
            assert result.p == pytest.approx(p_value)
            ours = equivalence_p(result.estimate, result.error, result.degrees, 2.0, seeds=6)
            assert ours == pytest.approx(p_equal)


@pytest.mark.parametrize("name", ["equal", "digits, 4 layers"])
def test_the_paired_error_holds_its_level_and_the_pooled_one_only_where_methods_vary_alike(name: str) -> None:
    """5 % of 4000 tables for the paired error of the two noisiest methods; above 10 % for the pooled one."""
    simulated = tables(np.random.default_rng(1), SPREADS[name], 2 * FEW, 5)
    paired, pooled = ((p_values(simulated, *noisiest(name), pooled=pooled) <= 0.05).mean() for pooled in (False, True))
    assert paired == pytest.approx(0.05, abs=error(0.05, 2 * FEW))
    if name == "equal":
        assert pooled == pytest.approx(0.05, abs=error(0.05, 2 * FEW))
    else:
        assert pooled > 0.1


def test_equality_is_claimed_wrongly_in_at_most_five_of_a_hundred() -> None:
    """At a true difference of the margin, 4000 tables; at none the power is the exact one."""
    simulated = tables(np.random.default_rng(2), SPREADS["equal"], 2 * FEW, 10)
    at_margin = simulated.copy()
    at_margin[:, 1] += 2.0
    for pooled in (False, True):
        wrong = (equality_p(at_margin, 0, 1, 2.0, pooled=pooled) <= 0.05).mean()
        assert wrong <= 0.05 + error(0.05, 2 * FEW)
        power = equivalence_power(2.0, 1.3 * math.sqrt(2 / 10), 45 if pooled else 9)
        shown = (equality_p(simulated, 0, 1, 2.0, pooled=pooled) <= 0.05).mean()
        assert shown == pytest.approx(power, abs=error(power, 2 * FEW))


def test_boschlos_level_holds_for_every_share() -> None:
    """Exact, by enumeration: at ten seeds each the two-sided level is at most 5 % at 99 common shares."""
    one_sided = boschloo_table(10, 10)
    found = np.minimum(one_sided, one_sided[::-1, ::-1]) <= 0.025
    for share in np.linspace(0.01, 0.99, 99):
        chance = stats.binom.pmf(np.arange(11), 10, share)
        assert chance @ found @ chance <= 0.05


def test_hartung_and_knapp_cover_where_the_normal_interval_does_not() -> None:
    """Seven tasks that differ, 300 studies: 95 % against about 89 % with the same tau^2."""
    covered, normal, trials = 0, 0, 300
    random = np.random.default_rng(3)
    errors = np.array([0.5, 1.0, 0.8, 0.7, 0.4, 1.5, 1.9])
    for _ in range(trials):
        effects = random.normal(0, 1.5, 7) + random.normal(size=7) * errors
        result = random_effects(effects, errors)
        covered += result.low <= 0 <= result.high
        normal += abs(result.mean) <= 1.96 / math.sqrt((1 / (errors**2 + result.tau_squared)).sum())
    assert covered / trials == pytest.approx(0.95, abs=error(0.95, trials))
    assert normal < covered


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("name", SPREADS)
def test_level_of_paired_and_pooled_differences(name: str, seeds: int) -> None:
    """20,000 tables: paired 5 % for the noisiest and the steadiest pair; pooled wrong by a factor both ways."""
    simulated = tables(np.random.default_rng(seeds), SPREADS[name], TRIALS, seeds)
    steady = tuple(int(method) for method in np.argsort(SPREADS[name], kind="stable")[:2])
    for two in (noisiest(name), steady):
        level = (p_values(simulated, *two, pooled=False) <= 0.05).mean()
        assert level == pytest.approx(0.05, abs=error(0.05, TRIALS))
    loud, quiet = ((p_values(simulated, *two, pooled=True) <= 0.05).mean() for two in (noisiest(name), steady))
    if name == "equal":
        assert (loud, quiet) == pytest.approx((0.05, 0.05), abs=error(0.05, TRIALS))
    else:
        assert loud > 0.12
        assert quiet < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_level_where_runs_solve_or_do_not(seeds: int) -> None:
    """20,000 tables of runs at 50 or 100 %: paired at most 6 %; pooled 8 % or more where shares differ."""
    random = np.random.default_rng(seeds)
    alike, unlike = mixtures(random, SOLVED, TRIALS, seeds), mixtures(random, MIXED, TRIALS, seeds)
    for simulated in (alike, unlike):
        assert (p_values(simulated, 3, 4, pooled=False) <= 0.05).mean() < 0.06
    assert (p_values(alike, 3, 4, pooled=True) <= 0.05).mean() < 0.055
    assert (p_values(unlike, 3, 4, pooled=True) <= 0.05).mean() > 0.08


@pytest.mark.slow
def test_a_preliminary_test_does_not_mend_pooling() -> None:
    """20,000 tables of four layers: pooled where the guard lets it has 14 % at 5 seeds, paired 5 %; alike 5 %."""
    for name, low, high in (("equal", 0.04, 0.056), ("digits, 4 layers", 0.1, 0.19)):
        random = np.random.default_rng(4)
        simulated = tables(random, SPREADS[name], TRIALS, 5)
        bar = np.quantile(sphericity(random.normal(size=(TRIALS, 6, 5))), 0.1)
        pooled, paired = (p_values(simulated, *noisiest(name), pooled=pooled) for pooled in (True, False))
        guarded = np.where(sphericity(simulated) >= bar, pooled, paired)
        assert low < (guarded <= 0.05).mean() < high


@pytest.mark.slow
@pytest.mark.parametrize("name", SPREADS)
def test_family_level_against_a_reference(name: str) -> None:
    """20,000 tables of 10 seeds: any false difference of five in at most 5 %, Holm always, Dunnett where alike."""
    simulated = tables(np.random.default_rng(5), SPREADS[name], TRIALS, 10)
    p = np.stack([p_values(simulated, method, 0, pooled=False) for method in range(1, 6)])
    assert (p.min(axis=0) <= 0.05 / 5).mean() <= 0.05 + error(0.05, TRIALS)  # Holm's first step
    difference = np.stack([pair(simulated, method, 0, pooled=True)[0] for method in range(1, 6)])
    largest = np.abs(difference).max(axis=0) / np.sqrt(2 * residual_variance(simulated) / 10)
    family = (largest > dunnett_quantile(0.95, 5, 45)).mean()
    if name == "equal":
        assert family == pytest.approx(0.05, abs=error(0.05, TRIALS))
    if name in ("randman, 3 layers", "braille, recurrent"):
        assert family > 0.09
    for table in simulated[:20]:
        rows = against_reference(table)
        assert [row.p for row in rows] == pytest.approx(
            list(holm(np.array([contrast(table, weights(row.method)).p for row in rows])))
        )


def weights(method: int) -> list[float]:
    """Of a method minus the first of six."""
    return [-1.0] + [float(method == row) for row in range(1, 6)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SPREADS)
def test_false_equality_at_the_margin(name: str) -> None:
    """20,000 tables of 10 seeds: paired at most 5 % at a true difference of the margin, pooled up to twice that."""
    simulated = tables(np.random.default_rng(6), SPREADS[name], TRIALS, 10)
    first, second = noisiest(name)
    spread = math.hypot(SPREADS[name][first], SPREADS[name][second])
    simulated[:, first] += 2 * spread
    paired, pooled = (
        (equality_p(simulated, first, second, 2 * spread, pooled=pooled) <= 0.05).mean() for pooled in (False, True)
    )
    assert paired <= 0.05 + error(0.05, TRIALS)
    assert (pooled <= 0.05 + error(0.05, TRIALS)) == (name == "equal")


@pytest.mark.slow
@pytest.mark.parametrize("name", SPREADS)
def test_level_of_a_trend(name: str) -> None:
    """5000 tables of 5 seeds without a trend: one slope a seed has 5 % whatever the spreads are."""
    rest = [0.0, 0.06, 0.11, 0.20, 0.30, 0.33]
    simulated = tables(np.random.default_rng(7), SPREADS[name], 5000, 5)
    level = np.mean([trend(table, rest).p <= 0.05 for table in simulated])
    assert level == pytest.approx(0.05, abs=error(0.05, 5000))


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.7])
def test_level_and_coverage_of_solved_shares(alike: float) -> None:
    """2000 pairs of 10 seeds that solve 40 %: tests hold 5 %, also where the two share a part of their seeds."""
    random = np.random.default_rng(8)
    one_sided = boschloo_table(10, 10)
    boschloo = covered = wilson_covered = 0
    for _ in range(FEW):
        a = random.random(10) < 0.4
        b = np.where(random.random(10) < alike, a, random.random(10) < 0.4)
        result = compare_shares(int(a.sum()), 10, int(b.sum()), 10)
        boschloo += min(one_sided[a.sum(), b.sum()], one_sided[10 - a.sum(), 10 - b.sum()]) <= 0.025
        covered += result.low <= 0 <= result.high
        share = wilson(int(a.sum()), 10)
        wilson_covered += share.low <= 0.4 <= share.high
    assert boschloo / FEW <= 0.05 + error(0.05, FEW)
    assert covered / FEW >= 0.95 - error(0.05, FEW)
    assert wilson_covered / FEW >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "tau", "mean", "new"), [(7, 0.0, 0.92, 0.93), (7, 1.0, 0.9, 0.86), (7, 3.0, 0.93, 0.92)]
)
def test_coverage_of_random_effects(tasks: int, tau: float, mean: float, new: float) -> None:
    """2000 studies of 7 tasks and 10 seeds with pilot spreads: mean 93 to 95 %, a new task 88 to 95 %."""
    random = np.random.default_rng(9)
    spreads = np.array([1.54, 3.06, 2.44, 2.23, 1.28, 4.8, 6.0])
    covered = predicted = 0
    for _ in range(FEW):
        differences = random.normal(0, tau, tasks)[:, None] + random.normal(size=(tasks, 10)) * spreads[:, None]
        result = random_effects(differences.mean(axis=1), differences.std(axis=1, ddof=1) / math.sqrt(10))
        covered += result.low <= 0 <= result.high
        predicted += result.predicted_low <= random.normal(0, tau) <= result.predicted_high
    assert mean <= covered / FEW <= 0.965
    assert new <= predicted / FEW <= 0.965


WIDTHS = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0]
CURVES = np.array(
    [[60, 70, 78, 79, 70, 50, 45, 20], [50, 60, 72, 75, 72, 60, 50, 30], [74, 76, 79, 78.5, 77, 76, 74, 70]]
)
DEAD = np.array(
    [[10, 10, 10, 92, 94, 94, 93, 92], [92, 93, 93, 94, 93.5, 93, 92, 91], [9.7, 9.7, 9.7, 9.7, 9.7, 80, 93, 92]]
)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("spread", [1.0, 3.0])
@pytest.mark.parametrize("curves", [CURVES, DEAD], ids=["recurrent", "deep"])
def test_coverage_of_forgivingness(curves: np.ndarray, spread: float, seeds: int) -> None:
    """1000 grids: the interval of every method holds its true share in 83 % or more, the bootstrap in far fewer."""
    random = np.random.default_rng(10)
    true = [row.share for row in forgiving_line(curves[..., None], WIDTHS, tolerance=2.0)]
    true_cells = [row.share for row in forgiving_plane(curves[:, None, :, None], tolerance=2.0)]
    covered, covered_cells, resampled = np.zeros(3), np.zeros(3), np.zeros(3)
    for trial in range(1000):
        scores = curves[..., None] + random.normal(0, spread, (3, 8, seeds))
        rows = forgiving_line(scores, WIDTHS, tolerance=2.0)
        covered += [row.low - 1e-9 <= share <= row.high + 1e-9 for row, share in zip(rows, true, strict=True)]
        cells = forgiving_plane(scores[:, None], tolerance=2.0)
        covered_cells += [
            row.low - 1e-9 <= share <= row.high + 1e-9 for row, share in zip(cells, true_cells, strict=True)
        ]
        if trial < 50:
            drawn = [scores[..., random.integers(seeds, size=seeds)] for _ in range(100)]
            shares = [[row.share for row in forgiving_line(draw, WIDTHS, tolerance=2.0)] for draw in drawn]
            low, high = np.quantile(shares, [0.025, 0.975], axis=0)
            resampled += (low <= np.array(true) + 1e-9) & (high >= np.array(true) - 1e-9)
    assert (covered / 1000).min() > 0.83
    assert (covered_cells / 1000).min() > 0.75
    assert (resampled / 50).min() < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_coverage_of_spikes_at_accuracy(spread: float, seeds: int) -> None:
    """1000 pairs of fronts with 26 % fewer spikes: the jackknife's interval holds the ratio in 91 to 97 %."""
    random = np.random.default_rng(11)
    accuracy, spikes = np.array([80.0, 84, 87, 89, 90]), np.array([50.0, 80, 130, 220, 400])
    covered = given = 0
    for _ in range(1000):
        a, b = (accuracy[:, None] + random.normal(0, size, (5, seeds)) for size in (spread, 1.5 * spread))
        sa, sb = (spikes[:, None] * np.exp(random.normal(0, 0.1, (5, seeds))) for _ in range(2))
        result = spike_ratio(a, sa * math.exp(-0.3), b, sb, target=87.0)
        if result.low is not None and result.high is not None:
            given += 1
            covered += result.low <= math.exp(-0.3) <= result.high
    assert given > 980
    assert 0.895 <= covered / given <= 0.97
