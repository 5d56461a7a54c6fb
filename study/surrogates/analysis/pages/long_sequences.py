"""Long sequences: what the map says of shapes and widths where a sequence has more than a thousand steps."""

from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

from sgbench.plots.chart import Charts
from sgbench.plots.figure import charts_figure
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.scores import Score
from sgbench.study_runner.status import block_cost
from study.reporting.pages.regime_map import HEADER, mapped_cells, panel, row
from study.reporting.pages.text import StudyPage, StudyPicture, details, few, table
from study.reporting.run_table import SHAPES
from study.surrogates.analysis.comparisons import LONG, LONG_MORE
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.pages.claim_rules import missing

NAME = "long_sequences.md"
TITLE = "Does it hold over a thousand steps?"
BLOCK, MORE = LONG, LONG_MORE
WIDTHS = (0.1, 0.5, 2.0)
"""Of block H; expectations are about these."""
NARROW, WIDE = 0.5, 2.0
BEYOND_POINTS = 2.0
REMEDIES: Mapping[str, Cell] = {
    "the recurrent gradient cut": {"network.recurrence_gradient": "cut"},
    "gradients clipped to a norm of 1": {"clip_norm": 1},
}
"""Settings of block H2, by what they are called."""
Cells = dict[tuple[str, float], list[Score]]


def page(evidence: SurrogateEvidence) -> StudyPage:
    """Write the page on long sequences."""
    if BLOCK not in evidence.loaded.study.blocks:
        return StudyPage(NAME, TITLE, (f"This study has no block {BLOCK}.",))
    if not _is_whole(evidence, BLOCK):
        return StudyPage(NAME, TITLE, (f"Not known yet: {missing(evidence, BLOCK).number}.",))
    panels, said, rows = [], [], []
    for task in evidence.loaded.study.blocks[BLOCK].tasks:
        plain = mapped_cells(evidence, task, BLOCK)
        panels.append(panel(evidence, task, plain))
        said.append(_expected(evidence, task, plain))
        rows += [[*row(task, shape, width, runs), "none"] for (shape, width), runs in plain.items()]
        for name, more in REMEDIES.items() if _is_whole(evidence, MORE) else ():
            cells = mapped_cells(evidence, task, BLOCK, more)
            said.append(_remedy(name, plain, cells))
            if len(widths := sorted({f"{width:g}" for _, width in cells})) > 1:
                panels.append(replace(panel(evidence, task, cells), title=f"at widths {' and '.join(widths)}, {name}"))
            rows += [[*row(task, shape, width, runs), name] for (shape, width), runs in cells.items()]
    picture = StudyPicture(
        "long_sequences.png",
        "Test accuracy against width on long sequences, a line a shape, without a remedy and with one.",
        panels,
        lambda: charts_figure(Charts("", tuple(panels))),
    )
    parts = (
        *said,
        picture.markdown,
        "F11. A line is a shape at the setting that the task's experiment ships, the colder the more compact; "
        "shapes of one width stand side by side. Whiskers are intervals of 95 % over five seeds, "
        "which draw weights and order: the split is the official one. "
        "A run that failed counts as guessing, and a cross marks its cell.",
        "No hypothesis is about this task. What was expected of it was written down before its runs "
        "([amendments 10 and 12](../preregistration.md)); block H2 was planned when H had been seen. The epoch "
        "that is tested has the lowest validation loss, as the task ships it, where other tasks of this study take "
        "the highest validation accuracy. One setting of the network: no reference was tuned for it.",
        details("The numbers behind the picture", table([*HEADER, "remedy"], rows)),
    )
    return StudyPage(NAME, TITLE, parts, (picture,))


def _is_whole(evidence: SurrogateEvidence, block: str) -> bool:
    study = evidence.loaded.study
    return block in study.blocks and len(evidence.scores.block(block)) >= block_cost(study, block)[0]


def _expected(evidence: SurrogateEvidence, task: str, cells: Cells) -> str:
    """Count for how many shapes what the recurrent tasks led one to expect holds, and name the best cell."""
    narrow_best, loses = 0, 0
    for shape in SHAPES:
        of = {width: cells[shape, width] for width in WIDTHS if (shape, width) in cells}
        best = max(of, key=lambda width: fmean(run.validation for run in of[width]))
        narrow_best += best <= NARROW
        loses += _accuracy(of[best]) - _accuracy(of[WIDE]) > BEYOND_POINTS
    chosen = {shape: _best_width(cells, shape) for shape in SHAPES}
    best_of = ", ".join(
        f"{shape} {width:g} ({_accuracy(cells[shape, width]):.1f} %)" for shape, width in chosen.items()
    )
    failed = sum(run.failed for (_, width), runs in cells.items() if width >= NARROW for run in runs)
    wide = sum(len(runs) for (_, width), runs in cells.items() if width >= NARROW)
    return (
        f"On **{task}, {evidence.title(task)}**, {few(failed, wide)} runs at widths of {NARROW:g} and more fail. "
        f"Of the three widths of block {BLOCK} the best is {NARROW:g} or less for {few(narrow_best, len(SHAPES))} "
        f"shapes, and {few(loses, len(SHAPES))} lie at width {WIDE:g} more than {BEYOND_POINTS:g} points below it: "
        "expected, from shorter recurrent tasks, was all of them in both.\n\n"
        f"The width that validation chooses for each shape, of all that were run, and its test accuracy: {best_of}."
    )


def _best_width(cells: Cells, shape: str) -> float:
    widths = [width for other, width in cells if other == shape]
    return max(widths, key=lambda width: fmean(run.validation for run in cells[shape, width]))


def _remedy(name: str, plain: Cells, remedied: Cells) -> str:
    said = []
    for width in sorted({width for _, width in remedied}):
        means = {shape: _accuracy(remedied[shape, width]) for shape in SHAPES if (shape, width) in remedied}
        failed = [run.failed for (_, other), runs in remedied.items() if other == width for run in runs]
        without = [run.failed for (_, other), runs in plain.items() if other == width for run in runs]
        low, high = min(means, key=lambda one: means[one]), max(means, key=lambda one: means[one])
        said.append(
            f"at width {width:g} {few(sum(failed), len(failed))} runs fail, {few(sum(without), len(without))} "
            f"without; shapes reach {means[low]:.1f} % ({low}) to {means[high]:.1f} % ({high})"
        )
    return f"**With {name}**: {'; '.join(said)}." if said else ""


def _accuracy(runs: list[Score]) -> float:
    return fmean(run.accuracy for run in runs)
