"""Statistics of boards against the installed libraries that have them; `make test-peers` runs it."""

import numpy as np
import pytest

from sgbench.statistics.across_tasks import interquartile_mean, performance_profile, rank_test
from sgbench.statistics.equivalence import seeds_needed
from sgbench.statistics.pairs import holm, probability_of_improvement
from sgbench.statistics.same_samples import mcnemar
from sgbench.statistics.tuning_curves import Trial, expected_best

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported
RANDOM = np.random.default_rng(0)


def test_holm_is_that_of_statsmodels() -> None:
    """Reference: statsmodels.stats.multitest.multipletests(method="holm")."""
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for n in (1, 2, 7, 40):
        p = RANDOM.uniform(size=n) ** 3
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_mcnemar_is_that_of_statsmodels() -> None:
    """Reference: statsmodels.stats.contingency_tables.mcnemar(exact=True)."""
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    for _ in range(20):
        a, b = RANDOM.random((2, 60)) < 0.7
        table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
        assert mcnemar(a, b).p == pytest.approx(tables.mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0, 1.7])
def test_seeds_needed_are_those_of_statsmodels(effect: float) -> None:
    """Reference: statsmodels.stats.power.TTestPower, rounded up."""
    power = pytest.importorskip("statsmodels.stats.power")
    found = power.TTestPower().solve_power(effect, power=0.8, alpha=0.05, alternative="two-sided")
    assert seeds_needed(effect, 1.0) == int(np.ceil(found))


def test_critical_difference_is_where_scikit_posthocs_has_it() -> None:
    """Reference: Nemenyi's p-values cross 5 % exactly where mean ranks differ by the critical difference."""
    posthocs = pytest.importorskip("scikit_posthocs")
    for _ in range(5):
        scores = RANDOM.normal(size=(12, 5)) + np.arange(5) / 2
        found = rank_test(scores)
        p = posthocs.posthoc_nemenyi_friedman(scores).to_numpy()
        apart = np.abs(np.subtract.outer(found.mean_ranks, found.mean_ranks)) >= found.critical_difference
        assert ((p < 0.05) == apart).all()


def test_across_tasks_is_that_of_rliable() -> None:
    """Reference: rliable's aggregate_iqm, probability_of_improvement and run_score_deviation."""
    metrics = pytest.importorskip("rliable.metrics")
    library = pytest.importorskip("rliable.library")
    scores, others = RANDOM.normal(size=(2, 8, 6))  # [runs, tasks]
    assert interquartile_mean(list(scores.T)) == pytest.approx(metrics.aggregate_iqm(scores))
    theirs = metrics.probability_of_improvement(scores[:, :1], others[:, :1])
    unpaired = probability_of_improvement(dict(enumerate(scores[:, 0])), dict(enumerate(others[:, 0], start=100)))
    assert unpaired.probability == pytest.approx(theirs)
    thresholds = np.linspace(-2, 2, 17)
    profile = [library.run_score_deviation(scores, threshold) for threshold in thresholds]
    assert performance_profile(list(scores.T), thresholds) == pytest.approx(profile)


def test_expected_best_is_that_of_opda() -> None:
    """Reference: opda's average tuning curve (plug-in) lies below ours and meets it at one trial."""
    nonparametric = pytest.importorskip("opda.nonparametric")
    scores = RANDOM.uniform(size=20)
    ours, _ = expected_best([Trial(score, score, None, 1, 0) for score in scores])
    theirs = nonparametric.EmpiricalDistribution(scores).average_tuning_curve(np.arange(1, 21))
    assert ours[0] == pytest.approx(theirs[0])
    assert (ours[1:] > theirs[1:]).all()
    assert ours[-1] == pytest.approx(scores.max())
