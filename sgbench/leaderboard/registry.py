"""The registry that comes with the package: what every board is made of, in one small file without the records."""

from __future__ import annotations

import lzma
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sgbench.errors import InputError
from sgbench.leaderboard.rows import Measured
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.leaderboard.store.outside import Outsider
from sgbench.leaderboard.store.reading import Layout
from sgbench.paths import conf_dir
from sgbench.records.files import first_problem, read_bytes
from sgbench.records.shards import unpacked

FILE = "registry.json.xz"
MAX_BYTES = 16 * 1024**2
REMEDY = "install sgbench anew, or take a release with 'sgbench board update'"


@dataclass(frozen=True)
class BoardContent:
    """Holds what the board of one protocol is made of."""

    measured: tuple[Measured, ...]
    provenances: Mapping[str, MethodProvenance] = field(default_factory=dict)
    """By method, what is said of it beside its records."""
    outsiders: tuple[Outsider, ...] = ()

    def provenance(self, method_id: str) -> MethodProvenance:
        """Return a method's provenance; an empty one where nothing is stated."""
        return self.provenances.get(method_id, MethodProvenance())


@dataclass(frozen=True)
class Registry:
    """Holds all boards without their records, of which commit they are, and when that was made."""

    commit: str
    created_utc: str
    boards: dict[str, BoardContent]
    release: str = ""
    """Name of the release that it was taken from; empty of the one that came with the package."""

    def __str__(self) -> str:
        name = f"release {self.release}" if self.release else "the boards that came with sgbench"
        return f"{name}, {self.created_utc[:10]}, commit {self.commit[:12]}"


@cache
def _adapter() -> TypeAdapter[Registry]:
    return TypeAdapter(Registry)


def pack(registry: Registry) -> bytes:
    """Write a registry as compressed JSON, the same bytes for the same registry."""
    return lzma.compress(_adapter().dump_json(registry), preset=9 | lzma.PRESET_EXTREME)


def read_registry(path: Path) -> Registry:
    """Read a registry, each value checked.

    Raises:
        InputError: there is no such file, or it is none.
    """
    try:
        return _adapter().validate_json(unpacked(path, read_bytes(path, limit=MAX_BYTES)))
    except ValidationError as error:
        raise InputError(f"{path}: is no registry: {first_problem(error)}; {REMEDY}") from error


def updated_path() -> Path:
    """Return where a newer registry is kept: $SGBENCH_REGISTRY or the user's data folder."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Path(os.environ.get("SGBENCH_REGISTRY") or data / "sgbench" / FILE)


def installed() -> tuple[Path, Layout]:
    """Find the boards that are there without a folder of records: the newest registry, or those of a checkout.

    Raises:
        InputError: a registry cannot be read, or none is there.
    """
    shipped = Path(__file__).resolve().parent.parent / FILE
    beside = conf_dir().parent / "leaderboards"
    found = [path for path in (updated_path(), shipped) if path.is_file()]
    if found:
        return max(found, key=lambda path: read_registry(path).created_utc), "registry"
    if beside.is_dir():
        return beside, "leaderboards"
    raise InputError(f"{shipped}: no registry came with this package; {REMEDY}")
