"""The contents of all boards in one small file, shipped with the package in place of the records."""

import lzma
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sgbench.errors import InputError, one_printable_line
from sgbench.leaderboard.rows import Measured
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.leaderboard.store.outside import Outsider
from sgbench.leaderboard.store.reading import Layout
from sgbench.paths import conf_dir
from sgbench.records.files import first_problem, read_bytes, unpacked

FILE = "registry.json.xz"
MAX_BYTES = 16 * 1024**2
REMEDY = "replace it by a release with 'sgbench board update', or remove it"


@dataclass(frozen=True)
class BoardContent:
    """Holds what the board of one protocol is made of."""

    measured: tuple[Measured, ...]
    provenances: Mapping[str, MethodProvenance] = field(default_factory=dict)
    """Maps ids of methods to what is known of their submission and verification."""
    outsiders: tuple[Outsider, ...] = ()

    def provenance(self, method_id: str) -> MethodProvenance:
        """Return a method's provenance, empty if nothing is known."""
        return self.provenances.get(method_id, MethodProvenance())


@dataclass(frozen=True)
class ShippedBoards:
    """Holds the contents of all boards by protocol, with the commit of their records and its time."""

    commit: str
    created_utc: str
    boards: dict[str, BoardContent]
    release: str = ""
    """Name of the release that it was taken from; empty for the registry that came with the package."""

    def __str__(self) -> str:
        name = f"release {self.release}" if self.release else "the boards that came with sgbench"
        return f"{name}, {self.created_utc[:10]}, commit {self.commit[:12]}"


@cache
def _adapter() -> TypeAdapter[ShippedBoards]:
    return TypeAdapter(ShippedBoards)


def pack(registry: ShippedBoards) -> bytes:
    """Encode a registry as compressed JSON; equal registries give equal bytes."""
    return lzma.compress(_adapter().dump_json(registry), preset=9 | lzma.PRESET_EXTREME)


def read_shipped(path: Path) -> ShippedBoards:
    """Read a registry and check each of its values."""
    try:
        return _adapter().validate_json(unpacked(path, read_bytes(path, limit=MAX_BYTES)))
    except ValidationError as error:
        raise InputError(f"{path}: is no registry: {first_problem(error)}; {REMEDY}") from error


def updated_path() -> Path:
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return Path(os.environ.get("SGBENCH_REGISTRY") or data / "sgbench" / FILE)


def installed() -> tuple[Path, Layout]:
    """Return path and layout of the boards that are used when no folder is named.

    These are the newest of the installed and the shipped registry, or the leaderboards folder of a checkout. An
    installed one that cannot be read, since it is damaged or of a newer version, is passed over with a line on
    standard error.
    """
    shipped = Path(__file__).resolve().parent.parent / FILE
    checkout = conf_dir().parent / "leaderboards"
    dates = {shipped: read_shipped(shipped).created_utc} if shipped.is_file() else {}
    own = updated_path()
    if own.is_file():
        try:
            dates = {own: read_shipped(own).created_utc, **dates}
        except InputError as error:
            sys.stderr.write(f"sgbench: passed over: {one_printable_line(error)}\n")
    if dates:
        return max(dates, key=lambda path: dates[path]), "registry"
    if checkout.is_dir():
        return checkout, "leaderboards"
    raise InputError(f"{shipped}: no registry came with this package; install sgbench anew")
