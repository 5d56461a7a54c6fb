"""Lists, shows and draws entries of the catalogue, in Python as on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sgbench.composition import catalogue
from sgbench.composition.entry_text import as_dict, columns, entry_text, list_row, parameter_rows
from sgbench.errors import InputError
from sgbench.plots.style import Drawn
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTTED = ("surrogate", "neuron")
"""Groups of entries that have a picture."""


class EntryList(ShownTable, Sequence[str]):
    """Holds the names of entries or groups, each with its description.

    `rows`: for each name a tuple of the name and one or more cells that describe it.

    >>> names = EntryList([("atan", "a bell"), ("zero", "a control")])
    >>> print(names)
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

    def __str__(self) -> str:
        return columns(self.rows).rstrip("\n") if self.rows else "nothing"

    def table(self) -> Table:
        rows = [(name, "; ".join(filter(None, cells))) for name, *cells in self.rows]
        return plain_table("Names", [("name", ""), *rows], text_columns=2)


class EntryView(Drawn, ShownTable):
    """Holds one entry of the catalogue; prints its parameters, formula and sources as `sgbench show` does."""

    def __init__(self, entry: catalogue.Entry, config_dirs: Sequence[Path] = ()) -> None:
        self.entry, self.config_dirs = entry, tuple(config_dirs)

    def to_dict(self) -> dict[str, Any]:
        """Convert the entry to a dictionary with stable keys, as `sgbench show --json` prints it."""
        return as_dict(self.entry)

    def __str__(self) -> str:
        return entry_text(self.entry, self.config_dirs).rstrip("\n")

    def table(self) -> Table:
        name, rows = f"{self.entry.group}/{self.entry.name}", parameter_rows(self.entry, self.config_dirs)
        return plain_table(name, [(name, "default"), *rows], text_columns=2)

    def table_notes(self) -> tuple[str, ...]:
        formula = self.entry.meta.get("formula")
        formulas = [f"formula: {formula}"] if formula else []
        return (self.entry.line, *formulas, *(f"source: {source}" for source in self.entry.meta.get("sources") or []))

    def figure(self) -> Figure:
        return portrait(self.entry, config_dirs=self.config_dirs)


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
    return EntryView(catalogue.entry(group, entry_name, config_dirs), config_dirs)


def portrait(entry: catalogue.Entry, *, config_dirs: Sequence[Path] = (), allow_targets: Sequence[str] = ()) -> Figure:
    """Draw a surrogate or a neuron of the catalogue with its default parameters."""
    from sgbench.plots.entries.neuron import neuron_figure, neuron_picture
    from sgbench.plots.entries.surrogate import surrogate_figure, surrogate_picture
    from sgbench.training.creation import create

    if entry.group not in PLOTTED:
        raise InputError(f"{entry.group}/{entry.name}: no picture; there are some of {' and '.join(PLOTTED)}")
    options = {"features": 1} if entry.group == "neuron" else {}
    module = create(f"{entry.group}/{entry.name}", config_dirs=config_dirs, allow_targets=allow_targets, **options)
    if entry.group == "surrogate":
        return surrogate_figure(surrogate_picture(entry.name, module))
    return neuron_figure(neuron_picture(entry.name, module, formula_of(entry)))


def formula_of(entry: catalogue.Entry) -> str:
    """Return the formula of an entry as a line of matplotlib's mathematics; empty without one."""
    return str(entry.meta.get("formula", ""))
