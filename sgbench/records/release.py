"""The manifest of a release of all leaderboards: files with hashes, rows, and changes since the last release."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from sgbench.records.base import Commit, Natural, Number, Positive, Sha256, Strict, Text, Time, whole
from sgbench.records.spec import ProtocolName

MAX_FILES = 20_000
MAX_FILE_BYTES = 64 * 1024**2
SEGMENT = r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}"
ReleaseName = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*(\.[0-9A-Za-z_-]+)*$", max_length=40)
]
ReleasePath = Annotated[str, StringConstraints(pattern=rf"^{SEGMENT}(/{SEGMENT}){{0,7}}$", max_length=300)]
RowId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}(-[0-9a-f]{8})?$")]
Part = Literal["ranked", "claimed", "baseline", "retired"]
Kind = Literal["new", "withdrawn", "moved"]


class ReleasedFile(Strict):
    """Names one file of a release by its hash."""

    path: ReleasePath
    bytes: Annotated[Natural, Field(le=MAX_FILE_BYTES)]
    sha256: Sha256

    @model_validator(mode="after")
    def _stays_inside(self) -> ReleasedFile:
        if any(set(part) == {"."} for part in self.path.split("/")):
            raise ValueError(f"{self.path} leads out of the release")
        return self


class ReleasedRow(Strict):
    """Says where a row of a board stands in a release."""

    protocol: ProtocolName
    method_id: RowId
    method: Text = Field(max_length=2000)
    part: Part
    rank: tuple[Positive, Positive] | None
    score: Number


class EarlierRelease(Strict):
    """Holds what a difference is taken from: the rows of the release before."""

    name: ReleaseName
    sha256: Sha256
    """Of its archive."""
    rows: tuple[ReleasedRow, ...] = Field(max_length=100_000)


class RowChange(Strict):
    """Says how a row differs from the release before."""

    kind: Kind
    protocol: ProtocolName
    method_id: RowId
    method: Text = Field(max_length=2000)
    said: Text = Field(max_length=300)


class Release(Strict):
    """Describes a release of all boards; the archive holds the files it names and no others."""

    schema_version: Annotated[Literal[1], BeforeValidator(whole)]
    name: ReleaseName
    commit: Commit
    created_utc: Time
    """Of the commit, so that the same boards give the same bytes."""
    sgbench: Text = Field(max_length=40)
    since: EarlierRelease | None
    changes: tuple[RowChange, ...] = Field(max_length=200_000)
    rows: tuple[ReleasedRow, ...] = Field(max_length=100_000)
    files: tuple[ReleasedFile, ...] = Field(max_length=MAX_FILES)
