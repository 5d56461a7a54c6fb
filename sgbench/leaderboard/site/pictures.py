"""Pictures of a site: drawn as SVG by `plots`, each with the digest of its numbers inside."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sgbench.leaderboard.site.files import SiteFile
from sgbench.plots import style
from sgbench.plots.drawn_from import numbers_digest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYWORD = "Description"
SMALL_END, SMALL_STEPS = ".small.svg", 60
SMALL = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:dc="http://purl.org/dc/elements/1.1/" width="96" height="48">'
    "<metadata><dc:description>{digest}</dc:description></metadata>"
    '<path d="M{points}" fill="none" stroke="#3a8fc7" stroke-width="2" stroke-linejoin="round"/></svg>\n'
)
AS_TEXT = {"svg.fonttype": "none"}  # letters as letters: a third of the bytes
PX_PER_INCH, PX_PER_POINT = 96, 96 / 72  # of a style sheet
SVG_SIZE = re.compile(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"')
PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
DIGEST = re.compile(rb"<dc:description>([0-9a-f]{64})</dc:description>")
OUTLINE = re.compile(rb' d="[^"]*"')
LONG = re.compile(rb"(\d\.\d)\d+")


def drawn(path: str, numbers: object, draw: Callable[[], Figure]) -> SiteFile:
    """Make the file of a picture, drawn when its bytes are asked for.

    Args:
        path: from the top of the site.
        numbers: what is drawn: dataclasses, lists and arrays of text and numbers.
        draw: makes the figure.
    """
    digest = numbers_digest(numbers)

    def make() -> bytes:
        data = style.encode(draw, ".svg", texts={KEYWORD: digest}, style_changes=AS_TEXT)
        return OUTLINE.sub(_shorter, data)

    return SiteFile(path, make, digest)


def small_drawing(stem: str, values: Sequence[float]) -> SiteFile:
    """Make the file of a curve as small as a word, for lists of entries.

    Args:
        stem: its path without an ending.
        values: heights at equal steps, thinned to 61.

    >>> b"M4 44L92 4" in small_drawing("atan", [0.0, 1.0]).make()
    True
    """
    finite = [value for value in values if math.isfinite(value)]
    last = len(finite) - 1
    count = min(last, SMALL_STEPS)
    heights = [finite[round(place * last / count)] for place in range(count + 1)] if count > 0 else [0.0, 0.0]
    low, high = min(heights), max(heights)
    tall = (high - low) or 1.0
    points = "L".join(
        f"{4 + 88 * place / (len(heights) - 1):.4g} {44 - 40 * (height - low) / tall:.3g}"
        for place, height in enumerate(heights)
    )
    digest = numbers_digest(heights)
    text = SMALL.format(digest=digest, points=points)
    return SiteFile(f"{stem}{SMALL_END}", text.encode, digest)


def on_page(inches: tuple[float, float]) -> tuple[int, int]:
    """Convert a figure's size to that of its picture on a page.

    >>> on_page((10, 5))
    (960, 480)
    """
    width, height = inches
    return round(PX_PER_INCH * width), round(PX_PER_INCH * height)


def size_in(data: bytes) -> tuple[int, int] | None:
    """Read the size of a PNG, or of an SVG of matplotlib, in pixels; None of anything else."""
    if data.startswith(PNG_HEAD) and len(data) >= len(PNG_HEAD) + 8:
        width, height = struct.unpack_from(">II", data, len(PNG_HEAD))
        return width, height
    size = SVG_SIZE.search(data)
    if size is None:
        return None
    width_pt, height_pt = map(float, size.groups())
    return round(PX_PER_POINT * width_pt), round(PX_PER_POINT * height_pt)


def digest_in(data: bytes) -> str | None:
    """Read the digest that a picture carries; None where there is none."""
    match = DIGEST.search(data)
    return None if match is None else match.group(1).decode()


def _shorter(outline: re.Match[bytes]) -> bytes:
    """Round the coordinates of an outline to a tenth of a point, so that the file is shorter."""
    return b" " + b" ".join(LONG.sub(rb"\1", outline.group()).split())
