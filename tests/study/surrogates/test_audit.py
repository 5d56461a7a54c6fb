"""The rule of void records, read off the rates that records store."""

from sgbench.records.content import RateCurve
from sgbench.study_runner.store import StoreEntry
from study.reporting.pages.text import StudyPage
from study.surrogates.analysis.report import NOT, audited, is_crowded
from tests.leaderboard.factory import record


def entry(*rates: float, stored: bool = True) -> StoreEntry:
    """A void run of T4 whose layer fires with these rates, epoch by epoch."""
    curves = (RateCurve(name="hidden0", rate_per_step=rates),) if stored else None
    made = record(seed=len(rates)).model_copy(update={"validation_rates": curves})
    return StoreEntry("A3b", "T4", {}, made)


def test_a_record_is_crowded_from_one_epoch_above_the_rule_on():
    """By hand: 11 % is not above 11 %; one epoch is enough; without rates nobody knows."""
    assert is_crowded(entry(0.02, 0.11).record) is False
    assert is_crowded(entry(0.02, 0.12, 0.03).record) is True
    assert is_crowded(entry(0.5, stored=False).record) is None


def test_the_page_says_what_can_be_audited():
    """By hand: of two records with rates one is above; of two where one has none, that one is named."""
    page = StudyPage("budget.md", "What it took", ("before",))
    assert "1 of 2 above" in audited(page, [entry(0.2), entry(0.1)]).text()
    assert f"1 of 2 {NOT}" in audited(page, [entry(0.2), entry(0.2, stored=False)]).text()
    assert f"| A3b | T4 | 1 | {NOT} |" in audited(page, [entry(stored=False)]).text()


def test_nothing_void_is_nothing_said():
    """Expected: the page as it was."""
    page = StudyPage("budget.md", "What it took", ("before",))
    assert audited(page, []) is page
