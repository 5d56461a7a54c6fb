"""The front page: what was asked, what came out, what is open and why."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from sgbench.tables import p_text
from study.reporting.pages.extension import NAME, TITLE, front_page
from study.reporting.pages.text import StudyPage, details, links, table
from study.reporting.registration import SHORT
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.evidence import SurrogateEvidence

REMARKS = yaml.safe_load(Path(__file__).with_name("remarks.yaml").read_text(encoding="utf-8"))
PERCENT = 100


def page(evidence: SurrogateEvidence, pages: Sequence[StudyPage]) -> StudyPage:
    """Write the front page: verdicts, numbers, and what is open and why."""
    results = evidence.results
    words = [result.verdict for result in results]
    study = evidence.loaded.study
    if study.extends:
        return front_page(evidence, pages)
    parts = [
        f"{study.about}",
        f"Of the {len(results)} hypotheses written down before the first run: {words.count('confirmed')} "
        f"confirmed, {words.count('refuted')} refuted, {words.count('open')} open. "
        f"{len(evidence.facts):,} runs are stored, of blocks {evidence.block_names}.",
        "## Verdicts",
        verdict_table(results),
        f"A verdict follows p after Holm's correction for all hypotheses, at the registered level of "
        f"{evidence.rules.level:g}; of an open one p is the smaller of those for and against.",
        "## What the numbers say",
        "\n".join(f"- **{result.name}**: {result.why}." for result in results if result.rows) or "Nothing yet.",
        "## What is open, and why",
        "\n".join(f"- **{result.name}**: {_why_open(result)}" for result in results if result.verdict == "open")
        or "Nothing.",
        "## To keep in mind",
        "Written after the runs; no verdict rests on this.",
        remark_lines(),
        "## Pages",
        links(pages),
        _registered(evidence),
    ]
    numbers = [_rows(result, interval_level(result, evidence.rules)) for result in results if result.rows]
    return StudyPage(NAME, TITLE, (*parts, *(["## Numbers behind the verdicts", *numbers] if numbers else [])))


def verdict_table(results: Sequence[HypothesisResult]) -> str:
    """Write the table of verdicts with their p values."""
    rows = [
        [
            *(result.name, result.claim.replace("|", "/"), f"**{result.verdict}**", result.seeds),
            *(result.p, result.p_corrected),
        ]
        for result in results
    ]
    return table(["name", "hypothesis", "verdict", "seeds", "p", "p, Holm"], rows)


def _why_open(result: HypothesisResult) -> str:
    """Say why a hypothesis is open: runs are missing, the correction undecides it, or p is too large."""
    if result.p is None:
        return f"{result.why}." if result.why else f"{result.seeds}."
    if result.alone != "open":
        return (
            f"By itself it would be {result.alone} (p {p_text(result.p)}); after the correction it is open "
            f"(p {p_text(result.p_corrected)})."
        )
    return f"p {p_text(result.p_confirmed)} for it and {p_text(result.p_refuted)} against."


def _registered(evidence: SurrogateEvidence) -> str:
    """Say where the study was registered; empty outside of a checkout."""
    if evidence.registration is None:
        return ""
    return (
        f"Registered in [`{evidence.loaded.study.registration}`](../preregistration.md), commit "
        f"{evidence.registration.commit[:SHORT]}; deviations: {len(evidence.deviations)}, see "
        "[the last page](budget.md). Written by `python -m study report surrogates`."
    )


def _rows(result: HypothesisResult, level: str) -> str:
    has_ends = any(name.endswith("low") for name in result.header)
    return details(
        f"{result.name}: {result.cells}{f'; {level}' if has_ends else ''}", table(result.header, result.rows)
    )


def remark_lines() -> str:
    return "\n".join(f"- **{of}**: {says}" for of, says in REMARKS.items())


def interval_level(result: HypothesisResult, rules: Rules) -> str:
    """Write the level of the intervals of a hypothesis's table.

    `rules`: whose levels decide; two one-sided tests at a level have an interval of one minus twice that.
    """
    kinds = {"H2": "Wilson's", "H4": "by bootstrap, and Wilson's of shares", "H7": "of slopes"}
    if result.name in kinds:
        return f"intervals of 95 %, {kinds[result.name]}"
    level = rules.level / result.level_factor
    return f"intervals of {PERCENT * (1 - 2 * level):.3g} %, for two one-sided tests at {level:g}"
