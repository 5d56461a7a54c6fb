"""Are the references good: what random settings found for each task, beside published figures."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from sgbench.statistics.equivalence import equivalence_power
from sgbench.study_runner.scores import Score, canonical
from sgbench.tables import NONE
from study.reporting.pages.text import StudyPage, cell_text, details, table
from study.reporting.run_table import margin_of
from study.surrogates.analysis.comparisons import LOOKS
from study.surrogates.analysis.evidence import SurrogateEvidence

NEAR_BEST_POINTS = 10.0
NAME = "references.md"
TITLE = "Are the references good?"
ANCHORS = {
    "T1": "stork 96.3 (released spectrum), Zenke & Vogels 2021 about 99; 1,000 samples a class",
    "T3": "EventProp 98.1, a conventional network 97.6",
    "T4": "a recurrent spiking network about 80, an LSTM 97",
    "T5": "a GRU of equal size 95.7, measured with sgbench",
    "T6": "back-propagation .9997",
    "T7": "none",
}
"""Published test accuracies in %, or solved runs; other networks and more data, so goals rather than equals."""


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page of the settings that each task starts from."""
    if not evidence.stored("A1"):
        return StudyPage(NAME, TITLE, (evidence.not_stored("A1"),))
    runs = evidence.scores.block("A1")
    settled = evidence.scores.settled.get("A1", {})
    rows, sentences = [], []
    for task in dict.fromkeys(run.task for run in runs):
        cells = settled.get(task, ())
        chosen = dict(cells[0]) if cells else {}
        mine = [run for run in runs if run.task == task]
        if not chosen:
            sentences.append(f"{task} is not settled yet: {len(mine)} runs are stored.")
            continue
        best = [run for run in mine if _has(run, chosen)]
        by_shape = {
            shape: [run for run in best if run.settings["surrogate"] == shape] for shape in ("atan", "triangle")
        }
        shown = [_mean([run.validation for run in group]) for group in by_shape.values()]
        test = _mean([run.accuracy for run in best])
        rows.append([f"{task}: {evidence.title(task)}", cell_text(chosen), *shown, test, ANCHORS.get(task, NONE)])
    seeds = sorted({run.seed for run in runs})
    parts = [
        "Each task starts from the best of its random settings, by the mean validation accuracy of atan and "
        f"triangle on tuning seeds {', '.join(map(str, seeds))}; no reporting seed took part. Test accuracies of "
        "tuning seeds are shown for orientation and decide nothing.",
        *sentences,
        "## Table 1: settled settings",
        table(
            ["task", "setting", "atan, validation %", "triangle, validation %", "both, test %", "published, test %"],
            rows,
        ),
        *_margins(evidence, runs),
        details("All random settings", _all(runs)),
    ]
    return StudyPage(NAME, TITLE, tuple(parts))


def _margins(evidence: SurrogateEvidence, runs: Sequence[Score]) -> list[str]:
    """Write how likely equality within the margin can be shown with so many seeds; nothing without a spread."""
    study, rows = evidence.loaded.study, []
    for task in dict.fromkeys(run.task for run in runs):
        if study.tasks[task].outcome != "accuracy":
            continue
        spread, settings = pair_spread([run for run in runs if run.task == task])
        if spread is None:
            continue
        margin = margin_of(study.tasks[task])
        power = [
            equivalence_power(margin, spread / math.sqrt(count), count - 1, level=evidence.rules.look_level)
            for count in LOOKS
        ]
        shown = [f"{100 * chance:.0f}" for chance in power]
        rows.append([task, f"{margin:g}", f"{spread:.2f}", settings, *shown])
    if not rows:
        return []
    header = ["task", "margin", "spread of a pair", "settings", *(f"{count} seeds, %" for count in LOOKS)]
    return [
        "## Power of the margins",
        "Chance to show that two shapes are equal within the margin where they are, by the standard deviation "
        "over seeds of atan minus triangle at equal settings. Settings count whose mean validation is within "
        f"{NEAR_BEST_POINTS:g} points of the task's best. Below 50 %, a comparison is exploratory.",
        table(header, rows),
    ]


def pair_spread(runs: Sequence[Score]) -> tuple[float | None, int]:
    """Return the standard deviation over seeds of atan minus triangle, pooled over good settings, and their number."""
    groups: dict[str, list[Score]] = {}
    for run in runs:
        groups.setdefault(cell_text(run.cell, without=["surrogate"]), []).append(run)
    means = {setting: fmean(run.validation for run in members) for setting, members in groups.items()}
    best = max(means.values(), default=0.0)
    squares, degrees, count = 0.0, 0, 0
    for setting, members in groups.items():
        scores = {(run.settings["surrogate"], run.seed): run.accuracy for run in members}
        seeds = {seed for _, seed in scores}
        pairs = [(scores.get(("atan", seed)), scores.get(("triangle", seed))) for seed in sorted(seeds)]
        differences = [one - other for one, other in pairs if one is not None and other is not None]
        if means[setting] < best - NEAR_BEST_POINTS or len(differences) < 2:  # noqa: PLR2004 - no spread of one
            continue
        mean = fmean(differences)
        squares += sum((difference - mean) ** 2 for difference in differences)
        degrees += len(differences) - 1
        count += 1
    return (math.sqrt(squares / degrees) if squares > 0 else None), count


def _has(run: Score, cell: Mapping[str, object]) -> bool:
    return all(canonical(run.settings.get(key)) == canonical(value) for key, value in cell.items())


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.1f}" if values else NONE


def _all(runs: tuple[Score, ...]) -> str:
    """Write validation accuracies of all random settings."""
    groups: dict[tuple[str, str], dict[str, list[Score]]] = {}
    for run in runs:
        setting = cell_text(run.cell, without=["surrogate"])
        groups.setdefault((run.task, setting), {}).setdefault(str(run.settings["surrogate"]), []).append(run)
    rows = []
    for (task, setting), shapes in groups.items():
        every = [run for group in shapes.values() for run in group]
        means = [_mean([run.validation for run in shapes.get(shape, [])]) for shape in ("atan", "triangle")]
        rows.append([task, setting, *means, sum(run.failed for run in every)])
    return table(["task", "setting", "atan, validation %", "triangle, validation %", "failed"], rows)
