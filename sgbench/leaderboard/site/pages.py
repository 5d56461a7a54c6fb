"""Which pages a site has, in which order."""

from __future__ import annotations

from collections.abc import Iterator

from sgbench.leaderboard.site.across import across_files, compared
from sgbench.leaderboard.site.entries import entry_files
from sgbench.leaderboard.site.files import Page, SiteFile
from sgbench.leaderboard.site.front import front_files
from sgbench.leaderboard.site.methods import method_files
from sgbench.leaderboard.site.protocols import boards_page, protocol_files
from sgbench.leaderboard.site.render import rendered, static_files
from sgbench.leaderboard.site.sources import Sources
from sgbench.leaderboard.site.texts import text_pages


def site_files(sources: Sources) -> Iterator[SiteFile]:
    """Yield every file of a site one after another, all but the list of files."""
    for each in _everything(sources):
        yield (
            rendered(each, commit=sources.commit, docs=sources.beside.has_docs)
            if isinstance(each, Page)
            else each
        )
    yield from static_files()


def _everything(sources: Sources) -> Iterator[Page | SiteFile]:
    over_tasks = compared(sources)
    yield from front_files(sources, over_tasks)
    yield boards_page(sources)
    for board in sources.boards:
        yield from protocol_files(board, sources)
    yield from method_files(sources)
    for group in ("surrogate", "neuron"):
        yield from entry_files(group, sources)
    yield from across_files(over_tasks, sources)
    yield from text_pages(sources)
