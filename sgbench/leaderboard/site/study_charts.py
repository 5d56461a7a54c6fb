"""The page of charts that studies made, as the checkout's documentation has them."""

from __future__ import annotations

from collections.abc import Iterator

from sgbench.errors import InputError
from sgbench.leaderboard.site.files import Page
from sgbench.leaderboard.site.sources import Sources
from sgbench.plots.chart import CHARTS, Charts, charts_of_json
from sgbench.plots.layout import laid_out
from sgbench.records.files import read_bytes

STUDIES = ("study", "passing_steps", "chip")
"""Folders of the documentation that hold the reports."""


def study_charts(sources: Sources) -> dict[str, Charts]:
    """Read the charts of all reports, by name; none from a wheel.

    Raises:
        InputError: a file holds something else.
    """
    found: dict[str, Charts] = {}
    for study in STUDIES:
        path = None if sources.docs is None else sources.docs / study / CHARTS
        if path is not None and path.is_file():
            try:
                found |= charts_of_json(read_bytes(path))
            except ValueError as error:
                raise InputError(
                    f"{path}: holds no charts; write it again with sgbench study report"
                ) from error
    return found


def charts_page(sources: Sources) -> Iterator[Page]:
    """Yield the page of all charts of the studies, where there are some."""
    charts = {name: laid_out(found) for name, found in study_charts(sources).items()}
    if charts:
        yield Page(
            "measured.html",
            "What was measured",
            "Charts of the studies: widths, learning rates, learning rules and passing steps.",
            "measured.html",
            {"charts": charts, "study": "docs/study/README.html" if sources.beside.has_docs else None},
            "index.html",
        )
