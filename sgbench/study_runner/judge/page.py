"""Write the verdict on a candidate as files: a page, a picture, a LaTeX table, and JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from sgbench.energy.price import price
from sgbench.plots.chart import Estimate
from sgbench.plots.judged import JudgedRow, judged_figure
from sgbench.plots.style import Drawn, encode
from sgbench.recommendation.summary import CellSummary
from sgbench.records.energy import EnergyTarget
from sgbench.statistics.forgiving import forgiving_line
from sgbench.statistics.intervals import summarise
from sgbench.statistics.solved import wilson
from sgbench.statistics.spikes_at_accuracy import NOT_REACHED, spike_ratio
from sgbench.study_runner.judge.decide import FALSE_SIMULATED, LOOKS, MARGIN, RegimeVerdict
from sgbench.study_runner.judge.trial import CALIBRATED, OWN_BEST, JudgedCandidate, TaskTrial, hours_of
from sgbench.study_runner.run import HOUR_S
from sgbench.tables import NONE, number_text
from sgbench.tables.markup import as_latex, as_markdown
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "verdict.png"
WORDS = {
    "better": "better than the best known shape",
    "equal": f"equal to the best known shape within {MARGIN:g} points",
    "worse": "worse than the best known shape",
    "open": "open",
}


class ShownVerdict(Drawn, ShownTable, JudgedCandidate):
    """Shows the verdicts of a candidate, and draws its accuracies and widths."""

    def table(self) -> Table:
        return verdict_table(self, OWN_BEST, self.verdicts())

    def table_notes(self) -> tuple[str, ...]:
        return (f"{' '.join(self.candidate.overrides)} minus the best known shape. {summary(self)}", *self.handed_in)

    def figure(self) -> Figure:
        return judged_figure([_row(trial) for trial in self.tasks])


def files_of(result: JudgedCandidate, targets: Mapping[str, EnergyTarget]) -> dict[str, bytes]:
    """Return the files of a verdict, as bytes by file name; equal runs give equal bytes."""
    kinds = [kind for kind in (OWN_BEST, CALIBRATED) if any(kind in trial.report for trial in result.tasks)]
    verdicts = {kind: result.verdicts(kind) for kind in kinds}
    tables = {kind: verdict_table(result, kind, verdicts[kind]) for kind in kinds}
    more = [_scores(result), _costs(result), *([_energy(result, targets)] if targets else [])]
    title = " ".join(result.candidate.overrides)
    parts = [f"# Verdict on `{title}`", summary(result), as_markdown(tables[OWN_BEST])]
    if CALIBRATED in tables:
        parts += [
            "## At the calibrated width",
            "A verdict of its own: the width is not searched for, passing steps choose it before training "
            "(`width_fwhm=auto`), and the learning rate is the task's reference.",
            as_markdown(tables[CALIBRATED]),
            as_markdown(_calibrated(result)),
        ]
    parts += [f"![accuracies and widths]({PICTURE})"]
    for table in more:
        parts += [f"## {table.caption}", as_markdown(table)]
    parts += ["## How it was decided", _how(result)]
    numbers = {
        "candidate": list(result.candidate.overrides),
        "verdicts": {kind: [asdict(verdict) for verdict in by_regime.values()] for kind, by_regime in verdicts.items()},
        "tasks": {trial.task.name: _numbers(trial) for trial in result.tasks},
    }
    return {
        "verdict.md": "\n\n".join(parts).encode() + b"\n",
        "verdict.tex": "\n".join(as_latex(table, [table.caption]) for table in tables.values()).encode(),
        "verdict.json": (json.dumps(numbers, indent=1, sort_keys=True) + "\n").encode(),
        PICTURE: encode(lambda: judged_figure([_row(trial) for trial in result.tasks]), ".png"),
    }


def verdict_table(result: JudgedCandidate, kind: str, verdicts: Mapping[str, RegimeVerdict]) -> Table:
    """Make the table of verdicts by regime, with the time that open ones still need; `kind` is for the caption."""
    rows = [["network", "verdict", "difference, points", "interval (confidence)", "seeds", "to decide it"]]
    for verdict in verdicts.values():
        to_decide = NONE
        if verdict.word == "open":
            hours = hours_of(result, verdict)
            to_decide = (
                "more than 10,000 seeds"
                if hours is None
                else f"{verdict.seeds_needed} seeds, {number_text(hours)} hours"
            )
        confidence = f"{100 * (1 - 2 * verdict.level):.4g} %"
        ends = (
            NONE
            if verdict.low is None or verdict.high is None
            else f"{verdict.low:z.1f} to {verdict.high:z.1f} ({confidence})"
        )
        difference = f"{verdict.difference:+z.1f}"
        rows.append([verdict.regime, verdict.word, difference, ends, str(verdict.seeds), to_decide])
    return plain_table(f"Candidate minus the best known shape, {kind}", rows, text_columns=2)


def summary(result: JudgedCandidate) -> str:
    """Say the verdict for each kind of network in one line."""
    verdicts = result.verdicts()
    if not verdicts:
        return "No regime has as many seeds as the first look needs."
    return " ".join(
        f"{regime.capitalize()}: {WORDS[verdict.word]} ({verdict.difference:+z.1f} points, {verdict.seeds} seeds"
        f"{', none better than guessing' if result.unlearnt(regime) else ''})."
        for regime, verdict in verdicts.items()
    )


def _how(result: JudgedCandidate) -> str:
    """Write how the verdict was reached, as a list."""
    runs = result.runs
    hours = number_text(sum(run.fit_s for run in runs) / HOUR_S)
    shapes = ", ".join(cell.surrogate for cell in result.tasks[0].task.own_best)
    tuned = "Width and learning rate were" if result.candidate.has_width else "The learning rate alone was"
    looks = ", ".join(f"{level:g} after {seeds}" for seeds, level in LOOKS)
    simulated = wilson(*FALSE_SIMULATED)
    edge = "; ".join(trial.task.title for trial in result.tasks if trial.at_edge)
    lines = (
        f"The candidate was run {len(runs)} times, which took {hours} hours. Hours are wall-clock; those to decide it "
        "are of a new sample of seeds, at the candidate's mean time of a run.",
        f"Known shapes ({shapes}) are stored runs, each at its own best width and learning rate. A task's reference is "
        "the one that was best on validation; no reporting seed chose it.",
        f"{tuned} searched for, with the grids of the known shapes.",
        *(
            [f"The best learning rate is at the edge of those tried, so a better one may lie beyond: {edge}."]
            if edge
            else []
        ),
        "Differences are paired by seed and averaged over the tasks of a kind of network; accuracies are over all "
        "seeds of each surrogate. A failed run counts as guessing. One at most two standard errors above guessing is "
        "at chance, on test, or on validation where test was not touched.",
        f"Equal means within {MARGIN:g} points by two one-sided tests, where the interval lies within them. The "
        f"nominal level of each look, divided among the kinds of network, is {looks} seeds.",
        f"Of {simulated.runs:,.0f} simulated candidates, with differences of stored runs around a true one of 0 or 2 "
        f"points and no tuning, {100 * simulated.share:.1f} % got a false verdict in some kind of network (95 % "
        f"interval {100 * simulated.low:.1f} to {100 * simulated.high:.1f} %).",
        *(
            f"Layers that are silent in every run at chance: {', '.join(trial.silent)} ({trial.task.title})."
            for trial in result.tasks
            if trial.silent
        ),
    )
    return "\n".join(f"- {line}" for line in lines)


def _scores(result: JudgedCandidate) -> Table:
    """Return the table of test accuracies, of the candidate and of known shapes, each at its own best settings."""
    shapes = [cell.surrogate for cell in result.tasks[0].task.own_best]
    rows = [["task", "candidate's width", "its learning rate", "reference", "candidate", *shapes]]
    for trial in result.tasks:
        known = {cell.surrogate: f"{np.mean(cell.score):.1f}" for cell in trial.task.own_best}
        accuracies = _accuracies(trial, OWN_BEST)
        mean = NONE if not accuracies else f"{np.mean(accuracies):.1f}"
        width = trial.cell.get("width_fwhm")
        rows.append(
            [
                trial.task.title,
                NONE if width is None else f"{width:g}",
                f"{trial.cell['optimizer.lr']:g}",
                trial.task.best_known.surrogate,
                mean,
                *(known.get(shape, NONE) for shape in shapes),
            ]
        )
    return plain_table("Test accuracy at own best, %", rows, text_columns=1)


def _calibrated(result: JudgedCandidate) -> Table:
    """Return the table of accuracies at the width that passing steps choose."""
    rows = [["task", "calibrated width", "width at own best", "accuracy, %", "at own best, %"]]
    for trial in result.tasks:
        runs = [*trial.report.get(CALIBRATED, {}).values()]
        if runs:
            widths = [runs[0].width_fwhm, trial.cell["width_fwhm"]]
            width_texts = [NONE if width is None else f"{width:g}" for width in widths]
            means = [f"{np.mean(_accuracies(trial, kind)):.1f}" for kind in (CALIBRATED, OWN_BEST)]
            rows.append([trial.task.title, *width_texts, *means])
    return plain_table("Test accuracy at the calibrated width, %", rows, text_columns=1)


def _costs(result: JudgedCandidate) -> Table:
    """Return the table of failed runs, runs at chance, forgiving widths and spikes."""
    shares = ["widths close to the best", "of the reference"]
    rows = [["task", "failed runs", "at chance", *shares, "spikes at equal accuracy"]]
    for trial in result.tasks:
        counts = [sum(run.failed for run in trial.runs), sum(run.at_chance for run in trial.runs)]
        shares = [f"{count} of {len(trial.runs)}" for count in counts]
        rows.append([trial.task.title, *shares, *_over_widths(trial)])
    return plain_table("Failures, runs at chance, forgivingness and spikes", rows, text_columns=1)


def _over_widths(trial: TaskTrial) -> list[str]:
    """Write the shares of widths within 2 points of the best, of candidate and best shape, and the ratio of spikes."""
    if not trial.map:
        return [NONE, NONE, NONE]
    task = trial.task
    seeds = sorted(next(iter(trial.map.values())))
    best = {cell.width_fwhm: cell for cell in task.cells if cell.surrogate == task.best_known.surrogate}
    indices = [best[task.widths[0]].seeds.index(seed) for seed in seeds]
    own_runs = [[trial.map[width][seed] for seed in seeds] for width in task.widths]
    own = np.array([[run.validation for run in runs] for runs in own_runs])
    reference = np.array([[best[width].validation[index] for index in indices] for width in task.widths])
    shares = forgiving_line(np.array([own, reference]), task.widths, tolerance=MARGIN)
    own_spikes = [[run.log_spikes for run in runs] for runs in own_runs]
    reference_spikes = [[best[width].log_spikes[index] for index in indices] for width in task.widths]
    ratio = _spike_ratio_text(own, own_spikes, reference, reference_spikes)
    return [*(f"{100 * share.share:.0f} %" for share in shares), ratio]


def _spike_ratio_text(
    own: np.ndarray,
    own_spikes: Sequence[Sequence[float | None]],
    reference: np.ndarray,
    reference_spikes: Sequence[Sequence[float | None]],
) -> str:
    """Write the ratio of the candidate's spikes to the reference's, at 2 points below the reference's best.

    `own`: validation accuracies of the candidate [points], by width and seed. `own_spikes`: logarithms of its spikes
    per inference, by width and seed; widths with a None are left out. `reference`: the accuracies of the best known
    shape. `reference_spikes`: of the best known shape.
    """
    counted = [index for index, line in enumerate(own_spikes) if None not in line]
    reference_counted = [index for index, line in enumerate(reference_spikes) if None not in line]
    if not counted or not reference_counted:
        return NONE
    ratio = spike_ratio(
        own[counted],
        np.exp(np.array([own_spikes[index] for index in counted], dtype=float)),
        reference[reference_counted],
        np.exp(np.array([reference_spikes[index] for index in reference_counted], dtype=float)),
        target=float(reference.mean(axis=1).max()) - MARGIN,
    )
    if ratio.ratio == NOT_REACHED:
        return "not reached"
    ends = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"{ratio.ratio:.2f} times{ends}"


def _energy(result: JudgedCandidate, targets: Mapping[str, EnergyTarget]) -> Table:
    """Make the table of mean energies of the candidate at its own best setting, by task and target."""
    rows = [["task", *(f"{name}, nJ" for name in targets)]]
    for trial in result.tasks:
        records = [run.record for run in trial.report.get(OWN_BEST, {}).values()]
        cells = []
        for target in targets.values():
            estimates = [
                price(record.counts, target=target, dt_s=record.method.protocol.dt_s)
                for record in records
                if record.counts is not None
            ]
            energies = [estimate.dynamic_nj.value for estimate in estimates if estimate.dynamic_nj is not None]
            cells.append(number_text(float(np.mean(energies))) if energies else NONE)
        rows.append([trial.task.title, *cells])
    return plain_table("Dynamic energy of an inference at own best", rows, text_columns=1)


def _row(trial: TaskTrial) -> JudgedRow:
    """Make the row of a task in the picture: accuracies of the candidate and of every shape, and scores by width."""
    shapes = [(cell.surrogate, _estimate(cell.score)) for cell in trial.task.own_best]
    accuracies = _accuracies(trial, OWN_BEST)
    candidate = [("candidate", _estimate(accuracies))] if accuracies else []
    best = trial.task.best_known.surrogate
    seeds = {seed for at_width in trial.map.values() for seed in at_width}
    return JudgedRow(
        title=trial.task.title,
        scores=(*candidate, *shapes),
        widths=tuple(
            (width, _range([run.validation for run in runs.values()])) for width, runs in sorted(trial.map.items())
        ),
        known_widths=tuple(
            sorted(
                (cell.width_fwhm, _validation(cell, seeds))
                for cell in trial.task.cells
                if cell.surrogate == best and cell.width_fwhm is not None
            )
        ),
        known=best,
        guess=next((100 / run.record.classes for run in trial.runs if run.record and run.record.classes), None),
    )


def _range(values: Sequence[float]) -> Estimate:
    """Return the mean of a few seeds from the least to the best one; of two an interval would say nothing."""
    return Estimate(float(np.mean(values)), min(values), max(values))


def _validation(cell: CellSummary, seeds: Collection[int]) -> Estimate:
    """Average a stored cell over the candidate's seeds, or over all of its own if they share none."""
    by_seed = dict(zip(cell.seeds, cell.validation, strict=True))
    return _range([value for seed, value in by_seed.items() if seed in seeds] or [*by_seed.values()])


def _estimate(values: Sequence[float]) -> Estimate:
    summary = summarise([value / 100 for value in values], scale="share")
    low, high = (summary.mean if end is None else end for end in (summary.low, summary.high))
    return Estimate(100 * summary.mean, 100 * low, 100 * high)


def _accuracies(trial: TaskTrial, kind: str) -> list[float]:
    return [run.accuracy for run in trial.report.get(kind, {}).values()]


def _numbers(trial: TaskTrial) -> dict[str, object]:
    """Return all scores of a task's trial as plain values for JSON."""
    return {
        "reference": trial.task.best_known.surrogate,
        "own_best": dict(trial.cell),
        "map": {
            f"{width:g}": {seed: run.validation for seed, run in runs.items()} for width, runs in trial.map.items()
        },
        "test": {kind: {seed: run.accuracy for seed, run in runs.items()} for kind, runs in trial.report.items()},
        "failed": sum(run.failed for run in trial.runs),
    }
