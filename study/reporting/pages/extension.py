"""The report of a study on other tasks than those of the study that it extends: pages, and no hypotheses."""

from __future__ import annotations

from collections.abc import Sequence

from study.reporting.findings import Findings
from study.reporting.pages import budget, depth, forgiving, regime_map, safety, tuning
from study.reporting.pages.text import StudyPage, links

NAME = "README.md"
TITLE = "Which surrogate gradient, when?"
PAGES = (regime_map, tuning, forgiving, safety, depth, budget)


def pages_of(findings: Findings) -> tuple[StudyPage, ...]:
    """Write the pages on blocks that any study of surrogates has, the front page first."""
    pages = [module.page(findings) for module in PAGES]
    return (front_page(findings, pages), *pages)


def front_page(findings: Findings, pages: Sequence[StudyPage]) -> StudyPage:
    """Write the front page of a study that extends another one and decides no hypothesis."""
    study = findings.loaded.study
    parts = (
        study.about,
        f"{len(findings.facts):,} runs are stored, of blocks {findings.block_names}. The hypotheses of study "
        f"{study.extends} are about its own tasks; here is what its blocks measure on others.",
        links(pages),
    )
    return StudyPage(NAME, TITLE, parts)
