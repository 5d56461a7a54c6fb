"""The front page: which surrogate to use, and whether to believe it."""

from __future__ import annotations

from collections.abc import Iterator

from sgbench.leaderboard.site.answer import FrontPageAnswer, duels_columns
from sgbench.leaderboard.site.files import Page, SiteFile
from sgbench.leaderboard.site.sources import Sources
from sgbench.leaderboard.site.study_charts import study_charts
from sgbench.plots.duels import duels_charts
from sgbench.plots.layout import laid_out
from sgbench.tables import counted

MAP = "regime map"
"""Name of the chart of the study that the front page shows."""
FOREST_CAPTION = (
    "Points with 95 % intervals. Orange: told apart after correction for all pairs of the board. Blue: not told "
    "apart, which is no proof that they are equal."
)


def front_files(sources: Sources, answer: FrontPageAnswer) -> Iterator[Page | SiteFile]:
    """Yield the front page, with the study's regime map where a checkout has it.

    Args:
        sources: boards and catalogue.
        answer: what the page says.
    """
    records = sum(len(place.row.scores) for place in sources.places.values())
    sizes = (len(sources.boards), "board"), (len(sources.places), "method"), (records, "record")
    panels = duels_columns(answer)
    charts = study_charts(sources) if sources.beside.advice else {}
    yield Page(
        "index.html",
        "Which surrogate gradient should I use?",
        "Which surrogate gradient for which task, with the evidence and its doubts, from committed records.",
        "front.html",
        {
            "answer": answer,
            "map": laid_out(charts[MAP]) if MAP in charts else None,
            "study": "docs/study/README.html" if sources.beside.has_docs else None,
            "size": ", ".join(counted(*size) for size in sizes),
            "forest": laid_out(duels_charts(panels, FOREST_CAPTION)) if panels else None,
        },
        "index.html",
        tables={} if answer.advice is None else {"advice": answer.advice},
    )
