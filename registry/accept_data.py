"""The facts of originals that somebody else has read become part of a data set's entry."""

import re
from pathlib import Path
from typing import Any

import yaml

from sgbench.composition.catalogue import Entry
from sgbench.composition.data_facts import UNREAD_FILES
from sgbench.datasets.base import SPLITS, Split
from sgbench.datasets.confirm import compare
from sgbench.datasets.event_files import EventFiles
from sgbench.errors import InputError
from sgbench.records.confirmation import DataConfirmation
from sgbench.records.files import write_atomic


def accept_data(confirmation: DataConfirmation, entry: Entry, data_set: object) -> None:
    stated = entry.meta.get("sizes") or {}
    other: list[Split] = [split for split, size in confirmation.sizes.items() if stated.get(split) not in (None, size)]
    if entry.meta.get("sha256") is not None:
        raise InputError(f"data set {entry.name}: has a checksum already; nothing is accepted over it")
    if UNREAD_FILES not in entry.meta or not isinstance(data_set, EventFiles):
        raise InputError(f"data set {entry.name}: is not one of originals that were never read; see sgbench data list")
    if other:
        raise InputError(
            f"data set {entry.name}: {confirmation.sizes[other[0]]} samples of {other[0]}, its file says "
            f"{stated[other[0]]}; ask {confirmation.contact}"
        )
    compare(confirmation, data_set)
    write_atomic(entry.path, _rewritten(entry.path, confirmation).encode())


def _rewritten(path: Path, confirmation: DataConfirmation) -> str:
    """Return the text of an entry with what was confirmed; nothing else that it says differs."""
    text = path.read_text()
    found: dict[str, int] = {str(split): size for split, size in confirmation.sizes.items()}
    sizes = ", ".join(f"{split}: {found[split]}" for split in SPLITS)
    expected: dict[str, Any] = yaml.safe_load(text)
    expected["meta"] |= {"sizes": found, "sha256": confirmation.sha256}
    del expected["meta"][UNREAD_FILES]
    for key, old, new in (
        ("sizes", ".*$", f"  sizes: {{{sizes}}}"),
        ("sha256", "null$", f"  sha256: {confirmation.sha256}"),
        (UNREAD_FILES, r".*\n", ""),
    ):
        text, count = re.subn(f"(?m)^  {key}: {old}", new, text)
        if count != 1:
            raise InputError(f"{path}: {count} lines of {key} to replace, one is needed; write it by hand")
    if yaml.safe_load(text) != expected:
        raise InputError(f"{path}: its meta is not in lines of their own; write sizes and sha256 by hand")
    return text
