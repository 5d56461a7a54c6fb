"""Builds the page that compares two methods in a browser, and a script with the data of each method."""

import json
from collections.abc import Iterator

from registry.site.files import Page
from registry.site.method_curves import MEAN
from registry.site.sources import ShownRow, Sources
from sgbench.leaderboard.differing_settings import parameter_text
from sgbench.leaderboard.pages.explain import figures
from sgbench.plots.chart import Charts
from sgbench.records.spec import GROUPS, Method
from sgbench.statistics.intervals import t_quantile

PATH = "compare.html"
CONFIDENCE = 0.95
DIGITS = 6  # significant digits of a curve's numbers


def comparison_page(sources: Sources) -> Page:
    """Build the page that compares any two methods of a board, whose ids are in the page's address.

    It contains the quantiles of Student's t up to the largest count of seeds in `sources`.
    """
    most = max((len(shown.row.scores) for shown in sources.shown.values()), default=2)
    quantiles = [f"{t_quantile(CONFIDENCE, degrees):.9g}" for degrees in range(1, max(most, 2))]
    return Page(
        PATH,
        "Compare two methods",
        "Two methods of a board: their difference with its interval, curves, costs, and the settings that differ.",
        "compare.html",
        {"quantiles": " ".join(quantiles)},
        "boards.html",
    )


def method_script(method: Method, shown: ShownRow, curves: Charts) -> bytes:
    """Write the data of a method for the page as a script, since a page opened from disk may load no other files."""
    row, measure = shown.row, shown.board.measure
    unit = 1.0 if measure.is_loss else 100.0
    value = {
        "id": row.method_id,
        "board": shown.board.protocol.name,
        "label": row.label,
        "isLoss": measure.is_loss,
        "scores": {str(seed): unit * score for seed, score in sorted(row.scores.items())},
        "figures": figures(row, shown.board),
        "settings": dict(_settings(method)),
        "curves": [
            {
                "title": panel.title,
                "axis": panel.y.label,
                "isLog": panel.y.is_log,
                "points": [
                    [float(f"{number:.{DIGITS}g}") for number in (point.x, point.y, *(point.y_ends or ()))]
                    for series in panel.series
                    if series.name == MEAN
                    for point in series.points
                ],
            }
            for panel in curves.panels
        ],
    }
    data = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"(self.methods ??= []).push(\n{data}\n);\n".encode()


def _settings(method: Method) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        yield group, method.choices[group]
        for key, number in method.parameters[group].items():
            yield f"{group}.{key}", parameter_text(number)
    if method.clip_norm is not None:
        yield "clip_norm", f"{method.clip_norm:g}"
