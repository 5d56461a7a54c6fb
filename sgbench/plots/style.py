"""The one look of every picture: a palette for any colour vision, one style, the same bytes for the same picture.

Pictures are drawn from numbers: plain frozen dataclasses of this room, or arrays. Whoever has records, neurons or
samples turns them into these first.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgbench.errors import InputError, suggest
from sgbench.records.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, BROWN = "#E69F00", "#56B4E9", "#000000", "#5C4B00"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, BROWN)
"""The palette of Okabe & Ito for any colour vision; its yellow, too light for a line, is a brown here."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<")
INK, SOFT, GRID, BAND = "#222222", "#777777", "#dddddd", "#f4f4f4"
"""Text; what is said in passing; lines of a grid; every second row."""
STYLE: dict[str, Any] = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "figure.dpi": 120,
    "svg.hashsalt": "sgbench",
}
UNDATED: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}
"""Kinds of pictures, and what of their metadata would make two of the same picture differ."""


def check_picture_path(path: Path) -> None:
    """Refuse a picture that could not be written, before anything is computed for it.

    Raises:
        InputError: the path ends in no known kind, or lies in a folder that does not exist.
    """
    if path.suffix.lower() not in UNDATED:
        raise InputError(f"--plot {path}: {suggest(path.suffix, tuple(UNDATED))}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--plot {path}: folder {path.parent} does not exist")


def encode(
    draw: Callable[[], Figure],
    kind: str,
    *,
    texts: Mapping[str, str] | None = None,
    style_changes: Mapping[str, Any] | None = None,
) -> bytes:
    """Draw a figure in the house's style and encode it as a file's bytes: equal ones for equal figures.

    Args:
        draw: makes the figure; called inside the style.
        kind: suffix of the file, ".png", ".svg" or ".pdf".
        texts: what the file says of itself, by keyword, e.g. {"Description": "..."}.
        style_changes: settings of matplotlib that go before the house's.
    """
    from matplotlib import style

    out = io.BytesIO()
    # From matplotlib's defaults, so that nobody's own settings change a picture.
    with style.context(["default", {**STYLE, **(style_changes or {})}]):
        figure = draw()
        if kind == ".png":
            _lay_out(figure)
        figure.savefig(out, format=kind[1:], metadata={**UNDATED[kind], **(texts or {})})
    return out.getvalue()


def _lay_out(figure: Figure) -> None:
    """Lay a figure out once, since saving would otherwise draw it twice to do so."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine(None)


def save(draw: Callable[[], Figure], path: Path, *, style_changes: Mapping[str, Any] | None = None) -> None:
    """Draw a figure in the house's style and write it: the same bytes for the same figure.

    Args:
        draw: makes the figure; called inside the style.
        path: of the file, whose suffix says the kind.
        style_changes: settings of matplotlib that go before the house's.

    Raises:
        InputError: the path is no picture's.
        StorageError: the file cannot be written.
    """
    check_picture_path(path)
    write_atomic(path, encode(draw, path.suffix.lower(), style_changes=style_changes))
