"""Two people's classes of one name are told apart: each source of a method's own classes has a row of its own."""

from __future__ import annotations

import hashlib

from sgbench.errors import InputError
from sgbench.records.record import RunRecord

SHOWN_DIGITS = 8


def source_of(record: RunRecord) -> str | None:
    """Return the first digits of the hash of a record's own classes; None where it states none.

    None is of the catalogue's classes alone, of a source that could not be read, or from before it was stated.
    """
    stated = record.provenance.own_sources
    if not stated:
        return None
    hashes = [file_hash for _, file_hash in sorted(stated.items())]
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return whole[:SHOWN_DIGITS]


def method_of_row(row_id: str) -> str:
    """Return the id of a row's method, which is the row's unless another source of the method came before.

    >>> method_of_row("0123456789ab-5eed5eed"), method_of_row("0123456789ab")
    ('0123456789ab', '0123456789ab')
    """
    return row_id.partition("-")[0]


def row_beside(record: RunRecord, first: str | None) -> str:
    """Return the id of a record's row on a board.

    Args:
        record: of a method of which there may be others.
        first: source of the method's first row, or None where none states any; it goes with every other.
    """
    source = source_of(record)
    same = source is None or first is None or source == first
    return record.method_id if same else f"{record.method_id}-{source}"


def require_same_source(record: RunRecord, other: RunRecord) -> None:
    """Hold the sources of classes of one's own against those of another record of the same method.

    Raises:
        InputError: they differ; one line with the remedy.
    """
    if row_beside(record, source_of(other)) != record.method_id:
        raise InputError(
            f"method {record.method_id} seed {record.seed}: its own classes have another source than those of seed "
            f"{other.seed} ({source_of(record)}, not {source_of(other)}); run all seeds with one of them, or give "
            f"one entry a name of its own"
        )
