"""All records as one flat table, for other tools; one row a record."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from sgbench.errors import InputError
from sgbench.leaderboard.labels import inert
from sgbench.records.files import write_atomic
from sgbench.records.method import canonical
from sgbench.records.record import RunRecord

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "json", "parquet")
Cell = str | int | float | bool | None
Table = dict[str, list[Cell]]


def flat(record: RunRecord) -> dict[str, Cell]:
    """One record as one row: identity, scores, costs in operations, circumstances, and every choice and number.

    Numbers of entries are text, as their identity has them, since one column holds those of many entries.
    """
    test, validation, counts = record.test, record.validation, record.counts
    row: dict[str, Cell] = {
        "protocol": record.protocol,
        "method_id": record.method_id,
        "seed": record.seed,
        "status": record.status,
        "failure": None if record.failure is None else inert(record.failure.kind),
        "test_accuracy": None if test is None else test.accuracy,
        "test_loss": None if test is None else test.loss,
        "test_samples": None if test is None else test.samples,
        "validation_accuracy": None if validation is None else validation.accuracy,
        "validation_loss": None if validation is None else validation.loss,
        "best_epoch": record.best_epoch,
        "parameters": record.parameters,
        "spikes": None if counts is None else _sum(layer.spikes_sent.total for layer in counts.layers),
        "synaptic_operations": None
        if counts is None
        else _sum(group.effective.total for layer in counts.layers for group in layer.synapses),
        "fit_s": record.timing.fit_s,
        "test_s": record.timing.test_s,
        "peak_memory_bytes": record.peak_memory_bytes,
        "device": inert(record.provenance.device),
        "engine": inert(record.provenance.engine),
        "commit": record.provenance.commit,
        "created_utc": record.provenance.created_utc,
        "clip_norm": record.method.clip_norm,
    }
    for group, choice in record.method.choices.items():
        row[group] = choice
    for group, parameters in record.method.parameters.items():
        for key, value in parameters.items():
            row[f"{group}.{key}"] = inert(canonical(value))
    return row


def _sum(totals: Iterable[int | None]) -> int | None:
    found = list(totals)
    return None if None in found else sum(total for total in found if total is not None)


def to_table(records: Iterable[RunRecord]) -> Table:
    """Columns by name, the same length each; the order of records and columns is that of their names."""
    rows = sorted(
        (flat(record) for record in records),
        key=lambda row: (str(row["protocol"]), str(row["method_id"]), int(row["seed"] or 0)),
    )
    known = list(dict.fromkeys(name for row in rows for name in row))
    fixed = [name for name in known if "." not in name]
    columns = [*fixed, *sorted(name for name in known if "." in name)]
    return {name: [row.get(name) for row in rows] for name in columns}


def encode(table: Table, kind: Format) -> bytes:
    """The table as a file of this format.

    Raises:
        InputError: parquet without pyarrow installed.
    """
    if kind == "parquet":
        return _parquet(table)
    names = list(table)
    rows = [dict(zip(names, cells, strict=True)) for cells in zip(*table.values(), strict=True)]
    if kind == "json":
        return (json.dumps(rows, indent=1, allow_nan=False) + "\n").encode()
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _parquet(table: Table) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError("parquet needs pyarrow; pip install 'sgbench[parquet]', or --format csv") from None
    out = io.BytesIO()
    pq.write_table(pa.table(table), out)  # type: ignore[arg-type] - lists of plain values
    return out.getvalue()


def write(path: Path, table: Table, kind: Format) -> None:
    """Write the table.

    Raises:
        StorageError: the file cannot be written.
    """
    write_atomic(path, encode(table, kind))
