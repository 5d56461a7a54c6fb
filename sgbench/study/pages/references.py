"""Are the references good: what random settings found for each task, beside published figures."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from sgbench.study.findings import Findings
from sgbench.study.pages.text import NONE, Page, cell_text, details, table
from sgbench.study.scores import Score, canonical

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


def page(findings: Findings) -> Page:
    """Write the page with table T1: the settled setting of each task."""
    if not findings.stored("A1"):
        return Page(NAME, TITLE, (findings.not_stored("A1"),))
    runs = findings.scores.block("A1")
    settled = findings.scores.settled.get("A1", {})
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
            shape: [run for run in best if run.settings["surrogate"] == shape]
            for shape in ("atan", "triangle")
        }
        shown = [_mean([run.validation for run in group]) for group in by_shape.values()]
        test = _mean([run.accuracy for run in best])
        rows.append(
            [f"{task}: {findings.title(task)}", cell_text(chosen), *shown, test, ANCHORS.get(task, NONE)]
        )
    seeds = sorted({run.seed for run in runs})
    parts = [
        "Each task starts from the best of its random settings, by the mean validation accuracy of atan and "
        f"triangle on tuning seeds {', '.join(map(str, seeds))}; no reporting seed took part. Test accuracies of "
        "tuning seeds are shown for orientation and decide nothing.",
        *sentences,
        "## T1: settled settings",
        table(
            [
                "task",
                "setting",
                "atan, validation %",
                "triangle, validation %",
                "both, test %",
                "published, test %",
            ],
            rows,
        ),
        details("All random settings", _all(runs)),
    ]
    return Page(NAME, TITLE, tuple(parts))


def _has(run: Score, cell: Mapping[str, object]) -> bool:
    return all(canonical(run.settings.get(key)) == canonical(value) for key, value in cell.items())


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.1f}" if values else NONE


def _all(runs: tuple[Score, ...]) -> str:
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
