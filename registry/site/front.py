"""Builds the front page: which surrogate to use, and how sure that is."""

from collections.abc import Iterator
from dataclasses import replace

from registry.site.answer import FrontPageAnswer, duels_columns
from registry.site.files import Page, SiteFile
from registry.site.sources import Sources
from registry.site.study_charts import study_charts
from sgbench.plots.chart import Chart, Charts
from sgbench.plots.duels import duels_charts
from sgbench.plots.layout import laid_out
from sgbench.tables import counted

MAP = "regime map"
"""Name of the study's chart, a part of which is on the front page."""
BRIEF, MOST_DOUBTS = 6, 3
"""Counts of the advice's columns and of the doubts on the front page; the page over all tasks has all."""
FOREST_CAPTION = (
    "Points with 95 % intervals. Orange: significantly different after correction for all pairs of the board. "
    "Blue: not significantly different, which is no proof that they are equal."
)


def front_files(sources: Sources, answer: FrontPageAnswer) -> Iterator[Page | SiteFile]:
    records = sum(len(shown.row.scores) for shown in sources.shown.values())
    sizes = (len(sources.boards), "board"), (len(sources.shown), "method"), (records, "record")
    panels = duels_columns(answer)
    charts = study_charts(sources) if sources.extras.advice else {}
    shown = None if MAP not in charts else _first_of_each_kind(charts[MAP])
    advice = answer.advice
    brief = advice and replace(advice, columns=advice.columns[:BRIEF], rows=tuple(row[:BRIEF] for row in advice.rows))
    yield Page(
        "index.html",
        "Which surrogate gradient should I use?",
        "Which surrogate gradient for which task, with the evidence and its doubts, from committed records.",
        "front.html",
        {
            "answer": answer,
            "advice": brief,
            "doubts": answer.doubts[:MOST_DOUBTS],
            "map": None if shown is None else laid_out(shown),
            "tasks": 0 if shown is None else len(charts[MAP].panels),
            "study": "docs/study/README.html" if sources.extras.has_docs else None,
            "size": ", ".join(counted(*size) for size in sizes),
            "forest": laid_out(duels_charts(panels, FOREST_CAPTION)) if panels else None,
        },
        "index.html",
        tables={} if advice is None else {"advice": advice},
    )


def _first_of_each_kind(charts: Charts) -> Charts:
    first: dict[str, Chart] = {}
    for chart in charts.panels:
        first.setdefault(chart.network, chart)
    return replace(charts, panels=tuple(first.values()))
