"""Lists the files of a site in order."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from registry.site.across import across_page, compare_surrogates, comparison_page
from registry.site.answer import FrontPageAnswer, answer_of, duels_columns
from registry.site.entries import entry_files
from registry.site.feed import feed_file
from registry.site.methods import method_files
from registry.site.pending import pending_page
from registry.site.protocols import boards_page, protocol_files
from registry.site.render import Page, SiteFile, downloads_of, render_page, static_files, table_files
from registry.site.sources import ShownRow, Sources, method_path
from registry.site.texts import text_pages
from sgbench.errors import InputError
from sgbench.leaderboard.contents import MANY, SHARES, in_processes, shares, workers_for
from sgbench.leaderboard.store.reading import RecordFile
from sgbench.plots.board_charts import duels_charts
from sgbench.plots.chart import CHARTS, Chart, Charts, charts_of_json
from sgbench.plots.layout import Drawing, laid_out
from sgbench.records.files import read_bytes
from sgbench.tables import counted

LIST, DOCS_LIST = "searched.js", "docs/searched.js"
"""Paths of the scripts with the index of the site, and with that of the documentation, which its build writes."""


@dataclass(frozen=True)
class Findable:
    """Describes one item of the search index."""

    title: str
    path: str  # from the top of the site
    kind: str  # "surrogate", "board", "method", "page" ...
    text: str


def search_files(pages: Iterable[Page], sources: Sources) -> Iterator[Page | SiteFile]:
    """Yield the list of all that can be found, and the page that searches it."""
    listed = [Findable(page.title, page.path, page.kind, f"{page.about} {page.words}".strip()) for page in pages]
    listed += [
        Findable(shown.row.label, method_path(shown.board.protocol.name, method_id), "method", _score_text(shown))
        for method_id, shown in sources.shown.items()
    ]
    yield SiteFile(LIST, lambda: as_script(listed))
    yield Page(
        "search.html",
        "Search",
        "One search over boards, methods, surrogates, neurons and texts.",
        "search.html",
        {"lists": (LIST, DOCS_LIST) if sources.extras.has_docs else (LIST,)},
        "search.html",
    )


def _score_text(shown: ShownRow) -> str:
    board = shown.board
    return f"on {board.protocol.name}: {board.measure.title} {board.measure.summary(shown.row.score)}"


def as_script(items: Sequence[Findable]) -> bytes:
    """Write an index as a script, since a page opened from disk may load scripts but no other files.

    >>> as_script([Findable("atan", "surrogates/atan.html", "surrogate", "a bell")]).decode().splitlines()[1]
    '["atan","surrogates/atan.html","surrogate","a bell"]'
    """
    lines = (
        json.dumps([item.title, item.path, item.kind, item.text], ensure_ascii=False, separators=(",", ":"))
        for item in items
    )
    return ("(self.searched ??= []).push(\n" + ",\n".join(lines) + "\n);\n").encode()


STUDIES = ("study", "passing_steps", "chip")
"""Folders of the documentation with the reports of studies."""
MAP = "regime map"
"""Name of the study's chart, a part of which is on the front page."""
BRIEF, MOST_DOUBTS = 6, 3
"""Counts of the advice's columns and of the doubts on the front page; the page over all tasks has all."""
FOREST_CAPTION = (
    "Points with 95 % intervals. Orange: significantly different after correction for all pairs of the board. "
    "Blue: not significantly different, which is no proof that they are equal."
)


def site_files(sources: Sources) -> Iterator[SiteFile]:
    """Yield all files of the site; pages of methods are made in several processes if there are many."""
    searched: list[Page] = []
    yield from _rendered(_boards_and_texts(sources), sources, searched)
    yield from _rendered(search_files(searched, sources), sources)
    files, _ = sources.tree.candidates()  # files that are left out are reported with the boards
    workers = workers_for(len(files), many=MANY)
    parts = shares(files, "leaderboards", workers * SHARES)
    for _, (path, data) in in_processes(partial(_method_pages, sources), parts, workers=workers):
        yield SiteFile(path, lambda data=data: data)
    yield from static_files()


def _method_pages(sources: Sources, files: Sequence[RecordFile]) -> Iterator[tuple[str, bytes]]:
    for page in _rendered(method_files(sources, files), sources):
        yield page.path, page.make()


def _rendered(
    pages: Iterable[Page | SiteFile], sources: Sources, searched: list[Page] | None = None
) -> Iterator[SiteFile]:
    """Yield pages rendered by their templates, each after the files of its tables; other files unchanged.

    Pages are appended to `searched`, from which the search is built.
    """
    for item in pages:
        if isinstance(item, Page):
            if searched is not None:
                searched.append(item)
            yield from table_files(item.path, item.tables)
            page = replace(item, downloads=(*item.downloads, *downloads_of(item.path, item.tables)))
            yield render_page(page, commit=sources.commit, docs=sources.extras.has_docs)
        else:
            yield item


def _boards_and_texts(sources: Sources) -> Iterator[Page | SiteFile]:
    """Yield all pages but those of methods and of the search."""
    over_tasks = compare_surrogates(sources)
    answer = answer_of(sources, over_tasks)
    yield from _front_files(sources, answer)
    yield from _charts_pages(sources)
    yield boards_page(sources)
    for board in sources.boards:
        yield from protocol_files(board, sources)
    for group in ("surrogate", "neuron"):
        yield from entry_files(group, sources)
    yield across_page(over_tasks, answer, sources)
    yield from text_pages(sources)
    yield pending_page(sources)
    yield comparison_page(sources)
    yield feed_file(sources)


def _front_files(sources: Sources, answer: FrontPageAnswer) -> Iterator[Page | SiteFile]:
    """Yield the front page."""
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


def study_charts(sources: Sources) -> dict[str, Charts]:
    """Map the names of the charts in all reports to the charts; empty outside a checkout."""
    found: dict[str, Charts] = {}
    for study in STUDIES:
        path = None if sources.docs is None else sources.docs / study / CHARTS
        if path is not None and path.is_file():
            try:
                found |= charts_of_json(read_bytes(path))
            except ValueError as error:
                raise InputError(f"{path}: holds no charts; write it again with python -m study report") from error
    return found


def _charts_pages(sources: Sources) -> Iterator[Page]:
    """Yield a page for each kind of chart in the reports of studies, and a list of these pages."""
    kinds: dict[str, dict[str, Drawing]] = {}
    for name, charts in study_charts(sources).items():
        drawing = laid_out(charts)
        if drawing is not None:
            kinds.setdefault(name.partition(":")[0], {})[name] = drawing
    study = "docs/study/README.html" if sources.extras.has_docs else None
    links = []
    for kind, drawings in kinds.items():
        path, title = f"measured/{kind.replace(' ', '_')}.html", f"{kind[0].upper()}{kind[1:]}"
        about = next(iter(drawings.values())).caption
        links.append((path, title, about))
        values = {"charts": drawings, "study": study}
        yield Page(path, title, f"{title}, as studies measured it.", "measured.html", values, "index.html", words=about)
    if links:
        about = "Charts of studies: widths, learning rates and rules, passing steps, advice under a budget."
        values = {"links": links, "study": study}
        yield Page("measured.html", "What was measured", about, "measured_list.html", values, "index.html")
