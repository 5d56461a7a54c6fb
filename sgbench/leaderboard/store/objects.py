"""Stores the predictions, weights and tuning logs of records in files that are named by their hash."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from sgbench.errors import InputError
from sgbench.leaderboard.store.reading import Finding, finding
from sgbench.records.base import Link, Natural, Sha256, Strict
from sgbench.records.files import first_problem, read_bytes, read_model, to_json, write_atomic

OBJECTS = "objects"
Kind = Literal["csv", "safetensors", "json"]
KINDS: tuple[Kind, ...] = ("csv", "safetensors", "json")
MAX_OBJECT_BYTES = 64 * 1024 * 1024


class ObjectAddress(Strict):
    """Holds the address and hash of a file that is too large for the repository."""

    sha256: Sha256
    bytes: Natural
    url: Link


class Objects:
    """Reads and writes the large files of one protocol by their hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / OBJECTS

    def put(self, data: bytes, kind: Kind) -> str:
        """Store bytes in a file named by their hash, and return the hash; equal bytes are stored once."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256, kind)
        if not path.exists():
            write_atomic(path, data)
        return sha256

    def refer(self, data: bytes, kind: Kind, url: str) -> None:
        """Store the address of a file that lies elsewhere, under the checksum of its bytes."""
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            reference = ObjectAddress(sha256=sha256, bytes=len(data), url=url)
        except ValidationError as error:
            raise InputError(f"{url}: {first_problem(error)}") from error
        write_atomic(self._path(sha256, kind).with_suffix(f".{kind}.ref"), to_json(reference))

    def get(self, sha256: str, kind: Kind) -> bytes | None:
        """Return the bytes with this hash; None if they are not stored here."""
        path = self._path(sha256, kind)
        if not path.exists():
            return None
        data = read_bytes(path, limit=MAX_OBJECT_BYTES)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise InputError(f"{path}: its content has another hash than its name; restore it")
        return data

    def check(self) -> Iterator[Finding]:
        """Yield a finding for each file of the store whose content does not match its name."""
        if not self.folder.is_dir() or self.folder.is_symlink():
            return
        for path in sorted(self.folder.iterdir()):
            if path.name.startswith("."):
                continue
            name, _, kind = path.name.partition(".")
            try:
                if kind in KINDS and len(name) == hashlib.sha256().digest_size * 2:
                    self.get(name, kind)
                elif kind.removesuffix(".ref") in KINDS:
                    self._check_reference(path, name)
                else:
                    yield Finding(str(path), "is no object; those are named by their hash")
            except InputError as error:
                yield finding(path, error)

    def _check_reference(self, path: Path, name: str) -> None:
        if read_model(path, ObjectAddress).sha256 != name:
            raise InputError(f"{path}: refers to another hash than its name")

    def _path(self, sha256: str, kind: Kind) -> Path:
        return self.folder / f"{sha256}.{kind}"
