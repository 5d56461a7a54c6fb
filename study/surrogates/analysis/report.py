"""The report on surrogates: decides every hypothesis and writes each page."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from sgbench.recommendation.summary import SUMMARY, CellSummary, LaterTask, Shape, StudySummary, TaskSummary
from sgbench.records.files import to_json
from sgbench.records.record import RunRecord
from sgbench.statistics.blocks import Contrast
from sgbench.study_runner.cells import Cell, rounded, task_reference
from sgbench.study_runner.definition import Loaded, Word
from sgbench.study_runner.scores import PERCENT, Score, StudyScores
from sgbench.study_runner.store import Manifest, Store, StoreEntry
from study.reporting.evidence import StudyEvidence
from study.reporting.pages import budget, depth, forgiving, regime_map, safety, tuning
from study.reporting.pages.text import StudyPage, table, with_titles
from study.reporting.report import Report, ReportInput
from study.reporting.run_table import SHAPES
from study.surrogates.analysis.comparisons import LIBRARY_DEFAULTS, LONG, LONG_MORE, MAP, Rules
from study.surrogates.analysis.elsewhere import Elsewhere, files_read, read_elsewhere
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.hypotheses import all_hypotheses
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
from study.surrogates.analysis.starting import read_initial, read_starts

TUNING, REPORT = "A3a", "A3b"


def summarise(
    loaded: Loaded,
    scores: StudyScores,
    entries: Sequence[StoreEntry],
    starts: Mapping[str, tuple[float, ...]],
    manifest: Manifest | None,
) -> StudySummary:
    """Summarise the records of a study: the cells of its regime map and of its long sequences, task by task.

    `scores`: of its runs; `entries`: the stored runs; `starts`: spikes that a neuron sends before training, by task and
    hidden layer, where they were measured.
    """
    tasks = {}
    for block in (MAP, LONG):
        is_there = block in loaded.study.blocks and scores.may_start(block)
        for name in loaded.study.blocks[block].tasks if is_there else ():
            first = next((entry for entry in entries if entry.task == name), None)
            if first is not None:
                tasks[name] = _task(name, block, scores, first, starts.get(name))
    shards = () if manifest is None else manifest.shards
    return StudySummary(
        study=loaded.name, study_sha256=loaded.sha256, shards=tuple(shard.sha256 for shard in shards), tasks=tasks
    )


def _task(
    name: str, block: str, scores: StudyScores, entry: StoreEntry, start: tuple[float, ...] | None
) -> TaskSummary:
    """Summarise a task for the recommendation: its kind of network, cells, library defaults and own best cells."""
    reference = task_reference(scores.study, block, name, scores.settled)
    cells = []
    for (surrogate, width, factor), cell in _grid(scores, name, reference.get("optimizer.lr")).items():
        runs = scores.cell(name, "map", cell, start=block)
        if runs:
            cells.append(_cell(surrogate, width, factor, runs))
    defaults = []
    for surrogate in LIBRARY_DEFAULTS if REPORT in scores.study.blocks else ():
        runs = scores.cell(name, "report", {"surrogate": surrogate, "width_fwhm": None}, start=REPORT)
        if runs:
            defaults.append(_cell(surrogate, None, 1.0, runs))
    return TaskSummary(
        title=scores.study.tasks[name].title,
        shape=_shape(entry, start),
        reference=dict(reference),
        cells=tuple(cells),
        defaults=tuple(defaults),
        own_best=tuple(_own_best(name, scores)),
    )


def _own_best(name: str, scores: StudyScores) -> Iterator[CellSummary]:
    """Yield the settled best cell of each shape, scored on seeds that report."""
    for cell in scores.settled.get(TUNING, {}).get(name, ()):
        runs = scores.cell(name, "report", cell, start=REPORT)
        rate = task_reference(scores.study, REPORT, name, scores.settled).get("optimizer.lr")
        if runs and isinstance(rate, int | float):
            factor = rounded(float(str(cell["optimizer.lr"])) / rate)
            yield _cell(str(cell["surrogate"]), float(str(cell["width_fwhm"])), factor, runs)


def _shape(entry: StoreEntry, start: tuple[float, ...] | None) -> Shape:
    """Return the kind of network that a task has."""
    method = entry.record.method
    return Shape(
        layers=len(method.protocol.hidden or ()) or 1,
        recurrent=method.parameters["network"].get("recurrence", "none") != "none",
        steps=method.protocol.steps,
        start_spikes=start,
    )


def later_tasks(
    loaded: Loaded,
    regrets: Mapping[str, Contrast],
    entries: Sequence[StoreEntry],
    starts: Mapping[str, tuple[float, ...]],
) -> dict[str, LaterTask]:
    """Summarise what the recommendation lost on tasks that the fit has nothing of."""
    firsts = {entry.task: entry for entry in reversed(entries)}
    return {
        task: LaterTask(
            title=loaded.study.tasks[task].title,
            shape=_shape(firsts[task], starts.get(task)),
            regret=regret.estimate,
            low=regret.low,
            high=regret.high,
            seeds=regret.seeds,
        )
        for task, regret in regrets.items()
    }


def _grid(scores: StudyScores, task: str, rate: Word) -> Mapping[tuple[str, float, float], Cell]:
    """Map shape, width and factor of the learning rate to the cell of the map."""
    widths: set[float] = set()
    factors = {1.0}
    blocks = [scores.study.blocks[name] for name in (MAP, LONG, LONG_MORE) if name in scores.study.blocks]
    for grid in (grid for block in blocks if task in block.tasks for grid in block.grids):
        if grid.tasks is None or task in grid.tasks:
            widths |= {float(str(value)) for value in grid.values.get("width_fwhm", ()) if value is not None}
            factors |= set(grid.factors.get("optimizer.lr", ()))
    cells: dict[tuple[str, float, float], Cell] = {}
    for shape in SHAPES:
        for width in sorted(widths):
            for factor in sorted(factors):
                cell: Cell = {"surrogate": shape, "width_fwhm": width}
                if factor != 1 and isinstance(rate, int | float):
                    cell["optimizer.lr"] = rounded(rate * factor)
                cells[shape, width, factor] = cell
    return cells


def _cell(surrogate: str, width: float | None, factor: float, runs: Mapping[int, Score]) -> CellSummary:
    """Summarise a cell, seed by seed; a task that is solved or not has 0 or 100 as score."""
    ordered = [runs[seed] for seed in sorted(runs)]
    return CellSummary(
        surrogate=surrogate,
        width_fwhm=width,
        lr_factor=factor,
        seeds=tuple(sorted(runs)),
        score=tuple(run.accuracy if run.solved is None else PERCENT * run.solved for run in ordered),
        validation=tuple(run.validation for run in ordered),
        log_spikes=tuple(run.log_spikes for run in ordered),
        failed=tuple(run.failed for run in ordered),
    )


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


def make_report(report_input: ReportInput, rules: Rules | None = None) -> Report:
    """Decide every hypothesis and write the pages of the report, with the summary for `sgbench recommend`.

    `report_input`: of the study, or of one that extends it, whose hypotheses are not decided. `rules`: how comparisons
    are decided; the registered ones by default.
    """
    evidence = find(report_input, rules or Rules())
    pages = [module.page(evidence) for module in PAGES]
    void = Store(report_input.folder, evidence.loaded.name).void_entries()
    pages[PAGES.index(budget)] = audited(pages[PAGES.index(budget)], void)
    if report_input.root is not None and evidence.results:
        claims = {result.name: result.claim for result in evidence.results}
        pages.append(undecided.page(plan(report_input), claims))
    beside = {} if evidence.summary is None else {SUMMARY: to_json(evidence.summary)}
    titles = {name: task.title for name, task in evidence.loaded.study.tasks.items()}
    written = [with_titles(page, titles) for page in (front.page(evidence, pages), *pages)]
    return Report(tuple(written), beside=beside, reads=tuple(map(str, files_read((BOARD,)))))


def find(report_input: ReportInput, rules: Rules) -> SurrogateEvidence:
    """Collect all that the pages are written from."""
    base = report_input.evidence
    loaded, scores = base.loaded, base.scores
    generator = np.random.Generator(np.random.PCG64(BOOTSTRAP_SEED))
    results = [] if loaded.study.extends else all_hypotheses(scores, rules, generator=generator)
    starts = read_starts(report_input.folder)
    summary = summarise(loaded, scores, report_input.entries, starts, base.manifest)
    evidence = SurrogateEvidence(
        **{field.name: getattr(base, field.name) for field in fields(StudyEvidence)},
        results=results,
        rules=rules,
        summary=summary,
        elsewhere=Elsewhere() if report_input.root is None else read_elsewhere(report_input.root, (BOARD,)),
        initial=read_initial(report_input.folder),
    )
    later = later_tasks(loaded, held_out.regrets_of_advice(evidence), report_input.entries, starts)
    return replace(evidence, summary=summary.model_copy(update={"later": later}))


def is_crowded(record: RunRecord) -> bool | None:
    """Return whether a layer fired above the rule's rate after an epoch; None where no rates are stored."""
    if record.validation_rates is None:
        return None
    return any(rate > CROWDED for curve in record.validation_rates for rate in curve.rate_per_step)


def audited(page: StudyPage, void: Iterable[StoreEntry]) -> StudyPage:
    """Add to a page which records are void, and whether by their own or with their task."""
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
    """Say how many void records break the rule themselves; of some it may be unknown."""
    if None in said:
        lacking = said.count(None)
        return NOT if lacking == len(said) else f"{lacking} of {len(said)} {NOT}"
    return f"{sum(map(bool, said))} of {len(said)} above"
