"""Long sequences: what the map says of shapes and widths where a sequence has more than a thousand steps."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from sgbench.plots.study_map import map_figure
from sgbench.study.comparisons import SHAPES
from sgbench.study.findings import Findings
from sgbench.study.pages.claim_rules import missing
from sgbench.study.pages.regime_map import HEADER, mapped_cells, panel, row
from sgbench.study.pages.text import StudyPage, StudyPicture, details, few, table
from sgbench.study.scores import Score
from sgbench.study.status import block_cost

NAME = "long_sequences.md"
TITLE = "Does it hold over a thousand steps?"
BLOCK = "H"
NARROW, WIDE = 0.5, 2.0
BEYOND_POINTS = 2.0
Cells = Mapping[tuple[str, float], list[Score]]


def page(findings: Findings) -> StudyPage:
    """Write the page on long sequences with figure F11 and the table behind it."""
    if BLOCK not in findings.loaded.study.blocks:
        return StudyPage(NAME, TITLE, (f"This study has no block {BLOCK}.",))
    if len(findings.scores.block(BLOCK)) < block_cost(findings.loaded.study, BLOCK)[0]:
        return StudyPage(NAME, TITLE, (f"Not known yet: {missing(findings, BLOCK).number}.",))
    panels, said, rows = [], [], []
    for task in findings.loaded.study.blocks[BLOCK].tasks:
        cells = mapped_cells(findings, task, BLOCK)
        panels.append(panel(findings, task, cells))
        said.append(_expected(findings, task, cells))
        rows += [row(task, shape, width, runs) for (shape, width), runs in cells.items()]
    picture = StudyPicture(
        "long_sequences.png",
        "Test accuracy against width on long sequences, a line a shape.",
        panels,
        lambda: map_figure(panels),
    )
    parts = (
        *said,
        picture.markdown,
        "F11. A line is a shape at the setting that the task's experiment ships; the darker, the more compact. "
        "Bands are intervals of 95 % over five seeds, which draw weights and order: the split is the official one. "
        "A run that failed counts as guessing, and a cross marks its cell.",
        "No hypothesis is about this task. What was expected of it was written down before its runs "
        "([amendment 10](../preregistration.md)). The epoch that is tested has the lowest validation loss, as "
        "the task ships it, where other tasks of this study take the highest validation accuracy. One setting of "
        "the network, three widths: no reference was tuned for it.",
        details("The numbers behind the picture", table(HEADER, rows)),
    )
    return StudyPage(NAME, TITLE, parts, (picture,))


def _expected(findings: Findings, task: str, cells: Cells) -> str:
    """Count for how many shapes what the recurrent tasks led one to expect holds."""
    narrow_best, loses, shapes = 0, 0, 0
    for shape in SHAPES:
        of = {width: runs for (other, width), runs in cells.items() if other == shape}
        if WIDE not in of or len(of) == 1:
            continue
        shapes += 1
        best = max(of, key=lambda width: fmean(run.validation for run in of[width]))
        narrow_best += best <= NARROW
        gap = fmean(run.accuracy for run in of[best]) - fmean(run.accuracy for run in of[WIDE])
        loses += gap > BEYOND_POINTS
    shape, width = max(cells, key=lambda place: fmean(run.validation for run in cells[place]))
    top = fmean(run.accuracy for run in cells[shape, width])
    return (
        f"On **{task}, {findings.title(task)}**, the best width is {NARROW:g} or less for "
        f"{few(narrow_best, shapes)} shapes, and at width {WIDE:g} {few(loses, shapes)} lie more than "
        f"{BEYOND_POINTS:g} points below their best width: expected, from shorter recurrent tasks, was all of them "
        f"in both. Validation chooses {shape} at width {width:g}, which tests at {top:.1f} %."
    )
