"""Gives each source of a user's own classes its own row, since two people may use one name for two classes."""

import hashlib

from sgbench.errors import InputError
from sgbench.records.record import RunRecord

SHOWN_DIGITS = 8


def source_of(record: RunRecord) -> str | None:
    """Return the first eight digits of the hash of the user's own classes in a record; None if it states none.

    A record has none if it uses only the catalogue's classes, if the source could not be read, or if it is older.
    """
    stated = record.provenance.own_sources
    if not stated:
        return None
    hashes = [file_hash for _, file_hash in sorted(stated.items())]
    joint = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return joint[:SHOWN_DIGITS]


def method_of_row(row_id: str) -> str:
    """Return the method's id from the id of a row, which may end in a source.

    >>> method_of_row("0123456789ab-5eed5eed"), method_of_row("0123456789ab")
    ('0123456789ab', '0123456789ab')
    """
    return row_id.partition("-")[0]


def row_beside(record: RunRecord, first: str | None) -> str:
    """Return the id of a record's row: its method's id, followed by its source if the first row has another.

    `first`: source of the method's first row; None if unknown, which agrees with every source.
    """
    source = source_of(record)
    same = source is None or first is None or source == first
    return record.method_id if same else f"{record.method_id}-{source}"


def require_same_source(record: RunRecord, other: RunRecord) -> None:
    """Raise an `InputError` with the remedy if two records of one method have classes of different sources."""
    if row_beside(record, source_of(other)) != record.method_id:
        raise InputError(
            f"method {record.method_id} seed {record.seed}: its own classes have another source than those of seed "
            f"{other.seed} ({source_of(record)}, not {source_of(other)}); run all seeds with one of them, or give "
            f"one entry a name of its own"
        )
