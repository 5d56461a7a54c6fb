"""What a site is made of: files with their paths, of which some are pages and some are pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sgbench.tables.table import Table


@dataclass(frozen=True)
class SiteFile:
    """Describes one file of the site; its bytes are made when they are asked for."""

    path: str  # from the top of the site, with slashes
    make: Callable[[], bytes]
    digest: str | None = None  # of a picture's numbers: its bytes depend on the drawing library's version


@dataclass(frozen=True)
class Download:
    """Holds a file that a page offers."""

    label: str
    path: str


@dataclass(frozen=True)
class Picture:
    """Holds a picture on a page, with what it shows in words.

    Its size is part of the page, so that nothing moves when the picture appears.
    """

    path: str
    alt: str
    caption: str
    size: tuple[int, int] | None  # width and height [px]; None where nobody knows them


@dataclass(frozen=True)
class Page:
    """Holds a page before it is put into its template."""

    path: str
    title: str
    about: str  # one sentence, for search engines and lists of tabs
    template: str
    values: Mapping[str, object]
    section: str = ""  # path of the entry of the navigation that it belongs to
    downloads: tuple[Download, ...] = field(default=())
    tables: Mapping[str, Table] = field(default_factory=dict)  # that lie beside it as files, by name
    kind: str = "page"  # what the search calls it
    words: str = ""  # that it is found by, beside its title and what it is about
