"""A user's confirmation of a data set's sizes and checksums, for a maintainer to accept."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from sgbench.records.base import Natural, Positive, Sha256, Strict, Text, Time, whole
from sgbench.records.spec import EntryName

MOST_FILES = 200_000  # in a data set of one recording a file
MOST_BYTES = 64 * 1024**2  # of a confirmation


class OriginalFile(Strict):
    """Describes one original file as it lies there."""

    name: Text = Field(min_length=1, max_length=300)
    bytes: Natural
    sha256: Sha256


class FetchedFile(Strict):
    """Describes one file as its publisher hands it out."""

    name: Text = Field(min_length=1, max_length=300)
    md5: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class DataConfirmation(Strict):
    """Holds the sizes and checksums that one holder of the originals found, and whom to ask."""

    schema_version: Annotated[Literal[1], BeforeValidator(whole)]
    dataset: EntryName
    sizes: dict[Literal["train", "validation", "test"], Positive] = Field(min_length=3)
    sha256: Sha256  # of originals, reader and parameters, as `sgbench data checksum` prints it
    files: tuple[OriginalFile, ...] = Field(min_length=1, max_length=MOST_FILES)
    downloads: tuple[FetchedFile, ...] = Field(default=(), max_length=1000)  # that the originals came in
    contact: Text = Field(min_length=3, max_length=300)
    created_utc: Time
