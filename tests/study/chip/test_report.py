"""The committed page is what the committed records give."""

import pytest

from sgbench.recommendation.block import read_block
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.store import Store
from study.reporting.report import make_report
from tests.rooms import ROOT


@pytest.mark.slow
def test_the_page_is_that_of_the_records() -> None:
    """Must match: page and picture in docs. Independent: each setting's mean test accuracy, added up here."""
    store = Store(ROOT / "study" / "chip", "chip")
    report = make_report(load_study("chip"), store, checkout=None)
    (page,) = report.pages
    assert page.text() == (ROOT / "docs" / "chip" / "README.md").read_text()
    assert report.stale(ROOT / "docs" / "chip") == ["README.md"]  # whose banner says that nobody compared commits
    text = page.text()
    for task in read_block(store.folder):
        for setting, runs in task.runs.items():
            mean = 100 * sum(run.test for run in runs) / len(runs)
            if all(run.counts is None for run in runs):
                name = f"width {setting.width_fwhm:g}, cost {setting.activity_cost:g}, {setting.weights}"
                assert name in text.partition("All runs failed of ")[2].partition("\n")[0]
            else:
                assert f"| {mean:.1f} %" in text, task.title
        wide = [run.test for setting, runs in task.runs.items() if setting.width_fwhm == 1 for run in runs]
        (row,) = [line for line in text.splitlines() if line.startswith("| width 1 |")]
        assert f"{100 * sum(wide) / len(wide):.1f} %," in row
    failed = sum(run.counts is None for task in read_block(store.folder) for runs in task.runs.values() for run in runs)
    assert f"{failed} of 360 runs failed" in text
