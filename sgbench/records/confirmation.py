"""What somebody who has the originals of a data set says of them, for a maintainer to accept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sgbench.records.base import Natural, Positive, Sha256, Strict, Text, Time, whole
from sgbench.records.spec import EntryName


class OriginalFile(Strict):
    """Describes one original file as it lies there."""

    name: Text = Field(min_length=1, max_length=300)
    bytes: Natural
    sha256: Sha256


class DataConfirmation(Strict):
    """Holds the sizes and checksums that one holder of the originals found, and whom to ask."""

    schema_version: Annotated[Literal[1], BeforeValidator(whole)]
    dataset: EntryName
    sizes: dict[Literal["train", "validation", "test"], Positive] = Field(min_length=3)
    sha256: Sha256  # of originals, reader and parameters, as `sgbench data checksum` prints it
    files: tuple[OriginalFile, ...] = Field(min_length=1, max_length=100_000)
    contact: Text = Field(min_length=3, max_length=300)
    created_utc: Time
