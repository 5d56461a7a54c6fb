"""The record of one run: the only source of truth; loggers receive copies."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from sgbench.records.base import MAX_WHOLE, Natural, Positive, Strict, Text
from sgbench.records.consistency import contradictions
from sgbench.records.counts import OpCounts
from sgbench.records.method import method_id
from sgbench.records.spec import Method

SCHEMA_VERSION = 1
MethodId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _utc(value: str) -> str:
    try:
        offset = datetime.fromisoformat(value).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise ValueError("an ISO 8601 time in UTC such as 2026-01-31T12:00:00+00:00 is needed")
    return value


def _whole(value: object) -> object:
    # Literal[1] alone takes true and 1.0, which equal 1.
    if type(value) is not int:
        raise ValueError("a whole number is needed")
    return value


Time = Annotated[str, Field(max_length=40), AfterValidator(_utc)]
Version = Annotated[Literal[1], BeforeValidator(_whole)]


class LayerActivity(Strict):
    """Spiking activity of one layer over a whole split."""

    name: str = Field(max_length=100)
    rate_per_step: float = Field(ge=0)  # spikes per neuron and time step
    rate_hz: float = Field(ge=0)
    dead_fraction: Fraction  # neurons without one spike on the whole split
    saturated_fraction: Fraction  # neurons that fire in more than 90 % of all steps


class Scores(Strict):
    """Scores of the selected weights on one split."""

    samples: Positive
    accuracy: Fraction
    loss: float
    activity: tuple[LayerActivity, ...]


class EpochScores(Strict):
    """One line of the training curve."""

    epoch: Natural
    train_loss: float
    validation_loss: float
    validation_accuracy: Fraction


class Failure(Strict):
    """Why a run has no result."""

    kind: str = Field(max_length=100)
    message: str = Field(max_length=2000)


class Timing(Strict):
    """Wall-clock seconds; a continued run adds up its parts."""

    fit_s: float = Field(ge=0)
    test_s: float = Field(ge=0)
    total_s: float = Field(ge=0)
    resumed: int = Field(ge=0)  # how often the run was continued after an interruption


class Provenance(Strict):
    """By what, on what and from what a record was made."""

    commit: Commit | None
    clean: bool | None
    versions: dict[Text, Text]
    python: Text = Field(max_length=100)
    platform: Text = Field(max_length=200)
    processor: Text = Field(max_length=200)
    device: Text = Field(max_length=100)
    threads: int = Field(ge=1)
    engine: Text = Field(max_length=100)
    engine_reason: Text = Field(max_length=500)
    data_sha256: Sha256 | None
    created_utc: Time


class RunRecord(Strict):
    """Everything that is known of one run of one method with one seed."""

    schema_version: Version
    protocol: str = Field(max_length=80)
    method_id: MethodId
    seed: int = Field(ge=0)
    status: Literal["finished", "failed"]
    failure: Failure | None
    method: Method
    classes: int | None = Field(ge=2, le=MAX_WHOLE)
    parameters: Natural | None  # trainable numbers
    best_epoch: Natural | None
    validation: Scores | None
    test: Scores | None
    curve: tuple[EpochScores, ...]
    counts: OpCounts | None
    predictions_sha256: Sha256 | None
    weights_sha256: Sha256 | None
    timing: Timing
    peak_memory_bytes: Natural | None
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self) -> RunRecord:
        if self.method_id != method_id(self.method):
            raise ValueError(f"method_id {self.method_id} is not the id of the method it names")
        if self.protocol != self.method.protocol.name:
            raise ValueError(f"protocol {self.protocol} is not the one of the method")
        problem = next(contradictions(self), None)
        if problem is not None:
            raise ValueError(problem)
        return self
