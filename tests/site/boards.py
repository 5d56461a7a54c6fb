"""Small leaderboards folders, and the sources of sites made from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from registry.site.pages import site_files
from registry.site.render import Page, render_page
from registry.site.sources import Sources, read_sources
from sgbench.composition import catalogue
from sgbench.records.record import RunRecord
from tests.leaderboard.factory import ToyReferences, write_board_record
from tests.site.documents import Document

NAMES = ("atan", "triangle", "sigmoid", "zero")
COMMIT = "c" * 40


def sources_of(root: Path, records: Iterable[RunRecord] = ()) -> Sources:
    """The sources of a folder with these records; of the catalogue four surrogates and one neuron have pages."""
    root.mkdir(exist_ok=True)
    for each in records:
        write_board_record(root, each)
    found = read_sources(root, references=ToyReferences(), commit=COMMIT)
    found.__dict__["surrogates"] = {name: catalogue.entry("surrogate", name) for name in NAMES}
    found.__dict__["neurons"] = {"leaky": catalogue.entry("neuron", "leaky")}
    return found


def texts(sources: Sources) -> dict[str, str]:
    """Every file of a site that is text, by its path; pictures are not drawn."""
    return {
        each.path: each.make().decode()
        for each in site_files(sources)
        if each.digest is None and not each.path.endswith((".svg", ".png"))
    }


def documents(sources: Sources) -> dict[str, Document]:
    """Every page of a site, each of which has to be well-formed."""
    found = {path: Document(text) for path, text in texts(sources).items() if path.endswith(".html")}
    assert {path: page.problems for path, page in found.items() if page.problems} == {}
    return found


def html(page: Page) -> str:
    """One page as its file."""
    return render_page(page, commit=COMMIT).make().decode()
