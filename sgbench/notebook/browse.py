"""Lists the catalogue and shows entries in Python."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from sgbench.composition import catalogue
from sgbench.composition.entry_text import as_dict, columns, entry_text, list_row
from sgbench.errors import InputError
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table


class EntryList(ShownTable, Sequence[str]):
    """Holds the names of entries or groups; prints as one line for each name with its description.

    Args:
        rows: for each name a tuple of the name and one or more cells that describe it.

    >>> names = EntryList([("atan", "a bell"), ("zero", "a control")])
    >>> names
    atan  a bell
    zero  a control
    >>> names[0], "zero" in names, len(names)
    ('atan', True, 2)
    """

    def __init__(self, rows: Sequence[tuple[str, ...]]) -> None:
        self.rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        return [row[0] for row in self.rows][index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return (row[0] for row in self.rows)

    def __repr__(self) -> str:
        return columns(self.rows).rstrip("\n") if self.rows else "nothing"

    def table(self) -> Table:
        width = max(map(len, self.rows), default=1)
        filled = [(*row, *[""] * (width - len(row))) for row in self.rows]
        return plain_table("Names", [("name", *[""] * (width - 1)), *filled], text_columns=width)


class EntryView(ShownTable):
    """Holds one entry of the catalogue; prints its parameters, formula and sources as `sgbench show` does."""

    def __init__(self, entry: catalogue.Entry, text: str) -> None:
        self.entry = entry
        self.text = text

    def to_dict(self) -> dict[str, Any]:
        """Convert the entry to a dictionary with stable keys, as `sgbench show --json` prints it."""
        return as_dict(self.entry)

    def __repr__(self) -> str:
        return self.text.rstrip("\n")

    def table(self) -> Table:
        entry = self.entry
        rows = [(f"{entry.group}/{entry.name}", "default")]
        rows += [(key, str(value)) for key, value in entry.parameters.items()]
        return plain_table(entry.name, rows, text_columns=2)

    def table_notes(self) -> tuple[str, ...]:
        return (self.entry.line,)


def list_entries(group: str | None = None, *, config_dirs: Sequence[Path] = ()) -> EntryList:
    """List the groups of the catalogue, or the entries of one group, each with a description.

    Args:
        group: e.g. "surrogate"; None lists the groups.
        config_dirs: folders with entries of your own.

    Raises:
        InputError: there is no such group.

    >>> list_entries("firing")[0]
    'bernoulli'
    """
    if group is not None:
        entries = catalogue.entries(group, config_dirs)
        return EntryList([list_row(name, entry) for name, entry in entries.items()])
    return EntryList([(group, ", ".join(catalogue.paths(group, config_dirs))) for group in catalogue.groups()])


def show_entry(name: str, *, config_dirs: Sequence[Path] = ()) -> EntryView:
    """Read one entry of the catalogue, to show its parameters with defaults, formula and sources.

    Args:
        name: "GROUP/ENTRY", e.g. "surrogate/atan".
        config_dirs: folders with entries of your own.

    Raises:
        InputError: there is no such entry.

    >>> show_entry("surrogate/atan").to_dict()["name"]
    'atan'
    """
    group, _, entry_name = name.partition("/")
    if not entry_name:
        raise InputError(f"'{name}': GROUP/NAME is needed, e.g. surrogate/atan")
    entry = catalogue.entry(group, entry_name, config_dirs)
    return EntryView(entry, entry_text(entry, config_dirs))
