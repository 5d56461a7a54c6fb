"""Builds the page of the search over boards, methods, entries and texts, and its index."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from registry.site.files import Page, SiteFile
from registry.site.sources import ShownRow, Sources, method_path

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
