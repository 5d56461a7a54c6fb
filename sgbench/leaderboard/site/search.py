"""The search over boards, methods, entries and texts: its page, and the list that it looks through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sgbench.leaderboard.site.files import Page, SiteFile
from sgbench.leaderboard.site.sources import BoardPlace, Sources, method_path

LIST, DOCS_LIST = "searched.js", "docs/searched.js"
"""Scripts with what can be found: the boards' own, and that of the documentation, which its build writes."""


@dataclass(frozen=True)
class Findable:
    """Describes one thing that can be found."""

    title: str
    path: str  # from the top of the site
    kind: str  # "surrogate", "board", "method", "page" ...
    text: str


def search_files(pages: Iterable[Page], sources: Sources) -> Iterator[Page | SiteFile]:
    """Yield the page of the search and its list.

    Args:
        pages: those that are listed, each with its title and what it is about.
        sources: for the methods.
    """
    listed = [
        Findable(page.title, page.path, page.kind, f"{page.about} {page.words}".strip()) for page in pages
    ]
    listed += [
        Findable(
            place.row.label,
            method_path(place.board.protocol.name, method_id),
            "method",
            _scored(place),
        )
        for method_id, place in sources.places.items()
    ]
    yield SiteFile(LIST, lambda: as_script(listed))
    yield Page(
        "search.html",
        "Search",
        "One search over boards, methods, surrogates, neurons and texts.",
        "search.html",
        {"lists": (LIST, DOCS_LIST) if sources.beside.has_docs else (LIST,)},
        "search.html",
    )


def _scored(place: BoardPlace) -> str:
    board = place.board
    return f"on {board.protocol.name}: {board.measure.title} {board.measure.summary(place.row.score)}"


def as_script(found: Sequence[Findable]) -> bytes:
    """Write a list as the script that a page of a folder may load, which may not read other files.

    >>> as_script([Findable("atan", "surrogates/atan.html", "surrogate", "a bell")]).decode().splitlines()[1]
    '["atan","surrogates/atan.html","surrogate","a bell"]'
    """
    lines = (
        json.dumps([each.title, each.path, each.kind, each.text], ensure_ascii=False, separators=(",", ":"))
        for each in found
    )
    return ("(self.searched ??= []).push(\n" + ",\n".join(lines) + "\n);\n").encode()
