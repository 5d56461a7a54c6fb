"""The picture of a sweep: heat maps, curves or dots, whichever its axes call for."""

from __future__ import annotations

import io
import textwrap
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sgbench.plots.board import INK
from sgbench.plots.sweep_curves import curves_size, draw_curves
from sgbench.plots.sweep_dots import dots_size, draw_dots
from sgbench.plots.sweep_heat import draw_heat, heat_size
from sgbench.records.files import write_atomic
from sgbench.sweeps.points import LEARNING_RATE, SLOPES, WIDTHS, Axis
from sgbench.sweeps.results import Results

STYLE: Any = {
    "font.size": 13,
    "svg.hashsalt": "sgbench",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
UNDATED: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
HEAD_INCHES, LINE_INCHES = 0.5, 0.24
LETTERS_PER_INCH = 13  # of the caption
WHY_VALIDATION = "Validation accuracy on purpose: a choice is made on it, and the test set stays untouched."


def draw(results: Results, path: Path) -> None:
    """Write the picture: the same bytes for the same results.

    Raises:
        InputError: more curves or panels than can be told apart.
        StorageError: the file cannot be written.
    """
    kind = path.suffix.lower()
    out = io.BytesIO()
    with style.context(["default", STYLE]):
        figure = sweep_figure(results)
        figure.savefig(out, format=kind[1:], metadata=UNDATED[kind])
    write_atomic(path, out.getvalue())


def sweep_figure(results: Results) -> Figure:
    """The picture as a figure."""
    across, rate = _width_axis(results), _axis(results, (LEARNING_RATE,))
    if across is not None and rate is not None:
        size, notes = heat_size(results, across, rate), _notes(results, heat=True)
    elif across is not None:
        size, notes = curves_size(results, across), _notes(results)
    else:
        size, notes = dots_size(results), _notes(results)
    lines = textwrap.wrap(" ".join(notes), int(size[0] * LETTERS_PER_INCH))
    foot = LINE_INCHES * len(lines) + 0.12
    height = size[1] + HEAD_INCHES + foot
    inside = ConstrainedLayoutEngine(rect=(0, foot / height, 1, size[1] / height))
    figure = Figure(figsize=(size[0], height), dpi=120, layout=inside)
    FigureCanvasAgg(figure)
    if across is not None and rate is not None:
        draw_heat(figure, results, across, rate)
    elif across is not None:
        draw_curves(figure, results, across)
    else:
        draw_dots(figure, results)
    title = f"{results.name} on {results.protocol}"
    figure.text(0.012, 1 - 0.28 / height, title, fontsize=16, color=INK, va="center", parse_math=False)
    foot_style: Any = {"fontsize": 11, "color": INK, "va": "bottom", "linespacing": 1.35, "parse_math": False}
    figure.text(0.012, 0.08 / height, "\n".join(lines), **foot_style)
    return figure


def _axis(results: Results, keys: tuple[str, ...]) -> Axis | None:
    found = [axis for axis in results.axes if axis.key in keys and axis.numbers is not None]
    return found[0] if found else None


def _width_axis(results: Results) -> Axis | None:
    return _axis(results, WIDTHS) or _axis(results, SLOPES)


def _notes(results: Results, *, heat: bool = False) -> list[str]:
    """The caption: what was averaged, what is missing, and why this is not the test accuracy."""
    count = len(results.seeds)
    what = "One seed, so no interval" if count == 1 else f"Mean over {count} seeds"
    if count > 1 and not heat:
        what += " with its 95 % t-interval"
    notes = [f"{what}.", WHY_VALIDATION]
    empty = any(row.validation is None for row in results.rows)
    if heat:
        notes.append("Framed: the highest mean of a panel.")
    if heat and empty:
        notes.append("Hatched: no run yet.")
    if any(row.missing and row.by_seed for row in results.rows):
        notes.append("*\u00a0fewer seeds than asked for.")
    if not heat and empty:
        notes.append("Some settings have no run yet.")
    failed = results.count("failed")
    if failed:
        notes.append(f"{failed} failed {'run counts' if failed == 1 else 'runs count'} at chance.")
    return notes
