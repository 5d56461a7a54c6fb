"""Exports records as one flat table for other tools, with one row for each record."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.division import division_of
from sgbench.leaderboard.pages.checked import checked_text
from sgbench.leaderboard.rows import Listing
from sgbench.leaderboard.store.method_provenance import Provenances, read_provenances, without_other_scores
from sgbench.leaderboard.store.reading import Finding
from sgbench.records.base import MAX_WHOLE, Value
from sgbench.records.counts import Count, OpCounts
from sgbench.records.files import write_atomic
from sgbench.records.method import WORDS, canonical
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.tables import inert

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "json", "parquet")
Cell = str | int | float | bool | None
Table = dict[str, list[Cell]]

TEXT, WHOLE, NUMBER = "string", "int64", "double"
TYPES = {
    "protocol": TEXT,
    "method_id": TEXT,
    "seed": WHOLE,
    "status": TEXT,
    "failure": TEXT,
    "division": TEXT,
    "checked": TEXT,
    "notice": TEXT,
    "superseded_by": TEXT,
    "test_accuracy": NUMBER,
    "test_loss": NUMBER,
    "test_samples": WHOLE,
    "validation_accuracy": NUMBER,
    "validation_loss": NUMBER,
    "best_epoch": WHOLE,
    "parameters": WHOLE,
    "spikes": WHOLE,
    "spikes_per_inference": NUMBER,
    "synaptic_operations": WHOLE,
    "synaptic_operations_per_inference": NUMBER,
    "fit_s": NUMBER,
    "test_s": NUMBER,
    "peak_memory_bytes": WHOLE,
    "device": TEXT,
    "engine": TEXT,
    "commit": TEXT,
    "created_utc": TEXT,
    "clip_norm": NUMBER,
}
"""Maps each column that every table has to its Arrow type, which it keeps where no record fills it."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/()@+ -]*")
_VALUE = re.compile(r"(?i:true|false|null|nan|inf|infinity|na|n/a)|None")  # as readers of CSV have it


def run_cells(record: RunRecord, listing: Listing | None = None) -> dict[str, Cell]:
    """Collect the cells of one run: identity, scores, costs in operations, and circumstances.

    `listing`: division and provenance of its method on a board; None without a board.
    """
    test, validation, counts = record.test, record.validation, record.counts
    return {
        "protocol": record.protocol,
        "method_id": record.method_id,
        "seed": record.seed,
        "status": record.status,
        "failure": None if record.failure is None else text_cell(record.failure.kind),
        **({} if listing is None else _listing_cells(listing)),
        "test_accuracy": None if test is None else test.accuracy,
        "test_loss": None if test is None else test.loss,
        "test_samples": None if test is None else test.samples,
        "validation_accuracy": None if validation is None else validation.accuracy,
        "validation_loss": None if validation is None else validation.loss,
        "best_epoch": record.best_epoch,
        "parameters": record.parameters,
        **_count_cells(counts),
        "fit_s": record.timing.fit_s,
        "test_s": record.timing.test_s,
        "peak_memory_bytes": record.peak_memory_bytes,
        "device": text_cell(record.provenance.device),
        "engine": text_cell(record.provenance.engine),
        "commit": record.provenance.commit,
        "created_utc": record.provenance.created_utc,
    }


def method_cells(method: Method) -> dict[str, Cell]:
    """Collect the cells of a method's settings: every choice and parameter, rounded as in its id."""
    return {
        "clip_norm": _cell(method.clip_norm),
        **{group: text_cell(choice) for group, choice in method.choices.items()},
        **{
            f"{group}.{key}": _cell(value)
            for group, parameters in method.parameters.items()
            for key, value in parameters.items()
        },
    }


def _listing_cells(listing: Listing) -> dict[str, Cell]:
    """Collect the cells on submission and verification."""
    notice = listing.provenance.notice
    return {
        "division": listing.division,
        "checked": checked_text(listing.provenance),
        "notice": None if notice is None else notice.kind,
        "superseded_by": None if notice is None else notice.superseded_by,
    }


def _count_cells(counts: OpCounts | None) -> dict[str, Cell]:
    """Return spikes and synaptic operations, in total and for an inference; None where they were not counted."""
    layers = () if counts is None else counts.layers
    counts_by_name = {
        "spikes": [layer.spikes_sent for layer in layers],
        "synaptic_operations": [group.effective for layer in layers for group in layer.synapses],
    }
    cells: dict[str, Cell] = {}
    for name, counts_of_kind in counts_by_name.items():
        total = None if counts is None else _sum(counts_of_kind)
        cells[name] = total
        cells[f"{name}_per_inference"] = None if counts is None or total is None else total / counts.samples
    return cells


def _sum(counts: Iterable[Count]) -> int | None:
    """Add counts; None if one of them is unknown."""
    total = 0
    for count in counts:
        if count.total is None:
            return None
        total += count.total
    return total


