"""Defines the parts of a site: files, pages, pictures, and tables that are also files to download."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sgbench.tables.table import Table
from sgbench.tables.values import as_csv, as_json


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


def downloads_of(path: str, tables: Mapping[str, Table]) -> tuple[Download, ...]:
    """Return the links to the files of a page's tables.

    `tables`: maps names to tables; the name of a single table may be empty.
    """
    return tuple(
        Download(f"{name} {kind.upper()}".strip(), _table_path(path, name, kind))
        for name in tables
        for kind in ("csv", "json")
    )


def table_files(path: str, tables: Mapping[str, Table]) -> Iterator[SiteFile]:
    for name, table in tables.items():
        yield SiteFile(_table_path(path, name, "csv"), lambda table=table: as_csv(table))
        yield SiteFile(_table_path(path, name, "json"), lambda table=table: as_json(table))


def _table_path(path: str, name: str, kind: str) -> str:
    middle = f".{name.replace(' ', '_')}" if name else ""
    return f"{path.removesuffix('.html')}{middle}.{kind}"
