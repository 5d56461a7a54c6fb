"""Lists by hash what a report was written from and what it wrote, so that a stale page is found at once."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from sgbench.errors import InputError
from sgbench.records.files import read_bytes
from sgbench.study_runner.definition import Loaded

SOURCES = "sources.json"
"""The list, beside the pages."""
READ, WRITTEN = "read", "written"
MAX_BYTES = 20 * 1024**2


def sources_of(
    loaded: Loaded, folder: Path, root: Path, others: Iterable[str], beside: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Read the files of a checkout that a report is written from, by path; a manifest stands for its shards."""
    paths = [loaded.path, root / loaded.study.registration, *folder.glob("*.json"), *map(root.joinpath, others)]
    found = {path.resolve(): read_bytes(path, limit=MAX_BYTES) for path in paths}
    found |= {folder.resolve() / name: data for name, data in beside.items()}
    return {
        path.relative_to(root.resolve()).as_posix(): data
        for path, data in found.items()
        if path.is_relative_to(root.resolve())  # a wheel's own catalogue is not
    }


def sources_json(read: Mapping[str, bytes], written: Mapping[str, bytes]) -> bytes:
    lists = {READ: read, WRITTEN: written}
    tree = {name: {path: _sha256(data) for path, data in files.items()} for name, files in lists.items()}
    return json.dumps(tree, indent=1, sort_keys=True).encode() + b"\n"


def changed_since(root: Path, pages: Path) -> list[str]:
    path = pages / SOURCES
    try:
        tree = json.loads(read_bytes(path))
        known = {root / name: digest for name, digest in tree[READ].items()}
        known |= {pages / name: digest for name, digest in tree[WRITTEN].items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: is not what a report writes; write the report again") from error
    return [
        file.relative_to(root).as_posix()
        for file, digest in known.items()
        if not file.is_file() or _sha256(read_bytes(file, limit=MAX_BYTES)) != digest
    ]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
