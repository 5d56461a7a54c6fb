"""Draws sparklines of entries, and reads the size of a picture and the digest of its numbers from the file."""

import math
import re
import struct
from collections.abc import Sequence

from registry.site.render import SiteFile
from sgbench.plots.style import numbers_digest

SMALL_END, SMALL_STEPS = ".small.svg", 60
SMALL = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:dc="http://purl.org/dc/elements/1.1/" width="96" height="48">'
    "<metadata><dc:description>{digest}</dc:description></metadata>"
    '<path d="M{points}" fill="none" stroke="#3a8fc7" stroke-width="2" stroke-linejoin="round"/></svg>\n'
)
PX_PER_POINT = 96 / 72  # pixels of a style sheet in a typographic point
SVG_SIZE = re.compile(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"')
PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
DIGEST = re.compile(rb"<dc:description>([0-9a-f]{64})</dc:description>")


def small_drawing(stem: str, values: Sequence[float]) -> SiteFile:
    """Make the SVG file of a sparkline, for lists of entries.

    `stem`: path of the file without its ending; `values`: heights of the curve at equal steps, of which at most 61 are
    drawn.

    >>> b"M4 44L92 4" in small_drawing("atan", [0.0, 1.0]).make()
    True
    """
    finite = [value for value in values if math.isfinite(value)]
    last = len(finite) - 1
    count = min(last, SMALL_STEPS)
    heights = [finite[round(index * last / count)] for index in range(count + 1)] if count > 0 else [0.0, 0.0]
    low, high = min(heights), max(heights)
    span = (high - low) or 1.0
    points = "L".join(
        f"{4 + 88 * index / (len(heights) - 1):.4g} {44 - 40 * (height - low) / span:.3g}"
        for index, height in enumerate(heights)
    )
    digest = numbers_digest(heights)
    return SiteFile(f"{stem}{SMALL_END}", SMALL.format(digest=digest, points=points).encode, digest)


def size_in(data: bytes) -> tuple[int, int] | None:
    """Read width and height [px] of a PNG or of an SVG of matplotlib; None for other data."""
    if data.startswith(PNG_HEAD) and len(data) >= len(PNG_HEAD) + 8:
        width, height = struct.unpack_from(">II", data, len(PNG_HEAD))
        return width, height
    size = SVG_SIZE.search(data)
    if size is None:
        return None
    width_pt, height_pt = map(float, size.groups())
    return round(PX_PER_POINT * width_pt), round(PX_PER_POINT * height_pt)


def digest_in(data: bytes) -> str | None:
    """Read the digest of its numbers from an SVG; None without one."""
    match = DIGEST.search(data)
    return None if match is None else match.group(1).decode()
