"""The documentation's part of the list behind the site's search: a line for each section and object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sgbench.leaderboard.site.search import DOCS_LIST, Findable, as_script

MOST_LETTERS = 600
SECTIONS, OBJECTS = "docs", "reference"
LEFT_OUT = ("catalogue/",)
"""Beginnings of pages that are on the boards' own list."""


def write_list(app: Any, into: Path) -> None:
    """Write the list into the folder of a built documentation."""
    names = sorted(name for name in app.env.found_docs if not name.startswith(LEFT_OUT))
    found = [each for name in names for each in sections(app.env.get_doctree(name), f"docs/{name}.html")]
    found += objects(app.env.domaindata["py"]["objects"])
    (into / Path(DOCS_LIST).name).write_bytes(as_script(found))


def sections(tree: Any, page: str) -> Iterator[Findable]:
    """Yield a line for each section that has text of its own, with its beginning."""
    from docutils import nodes

    for section in tree.findall(nodes.section):
        own = [part for part in section.children if not isinstance(part, nodes.section | nodes.title)]
        text = " ".join(" ".join(part.astext().split()) for part in own if isinstance(part, nodes.Element))
        title = next(iter(section.findall(nodes.title)), None)
        if title is not None and text:
            yield Findable(title.astext(), f"{page}#{section['ids'][0]}", SECTIONS, text[:MOST_LETTERS])


def objects(known: Any) -> Iterator[Findable]:
    """Yield a line for each documented class, function and method."""
    for name, each in sorted(known.items()):
        if not each.aliased:
            yield Findable(
                name.rpartition(".")[2], f"docs/{each.docname}.html#{each.node_id}", OBJECTS, f"{each.objtype} {name}"
            )
