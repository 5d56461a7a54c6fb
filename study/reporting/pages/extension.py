"""The report of a study on other tasks than those of the study that it extends: pages, and no hypotheses."""

from collections.abc import Sequence

from study.reporting.evidence import StudyEvidence
from study.reporting.pages import budget, depth, forgiving, regime_map, safety, tuning
from study.reporting.pages.text import StudyPage, links

NAME = "README.md"
TITLE = "Which surrogate gradient, when?"
PAGES = (regime_map, tuning, forgiving, safety, depth, budget)


def pages_of(evidence: StudyEvidence) -> tuple[StudyPage, ...]:
    pages = [module.page(evidence) for module in PAGES]
    return (front_page(evidence, pages), *pages)


def front_page(evidence: StudyEvidence, pages: Sequence[StudyPage]) -> StudyPage:
    """Write the front page of a study that runs another's blocks on its own tasks."""
    study = evidence.loaded.study
    parts = (
        study.about,
        f"{len(evidence.facts):,} runs are stored, of blocks {evidence.block_names}. The hypotheses of study "
        f"{study.extends} are about its own tasks; here is what its blocks measure on others.",
        links(pages),
    )
    return StudyPage(NAME, TITLE, parts)
