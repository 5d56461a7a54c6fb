"""Facts of originals that were never read here: written by who has them, accepted by a maintainer."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

from sgbench.composition.catalogue import Entry
from sgbench.datasets.base import SPLITS
from sgbench.datasets.checks import check
from sgbench.datasets.event_files import EventFiles
from sgbench.errors import InputError
from sgbench.records.confirmation import DataConfirmation, OriginalFile
from sgbench.records.files import write_atomic

UNREAD = "original"  # key of meta that says that nobody here has read them


def confirm(entry: Entry, data_set: object, data_dir: Path, contact: str) -> DataConfirmation:
    """Load a data set whose checksum nobody has published, and state its sizes, checksums and files.

    Raises:
        InputError: its checksum is known, or its files are missing or not whole.
    """
    if not isinstance(data_set, EventFiles) or data_set.sha256 is not None:
        raise InputError(
            f"data set {entry.name}: its checksum is known, run: sgbench data check {entry.name}"
        )
    splits = data_set.load(data_dir)
    root = data_dir / data_set.folder
    return DataConfirmation(
        schema_version=1,
        dataset=entry.name,
        sizes={split: len(splits[split].target) for split in SPLITS},
        sha256=check(data_set, splits),
        files=tuple(_facts(root, name) for name in data_set.originals(root)),
        contact=contact,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _facts(root: Path, name: str) -> OriginalFile:
    with (root / name).open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return OriginalFile(name=name, bytes=(root / name).stat().st_size, sha256=sha256)


def accept(confirmation: DataConfirmation, entry: Entry) -> None:
    """Write the sizes and the checksum of a confirmation into the entry's file, which then counts as read.

    Raises:
        InputError: the entry has a checksum already, or states other sizes.
    """
    stated = entry.meta.get("sizes") or {}
    other = [split for split, size in confirmation.sizes.items() if stated.get(split) not in (None, size)]
    if entry.meta.get("sha256") is not None:
        raise InputError(f"data set {entry.name}: has a checksum already; nothing is accepted over it")
    if other:
        raise InputError(
            f"data set {entry.name}: {confirmation.sizes[other[0]]} samples of {other[0]}, its file says "
            f"{stated[other[0]]}; ask {confirmation.contact}"
        )
    found = {str(split): size for split, size in confirmation.sizes.items()}
    sizes = ", ".join(f"{split}: {found[split]}" for split in SPLITS)
    text = re.sub(r"(?m)^  sizes: .*$", f"  sizes: {{{sizes}}}", entry.path.read_text())
    text = re.sub(r"(?m)^  sha256: null$", f"  sha256: {confirmation.sha256}", text)
    text = re.sub(rf"(?m)^  {UNREAD}: .*\n", "", text)
    write_atomic(entry.path, text.encode())
