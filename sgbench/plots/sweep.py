"""Draw a sweep as heat maps, curves or dots, depending on its axes."""

import textwrap
from functools import partial
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sgbench.errors import InputError
from sgbench.plots.style import INK
from sgbench.plots.sweep_curves import curves_size, draw_curves
from sgbench.plots.sweep_dots import dots_size, draw_dots
from sgbench.plots.sweep_heat import draw_heat, heat_size
from sgbench.plots.sweep_numbers import FAILED, LOSS, TEST, SweepPicture

HEAD_INCHES, LINE_INCHES = 0.5, 0.24
LETTERS_PER_INCH = 13  # of the caption
WHY_VALIDATION = "Validation accuracy on purpose: a choice is made on it, and the test set stays untouched."


def sweep_figure(picture: SweepPicture) -> Figure:
    width, rate = picture.width, picture.rate
    is_heat = width is not None and rate is not None
    if picture.what == FAILED and not is_heat:
        raise InputError("--of failed: a map is of a width or slope and a learning rate; the table counts failures")
    if width is not None and rate is not None:
        size, draw = heat_size(picture, width, rate), partial(draw_heat, across=width, rate=rate)
    elif width is not None:
        size, draw = curves_size(picture, width), partial(draw_curves, across=width)
    else:
        size, draw = dots_size(picture), draw_dots
    # Below the panels the caption, above them the title.
    lines = textwrap.wrap(" ".join(_notes(picture, is_heat=is_heat)), int(size[0] * LETTERS_PER_INCH))
    foot = LINE_INCHES * len(lines) + 0.12
    height = size[1] + HEAD_INCHES + foot
    inside = ConstrainedLayoutEngine(rect=(0, foot / height, 1, size[1] / height))
    figure = Figure(figsize=(size[0], height), layout=inside)
    FigureCanvasAgg(figure)
    draw(figure, picture)
    head: Any = {"fontsize": 16, "color": INK, "va": "center", "parse_math": False}
    figure.text(0.012, 1 - 0.28 / height, picture.title, **head)
    caption: Any = {"fontsize": 11, "color": INK, "va": "bottom", "linespacing": 1.35, "parse_math": False}
    figure.text(0.012, 0.08 / height, "\n".join(lines), **caption)
    return figure


def _notes(picture: SweepPicture, *, is_heat: bool) -> list[str]:
    """Write the sentences of the caption: averages, missing runs, and why this is not the test accuracy."""
    averages = "One seed, so no interval" if picture.seeds == 1 else f"Mean over {picture.seeds} seeds"
    if picture.seeds > 1 and not is_heat:
        averages += " with its 95 % interval"
    why = WHY_VALIDATION.replace("accuracy", "loss" if picture.what == LOSS else "accuracy")
    notes = [f"{averages}.", *([] if picture.what == TEST else [why])]
    if picture.what == FAILED:
        notes = ["Share of runs that failed, of those that have ended."]
    is_empty = any(row.mean is None for row in picture.rows)
    if is_heat and picture.what != FAILED:
        notes.append(f"Framed: the {'lowest' if picture.is_loss else 'highest'} mean of a panel.")
    if is_heat and is_empty:
        notes.append("Hatched: no run yet.")
    if any(row.is_short for row in picture.rows):
        notes.append("*\u00a0fewer seeds than asked for.")
    if not is_heat and is_empty:
        notes.append("Some settings have no run yet.")
    if picture.failed and picture.what != FAILED:
        runs = "run counts" if picture.failed == 1 else "runs count"
        notes.append(f"{picture.failed} failed {runs} at chance.")
    return notes
