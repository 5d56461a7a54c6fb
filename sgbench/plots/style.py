"""The style of all pictures: a palette for any colour vision, and equal bytes for equal figures.

Pictures are drawn from arrays and from frozen dataclasses of this package; callers convert records to these.
"""

from __future__ import annotations

import hashlib
import io
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sgbench.errors import InputError, suggest
from sgbench.records.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, BROWN = "#E69F00", "#56B4E9", "#000000", "#5C4B00"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, BROWN)
"""The palette of Okabe & Ito for any colour vision, with brown in place of yellow, which is too light for lines."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<")


class ShapeLook(NamedTuple):
    """Describes how a surrogate shape is drawn: its colours on white and on the dark page, and its marker."""

    light: str
    dark: str
    marker: str


SHAPES = {
    "triangle": ShapeLook("#263491", "#3c8afe", "o"),
    "gaussian": ShapeLook("#297d92", "#a3dffc", "s"),
    "sigmoid": ShapeLook("#018352", "#2ca464", "D"),
    "atan": ShapeLook("#554a14", "#e7db8c", "^"),
    "fast_sigmoid": ShapeLook("#70092d", "#e666af", "v"),
    "log_abs": ShapeLook("#cf5d22", "#e5631f", "P"),
}
"""The six shapes from compact to heavy-tailed, in every picture: compact ones cold, heavy-tailed ones warm."""
INK, SOFT, GRID, BAND = "#222222", "#777777", "#dddddd", "#f4f4f4"
"""Colours of text, secondary text, grid lines, and every second row."""
STYLE: dict[str, Any] = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "figure.dpi": 120,
    "svg.hashsalt": "sgbench",
}
UNDATED: dict[str, dict[str, str | None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Kinds of picture files, with the metadata to remove so that equal figures give equal bytes."""
MAX_COLOURS = 256
"""Colours of a PNG: a palette, with one byte a pixel, makes files about a third as large as three bytes do."""


def look_of(name: str, position: int) -> dict[str, str]:
    """Return colour and marker of a line: a shape's own, or those of its position among the others.

    >>> look_of("atan", 0)["marker"], look_of("e-prop", 1) == {"color": VERMILION, "marker": "s"}
    ('^', True)
    """
    shape = SHAPES.get(name)
    if shape is not None:
        return {"color": shape.light, "marker": shape.marker}
    return {"color": COLOURS[position % len(COLOURS)], "marker": MARKERS[position % len(MARKERS)]}


def check_picture_path(path: Path) -> None:
    """Refuse a picture's path that cannot be written, before anything is computed for it."""
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
    """Draw a figure in sgbench's style and return the bytes of its file; equal figures give equal bytes."""
    from matplotlib import style

    out = io.BytesIO()
    # Starts from matplotlib's defaults, so that a user's settings do not change pictures.
    with style.context(["default", {**STYLE, **(style_changes or {})}]):
        figure = draw()
        if kind == ".png":
            return _png(figure, texts or {})
        figure.savefig(out, format=kind[1:], metadata={**UNDATED[kind], **(texts or {})})
    return out.getvalue()


def _png(figure: Figure, texts: Mapping[str, str]) -> bytes:
    """Encode a figure as a PNG with a palette of its `MAX_COLOURS` most important colours."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image, PngImagePlugin

    layout = figure.get_layout_engine()
    if layout is not None:  # once, since saving would draw twice otherwise
        layout.execute(figure)
        figure.set_layout_engine(None)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    metadata = PngImagePlugin.PngInfo()
    for keyword, text in texts.items():
        metadata.add_text(keyword, text)
    out = io.BytesIO()
    palette = pixels.quantize(MAX_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    palette.save(out, "PNG", pnginfo=metadata, dpi=(figure.dpi, figure.dpi))
    return out.getvalue()


def save(draw: Callable[[], Figure], path: Path, *, style_changes: Mapping[str, Any] | None = None) -> None:
    """Draw a figure in sgbench's style and write it to a file; equal figures give equal bytes."""
    check_picture_path(path)
    write_atomic(path, encode(draw, path.suffix.lower(), style_changes=style_changes))


class PictureFile(type(Path())):
    """Names the file of a picture, which a notebook shows as the result of a cell."""

    def _repr_png_(self) -> bytes | None:
        return self.read_bytes() if self.suffix == ".png" else None

    def _repr_svg_(self) -> str | None:
        return self.read_text(encoding="utf-8") if self.suffix == ".svg" else None


class Drawn:
    """Draws a subclass by its `figure` in sgbench's style."""

    def figure(self) -> Figure:
        raise NotImplementedError

    def plot(self, path: Path | str | None = None) -> Any:
        """Draw it as a matplotlib figure, which a notebook shows, or into a file, .png, .svg or .pdf; return either.

        Raises:
            InputError: the file is of another kind, its folder is missing, or there is nothing to draw.
        """
        return drawn(self.figure, path)


def drawn(draw: Callable[[], Figure], path: Path | str | None) -> Any:
    """Return a figure that a notebook shows, or write it to a file and return its path; see `Drawn.plot`."""
    if path is not None:
        save(draw, PictureFile(path))
        return PictureFile(path)
    from matplotlib import style

    with style.context(["default", STYLE]):
        figure = draw()
    figure._repr_png_ = lambda: encode(lambda: figure, ".png")  # pyright: ignore[reportAttributeAccessIssue] - for IPython
    return figure


def wrapped(text: str, width: int, most: int = 1) -> str:
    r"""Wrap a text between its words into at most `most` lines; a longer text ends with an ellipsis.

    >>> wrapped("atan(alpha=2), eprop, adam(lr=0.01)", 22, most=2)
    'atan(alpha=2), eprop,\nadam(lr=0.01)'
    >>> wrapped("atan(alpha=2), eprop, adam(lr=0.01)", 16)
    'atan(alpha=2),…'
    """
    lines = textwrap.wrap(text, width, break_on_hyphens=False)
    if len(lines) > most:
        lines[most - 1 :] = [f"{lines[most - 1][: width - 1]}…"]
    return "\n".join(lines)


def most_lines(texts: Iterable[str]) -> int:
    """Count the lines of the text that has the most; 1 without texts."""
    return max((text.count("\n") + 1 for text in texts), default=1)


NOUGHT = 1e-12  # numbers below this are written as 0, since a difference of equal means is rounding


def numbers_digest(numbers: object) -> str:
    """Hash the numbers behind a picture, each rounded to nine significant digits.

    Further digits vary between processors. Of a dataclass, fields with `compare=False` are left out.

    >>> numbers_digest([0.1 + 0.2]) == numbers_digest([0.3])
    True
    """
    return hashlib.sha256(numbers_text(numbers).encode()).hexdigest()


def numbers_text(numbers: Any) -> str:
    """Write dataclasses, mappings, lists and arrays as text, numbers with nine significant digits.

    >>> numbers_text([("a", 0.1 + 0.2), None, 0.3 - 0.1 - 0.2])
    '[[a 0.3] None 0]'
    """
    if hasattr(numbers, "tolist"):
        return numbers_text(numbers.tolist())
    if is_dataclass(numbers):
        return numbers_text([getattr(numbers, field.name) for field in fields(numbers) if field.compare])
    if isinstance(numbers, Mapping):
        return numbers_text([*numbers.items()])
    if isinstance(numbers, Sequence) and not isinstance(numbers, str):
        return f"[{' '.join(map(numbers_text, numbers))}]"
    if isinstance(numbers, float):
        return f"{0.0 if abs(numbers) < NOUGHT else numbers:.9g}"
    return str(numbers)
