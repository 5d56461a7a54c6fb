"""The record of one run: the only source of truth; loggers receive copies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from sgbench.records.base import Strict
from sgbench.records.counts import OpCounts
from sgbench.records.method import method_id
from sgbench.records.spec import Method

SCHEMA_VERSION = 1
MethodId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class LayerActivity(Strict):
    """Spiking activity of one layer over a whole split."""

    name: str = Field(max_length=100)
    rate_per_step: float = Field(ge=0)  # spikes per neuron and time step
    rate_hz: float = Field(ge=0)
    dead_fraction: Fraction  # neurons without one spike on the whole split
    saturated_fraction: Fraction  # neurons that fire in more than 90 % of all steps


class Scores(Strict):
    """Scores of the selected weights on one split."""

    samples: int = Field(ge=1)
    accuracy: Fraction
    loss: float
    activity: tuple[LayerActivity, ...]


class EpochScores(Strict):
    """One line of the training curve."""

    epoch: int = Field(ge=0)
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

    commit: str | None = Field(max_length=64)
    clean: bool | None
    versions: dict[str, str]
    python: str = Field(max_length=100)
    platform: str = Field(max_length=200)
    processor: str = Field(max_length=200)
    device: str = Field(max_length=100)
    threads: int = Field(ge=1)
    engine: str = Field(max_length=100)
    engine_reason: str = Field(max_length=500)
    data_sha256: Sha256 | None
    created_utc: str = Field(max_length=40)


class RunRecord(Strict):
    """Everything that is known of one run of one method with one seed."""

    schema_version: Literal[1]
    protocol: str = Field(max_length=80)
    method_id: MethodId
    seed: int = Field(ge=0)
    status: Literal["finished", "failed"]
    failure: Failure | None
    method: Method
    classes: int | None = Field(ge=2)
    parameters: int | None = Field(ge=0)  # trainable numbers
    best_epoch: int | None = Field(ge=0)
    validation: Scores | None
    test: Scores | None
    curve: tuple[EpochScores, ...]
    counts: OpCounts | None
    predictions_sha256: Sha256 | None
    weights_sha256: Sha256 | None
    timing: Timing
    peak_memory_bytes: int | None = Field(ge=0)
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self) -> RunRecord:
        if self.method_id != method_id(self.method):
            raise ValueError(f"method_id {self.method_id} is not the id of the method it names")
        if self.protocol != self.method.protocol.name:
            raise ValueError(f"protocol {self.protocol} is not the one of the method")
        if (self.status == "failed") != (self.failure is not None):
            raise ValueError("a failure is stated exactly when status is failed")
        needed = {
            "validation": self.validation,
            "test": self.test,
            "counts": self.counts,
            "classes": self.classes,
            "parameters": self.parameters,
            "predictions_sha256": self.predictions_sha256,
        }
        missing = [name for name, value in needed.items() if value is None]
        if self.status == "finished" and missing:
            raise ValueError(f"a finished run needs {', '.join(missing)}")
        return self
