"""Statistics within seeds and over tasks against the installed libraries; `make test-peers` runs it."""

import numpy as np
import pytest

from sgbench.statistics.blocks import contrast
from sgbench.statistics.equivalence import equivalence_p
from sgbench.statistics.random_effects import random_effects
from sgbench.statistics.solved import compare_shares, wilson

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, while they are imported


def test_two_one_sided_tests_are_those_of_statsmodels() -> None:
    """Reference: statsmodels.stats.weightstats.ttost_paired."""
    weightstats = pytest.importorskip("statsmodels.stats.weightstats")
    random = np.random.default_rng(1)
    for _ in range(10):
        a, b = random.normal(size=(2, 9))
        result = contrast([a, b], [1, -1])
        ours = equivalence_p(result.estimate, result.error, result.degrees, 0.8, seeds=9)
        assert ours == pytest.approx(weightstats.ttost_paired(a, b, -0.8, 0.8)[0])


@pytest.mark.parametrize(("estimator", "name"), [("paule_mandel", "iterated"), ("dersimonian_laird", "chi2")])
def test_random_effects_are_those_of_statsmodels(estimator: str, name: str) -> None:
    """Reference: statsmodels' combine_effects and Hartung-Knapp row; its DL is not cut at 0, so tasks differ much.

    Its Paule-Mandel iteration ends within 1e-5 of its equation, hence 1e-4 here.
    """
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    random = np.random.default_rng(2)
    for tasks in (3, 7, 15):
        effects, errors = 2 * random.normal(size=tasks), random.uniform(0.1, 0.9, tasks)
        ours = random_effects(effects, errors, estimator=estimator)  # type: ignore[arg-type]
        theirs = meta.combine_effects(effects, errors**2, method_re=name, use_t=True)
        assert ours.tau_squared == pytest.approx(theirs.tau2, abs=1e-4)
        assert ours.mean == pytest.approx(theirs.mean_effect_re, abs=1e-4)
        assert ours.error == pytest.approx(theirs.sd_eff_w_re_hksj, abs=1e-4)
        assert ours.q == pytest.approx(theirs.q)
        # The last interval of four: random effects, with Hartung and Knapp's error.
        assert (ours.low, ours.high) == pytest.approx(tuple(theirs.conf_int(use_t=True)[3]), abs=1e-4)


def test_shares_are_those_of_statsmodels() -> None:
    """Reference: statsmodels' proportion_confint (Wilson) and confint_proportions_2indep (Newcombe)."""
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for solved_a, solved_b in ((3, 7), (10, 0), (9, 4), (5, 5)):
        share = wilson(solved_a, 10)
        expected = proportion.proportion_confint(solved_a, 10, method="wilson")
        assert (share.low, share.high) == pytest.approx(expected, abs=1e-12)
        ours = compare_shares(solved_a, 10, solved_b, 12)
        theirs = proportion.confint_proportions_2indep(solved_a, 10, solved_b, 12, method="newcomb")
        assert (ours.low, ours.high) == pytest.approx(theirs)