def text_cell(text: str) -> str:
    r"""Write untrusted text: a plain name unchanged, all else as a JSON string, quotes included.

    So no reader takes it for a number, a boolean or a missing value, and no spreadsheet runs it as a formula.

    >>> text_cell("leaky_readout"), text_cell("1e3"), text_cell("=1+1"), text_cell("true")
    ('leaky_readout', '"1e3"', '"=1+1"', '"true"')
    """
    plain = _NAME.fullmatch(text) and not _VALUE.fullmatch(text)
    return text if plain else inert(canonical(text))


def _cell(value: Value) -> Cell:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return float(canonical(value))
    return text_cell(value) if isinstance(value, str) else inert(canonical(value))


class Listings:
    """Finds division and provenance of methods in a leaderboards folder, reading each protocol's files once."""

    def __init__(self, root: Path, *, references: References, findings: list[Finding]) -> None:
        self._root, self._references, self._findings = root, references, findings
        self._provenances: dict[str, Provenances] = {}

    def of(self, record: RunRecord) -> Listing:
        """Return the division and provenance of a record's method; findings on unusable files are collected."""
        name = record.protocol
        reference = self._references.of(name)
        if name not in self._provenances:
            folder = self._root / name
            self._provenances[name] = without_other_scores(read_provenances(folder), folder, reference.measure)
            self._findings += self._provenances[name].findings
        return Listing(division_of(record.method, reference), self._provenances[name].of(record.method_id))


def to_table(
    groups: Iterable[Sequence[RunRecord]], *, listing_of: Callable[[RunRecord], Listing] | None = None
) -> Table:
    """Build a table that maps each column's name to its cells, all of one type.

    Returns rows in the order of protocol, method and seed; a method's parameters are the last columns, by name.

    Args:
        groups: records, those of one method together.
        listing_of: returns division and provenance of a record's method; None leaves out their columns.
    """
    rows: list[dict[str, Cell]] = []
    for group in groups:
        listing = None if listing_of is None else listing_of(group[0])
        rows += [run_cells(record, listing) | method for record, method in _with_method_cells(group)]
    rows.sort(key=lambda row: (str(row["protocol"]), str(row["method_id"]), int(row["seed"] or 0)))
    known = list(dict.fromkeys(name for row in rows for name in row))
    fixed = [name for name in known if "." not in name]
    columns = [*fixed, *sorted(name for name in known if "." in name)]
    return {name: _of_one_type([row.get(name) for row in rows]) for name in columns}


def _with_method_cells(group: Sequence[RunRecord]) -> Iterator[tuple[RunRecord, dict[str, Cell]]]:
    """Yield each record with the cells of its method, computed once for successive records of one method."""
    last_settings, cells = "", {}
    for record in group:
        settings = repr((record.method.clip_norm, record.method.choices, record.method.parameters))
        if settings != last_settings:
            last_settings, cells = settings, method_cells(record.method)
        yield record, cells


def _of_one_type(cells: list[Cell]) -> list[Cell]:
    """Convert a column's cells to one type besides None: mixed or huge numbers to float, all other mixtures to text."""
    kinds = {type(cell) for cell in cells} - {type(None)}
    if kinds == {int, float} or (kinds == {int} and not _are_int64(cells)):
        return [None if cell is None else float(cell) for cell in cells]
    if len(kinds) > 1:
        return [cell if cell is None or isinstance(cell, str) else canonical(cell) for cell in cells]
    return cells


def _are_int64(cells: Iterable[Cell]) -> bool:
    return all(isinstance(cell, int) and abs(cell) <= MAX_WHOLE for cell in cells if cell is not None)


def encode(table: Table, kind: Format, types: Mapping[str, str] = TYPES) -> bytes:
    """Encode the table as a file of this format; in Parquet a column that no row fills has its type of `types`."""
    if kind == "parquet":
        return _parquet(table, types)
    if kind == "json":
        names = list(table)
        rows = [dict(zip(names, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
        return (json.dumps(rows, indent=1, allow_nan=False) + "\n").encode()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(
        [WORDS[cell] if isinstance(cell, bool) else cell for cell in row] for row in zip(*table.values(), strict=True)
    )
    return out.getvalue().encode()


def _parquet(table: Table, types: Mapping[str, str]) -> bytes:
    """Write columns as Parquet. `types` names the type of a column without any value, which shows none."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError("parquet needs pyarrow; pip install 'sgbench[parquet]', or --format csv") from None

    def column(name: str, cells: list[Cell]) -> Any:
        unfilled = name in types and all(cell is None for cell in cells)
        return pa.array(cells, pa.type_for_alias(types[name]) if unfilled else None)

    out = io.BytesIO()
    pq.write_table(pa.table({name: column(name, cells) for name, cells in table.items()}), out)
    return out.getvalue()


def write(path: Path, table: Table, kind: Format) -> None:
    write_atomic(path, encode(table, kind))
