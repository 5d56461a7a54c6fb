"""Pictures of entries as SVG files, each with the digest of its numbers inside."""

import re
from collections.abc import Callable

from matplotlib.figure import Figure

from sgbench.leaderboard.site.files import SiteFile
from sgbench.plots import style
from sgbench.plots.drawn_from import numbers_digest

KEYWORD = "Description"
AS_TEXT = {"svg.fonttype": "none"}  # letters as letters: a third of the bytes
OUTLINE = re.compile(rb' d="[^"]*"')
LONG = re.compile(rb"(\d\.\d)\d+")


def drawn(path: str, numbers: object, draw: Callable[[], Figure]) -> SiteFile:
    """Make the file of a picture, drawn when its bytes are asked for."""
    digest = numbers_digest(numbers)

    def make() -> bytes:
        data = style.encode(draw, ".svg", texts={KEYWORD: digest}, style_changes=AS_TEXT)
        return OUTLINE.sub(_shorter, data)

    return SiteFile(path, make, digest)


def _shorter(outline: re.Match[bytes]) -> bytes:
    """Round the coordinates of an outline to a tenth of a point, so that the file is shorter."""
    return b" " + b" ".join(LONG.sub(rb"\1", outline.group()).split())
