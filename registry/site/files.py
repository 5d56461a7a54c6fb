"""Defines the parts of a site: files, pages, pictures and downloads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sgbench.tables.table import Table


@dataclass(frozen=True)
class SiteFile:
    """Describes one file of the site, whose bytes `make` computes."""

    path: str  # from the top of the site, with slashes
    make: Callable[[], bytes]
    digest: str | None = None  # hash of a picture's numbers, since its bytes vary between drawing libraries


@dataclass(frozen=True)
class Download:
    """Holds a file that a page offers for download."""

    label: str
    path: str


@dataclass(frozen=True)
class Picture:
    """Holds a picture on a page.

    Its size is part of the page, so that nothing moves when the picture appears.
    """

    path: str
    alt: str  # the picture described in text
    caption: str
    size: tuple[int, int] | None  # width and height [px]; None if unknown


@dataclass(frozen=True)
class Page:
    """Holds the template and the values of a page."""

    path: str
    title: str
    about: str  # one sentence, for search engines and lists of tabs
    template: str
    values: Mapping[str, object]
    section: str = ""  # path of the page's entry in the navigation
    downloads: tuple[Download, ...] = field(default=())
    tables: Mapping[str, Table] = field(default_factory=dict)  # maps names to tables that are also written as files
    kind: str = "page"  # as the search names it
    words: str = ""  # search terms besides `title` and `about`
