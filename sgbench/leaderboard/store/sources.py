"""Gives each source of a user's own classes its own row, since two people may use one name for two classes."""

import hashlib

from sgbench.errors import InputError
from sgbench.records.record import RunRecord

SHOWN_DIGITS = 8


def source_of(record: RunRecord) -> str | None:
    """Return the first eight digits of the hash of the user's own classes in a record; None if it states none.

    A record has none if it uses only the catalogue's classes, if the source could not be read, or if it is older.
    """
    hash_by_class = record.provenance.own_sources
    if not hash_by_class:
        return None
    hashes = [hash_by_class[name] for name in sorted(hash_by_class)]
    joint_hash = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return joint_hash[:SHOWN_DIGITS]


def method_of_row(row_id: str) -> str:
    """Return the method's id from the id of a row, which may end in a source.

    >>> method_of_row("0123456789ab-5eed5eed"), method_of_row("0123456789ab")
    ('0123456789ab', '0123456789ab')
    """
    return row_id.partition("-")[0]


def row_id_of(record: RunRecord, first_source: str | None) -> str:
    """Return the id of a record's row: the method's id; "<method's id>-<source>" if its source is another one.

    `first_source`: source of the method's first row. None, here or of the record, is unknown and agrees with all.
    """
    source = source_of(record)
    may_share_row = source is None or first_source is None or source == first_source
    return record.method_id if may_share_row else f"{record.method_id}-{source}"


def require_same_source(record: RunRecord, other: RunRecord) -> None:
    """Require that the user's own classes have one source in two records of a method, else raise an `InputError`.

    Their means over seeds would otherwise mix two methods. A record that states no source agrees with every other.
    """
    if row_id_of(record, source_of(other)) != record.method_id:
        raise InputError(
            f"method {record.method_id} seed {record.seed}: its own classes have another source than those of seed "
            f"{other.seed} ({source_of(record)}, not {source_of(other)}); run all seeds with one of them, or give "
            f"one entry a name of its own"
        )
