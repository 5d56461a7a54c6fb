"""Writes the tables of a page as CSV and JSON files beside it."""

from collections.abc import Iterator, Mapping

from registry.site.files import Download, SiteFile
from sgbench.tables.table import Table
from sgbench.tables.values import as_csv, as_json


def downloads_of(path: str, tables: Mapping[str, Table]) -> tuple[Download, ...]:
    """Return the links to the files of a page's tables.

    `tables`: maps names to tables; the name of a single table may be empty.
    """
    return tuple(
        Download(f"{name} {kind.upper()}".strip(), _path(path, name, kind))
        for name in tables
        for kind in ("csv", "json")
    )


def table_files(path: str, tables: Mapping[str, Table]) -> Iterator[SiteFile]:
    for name, table in tables.items():
        yield SiteFile(_path(path, name, "csv"), lambda table=table: as_csv(table))
        yield SiteFile(_path(path, name, "json"), lambda table=table: as_json(table))


def _path(path: str, name: str, kind: str) -> str:
    middle = f".{name.replace(' ', '_')}" if name else ""
    return f"{path.removesuffix('.html')}{middle}.{kind}"
