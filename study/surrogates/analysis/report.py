"""The report on surrogates: decides every hypothesis and writes each page."""

from collections.abc import Iterable
from dataclasses import fields, replace

import numpy as np

from sgbench.recommendation.summary import SUMMARY
from sgbench.records.files import to_json
from sgbench.records.record import RunRecord
from sgbench.study_runner.store import Store, StoreEntry
from study.reporting.evidence import StudyEvidence
from study.reporting.pages import budget, depth, forgiving, regime_map, safety, tuning
from study.reporting.pages.text import StudyPage, table, with_titles
from study.reporting.report import Report, ReportInput
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.elsewhere import Elsewhere, files_read, read_elsewhere
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.hypotheses import all_hypotheses
from study.surrogates.analysis.initial import read_initial
from study.surrogates.analysis.pages import (
    claims,
    diagnosis,
    found_later,
    front,
    held_out,
    learning_rules,
    long_sequences,
    neurons,
    references,
    spikes,
    tuned,
    undecided,
)
from study.surrogates.analysis.pages.claims_outside import BOARD
from study.surrogates.analysis.plan import plan
from study.surrogates.analysis.starting import read_starts
from study.surrogates.analysis.summary import later_tasks, summarise

CROWDED = 0.11
"""Spikes a neuron and step of a hidden layer, after any epoch, above which a record of those days is void."""
TITLE = "## Which void records can be audited"
NOT = "cannot be audited: no rates of each epoch are stored"

PAGES = (
    regime_map,
    tuning,
    long_sequences,
    found_later,
    tuned,
    forgiving,
    spikes,
    safety,
    depth,
    diagnosis,
    learning_rules,
    neurons,
    held_out,
    claims,
    references,
    budget,
)
BOOTSTRAP_SEED = 19


def make_report(given: ReportInput, rules: Rules | None = None) -> Report:
    """Decide every hypothesis and write the pages of the report, with the summary for `sgbench recommend`.

    `given`: of the study, or of one that extends it, whose hypotheses are not decided. `rules`: how comparisons are
    decided; the registered ones by default.
    """
    evidence = find(given, rules or Rules())
    pages = [module.page(evidence) for module in PAGES]
    void = Store(given.folder, evidence.loaded.name).void_entries()
    pages[PAGES.index(budget)] = audited(pages[PAGES.index(budget)], void)
    if given.root is not None and evidence.results:
        claims = {result.name: result.claim for result in evidence.results}
        pages.append(undecided.page(plan(given), claims))
    beside = {} if evidence.summary is None else {SUMMARY: to_json(evidence.summary)}
    titles = {name: task.title for name, task in evidence.loaded.study.tasks.items()}
    written = [with_titles(page, titles) for page in (front.page(evidence, pages), *pages)]
    return Report(tuple(written), beside=beside, reads=tuple(map(str, files_read((BOARD,)))))


def find(given: ReportInput, rules: Rules) -> SurrogateEvidence:
    base = given.evidence
    loaded, scores = base.loaded, base.scores
    generator = np.random.Generator(np.random.PCG64(BOOTSTRAP_SEED))
    results = [] if loaded.study.extends else all_hypotheses(scores, rules, generator=generator)
    starts = read_starts(given.folder)
    summary = summarise(loaded, scores, given.entries, starts, base.manifest)
    evidence = SurrogateEvidence(
        **{field.name: getattr(base, field.name) for field in fields(StudyEvidence)},
        results=results,
        rules=rules,
        summary=summary,
        elsewhere=Elsewhere() if given.root is None else read_elsewhere(given.root, (BOARD,)),
        initial=read_initial(given.folder),
    )
    later = later_tasks(loaded, held_out.regrets_of_advice(evidence), given.entries, starts)
    return replace(evidence, summary=summary.model_copy(update={"later": later}))


def is_crowded(record: RunRecord) -> bool | None:
    """Return whether a layer fired above the rule's rate after an epoch; None where no rates are stored."""
    if record.validation_rates is None:
        return None
    return any(rate > CROWDED for curve in record.validation_rates for rate in curve.rate_per_step)


def audited(page: StudyPage, void: Iterable[StoreEntry]) -> StudyPage:
    found: dict[tuple[str, str], list[bool | None]] = {}
    for entry in void:
        found.setdefault((entry.block, entry.task), []).append(is_crowded(entry.record))
    if not found:
        return page
    rows = [[block, task, len(said), _text(said)] for (block, task), said in sorted(found.items())]
    says = (
        f"A record is void where a hidden layer fired in more than {100 * CROWDED:.0f} % of steps after an epoch, "
        "or all of its task are (amendment 9)."
    )
    parts = (*page.parts, TITLE, says, table(["block", "task", "void", "by the rule"], rows))
    return replace(page, parts=parts)


def _text(said: list[bool | None]) -> str:
    if None in said:
        lacking = said.count(None)
        return NOT if lacking == len(said) else f"{lacking} of {len(said)} {NOT}"
    return f"{sum(map(bool, said))} of {len(said)} above"
