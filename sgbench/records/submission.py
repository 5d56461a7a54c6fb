"""The manifest of a submission: author, method, tuning, and every file with its hash."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from sgbench.records.base import (
    Amount,
    Commit,
    Contact,
    Fraction,
    Grown,
    Licence,
    Link,
    MethodId,
    Natural,
    Number,
    Paper,
    Positive,
    Sha256,
    Strict,
    Text,
    Time,
    Title,
    Version,
    Words,
    whole,
)
from sgbench.records.method import method_id
from sgbench.records.spec import EntryName, Method, ProtocolName

SUBMISSION_VERSION = 1
MAX_TRIALS = 20_000
Division = Literal["closed", "open", "external"]
"""closed: only surrogate, slope, neuron's numbers and learning rate differ from the protocol's reference; open:
anything that the protocol leaves free; external: code outside the catalogue."""
Seeds = Annotated[tuple[Annotated[int, Field(ge=0, le=2**31)], ...], Field(min_length=1, max_length=1000)]
FilePath = Annotated[
    str,
    StringConstraints(
        pattern=r"^(?:records/[0-9]{1,10}\.json|predictions/[0-9]{1,10}\.csv|weights/[0-9]{1,10}\.safetensors|"
        r"tuning\.json)$"
    ),
]


class FileNote(Strict):
    """Describes one file of a submission."""

    path: FilePath
    sha256: Sha256
    bytes: Natural


class Environment(Strict):
    """Describes machine and packages with which submitted runs were made."""

    commit: Commit | None
    clean: bool | None
    versions: dict[Text, Text] = Field(max_length=100)
    python: Text = Field(max_length=100)
    platform: Text = Field(max_length=200)
    processor: Text = Field(max_length=200)
    device: Text = Field(max_length=100)


class Submission(Strict):
    """Describes one method on one protocol, as it is handed in."""

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    division: Division
    name: Title
    contact: Contact
    paper: Paper | None
    code: Link | None
    licence: Licence
    method: Method | None  # entry names and numbers; none for code outside the catalogue
    seeds: Seeds
    data_sha256: Sha256 | None
    environment: Environment | None  # none for code outside
    tuning_trials: Natural
    files: tuple[FileNote, ...] = Field(min_length=1, max_length=3001)
    created_utc: Time

    @model_validator(mode="after")
    def _consistent(self) -> Submission:
        """Require the id of what is handed in, code of an external method, and each file named once."""
        if (self.method is None) != (self.division == "external"):
            raise ValueError("a method of the catalogue is stated exactly where the division is not external")
        if self.method is None:
            if self.code is None:
                raise ValueError("an external submission needs code, the address of what was run")
            expected = external_id(self.protocol, self.name, self.code)
        else:
            expected = method_id(self.method)
            if self.method.protocol.name != self.protocol:
                raise ValueError(f"protocol {self.protocol} is not the one of the method")
        if self.method_id != expected:
            raise ValueError(f"method_id {self.method_id} is not the id of what is handed in, {expected}")
        ((path, times),) = Counter(note.path for note in self.files).most_common(1)
        if times > 1:
            raise ValueError(f"files: {path} is named {times} times")
        return self


def external_id(protocol: str, name: str, code: str) -> str:
    """Compute the id of a method outside the catalogue: a hash of protocol, name and address of its code."""
    text = json.dumps([protocol, name, code], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class ExternalRecord(Grown):
    """Holds the result of one seed of code outside the catalogue, as far as its predictions say it."""

    LATER: ClassVar[frozenset[str]] = frozenset({"loss", "labels"})

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    seed: Natural
    status: Literal["finished", "failed"]
    samples: Positive
    accuracy: Fraction | None
    predictions_sha256: Sha256 | None
    loss: Number | None = None  # of a task without classes, which has no accuracy
    labels: Positive | None = None  # labelled steps, where each step has a class of its own

    @model_validator(mode="after")
    def _finished(self) -> ExternalRecord:
        """Require predictions and one score of a finished run, and neither of a failed one."""
        has_failed = self.status == "failed"
        if (self.predictions_sha256 is None) != has_failed:
            raise ValueError("predictions_sha256 is stated exactly when status is finished")
        scores = [name for name in ("accuracy", "loss") if getattr(self, name) is not None]
        if len(scores) != (0 if has_failed else 1):
            raise ValueError("accuracy is stated exactly when status is finished, or loss in its place")
        if self.labels is not None and self.accuracy is None:
            raise ValueError("labels is stated without an accuracy")
        return self


class TuningTrial(Grown):
    """Describes one run that took part in choosing the settings, as selection saw it."""

    LATER: ClassVar[frozenset[str]] = frozenset({"study", "epochs"})

    method_id: MethodId
    seed: Natural
    status: Literal["finished", "failed", "pruned"]
    settings: dict[Annotated[str, Field(max_length=160)], Annotated[str, Field(max_length=500)] | None] = Field(
        max_length=200
    )  # what differs from the method handed in, as its identity has it
    validation_accuracy: Fraction | None  # None of a failed run, and where there are no classes
    validation_loss: Number | None
    study: Natural | None = None
    """Which of several independent searches asked for the setting, from 0 on; None where none did."""
    epochs: Positive | None = None
    """Epochs trained of a run that was stopped early for its validation curve; the others are saved."""

    @model_validator(mode="after")
    def _scored(self) -> TuningTrial:
        """Require a loss unless the trial failed, and its epochs exactly if it was pruned."""
        if (self.validation_loss is None) != (self.status == "failed"):
            raise ValueError("validation_loss is stated exactly when status is finished")
        if self.status == "failed" and self.validation_accuracy is not None:
            raise ValueError("validation_accuracy is stated only when status is finished")
        if (self.epochs is None) != (self.status != "pruned"):
            raise ValueError("epochs is stated exactly when status is pruned")
        return self


class TuningLog(Strict):
    """Lists every run that took part in choosing the settings; test scores have no place in it."""

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    trials: tuple[TuningTrial, ...] = Field(max_length=MAX_TRIALS)


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


Tier = Literal["rescored", "reinferred", "retrained"]
TIERS: tuple[Tier, ...] = ("rescored", "reinferred", "retrained")


class Verification(Grown):
    """Reports the outcome of one check of a claim: by whom, with what, and both numbers side by side."""

    LATER: ClassVar[frozenset[str]] = frozenset({"claimed_loss", "verified_loss"})

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    tier: Tier
    passed: bool
    verifier: Title
    seeds: Seeds
    claimed_accuracy: Fraction | None  # mean over these seeds; None where losses are compared
    verified_accuracy: Fraction | None
    agreement: Fraction | None  # share of samples with the claimed prediction
    tolerance: Amount | None  # of the accuracy or loss
    statement: Words
    commit: Commit | None
    versions: dict[Text, Text] = Field(max_length=100)
    created_utc: Time
    claimed_loss: Number | None = None  # of a task without classes
    verified_loss: Number | None = None

    @model_validator(mode="after")
    def _both(self) -> Verification:
        """Require claimed and verified value of one score: the accuracy, or else the loss."""
        pairs = ((self.claimed_accuracy, self.verified_accuracy), (self.claimed_loss, self.verified_loss))
        is_stated = [None not in pair for pair in pairs]
        if is_stated.count(True) != 1 or any((one is None) != (two is None) for one, two in pairs):
            raise ValueError("claimed and verified accuracy are stated, or claimed and verified loss")
        if self.claimed_loss is None and (self.tolerance or 0) > 1:
            raise ValueError("tolerance of an accuracy is at most 1")
        return self

    @property
    def claimed(self) -> float:
        """The claimed score, accuracy or loss."""
        score = self.claimed_loss if self.claimed_accuracy is None else self.claimed_accuracy
        assert score is not None  # noqa: S101 - one is stated
        return score

    @property
    def verified(self) -> float:
        """The score that the verification found, accuracy or loss."""
        score = self.verified_loss if self.verified_accuracy is None else self.verified_accuracy
        assert score is not None  # noqa: S101 - one is stated
        return score


class Notice(Strict):
    """Says why a method that stays in the store is no longer ranked."""

    schema_version: Version
    protocol: ProtocolName
    method_id: MethodId
    kind: Literal["withdrawn", "superseded"]
    superseded_by: MethodId | None
    reason: Words
    created_utc: Time

    @model_validator(mode="after")
    def _named(self) -> Notice:
        if (self.superseded_by is None) != (self.kind == "withdrawn"):
            raise ValueError("superseded_by is stated exactly when kind is superseded")
        if self.superseded_by == self.method_id:
            raise ValueError("a method cannot supersede itself")
        return self
