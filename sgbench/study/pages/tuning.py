"""How to tune: where in width and learning rate each shape is close to the best."""

from __future__ import annotations

import numpy as np

from sgbench.plots.study_heat import HeatMaps, HeatPanel, heat_figure
from sgbench.study.cells import Cell, rounded, task_reference
from sgbench.study.comparisons import SHAPES
from sgbench.study.findings import Findings
from sgbench.study.pages.text import Page, Picture, few, table

NAME = "tuning.md"
TITLE = "How to tune width and learning rate together"
TASKS = ("T2d4", "T4", "T6")
WIDTHS = (0.05, 0.2, 0.5, 1.0, 4.0)
FACTORS = (0.25, 1.0, 4.0)
TOLERANCE_POINTS = 2.0


def page(findings: Findings) -> Page:
    """Write the page with figure F2: a heat map a shape, task by task."""
    if not findings.stored("A2"):
        return Page(NAME, TITLE, (findings.not_stored("A2"),))
    parts = [
        "A cell is the mean validation accuracy over seeds at one width and one learning rate; a frame marks every "
        "cell within 2 points of the best cell of all shapes. A failed run counts as guessing."
    ]
    pictures = []
    for task in TASKS:
        maps = _maps(findings, task)
        if maps is None:
            parts.append(f"## {task}\n\nNot all of its cells are stored yet.")
            continue
        picture = Picture(
            f"tuning_{task}.png",
            f"Validation accuracy of six shapes over width and learning rate on {findings.title(task)}.",
            maps,
            lambda maps=maps: heat_figure(maps),
        )
        pictures.append(picture)
        parts += [f"## {task}: {findings.title(task)}", _message(maps), picture.markdown, _best(maps)]
    return Page(NAME, TITLE, tuple(parts), tuple(pictures))


def _maps(findings: Findings, task: str) -> HeatMaps | None:
    """Return the heat maps of a task, or None where a cell has no run."""
    reference = task_reference(findings.loaded.study, "A2", task, findings.scores.settled)
    rate = reference["optimizer.lr"]
    rates = [rounded(float(rate or 0) * factor) if factor != 1 else float(rate or 0) for factor in FACTORS]
    panels = []
    for shape in SHAPES:
        lines = []
        for value in rates:
            line: list[float | None] = []
            for width in WIDTHS:
                cell: Cell = {"surrogate": shape, "width_fwhm": width, "optimizer.lr": value}
                runs = findings.scores.cell(task, "map", cell, start="A2")
                line.append(float(np.mean([run.validation for run in runs.values()])) if runs else None)
            lines.append(tuple(line))
        panels.append(HeatPanel(shape, tuple(lines)))
    if not any(score is not None for panel in panels for line in panel.scores for score in line):
        return None
    return HeatMaps(WIDTHS, tuple(rates), tuple(panels), TOLERANCE_POINTS)


def _close(maps: HeatMaps, panel: HeatPanel) -> int:
    best = max(score for one in maps.panels for line in one.scores for score in line if score is not None)
    return sum(
        score is not None and score >= best - maps.tolerance for line in panel.scores for score in line
    )


def _message(maps: HeatMaps) -> str:
    cells = len(maps.widths) * len(maps.rates)
    counts = {panel.title: _close(maps, panel) for panel in maps.panels}
    most = max(counts, key=lambda shape: counts[shape])
    others = ", ".join(f"{shape} {count}" for shape, count in counts.items() if shape != most)
    return f"{most} is close to the best in {few(counts[most], cells)} cells; {others}."


def _best(maps: HeatMaps) -> str:
    rows = []
    for panel in maps.panels:
        scores = np.array(panel.scores, dtype=float)
        if np.isnan(scores).all():
            continue
        line, column = np.unravel_index(np.nanargmax(scores), scores.shape)
        rows.append(
            [
                panel.title,
                maps.widths[column],
                maps.rates[line],
                f"{scores[line, column]:.1f}",
                _close(maps, panel),
            ]
        )
    return table(
        ["shape", "best width", "best learning rate", "validation, %", "cells close to the best"], rows
    )
